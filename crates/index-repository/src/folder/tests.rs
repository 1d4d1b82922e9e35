//! What the folder promises beyond the port: it opens again, cleans up, and leaves others' files alone.

use std::os::unix::ffi::OsStrExt as _;

use super::*;

mod conformance;

async fn open(dir: &Path) -> FolderRepository {
    FolderRepository::open(dir).await.expect("opened")
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).expect("allowed")
}

async fn put(repository: &FolderRepository, name: &ObjectName, bytes: &'static [u8]) {
    let mut source = ObjectSource::from_bytes(Bytes::from_static(bytes));
    repository.put_new(name, &mut source).await.expect("stored");
}

async fn names(repository: &FolderRepository) -> Vec<String> {
    let page = repository.list(None, None, 100).await.expect("listed");
    page.objects.into_iter().map(|object| object.name.to_string()).collect()
}

#[tokio::test]
async fn objects_survive_reopening_and_leftovers_do_not() {
    let dir = tempfile::tempdir().expect("folder");
    let dir = dir.path().join("made/anew");
    let first = open(&dir).await;
    put(&first, &name("a/b"), b"bytes").await;
    fs::write(dir.join("partial/left"), "half").expect("written");
    // A second process that is still writing.
    let (mut source, other) = (ObjectSource::from_bytes(Bytes::from_static(b"x")), first.clone());
    let begun = other.begin(&name("c")).expect("begun");

    let again = open(&dir).await;
    assert!(!dir.join("partial/left").exists(), "the leftover is gone");
    assert_eq!(names(&again).await, ["a/b"]);
    assert_eq!(&again.get(&name("a/b"), 10).await.expect("read")[..], b"bytes");
    other.finish(&name("c"), begun).expect("the other's file was left alone");
    let taken = again.put_new(&name("c"), &mut source).await;
    assert!(matches!(taken, Err(RepositoryError::Exists { .. })));
    assert_eq!(fs::read_dir(dir.join("partial")).expect("listed").count(), 0);
}

#[tokio::test]
async fn a_dropped_put_leaves_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let repository = open(dir.path()).await;
    let object = name("o");
    let reached = std::sync::atomic::AtomicBool::new(false);
    let observer = |_| reached.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut source = ObjectSource::from_bytes(Bytes::from(vec![7; 8 * 1024 * 1024]));
    source = source.observed_by(&observer);
    let mut put = Box::pin(repository.put_new(&object, &mut source));
    while !reached.load(std::sync::atomic::Ordering::Relaxed) {
        let step = tokio::time::timeout(std::time::Duration::from_millis(1), &mut put).await;
        assert!(step.is_err(), "not done yet");
    }
    drop(put);
    assert_eq!(fs::read_dir(dir.path().join("partial")).expect("listed").count(), 0);
    assert_eq!(names(&repository).await, [""; 0]);
}

#[tokio::test]
async fn foreign_files_are_not_listed_and_empty_folders_go() {
    let dir = tempfile::tempdir().expect("folder");
    let repository = open(dir.path()).await;
    let objects = dir.path().join("objects");
    put(&repository, &name("a/b/c"), b"").await;
    put(&repository, &name("a/d"), b"").await;
    fs::write(objects.join("not a name"), "").expect("written");
    fs::write(objects.join(std::ffi::OsStr::from_bytes(b"\xff")), "").expect("written");
    assert_eq!(names(&repository).await, ["a/b/c", "a/d"]);
    repository.delete(&name("a/b/c")).await.expect("deleted");
    assert!(!objects.join("a/b").exists() && objects.join("a/d").exists());
    repository.delete(&name("a/d")).await.expect("deleted");
    assert!(!objects.join("a").exists() && objects.join("not a name").exists());
}

/// Deletes take empty folders away while puts make them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_and_deletes_in_one_folder_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().expect("folder");
    let repository = open(dir.path()).await;
    let one = |part: &'static str| {
        let repository = repository.clone();
        async move {
            for round in 0..100 {
                let object = name(&format!("deep/folder/{part}{round}"));
                put(&repository, &object, b"x").await;
                assert_eq!(repository.head(&object).await.expect("there").size_bytes, 1);
                repository.delete(&object).await.expect("deleted");
            }
        }
    };
    tokio::join!(one("a"), one("b"), one("c"));
    assert_eq!(names(&repository).await, [""; 0]);
}

#[tokio::test]
async fn a_name_is_not_both_object_and_folder() {
    let dir = tempfile::tempdir().expect("folder");
    let repository = open(dir.path()).await;
    put(&repository, &name("a/b"), b"x").await;
    for taken in ["a", "a/b/c", "a/b/c/d"] {
        let mut source = ObjectSource::from_bytes(Bytes::new());
        let outcome = repository.put_new(&name(taken), &mut source).await;
        assert!(matches!(outcome, Err(RepositoryError::Invalid { .. })), "{taken}: {outcome:?}");
        let outcome = repository.get(&name(taken), 1).await;
        assert!(matches!(outcome, Err(RepositoryError::NotFound { .. })), "{taken}: {outcome:?}");
        repository.delete(&name(taken)).await.expect("nothing to delete");
        assert_eq!(names(&repository).await, ["a/b"]);
    }
    assert!(repository.list(Some(&name("a/b")), None, 9).await.expect("listed").objects.is_empty());
}
