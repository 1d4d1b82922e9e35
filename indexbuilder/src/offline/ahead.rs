//! Documents that annotators look at before the builders get them: many at once, handed on in the order they came.

use std::collections::VecDeque;

use nautilus_engine::Upsert;
use nautilus_proto::ingest::v1::DocumentContent;
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset, PartitionId};
use prost::Message as _;

use super::workers::Document;
use super::{OfflineError, OfflineParts, OfflineSettings};
use crate::AnnotatorSettings;
use crate::annotating::{Annotating, Annotators};
use crate::metrics::Metrics;

/// Documents under way for each thread of annotators: enough that none waits while one document takes long, at most
/// 320 KiB each.
const AHEAD_OF_EACH: usize = 8;

/// What is known of a document beside its content.
pub(super) struct Waiting {
    pub(super) partition: PartitionId,
    pub(super) namespace: NamespaceName,
    pub(super) incarnation: Incarnation,
    pub(super) offset: Offset,
    pub(super) document_id: DocumentId,
    pub(super) version: Option<u64>,
    pub(super) content_hash: [u8; 16],
}

/// The documents under way.
pub(super) struct Ahead {
    annotators: Annotators,
    count_max: usize,
    under_way: VecDeque<(Waiting, Annotating)>,
    failed_on: u64,
}

impl Ahead {
    /// As the gateway's annotators, but with at least as many threads as the build has: nobody else waits for them.
    pub(super) fn new(
        settings: &OfflineSettings,
        parts: &OfflineParts,
    ) -> Result<Self, OfflineError> {
        let threads = settings.annotators.threads.max(settings.threads);
        let told = AnnotatorSettings { threads, ..settings.annotators.clone() };
        let (own, clock) = (parts.annotators.clone(), parts.clock.clone());
        let annotators = Annotators::new(&told, own, &Metrics::new(), clock);
        let annotators = annotators.map_err(OfflineError::Annotators)?;
        let count_max = threads.saturating_mul(AHEAD_OF_EACH);
        Ok(Self { annotators, count_max, under_way: VecDeque::new(), failed_on: 0 })
    }

    /// Takes a document, and answers with the oldest where there are enough under way.
    pub(super) async fn push(
        &mut self,
        waiting: Waiting,
        content: DocumentContent,
    ) -> Option<(PartitionId, Document)> {
        self.under_way.push_back((waiting, self.annotators.begin(content)));
        if self.annotators.is_empty() || self.under_way.len() > self.count_max {
            self.pop().await
        } else {
            None
        }
    }

    /// The oldest, once it has been looked at.
    pub(super) async fn pop(&mut self) -> Option<(PartitionId, Document)> {
        let (waiting, annotating) = self.under_way.pop_front()?;
        let content = self.annotators.end(annotating).await;
        let metadata = content.metadata.unwrap_or_default();
        let has_failed = metadata.annotations.values().any(|it| it.failure.is_some());
        self.failed_on = self.failed_on.saturating_add(u64::from(has_failed));
        let Waiting { partition, namespace, incarnation, offset, .. } = waiting;
        let document = Upsert {
            document_id: waiting.document_id,
            version: waiting.version,
            condition: None,
            content_hash: waiting.content_hash,
            title: content.title,
            path: content.path,
            body: content.body,
            attributes: super::attributes(&metadata),
            metadata: metadata.encode_to_vec(),
        };
        Some((partition, Document { namespace, incarnation, offset, document }))
    }

    /// Documents so far that an annotator failed on.
    pub(super) fn failed_on(&self) -> u64 {
        self.failed_on
    }
}
