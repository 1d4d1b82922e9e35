//! `nautilus repo`: whether the index repository keeps its promises, and what in it may go.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use nautilus_index_repository::{
    Collected, GRACE, ObjectName, Promises, Retention, Snapshots, check_promises,
};
use nautilus_service::Clock;
use nautilus_types::PartitionId;
use serde_json::json;

use crate::cli::Global;
use crate::serve::ConfigArgs;
use crate::{format, output};

const DAY_MS: u64 = 24 * 3_600_000;

/// What to do with the index repository.
#[derive(Debug, Subcommand)]
pub(crate) enum RepoCommand {
    /// Hammer the repository in a folder of its own and say whether it keeps what snapshots stand on
    #[command(after_help = "\
Several create one object at once while others read it; what is there is listed, read in parts, created
again, deleted. A service that honours a condition when asked alone may not when several ask: run it
against a new kind of store, for a minute, before snapshots are kept there. What it makes it removes.

Exit code 0: every promise was kept. 1: one was broken, or not everything could be looked at.

Examples:
  nautilus repo check --config cluster.toml
  nautilus repo check --config cluster.toml --seconds 60 --output json")]
    Check(CheckArgs),
    /// Remove snapshots that newer ones replaced, and files that nothing has named for a day
    #[command(after_help = "\
Of each partition, build and set of slots the newest sound snapshots stay, whatever else is said; leaves
and promoted builds begin from these. Files of what is removed stay for a day, for whoever is about to use them
again, and go when this is run later.

Examples:
  nautilus repo gc --config cluster.toml --dry-run
  nautilus repo gc --config cluster.toml --keep 3 --keep-days 7
  nautilus repo gc --config cluster.toml --partitions 0-15")]
    Gc(GcArgs),
}

/// How long to check.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// How long to go on; everything is done at least once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
}

/// What stays.
#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Snapshots that stay of each partition, build and set of slots
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,

    /// Also keep those of the last days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    keep_days: Option<u64>,

    /// Of these partitions, such as 7 or 0-15 [default: all there are]
    #[arg(long, value_name = "FIRST-LAST", value_parser = partitions)]
    partitions: Option<(u32, u32)>,

    /// Say what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(global: &Global, command: RepoCommand) -> anyhow::Result<ExitCode> {
    match command {
        RepoCommand::Check(args) => check(global, &args).await,
        RepoCommand::Gc(args) => gc(global, &args).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn check(global: &Global, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load().context("read the configuration")?;
    let repository = config.index_repository.open(None).await?;
    let clock = Clock::system();
    // Two who check at one time must not meet.
    let scratch = format!("repo-check/{}-{}", clock.unix_time().as_nanos(), std::process::id());
    let scratch = ObjectName::new(scratch)?;
    let time = Duration::from_secs(args.seconds);
    let promises = check_promises(repository, &scratch, time)
        .await
        .with_context(|| format!("check the index repository; objects may be left in {scratch}"))?;
    output::print(global, || describe(&promises), || as_json(&promises))?;
    Ok(if promises.are_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(promises: &Promises) -> String {
    let mut text = String::new();
    for promise in &promises.promises {
        let said = match (promise.checked, promise.broken) {
            (0, _) => "not checked".to_owned(),
            (_, 0) => "kept".to_owned(),
            (_, broken) => format!("BROKEN {} times", format::count(broken)),
        };
        let times = format::count(promise.checked);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{said:<18} of {times:>7}  {}", promise.name);
        if let Some(example) = &promise.example {
            let _ = writeln!(text, "{:31}{}", "", output::clean_line(example));
        }
    }
    let rounds = format::counted(promises.rounds, "round");
    let _ = write!(text, "{rounds}");
    if promises.unanswered > 0 {
        let unanswered = format::counted(promises.unanswered, "round");
        let _ = write!(text, "; {unanswered} given up, as the repository did not answer");
    }
    text
}

fn as_json(promises: &Promises) -> serde_json::Value {
    let of = |promise: &nautilus_index_repository::Promise| {
        json!({
            "promise": promise.name,
            "checked": promise.checked,
            "broken": promise.broken,
            "example": promise.example,
        })
    };
    json!({
        "kept": promises.are_kept(),
        "rounds": promises.rounds,
        "unanswered": promises.unanswered,
        "promises": promises.promises.iter().map(of).collect::<Vec<_>>(),
    })
}

/// What went, or would go, of one partition.
struct Tidied {
    partition: PartitionId,
    snapshots: Vec<String>,
    collected: Collected,
}

async fn gc(global: &Global, args: &GcArgs) -> anyhow::Result<()> {
    let config = args.config.load().context("read the configuration")?;
    let (cluster_id, _) = config.cluster.identity()?;
    let snapshots = Snapshots::new(config.index_repository.open(None).await?, cluster_id);
    // Ages are by the repository's clock. Where nothing may be written it cannot be asked.
    let now = if args.dry_run {
        Clock::system().unix_ms()
    } else {
        snapshots.repository_unix_ms().await.context("ask the repository for the time")?
    };
    let kept_ms = args.keep_days.map(|days| days.saturating_mul(DAY_MS));
    let retention = Retention {
        keep: usize::from(args.keep),
        since_unix_ms: kept_ms.map(|kept_ms| now.saturating_sub(kept_ms)),
    };
    let (first, last) = args.partitions.unwrap_or((0, u32::MAX));
    let mut tidied = Vec::new();
    for partition in snapshots.partitions().await.context("list the partitions")? {
        if (first..=last).contains(&partition.0) {
            let outcome = tidy(&snapshots, partition, &retention, now, args.dry_run).await;
            tidied.push(outcome.with_context(|| format!("tidy up partition {}", partition.0))?);
        }
    }
    output::print(
        global,
        || describe_gc(&tidied, args.dry_run),
        || gc_as_json(&tidied, args.dry_run),
    )?;
    Ok(())
}

async fn tidy(
    snapshots: &Snapshots,
    partition: PartitionId,
    retention: &Retention,
    now_unix_ms: u64,
    is_dry_run: bool,
) -> anyhow::Result<Tidied> {
    let grace_ms = u64::try_from(GRACE.as_millis())?;
    let older_than = now_unix_ms.saturating_sub(grace_ms);
    let (removed, collected) = if is_dry_run {
        let replaced = snapshots.replaced(partition, retention).await?;
        (replaced, snapshots.collectable(partition, older_than).await?)
    } else {
        let replaced = snapshots.retire_replaced(partition, retention).await?;
        (replaced, snapshots.collect(partition, older_than).await?)
    };
    let names = removed.iter().map(|name| name.as_str().to_owned()).collect();
    Ok(Tidied { partition, snapshots: names, collected })
}

fn describe_gc(tidied: &[Tidied], is_dry_run: bool) -> String {
    let mut text = String::new();
    let (mut snapshots, mut files, mut bytes): (u64, u64, u64) = (0, 0, 0);
    for Tidied { partition, snapshots: names, collected } in tidied {
        snapshots = snapshots.saturating_add(u64::try_from(names.len()).unwrap_or(u64::MAX));
        files = files.saturating_add(collected.files);
        bytes = bytes.saturating_add(collected.bytes);
        for name in names {
            // Writing to a string cannot fail.
            let _ =
                writeln!(text, "partition {}: snapshot {}", partition.0, output::clean_line(name));
        }
        if collected.files > 0 {
            let (files, size) =
                (format::counted(collected.files, "file"), format::size(collected.bytes));
            let _ = writeln!(text, "partition {}: {files}, {size}", partition.0);
        }
    }
    let (snapshots, files) =
        (format::counted(snapshots, "snapshot"), format::counted(files, "file"));
    let done = if is_dry_run { "would be removed" } else { "removed" };
    let partitions = u64::try_from(tidied.len()).unwrap_or(u64::MAX);
    let (partitions, size) = (format::counted(partitions, "partition"), format::size(bytes));
    let _ = write!(text, "{snapshots} and {files} ({size}) of {partitions} {done}");
    text
}

fn gc_as_json(tidied: &[Tidied], is_dry_run: bool) -> serde_json::Value {
    let of = |tidied: &Tidied| {
        json!({
            "partition": tidied.partition.0,
            "snapshots": tidied.snapshots,
            "files": tidied.collected.files,
            "bytes": tidied.collected.bytes,
        })
    };
    json!({ "dry_run": is_dry_run, "partitions": tidied.iter().map(of).collect::<Vec<_>>() })
}

/// `7` or `0-15`, for clap.
fn partitions(text: &str) -> Result<(u32, u32), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number =
        |text: &str| text.parse::<u32>().map_err(|_| format!("\"{text}\" is no partition"));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err("the first is above the last".to_owned());
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests;
