//! `nautilus partition`: where partitions are, why, and how to get them elsewhere.

mod estimate;
mod rehearse;
mod show;
mod skipped;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use nautilus_coordinator::operate::{Change, GroupSnapshot, PartitionReport};
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_registry::layout::{GroupName, LeafName};
use nautilus_types::PartitionId;
use serde_json::{Value, json};

use self::estimate::{Rates, next_offset, number};
use crate::cli::{Global, duration};
use crate::commands::leaf::state_name;
use crate::commands::status;
use crate::format::{self, Align};
use crate::output;
use crate::placement::{Asked, Placement, group_name, leaf_name};
use crate::serve::ConfigArgs;

/// What to do with partitions.
#[derive(Debug, Subcommand)]
pub(crate) enum PartitionCommand {
    /// List the replicas of partitions: where they are and how far
    #[command(
        after_help = "Examples:\n  nautilus partition list --config cluster.toml\n  nautilus partition list --group a"
    )]
    List(ListArgs),
    /// Show one partition in every group, with how long its recovery takes or would take
    #[command(after_help = "Example:\n  nautilus partition show 3")]
    Show(WhichArgs),
    /// Say why a partition is where it is, and what will become of it
    #[command(after_help = "Example:\n  nautilus partition explain 3 --group b")]
    Explain(WhichArgs),
    /// Move a partition to another leaf: it is served where it is until it is served there
    #[command(after_help = "\
Examples:
  nautilus partition move 3 --group b --dry-run
  nautilus partition move 3 --group b --to leaf-b-2 --watch")]
    Move {
        #[command(flatten)]
        which: AskArgs,
        /// Which leaf; without one the coordinator chooses
        #[arg(long, value_name = "LEAF", value_parser = leaf_name)]
        to: Option<LeafName>,
    },
    /// Build a partition anew on another leaf, from the newest snapshot and the log; or rehearse that
    #[command(after_help = "\
It is served where it is until the new replica has caught up. Nothing is taken from the disk it has now.

A rehearsal builds it in this process, from the same snapshot and log, in a folder that goes again, and compares what
came of it with the replica that serves. Run it on the machine of an idle leaf, with the cluster's configuration.

Examples:
  nautilus partition recover 3 --group b --dry-run   what would follow, and how long it would take
  nautilus partition recover 3 --group b --watch
  nautilus partition recover 3 --group b --rehearse --config cluster.toml --folder /var/tmp/rehearsal")]
    Recover {
        #[command(flatten)]
        which: AskArgs,
        /// Build it here, compare it, and drop it
        #[arg(long, conflicts_with_all = ["watch", "dry_run"])]
        rehearse: bool,
        /// Where a rehearsal keeps it meanwhile; must not exist
        #[arg(long, value_name = "DIR", default_value = "rehearsal")]
        folder: PathBuf,
    },
    /// List the records that every replica passes over
    Skipped(skipped::SkippedArgs),
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

/// Which one, to look at.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Its number
    partition: u32,
    /// Only in this replica group
    #[arg(long, value_name = "NAME", value_parser = group_name)]
    group: Option<GroupName>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Which one, to be moved.
#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// Its number
    partition: u32,
    /// In which replica group; may be left out where there is one
    #[arg(long, value_name = "NAME", value_parser = group_name)]
    group: Option<GroupName>,
    /// Show how it goes until the new leaf serves
    #[arg(long)]
    watch: bool,
    /// How long --watch, or a rehearsal, waits at most
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    wait: Duration,
    #[command(flatten)]
    asked: Asked,
}

/// Does it.
pub(crate) async fn run(global: &Global, command: PartitionCommand) -> anyhow::Result<()> {
    match command {
        PartitionCommand::List(args) => list(global, &args).await,
        PartitionCommand::Skipped(args) => skipped::run(global, &args).await,
        PartitionCommand::Show(args) => show::run(global, &args).await,
        PartitionCommand::Explain(args) => show::explain(global, &args).await,
        PartitionCommand::Move { which, to } => {
            let partition = PartitionId(which.partition);
            let note = which.asked.note();
            ask(global, &which, Change::Move { partition, to, note }).await
        }
        PartitionCommand::Recover { which, rehearse: true, folder } => {
            rehearse::run(global, &which, &folder).await
        }
        PartitionCommand::Recover { which, rehearse: false, folder: _ } => {
            let partition = PartitionId(which.partition);
            let note = which.asked.note();
            ask(global, &which, Change::Recover { partition, note }).await
        }
    }
}

async fn groups(
    placement: &Placement,
    group: Option<&GroupName>,
) -> anyhow::Result<Vec<GroupSnapshot>> {
    match group {
        Some(group) => Ok(vec![placement.group(group).await?]),
        None => placement.groups().await,
    }
}

/// What leaves say of their replicas. Where nobody can be asked, what the registry says must do.
async fn replicas(global: &Global) -> Vec<PartitionStatus> {
    match status::fetch(global).await {
        Ok(status) => status.partitions,
        Err(error) => {
            let error = output::clean_line(&format!("{error:#}"));
            output::complain(&format!("note: offsets and rates are not shown: {error}"));
            Vec::new()
        }
    }
}

/// What the leaf that owns it says of a partition.
fn of_owner<'a>(
    replicas: &'a [PartitionStatus],
    group: &GroupName,
    report: &PartitionReport,
) -> Option<&'a PartitionStatus> {
    let owner = &report.assignment.as_ref()?.owner.leaf;
    let is_its = |it: &&PartitionStatus| {
        number(it) == report.partition.0
            && it.replica_group == group.as_str()
            && it.leaf == owner.as_str()
    };
    replicas.iter().find(is_its)
}

async fn list(global: &Global, args: &ListArgs) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.config).await?;
    let groups = groups(&placement, args.group.as_ref()).await?;
    let replicas = replicas(global).await;
    let mut reports: Vec<(&GroupSnapshot, PartitionReport)> = groups
        .iter()
        .flat_map(|group| group.partitions().into_iter().map(move |it| (group, it)))
        .collect();
    reports.sort_by_key(|(_, report)| report.partition);
    output::print(
        global,
        || {
            let columns = [
                ("partition", Align::Right),
                ("group", Align::Left),
                ("state", Align::Left),
                ("leaf", Align::Left),
                ("epoch", Align::Right),
                ("applied", Align::Right),
                ("lag", Align::Right),
                ("documents", Align::Right),
                ("moving", Align::Left),
            ];
            let rows = reports.iter().map(|(group, report)| row(group, report, &replicas));
            format::table(&columns, &rows.collect::<Vec<_>>())
        },
        || reports.iter().map(|(group, report)| report_json(group, report, &replicas)).collect(),
    )?;
    Ok(())
}

fn row(
    group: &GroupSnapshot,
    report: &PartitionReport,
    replicas: &[PartitionStatus],
) -> Vec<String> {
    let told = of_owner(replicas, group.group(), report);
    let of_told = |of: &dyn Fn(&PartitionStatus) -> u64| {
        told.map_or(String::new(), |it| format::count(of(it)))
    };
    let assignment = report.assignment.as_ref();
    vec![
        report.partition.0.to_string(),
        group.group().to_string(),
        state(report).to_owned(),
        assignment.map_or(String::new(), |it| it.owner.leaf.to_string()),
        assignment.map_or(String::new(), |it| it.owner.epoch.0.to_string()),
        of_told(&next_offset),
        of_told(&|it| it.log_high_offset.saturating_sub(next_offset(it))),
        of_told(&|it| it.documents),
        moving(report),
    ]
}

/// How far the owner is.
fn state(report: &PartitionReport) -> &'static str {
    match (&report.assignment, report.owner_state) {
        (None, _) => "UNASSIGNED",
        (Some(_), None) => "SILENT",
        (Some(_), Some(state)) => state_name(state),
    }
}

fn moving(report: &PartitionReport) -> String {
    let retiring = report.assignment.as_ref().and_then(|it| it.retiring.as_ref());
    match (retiring, &report.request) {
        (Some(retiring), _) => format!("from {}, which serves until then", retiring.leaf),
        (None, Some(request)) => {
            format!("asked for by {}", output::clean_line(&request.note.owner))
        }
        (None, None) => String::new(),
    }
}

fn report_json(
    group: &GroupSnapshot,
    report: &PartitionReport,
    replicas: &[PartitionStatus],
) -> Value {
    let assignment = report.assignment.as_ref();
    let told = of_owner(replicas, group.group(), report);
    let retiring = assignment.and_then(|it| it.retiring.as_ref());
    let announced = report.replicas.iter().map(|it| {
        json!({
            "leaf": it.leaf.as_str(),
            "epoch": it.epoch.0,
            "state": state_name(it.state),
            "build": it.build,
        })
    });
    let note =
        |note: &nautilus_registry::layout::Note| json!({ "by": note.owner, "reason": note.reason });
    json!({
        "partition": report.partition.0,
        "replica_group": group.group().as_str(),
        "state": state(report),
        "leaf": assignment.map(|it| it.owner.leaf.as_str()),
        "epoch": assignment.map(|it| it.owner.epoch.0),
        "reason": assignment.map(|it| it.reason.as_str()),
        "is_pinned": assignment.is_some_and(|it| it.is_pinned),
        "retiring": retiring.map(|it| json!({ "leaf": it.leaf.as_str(), "epoch": it.epoch.0 })),
        "replicas": announced.collect::<Vec<_>>(),
        "request": report.request.as_ref().map(|it| json!({
            "to": it.to.as_ref().map(LeafName::as_str),
            "note": note(&it.note),
        })),
        "refused": report.refused.as_ref().map(|it| json!({
            "to": it.to.as_ref().map(LeafName::as_str),
            "why": it.why,
        })),
        "next_offset": told.map(next_offset),
        "log_high_offset": told.map(|it| it.log_high_offset),
        "snapshot_offset": told.map(|it| it.snapshot_offset),
        "documents": told.map(|it| it.documents),
        "disk_bytes": told.map(|it| it.disk_bytes),
        "recovery": told.and_then(|it| it.recovery.as_ref()).map(status::recovery_json),
    })
}

/// Asks for a move or a recovery, and follows it.
async fn ask(global: &Global, args: &AskArgs, change: Change) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.asked.config).await?;
    let group = placement.named_or_only(args.group.as_ref()).await?;
    let partition = PartitionId(args.partition);
    let what = match &change {
        Change::Recover { .. } => "be built anew on another leaf",
        Change::Move { .. }
        | Change::Cordon { .. }
        | Change::Uncordon { .. }
        | Change::Withdraw { .. }
        | Change::Standing { .. }
        | Change::Build { .. } => "move",
    };
    if args.asked.dry_run || args.watch {
        let replicas = replicas(global).await;
        let estimate = Rates::of(&replicas).of_recovery(&replicas, partition.0);
        output::complain(&format!("a recovery takes {}", estimate.text()));
    }
    let done = format!("asked for partition {partition} of group {group} to {what}");
    let applied = placement.carry_out(global, &args.asked, &group, &change, &done).await?;
    match applied.filter(|_| args.watch) {
        Some(applied) => {
            let asked = watch::Asked { group, partition, at: applied.revision, wait: args.wait };
            watch::follow(global, &placement, &asked).await
        }
        None => Ok(()),
    }
}
