//! The applier: a partition's only writer, on a thread of its own. Opens, replays, tails, flushes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nautilus_engine::{EngineError, Partition, PartitionIdentity, Resources, Writer};
use nautilus_mutation_log::{LogError, MutationLog, Record};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::{Class, Offset};
use tokio::runtime::Handle;

use crate::partition::Served;
use crate::record::{Decoded, Decoder, RecordError};
use crate::state::{Event, State};

/// Read from the log at once: enough to amortise the call, little enough to hold for each partition.
const READ_BYTES: usize = 4 << 20;
/// Between tries while the log cannot be read.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Why a partition stopped.
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error("open the partition")]
    Open(#[source] EngineError),
    #[error("apply the record at offset {offset}")]
    Apply { offset: Offset, source: EngineError },
    #[error("decode the record at offset {offset}")]
    Decode { offset: Offset, source: RecordError },
    #[error("read the log from offset {from}")]
    Read { from: Offset, source: LogError },
    #[error("flush the partition")]
    Flush(#[source] EngineError),
}

/// What one applier needs.
pub(crate) struct Applier {
    pub(crate) served: Arc<Served>,
    pub(crate) log: Arc<dyn MutationLog>,
    pub(crate) decoder: Decoder,
    pub(crate) dir: PathBuf,
    pub(crate) identity: PartitionIdentity,
    pub(crate) resources: Resources,
    pub(crate) clock: Clock,
    pub(crate) flush: FlushRule,
    pub(crate) runtime: Handle,
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

impl Applier {
    /// Runs until told to stop. A partition that cannot go on is left failed, for its status to show; the process
    /// and the other partitions go on.
    pub(crate) fn run(self, stop: &CancellationToken) {
        // A panic is a bug of ours, but one partition's record must not stop the others.
        let ended = catch_unwind(AssertUnwindSafe(|| self.apply_log(stop)));
        let reason = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error_chain(&error),
            Err(_) => format!("applying panicked after offset {}", self.served.applied()),
        };
        tracing::error!(partition = self.served.id.0, error = reason, "partition stopped");
        self.step(Event::Broke { reason });
        self.runtime.block_on(stop.cancelled());
    }

    fn apply_log(&self, stop: &CancellationToken) -> Result<(), ApplyError> {
        let (database, mut writer) = Partition::open(&self.dir, &self.identity, &self.resources)
            .map_err(ApplyError::Open)?;
        let next = writer.next_offset();
        self.served.set_applied(next);
        self.served.set_database(database);
        let Some(log_end) = self.until_read(stop, next, || self.log_end())? else { return Ok(()) };
        if next > log_end {
            // The log lost records that this folder has: going on would mix two histories.
            let (low, high, partition) = (Offset(0), log_end, self.served.id);
            let source = LogError::OutOfRange { partition, asked: next, low, high };
            return Err(ApplyError::Read { from: next, source });
        }
        self.step(Event::Opened { next, log_end });

        let mut unflushed = Unflushed { records: 0, since: self.clock.now() };
        while let Some(records) = self.next_records(stop, writer.next_offset(), &unflushed)? {
            for record in &records {
                self.apply(&mut writer, record)?;
                unflushed.records += 1;
                if stop.is_cancelled() {
                    break;
                }
            }
            let since = self.clock.now().saturating_duration_since(unflushed.since);
            if self.flush.is_due(unflushed.records, since) {
                writer.flush().map_err(ApplyError::Flush)?;
                unflushed = Unflushed { records: 0, since: self.clock.now() };
            }
        }
        self.step(Event::Stop);
        writer.flush().map_err(ApplyError::Flush)?;
        Ok(())
    }

    fn apply(&self, writer: &mut Writer, record: &Record) -> Result<(), ApplyError> {
        let offset = record.offset;
        let decoded = self.decoder.decode(&record.payload);
        let decoded = decoded.map_err(|source| ApplyError::Decode { offset, source })?;
        let applied = match decoded {
            Decoded::Mutation(mutation) => writer.apply(offset, &mutation),
            Decoded::PassOver => writer.pass_over(offset),
        };
        applied.map_err(|source| ApplyError::Apply { offset, source })?;
        let next = writer.next_offset();
        self.served.set_applied(next);
        if matches!(self.served.state(), State::Replaying { .. }) {
            self.step(Event::Applied { next });
        }
        Ok(())
    }

    /// The records from `next` on, as soon as there are any; none of them when a flush is due first; `None` to stop.
    fn next_records(
        &self,
        stop: &CancellationToken,
        next: Offset,
        unflushed: &Unflushed,
    ) -> Result<Option<Vec<Record>>, ApplyError> {
        let records = self.until_read(stop, next, || {
            self.runtime.block_on(self.log.read(self.served.id, next, READ_BYTES))
        })?;
        match records {
            Some(records) if records.is_empty() => {}
            records => return Ok(records),
        }
        let elapsed = self.clock.now().saturating_duration_since(unflushed.since);
        let until_flush = match unflushed.records {
            0 => None,
            _ => Some(self.flush.interval.saturating_sub(elapsed)),
        };
        self.runtime.block_on(async {
            let flush = async {
                match until_flush {
                    Some(time) => tokio::time::sleep(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => Ok(None),
                more = self.log.wait_beyond(self.served.id, next) => match more {
                    Err(source) if !source.class().is_retryable() => {
                        Err(ApplyError::Read { from: next, source })
                    }
                    // What is wrong for now the next read meets again, and waits.
                    Ok(_) | Err(_) => Ok(Some(Vec::new())),
                },
                () = flush => Ok(Some(Vec::new())),
            }
        })
    }

    /// Repeats a read of the log until it answers or it makes no sense to go on; `None` to stop.
    fn until_read<T>(
        &self,
        stop: &CancellationToken,
        from: Offset,
        mut read: impl FnMut() -> Result<T, LogError>,
    ) -> Result<Option<T>, ApplyError> {
        let mut pause = RETRY_FIRST;
        while !stop.is_cancelled() {
            match read() {
                Ok(value) => return Ok(Some(value)),
                Err(error) if error.class() == Class::Unavailable => {
                    tracing::warn!(
                        partition = self.served.id.0,
                        error = error_chain(&error),
                        "the log cannot be read, trying again"
                    );
                    self.runtime.block_on(async {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = tokio::time::sleep(pause) => {}
                        }
                    });
                    pause = (pause * 2).min(RETRY_MAX);
                }
                Err(source) => return Err(ApplyError::Read { from, source }),
            }
        }
        Ok(None)
    }

    fn log_end(&self) -> Result<Offset, LogError> {
        Ok(self.runtime.block_on(self.log.watermarks(self.served.id))?.high)
    }

    fn step(&self, event: Event) {
        let (before, after) = self.served.step(event);
        if before != after {
            tracing::info!(
                partition = self.served.id.0,
                from = before.name(),
                to = after.name(),
                offset = self.served.applied().0,
                "partition state"
            );
        }
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
