//! Which build the leaf's group is to serve, followed in the registry: partitions of another one are exchanged.
//!
//! ```text
//! groups/<group>/build ─► read again on each change, and now and then ─► wanted ─► partitions of another build: begin anew
//! ```
//!
//! Whoever opens a partition's files waits until this is known once, and looks again when they are open: a change that
//! comes in between is met by one of the two.

use std::sync::Arc;
use std::time::Duration;

use nautilus_analysis::{ANALYZER_VERSION_MAX, Analyzer};
use nautilus_registry::layout::{BuildRef, Key, Record};
use nautilus_registry::{RegistryError, Revision};
use nautilus_service::CancellationToken;
use nautilus_service::status::error_chain;
use tokio::sync::watch;

use crate::shared::Shared;
use crate::state::{Event, State};

/// Between tries while the registry does not answer.
const RETRY: Duration = Duration::from_millis(200);

/// What the group is to serve, as far as is known; cheap to clone.
#[derive(Clone)]
pub(crate) struct WantedBuild {
    known: watch::Sender<Option<BuildRef>>,
}

/// The group is to serve what this program cannot make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the group is to serve build \"{build}\" of analyzer version {version}, this program knows versions up to \
     {ANALYZER_VERSION_MAX}: give the leaf a newer one, or the group another build"
)]
pub(crate) struct UnknownAnalyzer {
    build: String,
    version: u32,
}

impl WantedBuild {
    pub(crate) fn unknown() -> Self {
        Self { known: watch::Sender::new(None) }
    }

    /// Once it is known; `None` to stop.
    pub(crate) async fn get(&self, stop: &CancellationToken) -> Option<BuildRef> {
        let mut known = self.known.subscribe();
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            // The sender lives as long as this.
            known = known.wait_for(Option::is_some) => known.ok()?.clone(),
        }
    }

    /// Whether something else is known to be wanted.
    pub(crate) fn is_other_than(&self, build: &str, analyzer: &Analyzer) -> bool {
        let known = self.known.borrow();
        known.as_ref().is_some_and(|wanted| {
            wanted.label() != build || wanted.analyzer_version != analyzer.version()
        })
    }

    /// Returns what it was before, if that is another.
    fn set(&self, build: BuildRef) -> Option<BuildRef> {
        let mut before = None;
        self.known.send_if_modified(|known| {
            before = known.replace(build.clone());
            before.as_ref() != Some(&build)
        });
        before.filter(|before| *before != build)
    }
}

/// The analyzer of a build.
pub(crate) fn analyzer_of(build: &BuildRef) -> Result<Analyzer, UnknownAnalyzer> {
    let version = build.analyzer_version;
    Analyzer::of(version)
        .ok_or_else(|| UnknownAnalyzer { build: build.label().to_owned(), version })
}

/// The task that follows it.
pub(crate) struct BuildWatch {
    pub(crate) shared: Arc<Shared>,
}

impl BuildWatch {
    /// Runs until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            let followed = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                followed = self.follow() => followed,
            };
            if let Err(error) = followed {
                let error = error_chain(&error);
                tracing::debug!(error, "the group's build cannot be read, trying again");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    }

    /// Reads it, and again when it changes or some time has passed.
    async fn follow(&self) -> Result<(), RegistryError> {
        let config = &self.shared.config;
        let key = Key::Build { group: config.replica_group.clone() }.to_string();
        let registry = &self.shared.registry;
        let listing = self.in_time(registry.list(&key)).await?;
        let from = Revision(listing.revision.0 + 1);
        let mut watch = self.in_time(registry.watch(&key, from)).await?;
        let said = listing.entries.iter().find(|entry| entry.key == key);
        match said.map(Record::read).transpose() {
            Ok(Some(Some(Record::Build(_, said)))) => self.take(said.build),
            Ok(None) => self.take(BuildRef::of_log()),
            Ok(Some(_)) => {}
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(key, error, "the group's build does not read, it stays as it was");
            }
        }
        match tokio::time::timeout(config.relist_interval, watch.next()).await {
            Ok(changed) => changed.map(drop),
            Err(_) => Ok(()),
        }
    }

    fn take(&self, build: BuildRef) {
        let wanted = &self.shared.wanted_build;
        // Whoever waited for the first goes on by it.
        let Some(before) = wanted.set(build.clone()) else { return };
        let (name, analyzer) = (build.label(), build.analyzer_version);
        tracing::info!(
            build = name,
            analyzer,
            before = before.label(),
            "the group's build changed"
        );
        for served in self.shared.partitions.all() {
            let is_other = match served.state() {
                State::Downloading | State::Failed { .. } => true,
                // What is being opened is looked at when it is open.
                State::Idle
                | State::Opening { .. }
                | State::Replaying { .. }
                | State::Serving
                | State::Draining { .. }
                | State::Closing { .. }
                | State::Gone => served.database().is_some_and(|database| {
                    wanted.is_other_than(&served.build(), &database.analyzer())
                }),
            };
            if is_other {
                served.step(self.shared.clock.now(), Event::OtherBuild);
            }
        }
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        match tokio::time::timeout(self.shared.config.relist_interval, call).await {
            Ok(answer) => answer,
            Err(silent) => Err(RegistryError::Unavailable(silent.into())),
        }
    }
}
