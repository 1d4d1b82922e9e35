//! The applier: a partition's only writer and what it may do in one turn on a worker. Synchronous.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nautilus_engine::{EngineError, Mutation, Outcome, Writer};
use nautilus_mutation_log::Record;
use nautilus_service::threads::panic_message;
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::{Class, Offset};

use crate::digests::Points;
use crate::metrics::PartitionMetrics;
use crate::partition::Served;
use crate::record::{Decoded, Decoder, RecordError};
use crate::state::{Event, State};

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
    #[error("pass over the record at offset {offset}")]
    Skip { offset: Offset, source: EngineError },
    #[error(
        "the record at offset {skipped}, which was applied here, counts for nothing by the decision at offset {decided_at}"
    )]
    Overruled { skipped: Offset, decided_at: Offset },
}

impl ApplyError {
    /// What should follow.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Apply { source, .. } | Self::Flush(source) | Self::Skip { source, .. } => {
                source.class()
            }
            // Not our files but what this program was given: new files would meet it again.
            Self::Decode { .. } | Self::Overruled { .. } => Class::Precondition,
        }
    }
}

/// A record that is at fault itself: no replica of this program can apply it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Poison {
    pub(crate) offset: Offset,
    pub(crate) reason: String,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Out of records or of time, or told to stop.
    Ended,
    /// What the partition holds now is to be compared with the other groups.
    AtPoint,
    /// The first record left is poison.
    Stuck(Poison),
}

/// What became of one record.
enum Applied {
    Done,
    Poison(String),
}

/// Applies a mutation; tests put one here that panics.
type Apply = fn(&mut Writer, Offset, &Mutation) -> Result<Outcome, EngineError>;

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
    points: Points,
    apply: Apply,
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
        let (points, apply) = (Points::new(0, served.id), Writer::apply as Apply);
        Self { served, writer, decoder, clock, flush, unflushed, metrics, points, apply }
    }

    /// Stops at the points of this interval of the log's time.
    pub(crate) fn stopping_at(self, interval_ms: u64) -> Self {
        Self { points: Points::new(interval_ms, self.served.id), ..self }
    }

    /// Applies with something else than the writer.
    #[cfg(test)]
    pub(crate) fn applying_with(self, apply: Apply) -> Self {
        Self { apply, ..self }
    }

    /// Which log and partition its records belong to.
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
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
    ) -> Result<Turned, ApplyError> {
        let began = self.clock.now();
        let mut turned = Turned::Ended;
        while let Some(record) = records.front() {
            self.served.note_waiting(Some(record.appended_at_unix_ms));
            let begins = self.points.begins(record.appended_at_unix_ms);
            if begins && self.served.state() == State::Serving {
                turned = Turned::AtPoint;
                break;
            }
            if let Applied::Poison(reason) = self.apply(record)? {
                turned = Turned::Stuck(Poison { offset: record.offset, reason });
                break;
            }
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
        Ok(turned)
    }

    /// Puts everything applied on disk.
    pub(crate) fn flush(&mut self) -> Result<(), ApplyError> {
        self.writer.flush().map_err(ApplyError::Flush)?;
        self.unflushed = Unflushed { records: 0, since: self.clock.now() };
        Ok(())
    }

    /// Passes over the record at `offset`, as was decided for all replicas.
    pub(crate) fn skip(&mut self, offset: Offset, reason: &str) -> Result<(), ApplyError> {
        let skipped = self.writer.skip(offset, reason);
        skipped.map_err(|source| ApplyError::Skip { offset, source })?;
        self.metrics.skipped_record();
        self.moved();
        Ok(())
    }

    fn apply(&mut self, record: &Record) -> Result<Applied, ApplyError> {
        let offset = record.offset;
        if let Some(reason) = self.served.skip_reason(offset) {
            self.skip(offset, &reason)?;
            return Ok(Applied::Done);
        }
        let decoded = match self.decoder.decode(&record.payload) {
            Ok(decoded) => decoded,
            Err(error) if error.is_of_record() => return Ok(Applied::Poison(error.to_string())),
            Err(source) => return Err(ApplyError::Decode { offset, source }),
        };
        let applied = match decoded {
            Decoded::Mutation(mutation) => {
                // The writer is made anew after a panic, and the database has all of a record or nothing.
                let apply = AssertUnwindSafe(|| (self.apply)(&mut self.writer, offset, &mutation));
                match catch_unwind(apply) {
                    Ok(applied) => applied,
                    Err(panic) => {
                        let renewed = self.writer.renew();
                        renewed.map_err(|source| ApplyError::Apply { offset, source })?;
                        let message = panic_message(panic.as_ref());
                        return Ok(Applied::Poison(format!("applying it panicked: {message}")));
                    }
                }
            }
            Decoded::PassOver => self.writer.pass_over(offset),
            Decoded::Skip { skipped } => {
                self.obey(skipped, offset)?;
                self.writer.pass_over(offset)
            }
        };
        applied.map_err(|source| ApplyError::Apply { offset, source })?;
        self.metrics.applied_record();
        self.moved();
        Ok(Applied::Done)
    }

    /// Sees that the decision at `decided_at` is followed here.
    fn obey(&self, skipped: Offset, decided_at: Offset) -> Result<(), ApplyError> {
        if decided_at < self.next_offset() || skipped >= decided_at {
            return Ok(());
        }
        let has_skipped = self.writer.has_skipped(skipped);
        if has_skipped.map_err(|source| ApplyError::Skip { offset: skipped, source })? {
            self.served.forget_skip(skipped);
            return Ok(());
        }
        Err(ApplyError::Overruled { skipped, decided_at })
    }

    fn moved(&mut self) {
        if self.unflushed.records == 0 {
            self.unflushed.since = self.clock.now();
        }
        self.unflushed.records += 1;
        self.served.set_applied(self.writer.next_offset());
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
