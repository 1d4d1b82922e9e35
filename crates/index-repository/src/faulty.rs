//! Injects seeded faults in front of and behind a repository.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{IndexRepository, ObjectMeta, ObjectName, ObjectSource, Page, RepositoryError};

/// How often which fault happens. The default is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultPlan {
    /// The same seed and the same order of calls give the same faults.
    pub seed: u64,
    /// Puts and deletes of 1,000 refused with [`RepositoryError::Unavailable`] before they reach the
    /// repository.
    pub write_refused_per_mille: u32,
    /// Puts and deletes of 1,000 that succeed but answer [`RepositoryError::Unavailable`].
    pub write_unknown_per_mille: u32,
    /// The one put or delete, counted from 0, that fails, and when.
    pub write_fails_at: Option<(u64, Moment)>,
    /// Reads, heads and listings of 1,000 refused with [`RepositoryError::Unavailable`].
    pub read_refused_per_mille: u32,
    /// Whether what is refused is refused with [`RepositoryError::Denied`] instead.
    pub are_refusals_denials: bool,
    /// Reads of 1,000 that lack their last bytes, all of them at worst.
    pub read_truncated_per_mille: u32,
    /// Reads of 1,000 with one bit flipped.
    pub read_flipped_per_mille: u32,
}

/// When a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It does not reach the repository.
    BeforeEffect,
    /// It is done, but the answer is lost.
    AfterEffect,
}

/// A repository that fails as its [`FaultPlan`] says and otherwise does what the repository behind it
/// does.
pub struct Faulty {
    inner: Arc<dyn IndexRepository>,
    plan: FaultPlan,
    writes: AtomicU64,
    reads: AtomicU64,
    /// State of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    draws: Mutex<u64>,
    is_active: AtomicBool,
}

impl Faulty {
    /// Puts the faults of `plan` around `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn IndexRepository>, plan: FaultPlan) -> Self {
        let draws = Mutex::new(plan.seed);
        let (writes, reads) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner, plan, writes, reads, draws, is_active: AtomicBool::new(true) }
    }

    /// Whether faults happen by chance, as they do from the start. While they do not, they are drawn all
    /// the same.
    pub fn set_active(&self, is_active: bool) {
        self.is_active.store(is_active, Ordering::SeqCst);
    }

    /// How many puts and deletes were begun.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// How many reads, heads and listings were begun.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn next_u64(&self) -> u64 {
        let mut state = self.draws.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn chance(&self, per_mille: u32) -> bool {
        let is_drawn = self.next_u64() % 1000 < u64::from(per_mille);
        is_drawn && self.is_active.load(Ordering::SeqCst)
    }

    /// A position below `length`, which is above 0; the bias of the remainder does not matter here.
    fn below(&self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next_u64() % length).unwrap_or(0)
    }

    /// Draws always the same number of times, so that one rate does not shift the others' faults.
    fn write_fault(&self) -> Option<Moment> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let is_refused = self.chance(self.plan.write_refused_per_mille);
        let is_unknown = self.chance(self.plan.write_unknown_per_mille);
        match self.plan.write_fails_at {
            Some((at, moment)) if at == number => Some(moment),
            _ if is_refused => Some(Moment::BeforeEffect),
            _ => is_unknown.then_some(Moment::AfterEffect),
        }
    }

    /// Runs a write between its injected faults.
    async fn around_write(
        &self,
        write: impl Future<Output = Result<(), RepositoryError>> + Send,
    ) -> Result<(), RepositoryError> {
        let fault = self.write_fault();
        if fault == Some(Moment::BeforeEffect) {
            return Err(self.refusal("injected: refused"));
        }
        write.await?;
        if fault == Some(Moment::AfterEffect) {
            return Err(RepositoryError::unavailable("injected: the answer was lost"));
        }
        Ok(())
    }

    fn refusal(&self, reason: &'static str) -> RepositoryError {
        if self.plan.are_refusals_denials {
            RepositoryError::Denied(reason.into())
        } else {
            RepositoryError::unavailable(reason)
        }
    }

    fn before_read(&self) -> Result<(), RepositoryError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.chance(self.plan.read_refused_per_mille) {
            return Err(self.refusal("injected: not reachable"));
        }
        Ok(())
    }

    fn damaged(&self, bytes: Bytes) -> Bytes {
        let is_truncated = self.chance(self.plan.read_truncated_per_mille);
        let is_flipped = self.chance(self.plan.read_flipped_per_mille);
        let (length, position, bit) = (self.below(bytes.len()), self.next_u64(), self.below(8));
        let kept = if is_truncated { length.min(bytes.len()) } else { bytes.len() };
        let mut bytes = bytes.slice(..kept).to_vec();
        if is_flipped && !bytes.is_empty() {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let position = usize::try_from(position % length).unwrap_or(0);
            bytes[position] ^= 1 << bit;
        }
        bytes.into()
    }
}

#[async_trait]
impl IndexRepository for Faulty {
    async fn put_new(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        self.around_write(self.inner.put_new(name, source)).await
    }

    async fn get_range(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Bytes, RepositoryError> {
        self.before_read()?;
        let bytes = self.inner.get_range(name, from, length_max).await?;
        Ok(self.damaged(bytes))
    }

    async fn head(&self, name: &ObjectName) -> Result<ObjectMeta, RepositoryError> {
        self.before_read()?;
        self.inner.head(name).await
    }

    async fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Page, RepositoryError> {
        self.before_read()?;
        self.inner.list(folder, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), RepositoryError> {
        self.around_write(self.inner.delete(name)).await
    }

    async fn abort_stale_uploads(
        &self,
        folder: Option<&ObjectName>,
        older_than_unix_ms: u64,
    ) -> Result<u64, RepositoryError> {
        self.inner.abort_stale_uploads(folder, older_than_unix_ms).await
    }
}
