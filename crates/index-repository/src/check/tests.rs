//! A store that keeps its promises is told so; one that breaks any is found out.

use async_trait::async_trait;

use super::*;
use crate::{FaultPlan, Faulty, FolderRepository, ObjectMeta, Page};

/// What a store does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It looks whether a name is free, then writes.
    CheckThenWrite,
    Overwrites,
    /// It shows an object that is not whole yet.
    InPieces,
    ListsLate,
    ForgetsPages,
    CutsRanges,
    KeepsDeleted,
}

struct Store {
    fault: Fault,
    objects: Mutex<BTreeMap<ObjectName, Bytes>>,
}

impl Store {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self { fault, objects: Mutex::default() })
    }

    fn put(&self, name: &ObjectName, bytes: Bytes) {
        self.objects.lock().expect("unpoisoned").insert(name.clone(), bytes);
    }

    fn has(&self, name: &ObjectName) -> bool {
        self.objects.lock().expect("unpoisoned").contains_key(name)
    }
}

#[async_trait]
impl IndexRepository for Store {
    async fn put_new(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = source.next_chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        let is_overwriting = self.fault == Fault::Overwrites && name.as_str().ends_with("race");
        if self.has(name) && !is_overwriting {
            return Err(RepositoryError::Exists { name: name.to_string() });
        }
        if self.fault == Fault::CheckThenWrite {
            tokio::task::yield_now().await;
        }
        if self.fault == Fault::InPieces {
            self.put(name, Bytes::copy_from_slice(&bytes[..bytes.len() / 2]));
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        self.put(name, bytes.into());
        Ok(())
    }

    async fn get_range(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Bytes, RepositoryError> {
        let found = self.objects.lock().expect("unpoisoned").get(name).cloned();
        let bytes = found.ok_or_else(|| RepositoryError::NotFound { name: name.to_string() })?;
        let from = usize::try_from(from).expect("small").min(bytes.len());
        let cut = usize::from(self.fault == Fault::CutsRanges && from > 0);
        Ok(bytes.slice(from..bytes.len().min(from + length_max).saturating_sub(cut).max(from)))
    }

    async fn head(&self, name: &ObjectName) -> Result<ObjectMeta, RepositoryError> {
        let bytes = self.get_range(name, 0, usize::MAX / 2).await?;
        let size_bytes = length_of(&bytes);
        Ok(ObjectMeta { name: name.clone(), size_bytes, stored_unix_ms: 0 })
    }

    async fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Page, RepositoryError> {
        let objects = self.objects.lock().expect("unpoisoned");
        let is_listed = |name: &&ObjectName| {
            folder.is_none_or(|folder| name.beneath(folder).is_some())
                && after.is_none_or(|after| *name > after)
        };
        let mut names: Vec<_> = objects.keys().filter(is_listed).cloned().collect();
        if self.fault == Fault::ListsLate && names.len() == LISTED {
            names.pop();
        }
        let has_more = names.len() > limit && self.fault != Fault::ForgetsPages;
        names.truncate(limit);
        let next_after = names.last().cloned().filter(|_| has_more);
        let meta = |name| ObjectMeta { name, size_bytes: 0, stored_unix_ms: 0 };
        Ok(Page { objects: names.into_iter().map(meta).collect(), next_after })
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), RepositoryError> {
        let is_kept = self.fault == Fault::KeepsDeleted && name.as_str().ends_with("race");
        if !is_kept {
            self.objects.lock().expect("unpoisoned").remove(name);
        }
        Ok(())
    }
}

fn scratch() -> ObjectName {
    ObjectName::new("repo-check/scratch").expect("a name")
}

async fn check(repository: Arc<dyn IndexRepository>) -> Promises {
    check_promises(repository, &scratch(), Duration::ZERO).await.expect("checked")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_them_and_is_left_clean() {
    let dir = tempfile::tempdir().expect("folder");
    let folder = Arc::new(FolderRepository::open(dir.path()).await.expect("opened"));
    let other = ObjectName::new("repo-check/other").expect("a name");
    folder.put_new(&other, &mut ObjectSource::from_bytes(Bytes::new())).await.expect("stored");
    for _ in 0..3 {
        let promises = check(folder.clone()).await;
        assert!(promises.are_kept(), "{promises:?}");
        assert_eq!((promises.rounds, promises.unanswered), (1, 0));
        let page = folder.list(None, None, 9).await.expect("listed");
        assert_eq!(page.objects.len(), 1, "what is not its own is left alone");
    }
}

#[tokio::test]
async fn each_broken_promise_is_found() {
    let cases = [
        (Fault::None, None),
        (Fault::CheckThenWrite, Some(Kind::OneWinner)),
        (Fault::Overwrites, Some(Kind::NotReplaced)),
        (Fault::InPieces, Some(Kind::WholeOrAbsent)),
        (Fault::ListsLate, Some(Kind::Listings)),
        (Fault::ForgetsPages, Some(Kind::Listings)),
        (Fault::CutsRanges, Some(Kind::Ranges)),
        (Fault::KeepsDeleted, Some(Kind::Deletes)),
    ];
    for (fault, kind) in cases {
        // One that overwrites has no one winner, after which nothing more is asked of it.
        let kind = if fault == Fault::Overwrites { Some(Kind::OneWinner) } else { kind };
        let promises = check(Store::new(fault)).await;
        assert_eq!(promises.are_kept(), kind.is_none(), "{fault:?}: {promises:?}");
        if let Some(kind) = kind {
            let of_kind = promises.promises.iter().find(|promise| promise.name == kind.name());
            let promise = of_kind.expect("each is in it");
            assert!(promise.broken > 0 && promise.example.is_some(), "{fault:?}: {promises:?}");
        }
    }
}

#[tokio::test]
async fn an_outage_is_no_broken_promise_and_a_refusal_is_an_error() {
    let plan = FaultPlan { read_refused_per_mille: 1000, ..FaultPlan::default() };
    let away = Faulty::new(Store::new(Fault::None), plan);
    let outcome = check_promises(Arc::new(away), &scratch(), Duration::ZERO).await;
    assert!(matches!(outcome, Err(RepositoryError::Unavailable(_))), "it cannot even clean up");
    let plan = FaultPlan { are_refusals_denials: true, ..plan };
    let denied = Faulty::new(Store::new(Fault::None), plan);
    let outcome = check_promises(Arc::new(denied), &scratch(), Duration::ZERO).await;
    assert!(matches!(outcome, Err(RepositoryError::Denied(_))));
    // Now and then only: what was answered is judged.
    let plan = FaultPlan { seed: 3, write_unknown_per_mille: 20, ..FaultPlan::default() };
    let shaky = Arc::new(Faulty::new(Store::new(Fault::None), plan));
    let mut unanswered = 0;
    for i in 0..20 {
        let scratch = scratch().join(&i.to_string()).expect("a name");
        if let Ok(promises) = check_promises(shaky.clone(), &scratch, Duration::ZERO).await {
            assert!(promises.promises.iter().all(|promise| promise.broken == 0), "{promises:?}");
            unanswered += promises.unanswered;
        }
    }
    assert!(unanswered > 0);
}
