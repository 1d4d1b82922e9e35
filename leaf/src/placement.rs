//! Follows the assignments of the replica group: which partitions this leaf is to have, and a driver for each.
//!
//! A watch is a hint: all assignments are read again now and then, after every error, and when an announcement met
//! an assignment it did not expect. A registry that cannot be reached changes nothing: what is served stays served.

use std::sync::Arc;
use std::time::Duration;

use nautilus_registry::layout::{Assignment, Key, Record, prefix};
use nautilus_registry::{Change, Entry, Listing, RegistryError, Revision, Watch};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, TaskGroup};
use nautilus_types::{Class, PartitionId};
use tokio::sync::Notify;

use crate::assignment::Claim;
use crate::driver::Driver;
use crate::folders::{Folders, remove_leftovers};
use crate::partition::Served;
use crate::shared::Shared;
use crate::state::{Event, State};

/// Between tries while the registry does not answer.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// For drivers to put on disk what was applied, once the leaf stops.
const STOP_MAX: Duration = Duration::from_secs(60);

/// The driver of drivers.
pub(crate) struct Placement {
    shared: Arc<Shared>,
    relist: Arc<Notify>,
    relist_interval: Duration,
    /// The newest state seen; an older one is of a member of the registry that lags.
    seen: Revision,
}

impl Placement {
    pub(crate) fn new(shared: Arc<Shared>, relist: Arc<Notify>, relist_interval: Duration) -> Self {
        Self { shared, relist, relist_interval, seen: Revision::default() }
    }

    /// Runs until told to stop, and then until every partition has come to rest.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let data_dir = self.shared.config.data_dir.clone();
        match self.shared.disk_pool.run(move || remove_leftovers(&data_dir)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = error_chain(&error);
                tracing::warn!(error, "what cut-short work left is not removed");
            }
            Err(error) => tracing::warn!(error = error_chain(&error), "leftovers stay"),
        }
        let mut drivers = TaskGroup::new(&stop);
        let mut pause = RETRY_FIRST;
        while !stop.is_cancelled() {
            let followed = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                followed = self.follow(&mut drivers, &mut pause) => followed,
            };
            let Err(error) = followed;
            match error.class() {
                // Too many changes were missed: reading all again is all there is to do.
                Class::Precondition => {
                    tracing::debug!(error = error_chain(&error), "the watch of assignments ended");
                }
                Class::Unavailable
                | Class::Invalid
                | Class::Unauthenticated
                | Class::Denied
                | Class::NotFound
                | Class::Conflict
                | Class::Fenced
                | Class::Overloaded
                | Class::Deadline
                | Class::Cancelled
                | Class::Corrupt
                | Class::Bug => {
                    let error = error_chain(&error);
                    if pause == RETRY_FIRST {
                        tracing::warn!(
                            error,
                            "assignments cannot be read, going on with the last ones"
                        );
                    }
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
        drivers.drain(STOP_MAX).await.log_laggards();
    }

    /// Reads all assignments, then follows the changes, until an error.
    async fn follow(
        &mut self,
        drivers: &mut TaskGroup,
        pause: &mut Duration,
    ) -> Result<std::convert::Infallible, RegistryError> {
        let prefix = prefix::assignments(&self.shared.config.replica_group);
        loop {
            // Where nothing below has to wait, as when all is told to stop, this would not be seen to be told.
            tokio::task::yield_now().await;
            let listing = self.in_time(self.shared.registry.list(&prefix)).await?;
            let from = Revision(listing.revision.0 + 1);
            let mut watch = self.in_time(self.shared.registry.watch(&prefix, from)).await?;
            self.take_listing(listing, drivers);
            *pause = RETRY_FIRST;
            self.follow_changes(watch.as_mut(), drivers).await?;
        }
    }

    /// Until all are to be read again.
    async fn follow_changes(
        &mut self,
        watch: &mut dyn Watch,
        drivers: &mut TaskGroup,
    ) -> Result<(), RegistryError> {
        let until = tokio::time::sleep(self.relist_interval);
        tokio::pin!(until);
        loop {
            tokio::select! {
                biased;
                () = self.relist.notified() => return Ok(()),
                () = &mut until => return Ok(()),
                // Takes note of drivers that have ended; it never ends while they end well.
                _ = drivers.wait_or_signal() => return Ok(()),
                changes = watch.next() => {
                    let (revision, changes) = changes?;
                    self.seen = self.seen.max(revision);
                    for change in changes {
                        self.take_change(change, drivers);
                    }
                }
            }
        }
    }

    fn take_listing(&mut self, listing: Listing, drivers: &mut TaskGroup) {
        if listing.revision < self.seen {
            let (seen, got) = (self.seen.0, listing.revision.0);
            tracing::warn!(seen, got, "the registry went back, going on with what was seen");
            return;
        }
        self.seen = listing.revision;
        for entry in listing.entries {
            self.take_entry(&entry, drivers);
        }
    }

    fn take_change(&self, change: Change, drivers: &mut TaskGroup) {
        match change {
            Change::Put(entry) => self.take_entry(&entry, drivers),
            // Nobody is named instead, so taking the partition away would only lose it.
            Change::Delete { key, .. } => {
                tracing::warn!(key, "an assignment is gone, its partition stays as it is");
            }
        }
    }

    fn take_entry(&self, entry: &Entry, drivers: &mut TaskGroup) {
        match Record::read(entry) {
            Ok(Some(Record::Assignment(_, assignment))) => {
                self.take(&assignment, entry.modified, drivers);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(key = entry.key, error = error_chain(&error), "not an assignment");
            }
        }
    }

    fn take(&self, assignment: &Assignment, revision: Revision, drivers: &mut TaskGroup) {
        let partition = assignment.partition;
        let config = &self.shared.config;
        if partition.0 >= config.map.partitions {
            let key = Key::Assignment { group: config.replica_group.clone(), partition };
            tracing::warn!(%key, "the partition map has no such partition");
            return;
        }
        let claim = Claim::of(assignment, revision, &config.name);
        let now = self.shared.clock.now();
        match (self.shared.partitions.get(partition).ok(), claim.held) {
            (None, None) => {}
            (Some(served), held) => {
                if claim.is_stale(served.epoch()) {
                    return;
                }
                if served.state() == State::Gone {
                    // Its driver is about to forget it; only then can it begin again.
                    self.relist.notify_one();
                    return;
                }
                match held {
                    // The driver, if it must begin anew, looks for the folder itself.
                    Some(epoch) => {
                        served.step(now, Event::Assigned { epoch, has_folder: false });
                    }
                    None => served.step(now, Event::Unassigned),
                }
                served.set_assigned_at(claim.revision);
            }
            (None, Some(epoch)) => {
                let Some(has_folder) = self.has_folder(partition) else { return };
                let grace = config.drain_grace;
                let served = Arc::new(Served::new(partition, grace, self.shared.pulses.clone()));
                served.set_assigned_at(claim.revision);
                served.step(now, Event::Assigned { epoch, has_folder });
                self.shared.partitions.insert(Arc::clone(&served));
                let driver = Driver::new(Arc::clone(&self.shared), served);
                drivers.spawn_finite(format!("partition-p{:04}", partition.0), |stop| {
                    driver.run(stop)
                });
            }
        }
    }

    /// Whether there is a folder to go on with; `None` where the disk cannot be read, which the next reading of
    /// all assignments tries again.
    fn has_folder(&self, partition: PartitionId) -> Option<bool> {
        match Folders::new(&self.shared.config.data_dir, partition).existing() {
            Ok(folder) => Some(folder.is_some()),
            Err(error) => {
                let (partition, error) = (partition.0, error_chain(&error));
                tracing::error!(partition, error, "the leaf's folder cannot be read");
                None
            }
        }
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        match tokio::time::timeout(self.relist_interval, call).await {
            Ok(answer) => answer,
            Err(silent) => Err(RegistryError::Unavailable(silent.into())),
        }
    }
}
