//! Faults against a real cluster under load, and what must hold all the while.

mod builds;
mod crashes;
mod groups;
mod history;
mod leaves;
mod lethal;
mod link;
mod load_of_machine;
mod recovery;
mod registry;
mod replicas;
mod rollout;
mod run;
mod services;
mod snapshots;
mod tail;
mod verify;

pub use self::run::{Check, Options, Run};
use crate::cluster::Layout;

/// One story of faults.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What `nautilus-chaos run` calls it.
    pub name: &'static str,
    /// What is done and what must hold, in one line.
    pub about: &'static str,
    /// Rows of the list of faults it stands for.
    pub faults: &'static [&'static str],
    /// Whether it is in the set that CI runs.
    pub is_in_ci: bool,
    play: fn(&mut Run) -> anyhow::Result<()>,
}

/// Those in which leaves have faults of their own.
const WITH_FAULTY_LEAVES: &[&str] = &["tail", "lethal-query"];

/// Every scenario there is.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kill-leaves",
        about: "kill -9 of serving leaves, one after the other: no search suffers, an idle leaf takes over",
        faults: &["P1"],
        is_in_ci: true,
        play: leaves::kill,
    },
    Scenario {
        name: "freeze-leaf",
        about: "a serving leaf stands still beyond its lease and goes on: it serves nothing it lost",
        faults: &["P3"],
        is_in_ci: true,
        play: leaves::freeze,
    },
    Scenario {
        name: "restart-leaves",
        about: "every leaf is stopped politely and started again: no search suffers",
        faults: &["P5"],
        is_in_ci: false,
        play: groups::restart_leaves,
    },
    Scenario {
        name: "lose-group",
        about: "all of a group dies with its disks: the other answers everything, and it comes back",
        faults: &["P6"],
        is_in_ci: true,
        play: groups::lose_group,
    },
    Scenario {
        name: "lose-coordinators",
        about: "coordinators die or stand still while leaves die: the standby acts, nothing is owned twice",
        faults: &["C1", "C2"],
        is_in_ci: true,
        play: groups::lose_coordinators,
    },
    Scenario {
        name: "lose-everything",
        about: "every leaf's disk and all of etcd are lost: repository and log bring everything back",
        faults: &["O2", "E8"],
        is_in_ci: true,
        play: groups::lose_everything,
    },
    Scenario {
        name: "lose-etcd",
        about: "etcd is gone for a minute: searches and writes go on",
        faults: &["E4"],
        is_in_ci: true,
        play: services::lose_etcd,
    },
    Scenario {
        name: "lose-kafka",
        about: "Kafka is gone for half a minute: searches go on, no acknowledged write is lost",
        faults: &["K1"],
        is_in_ci: true,
        play: services::lose_kafka,
    },
    Scenario {
        name: "lose-repository",
        about: "a leaf dies while the object store is away: its partition comes back once the store does",
        faults: &["S-5"],
        is_in_ci: false,
        play: services::lose_repository,
    },
    Scenario {
        name: "kill-roots",
        about: "kill -9 of roots: searches go through the other",
        faults: &["R1"],
        is_in_ci: true,
        play: services::kill_roots,
    },
    Scenario {
        name: "remove-group",
        about: "a whole group is drained and removed, and a fresh one with empty disks added: no search suffers",
        faults: &[],
        is_in_ci: false,
        play: rollout::remove_group,
    },
    Scenario {
        name: "rolling-deploy",
        about: "both groups are handed over by `nautilus group deploy`, all their processes restarted",
        faults: &["P5"],
        is_in_ci: false,
        play: rollout::rolling_deploy,
    },
    Scenario {
        name: "promote-build",
        about: "a build with another analyzer is made of snapshots, promoted group by group, and rolled back",
        faults: &[],
        is_in_ci: false,
        play: builds::promote,
    },
    Scenario {
        name: "drain-leaf",
        about: "serving leaves are drained and take partitions again, and a recovery is rehearsed: no search suffers",
        faults: &[],
        is_in_ci: false,
        play: rollout::drain_leaf,
    },
    Scenario {
        name: "tail",
        about: "leaves with late answers, one slow, all slow: what hedging gains and what it costs",
        faults: &["R2"],
        is_in_ci: false,
        play: tail::tail,
    },
    Scenario {
        name: "lethal-query",
        about: "a query that leaves die of is tried again and again: two replicas are lost, and no more",
        faults: &["Q1", "Q3"],
        is_in_ci: true,
        play: lethal::lethal_query,
    },
    Scenario {
        name: "crash-loop",
        about: "kill -9 of one leaf every 1 to 3 s on the same disk: no search suffers, nothing piles up",
        faults: &["P1", "P2", "K3"],
        is_in_ci: false,
        play: crashes::crash_loop,
    },
    Scenario {
        name: "damage-snapshots",
        about: "a group comes back from empty disks while the newest snapshots are damaged: older ones are used",
        faults: &["S-1", "S-2"],
        is_in_ci: false,
        play: snapshots::damage,
    },
    Scenario {
        name: "trim-log",
        about: "the log is trimmed beyond what a group's disks hold: they give way to snapshots",
        faults: &["K6", "S-6"],
        is_in_ci: false,
        play: snapshots::trim_log,
    },
    Scenario {
        name: "lose-etcd-leader",
        about: "the leader of three etcd nodes dies, again and again: nothing moves",
        faults: &["E1"],
        is_in_ci: false,
        play: registry::lose_leader,
    },
    Scenario {
        name: "cut-leaf-from-etcd",
        about: "a leaf lives and cannot reach etcd beyond its lease: another serves, and its answers are not used",
        faults: &["E3"],
        is_in_ci: false,
        play: registry::cut_leaf,
    },
    Scenario {
        name: "claim-name",
        about: "a second process claims the name of a running leaf, then dies: no search suffers",
        faults: &["O1"],
        is_in_ci: false,
        play: registry::claim_name,
    },
];

impl Scenario {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// The binary it is played with: where leaves have faults of their own, that of the tests.
    #[must_use]
    pub fn program(&self) -> &'static str {
        if WITH_FAULTY_LEAVES.contains(&self.name) { "nautilus-under-test" } else { "nautilus" }
    }

    /// What it is played on.
    #[must_use]
    pub fn layout(&self) -> Layout {
        if self.name != "lethal-query" {
            // Without three there is nobody to elect.
            let etcd_members = if self.faults.contains(&"E1") { 3 } else { 1 };
            // Nothing recovers in `tail`: leaves work as they do when nobody sets anything.
            let snapshot_interval =
                if self.name == "tail" { "10m" } else { Layout::default().snapshot_interval };
            return Layout { etcd_members, snapshot_interval, ..Layout::default() };
        }
        // It may cost a replica in each of two groups; a third one answers everybody else.
        Layout {
            partitions: 2,
            groups: ["a", "b", "c"].map(str::to_owned).to_vec(),
            later_groups: Vec::new(),
            leaves_per_group: 2,
            coordinators_per_group: 1,
            ..Layout::default()
        }
    }

    /// Plays it in a run that has started, then holds every recorded answer against the log.
    pub fn play(&self, run: &mut Run) -> anyhow::Result<()> {
        (self.play)(run)?;
        history::check(run)
    }
}
