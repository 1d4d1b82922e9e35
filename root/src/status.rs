//! `GetStatus`: every replica of every group, as its leaf says and as the registry does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use nautilus_proto::admin::v1::{LeafSummary, PartitionStatus, ReplicaGroupStatus};
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::{GetStatusResponse, PartitionFailure};
use nautilus_registry::layout::GroupState;
use nautilus_service::Deadline;
use nautilus_types::PartitionId;

use crate::call::{CallError, Timed, call};
use crate::failure::{Failure, PARTITION_NOT_SERVED, PARTITION_UNASSIGNED, ROUTING_UNKNOWN};
use crate::router::{LeafHandle, Routes};
use crate::{Root, RootError};

/// A leaf that has not answered within this time is shown as not reachable.
const LEAF_WAIT: Duration = Duration::from_secs(2);

/// What one leaf said of its partitions.
type LeafAnswer = Result<BTreeMap<PartitionId, PartitionStatus>, Failure>;

impl Root {
    /// Asks every leaf how it is.
    pub async fn status(&self, deadline: Deadline) -> Result<GetStatusResponse, RootError> {
        let _work = self.metrics.requests.begin();
        let routes = self.router.routes();
        let deadline = deadline.or_sooner(self.clock.now(), LEAF_WAIT);
        let asked = routes.leaves().map(|leaf| self.leaf_status(leaf, deadline));
        let answers: Vec<_> = routes.leaves().cloned().zip(join_all(asked).await).collect();

        let mut response = GetStatusResponse::default();
        for (leaf, answer) in &answers {
            let partitions = answer.iter().flat_map(BTreeMap::values);
            response.partitions.extend(partitions.cloned().map(|mut status| {
                status.replica_group = leaf.at.group.to_string();
                status.leaf = leaf.at.leaf.to_string();
                status
            }));
        }
        let partition_of = |s: &PartitionStatus| s.label.as_ref().map(|label| label.partition);
        response.partitions.sort_by(|a, b| {
            (&a.replica_group, partition_of(a), &a.leaf).cmp(&(
                &b.replica_group,
                partition_of(b),
                &b.leaf,
            ))
        });
        let answered: BTreeSet<_> = response.partitions.iter().filter_map(partition_of).collect();
        for partition in routes.table.partitions().filter(|p| !answered.contains(&p.0)) {
            let reason = why_silent(&routes, partition, &answers);
            response.failures.push(PartitionFailure { partition: partition.0, reason });
        }
        response.groups = groups(&routes, &answers);
        Ok(response)
    }

    async fn leaf_status(&self, leaf: &LeafHandle, deadline: Deadline) -> LeafAnswer {
        let mut client = leaf.client.clone();
        let message = leaf::GetStatusRequest {};
        let sent = call(&self.clock, deadline, message, |message| client.get_status(message)).await;
        let partitions = match sent {
            Ok(Timed { answer, .. }) => answer.partitions,
            Err(CallError::Failed(failure)) => return Err(failure),
            Err(CallError::Refused(status)) => return Err(Failure::of(&status)),
        };
        let by_partition = |status: PartitionStatus| {
            let partition = PartitionId(status.label.as_ref()?.partition);
            (partition.0 < self.map.partitions).then_some((partition, status))
        };
        Ok(partitions.into_iter().filter_map(by_partition).collect())
    }
}

/// Why no leaf said anything of a partition.
fn why_silent(
    routes: &Routes,
    partition: PartitionId,
    answers: &[(Arc<LeafHandle>, LeafAnswer)],
) -> String {
    let table = &routes.table;
    if table.revision.is_none() {
        return ROUTING_UNKNOWN.to_owned();
    }
    let announced = table.replicas.get(&partition).map_or(&[][..], Vec::as_slice);
    let failure = answers.iter().find_map(|(leaf, answer)| {
        let is_its = announced.iter().any(|replica| replica.at == leaf.at);
        answer.as_ref().err().filter(|_| is_its)
    });
    match failure {
        Some(failure) => failure.reason.clone(),
        None if announced.is_empty() && !table.assigned.contains(&partition) => {
            PARTITION_UNASSIGNED.to_owned()
        }
        None => PARTITION_NOT_SERVED.to_owned(),
    }
}

fn groups(routes: &Routes, answers: &[(Arc<LeafHandle>, LeafAnswer)]) -> Vec<ReplicaGroupStatus> {
    let of_group = |(name, group): (&_, &crate::routing::Group)| {
        let leaves = answers.iter().filter(|(leaf, _)| leaf.at.group == *name);
        ReplicaGroupStatus {
            name: name.to_string(),
            leaves: leaves.map(|(leaf, answer)| summary(routes, leaf, answer.is_ok())).collect(),
            unserved: group.unserved.iter().map(|partition| partition.0).collect(),
            held_back: group.held_back.clone(),
            standing: group.state().as_str().to_owned(),
            standing_detail: drained_by(group),
            still_needed: group.still_needed.iter().map(|partition| partition.0).collect(),
        }
    };
    routes.table.groups.iter().map(of_group).collect()
}

/// Who drained a group and why; empty where it is active.
fn drained_by(group: &crate::routing::Group) -> String {
    match group.standing.as_ref().filter(|it| it.state == GroupState::Drained) {
        Some(standing) if standing.note.reason.is_empty() => standing.note.owner.clone(),
        Some(standing) => format!("{}: {}", standing.note.owner, standing.note.reason),
        None => String::new(),
    }
}

fn summary(routes: &Routes, leaf: &LeafHandle, is_reachable: bool) -> LeafSummary {
    let announced = routes.table.replicas.values().flatten();
    let of_leaf = announced.filter(|replica| replica.at == leaf.at);
    LeafSummary {
        name: leaf.at.leaf.to_string(),
        address: leaf.at.address.clone(),
        is_reachable,
        partitions: of_leaf.map(|replica| replica.partition.0).collect(),
    }
}
