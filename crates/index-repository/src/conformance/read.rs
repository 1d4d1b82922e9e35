//! What reads and deletes answer at the edges.

use super::{RepositoryUnderTest, assert_not_found, bounded, content, get, name, put};
use crate::RepositoryError;

/// What is not there is not found, by every way of asking; it is never an empty object.
pub async fn missing_is_not_found(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    put(&*repository, &name("missing/folder/object"), content(1, 10)).await.expect("stored");
    // Also what is only the beginning of a name, or goes on behind one.
    let names = ["missing/other", "missing/folder", "missing", "missing/folder/object/part", "x"];
    for object in names.map(name) {
        assert_not_found(get(&*repository, &object).await, &object);
        assert_not_found(bounded(repository.head(&object)).await, &object);
        assert_not_found(bounded(repository.get_range(&object, 0, 0)).await, &object);
        assert_not_found(bounded(repository.get_range(&object, 5, 10)).await, &object);
    }
}

/// A range is full within the object, shorter at its end, and empty behind it.
pub async fn ranges_end_where_the_object_ends(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let (object, empty, bytes) = (name("ranges/object"), name("ranges/empty"), content(1, 1000));
    put(&*repository, &object, bytes.clone()).await.expect("stored");
    put(&*repository, &empty, content(1, 0)).await.expect("stored");
    let ranges = [
        (0, 1000, 0..1000),
        (0, 0, 0..0),
        (0, 1, 0..1),
        (0, 1001, 0..1000),
        (999, 1, 999..1000),
        (999, 2, 999..1000),
        (400, 200, 400..600),
        (1000, 0, 1000..1000),
        (1000, 1, 1000..1000),
        (1001, 10, 1000..1000),
        (u64::MAX, 10, 1000..1000),
        (1, usize::MAX, 1..1000),
    ];
    for (from, length_max, expected) in ranges {
        let read = bounded(repository.get_range(&object, from, length_max)).await.expect("read");
        assert_eq!(read, bytes.slice(expected), "{length_max} bytes from {from}");
    }
    for (from, length_max) in [(0, 0), (0, 1), (1, 1)] {
        let read = bounded(repository.get_range(&empty, from, length_max)).await.expect("read");
        assert!(read.is_empty());
    }
}

/// An object of the bound is read, a larger one is refused.
pub async fn whole_reads_are_bounded(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let object = name("bounded/object");
    put(&*repository, &object, content(1, 1000)).await.expect("stored");
    for bytes_max in [1000, 1001, usize::MAX] {
        let read = bounded(repository.get(&object, bytes_max)).await.expect("read");
        assert_eq!(read, content(1, 1000));
    }
    for too_small in [0, 1, 999] {
        match bounded(repository.get(&object, too_small)).await {
            Err(RepositoryError::TooLarge { name, bytes_max }) => {
                assert_eq!((name.as_str(), bytes_max), (object.as_str(), too_small));
            }
            other => panic!("expected too large, got {other:?}"),
        }
    }
}

/// Deleting what is gone, or never was, is no error and touches nothing else.
pub async fn deleting_again_changes_nothing(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let (object, other) = (name("deleted/object"), name("deleted/other/object"));
    put(&*repository, &object, content(1, 10)).await.expect("stored");
    put(&*repository, &other, content(2, 10)).await.expect("stored");
    for _ in 0..3 {
        bounded(repository.delete(&object)).await.expect("deleted");
        assert_not_found(get(&*repository, &object).await, &object);
    }
    for never_was in ["never/was", "deleted", "deleted/other", "deleted/other/object/part"] {
        bounded(repository.delete(&name(never_was))).await.expect("nothing to delete");
    }
    assert_eq!(get(&*repository, &other).await.expect("read"), content(2, 10));
}

/// After a delete the name is free, and the next object of it is another one.
pub async fn a_deleted_name_is_free(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let object = name("free/object");
    for round in 0..3 {
        put(&*repository, &object, content(round, 100)).await.expect("stored");
        assert_eq!(get(&*repository, &object).await.expect("read"), content(round, 100));
        bounded(repository.delete(&object)).await.expect("deleted");
    }
}
