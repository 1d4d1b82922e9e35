//! Computes digests of partitions at points of the log, publishes them, and compares them with the other groups'.
//!
//! ```text
//! applier at a point ─► feed waits ─► a snapshot is taken ─► feed goes on
//!                                          └─► all is read, slowly ─► registry ─► compared with the other groups
//! ```
//!
//! Where they differ, the partition is made anew apart from the serving one, and each leaf judges its own by that.
//!
//! A digest that is missing, of a leaf that was busy or away, only makes the next common point the one that counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nautilus_engine::{Depth, Digests, EngineError};
use nautilus_index_repository::SnapshotDraft;
use nautilus_registry::layout::{DigestPoint, Key, PartitionDigests};
use nautilus_registry::{Condition, Operation, RegistryError, Transaction};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, PoolError};
use nautilus_types::{Class, Offset, PartitionId};
use tokio::sync::{mpsc, oneshot};

use crate::digests::{self, Comparison};
use crate::folders::{Folders, remove_if_there};
use crate::lease::Lease;
use crate::partition::{Database, Served};
use crate::remake::{Remake, RemakeError};
use crate::scrubber::share;
use crate::shared::Shared;
use crate::state::{Event, State};
use crate::verdict::{Verdict, judge};

/// One at a time: whoever comes while one is computed goes without.
const REQUESTS_MAX: usize = 1;

/// A partition at a point.
pub(crate) struct Request {
    served: Arc<Served>,
    database: Database,
    /// Told once later records may be applied.
    taken: oneshot::Sender<()>,
}

/// Where feeds ask for digests; cheap to clone.
#[derive(Clone)]
pub(crate) struct Digesting {
    requests: mpsc::Sender<Request>,
    is_busy: Arc<AtomicBool>,
}

impl Digesting {
    /// With where the digester takes them from.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, taken) = mpsc::channel(REQUESTS_MAX);
        (Self { requests, is_busy: Arc::default() }, taken)
    }

    /// Has a digest computed of what is applied now, if nobody else has one computed. Returns once applying may go on.
    pub(crate) async fn digest(&self, served: &Arc<Served>) {
        let Some(database) = served.database() else { return };
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let (taken, until_taken) = oneshot::channel();
        let request = Request { served: Arc::clone(served), database, taken };
        if self.requests.try_send(request).is_ok() {
            // An error says that it came to nothing, which holds up nobody.
            let _: Result<(), oneshot::error::RecvError> = until_taken.await;
        } else {
            self.is_busy.store(false, Ordering::Release);
        }
    }
}

/// The task behind it.
pub(crate) struct Digester {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lease: Lease,
    pub(crate) requests: mpsc::Receiver<Request>,
}

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
enum DigestError {
    #[error("read the partition")]
    Engine(#[from] EngineError),
    #[error("read the partition")]
    Pool(#[from] PoolError),
}

/// What is remembered of a partition.
#[derive(Default)]
struct Known {
    points: Vec<DigestPoint>,
    /// The last difference that was told.
    told: Option<Offset>,
    /// The last one that was judged.
    judged: Option<Offset>,
}

impl Digester {
    /// Runs until told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut known = BTreeMap::new();
        let interval = self.shared.config.relist_interval;
        loop {
            let request = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                request = self.requests.recv() => request,
                () = tokio::time::sleep(interval) => None,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.deal_with(request, &mut known, &stop) => {}
            }
        }
    }

    async fn deal_with(
        &self,
        request: Option<Request>,
        known: &mut BTreeMap<PartitionId, Known>,
        stop: &CancellationToken,
    ) {
        let partitions = self.shared.partitions.all();
        // What was said of files that went, or are going, says nothing of those that come.
        known.retain(|id, _| partitions.iter().any(|it| it.id == *id && it.state().answers()));
        if let Some(request) = request {
            self.compute(request, known, stop).await;
            self.shared.digesting.is_busy.store(false, Ordering::Release);
        }
        // Also those of before: another group may have come to the same point later.
        for served in partitions {
            let Some(of_it) = known.get_mut(&served.id) else { continue };
            let compared = self.compare(&served, of_it).await;
            match compared {
                Ok(Some(difference)) if of_it.judged != Some(difference.offset) => {
                    self.judge(&served, &difference, known, stop).await;
                }
                Ok(_) => {}
                Err(error) => {
                    let (partition, error) = (served.id.0, error_chain(&error));
                    tracing::warn!(partition, error, "digests are not compared, trying again");
                }
            }
        }
    }

    async fn compute(
        &self,
        request: Request,
        known: &mut BTreeMap<PartitionId, Known>,
        stop: &CancellationToken,
    ) {
        let Request { served, database, taken } = request;
        let bytes_per_second = self.shared.config.scrub_bytes_per_second;
        let (of, stop) = (Arc::clone(&served), stop.clone());
        let job = move || {
            let searcher = database.searcher();
            // Nobody waits any more where the feed has ended.
            let _: Result<(), ()> = taken.send(());
            searcher.digests(Depth::Read, &mut |bytes| {
                std::thread::sleep(share(bytes, bytes_per_second));
                // Whoever closes the database waits for this.
                !stop.is_cancelled() && of.state() == State::Serving
            })
        };
        let computed = self.shared.digest_pool.run(job).await;
        let computed = computed.map_err(DigestError::Pool).and_then(|read| Ok(read?));
        match computed {
            Ok(Some(digests)) => {
                let known = known.entry(served.id).or_default();
                digests::add(&mut known.points, point(&digests));
                self.publish(&served, &digests, known).await;
            }
            Ok(None) => {}
            Err(DigestError::Engine(error)) if error.class() == Class::Corrupt => {
                let reason = error_chain(&error);
                self.shared.metrics.scrub_found_damage();
                served.step(self.shared.clock.now(), Event::Damaged { reason });
            }
            Err(error) => {
                let (partition, error) = (served.id.0, error_chain(&error));
                tracing::warn!(partition, error, "no digest of this point");
            }
        }
    }

    async fn publish(&self, served: &Served, digests: &Digests, known: &Known) {
        // An old epoch or a lapsed lease publishes nothing.
        if self.lease.is_uncertain(self.shared.clock.now()) {
            return;
        }
        let (partition, epoch, offset) = (served.id.0, served.epoch().0, digests.next_offset.0);
        let (documents, postings) = (digests.documents.to_string(), digests.postings.to_string());
        tracing::debug!(partition, epoch, offset, documents, postings, "digests computed");
        if let Err(error) = self.put(served, known).await {
            let error = error_chain(&error);
            tracing::warn!(partition, epoch, error, "digests are not published");
        }
    }

    async fn put(&self, served: &Served, known: &Known) -> Result<(), RegistryError> {
        let group = self.shared.config.replica_group.clone();
        let assignment = Key::Assignment { group, partition: served.id }.to_string();
        let (_, assigned_at) = served.announcement();
        let ours = self.ours(served, known);
        let put = Operation::Put { key: ours.key(), value: ours.encode()?, lease: None };
        let conditions = vec![Condition::Unchanged(assignment, assigned_at)];
        let transaction = Transaction { conditions, operations: vec![put] };
        self.in_time(self.shared.registry.transact(transaction)).await.map(|_| ())
    }

    fn ours(&self, served: &Served, known: &Known) -> PartitionDigests {
        let config = &self.shared.config;
        PartitionDigests {
            partition: served.id,
            group: config.replica_group.clone(),
            leaf: config.name.clone(),
            points: known.points.clone(),
        }
    }

    /// Returns a difference, told once.
    async fn compare(
        &self,
        served: &Served,
        known: &mut Known,
    ) -> Result<Option<Comparison>, RegistryError> {
        let prefix = PartitionDigests::prefix(served.id);
        let listing = self.in_time(self.shared.registry.list(&prefix)).await?;
        let all: Result<Vec<_>, _> =
            listing.entries.iter().map(|entry| PartitionDigests::decode(&entry.value)).collect();
        let found = digests::compare(&self.ours(served, known), &all?);
        let is_compared = !found.is_empty();
        let differing = found.into_iter().find(|comparison| !comparison.differing.is_empty());
        if is_compared {
            self.shared.metrics.digests_compared(served.id, differing.is_some());
        }
        if let Some(Comparison { other, offset, differing, .. }) = &differing
            && known.told.replace(*offset) != Some(*offset)
        {
            tracing::error!(
                partition = served.id.0,
                epoch = served.epoch().0,
                offset = offset.0,
                other_group = other.as_str(),
                differing = differing.join(" and "),
                "two replica groups hold different content: making it anew to see which is wrong"
            );
        }
        Ok(differing)
    }

    /// Makes the partition anew up to where it differs, and takes this replica out if that refutes it.
    async fn judge(
        &self,
        served: &Arc<Served>,
        difference: &Comparison,
        known: &mut BTreeMap<PartitionId, Known>,
        stop: &CancellationToken,
    ) {
        let is_busy = &self.shared.digesting.is_busy;
        // Feeds pass their points meanwhile; one that waits already goes first.
        if is_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let remade = self.remake(served, difference, stop).await;
        is_busy.store(false, Ordering::Release);
        let (partition, offset) = (served.id.0, difference.offset.0);
        let verdict = match remade {
            // Closed or stopping: the next common point decides.
            Ok(None) => return,
            Ok(Some(remade)) => judge(&difference.ours, &difference.theirs, &point(&remade)),
            Err(error) => {
                let error = error_chain(&error);
                tracing::error!(partition, offset, error, "which replica is wrong cannot be told");
                Verdict::Undecided
            }
        };
        if let Some(known) = known.get_mut(&served.id) {
            known.judged = Some(difference.offset);
        }
        let other_group = difference.other.as_str();
        match verdict {
            Verdict::OtherIsWrong => {
                tracing::warn!(partition, offset, other_group, "the other replica is wrong");
            }
            Verdict::Undecided => {
                tracing::error!(
                    partition,
                    offset,
                    other_group,
                    "neither replica was confirmed and both go on: recover one of them from the log"
                );
            }
            // Closed since: nobody serves it here any more.
            Verdict::OursIsWrong if served.state() != State::Serving => {}
            Verdict::OursIsWrong => {
                tracing::error!(
                    partition,
                    offset,
                    other_group,
                    "this replica is wrong: taken out, going on with what was made anew"
                );
                // They were said of the files that go.
                known.remove(&served.id);
                self.shared.metrics.refuted();
                served.step(self.shared.clock.now(), Event::Refuted);
                self.withdraw_snapshots(served, difference.agreed).await;
                return;
            }
        }
        self.remove_remade(served).await;
    }

    async fn remake(
        &self,
        served: &Arc<Served>,
        difference: &Comparison,
        stop: &CancellationToken,
    ) -> Result<Option<Digests>, RemakeError> {
        let Some(database) = served.database() else { return Ok(None) };
        let skipped = self.shared.digest_pool.run(move || database.skipped(usize::MAX)).await??;
        let (shared, served) = (Arc::clone(&self.shared), Arc::clone(served));
        let (agreed, until) = (difference.agreed, difference.offset);
        Remake { shared, served, agreed, until, skipped }.run(stop).await
    }

    /// Those this group published after the groups last agreed hold what is wrong, and another leaf would recover from
    /// them. It was just shown that the log makes the partition without them.
    async fn withdraw_snapshots(&self, served: &Served, agreed: Offset) {
        let ours = format!("{}/", self.shared.config.replica_group);
        let is_wrong =
            |draft: &SnapshotDraft| draft.next_offset > agreed && draft.uploader.starts_with(&ours);
        match self.shared.snapshots.withdraw(served.id, is_wrong).await {
            Ok(withdrawn) => {
                for name in withdrawn {
                    tracing::warn!(partition = served.id.0, %name, "a wrong snapshot is withdrawn");
                }
            }
            Err(error) => {
                let (partition, error) = (served.id.0, error_chain(&error));
                tracing::error!(
                    partition,
                    agreed = agreed.0,
                    error,
                    "wrong snapshots stay: remove those this group published above that offset"
                );
            }
        }
    }

    async fn remove_remade(&self, served: &Served) {
        let dir = Folders::new(&self.shared.config.data_dir, served.id).remade();
        if let Err(error) = self.shared.snapshots.discard_download(&dir).await {
            tracing::warn!(error = error_chain(&error), "what was downloaded stays");
        }
        match self.shared.digest_pool.run(move || remove_if_there(&dir)).await {
            Ok(Ok(())) => {}
            // The next one, or the next start, removes it.
            Ok(Err(error)) => tracing::warn!(error = error_chain(&error), "a folder stays"),
            Err(error) => tracing::warn!(error = error_chain(&error), "a folder stays"),
        }
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        match tokio::time::timeout(self.shared.config.lease_ttl, call).await {
            Ok(answer) => answer,
            Err(silent) => Err(RegistryError::Unavailable(silent.into())),
        }
    }
}

fn point(digests: &Digests) -> DigestPoint {
    DigestPoint {
        next_offset: digests.next_offset,
        documents: digests.documents.to_bytes(),
        postings: digests.postings.to_bytes(),
        analyzer_version: digests.analyzer_version,
    }
}
