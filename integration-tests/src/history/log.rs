//! A copy of the mutation log, as the reference engine understands it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use nautilus_mutation_log::MutationLog;
use nautilus_proto::common::v1::DocumentMetadata;
use nautilus_proto::log::v1::condition::Condition as Kind;
use nautilus_proto::log::v1::mutation_record::Operation;
use nautilus_proto::log::v1::{self as wire, MutationRecord};
use nautilus_reference_engine::{Attributes, ExpectedVersion, Metadata, Mutation, Parts, Text};
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset, PartitionId, PartitionMap};
use prost::Message as _;

/// Of one read.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub offset: Offset,
    /// Of the content, as the writer was told; empty where the record has none.
    pub content_hash: Vec<u8>,
    /// What it does.
    pub mutation: Mutation,
}

/// A record that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record at {offset} of partition {partition}: {what}")]
pub struct DecodeError {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
    /// What is wrong.
    pub what: String,
}

/// Every record of every partition from the first on.
#[derive(Debug, Clone, Default)]
pub struct LogCopy {
    partitions: BTreeMap<PartitionId, Vec<Entry>>,
    next: BTreeMap<PartitionId, Offset>,
    count: u32,
    /// Analyzer versions of builds, by name.
    builds: BTreeMap<String, u32>,
}

impl LogCopy {
    /// Empty, of a log with so many partitions.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self { count: partitions, ..Self::default() }
    }

    /// Answers of this build are made by this analyzer.
    pub fn note_build(&mut self, name: &str, analyzer_version: u32) {
        self.builds.insert(name.to_owned(), analyzer_version);
    }

    /// The analyzer version of a build; that of what is fed from the log alone is 1.
    #[must_use]
    pub fn analyzer_of(&self, build: &str) -> Option<u32> {
        if build.is_empty() { Some(1) } else { self.builds.get(build).copied() }
    }

    /// Which partition a namespace belongs to.
    #[must_use]
    pub fn partition_of(&self, namespace: &NamespaceName) -> PartitionId {
        PartitionMap::divided(self.count).partition_of(namespace)
    }

    /// All partitions.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.count).map(PartitionId)
    }

    /// The records of a partition, in order.
    #[must_use]
    pub fn entries(&self, partition: PartitionId) -> &[Entry] {
        self.partitions.get(&partition).map_or(&[], Vec::as_slice)
    }

    /// Records of all partitions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.values().map(Vec::len).sum()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one record as it stands in the log.
    pub fn push(
        &mut self,
        partition: PartitionId,
        offset: Offset,
        payload: &[u8],
    ) -> Result<(), DecodeError> {
        let wrong = |what: String| DecodeError { partition, offset, what };
        let (mutation, content_hash) = decode(payload).map_err(wrong)?;
        self.add(partition, Entry { offset, content_hash, mutation });
        Ok(())
    }

    /// Adds one record.
    pub fn add(&mut self, partition: PartitionId, entry: Entry) {
        self.next.insert(partition, entry.offset.next());
        self.partitions.entry(partition).or_default().push(entry);
    }

    /// Reads what was written since the last time. Records that were trimmed unseen are an error: without them no
    /// answer can be checked.
    pub async fn read_on(&mut self, log: &dyn MutationLog) -> anyhow::Result<()> {
        for partition in self.partitions() {
            let marks = log.watermarks(partition).await.context("ask for the log's ends")?;
            let mut next = self.next.get(&partition).copied().unwrap_or_default();
            anyhow::ensure!(
                marks.low <= next,
                "the log of partition {partition} begins at {}, {next} was the next to be read",
                marks.low
            );
            while next < marks.high {
                let records = log.read(partition, next, READ_BYTES_MAX).await?;
                let Some(last) = records.last() else { break };
                next = last.offset.next();
                for record in &records {
                    self.push(partition, record.offset, &record.payload)?;
                }
            }
        }
        Ok(())
    }
}

type Decoded<T> = Result<T, String>;

fn decode(payload: &[u8]) -> Decoded<(Mutation, Vec<u8>)> {
    let record = MutationRecord::decode(payload).map_err(|error| error.to_string())?;
    let of = record.namespace.unwrap_or_default();
    let incarnation = Incarnation(of.incarnation);
    let namespace = || NamespaceName::new(&of.name).map_err(|error| error.to_string());
    let document = |bytes: &[u8]| DocumentId::new(bytes).map_err(|error| error.to_string());
    Ok(match record.operation.ok_or("it has no operation")? {
        Operation::Upsert(upsert) => {
            let wire::Upsert { title, path, body, .. } = upsert;
            let mutation = Mutation::Upsert {
                namespace: namespace()?,
                incarnation,
                id: document(&upsert.document_id)?,
                version: upsert.version,
                expected: expected(upsert.condition)?,
                text: Text { title, path, body },
                metadata: metadata(&upsert.metadata.unwrap_or_default()),
            };
            (mutation, upsert.content_hash)
        }
        Operation::Patch(patch) => {
            let mutation = Mutation::Patch {
                namespace: namespace()?,
                incarnation,
                id: document(&patch.document_id)?,
                version: patch.version,
                expected: expected(patch.condition)?,
                parts: Parts {
                    title: patch.title,
                    path: patch.path,
                    body: patch.body,
                    metadata: patch.metadata.as_ref().map(metadata),
                },
            };
            (mutation, patch.content_hash)
        }
        Operation::Delete(delete) => {
            let mutation = Mutation::Delete {
                namespace: namespace()?,
                incarnation,
                id: document(&delete.document_id)?,
                version: delete.version,
                expected: expected(delete.condition)?,
            };
            (mutation, Vec::new())
        }
        Operation::DeleteNamespace(_) => {
            (Mutation::DeleteNamespace { namespace: namespace()?, incarnation }, Vec::new())
        }
        Operation::Activity(_) => (Mutation::Skip, Vec::new()),
        // The record it names would have to be left out as well.
        Operation::Skip(_) => {
            return Err("it takes back another, which this cannot replay".to_owned());
        }
    })
}

fn expected(condition: Option<wire::Condition>) -> Decoded<Option<ExpectedVersion>> {
    match condition.map(|condition| condition.condition) {
        None => Ok(None),
        Some(Some(Kind::Absent(true))) => Ok(Some(ExpectedVersion::Absent)),
        Some(Some(Kind::Version(version))) => Ok(Some(ExpectedVersion::Exactly(version))),
        Some(Some(Kind::Absent(false)) | None) => Err("its condition is none".to_owned()),
    }
}

/// A 0 on the wire stands for "not given".
fn metadata(given: &DocumentMetadata) -> Metadata {
    let number = |number: i64| (number != 0).then_some(number);
    let attributes = Attributes {
        size_bytes: number(i64::try_from(given.size_bytes).unwrap_or(i64::MAX)),
        created_unix_ms: number(given.created_unix_ms),
        modified_unix_ms: number(given.modified_unix_ms),
    };
    Metadata { bytes: given.encode_to_vec(), attributes }
}
