//! Follows the registry: a listing, then changes, and a listing now and then against lost ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nautilus_registry::layout::prefix;
use nautilus_registry::{Registry, RegistryError, Revision, Watch};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::PartitionMap;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::Following;
use crate::metrics::RootMetrics;
use crate::router::Router;
use crate::routing::{RegistryState, RoutingTable};

/// Pause before the registry is tried again; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Keeps the routing table as the registry says.
pub(crate) struct RegistryWatch {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) router: Arc<Router>,
    pub(crate) clock: Clock,
    pub(crate) metrics: RootMetrics,
    pub(crate) map: PartitionMap,
    pub(crate) following: Following,
}

/// What was read, and when it was last confirmed.
#[derive(Default)]
struct Known {
    state: RegistryState,
    confirmed: Option<Instant>,
    /// The outage, or the odd thing seen, was said in the log.
    has_warned: bool,
}

impl RegistryWatch {
    /// Runs until told to stop. A registry that is away is waited for.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut known = Known::default();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.follow(&mut known) => {}
        }
    }

    async fn follow(&self, known: &mut Known) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let error = match self.listed(known).await {
                Ok(from) => {
                    backoff = BACKOFF_MIN;
                    let error = self.watched(known, from).await;
                    if matches!(error, RegistryError::Compacted { .. }) {
                        // It is there; only a listing tells what was missed.
                        continue;
                    }
                    error
                }
                Err(error) => error,
            };
            self.away(known, &error);
            tokio::time::sleep(backoff).await;
            self.metrics.table_age(known.age(&self.clock));
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Reads everything anew; gives the revision to watch from.
    async fn listed(&self, known: &mut Known) -> Result<Revision, RegistryError> {
        let prefix = prefix::all_groups();
        let listing = self.in_time(self.registry.list(&prefix)).await?;
        let mut state = known.state.clone();
        let unreadable = state
            .listed(&listing)
            .map_err(|backwards| RegistryError::Corrupt { problem: backwards.to_string() })?;
        warn_unreadable(&unreadable);
        let is_first = known.state.revision().is_none();
        if is_first || !state.has_same_records(&known.state) {
            self.publish(&state);
        }
        known.state = state;
        self.confirmed(known);
        Ok(Revision(listing.revision.0 + 1))
    }

    /// Takes changes until the watch ends or the registry does not answer.
    async fn watched(&self, known: &mut Known, from: Revision) -> RegistryError {
        let prefix = prefix::all_groups();
        let mut watch: Box<dyn Watch> = match self.in_time(self.registry.watch(&prefix, from)).await
        {
            Ok(watch) => watch,
            Err(error) => return error,
        };
        let mut relist = interval(self.following.relist_interval);
        let mut probe = interval(self.following.probe_interval);
        for timer in [&mut relist, &mut probe] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            timer.reset();
        }
        let probed = nautilus_registry::layout::prefix::all_groups() + "probe";
        loop {
            tokio::select! {
                biased;
                changes = watch.next() => match changes {
                    Ok((revision, changes)) => {
                        warn_unreadable(&known.state.changed(revision, &changes));
                        self.publish(&known.state);
                        self.confirmed(known);
                    }
                    Err(error) => return error,
                },
                _ = relist.tick() => if let Err(error) = self.listed(known).await {
                    return error;
                },
                _ = probe.tick() => match self.in_time(self.registry.get(&probed)).await {
                    Ok(_) => self.confirmed(known),
                    Err(error) => return error,
                },
            }
        }
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        match tokio::time::timeout(self.following.timeout, call).await {
            Ok(answered) => answered,
            Err(elapsed) => Err(RegistryError::Unavailable(Box::new(elapsed))),
        }
    }

    fn publish(&self, state: &RegistryState) {
        let table = RoutingTable::of(self.map, state);
        self.metrics.table(&table);
        self.router.replace(table);
    }

    /// The registry answered: what is known is how it is.
    fn confirmed(&self, known: &mut Known) {
        known.confirmed = Some(self.clock.now());
        self.metrics.table_age(known.age(&self.clock));
        self.metrics.registry_connected(true);
        if self.router.set_registry_live(true) && std::mem::take(&mut known.has_warned) {
            tracing::info!("the registry is back");
        }
    }

    /// Requests go on by the last table; said once for each outage.
    fn away(&self, known: &mut Known, error: &RegistryError) {
        self.router.set_registry_live(false);
        self.metrics.registry_connected(false);
        if !std::mem::replace(&mut known.has_warned, true) {
            let has_table = known.state.revision().is_some();
            tracing::warn!(error = error_chain(error), has_table, "the registry is away");
        }
    }
}

impl Known {
    fn age(&self, clock: &Clock) -> Option<Duration> {
        self.confirmed.map(|at| clock.now().saturating_duration_since(at))
    }
}

fn warn_unreadable(problems: &[RegistryError]) {
    for problem in problems {
        tracing::warn!(error = error_chain(problem), "an entry of the registry is not readable");
    }
}
