//! What was done for a search, as its caller may see it. Pure.

use std::time::Duration;

use nautilus_proto::common::v1::Stage;
use nautilus_proto::leaf::v1::Statistics;
use nautilus_proto::root::v1::{Attempt, PartitionAnswer};
use nautilus_proto::search::v1::{
    AttemptExplanation, Explanation, PartitionExplanation, TermExplanation, Timing,
};
use nautilus_query::Node;

use crate::rank::Namespace;
use crate::stopwatch::{Stopwatch, micros, stage};
use crate::track::Track;

/// The merger's stage that asks the root.
const ROOT: &str = "root";
/// The root's stage that asks the leaves.
const FAN_OUT: &str = "fan_out";

/// The stages, those of other roles inside the one that waited for them. The top-level ones add up
/// to the total but for `unaccounted_us`.
pub(crate) fn timing(track: &Track, answers: &[PartitionAnswer]) -> Timing {
    let Track { watch, root_stages, .. } = track;
    let mut stages = stages(watch);
    if let Some(root) = stages.iter_mut().find(|stage| stage.name == ROOT) {
        root.children = inside_root(root.duration_us, root_stages, answers);
    }
    let total_us = micros(watch.total());
    let accounted: Duration = watch.laps().iter().map(|lap| lap.duration).sum();
    Timing { stages, total_us, unaccounted_us: total_us.saturating_sub(micros(accounted)) }
}

fn stages(watch: &Stopwatch) -> Vec<Stage> {
    watch.stages().into_iter().map(|(name, spent)| stage(name, micros(spent))).collect()
}

/// The root's own stages, and what the way there and back took.
fn inside_root(duration_us: u64, stages: &[Stage], answers: &[PartitionAnswer]) -> Vec<Stage> {
    let mut inside = stages.to_vec();
    let fan_out = inside.iter_mut().find(|stage| stage.name == FAN_OUT);
    if let Some(fan_out) = fan_out.filter(|stage| stage.children.is_empty()) {
        fan_out.children = slowest(answers);
    }
    with_rest(duration_us, inside)
}

/// Leaves work at the same time, so what the root waited for is the slowest of them.
fn slowest(answers: &[PartitionAnswer]) -> Vec<Stage> {
    let Some(slowest) = answers.iter().max_by_key(|answer| answer.round_trip_us) else {
        return Vec::new();
    };
    let inside = vec![stage("queue", slowest.queue_us), stage("search", slowest.search_us)];
    let leaf = Stage {
        name: "slowest_leaf".to_owned(),
        duration_us: slowest.round_trip_us,
        children: with_rest(slowest.round_trip_us, inside),
    };
    vec![leaf]
}

/// `stages` of a call that took `duration_us`, and what is left of that as `transport`.
fn with_rest(duration_us: u64, mut stages: Vec<Stage>) -> Vec<Stage> {
    let inside: u64 = stages.iter().map(|stage| stage.duration_us).fold(0, u64::saturating_add);
    if !stages.is_empty() && duration_us > inside {
        stages.push(stage("transport", duration_us - inside));
    }
    stages
}

/// What an explanation is made of.
pub(crate) struct Explained<'e> {
    pub(crate) tree: Option<&'e Node>,
    pub(crate) scope: &'e [Namespace],
    pub(crate) statistics: &'e Statistics,
    pub(crate) answers: &'e [PartitionAnswer],
    /// An operator also sees positions in logs, which tell how much others write.
    pub(crate) is_operator: bool,
}

pub(crate) fn explanation(explained: &Explained<'_>, timing: Timing) -> Explanation {
    let Explained { tree, scope, statistics, answers, is_operator } = explained;
    let leaves = tree.map_or_else(Vec::new, Node::scoring_leaves);
    let terms = leaves.iter().zip(&statistics.document_frequencies);
    Explanation {
        query: tree.map_or_else(String::new, ToString::to_string),
        namespaces: scope.iter().map(|(name, _)| name.to_lossy()).collect(),
        timing: Some(timing),
        partitions: answers.iter().map(|answer| partition(answer, *is_operator)).collect(),
        documents: statistics.documents,
        total_length: statistics.total_length,
        terms: terms
            .map(|(leaf, documents)| TermExplanation {
                term: leaf.to_string(),
                documents: *documents,
            })
            .collect(),
    }
}

fn partition(answer: &PartitionAnswer, is_operator: bool) -> PartitionExplanation {
    let label = answer.label.clone().unwrap_or_default();
    PartitionExplanation {
        partition: label.partition,
        replica_group: answer.replica_group.clone(),
        leaf: answer.leaf.clone(),
        epoch: label.epoch,
        next_offset: if is_operator { label.next_offset } else { 0 },
        rows_scanned: answer.rows_scanned,
        total_hits: answer.total_hits,
        truncated: answer.truncated,
        queue_us: answer.queue_us,
        search_us: answer.search_us,
        round_trip_us: answer.round_trip_us,
        attempts: answer.attempts.iter().map(attempt).collect(),
        build: label.build,
    }
}

fn attempt(attempt: &Attempt) -> AttemptExplanation {
    AttemptExplanation {
        leaf: attempt.leaf.clone(),
        replica_group: attempt.replica_group.clone(),
        reason: attempt.reason.clone(),
        outcome: attempt.outcome.clone(),
        start_us: attempt.start_us,
        duration_us: attempt.duration_us,
    }
}

#[cfg(test)]
mod tests {
    use nautilus_service::Clock;

    use super::*;

    fn flat(stages: &[Stage], depth: usize) -> Vec<String> {
        let line = |stage: &Stage| {
            let own = format!("{}{} {}", " ".repeat(depth), stage.name, stage.duration_us);
            std::iter::once(own).chain(flat(&stage.children, depth + 1)).collect::<Vec<_>>()
        };
        stages.iter().flat_map(line).collect()
    }

    #[test]
    fn stages_of_other_roles_stand_where_they_were_waited_for() {
        let (clock, hand) = Clock::manual(0);
        let mut track = Track::start(&clock);
        for (name, us) in [("scope", 200), ("root", 1_000), ("rank", 50)] {
            hand.advance(Duration::from_micros(us));
            track.watch.lap(name);
        }
        hand.advance(Duration::from_micros(7));
        track.root_stages = vec![stage("route", 20), stage(FAN_OUT, 700), stage("gather", 30)];
        let fast = PartitionAnswer { round_trip_us: 100, ..PartitionAnswer::default() };
        let slow = PartitionAnswer {
            round_trip_us: 690,
            queue_us: 90,
            search_us: 500,
            ..PartitionAnswer::default()
        };
        let timing = timing(&track, &[fast, slow]);
        assert_eq!(
            flat(&timing.stages, 0),
            [
                "scope 200",
                "root 1000",
                " route 20",
                " fan_out 700",
                "  slowest_leaf 690",
                "   queue 90",
                "   search 500",
                "   transport 100",
                " gather 30",
                " transport 250",
                "rank 50",
            ]
        );
        assert_eq!((timing.total_us, timing.unaccounted_us), (1_257, 7));
    }
}
