//! `nautilus group`: replica groups as a whole.

pub(in crate::commands) mod compare;
pub(in crate::commands) mod deploy;
pub(in crate::commands) mod steps;

use std::time::Duration;

use clap::{Args, Subcommand};
use nautilus_coordinator::operate::{self, Change, GroupSnapshot};
use nautilus_index_repository::LOG_BUILD;
use nautilus_registry::layout::{GroupName, GroupState};
use nautilus_types::{Class, PartitionId};
use serde_json::{Value, json};

use self::steps::Steps;
use crate::cli::{Global, duration};
use crate::exit::Failure;
use crate::format::{self, Align};
use crate::output;
use crate::placement::{Asked, Placement, failed, group_name, listed};
use crate::serve::ConfigArgs;

/// What to do with replica groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// List replica groups
    #[command(after_help = "Example:\n  nautilus group list --config cluster.toml")]
    List(ConfigArgs),
    /// Add a replica group beside those that run
    #[command(after_help = "\
The group is there from now on, but drained: searches come when it is resumed. Start a coordinator and leaves with
its name; they get every partition from snapshots and the log.

Examples:
  nautilus group add c
  nautilus coordinator --config cluster.toml --set coordinator.replica_group=c …
  nautilus leaf --config cluster.toml --set leaf.replica_group=c --set leaf.name=leaf-c-1 …
  nautilus group add c --wait 30m      wait until it is complete, then resume it")]
    Add {
        #[command(flatten)]
        which: WhichArgs,
        /// Wait at most this long until it serves everything, then let searches come
        #[arg(long, value_name = "TIME", value_parser = duration)]
        wait: Option<Duration>,
    },
    /// Keep searches away from a group; it goes on applying writes
    #[command(after_help = "\
What no other group serves is still asked of it.

Examples:
  nautilus group drain b --reason 'network work in room 2'
  nautilus group drain b --for 30m     searches come back by themselves")]
    Drain {
        #[command(flatten)]
        which: WhichArgs,
        /// It is active again after this time, at most 1h
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        ttl: Option<Duration>,
    },
    /// Let searches come to a group again
    #[command(after_help = "Example:\n  nautilus group resume b")]
    Resume(WhichArgs),
    /// Forget a group that is drained and whose processes have stopped
    #[command(after_help = "\
Refused while no other active groups serve every partition. What is on the disks of its leaves stays there.

Example:
  nautilus group remove c --yes")]
    Remove {
        #[command(flatten)]
        which: WhichArgs,
        /// Do it without asking
        #[arg(long, short)]
        yes: bool,
    },
    /// Hand a group over to another version, without a search noticing
    #[command(after_help = "\
Others complete? Searches away. Restart. Caught up? Answers compared with another group's. Searches back.
Where something is not as it should be, it stops, says why, and the group stays drained. A downgrade is the same.
The namespaces compared are those the user of --as may read.

Examples:
  nautilus group deploy b --restart 'systemctl restart nautilus-leaf@b-1 nautilus-leaf@b-2'
  nautilus group deploy b --as ada      waits while you restart the leaves")]
    Deploy(deploy::DeployArgs),
}

/// Which group.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Its name
    #[arg(value_name = "NAME", value_parser = group_name)]
    name: GroupName,
    #[command(flatten)]
    asked: Asked,
}

/// Does it.
pub(crate) async fn run(global: &Global, command: GroupCommand) -> anyhow::Result<()> {
    match command {
        GroupCommand::List(config) => list(global, &config).await,
        GroupCommand::Add { which, wait } => add(global, &which, wait).await,
        GroupCommand::Drain { which, ttl } => {
            let done = format!("searches go to other groups than {}", which.name);
            set_standing(global, &which, GroupState::Drained, ttl, &done).await
        }
        GroupCommand::Resume(which) => {
            let done = format!("searches come to group {} again", which.name);
            set_standing(global, &which, GroupState::Active, None, &done).await
        }
        GroupCommand::Remove { which, yes } => remove(global, &which, yes).await,
        GroupCommand::Deploy(args) => deploy::run(global, &args).await,
    }
}

/// Partitions of the map that no leaf of the group serves.
pub(in crate::commands) fn unserved(
    placement: &Placement,
    group: &GroupSnapshot,
) -> Vec<PartitionId> {
    let served = group.served();
    (0..placement.partitions()).map(PartitionId).filter(|it| !served.contains(it)).collect()
}

async fn list(global: &Global, config: &ConfigArgs) -> anyhow::Result<()> {
    let placement = Placement::open(global, config).await?;
    let groups = placement.groups().await?;
    output::print(
        global,
        || {
            let columns = [
                ("group", Align::Left),
                ("standing", Align::Left),
                ("served", Align::Right),
                ("leaves", Align::Right),
                ("idle", Align::Right),
                ("coordinator", Align::Left),
                ("build", Align::Left),
                ("note", Align::Left),
            ];
            let rows = groups.iter().map(|group| row(&placement, group));
            format::table(&columns, &rows.collect::<Vec<_>>())
        },
        || groups.iter().map(|group| group_json(&placement, group)).collect(),
    )?;
    Ok(())
}

/// Leaves that are there, and how many of them hold nothing.
fn leaves(group: &GroupSnapshot) -> (usize, usize) {
    let leaves = group.leaves();
    let registered = || leaves.iter().filter(|it| it.registration.is_some());
    (registered().count(), registered().filter(|it| it.partitions.is_empty()).count())
}

fn row(placement: &Placement, group: &GroupSnapshot) -> Vec<String> {
    let (there, idle) = leaves(group);
    let held_back = group.decision().held_back.as_ref().map(|why| format!("holds back: {why}"));
    let drained = group.standing().filter(|it| it.state == GroupState::Drained);
    let drained = drained.map(|it| match it.note.reason.as_str() {
        "" => format!("drained by {}", it.note.owner),
        reason => format!("drained by {}: {reason}", it.note.owner),
    });
    let notes: Vec<String> = drained.into_iter().chain(held_back).collect();
    vec![
        group.group().to_string(),
        group.state().as_str().to_owned(),
        format!("{}/{}", group.served().len(), placement.partitions()),
        there.to_string(),
        idle.to_string(),
        group.coordinator().map_or("none".to_owned(), ToString::to_string),
        output::clean_line(group.build().name.as_deref().unwrap_or(LOG_BUILD)),
        output::clean_line(&notes.join("; ")),
    ]
}

fn group_json(placement: &Placement, group: &GroupSnapshot) -> Value {
    let (there, idle) = leaves(group);
    let unserved = unserved(placement, group);
    let standing = group.standing().map(|it| {
        json!({
            "by": it.note.owner,
            "reason": it.note.reason,
            "placed_unix_ms": it.placed_unix_ms,
        })
    });
    json!({
        "name": group.group().as_str(),
        "build": group.build().label(),
        "analyzer_version": group.build().analyzer_version,
        "standing": group.state().as_str(),
        "standing_note": standing,
        "partitions": placement.partitions(),
        "served": group.served().len(),
        "unserved": unserved.iter().map(|it| it.0).collect::<Vec<_>>(),
        "leaves": there,
        "idle_leaves": idle,
        "coordinator": group.coordinator().map(|it| it.as_str()),
        "held_back": group.decision().held_back,
    })
}

async fn set_standing(
    global: &Global,
    which: &WhichArgs,
    state: GroupState,
    ttl: Option<Duration>,
    done: &str,
) -> anyhow::Result<()> {
    let placement = Placement::open(global, &which.asked.config).await?;
    if state == GroupState::Active {
        let unserved = unserved(&placement, &placement.group(&which.name).await?);
        if !unserved.is_empty() {
            let numbers = listed(&unserved);
            output::complain(&format!("note: the group does not serve partition {numbers} yet"));
        }
    }
    let note = which.asked.note();
    let placed_unix_ms = placement.clock.unix_ms();
    let change = Change::Standing { state, note, placed_unix_ms, ttl };
    placement.carry_out(global, &which.asked, &which.name, &change, done).await?;
    Ok(())
}

async fn add(global: &Global, which: &WhichArgs, wait: Option<Duration>) -> anyhow::Result<()> {
    let placement = Placement::open(global, &which.asked.config).await?;
    let name = &which.name;
    if placement.groups().await?.iter().any(|it| it.group() == name) {
        let there = operate::Refusal::GroupThere { group: name.clone() };
        // With --wait it may be asked again after it was interrupted.
        if wait.is_none() {
            return Err(failed(there.into()));
        }
    } else if which.asked.dry_run {
        let done = || format!("nothing is changed; group {name} would be there, drained");
        output::print(global, done, || json!({ "group": name.as_str(), "dry_run": true }))?;
        return Ok(());
    } else {
        let mut note = which.asked.note();
        if note.reason.is_empty() {
            "added, not resumed yet".clone_into(&mut note.reason);
        }
        let registry = placement.registry.as_ref();
        let added = operate::add_group(registry, name, note, placement.clock.unix_ms()).await;
        let revision = added.map_err(failed)?;
        let done = || {
            format!(
                "group {name} is there, drained; start its coordinator and its leaves, then `nautilus group resume \
                 {name}`"
            )
        };
        let json = || json!({ "group": name.as_str(), "dry_run": false, "revision": revision.0 });
        output::print(global, done, json)?;
    }
    let Some(wait) = wait else { return Ok(()) };
    let steps = Steps::new(&placement, name, wait);
    steps.until_complete().await?;
    steps.until_caught_up(global).await?;
    steps.set_standing(GroupState::Active, which.asked.note()).await?;
    steps.say(&format!("group {name} is complete; searches come"));
    Ok(())
}

async fn remove(global: &Global, which: &WhichArgs, yes: bool) -> anyhow::Result<()> {
    let placement = Placement::open(global, &which.asked.config).await?;
    let (registry, name) = (placement.registry.as_ref(), &which.name);
    if which.asked.dry_run {
        let removal = operate::preview_removal(registry, name).await.map_err(failed)?;
        let text = || {
            let keys: String = removal.keys.iter().map(|key| format!("  {key}\n")).collect();
            format!("nothing is changed; would be removed from the registry:\n{keys}")
        };
        let json = || json!({ "group": name.as_str(), "dry_run": true, "removes": removal.keys });
        output::print(global, text, json)?;
        return Ok(());
    }
    if !yes {
        let message = "not removed; --yes removes it, --dry-run shows what";
        return Err(Failure::new(Class::Invalid, message).into());
    }
    let removal = operate::remove_group(registry, name).await.map_err(failed)?;
    let keys = u64::try_from(removal.keys.len()).unwrap_or(u64::MAX);
    let done = || format!("group {name} is gone: {} removed", format::counted(keys, "key"));
    let json = || json!({ "group": name.as_str(), "dry_run": false, "removed": keys });
    output::print(global, done, json)?;
    Ok(())
}
