//! `nautilus indexbuilder snapshot`: newest snapshot + log → new snapshot, without the leaves that serve.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use nautilus_index_repository::{LOG_BUILD, Snapshots};
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_registry::layout::{BuildRef, GroupBuild, Note};
use nautilus_service::signals::Signals;
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::{Class, PartitionId};
use serde_json::json;

use crate::cli::{Global, duration};
use crate::commands::build::range;
use crate::config::ProcessConfig;
use crate::exit::Failure;
use crate::format;
use crate::output;
use crate::placement::LOOK_AGAIN;
use crate::private_leaf::{Duty, PrivateLeaf};
use crate::serve::ConfigArgs;

/// Its name, and what manifests say who uploaded.
const NAME: &str = "snapshot";
/// With no schedule: as soon as it has caught up.
const AT_ONCE: Duration = Duration::from_millis(500);
const SIGNALS_DRAIN: Duration = Duration::from_secs(5);

/// How often, of what, and where.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --every each partition is published once, at the end that the log had at the start or later. With it this goes
on until it is stopped; a partition without new records is left alone. Its folder may be kept: then only new records
are applied next time. Leaves publish snapshots too (leaf.snapshot_interval); where this runs they can do so seldom.
A line is printed, and the exit code is 1, where a snapshot is nearer to being trimmed from than to the log's end.

Examples:
  nautilus indexbuilder snapshot --config cluster.toml --folder /var/tmp/snapshot
  nautilus indexbuilder snapshot --config cluster.toml --folder /var/tmp/snapshot --every 30m --partitions 0-15")]
pub(crate) struct SnapshotArgs {
    /// How often, such as 30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Option<Duration>,

    /// Only these, such as 0-15 or 3
    #[arg(long, value_name = "FIRST-LAST", value_parser = range)]
    partitions: Option<(u32, u32)>,

    /// The build whose snapshots are made
    #[arg(long, value_name = "NAME", default_value = LOG_BUILD)]
    build: String,

    /// A folder with room for the partitions
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,

    /// How long it may take without --every
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    wait: Duration,

    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs it.
pub(crate) async fn run(global: &Global, args: &SnapshotArgs) -> anyhow::Result<()> {
    let config = args.config.load().context("read the configuration")?;
    let clock = Clock::system();
    let count = config.cluster.partitions;
    let (first, last) = args.partitions.unwrap_or((0, count.saturating_sub(1)));
    if last >= count {
        let message = format!("there are {count} partitions");
        return Err(Failure::new(Class::Invalid, message).into());
    }
    let partitions: Vec<PartitionId> = (first..=last).map(PartitionId).collect();
    let build = build(&config, &args.build, &partitions, &clock).await?;
    std::fs::create_dir_all(&args.folder)
        .with_context(|| format!("make the folder {}", args.folder.display()))?;
    let stopped = CancellationToken::new();
    let mut signals = TaskGroup::new(&stopped);
    let handlers = Signals::install().context("handle signals")?;
    let shutdown = stopped.clone();
    signals.spawn("watch-signals", |stop| handlers.watch(shutdown, stop));
    let duty = Duty {
        name: NAME,
        folder: &args.folder,
        partitions: &partitions,
        build,
        snapshot_interval: args.every.unwrap_or(AT_ONCE),
    };
    let leaf = PrivateLeaf::start(&config, duty, &clock).await?;
    let published = publish(global, args, &leaf, partitions.len(), &clock, &stopped).await;
    let ended = leaf.stop().await;
    stopped.cancel();
    signals.drain(SIGNALS_DRAIN).await.log_laggards();
    published.and(ended)
}

/// What a group would be told to serve; none for what is fed from the log alone.
async fn build(
    config: &ProcessConfig,
    name: &str,
    partitions: &[PartitionId],
    clock: &Clock,
) -> anyhow::Result<Option<GroupBuild>> {
    if name == LOG_BUILD {
        return Ok(None);
    }
    let (cluster_id, _) = config.cluster.identity()?;
    let snapshots = Snapshots::new(config.index_repository.open(None).await?, cluster_id);
    for &partition in partitions {
        let manifests = snapshots.manifests(partition).await?;
        if let Some(its) = manifests.iter().find(|manifest| manifest.draft.build == name) {
            let analyzer_version = its.draft.analyzer_version;
            return Ok(Some(GroupBuild {
                build: BuildRef { name: Some(name.to_owned()), analyzer_version },
                previous: None,
                note: Note { owner: NAME.to_owned(), reason: String::new() },
                placed_unix_ms: clock.unix_ms(),
            }));
        }
    }
    let message =
        format!("the repository has no build \"{name}\"; `nautilus build list` names those it has");
    Err(Failure::new(Class::NotFound, message).into())
}

/// Where the log ended when a partition was first looked at, and what was said of it.
#[derive(Default)]
struct Seen {
    target: Option<u64>,
    state: String,
    snapshot: u64,
    is_done: bool,
    is_late: bool,
}

async fn publish(
    global: &Global,
    args: &SnapshotArgs,
    leaf: &PrivateLeaf,
    count: usize,
    clock: &Clock,
    stopped: &CancellationToken,
) -> anyhow::Result<()> {
    let began = clock.now();
    let mut seen: BTreeMap<u32, Seen> = BTreeMap::new();
    loop {
        for status in leaf.partitions().await {
            let partition = status.label.as_ref().map_or(0, |label| label.partition);
            look(partition, &status, seen.entry(partition).or_default())?;
        }
        let done = seen.values().filter(|seen| seen.is_done).count();
        if (args.every.is_none() && done == count) || stopped.is_cancelled() {
            break;
        }
        if args.every.is_none() && clock.now().saturating_duration_since(began) >= args.wait {
            let message = format!("{done} of {count} partitions published in the time given");
            return Err(Failure::new(Class::Deadline, message).into());
        }
        tokio::select! {
            () = stopped.cancelled() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
    let text = || {
        let done = seen.values().filter(|seen| seen.is_done).count();
        let took = clock.now().saturating_duration_since(began);
        format!("{} in {}", format::counted(done as u64, "fresh partition"), format::took(took))
    };
    let json = || {
        let partitions = seen.iter().map(|(partition, seen)| {
            json!({ "partition": partition, "snapshot_offset": seen.snapshot, "is_late": seen.is_late })
        });
        json!({ "partitions": partitions.collect::<Vec<_>>() })
    };
    output::print(global, text, json)?;
    if seen.values().any(|seen| seen.is_late) {
        let message = "a snapshot is nearer to the log's beginning than to its end: publish more often, or keep more";
        return Err(Failure::new(Class::Precondition, message).into());
    }
    Ok(())
}

/// Says what changed of a partition.
fn look(partition: u32, status: &PartitionStatus, seen: &mut Seen) -> anyhow::Result<()> {
    if status.state == "FAILED" {
        let message = format!("partition {partition} failed: {}", status.detail);
        return Err(Failure::new(Class::Corrupt, message).into());
    }
    if status.state != seen.state {
        status.state.clone_into(&mut seen.state);
        output::complain(&format!("partition {partition}: {}", status.state));
    }
    if status.state != "SERVING" {
        return Ok(());
    }
    let target = *seen.target.get_or_insert(status.log_high_offset);
    if status.snapshot_offset != seen.snapshot {
        seen.snapshot = status.snapshot_offset;
        let offset = format::count(status.snapshot_offset);
        output::complain(&format!("partition {partition}: newest snapshot at offset {offset}"));
    }
    // A partition that nothing was written to has none.
    seen.is_done = status.snapshot_offset >= target;
    let is_late = is_late(status);
    if is_late && !seen.is_late {
        let (low, high) =
            (format::count(status.log_low_offset), format::count(status.log_high_offset));
        output::complain(&format!(
            "ALARM: partition {partition}: the newest snapshot is at offset {}, the log goes from {low} to {high}",
            format::count(status.snapshot_offset),
        ));
    }
    seen.is_late = is_late;
    Ok(())
}

/// Less than half of what the log keeps is left before the snapshot's successor is trimmed.
fn is_late(status: &PartitionStatus) -> bool {
    let kept = status.log_high_offset.saturating_sub(status.log_low_offset);
    let left = status.snapshot_offset.saturating_sub(status.log_low_offset);
    // A log that was never trimmed loses nothing.
    status.log_low_offset > 0 && left.saturating_mul(2) < kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_is_what_has_less_than_half_left() {
        let late = |low, snapshot, high| {
            is_late(&PartitionStatus {
                log_low_offset: low,
                snapshot_offset: snapshot,
                log_high_offset: high,
                ..PartitionStatus::default()
            })
        };
        assert!(late(100, 149, 200) && late(100, 0, 200));
        assert!(!late(100, 150, 200) && !late(100, 200, 200) && !late(0, 0, 200));
    }
}
