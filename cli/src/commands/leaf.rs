//! `nautilus leaf`: the role, and beside it what people do with leaves.

use std::time::Duration;

use clap::{Args, Subcommand};
use nautilus_coordinator::operate::{Change, GroupSnapshot, HeldPartition, LeafReport, Role};
use nautilus_registry::layout::{CordonKind, GroupName, LeafName};
use nautilus_types::Class;
use serde_json::{Value, json};

use crate::cli::{Global, duration};
use crate::exit::Failure;
use crate::format::{self, Align};
use crate::output;
use crate::placement::{Asked, LOOK_AGAIN, Placement, group_name, leaf_name};
use crate::serve::{self, ConfigArgs};

/// The role without a command, else what to do with leaves.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LeafArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Option<LeafCommand>,
}

/// What to do with leaves.
#[derive(Debug, Subcommand)]
pub(crate) enum LeafCommand {
    /// List leaves: registered, marked, or missed
    #[command(
        after_help = "Examples:\n  nautilus leaf list --config cluster.toml\n  nautilus leaf list --group a"
    )]
    List(ListArgs),
    /// Let a leaf take no new partitions; those it has stay
    #[command(after_help = "\
Examples:
  nautilus leaf cordon leaf-a-2 --reason 'disk replaced on Monday'
  nautilus leaf cordon leaf-a-2 --for 30m     the mark ends by itself")]
    Cordon(MarkArgs),
    /// Move everything away from a leaf: each partition is served there until another leaf serves it
    #[command(after_help = "\
Examples:
  nautilus leaf drain leaf-a-2 --dry-run      what would move where
  nautilus leaf drain leaf-a-2 --wait 10m && ssh leaf-a-2 reboot")]
    Drain {
        #[command(flatten)]
        mark: MarkArgs,
        /// Wait at most this long until the leaf holds nothing
        #[arg(long, value_name = "TIME", value_parser = duration)]
        wait: Option<Duration>,
    },
    /// Take the mark of a cordon or a drain away
    #[command(after_help = "Example:\n  nautilus leaf uncordon leaf-a-2")]
    Uncordon {
        #[command(flatten)]
        leaf: WhichLeaf,
        #[command(flatten)]
        asked: Asked,
    },
}

/// Of which group.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this replica group
    #[arg(long, value_name = "NAME", value_parser = group_name)]
    group: Option<GroupName>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Which leaf.
#[derive(Debug, Args)]
pub(crate) struct WhichLeaf {
    /// Its name
    #[arg(value_parser = leaf_name)]
    leaf: LeafName,
    /// Its replica group; without one the leaf is looked for
    #[arg(long, value_name = "NAME", value_parser = group_name)]
    group: Option<GroupName>,
}

/// A mark on a leaf.
#[derive(Debug, Args)]
pub(crate) struct MarkArgs {
    #[command(flatten)]
    leaf: WhichLeaf,
    /// The mark ends by itself after this time, at most 1h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
    #[command(flatten)]
    asked: Asked,
}

/// Serves, or does it.
pub(crate) async fn run(global: &Global, args: LeafArgs) -> anyhow::Result<()> {
    match args.command {
        None => serve::run(global, serve::Role::Leaf, &args.config).await,
        Some(LeafCommand::List(args)) => list(global, &args).await,
        Some(LeafCommand::Cordon(args)) => mark(global, &args, CordonKind::Cordon, None).await,
        Some(LeafCommand::Drain { mark: args, wait }) => {
            mark(global, &args, CordonKind::Drain, wait).await
        }
        Some(LeafCommand::Uncordon { leaf, asked }) => uncordon(global, &leaf, &asked).await,
    }
}

async fn list(global: &Global, args: &ListArgs) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.config).await?;
    let groups = match &args.group {
        Some(group) => vec![placement.group(group).await?],
        None => placement.groups().await?,
    };
    let leaves: Vec<(&GroupSnapshot, LeafReport)> = groups
        .iter()
        .flat_map(|group| group.leaves().into_iter().map(move |it| (group, it)))
        .collect();
    output::print(
        global,
        || {
            let columns = [
                ("leaf", Align::Left),
                ("group", Align::Left),
                ("state", Align::Left),
                ("partitions", Align::Left),
                ("address", Align::Left),
                ("mark", Align::Left),
            ];
            let rows = leaves.iter().map(|(group, leaf)| row(group, leaf));
            format::table(&columns, &rows.collect::<Vec<_>>())
        },
        || leaves.iter().map(|(group, leaf)| leaf_json(group, leaf)).collect(),
    )?;
    Ok(())
}

/// `IDLE` = registered and waiting for a partition.
fn state(leaf: &LeafReport) -> &'static str {
    match &leaf.registration {
        None => "GONE",
        Some(registration) if registration.is_draining => "STOPPING",
        Some(_) if leaf.partitions.is_empty() => "IDLE",
        Some(_) => "IN_USE",
    }
}

fn row(group: &GroupSnapshot, leaf: &LeafReport) -> Vec<String> {
    let held: Vec<String> = leaf.partitions.iter().map(held).collect();
    let address = leaf.registration.as_ref().map_or("", |it| &it.address);
    let mark = leaf.cordon.as_ref().map_or_else(String::new, |cordon| {
        let ends = if leaf.cordon_ends { ", ends by itself" } else { "" };
        let why = output::clean_line(&cordon.note.reason);
        let why = if why.is_empty() { why } else { format!(": {why}") };
        format!("{} by {}{why}{ends}", cordon.kind.as_str(), output::clean_line(&cordon.note.owner))
    });
    vec![
        leaf.leaf.to_string(),
        group.group().to_string(),
        state(leaf).to_owned(),
        held.join(" "),
        output::clean_line(address),
        mark,
    ]
}

/// `3`, or with what is not as usual: `3(REPLAYING)`.
fn held(held: &HeldPartition) -> String {
    let state = held.state.map_or("SILENT", state_name);
    match (held.role, state) {
        (Role::Owner, "SERVING") => held.partition.0.to_string(),
        (Role::Owner, state) => format!("{}({state})", held.partition.0),
        (role @ (Role::Retiring | Role::Leftover), _) => {
            format!("{}({})", held.partition.0, role.as_str())
        }
    }
}

pub(crate) fn state_name(state: nautilus_registry::layout::ReplicaState) -> &'static str {
    use nautilus_registry::layout::ReplicaState;
    match state {
        ReplicaState::Downloading => "DOWNLOADING",
        ReplicaState::Replaying => "REPLAYING",
        ReplicaState::Serving => "SERVING",
        ReplicaState::Draining => "DRAINING",
        ReplicaState::Failed => "FAILED",
    }
}

fn leaf_json(group: &GroupSnapshot, leaf: &LeafReport) -> Value {
    let partitions = leaf.partitions.iter().map(|held| {
        json!({
            "partition": held.partition.0,
            "role": held.role.as_str(),
            "epoch": held.epoch.0,
            "state": held.state.map(state_name),
            "build": held.build,
        })
    });
    let cordon = leaf.cordon.as_ref().map(|cordon| {
        json!({
            "kind": cordon.kind.as_str(),
            "by": cordon.note.owner,
            "reason": cordon.note.reason,
            "placed_unix_ms": cordon.placed_unix_ms,
            "ends": leaf.cordon_ends,
        })
    });
    json!({
        "leaf": leaf.leaf.as_str(),
        "replica_group": group.group().as_str(),
        "state": state(leaf),
        "address": leaf.registration.as_ref().map(|it| &it.address),
        "start": leaf.registration.as_ref().map(|it| it.start),
        "partitions": partitions.collect::<Vec<_>>(),
        "cordon": cordon,
    })
}

async fn mark(
    global: &Global,
    args: &MarkArgs,
    kind: CordonKind,
    wait: Option<Duration>,
) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.asked.config).await?;
    let group = group_of(&placement, &args.leaf).await?;
    let leaf = args.leaf.leaf.clone();
    let change = Change::Cordon {
        leaf: leaf.clone(),
        kind,
        note: args.asked.note(),
        placed_unix_ms: placement.clock.unix_ms(),
        ttl: args.ttl,
    };
    let done = match kind {
        CordonKind::Cordon => format!("leaf {leaf} of group {group} takes no new partitions"),
        CordonKind::Drain => format!("leaf {leaf} of group {group} is being emptied"),
    };
    let applied = placement.carry_out(global, &args.asked, &group, &change, &done).await?;
    match (wait, applied) {
        (Some(wait), Some(_)) => until_empty(&placement, &group, &leaf, wait).await,
        (None, _) | (_, None) => Ok(()),
    }
}

/// Until the leaf neither holds nor announces a partition.
async fn until_empty(
    placement: &Placement,
    group: &GroupName,
    leaf: &LeafName,
    wait: Duration,
) -> anyhow::Result<()> {
    let until = placement.clock.now() + wait;
    loop {
        let leaves = placement.group(group).await?.leaves();
        let left = leaves.iter().find(|it| it.leaf == *leaf).map_or(0, |it| it.partitions.len());
        if left == 0 {
            output::complain(&format!("leaf {leaf} holds nothing any more"));
            return Ok(());
        }
        if placement.clock.now() >= until {
            let message =
                format!("leaf {leaf} still holds {left} after the time given; the mark stays");
            return Err(Failure::new(Class::Deadline, message).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn uncordon(global: &Global, which: &WhichLeaf, asked: &Asked) -> anyhow::Result<()> {
    let placement = Placement::open(global, &asked.config).await?;
    let group = group_of(&placement, which).await?;
    let leaf = which.leaf.clone();
    let done = format!("leaf {leaf} of group {group} takes partitions again");
    placement.carry_out(global, asked, &group, &Change::Uncordon { leaf }, &done).await?;
    Ok(())
}

/// The group that was named, or the one that knows the leaf.
async fn group_of(placement: &Placement, which: &WhichLeaf) -> anyhow::Result<GroupName> {
    if let Some(group) = &which.group {
        return Ok(group.clone());
    }
    let groups = placement.groups().await?;
    let knows = |group: &&GroupSnapshot| group.leaves().iter().any(|it| it.leaf == which.leaf);
    let found: Vec<_> = groups.iter().filter(knows).collect();
    match found.as_slice() {
        [only] => Ok(only.group().clone()),
        [] => {
            let message =
                format!("no replica group knows leaf {}; say which with --group", which.leaf);
            Err(Failure::new(Class::NotFound, message).into())
        }
        [_, _, ..] => {
            let message =
                format!("several groups know a leaf {}; say which with --group", which.leaf);
            Err(Failure::usage(message).into())
        }
    }
}
