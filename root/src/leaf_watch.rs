//! Status streams: one task for each known leaf keeps its last word.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nautilus_proto::leaf::v1::WatchStatusRequest;
use nautilus_service::{CancellationToken, Clock, TaskGroup, class_of};
use nautilus_types::Class;
use tokio::sync::watch;
use tonic::Status;

use crate::router::{LeafHandle, Router};
use crate::routing::LeafAddress;

/// Pause before the first try to connect again; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause: a leaf that is back is asked again within it.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A stream that lived this long starts over with the shortest pause.
const BACKOFF_RESET: Duration = Duration::from_secs(1);
/// How long the tasks of leaves get to end.
const DRAIN: Duration = Duration::from_secs(1);

/// Follows the leaves of the routing table.
#[derive(Debug)]
pub(crate) struct LeafWatch {
    pub(crate) router: Arc<Router>,
    pub(crate) clock: Clock,
    /// Counts what was heard, for those who wait for news.
    pub(crate) statuses: watch::Sender<u64>,
}

impl LeafWatch {
    /// Runs until told to stop: a task for each leaf, as long as the leaf is in the table.
    pub(crate) async fn run(
        self,
        stop: CancellationToken,
    ) -> Result<(), nautilus_service::task_group::BoxError> {
        let mut tasks = TaskGroup::new(&stop);
        let mut known: BTreeMap<Arc<LeafAddress>, CancellationToken> = BTreeMap::new();
        let mut routes = self.router.subscribe();
        let this = Arc::new(self);
        let outcome = loop {
            let current = Arc::clone(&routes.borrow_and_update());
            known.retain(|at, gone| {
                let is_there = current.leaf(at).is_some();
                if !is_there {
                    gone.cancel();
                }
                is_there
            });
            for leaf in current.leaves() {
                if known.contains_key(&leaf.at) {
                    continue;
                }
                let gone = stop.child_token();
                known.insert(Arc::clone(&leaf.at), gone.clone());
                let (this, leaf) = (Arc::clone(&this), Arc::clone(leaf));
                let name = format!("watch-leaf-{}-{}", leaf.at.group, leaf.at.leaf);
                tasks.spawn_finite(name, |_| async move { this.follow(&leaf, gone).await });
            }
            tokio::select! {
                biased;
                outcome = tasks.wait_or_signal() => break outcome,
                changed = routes.changed() => if changed.is_err() {
                    break nautilus_service::task_group::Outcome::Stopped;
                },
            }
        };
        tasks.drain(DRAIN).await.log_laggards();
        Ok(outcome.into_result()?)
    }

    /// Hears one leaf until it is gone from the table.
    async fn follow(&self, leaf: &LeafHandle, gone: CancellationToken) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let began = self.clock.now();
            let ended = tokio::select! {
                biased;
                () = gone.cancelled() => return,
                ended = self.hear(leaf) => ended,
            };
            if self.clock.now().saturating_duration_since(began) >= BACKOFF_RESET {
                backoff = BACKOFF_MIN;
            }
            if let Err(status) = ended {
                self.note_end(leaf, &status);
            }
            tokio::select! {
                biased;
                () = gone.cancelled() => return,
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// One stream, to its end.
    async fn hear(&self, leaf: &LeafHandle) -> Result<(), Status> {
        let mut client = leaf.client.clone();
        let mut stream = client.watch_status(WatchStatusRequest {}).await?.into_inner();
        while let Some(status) = stream.message().await? {
            let was_reachable = leaf.state.is_reachable();
            leaf.state.reported(status, self.clock.now());
            if !was_reachable {
                tracing::info!(group = %leaf.at.group, leaf = %leaf.at.leaf, "the leaf is heard of");
            }
            self.statuses.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(())
    }

    /// Only a lost connection says that the leaf is not there: one that refuses the stream may answer
    /// searches all the same.
    fn note_end(&self, leaf: &LeafHandle, status: &Status) {
        if class_of(status) == Class::Unavailable && leaf.state.lost() {
            let (group, name) = (&leaf.at.group, &leaf.at.leaf);
            tracing::warn!(%group, leaf = %name, reason = status.message(), "the leaf cannot be reached");
            self.statuses.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}
