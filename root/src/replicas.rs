//! `WatchReplicas`: every replica of every group, at once and whenever something has changed.

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

/// What a watcher has been told, and what wakes it.
struct Watcher {
    router: Arc<Router>,
    routes: watch::Receiver<Arc<Routes>>,
    statuses: watch::Receiver<u64>,
    stop: CancellationToken,
    last: Option<(ReplicasUpdate, Instant)>,
}

impl Root {
    /// All replicas now, then again after changes. It keeps nothing for a slow reader but the newest
    /// state, and ends when the root stops.
    pub fn watch_replicas(
        &self,
    ) -> impl Stream<Item = Result<ReplicasUpdate, Status>> + Send + use<> {
        let watcher = Watcher {
            router: Arc::clone(&self.router),
            routes: self.router.subscribe(),
            statuses: self.statuses.subscribe(),
            stop: self.stop.clone(),
            last: None,
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
            if let Some((_, at)) = &self.last {
                let next = *at + CONFLATE;
                tokio::select! {
                    changed = self.routes.changed() => changed.ok()?,
                    changed = self.statuses.changed() => changed.ok()?,
                }
                tokio::time::sleep_until(next).await;
            }
            self.routes.mark_unchanged();
            self.statuses.mark_unchanged();
            let update = snapshot(&self.router.routes());
            let is_new = self.last.as_ref().is_none_or(|(told, _)| *told != update);
            self.last = Some((update.clone(), Instant::now()));
            if is_new {
                return Some(update);
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
