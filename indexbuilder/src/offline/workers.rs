//! The threads that build: each has some partitions, and is given their documents through a bounded queue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nautilus_analysis::Analyzer;
use nautilus_engine::{
    Attributes, BulkBuilder, BulkSummary, Digests, EngineError, Partition, PartitionIdentity,
    Resources, Upsert,
};
use nautilus_mutation_log::LogIdentity;
use nautilus_proto::common::v1::DocumentMetadata;
use nautilus_service::threads::{NamedThread, STACK_BYTES};
use nautilus_types::{Incarnation, NamespaceName, Offset, PartitionId};
use prost::Message as _;
use tokio::sync::mpsc;

use super::base::{Base, remove};
use super::{OfflineError, OfflineSettings, check};

/// Documents that wait for a thread, at most 320 KiB each.
const QUEUE_MAX: usize = 256;
/// Of the databases that are read and written, beside the builders' memory.
const BLOCK_CACHE_BYTES: usize = 32 << 20;
const WRITE_BUFFERS_BYTES: usize = 16 << 20;

/// What a partition's thread is to do.
pub(super) enum Job {
    /// Begin with this.
    Base(Base),
    /// Add a document.
    Document(Box<Document>),
    /// Write and check the partition, which the log goes on at this offset.
    Finish(Offset),
}

/// A document and whose it is.
pub(super) struct Document {
    pub(super) namespace: NamespaceName,
    pub(super) incarnation: Incarnation,
    pub(super) offset: Offset,
    pub(super) document: Upsert,
}

/// A partition that is ready to be published.
pub(super) struct Finished {
    pub(super) partition: PartitionId,
    pub(super) next_offset: Offset,
    pub(super) summary: BulkSummary,
    pub(super) digests: Digests,
    /// Its files, which nobody writes to.
    pub(super) checkpoint: PathBuf,
}

/// All of them.
pub(super) struct Workers {
    queues: Vec<mpsc::Sender<(PartitionId, Job)>>,
    queue_of: BTreeMap<PartitionId, usize>,
    results: mpsc::Receiver<Result<Finished, OfflineError>>,
    threads: Vec<NamedThread>,
}

impl Workers {
    pub(super) fn start(
        settings: &OfflineSettings,
        log: &LogIdentity,
        partitions: &[PartitionId],
    ) -> Result<Self, OfflineError> {
        let count = settings.threads.clamp(1, partitions.len().max(1));
        // A result for each partition, or an error for each thread: nobody waits to say it.
        let (sender, results) = mpsc::channel(partitions.len() + count);
        let resources = Resources::new(BLOCK_CACHE_BYTES, WRITE_BUFFERS_BYTES);
        let mut workers =
            Self { queues: Vec::new(), queue_of: BTreeMap::new(), results, threads: Vec::new() };
        for number in 0..count {
            let (queue, jobs) = mpsc::channel(QUEUE_MAX);
            let worker = Worker {
                folder: settings.folder.clone(),
                build: settings.build.clone(),
                analyzer: settings.analyzer,
                log: log.clone(),
                memory_bytes: settings.memory_bytes / partitions.len().max(1),
                resources: resources.clone(),
                builders: BTreeMap::new(),
            };
            let sender = sender.clone();
            let thread = NamedThread::spawn(format!("build-{number}"), STACK_BYTES, move || {
                worker.run(jobs, &sender);
            });
            let thread = thread
                .map_err(|source| OfflineError::Folder { path: settings.folder.clone(), source })?;
            workers.queues.push(queue);
            workers.threads.push(thread);
        }
        let queue_of = partitions.iter().copied().zip((0..count).cycle());
        workers.queue_of.extend(queue_of);
        Ok(workers)
    }

    /// Gives a job to the partition's thread; waits while that has enough.
    pub(super) async fn send(
        &mut self,
        partition: PartitionId,
        job: Job,
    ) -> Result<(), OfflineError> {
        let queue = self.queue_of.get(&partition).and_then(|at| self.queues.get(*at));
        let sent = match queue {
            Some(queue) => queue.send((partition, job)).await.is_ok(),
            None => false,
        };
        if sent {
            return Ok(());
        }
        // The thread has ended, and said why.
        loop {
            self.finished().await?;
        }
    }

    /// The next partition that is ready.
    pub(super) async fn finished(&mut self) -> Result<Finished, OfflineError> {
        match self.results.recv().await {
            Some(result) => result,
            None => Err(OfflineError::Stopped("no partition is left to wait for".to_owned())),
        }
    }

    /// Ends the threads, which have nothing left to do.
    pub(super) fn join(self) -> Result<(), OfflineError> {
        drop(self.queues);
        for thread in self.threads {
            thread.join().map_err(|error| OfflineError::Stopped(error.to_string()))?;
        }
        Ok(())
    }
}

struct Worker {
    folder: PathBuf,
    build: String,
    analyzer: Analyzer,
    log: LogIdentity,
    memory_bytes: usize,
    resources: Resources,
    builders: BTreeMap<PartitionId, BulkBuilder>,
}

impl Worker {
    fn run(
        mut self,
        mut jobs: mpsc::Receiver<(PartitionId, Job)>,
        results: &mpsc::Sender<Result<Finished, OfflineError>>,
    ) {
        while let Some((partition, job)) = jobs.blocking_recv() {
            let result = self.work(partition, job).transpose();
            let is_error = matches!(result, Some(Err(_)));
            // Where nobody listens the build was given up.
            let is_heard = result.is_none_or(|result| results.blocking_send(result).is_ok());
            if is_error || !is_heard {
                return;
            }
        }
    }

    fn work(&mut self, partition: PartitionId, job: Job) -> Result<Option<Finished>, OfflineError> {
        let failed = |source| OfflineError::Engine { partition, source };
        let dir = self.folder.join(format!("partition-{:05}", partition.0));
        match job {
            Job::Base(base) => {
                let builder = self.begin(partition, &dir, base).map_err(failed)?;
                self.builders.insert(partition, builder);
                Ok(None)
            }
            Job::Document(document) => {
                let Document { namespace, incarnation, offset, document } = *document;
                if let Some(builder) = self.builders.get_mut(&partition) {
                    builder.add(&namespace, incarnation, offset, &document).map_err(failed)?;
                }
                Ok(None)
            }
            Job::Finish(next_offset) => {
                let Some(builder) = self.builders.remove(&partition) else { return Ok(None) };
                let summary = builder.finish(next_offset).map_err(failed)?;
                let checkpoint = self.folder.join(format!("checkpoint-{:05}", partition.0));
                remove(&checkpoint)?;
                let opened = self.open(partition, &dir).map_err(failed)?;
                opened.set_build(&self.build).map_err(failed)?;
                let digests = check::check(partition, &opened, &summary, next_offset)?;
                opened.checkpoint(&checkpoint).map_err(failed)?;
                drop(opened);
                remove(&dir)?;
                Ok(Some(Finished { partition, next_offset, summary, digests, checkpoint }))
            }
        }
    }

    fn begin(
        &self,
        partition: PartitionId,
        dir: &Path,
        base: Base,
    ) -> Result<BulkBuilder, EngineError> {
        if dir.exists() {
            // Of a run that ended between writing and publishing.
            std::fs::remove_dir_all(dir).map_err(|source| EngineError::Folder {
                operation: "remove",
                path: dir.to_owned(),
                source,
            })?;
        }
        let identity = self.identity(partition);
        let mut builder =
            BulkBuilder::create(dir, &identity, self.analyzer, &self.resources, self.memory_bytes)?;
        if let Some(folder) = base.folder {
            let stored = self.open(partition, &folder)?;
            builder.add_partition(&stored)?;
            drop(stored);
            std::fs::remove_dir_all(&folder).map_err(|source| EngineError::Folder {
                operation: "remove",
                path: folder,
                source,
            })?;
        }
        Ok(builder)
    }

    fn open(&self, partition: PartitionId, dir: &Path) -> Result<Partition, EngineError> {
        let identity = self.identity(partition);
        let (partition, _) = Partition::open(dir, &identity, &self.resources, attributes_of)?;
        Ok(partition)
    }

    fn identity(&self, partition: PartitionId) -> PartitionIdentity {
        PartitionIdentity {
            cluster_id: self.log.cluster_id,
            log_generation: self.log.generation,
            partition,
        }
    }
}

/// For snapshots of the format that kept no numbers beside the metadata.
fn attributes_of(stored: &[u8]) -> Attributes {
    DocumentMetadata::decode(stored)
        .map_or_else(|_| Attributes::default(), |metadata| super::attributes(&metadata))
}
