//! Commits that fail before or after they happened.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use nautilus_types::Class;

use super::{bounded, perform, put};
use crate::embedded::EmbeddedRegistry;
use crate::embedded::batch::Batch;
use crate::embedded::leases::Leases;
use crate::embedded::state::State;
use crate::embedded::store::Store;
use crate::{Change, Registry, RegistryError, Revision};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The commit fails and did not happen.
    Before,
    /// The commit fails and happened.
    After,
    /// It cannot be found out yet what happened.
    Recovery,
}

/// The faults to come, in their order, each met by the call it belongs to.
type Script = Arc<Mutex<VecDeque<Fault>>>;

/// Fails as scripted.
struct FailingStore {
    script: Script,
    stored: Revision,
}

impl FailingStore {
    fn meets(&self, faults: &[Fault]) -> Option<Fault> {
        let mut script = self.script.lock().expect("sound");
        script.front().copied().filter(|next| faults.contains(next)).inspect(|_| {
            script.pop_front();
        })
    }
}

fn broken() -> RegistryError {
    RegistryError::Unavailable("scripted".into())
}

#[async_trait]
impl Store for FailingStore {
    async fn commit(&mut self, batch: &Batch) -> Result<(), RegistryError> {
        let fault = self.meets(&[Fault::Before, Fault::After]);
        if fault != Some(Fault::Before) {
            assert_eq!(batch.revision, self.stored.next(), "no gap and nothing twice");
            self.stored = batch.revision;
        }
        if fault.is_some() { Err(broken()) } else { Ok(()) }
    }

    async fn recover(&mut self) -> Result<Revision, RegistryError> {
        if self.meets(&[Fault::Recovery]).is_some() { Err(broken()) } else { Ok(self.stored) }
    }

    async fn close(self: Box<Self>) {}
}

fn failing() -> (Script, EmbeddedRegistry) {
    let script = Script::default();
    let store = FailingStore { script: Arc::clone(&script), stored: Revision(0) };
    let state = State::new(Revision(0), [].into(), 100, Leases::of_opening(1));
    let clock = Arc::new(|| tokio::time::Instant::now().into_std());
    (script, EmbeddedRegistry::start(state, Box::new(store), clock))
}

fn play(script: &Script, faults: &[Fault]) {
    script.lock().expect("sound").extend(faults);
}

/// Waits until the registry knows where it is again, and returns what it holds.
async fn settled(registry: &EmbeddedRegistry) -> crate::Listing {
    bounded(async {
        loop {
            match registry.list("").await {
                Ok(listing) => return listing,
                Err(error) => assert_eq!(error.class(), Class::Unavailable, "{error:?}"),
            }
            // Paused time goes on when nothing else can.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_is_found_out_about() {
    use Fault::{After, Before, Recovery};
    for (faults, happened) in [
        (vec![Before], false),
        (vec![After], true),
        (vec![Before, Recovery, Recovery], false),
        (vec![After, Recovery, Recovery], true),
    ] {
        let (script, registry) = failing();
        perform(&registry, put("k", "old", None)).await;
        let mut watch = registry.watch("k", Revision(2)).await.expect("watches");
        play(&script, &faults);
        let outcome = registry.transact(put("k", "new", None)).await;
        assert_eq!(outcome.expect_err("failed").class(), Class::Unavailable);

        let listing = settled(&registry).await;
        let (value, revision) = if happened { ("new", 2) } else { ("old", 1) };
        assert_eq!(listing.entries[0].value, value, "{faults:?}");
        assert_eq!(listing.revision, Revision(revision), "{faults:?}");
        assert!(script.lock().expect("sound").is_empty());

        // All goes on, and watches saw what happened and nothing else.
        let at = perform(&registry, put("k", "last", None)).await;
        assert_eq!(at, Revision(revision + 1));
        let mut values = Vec::new();
        while values.last().is_none_or(|value| value != "last") {
            let (_, changes) = bounded(watch.next()).await.expect("a change");
            let [Change::Put(entry)] = &*changes else { panic!("{changes:?}") };
            values.push(entry.value.clone());
        }
        assert_eq!(values.len(), if happened { 2 } else { 1 });
        registry.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn writes_wait_for_certainty() {
    let (script, registry) = failing();
    play(&script, &[Fault::After, Fault::Recovery, Fault::Recovery, Fault::Recovery]);
    for _ in 0..2 {
        let outcome = registry.transact(put("k", "x", None)).await;
        assert_eq!(outcome.expect_err("failed").class(), Class::Unavailable);
    }
    assert_eq!(settled(&registry).await.revision, Revision(1), "the first one only");
    assert_eq!(perform(&registry, put("k", "y", None)).await, Revision(2));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_lease_is_tried_again() {
    for fault in [Fault::Before, Fault::After] {
        let (script, registry) = failing();
        let ttl = Duration::from_secs(1);
        let lease = registry.grant_lease(ttl).await.expect("granted");
        let revoked = registry.grant_lease(ttl * 100).await.expect("granted");
        perform(&registry, put("k", "x", Some(lease))).await;
        perform(&registry, put("r", "x", Some(revoked))).await;
        let mut watch = registry.watch("k", Revision(3)).await.expect("watches");
        play(&script, &[fault, Fault::Recovery, Fault::Before]);
        bounded(watch.next()).await.expect("its end, after all");

        play(&script, &[fault]);
        let outcome = registry.revoke_lease(revoked).await;
        assert_eq!(outcome.expect_err("failed").class(), Class::Unavailable);
        let gone = registry.keep_alive(revoked).await;
        assert!(matches!(gone, Err(RegistryError::LeaseGone { .. })), "{gone:?}");
        registry.revoke_lease(revoked).await.expect("again");
        assert_eq!(registry.get("r").await.expect("read"), None);
        registry.close().await;
    }
}

#[tokio::test]
async fn sqlite_says_what_it_stored_after_a_failure() {
    use crate::embedded::sqlite::SqliteStore;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("r");
    let mut store = SqliteStore::open(&file).await.expect("opened").store;
    let change = |key: &str| Change::Delete { key: key.to_owned(), at: Revision(0) };
    let batch = |revision| Batch { revision: Revision(revision), changes: vec![change("k")] };
    store.commit(&batch(1)).await.expect("committed");
    // A revision too large for SQLite's numbers fails in the midst of its transaction.
    store.commit(&batch(u64::MAX)).await.expect_err("refused");
    assert_eq!(store.recover().await.expect("readable"), Revision(1));
    store.commit(&batch(2)).await.expect("goes on");
    store.commit(&batch(u64::MAX)).await.expect_err("refused");

    // Meanwhile the file was let go of, and somebody else takes it.
    let other = SqliteStore::open(&file).await.expect("opened");
    Box::new(other.store).close().await;
    let error = store.recover().await.expect_err("not ours any more");
    assert_eq!(error.class(), Class::Corrupt, "{error:?}");
}
