//! `WatchReplicas`: every replica of every group, at once, whenever something has changed, and as a sign of
//! life where nothing has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use nautilus_proto::leaf::v1::ReplicaStatus;
use nautilus_proto::root::v1::{Replica, ReplicasUpdate};
use nautilus_types::PartitionId;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::Root;
use crate::metrics::state_name;
use crate::router::{Router, Routes};

/// Changes within this time come together.
const CONFLATE: Duration = Duration::from_millis(20);

/// Without a change the same is told again after this time: to a watcher, news that do not come are a root that
/// is gone, and not replicas that stand still.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// What a watcher has been told, and what wakes it.
struct Watcher {
    router: Arc<Router>,
    routes: watch::Receiver<Arc<Routes>>,
    statuses: watch::Receiver<u64>,
    stop: CancellationToken,
    told: Option<Told>,
}

/// The last update.
struct Told {
    update: ReplicasUpdate,
    at: Instant,
    /// When it was last seen whether there is something new.
    looked_at: Instant,
}

impl Root {
    /// All replicas now, then again after changes and at least every second. It keeps nothing for a slow reader but the newest
    /// state, and ends when the root stops.
    pub fn watch_replicas(
        &self,
    ) -> impl Stream<Item = Result<ReplicasUpdate, Status>> + Send + use<> {
        let watcher = Watcher {
            router: Arc::clone(&self.router),
            routes: self.router.subscribe(),
            statuses: self.statuses.subscribe(),
            stop: self.stop.clone(),
            told: None,
        };
        futures::stream::unfold(watcher, |mut watcher| async move {
            let update = watcher.next().await?;
            Some((Ok(update), watcher))
        })
    }
}

impl Watcher {
    async fn next(&mut self) -> Option<ReplicasUpdate> {
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            update = self.changed() => update,
        }
    }

    async fn changed(&mut self) -> Option<ReplicasUpdate> {
        loop {
            let mut is_due = true;
            if let Some(told) = &self.told {
                is_due = tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(told.at + SIGN_OF_LIFE) => true,
                    changed = self.routes.changed() => changed.map(|()| false).ok()?,
                    changed = self.statuses.changed() => changed.map(|()| false).ok()?,
                };
                tokio::time::sleep_until(told.looked_at + CONFLATE).await;
            }
            self.routes.mark_unchanged();
            self.statuses.mark_unchanged();
            let update = snapshot(&self.router.routes());
            let now = Instant::now();
            match &mut self.told {
                Some(told) if !is_due && told.update == update => told.looked_at = now,
                _ => {
                    self.told = Some(Told { update: update.clone(), at: now, looked_at: now });
                    return Some(update);
                }
            }
        }
    }
}

/// Every replica that is announced or that its leaf speaks of, by group, partition and leaf.
fn snapshot(routes: &Routes) -> ReplicasUpdate {
    let mut replicas = BTreeMap::new();
    for replica in routes.table.replicas.values().flatten() {
        let announced = ReplicaStatus {
            partition: replica.partition.0,
            epoch: replica.epoch.0,
            state: state_name(replica.state).to_owned(),
            build: replica.build.clone(),
            ..ReplicaStatus::default()
        };
        let at = &replica.at;
        replicas.insert((&at.group, replica.partition, &at.leaf), (announced, false));
    }
    for leaf in routes.leaves() {
        let is_reachable = leaf.state.is_reachable();
        for (partition, status) in leaf.state.replicas() {
            // What a leaf that is gone said last counts as long as it is announced.
            let key = (&leaf.at.group, partition, &leaf.at.leaf);
            if is_reachable || replicas.contains_key(&key) {
                replicas.insert(key, (status, is_reachable));
            }
        }
    }
    let replica = |((group, _, leaf), (status, is_reachable)): ((&_, PartitionId, &_), _)| {
        let (group, leaf): (
            &nautilus_registry::layout::GroupName,
            &nautilus_registry::layout::LeafName,
        ) = (group, leaf);
        Replica {
            replica_group: group.to_string(),
            leaf: leaf.to_string(),
            status: Some(status),
            is_reachable,
        }
    };
    ReplicasUpdate { replicas: replicas.into_iter().map(replica).collect() }
}
