//! Feeding an applier: waits for records off the workers, and gives it turns on them.
//!
//! ```text
//! wait_beyond ─► read (neither holds a worker) ─► turn on the apply pool ─► turn ─► … ─► wait_beyond
//! ```
//!
//! The pool serves turns in order of arrival and a partition has at most one there, so partitions with much to
//! apply and such with little take turns evenly.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nautilus_mutation_log::{LogError, MutationLog, Record};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, Clock, WorkerPool};
use nautilus_types::{Class, Offset};

use crate::applier::{Applier, ApplyError, Poison, Turned};
use crate::digester::Digesting;
use crate::metrics::{LeafMetrics, Phase};
use crate::partition::Served;
use crate::poison::Failures;
use crate::state::{Event, State};

/// Read from the log at once: enough to amortise the call, little enough to hold for each partition.
pub(crate) const READ_BYTES: usize = 1 << 20;
/// Between tries while the log cannot be read.
pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(50);
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(5);

/// One partition's way from the log to its applier.
pub(crate) struct Feed {
    pub(crate) served: Arc<Served>,
    pub(crate) log: Arc<dyn MutationLog>,
    pub(crate) pool: Arc<WorkerPool>,
    /// While it replays: its threads give way to nobody, since a lost partition is waited for.
    pub(crate) replay_pool: Arc<WorkerPool>,
    pub(crate) clock: Clock,
    pub(crate) metrics: LeafMetrics,
    pub(crate) digesting: Digesting,
}

/// Why feeding ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    #[error("read the log from offset {from}")]
    Read { from: Offset, source: LogError },
    #[error("put into the log that the record at offset {offset} is passed over")]
    Decide { offset: Offset, source: LogError },
    #[error(
        "the record at offset {offset} fails as many did lately, so the program may be at fault: {reason}"
    )]
    TooManyDecisions { offset: Offset, reason: String },
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("after offset {after}")]
    Pool { after: Offset, source: nautilus_service::PoolError },
}

impl FeedError {
    fn event(&self, served: &Served) -> Event {
        let reason = error_chain(self);
        match self {
            Self::Apply(ApplyError::Overruled { skipped, .. }) => {
                served.note_skip(*skipped, &reason);
                Event::Overruled { reason }
            }
            Self::Apply(error) if error.class() == Class::Corrupt => Event::Damaged { reason },
            Self::Apply(_) | Self::Read { .. } | Self::Pool { .. } => Event::Broke { reason },
            Self::Decide { .. } | Self::TooManyDecisions { .. } => Event::Broke { reason },
        }
    }
}

impl Feed {
    /// Applies the log until told to stop, then puts everything on disk. What ends it before that becomes an
    /// event of the partition. The writer is gone when this returns.
    pub(crate) async fn run(self, applier: Applier, stop: CancellationToken) {
        if let Err(error) = self.apply_log(applier, &stop).await {
            self.served.step(self.clock.now(), error.event(&self.served));
        }
    }

    async fn apply_log(
        &self,
        mut applier: Applier,
        stop: &CancellationToken,
    ) -> Result<(), FeedError> {
        let began = self.clock.now();
        let mut has_caught_up = false;
        let mut failures = Failures::default();
        loop {
            if !has_caught_up && self.served.state() == State::Serving {
                has_caught_up = true;
                let took = self.clock.now().saturating_duration_since(began);
                self.metrics.recovered(Phase::Replay, took);
                self.served.progress.end_replay(self.clock.now());
            }
            let from = applier.next_offset();
            let read = || self.log.read(self.served.id, from, READ_BYTES);
            let read = until_answered(&self.served, stop, read).await;
            let Some(records) = read.map_err(|source| FeedError::Read { from, source })? else {
                break;
            };
            if records.is_empty() {
                self.served.note_waiting(None);
                applier = self.wait(applier, stop).await?;
            } else {
                let stuck;
                (applier, stuck) = self.apply(applier, records, stop).await?;
                let Some(poison) = stuck else { continue };
                applier = self.deal_with(applier, poison, &mut failures, stop).await?;
            }
        }
        self.on_worker(applier, Applier::flush).await?;
        Ok(())
    }

    async fn apply(
        &self,
        mut applier: Applier,
        records: Vec<Record>,
        stop: &CancellationToken,
    ) -> Result<(Applier, Option<Poison>), FeedError> {
        if let Some(last) = records.last() {
            self.served.note_log_high(last.offset.next(), self.clock.unix_ms());
        }
        let mut waiting = VecDeque::from(records);
        while !waiting.is_empty() && !stop.is_cancelled() {
            let stop_turn = stop.clone();
            let mut turns = std::mem::take(&mut waiting);
            let turned;
            (applier, (waiting, turned)) = self
                .on_worker_with(applier, move |applier| {
                    let turned = applier.turn(&mut turns, &stop_turn)?;
                    Ok((turns, turned))
                })
                .await?;
            match turned {
                Turned::Ended => {}
                Turned::AtPoint => tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = self.digesting.digest(&self.served) => {}
                },
                Turned::Stuck(poison) => return Ok((applier, Some(poison))),
            }
        }
        Ok((applier, None))
    }

    /// Until the log has more, or a flush is due, which it then does, or feeding ends.
    async fn wait(&self, applier: Applier, stop: &CancellationToken) -> Result<Applier, FeedError> {
        let from = applier.next_offset();
        let flush_at = applier.flush_at();
        let flush = async {
            match flush_at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(applier),
            more = self.log.wait_beyond(self.served.id, from) => match more {
                Ok(high) => {
                    self.served.note_log_high(high, self.clock.unix_ms());
                    Ok(applier)
                }
                Err(source) if !source.class().is_retryable() => {
                    Err(FeedError::Read { from, source })
                }
                // What is wrong for now the next read meets again, and waits.
                Err(_) => Ok(applier),
            },
            () = flush => self.on_worker(applier, Applier::flush).await,
        }
    }

    async fn on_worker(
        &self,
        applier: Applier,
        work: fn(&mut Applier) -> Result<(), ApplyError>,
    ) -> Result<Applier, FeedError> {
        self.on_worker_with(applier, work).await.map(|(applier, ())| applier)
    }

    pub(crate) async fn on_worker_with<T: Send + 'static>(
        &self,
        mut applier: Applier,
        work: impl FnOnce(&mut Applier) -> Result<T, ApplyError> + Send + 'static,
    ) -> Result<(Applier, T), FeedError> {
        let pool = match self.served.state() {
            State::Replaying { .. } => &self.replay_pool,
            State::Idle
            | State::Downloading
            | State::Opening { .. }
            | State::Serving
            | State::Draining { .. }
            | State::Closing { .. }
            | State::Failed { .. }
            | State::Gone => &self.pool,
        };
        let ended = pool.run(move || work(&mut applier).map(|value| (applier, value))).await;
        let after = self.served.applied();
        Ok(ended.map_err(|source| FeedError::Pool { after, source })??)
    }
}

/// Repeats a call of the log until it answers or it makes no sense to go on; `None` to stop, also while the call
/// hangs.
pub(crate) async fn until_answered<T, F: Future<Output = Result<T, LogError>>>(
    served: &Served,
    stop: &CancellationToken,
    mut call: impl FnMut() -> F,
) -> Result<Option<T>, LogError> {
    let mut pause = RETRY_FIRST;
    loop {
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            answer = call() => answer,
        };
        let error = match answer {
            Ok(value) => return Ok(Some(value)),
            Err(error) if error.class() == Class::Unavailable => error,
            Err(error) => return Err(error),
        };
        tracing::warn!(
            partition = served.id.0,
            error = error_chain(&error),
            "the log cannot be read, trying again"
        );
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
}
