//! Shadow searches that are due or under way: few at a time, and none waits for room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use nautilus_proto::admin::v1::ShadowReport;
use nautilus_proto::root::v1::ShadowTarget;
use nautilus_service::CancellationToken;
use prometheus_client::registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::Instrument as _;

use super::metrics::ShadowMetrics;
use super::{Answered, Outcome, Tally};
use crate::caller::Caller;
use crate::consistency::MinOffsets;
use crate::merger::Core;
use crate::rank::Namespace;
use crate::search_token::Binding;
use crate::understand::Understood;
use crate::wish::Wish;

/// A search that was answered, to be run again.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) target: ShadowTarget,
    pub(crate) caller: Caller,
    pub(crate) wish: Wish,
    pub(crate) binding: Binding,
    /// At least what the answer showed.
    pub(crate) min: MinOffsets,
    /// As it was when the answer was made.
    pub(crate) scope: Vec<Namespace>,
    pub(crate) understood: Understood,
    pub(crate) shown: Answered,
}

/// A job with its place among those that may be under way.
struct Due {
    job: Job,
    place: OwnedSemaphorePermit,
}

/// What mergers keep of shadow searches.
pub(crate) struct Shadows {
    room: Arc<Semaphore>,
    due: mpsc::Sender<Due>,
    /// Taken by the task that runs them.
    to_run: Mutex<Option<mpsc::Receiver<Due>>>,
    /// Of the last candidate; none = there was none yet.
    tally: Mutex<Option<Tally>>,
    metrics: ShadowMetrics,
}

impl Shadows {
    /// Of which so many may be due or under way at a time.
    pub(crate) fn new(in_flight_max: usize) -> Self {
        // As many as there are places, so that one with a place always fits.
        let (due, to_run) = mpsc::channel(in_flight_max.max(1));
        Self {
            room: Arc::new(Semaphore::new(in_flight_max)),
            due,
            to_run: Mutex::new(Some(to_run)),
            tally: Mutex::default(),
            metrics: ShadowMetrics::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// The search's answer is ready: it is run again, unless enough are. Never waits.
    pub(crate) fn submit(&self, job: Job, now_unix_ms: u64) {
        let build = job.target.build.clone();
        let place = Arc::clone(&self.room).try_acquire_owned();
        let is_due = place.is_ok_and(|place| self.due.try_send(Due { job, place }).is_ok());
        if !is_due {
            self.note(&build, now_unix_ms, &Outcome::Dropped);
        }
    }

    /// What became of them, of the last candidate.
    pub(crate) fn report(&self) -> Option<ShadowReport> {
        self.tally().as_ref().map(|tally| tally.report().clone())
    }

    fn note(&self, build: &str, now_unix_ms: u64, outcome: &Outcome) {
        self.metrics.count(outcome);
        let mut tally = self.tally();
        match tally.as_mut().filter(|tally| tally.is_of(build)) {
            Some(tally) => tally.add(outcome),
            None => tally.insert(Tally::new(build, now_unix_ms)).add(outcome),
        }
    }

    fn tally(&self) -> MutexGuard<'_, Option<Tally>> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Runs what is due until told to stop; what is under way then is cancelled.
    pub(crate) async fn run_shadows(self: Arc<Self>, stop: CancellationToken) {
        let taken = self.shadows.to_run.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut to_run) = taken else { return stop.cancelled().await };
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(()) = running.next(), if !running.is_empty() => {}
                Some(due) = to_run.recv() => running.push(self.run_due(due)),
            }
        }
    }

    async fn run_due(&self, Due { job, place }: Due) {
        let _under_way = self.shadows.metrics.begin();
        let build = job.target.build.clone();
        // A trace of its own: the one of the search has ended.
        let span = tracing::info_span!(parent: None, "shadow_search", build);
        let outcome = self.shadow(job).instrument(span).await;
        self.shadows.note(&build, self.clock.unix_ms(), &outcome);
        drop(place);
    }
}
