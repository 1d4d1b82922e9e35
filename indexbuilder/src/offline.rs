//! Offline builds: partitions made at once, beside the log and the leaves, and published as snapshots of a build.
//!
//! ```text
//! newest snapshot ─► stored documents ──────────────┐
//! documents ─► valid? whose? ─► slot ─► annotators ─┴► partition's builder (a few threads) ─► checked ─► published
//! ```
//!
//! A partition of a build holds what the newest snapshot of the build before holds, or nothing where there is none, and the documents that
//! are given on top. Its offset is that snapshot's, or 0: so every record since is applied to it by whoever serves it,
//! and nothing that was written is lost, whenever the documents were read. The other way round a record could bring back
//! an older text than the one given. So documents come with their source's versions, by which such a record is stale, or
//! belong to a namespace that was made for the build, of which the log has nothing.
//!
//! Annotators run as in the gateway, so that a document is the same whether it was fed or built, down to the record of what
//! failed. They work ahead of the builders, which get the documents in the order given.
//!
//! A partition that the build published already is passed over: a run that was interrupted is run again.

mod ahead;
mod base;
mod check;
mod error;
mod publish;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use nautilus_analysis::Analyzer;
use nautilus_annotate::Annotator;
use nautilus_catalog::Catalog;
use nautilus_engine::BulkSummary;
use nautilus_index_repository::Snapshots;
use nautilus_mutation_log::MutationLog;
use nautilus_proto::common::v1::DocumentMetadata;
use nautilus_proto::ingest::v1::Write;
use nautilus_service::Clock;
use nautilus_types::{Incarnation, NamespaceName, Offset, PartitionId, PartitionMap};

use self::ahead::{Ahead, Waiting};
pub use self::error::OfflineError;
use self::workers::{Job, Workers};
use crate::AnnotatorSettings;
use crate::validate::{ValidOperation, validate};

/// What is built, and with how much of the machine.
#[derive(Debug, Clone)]
pub struct OfflineSettings {
    /// The build's name.
    pub build: String,
    /// The build whose snapshots it stands on.
    pub onto: String,
    /// What its tokens are made by.
    pub analyzer: Analyzer,
    /// The slots of partitions.
    pub map: PartitionMap,
    /// Which of them; documents of others are counted and left to whoever builds those.
    pub partitions: BTreeSet<PartitionId>,
    /// An empty folder, or that of an earlier run.
    pub folder: PathBuf,
    /// For all partitions together, in bytes.
    pub memory_bytes: usize,
    /// Threads that analyse documents.
    pub threads: usize,
    /// Namespaces that were made for this build: their documents need no versions.
    pub new_namespaces: BTreeSet<NamespaceName>,
    /// What is found out about documents: as in the gateway.
    pub annotators: AnnotatorSettings,
}

/// What a build stands on.
#[derive(Clone)]
pub struct OfflineParts {
    /// Which namespaces there are.
    pub catalog: Arc<dyn Catalog>,
    /// The log that goes on after the build.
    pub log: Arc<dyn MutationLog>,
    /// What is built upon, and where it goes.
    pub snapshots: Snapshots,
    /// The application's own, run after those of the settings.
    pub annotators: Vec<Arc<dyn Annotator>>,
    /// The time of day, for manifests.
    pub clock: Clock,
}

/// Where a partition of a build begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Which.
    pub partition: PartitionId,
    /// The next record of the log after it.
    pub next_offset: Offset,
    /// Documents of the snapshot it stands on.
    pub documents: u64,
}

/// A partition that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Which.
    pub partition: PartitionId,
    /// The next record of the log after it.
    pub next_offset: Offset,
    /// What is in it.
    pub summary: BulkSummary,
    /// Bytes in the repository.
    pub bytes: u64,
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It will be in the build.
    Taken,
    /// Its partition is not built here.
    Elsewhere,
    /// It cannot be, for this reason.
    Refused(String),
}

/// A build that takes documents.
pub struct OfflineBuild {
    settings: OfflineSettings,
    parts: OfflineParts,
    offsets: BTreeMap<PartitionId, Offset>,
    namespaces: BTreeMap<NamespaceName, Option<Incarnation>>,
    ahead: Ahead,
    workers: Workers,
}

impl OfflineBuild {
    /// Begins all partitions that the build has not published yet; `began` is told each, once the snapshot it stands on
    /// is in.
    pub async fn begin(
        settings: OfflineSettings,
        parts: OfflineParts,
        began: &mut (dyn FnMut(Begun) + Send),
    ) -> Result<Self, OfflineError> {
        let ahead = Ahead::new(&settings, &parts)?;
        let missing = publish::missing(&settings, &parts).await?;
        let mut workers = Workers::start(&settings, parts.log.identity(), &missing)?;
        let mut offsets = BTreeMap::new();
        for partition in missing {
            let base = base::restore(&settings, &parts, partition).await?;
            let (next_offset, documents) = (base.next_offset, base.documents);
            offsets.insert(partition, next_offset);
            workers.send(partition, Job::Base(base)).await?;
            began(Begun { partition, next_offset, documents });
        }
        Ok(Self { settings, parts, offsets, namespaces: BTreeMap::new(), ahead, workers })
    }

    /// The partitions that are built now.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        self.offsets.keys().copied()
    }

    /// Adds a document; waits while the builders have enough. An error ends the build.
    pub async fn add(&mut self, write: Write) -> Result<Added, OfflineError> {
        let write = match validate(write) {
            Ok(write) => write,
            Err(violation) => return Ok(Added::Refused(violation.to_string())),
        };
        let partition = self.settings.map.partition_of(&write.namespace);
        let Some(&next_offset) = self.offsets.get(&partition) else { return Ok(Added::Elsewhere) };
        let ValidOperation::Upsert { content, content_hash } = write.operation else {
            return Ok(Added::Refused("a build takes documents, not deletions".to_owned()));
        };
        if write.condition.is_some() {
            return Ok(Added::Refused("conditions are for the log".to_owned()));
        }
        if write.version.is_none() && !self.settings.new_namespaces.contains(&write.namespace) {
            let reason = "it has no version, and its namespace was not made for this build: a record of the log \
                          could bring back an older text";
            return Ok(Added::Refused(reason.to_owned()));
        }
        let Some(incarnation) = self.incarnation(&write.namespace).await? else {
            return Ok(Added::Refused("there is no such namespace".to_owned()));
        };
        let waiting = Waiting {
            partition,
            namespace: write.namespace,
            incarnation,
            // As if written by the record before the first that will be applied.
            offset: Offset(next_offset.0.saturating_sub(1)),
            document_id: write.document_id,
            version: write.version,
            content_hash,
        };
        if let Some((partition, document)) = self.ahead.push(waiting, content).await {
            self.workers.send(partition, Job::Document(Box::new(document))).await?;
        }
        Ok(Added::Taken)
    }

    /// Writes, checks and publishes the partitions, one after the other as they get ready; `built` is told each. Answers
    /// how many documents an annotator failed on: they are in the build, and say so.
    pub async fn finish(self, built: &mut (dyn FnMut(Built) + Send)) -> Result<u64, OfflineError> {
        let Self { settings, parts, offsets, mut ahead, mut workers, .. } = self;
        while let Some((partition, document)) = ahead.pop().await {
            workers.send(partition, Job::Document(Box::new(document))).await?;
        }
        let failed_on = ahead.failed_on();
        for (&partition, &next_offset) in &offsets {
            workers.send(partition, Job::Finish(next_offset)).await?;
        }
        for _ in 0..offsets.len() {
            let finished = workers.finished().await?;
            built(publish::publish(&settings, &parts, finished).await?);
        }
        workers.join()?;
        Ok(failed_on)
    }

    async fn incarnation(
        &mut self,
        namespace: &NamespaceName,
    ) -> Result<Option<Incarnation>, OfflineError> {
        if let Some(known) = self.namespaces.get(namespace) {
            return Ok(*known);
        }
        let record = self.parts.catalog.get_namespace(namespace).await?;
        let incarnation = record.map(|record| record.incarnation);
        self.namespaces.insert(namespace.clone(), incarnation);
        Ok(incarnation)
    }
}

/// The numbers that searches filter and sort by; 0 stands for "not given". As leaves read them from records.
fn attributes(metadata: &DocumentMetadata) -> nautilus_engine::Attributes {
    let given = |number: i64| (number != 0).then_some(number);
    nautilus_engine::Attributes {
        size_bytes: given(i64::try_from(metadata.size_bytes).unwrap_or(i64::MAX)),
        created_unix_ms: given(metadata.created_unix_ms),
        modified_unix_ms: given(metadata.modified_unix_ms),
    }
}
