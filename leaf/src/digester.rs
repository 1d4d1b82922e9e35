//! Computes digests of partitions at points of the log, publishes them, and compares them with the other groups'.
//!
//! ```text
//! applier at a point ─► feed waits ─► a snapshot is taken ─► feed goes on
//!                                          └─► all is read, slowly ─► registry ─► compared with the other groups
//! ```
//!
//! A digest that is missing, of a leaf that was busy or away, only makes the next common point the one that counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nautilus_engine::{Depth, Digests, EngineError};
use nautilus_registry::layout::{DigestPoint, Key, PartitionDigests};
use nautilus_registry::{Condition, Operation, RegistryError, Transaction};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, PoolError};
use nautilus_types::{Class, Offset, PartitionId};
use tokio::sync::{mpsc, oneshot};

use crate::digests::{self, Comparison};
use crate::lease::Lease;
use crate::partition::{Database, Served};
use crate::scrubber::share;
use crate::shared::Shared;
use crate::state::{Event, State};

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
        known.retain(|id, _| partitions.iter().any(|served| served.id == *id));
        if let Some(request) = request {
            self.compute(request, known, stop).await;
            self.shared.digesting.is_busy.store(false, Ordering::Release);
        }
        // Also those of before: another group may have come to the same point later.
        for served in partitions {
            let Some(known) = known.get_mut(&served.id) else { continue };
            match self.compare(&served, known).await {
                Ok(()) => {}
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

    async fn compare(&self, served: &Served, known: &mut Known) -> Result<(), RegistryError> {
        let prefix = PartitionDigests::prefix(served.id);
        let listing = self.in_time(self.shared.registry.list(&prefix)).await?;
        let all: Result<Vec<_>, _> =
            listing.entries.iter().map(|entry| PartitionDigests::decode(&entry.value)).collect();
        let found = digests::compare(&self.ours(served, known), &all?);
        let differing = found.iter().find(|comparison| !comparison.differing.is_empty());
        if !found.is_empty() {
            self.shared.metrics.digests_compared(served.id, differing.is_some());
        }
        if let Some(Comparison { other, offset, differing }) = differing
            && known.told.replace(*offset) != Some(*offset)
        {
            tracing::error!(
                partition = served.id.0,
                epoch = served.epoch().0,
                offset = offset.0,
                other_group = other.as_str(),
                differing = differing.join(" and "),
                "two replica groups hold different content: recover one of the replicas from the log"
            );
        }
        Ok(())
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
