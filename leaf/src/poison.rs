//! Records that no replica can apply: decided once, in the log, and then passed over by all.
//!
//! ```text
//! fails ─► read and tried again ─► fails ─► a decision about it further on in the log? ─ no ─► append one
//!                                                              └─ yes ─► pass over it ◄────────────┘
//! ```
//!
//! The decision stands in the log before anybody acts on it, so that it survives whoever made it. Two replicas may
//! both append one; they say the same.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nautilus_mutation_log::{LogError, MutationLog};
use nautilus_service::CancellationToken;
use nautilus_service::status::error_chain;
use nautilus_types::{Class, Offset, PartitionId};

use crate::applier::{Applier, Poison};
use crate::feed::{Feed, FeedError, READ_BYTES, RETRY_FIRST, RETRY_MAX, until_answered};
use crate::record::{Decoded, Decoder};

/// A record must fail so often in a row before it is taken for poison: the first time may be a fault of this machine.
const FAILURES_MAX: u32 = 2;
/// More decisions of one replica than this in [`DECISIONS_PER`] point at a program that is at fault, not at records.
const DECISIONS_MAX: usize = 16;
const DECISIONS_PER: Duration = Duration::from_secs(3_600);

/// What one replica has seen fail and has decided. Pure.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    at: Option<Offset>,
    count: u32,
    decided: VecDeque<Instant>,
}

impl Failures {
    /// The record at `offset` failed; whether that is often enough.
    fn note(&mut self, offset: Offset) -> bool {
        if self.at.replace(offset) != Some(offset) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.count >= FAILURES_MAX
    }

    /// Whether this replica may make one more decision, which it then has made.
    fn may_decide(&mut self, now: Instant) -> bool {
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= DECISIONS_PER;
        while self.decided.pop_front_if(|at| is_old(at)).is_some() {}
        let may = self.decided.len() < DECISIONS_MAX;
        if may {
            self.decided.push_back(now);
        }
        may
    }
}

impl Feed {
    /// Deals with a record that could not be applied: after this it is to be tried again, or passed, or all is to stop.
    pub(crate) async fn deal_with(
        &self,
        applier: Applier,
        poison: Poison,
        failures: &mut Failures,
        stop: &CancellationToken,
    ) -> Result<Applier, FeedError> {
        let (partition, epoch) = (self.served.id.0, self.served.epoch().0);
        let (offset, reason) = (poison.offset.0, &poison.reason);
        self.metrics.poisoned(self.served.id);
        if !failures.note(poison.offset) {
            tracing::warn!(partition, epoch, offset, reason, "a record fails, trying it again");
            return Ok(applier);
        }
        let decoder = applier.decoder().clone();
        if self.decide(&poison, &decoder, failures, stop).await?.is_none() {
            return Ok(applier);
        }
        tracing::error!(
            partition,
            epoch,
            offset,
            reason,
            "a record is passed over by every replica: its change is lost unless it is sent again"
        );
        let pass_over = move |applier: &mut Applier| applier.skip(poison.offset, &poison.reason);
        let (applier, ()) = self.on_worker_with(applier, pass_over).await?;
        Ok(applier)
    }

    /// Until the log has a decision about the record; `None` to stop.
    async fn decide(
        &self,
        poison: &Poison,
        decoder: &Decoder,
        failures: &mut Failures,
        stop: &CancellationToken,
    ) -> Result<Option<()>, FeedError> {
        let of_log = |source| FeedError::Decide { offset: poison.offset, source };
        let mut is_allowed = false;
        let mut pause = RETRY_FIRST;
        loop {
            // Also after an append whose outcome is not known.
            let find = || is_decided(self.log.as_ref(), self.served.id, poison.offset, decoder);
            let found = until_answered(&self.served, stop, find).await.map_err(of_log)?;
            match found {
                None => return Ok(None),
                Some(true) => return Ok(Some(())),
                Some(false) => {}
            }
            is_allowed = is_allowed || failures.may_decide(self.clock.now());
            if !is_allowed {
                return Err(FeedError::TooManyDecisions {
                    offset: poison.offset,
                    reason: poison.reason.clone(),
                });
            }
            let now_unix_ms = self.clock.unix_ms();
            let skip = decoder.encode_skip(poison.offset, &poison.reason, now_unix_ms);
            let error = match self.log.append(self.served.id, Bytes::from(skip)).await {
                Ok(_) => return Ok(Some(())),
                Err(error) if error.class() == Class::Unavailable => error,
                Err(source) => return Err(of_log(source)),
            };
            let (partition, error) = (self.served.id.0, error_chain(&error));
            tracing::warn!(partition, error, "the decision is not in the log, trying again");
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
    }
}

/// Whether the log, as far as it reaches now, says that the record at `offset` is to be passed over.
async fn is_decided(
    log: &dyn MutationLog,
    partition: PartitionId,
    offset: Offset,
    decoder: &Decoder,
) -> Result<bool, LogError> {
    let high = log.watermarks(partition).await?.high;
    let mut next = offset.next();
    while next < high {
        let records = log.read(partition, next, READ_BYTES).await?;
        let Some(last) = records.last() else { return Ok(false) };
        next = last.offset.next();
        let is_it =
            |payload: &Bytes| decoder.decode(payload) == Ok(Decoded::Skip { skipped: offset });
        if records.iter().any(|record| is_it(&record.payload)) {
            return Ok(true);
        }
    }
    Ok(false)
}
