//! What stored objects are: whole, the only one of their name, there for good.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;

use super::{
    RepositoryUnderTest, assert_exists, assert_not_found, bounded, content, get, name, put,
};
use crate::{CHUNK_BYTES, ObjectSource, RepositoryError};

/// Objects of every length around a chunk, from memory and from files.
pub async fn objects_come_back_whole(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let dir = tempfile::tempdir().expect("a folder");
    for (i, length) in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 1].iter().enumerate()
    {
        let (bytes, from_bytes) = (content(i, *length), name(&format!("whole/bytes-{length}")));
        put(&*repository, &from_bytes, bytes.clone()).await.expect("stored");
        let (path, from_file) = (dir.path().join("file"), name(&format!("whole/file-{length}")));
        std::fs::write(&path, &bytes).expect("written");
        let mut source = ObjectSource::from_file(&path).await.expect("opened");
        bounded(repository.put_new(&from_file, &mut source)).await.expect("stored");
        assert!(source.sha256().is_some(), "the source was read to its end");
        // What is stored does not hang on to the local file.
        std::fs::write(&path, "other").expect("written");
        for object in [from_bytes, from_file] {
            assert_eq!(get(&*repository, &object).await.expect("read"), bytes);
        }
    }
}

/// While an object is stored, a reader finds nothing or all of it.
pub async fn readers_see_the_whole_object_or_none(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let (object, bytes) = (name("readers/object"), content(1, 8 * CHUNK_BYTES));
    let is_stored = AtomicBool::new(false);
    let store = async {
        put(&*repository, &object, bytes.clone()).await.expect("stored");
        is_stored.store(true, Ordering::Release);
    };
    let watch = || async {
        loop {
            let was_stored = is_stored.load(Ordering::Acquire);
            let listed = repository.list(Some(&name("readers")), None, 10).await.expect("listed");
            let head = repository.head(&object).await;
            let read = get(&*repository, &object).await;
            for seen in &listed.objects {
                assert_eq!(seen.name, object, "nothing unfinished is listed");
                assert_eq!(seen.size_bytes, 8 * 512 * 1024);
                assert!(head.is_ok(), "what was listed is there");
            }
            match head {
                Ok(head) => {
                    assert_eq!(head.size_bytes, 8 * 512 * 1024);
                    assert_eq!(read.expect("what had a head is there"), bytes);
                }
                Err(_) => assert_not_found(head, &object),
            }
            if was_stored {
                assert_eq!(listed.objects.len(), 1);
                break;
            }
        }
    };
    bounded(async { tokio::join!(store, watch(), watch()) }).await;
}

/// Eight calls for one name: exactly one stores, and the object is its.
pub async fn one_of_many_creators_wins(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    for round in 0..20 {
        let object = name(&format!("race/{round}"));
        // Of different lengths, so that a mixture would show.
        let creators = (0..8).map(|i| put(&*repository, &object, content(i, 1000 * (i + 1))));
        let outcomes = join_all(creators).await;
        let winners: Vec<_> = (0..8).filter(|&i| outcomes[i].is_ok()).collect();
        for outcome in outcomes {
            if outcome.is_err() {
                assert_exists(outcome, &object);
            }
        }
        let [winner] = winners[..] else { panic!("winners of round {round}: {winners:?}") };
        let read = get(&*repository, &object).await.expect("read");
        assert_eq!(read, content(winner, 1000 * (winner + 1)));
    }
}

/// A second object of a name is refused and the first stays.
pub async fn a_taken_name_keeps_its_object(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let object = name("taken/object");
    put(&*repository, &object, content(1, 100)).await.expect("stored");
    for length in [0, 100, 200] {
        assert_exists(put(&*repository, &object, content(2, length)).await, &object);
        assert_eq!(get(&*repository, &object).await.expect("read"), content(1, 100));
    }
}

/// A file that is cut while it is read is not stored, and its name stays free.
pub async fn a_failing_source_stores_nothing(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let dir = tempfile::tempdir().expect("a folder");
    let (path, object) = (dir.path().join("file"), name("failing/object"));
    std::fs::write(&path, content(1, 3 * CHUNK_BYTES)).expect("written");
    let cut = |_| std::fs::write(&path, "cut").expect("written");
    let source = ObjectSource::from_file(&path).await.expect("opened");
    let outcome = bounded(repository.put_new(&object, &mut source.observed_by(&cut))).await;
    assert!(matches!(outcome, Err(RepositoryError::Local { .. })), "{outcome:?}");
    assert_not_found(get(&*repository, &object).await, &object);
    let listed = repository.list(None, None, 10).await.expect("listed");
    assert_eq!(listed.objects, []);
    put(&*repository, &object, content(2, 10)).await.expect("stored");
}

/// What was stored is there after a restart, what was deleted is not.
pub async fn objects_survive_reopening(mut subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let (kept, gone) = (name("reopened/a/kept"), name("reopened/b/gone"));
    put(&*repository, &kept, content(1, 5000)).await.expect("stored");
    put(&*repository, &gone, content(2, 5000)).await.expect("stored");
    repository.delete(&gone).await.expect("deleted");
    drop(repository);
    let repository = subject.reopen().await;
    assert_eq!(get(&*repository, &kept).await.expect("read"), content(1, 5000));
    assert_not_found(get(&*repository, &gone).await, &gone);
    assert_exists(put(&*repository, &kept, content(3, 1)).await, &kept);
}
