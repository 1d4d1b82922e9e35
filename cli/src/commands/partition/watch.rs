//! A move or a recovery, followed to its end.

use std::time::Duration;

use nautilus_coordinator::operate::MoveAnswer;
use nautilus_registry::Revision;
use nautilus_registry::layout::{Assignment, GroupName};
use nautilus_types::{Class, PartitionId};

use super::estimate::{Rates, number};
use crate::cli::Global;
use crate::commands::status;
use crate::exit::Failure;
use crate::format;
use crate::output;
use crate::placement::{LOOK_AGAIN, Placement};

/// What was asked for.
pub(super) struct Asked {
    pub(super) group: GroupName,
    pub(super) partition: PartitionId,
    pub(super) at: Revision,
    pub(super) wait: Duration,
}

/// Follows it; what happens is told on stderr.
pub(super) async fn follow(
    global: &Global,
    placement: &Placement,
    asked: &Asked,
) -> anyhow::Result<()> {
    let (group, partition) = (&asked.group, asked.partition);
    let began = placement.clock.now();
    let mut said = String::new();
    loop {
        let took = placement.clock.now().saturating_duration_since(began);
        let answer = placement.group(group).await?.answer(partition, asked.at);
        let now = match answer {
            MoveAnswer::Done(it) => {
                let took = format::took(took);
                output::complain(&format!(
                    "{} serves partition {partition}, after {took}",
                    it.owner.leaf
                ));
                return Ok(());
            }
            MoveAnswer::Refused(refused) => {
                let message = format!("the coordinator refused: {}", refused.why);
                return Err(Failure::new(Class::Precondition, message).into());
            }
            MoveAnswer::Overtaken => {
                let message = "something else came of the partition meanwhile; `nautilus partition explain` says what";
                return Err(Failure::new(Class::Conflict, message).into());
            }
            MoveAnswer::Waiting => "waiting for the coordinator".to_owned(),
            MoveAnswer::Moving(it) => how_far(global, group, partition, &it).await,
        };
        if now != said {
            output::complain(&format!("{}: {now}", format::took(took)));
            said = now;
        }
        if took >= asked.wait {
            let message = "not done in the time given; it goes on";
            return Err(Failure::new(Class::Deadline, message).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What the new owner says of itself.
async fn how_far(
    global: &Global,
    group: &GroupName,
    partition: PartitionId,
    assignment: &Assignment,
) -> String {
    let leaf = &assignment.owner.leaf;
    let Ok(status) = status::fetch(global).await else { return format!("on its way to {leaf}") };
    let rates = Rates::of(&status.partitions);
    let of_owner = status.partitions.iter().find(|it| {
        number(it) == partition.0 && it.replica_group == group.as_str() && it.leaf == leaf.as_str()
    });
    let Some(told) = of_owner else { return format!("on its way to {leaf}") };
    match rates.of_rest(told) {
        Some(rest) => format!("{} on {leaf}: {}", told.state, rest.text()),
        None => format!("{} on {leaf}", told.state),
    }
}
