//! Reads every block of the serving partitions now and then, at a bounded rate: damage is found before a search or a
//! recovery of the other replica meets it, and the partition is recovered.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nautilus_engine::{Digests, EngineError, scrub};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, PoolError};
use nautilus_types::{Class, PartitionId};

use crate::folders::{Folders, remove_if_there};
use crate::partition::{Database, Served};
use crate::shared::Shared;
use crate::state::{Event, State};

/// Between two looks at what is due.
const LOOK: Duration = Duration::from_millis(500);
/// A leaf that has just started scrubs after this part of the interval: it may be restarted more often than that.
const FIRST_PART: u32 = 10;
/// At once, so that a leaf that stops need not wait for longer.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The schedule's driver.
pub(crate) struct Scrubber {
    pub(crate) shared: Arc<Shared>,
}

/// Why a partition was not read through.
#[derive(Debug, thiserror::Error)]
enum ScrubError {
    #[error("read the partition through")]
    Engine(#[from] EngineError),
    #[error("read the partition through")]
    Pool(#[from] PoolError),
    #[error("use the leaf's folder")]
    Folder(#[source] std::io::Error),
}

impl Scrubber {
    /// Runs until told to stop; for ever idle where the interval is 0.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let interval = self.shared.config.scrub_interval;
        let mut due = BTreeMap::new();
        while !stop.is_cancelled() {
            if !interval.is_zero() {
                self.look(interval, &mut due, &stop).await;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn look(
        &self,
        interval: Duration,
        due: &mut BTreeMap<PartitionId, Instant>,
        stop: &CancellationToken,
    ) {
        let partitions = self.shared.partitions.all();
        due.retain(|id, _| partitions.iter().any(|served| served.id == *id));
        for served in partitions {
            let now = self.shared.clock.now();
            let due = due.entry(served.id).or_insert(now + interval / FIRST_PART);
            if served.state() != State::Serving || now < *due {
                continue;
            }
            // Closed since: it is due again once it serves.
            let Some(database) = served.database() else { continue };
            let scrubbed = self.scrub(&served, database, stop).await;
            let (began, now) = (now, self.shared.clock.now());
            if stop.is_cancelled() {
                return;
            }
            match scrubbed {
                Ok(Some(digests)) => {
                    *due = now + interval;
                    self.succeeded(&served, &digests, now.saturating_duration_since(began));
                }
                Ok(None) => {}
                Err(error) => {
                    *due = now + interval / FIRST_PART;
                    self.failed(&served, &error);
                }
            }
        }
    }

    /// Reads a checkpoint through; the partition itself may be closed meanwhile.
    async fn scrub(
        &self,
        served: &Arc<Served>,
        database: Database,
        stop: &CancellationToken,
    ) -> Result<Option<Digests>, ScrubError> {
        let dir = Folders::new(&self.shared.config.data_dir, served.id).scrub(served.epoch());
        let (served, stop) = (Arc::clone(served), stop.clone());
        let bytes_per_second = self.shared.config.scrub_bytes_per_second;
        let job = move || {
            let goes_on = || !stop.is_cancelled() && served.state() == State::Serving;
            let scrubbed = read_through(database, &dir, &mut |bytes| {
                std::thread::sleep(share(bytes, bytes_per_second));
                goes_on()
            });
            remove_if_there(&dir).map_err(ScrubError::Folder)?;
            scrubbed
        };
        self.shared.scrub_pool.run(job).await?
    }

    fn succeeded(&self, served: &Served, digests: &Digests, took: Duration) {
        self.shared.metrics.scrubbed(served.id, self.shared.clock.unix_ms());
        let (partition, epoch, offset) = (served.id.0, served.epoch().0, digests.next_offset.0);
        let (documents, postings) = (digests.documents.to_string(), digests.postings.to_string());
        let seconds = took.as_secs_f64();
        tracing::info!(
            partition,
            epoch,
            offset,
            documents,
            postings,
            seconds,
            "partition scrubbed"
        );
    }

    fn failed(&self, served: &Served, error: &ScrubError) {
        let reason = error_chain(error);
        let is_damage =
            matches!(error, ScrubError::Engine(error) if error.class() == Class::Corrupt);
        if is_damage {
            self.shared.metrics.scrub_found_damage();
            served.step(self.shared.clock.now(), Event::Damaged { reason });
        } else {
            tracing::warn!(
                partition = served.id.0,
                error = reason,
                "not scrubbed, trying again later"
            );
        }
    }
}

fn read_through(
    database: Database,
    dir: &Path,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Digests>, ScrubError> {
    remove_if_there(dir).map_err(ScrubError::Folder)?;
    database.checkpoint(dir)?;
    // Whoever closes the partition need not wait for the reading.
    drop(database);
    Ok(scrub(dir, pace)?)
}

/// How long `bytes` may take at this rate.
pub(crate) fn share(bytes: u64, bytes_per_second: u64) -> Duration {
    let micros = bytes.saturating_mul(1_000_000) / bytes_per_second.max(1);
    Duration::from_micros(micros).min(SLEEP_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_what_the_rate_allows() {
        assert_eq!(share(1 << 20, 1 << 20), Duration::from_secs(1));
        assert_eq!(share(1 << 18, 1 << 20), Duration::from_millis(250));
        assert_eq!(share(u64::MAX, 1), SLEEP_MAX);
    }
}
