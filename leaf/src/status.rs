//! What a leaf says about its partitions when asked.

use nautilus_engine::SkippedRecord as Skipped;
use nautilus_proto::admin::v1::{PartitionStatus, RowBytes, SkippedRecord};
use nautilus_proto::leaf::v1::GetStatusResponse;
use nautilus_service::status::error_chain;
use nautilus_types::Offset;

use crate::Leaf;
use crate::partition::Served;
use crate::state::State;

/// More of them say no more.
const SKIPPED_MAX: usize = 100;

impl Leaf {
    /// The state of every partition; one that cannot be looked at says so in its detail.
    pub async fn status(&self) -> GetStatusResponse {
        let mut partitions = Vec::new();
        for served in self.shared.partitions.all() {
            partitions.push(self.partition_status(&served).await);
        }
        GetStatusResponse { leaf: self.shared.config.name.to_string(), partitions }
    }

    async fn partition_status(&self, served: &Served) -> PartitionStatus {
        let (state, applied) = (served.state(), served.applied());
        let mut status = PartitionStatus {
            label: Some(self.label(served, &served.build(), applied)),
            leaf: self.shared.config.name.to_string(),
            replica_group: self.shared.config.replica_group.to_string(),
            state: state.name().to_owned(),
            ..PartitionStatus::default()
        };
        if let State::Failed { reason } = state {
            status.detail = reason;
        }
        if let Some(known) = served.snapshot() {
            status.snapshot_offset = known.next_offset.0;
            status.snapshot_unix_ms = i64::try_from(known.created_unix_ms).unwrap_or(i64::MAX);
        }
        status.recovery = served.progress.status(self.shared.clock.now());
        match self.shared.log.watermarks(served.id).await {
            Ok(marks) => {
                status.log_low_offset = marks.low.0;
                status.log_high_offset = marks.high.0;
                status.lag_ms = self.lag_ms(served, applied, marks.high).await;
            }
            Err(error) => append(&mut status.detail, &error_chain(&error)),
        }
        if let Some(database) = served.database() {
            status.durable_offset = database.durable_offset().0;
            match database.statistics() {
                Ok(statistics) => {
                    status.namespaces = statistics.namespaces;
                    status.documents = statistics.documents;
                    status.disk_bytes = statistics.disk_bytes;
                    status.row_bytes = statistics
                        .row_bytes
                        .into_iter()
                        .map(|(kind, bytes)| RowBytes { kind: kind.to_owned(), bytes })
                        .collect();
                }
                Err(error) => append(&mut status.detail, &error_chain(&error)),
            }
            match database.skipped(SKIPPED_MAX) {
                Ok(skipped) => status.skipped = skipped.into_iter().map(of_skipped).collect(),
                Err(error) => append(&mut status.detail, &error_chain(&error)),
            }
        }
        status
    }

    /// Age of the oldest record that is not applied.
    async fn lag_ms(&self, served: &Served, applied: Offset, high: Offset) -> u64 {
        if applied >= high {
            return 0;
        }
        match self.shared.log.read(served.id, applied, 1).await {
            Ok(records) => records.first().map_or(0, |oldest| {
                self.shared.clock.unix_ms().saturating_sub(oldest.appended_at_unix_ms)
            }),
            // Its watermarks were readable a moment ago; the next look says what is wrong.
            Err(_) => 0,
        }
    }
}

fn of_skipped(skipped: Skipped) -> SkippedRecord {
    SkippedRecord { offset: skipped.offset.0, reason: skipped.reason }
}

fn append(detail: &mut String, more: &str) {
    if !detail.is_empty() {
        detail.push_str("; ");
    }
    detail.push_str(more);
}
