//! How far a replica's recovery is, and how fast it went: what estimates for people are made from.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nautilus_proto::admin::v1::RecoveryStatus;
use nautilus_types::Offset;

/// Of one replica: the recovery under way, or the last one.
#[derive(Default)]
pub(crate) struct Progress {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    snapshot_bytes: u64,
    downloaded_bytes: u64,
    download: Stretch,
    replay_from: Offset,
    replay_until: Offset,
    replay: Stretch,
}

/// A time that runs, or has run.
#[derive(Default, Clone, Copy)]
struct Stretch {
    began: Option<Instant>,
    ended: Option<Instant>,
}

impl Stretch {
    fn begun(now: Instant) -> Self {
        Self { began: Some(now), ended: None }
    }

    fn took(self, now: Instant) -> Duration {
        let began = self.began.map(|began| self.ended.unwrap_or(now).duration_since(began));
        began.unwrap_or_default()
    }
}

impl Progress {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot is looked for.
    pub(crate) fn begin_download(&self, now: Instant) {
        *self.inner() = Inner { download: Stretch::begun(now), ..Inner::default() };
    }

    /// So much of a snapshot of this size is here.
    pub(crate) fn downloading(&self, snapshot_bytes: u64, downloaded_bytes: u64) {
        let mut inner = self.inner();
        (inner.snapshot_bytes, inner.downloaded_bytes) = (snapshot_bytes, downloaded_bytes);
    }

    /// There are files, or there is no snapshot.
    pub(crate) fn end_download(&self, now: Instant) {
        self.inner().download.ended = Some(now);
    }

    /// The files are open, and the log is applied.
    pub(crate) fn begin_replay(&self, now: Instant, from: Offset, until: Offset) {
        let mut inner = self.inner();
        if inner.replay.began.is_some() {
            // Another life: what was downloaded for the one before says nothing of this one.
            *inner = Inner::default();
        }
        inner.replay = Stretch::begun(now);
        (inner.replay_from, inner.replay_until) = (from, until);
    }

    /// It has caught up.
    pub(crate) fn end_replay(&self, now: Instant) {
        self.inner().replay.ended = Some(now);
    }

    /// As it is told; `None` = nothing has begun.
    pub(crate) fn status(&self, now: Instant) -> Option<RecoveryStatus> {
        let inner = self.inner();
        if inner.download.began.is_none() && inner.replay.began.is_none() {
            return None;
        }
        let ms =
            |stretch: Stretch| u64::try_from(stretch.took(now).as_millis()).unwrap_or(u64::MAX);
        Some(RecoveryStatus {
            snapshot_bytes: inner.snapshot_bytes,
            downloaded_bytes: inner.downloaded_bytes,
            download_ms: ms(inner.download),
            replay_from_offset: inner.replay_from.0,
            replay_until_offset: inner.replay_until.0,
            replay_ms: ms(inner.replay),
            is_done: inner.replay.ended.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use nautilus_service::Clock;

    use super::*;

    #[test]
    fn times_run_until_they_end_and_a_new_life_begins_anew() {
        let began = Clock::system().now();
        let after = |ms: u64| began + Duration::from_millis(ms);
        let progress = Progress::default();
        assert_eq!(progress.status(began), None);
        progress.begin_download(began);
        progress.downloading(100, 40);
        let status = progress.status(after(7)).expect("begun");
        assert_eq!((status.downloaded_bytes, status.download_ms), (40, 7));
        progress.downloading(100, 100);
        progress.end_download(after(10));
        progress.begin_replay(after(12), Offset(5), Offset(9));
        progress.end_replay(after(20));
        let status = progress.status(after(99)).expect("begun");
        assert_eq!((status.download_ms, status.replay_ms, status.is_done), (10, 8, true));
        assert_eq!((status.replay_from_offset, status.replay_until_offset), (5, 9));
        // Opened again without a download.
        progress.begin_replay(after(100), Offset(9), Offset(9));
        let status = progress.status(after(101)).expect("begun");
        assert_eq!((status.snapshot_bytes, status.download_ms, status.is_done), (0, 0, false));
    }
}
