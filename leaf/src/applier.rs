//! The applier: a partition's only writer and what it may do in one turn on a worker. Synchronous.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nautilus_engine::{EngineError, Writer};
use nautilus_mutation_log::Record;
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::{Class, Offset};

use crate::metrics::PartitionMetrics;
use crate::partition::Served;
use crate::record::{Decoded, Decoder, RecordError};
use crate::state::Event;

/// How long one partition may keep a worker while others wait: well below what a search notices.
const TURN: Duration = Duration::from_millis(20);

/// Why a partition stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("apply the record at offset {offset}")]
    Apply { offset: Offset, source: EngineError },
    #[error("decode the record at offset {offset}")]
    Decode { offset: Offset, source: RecordError },
    #[error("flush the partition")]
    Flush(#[source] EngineError),
}

impl ApplyError {
    /// What should follow.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Apply { source, .. } | Self::Flush(source) => source.class(),
            // Not our files but the log's record: new files would meet it again.
            Self::Decode { .. } => Class::Precondition,
        }
    }
}

/// When applied records must be on disk: bounds what a restart replays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlushRule {
    pub(crate) interval: Duration,
    pub(crate) records: u64,
}

impl FlushRule {
    fn is_due(self, records: u64, since: Duration) -> bool {
        records >= self.records || (records > 0 && since >= self.interval)
    }
}

/// What has been applied since the last flush.
struct Unflushed {
    records: u64,
    since: Instant,
}

/// A partition's writer with what applying needs. Moves from worker to worker, one at a time.
pub(crate) struct Applier {
    served: Arc<Served>,
    writer: Writer,
    decoder: Decoder,
    clock: Clock,
    flush: FlushRule,
    unflushed: Unflushed,
    metrics: PartitionMetrics,
}

impl Applier {
    pub(crate) fn new(
        served: Arc<Served>,
        writer: Writer,
        decoder: Decoder,
        clock: Clock,
        flush: FlushRule,
        metrics: PartitionMetrics,
    ) -> Self {
        let unflushed = Unflushed { records: 0, since: clock.now() };
        Self { served, writer, decoder, clock, flush, unflushed, metrics }
    }

    /// Where the log is to be read next.
    pub(crate) fn next_offset(&self) -> Offset {
        self.writer.next_offset()
    }

    /// When what is applied must be on disk; none = it is.
    pub(crate) fn flush_at(&self) -> Option<Instant> {
        (self.unflushed.records > 0).then(|| self.unflushed.since + self.flush.interval)
    }

    /// Applies records from the front for one turn, and flushes if that is due. What is left waits for its
    /// next turn, so that no partition keeps the others waiting.
    pub(crate) fn turn(
        &mut self,
        records: &mut VecDeque<Record>,
        stop: &CancellationToken,
    ) -> Result<(), ApplyError> {
        let began = self.clock.now();
        while let Some(record) = records.front() {
            self.served.note_waiting(Some(record.appended_at_unix_ms));
            self.apply(record)?;
            self.unflushed.records += 1;
            records.pop_front();
            let elapsed = self.clock.now().saturating_duration_since(began);
            if stop.is_cancelled() || elapsed >= TURN {
                break;
            }
        }
        self.served.note_waiting(records.front().map(|record| record.appended_at_unix_ms));
        let next = self.next_offset();
        self.served.step(self.clock.now(), Event::Applied { next });
        let since = self.clock.now().saturating_duration_since(self.unflushed.since);
        if self.flush.is_due(self.unflushed.records, since) {
            self.flush()?;
        }
        Ok(())
    }

    /// Puts everything applied on disk.
    pub(crate) fn flush(&mut self) -> Result<(), ApplyError> {
        self.writer.flush().map_err(ApplyError::Flush)?;
        self.unflushed = Unflushed { records: 0, since: self.clock.now() };
        Ok(())
    }

    fn apply(&mut self, record: &Record) -> Result<(), ApplyError> {
        if self.unflushed.records == 0 {
            self.unflushed.since = self.clock.now();
        }
        let offset = record.offset;
        let decoded = self.decoder.decode(&record.payload);
        let decoded = decoded.map_err(|source| ApplyError::Decode { offset, source })?;
        let applied = match decoded {
            Decoded::Mutation(mutation) => self.writer.apply(offset, &mutation),
            Decoded::PassOver => self.writer.pass_over(offset),
        };
        applied.map_err(|source| ApplyError::Apply { offset, source })?;
        self.metrics.applied_record();
        self.served.set_applied(self.writer.next_offset());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushes_by_count_and_by_time_but_never_nothing() {
        let rule = FlushRule { interval: Duration::from_secs(600), records: 100 };
        assert!(!rule.is_due(0, Duration::from_secs(9_999)));
        assert!(!rule.is_due(99, Duration::from_secs(599)));
        assert!(rule.is_due(100, Duration::ZERO));
        assert!(rule.is_due(1, Duration::from_secs(600)));
    }
}
