//! What is recorded while a load runs.

use std::collections::BTreeMap;
use std::time::Duration;

use nautilus_proto::search::v1::{SearchRequest, SearchResponse};
use nautilus_types::{Offset, PartitionId};

/// Which state of one partition an answer shows, and who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The partition.
    pub partition: PartitionId,
    /// Every record below it is in the answer and none at or above it.
    pub next_offset: Offset,
    /// The epoch the leaf serves under.
    pub epoch: u64,
    /// The leaf.
    pub leaf: String,
    /// The build its files descend from; empty = fed from the log alone.
    pub build: String,
}

/// A hit as it was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownHit {
    /// Its namespace.
    pub namespace: String,
    /// Its document.
    pub id: String,
    /// Its score.
    pub score: f64,
    /// The version its text was fetched at, which may be a later one than was searched.
    pub version: Option<u64>,
}

/// What scores were made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Documents of the scope.
    pub documents: u64,
    /// Their tokens.
    pub total_length: u64,
    /// For each term, in how many documents it is.
    pub frequencies: Vec<u64>,
}

/// A search and its answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// When the search was sent, since the load began.
    pub sent: Duration,
    /// When the answer was there.
    pub received: Duration,
    /// The words; all must be in a document.
    pub query: String,
    /// Where they are looked for.
    pub namespaces: Vec<String>,
    /// Hits wanted.
    pub page_size: usize,
    /// What the search's token asked for.
    pub demanded: BTreeMap<PartitionId, Offset>,
    /// Whether it says that nothing is missing.
    pub is_complete: bool,
    /// Whether it says that its time ended early.
    pub is_truncated: bool,
    /// Hits on all pages.
    pub total_hits: u64,
    /// The first page.
    pub hits: Vec<ShownHit>,
    /// What scores were made of.
    pub figures: Figures,
    /// One for each partition that answered.
    pub labels: Vec<Label>,
}

impl Answer {
    /// Hits of a page where the request does not say.
    pub const PAGE_SIZE: usize = 10;

    /// Of what went over the wire. The request must have asked for an explanation, as an operator.
    #[must_use]
    pub fn of(
        request: &SearchRequest,
        answer: SearchResponse,
        times: (Duration, Duration),
    ) -> Self {
        let explanation = answer.explanation.unwrap_or_default();
        let label = |one: &nautilus_proto::search::v1::PartitionExplanation| Label {
            partition: PartitionId(one.partition),
            next_offset: Offset(one.next_offset),
            epoch: one.epoch,
            leaf: one.leaf.clone(),
            build: one.build.clone(),
        };
        let hit = |hit: nautilus_proto::search::v1::Hit| ShownHit {
            namespace: hit.namespace,
            id: hit.document_id,
            score: hit.score,
            version: hit.version,
        };
        Self {
            sent: times.0,
            received: times.1,
            query: request.query.clone(),
            namespaces: request.namespaces.clone(),
            page_size: Self::PAGE_SIZE,
            demanded: BTreeMap::new(),
            is_complete: answer.coverage.is_some_and(|coverage| coverage.complete),
            is_truncated: answer.truncated,
            total_hits: answer.total_hits,
            hits: answer.hits.into_iter().map(hit).collect(),
            figures: Figures {
                documents: explanation.documents,
                total_length: explanation.total_length,
                frequencies: explanation.terms.iter().map(|term| term.documents).collect(),
            },
            labels: explanation.partitions.iter().map(label).collect(),
        }
    }
}

/// A write that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its namespace.
    pub namespace: String,
    /// Its document.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// The acknowledged hash of its content; empty for a deletion.
    pub content_hash: Vec<u8>,
    /// From the token of the acknowledgement: the write is below the offset of its partition.
    pub below: BTreeMap<PartitionId, Offset>,
}
