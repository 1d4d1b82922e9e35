//! What a search's time went into, over all roles: they add up to the whole.

use nautilus_proto::common::v1::Stage;
use nautilus_proto::search::v1::Timing;
use serde_json::{Value, json};

use crate::commands::search::render::explain::short;
use crate::format::{self, Align};

/// Microseconds of each kind. Of partitions that are asked at the same time, the slowest counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Costs {
    /// Waiting for a thread of the leaf.
    queue: u64,
    /// Between processes.
    network: u64,
    /// Reading and scoring candidates on the leaf.
    scan: u64,
    /// Ranking in the merger.
    rank: u64,
    /// Every other stage.
    other: u64,
    /// What no stage accounts for.
    unaccounted: u64,
    total: u64,
}

impl Costs {
    /// Of a whole search.
    pub(super) fn of(timing: &Timing) -> Self {
        let mut costs =
            Self { unaccounted: timing.unaccounted_us, total: timing.total_us, ..Self::default() };
        timing.stages.iter().for_each(|stage| costs.add(stage));
        costs
    }

    fn add(&mut self, stage: &Stage) {
        if stage.children.is_empty() {
            let kind = match stage.name.as_str() {
                "queue" => &mut self.queue,
                "transport" => &mut self.network,
                "search" => &mut self.scan,
                "rank" => &mut self.rank,
                _ => &mut self.other,
            };
            *kind = kind.saturating_add(stage.duration_us);
            return;
        }
        let inside = stage.children.iter().map(|child| child.duration_us);
        let inside = inside.fold(0, u64::saturating_add);
        let rest = stage.duration_us.saturating_sub(inside);
        self.unaccounted = self.unaccounted.saturating_add(rest);
        stage.children.iter().for_each(|child| self.add(child));
    }

    fn kinds(&self) -> [(&'static str, u64); 6] {
        [
            ("queue", self.queue),
            ("network", self.network),
            ("scan", self.scan),
            ("rank", self.rank),
            ("other stages", self.other),
            ("not accounted for", self.unaccounted),
        ]
    }

    /// A line for each kind.
    pub(super) fn to_table(&self) -> String {
        let columns =
            [("what took the time", Align::Left), ("", Align::Right), ("%", Align::Right)];
        let percent = |us: u64| (us.saturating_mul(100)).checked_div(self.total).unwrap_or(0);
        let row =
            |(name, us): (&str, u64)| vec![name.to_owned(), short(us), percent(us).to_string()];
        let rows = self.kinds().into_iter().chain([("total", self.total)]);
        format::table(&columns, &rows.map(row).collect::<Vec<_>>())
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "queue_us": self.queue,
            "network_us": self.network,
            "scan_us": self.scan,
            "rank_us": self.rank,
            "other_us": self.other,
            "unaccounted_us": self.unaccounted,
            "total_us": self.total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, duration_us: u64, children: Vec<Stage>) -> Stage {
        Stage { name: name.to_owned(), duration_us, children }
    }

    #[test]
    fn kinds_add_up_to_the_whole() {
        let leaf = vec![
            stage("queue", 90, vec![]),
            stage("search", 500, vec![]),
            stage("transport", 100, vec![]),
        ];
        let root = vec![
            stage("route", 20, vec![]),
            stage("fan_out", 700, vec![stage("slowest_leaf", 690, leaf)]),
            stage("transport", 250, vec![]),
        ];
        let timing = Timing {
            stages: vec![
                stage("scope", 200, vec![]),
                stage("root", 1_000, root),
                stage("rank", 50, vec![]),
            ],
            total_us: 1_257,
            unaccounted_us: 7,
        };
        let costs = Costs::of(&timing);
        let expected = Costs {
            queue: 90,
            network: 350,
            scan: 500,
            rank: 50,
            other: 220,
            unaccounted: 7 + 10 + 30,
            total: 1_257,
        };
        assert_eq!(costs, expected);
        assert_eq!(costs.kinds().iter().map(|(_, us)| us).sum::<u64>(), costs.total);
        assert!(costs.to_table().contains("network"));
    }
}
