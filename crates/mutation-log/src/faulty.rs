//! Injects seeded faults in front of and behind a log.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_types::{Offset, PartitionId};

use crate::seeded::Seeded;
use crate::{LogError, LogIdentity, MutationLog, Record, Watermarks};

/// How often which fault happens. The default is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultPlan {
    /// The same seed and the same order of calls give the same faults.
    pub seed: u64,
    /// Appends of 1,000 refused with [`LogError::Io`] before they reach the log.
    pub append_refused_per_mille: u32,
    /// Appends of 1,000 that succeed but answer [`LogError::UnknownOutcome`].
    pub append_unknown_per_mille: u32,
    /// Reads of 1,000 refused with [`LogError::Io`].
    pub read_refused_per_mille: u32,
    /// Appends and reads of 1,000 that are held up first.
    pub delayed_per_mille: u32,
    /// The longest delay; each is drawn evenly from zero to this.
    pub delay_max: Duration,
}

/// A log that fails as its [`FaultPlan`] says and otherwise does what the log behind it does.
pub struct Faulty {
    inner: Arc<dyn MutationLog>,
    plan: FaultPlan,
    draws: Mutex<Seeded>,
    is_active: AtomicBool,
}

/// What was drawn for one call.
#[derive(Debug)]
struct Fate {
    delay: Option<Duration>,
    refused: bool,
    unknown: bool,
}

impl Faulty {
    /// Puts the faults of `plan` around `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn MutationLog>, plan: FaultPlan) -> Self {
        let draws = Mutex::new(Seeded::new(plan.seed));
        Self { inner, plan, draws, is_active: AtomicBool::new(true) }
    }

    /// Whether faults happen, as they do from the start. While they do not, they are drawn all the same.
    pub fn set_active(&self, is_active: bool) {
        self.is_active.store(is_active, Ordering::SeqCst);
    }

    /// Draws always the same number of times, so that one rate does not shift the others' faults.
    fn draw(&self, refused_per_mille: u32, unknown_per_mille: u32) -> Fate {
        let mut draws = self.draws.lock().unwrap_or_else(PoisonError::into_inner);
        let delayed = draws.chance(self.plan.delayed_per_mille);
        let share = draws.below(0..1001);
        let refused = draws.chance(refused_per_mille);
        let unknown = draws.chance(unknown_per_mille);
        let longest = u64::try_from(self.plan.delay_max.as_micros()).unwrap_or(u64::MAX);
        let delay = delayed.then(|| Duration::from_micros(longest.saturating_mul(share) / 1000));
        if !self.is_active.load(Ordering::SeqCst) {
            return Fate { delay: None, refused: false, unknown: false };
        }
        Fate { delay, refused, unknown }
    }

    async fn hold_up(fate: &Fate) {
        if let Some(delay) = fate.delay {
            tokio::time::sleep(delay).await;
        }
    }

    /// Runs an append between its injected faults.
    async fn around_append<T>(
        &self,
        partition: PartitionId,
        append: impl Future<Output = Result<T, LogError>> + Send,
    ) -> Result<T, LogError> {
        let fate =
            self.draw(self.plan.append_refused_per_mille, self.plan.append_unknown_per_mille);
        Self::hold_up(&fate).await;
        if fate.refused {
            return Err(injected(format!("append to partition {partition}")));
        }
        let outcome = append.await?;
        if fate.unknown {
            let source = Some(Arc::new(io::Error::other("injected: the answer was lost")));
            return Err(LogError::UnknownOutcome { partition, source });
        }
        Ok(outcome)
    }
}

fn injected(action: String) -> LogError {
    LogError::io(action, io::Error::other("injected"))
}

#[async_trait]
impl MutationLog for Faulty {
    fn identity(&self) -> &LogIdentity {
        self.inner.identity()
    }

    async fn append(&self, partition: PartitionId, payload: Bytes) -> Result<Offset, LogError> {
        self.around_append(partition, self.inner.append(partition, payload)).await
    }

    async fn append_batch(
        &self,
        partition: PartitionId,
        payloads: Vec<Bytes>,
    ) -> Result<Vec<Offset>, LogError> {
        self.around_append(partition, self.inner.append_batch(partition, payloads)).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let fate = self.draw(self.plan.read_refused_per_mille, 0);
        Self::hold_up(&fate).await;
        if fate.refused {
            return Err(injected(format!("read partition {partition} from offset {from}")));
        }
        self.inner.read(partition, from, bytes_max).await
    }

    async fn watermarks(&self, partition: PartitionId) -> Result<Watermarks, LogError> {
        self.inner.watermarks(partition).await
    }

    async fn wait_beyond(&self, partition: PartitionId, next: Offset) -> Result<Offset, LogError> {
        self.inner.wait_beyond(partition, next).await
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<Offset, LogError> {
        self.inner.trim(partition, below).await
    }

    async fn close(&self) -> Result<(), LogError> {
        self.inner.close().await
    }
}
