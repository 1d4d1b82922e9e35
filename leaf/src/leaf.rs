//! The leaf as a whole: what it is made of, what it starts, where it listens.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc as blocking_mpsc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nautilus_engine::Resources;
use nautilus_identity::GrantVerifier;
use nautilus_index_repository::Snapshots;
use nautilus_mutation_log::MutationLog;
use nautilus_proto::common::v1::PartitionLabel;
use nautilus_registry::Registry;
use nautilus_service::server::{
    BoundServer, DeadlinePolicy, GrpcServer, ServerError, ServerSettings,
};
use nautilus_service::threads::{BACKGROUND_NICER, NamedThread, STACK_BYTES, give_way};
use nautilus_service::worker_pool::PoolSettings;
use nautilus_service::{CancellationToken, Clock, Deadline, TaskGroup, WorkerPool};
use nautilus_types::Offset;
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::announcer::Announcer;
use crate::builds::{BuildWatch, WantedBuild};
use crate::digester::{Digester, Digesting, Request};
use crate::lease::{Keeper, Lease};
use crate::metrics::LeafMetrics;
use crate::partition::Served;
use crate::partitions::Partitions;
use crate::placement::Placement;
use crate::pulse::Pulses;
use crate::sampler::Sampler;
use crate::scrubber::Scrubber;
use crate::shared::Shared;
use crate::snapshotter::Snapshotter;
use crate::work::{Work, Workload};
use crate::{Config, LeafError, LeafGrpc};

/// The ports a leaf stands on.
pub struct Parts {
    /// What it applies.
    pub log: Arc<dyn MutationLog>,
    /// Checks the grants of requests.
    pub verifier: GrantVerifier,
    /// Says what it is to serve, and is told what it serves.
    pub registry: Arc<dyn Registry>,
    /// Where snapshots come from and go to.
    pub snapshots: Snapshots,
}

/// A leaf. It serves nothing until [`Self::spawn`] has run.
pub struct Leaf {
    pub(crate) shared: Arc<Shared>,
    pub(crate) verifier: GrantVerifier,
    pub(crate) lease: Lease,
    pub(crate) search_pool: WorkerPool,
    pub(crate) read_pool: WorkerPool,
    pub(crate) workload: Workload,
    /// Streams of status open at once.
    pub(crate) watchers: Arc<Semaphore>,
    stop: OnceLock<CancellationToken>,
    /// Until the digester runs.
    digest_requests: Mutex<Option<mpsc::Receiver<Request>>>,
    /// Larger for each start.
    start: u64,
}

/// For requests that came without the server's layers.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// A root or two for each group, and people who look.
pub(crate) const STATUS_STREAMS_MAX: usize = 64;
/// Threads that open, close and copy files: one that rebuilds a folder must not hold up the others.
const DISK_THREADS: usize = 4;
/// One partition at a time is read through.
const SCRUB_THREADS: usize = 1;
/// Turns on the apply pool beside one for each partition.
const SPARE_TURNS: usize = 16;

/// What partitions share. RocksDB's threads are started on the way, from a thread that gives way as they should.
fn resources(config: &Config) -> Result<Resources, LeafError> {
    let (block_cache, write_buffers) = (config.block_cache_bytes, config.write_buffers_bytes);
    let (give, take) = blocking_mpsc::sync_channel(1);
    let starter = NamedThread::spawn("resources", STACK_BYTES, move || {
        give_way(BACKGROUND_NICER);
        // Whoever takes it waits for it.
        let _ = give.send(Resources::new(block_cache, write_buffers));
    });
    let starter = starter.map_err(LeafError::Thread)?;
    let made = take.recv().map_err(|error| LeafError::Thread(io::Error::other(error)));
    starter.join().map_err(|error| LeafError::Thread(io::Error::other(error)))?;
    made
}

impl Leaf {
    /// Makes a leaf and its threads. Touches neither disk nor ports.
    pub fn build(config: Config, parts: Parts, clock: Clock) -> Result<Self, LeafError> {
        let Parts { log, verifier, registry, snapshots } = parts;
        let (in_log, in_map) = (log.identity().partitions, config.map.partitions);
        if in_log != in_map {
            return Err(LeafError::PartitionCount { log: in_log, map: in_map });
        }
        let settings = |name: &str, threads, queue_bound| PoolSettings {
            queue_bound,
            ..PoolSettings::new(name, threads)
        };
        let start = |settings| WorkerPool::new(settings).map_err(LeafError::Thread);
        let pool = |name, threads, bound| start(settings(name, threads, bound));
        let background =
            |name, threads, bound| start(settings(name, threads, bound).in_background());
        // Every partition has at most one turn waiting, and one piece of work on its files.
        let partitions = usize::try_from(in_map).unwrap_or(usize::MAX).saturating_add(SPARE_TURNS);
        let replay = settings("replay", config.apply_threads, partitions).in_short_slices();
        let pulses = Pulses::new();
        let snapshots = snapshots.paced(config.snapshot_bytes_per_second);
        let (digesting, digest_requests) = Digesting::new();
        let metrics = LeafMetrics::new(config.replica_group.as_str(), config.name.as_str());
        Ok(Self {
            lease: Lease::new(config.lease_ttl, config.lease_margin),
            search_pool: pool("search", config.search_threads, config.search_queue)?,
            read_pool: pool("read", config.read_threads, config.read_queue)?,
            workload: Workload::new(pulses.load.clone()),
            watchers: Arc::new(Semaphore::new(STATUS_STREAMS_MAX)),
            stop: OnceLock::new(),
            digest_requests: Mutex::new(Some(digest_requests)),
            start: clock.unix_ms(),
            verifier,
            shared: Arc::new(Shared {
                resources: resources(&config)?,
                apply_pool: Arc::new(background("apply", config.apply_threads, partitions)?),
                replay_pool: Arc::new(start(replay)?),
                disk_pool: background("disk", DISK_THREADS, partitions)?,
                scrub_pool: background("scrub", SCRUB_THREADS, SCRUB_THREADS)?,
                digest_pool: background("digest", SCRUB_THREADS, SCRUB_THREADS)?,
                digesting,
                wanted_build: WantedBuild::unknown(),
                partitions: Partitions::default(),
                config,
                log,
                registry,
                snapshots,
                clock,
                pulses,
                metrics,
            }),
        })
    }

    /// Counts in the series of another leaf of this process instead of its own.
    ///
    /// Before [`Self::spawn`]; afterwards it changes nothing.
    #[must_use]
    pub fn counting_with(mut self, other: &LeafMetrics) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            let (group, leaf) = (&shared.config.replica_group, &shared.config.name);
            shared.metrics = other.of(group.as_str(), leaf.as_str());
        }
        self
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &LeafMetrics {
        &self.shared.metrics
    }

    /// Requests at work; what was abandoned counts until nothing of it is left.
    #[must_use]
    pub fn work(&self) -> Work {
        self.workload.now()
    }

    /// Whether it has a lease that it knows not to be gone, so that the coordinator knows of it. A registry that is away
    /// changes nothing.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.lease.watch().borrow().is_some()
    }

    /// Starts everything in `tasks`: the leaf registers as reachable at `address`, such as
    /// `http://127.0.0.1:7301`, and serves what the registry assigns to it. When the group stops, it gives its
    /// lease back and puts on disk what was applied.
    pub fn spawn(&self, tasks: &mut TaskGroup, address: impl Into<String>) {
        let (shared, config) = (&self.shared, &self.shared.config);
        let address = address.into();
        // A second call would be a second leaf of the same name.
        let _: Result<(), CancellationToken> = self.stop.set(tasks.stop_token().clone());
        let relist = Arc::new(Notify::new());
        let keeper = Keeper {
            registry: Arc::clone(&shared.registry),
            lease: self.lease.clone(),
            group: config.replica_group.clone(),
            leaf: config.name.clone(),
            address: address.clone(),
            start: self.start,
            clock: shared.clock.clone(),
        };
        tasks.spawn("leaf-lease", |stop| keeper.run(stop));
        let announcer = Announcer {
            registry: Arc::clone(&shared.registry),
            partitions: shared.partitions.clone(),
            lease: self.lease.clone(),
            group: config.replica_group.clone(),
            leaf: config.name.clone(),
            address,
            pulse: shared.pulses.life.clone(),
            relist: Arc::clone(&relist),
            patience: config.lease_ttl,
        };
        tasks.spawn("leaf-announcer", |stop| announcer.run(stop));
        let builds = BuildWatch { shared: Arc::clone(shared) };
        tasks.spawn("leaf-builds", |stop| builds.run(stop));
        let placement = Placement::new(Arc::clone(shared), relist, config.relist_interval);
        tasks.spawn("leaf-placement", |stop| placement.run(stop));
        let (shared, lease) = (Arc::clone(&self.shared), self.lease.clone());
        let snapshotter = Snapshotter { shared, lease };
        tasks.spawn("leaf-snapshots", |stop| snapshotter.run(stop));
        let scrubber = Scrubber { shared: Arc::clone(&self.shared) };
        tasks.spawn("leaf-scrub", |stop| scrubber.run(stop));
        let requests = self.digest_requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(requests) = requests {
            let (shared, lease) = (Arc::clone(&self.shared), self.lease.clone());
            let digester = Digester { shared, lease, requests };
            tasks.spawn("leaf-digests", |stop| digester.run(stop));
        }
        let sampler = Sampler {
            shared: Arc::clone(&self.shared),
            lease: self.lease.clone(),
            workload: self.workload.clone(),
        };
        tasks.spawn("leaf-sampler", |stop| sampler.run(stop));
    }

    /// Takes the address for this leaf alone; [`BoundServer::serve`] then runs it until it is told to stop.
    pub async fn bind(self: Arc<Self>, address: SocketAddr) -> Result<BoundServer, ServerError> {
        self.server().bind(address).await
    }

    /// A server of its own that has no address yet.
    pub fn server(self: Arc<Self>) -> GrpcServer {
        self.empty_server().service(LeafGrpc::server(self))
    }

    /// The same before the service is in it: for those who put something around the service.
    #[must_use]
    pub fn empty_server(&self) -> GrpcServer {
        let clock = self.shared.clock.clone();
        let usual = ServerSettings::default();
        let deadlines = usual.deadlines.clone();
        let stream = "/nautilus.leaf.v1.LeafService/WatchStatus";
        let settings =
            ServerSettings { deadlines: deadlines.with(stream, DeadlinePolicy::STREAM), ..usual };
        GrpcServer::new("leaf", settings, clock)
    }

    /// Cancelled once the leaf is told to stop.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.get().cloned().unwrap_or_default()
    }

    pub(crate) fn deadline_of<T>(&self, request: &tonic::Request<T>) -> Deadline {
        let usual = || Deadline::after(self.shared.clock.now(), DEFAULT_DEADLINE);
        Deadline::of(request).unwrap_or_else(usual)
    }

    /// What an answer of this partition at this offset is labelled with. Made when the answer is ready: the lease
    /// may have lapsed while it was worked on. The build is that of the database it was made from, which may be closed by
    /// now.
    pub(crate) fn label(
        &self,
        served: &Served,
        build: &str,
        next_offset: Offset,
    ) -> PartitionLabel {
        PartitionLabel {
            partition: served.id.0,
            epoch: served.epoch().0,
            next_offset: next_offset.0,
            build: build.to_owned(),
            is_lease_uncertain: self.lease.is_uncertain(self.shared.clock.now()),
        }
    }
}
