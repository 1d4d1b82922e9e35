//! What the registry says of shadow searches, followed. Where it cannot be read nothing is shadowed: whether the wish
//! still holds is not known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nautilus_registry::layout::ShadowSearches;
use nautilus_registry::{Change, Entry, Registry, RegistryError, Revision};
use nautilus_service::CancellationToken;
use nautilus_service::status::error_chain;
use tokio::time::{MissedTickBehavior, interval};

/// Before a registry that is away is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What is asked for at the moment.
#[derive(Debug, Default)]
pub(crate) struct ShadowSetting {
    setting: Mutex<Option<Arc<ShadowSearches>>>,
}

impl ShadowSetting {
    pub(crate) fn get(&self) -> Option<Arc<ShadowSearches>> {
        self.setting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, new: Option<ShadowSearches>) {
        let mut setting = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        if setting.as_deref() == new.as_ref() {
            return;
        }
        match &new {
            Some(new) => tracing::info!(
                build = new.label(),
                share_per_million = new.share_per_million,
                by = new.note.owner,
                "searches are shadowed"
            ),
            None => tracing::info!("searches are not shadowed any more"),
        }
        *setting = new.map(Arc::new);
    }
}

/// Keeps the setting as the registry says.
pub(crate) struct SettingWatch {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) setting: Arc<ShadowSetting>,
    pub(crate) relist_interval: Duration,
    pub(crate) timeout: Duration,
}

impl SettingWatch {
    /// Runs until told to stop. A registry that is away is waited for.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        loop {
            match self.listed().await {
                Ok(from) => self.watched(from).await,
                // The routing table's watch says in the log that the registry is away.
                Err(_) => self.setting.set(None),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    async fn listed(&self) -> Result<Revision, RegistryError> {
        let listing = self.registry.list(ShadowSearches::PREFIX);
        let listing = tokio::time::timeout(self.timeout, listing).await;
        let listing = listing.map_err(|late| RegistryError::Unavailable(Box::new(late)))??;
        let found = listing.entries.iter().find(|entry| entry.key == ShadowSearches::KEY);
        self.setting.set(found.and_then(read));
        Ok(listing.revision.next())
    }

    async fn watched(&self, from: Revision) {
        let watch = self.registry.watch(ShadowSearches::PREFIX, from);
        let Ok(Ok(mut watch)) = tokio::time::timeout(self.timeout, watch).await else { return };
        let mut relist = interval(self.relist_interval);
        relist.set_missed_tick_behavior(MissedTickBehavior::Delay);
        relist.reset();
        loop {
            tokio::select! {
                biased;
                changes = watch.next() => match changes {
                    Ok((_, changes)) => changes.iter().for_each(|change| self.changed(change)),
                    Err(_) => return,
                },
                _ = relist.tick() => if self.listed().await.is_err() {
                    return self.setting.set(None);
                },
            }
        }
    }

    fn changed(&self, change: &Change) {
        match change {
            Change::Put(entry) if entry.key == ShadowSearches::KEY => self.setting.set(read(entry)),
            Change::Delete { key, .. } if key == ShadowSearches::KEY => self.setting.set(None),
            // Of a newer version.
            Change::Put(_) | Change::Delete { .. } => {}
        }
    }
}

/// One that does not read asks for nothing.
fn read(entry: &Entry) -> Option<ShadowSearches> {
    match ShadowSearches::decode(&entry.value) {
        Ok(setting) => Some(setting),
        Err(error) => {
            tracing::warn!(
                error = error_chain(&error),
                "what is said of shadow searches is not readable"
            );
            None
        }
    }
}
