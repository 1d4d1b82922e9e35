//! Our engine as the measurements drive it: one configuration, that of a leaf by default.

use std::path::Path;

use anyhow::{Context, Result};
use nautilus_analysis::Analyzer;
use nautilus_engine::{
    Attributes, BulkBuilder, Delete, Mutation, Operation, Partition, PartitionIdentity, Resources,
    ScopeEntry, SearchOutcome, SearchRequest, Unlimited, Upsert, Writer,
};
use nautilus_query::Node;
use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId};

use super::data::{Id, Namespace};
use super::exhaustive::PAGE;

/// As a leaf's `block_cache` and `write_buffers` are unless configured.
const BLOCK_CACHE_BYTES: usize = 512 << 20;
const WRITE_BUFFERS_BYTES: usize = 256 << 20;

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"bench-of-engine.",
    log_generation: LogGeneration(1),
    partition: PartitionId(0),
};

/// One partition and its writer.
pub(crate) struct Ours {
    pub(crate) partition: Partition,
    writer: Writer,
}

impl Ours {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, &resources())
    }

    /// Several partitions of a process share their memory.
    pub(crate) fn open_with(dir: &Path, resources: &Resources) -> Result<Self> {
        let (partition, writer) =
            Partition::open(dir, &IDENTITY, resources, |_| Attributes::default())
                .context("open the partition")?;
        Ok(Self { partition, writer })
    }

    /// Creates or replaces a document.
    pub(crate) fn put(&mut self, namespace: Namespace, id: Id, text: String) -> Result<()> {
        self.apply(&upsert(namespace, id, text)?)
    }

    pub(crate) fn delete(&mut self, namespace: Namespace, id: Id) -> Result<()> {
        let delete = Delete { document_id: document_id(id)?, version: None, condition: None };
        self.apply(&mutation(namespace, Operation::Delete(delete))?)
    }

    pub(crate) fn apply(&mut self, mutation: &Mutation) -> Result<()> {
        self.writer.apply(self.writer.next_offset(), mutation)?;
        Ok(())
    }

    /// How many records were applied.
    pub(crate) fn records(&self) -> u64 {
        self.writer.next_offset().0
    }

    /// Writes what is in memory, synced.
    pub(crate) fn flush(&self) -> Result<()> {
        self.partition.flush()?;
        Ok(())
    }

    /// Writes what is in memory, synced, and changed postings as lists.
    pub(crate) fn write(&self) -> Result<()> {
        self.partition.write_lists()?;
        self.flush()
    }

    /// Everything in the last level, as a partition that rests comes to be.
    pub(crate) fn settle(&self) -> Result<()> {
        self.flush()?;
        Ok(self.partition.compact()?)
    }

    /// The best ten. The number of hits is always counted.
    pub(crate) fn top10(&self, scope: &[ScopeEntry], node: &Node) -> Result<SearchOutcome> {
        let request = SearchRequest::new(scope, node, PAGE);
        Ok(self.partition.searcher().search(&request, &mut Unlimited)?)
    }

    /// Bytes on disk by kind of row; exact enough once settled.
    pub(crate) fn bytes(&self, kinds: &[&str]) -> Result<f64> {
        let statistics = self.partition.statistics()?;
        let of_kinds = statistics.row_bytes.iter().filter(|(kind, _)| kinds.contains(kind));
        Ok(of_kinds.map(|(_, bytes)| *bytes as f64).sum())
    }
}

/// Memory of a bulk build, beside what all partitions share.
const BULK_BYTES: usize = 512 << 20;

/// A partition made at once.
pub(crate) fn build(
    dir: &Path,
    documents: impl Iterator<Item = (Namespace, Id, String)>,
) -> Result<()> {
    let mut builder =
        BulkBuilder::create(dir, &IDENTITY, Analyzer::new(), &resources(), BULK_BYTES)?;
    for (namespace, id, text) in documents {
        let ScopeEntry { namespace, incarnation } = scope(namespace)?;
        builder.add(&namespace, incarnation, Offset(0), &content(id, text)?)?;
    }
    builder.finish(Offset(1))?;
    Ok(())
}

/// What all partitions of a process share.
pub(crate) fn resources() -> Resources {
    Resources::new(BLOCK_CACHE_BYTES, WRITE_BUFFERS_BYTES)
}

/// A record of the mutation log, as the engine takes it.
pub(crate) fn upsert(namespace: Namespace, id: Id, text: String) -> Result<Mutation> {
    mutation(namespace, Operation::Upsert(content(id, text)?))
}

fn content(id: Id, text: String) -> Result<Upsert> {
    Ok(Upsert {
        document_id: document_id(id)?,
        version: None,
        condition: None,
        content_hash: [0; 16],
        title: String::new(),
        path: String::new(),
        body: text,
        metadata: Vec::new(),
        attributes: Attributes::default(),
    })
}

fn mutation(namespace: Namespace, operation: Operation) -> Result<Mutation> {
    let ScopeEntry { namespace, incarnation } = scope(namespace)?;
    Ok(Mutation { namespace, incarnation, operation })
}

/// The namespace as a search names it.
pub(crate) fn scope(namespace: Namespace) -> Result<ScopeEntry> {
    let name = NamespaceName::new(format!("namespace-{namespace}"))?;
    Ok(ScopeEntry { namespace: name, incarnation: Incarnation(1) })
}

/// Ids compare as their numbers do.
fn document_id(id: Id) -> Result<DocumentId> {
    Ok(DocumentId::new(format!("document-{id:010}"))?)
}

/// The number in an id that was made here.
pub(crate) fn number_of(id: &DocumentId) -> Option<Id> {
    std::str::from_utf8(id.as_bytes()).ok()?.strip_prefix("document-")?.parse().ok()
}
