//! Looks at the log's end and at every partition now and then, for lag and gauges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nautilus_service::CancellationToken;
use nautilus_types::PartitionId;

use crate::lease::Lease;
use crate::metrics::Sample;
use crate::shared::Shared;
use crate::work::Workload;

/// Fresh enough for back-pressure, seldom enough to cost nothing.
const INTERVAL: Duration = Duration::from_millis(100);
/// A log that does not say where it ends leaves the lag as it was.
const PATIENCE: Duration = Duration::from_millis(50);

/// Keeps lag and gauges current.
pub(crate) struct Sampler {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lease: Lease,
    pub(crate) workload: Workload,
}

impl Sampler {
    /// Runs until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut shown = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.sample(&mut shown) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn sample(&self, shown: &mut BTreeMap<PartitionId, &'static str>) {
        let shared = &self.shared;
        let work = self.workload.now();
        let is_uncertain = self.lease.is_uncertain(shared.clock.now());
        shared.metrics.set_leaf(work.queued + work.running, is_uncertain);
        let partitions = shared.partitions.all();
        let is_gone = |id: &PartitionId| partitions.iter().all(|served| served.id != *id);
        shown.retain(|id, state| {
            let stays = !is_gone(id);
            if !stays {
                shared.metrics.forget(*id, state);
            }
            stays
        });
        for served in &partitions {
            let marks = tokio::time::timeout(PATIENCE, shared.log.watermarks(served.id)).await;
            let now_unix_ms = shared.clock.unix_ms();
            if let Ok(Ok(marks)) = marks {
                served.note_log_high(marks.high, now_unix_ms);
            }
            let age = |created_unix_ms| now_unix_ms.saturating_sub(created_unix_ms);
            let sample = Sample {
                state: served.state().name(),
                applied_offset: served.applied().0,
                lag_records: served.lag_records(),
                lag_ms: served.lag_ms(now_unix_ms),
                snapshot_age_ms: served.snapshot().map(|known| age(known.created_unix_ms)),
            };
            let before = shown.insert(served.id, sample.state);
            shared.metrics.show(served.id, &sample, before);
        }
    }
}
