//! A recovery rehearsed: a partition built in this process from the newest snapshot and the log, compared with the
//! replica that serves, and dropped. The cluster hears nothing of it: its registry is a file of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_registry::layout::{GroupBuild, GroupName};
use nautilus_service::Clock;
use nautilus_types::{Class, PartitionId};
use serde_json::json;

use super::AskArgs;
use super::estimate::{next_offset, number};
use crate::cli::Global;
use crate::commands::status;
use crate::config::ProcessConfig;
use crate::exit::Failure;
use crate::format;
use crate::output;
use crate::placement::{LOOK_AGAIN, Placement};
use crate::private_leaf::{Duty, PrivateLeaf};

const NAME: &str = "rehearsal";
/// Longer than any rehearsal: what is built here is never published.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);
/// How long a moment is waited for in which both replicas are at the same offset.
const COMPARE_TIME_MAX: Duration = Duration::from_secs(60);

/// Rehearses it in `folder`, which must not exist and goes again.
pub(super) async fn run(global: &Global, args: &AskArgs, folder: &Path) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.asked.config).await?;
    let group = placement.named_or_only(args.group.as_ref()).await?;
    let partition = PartitionId(args.partition);
    // Somebody must serve it to be compared with.
    serving(global, &group, partition).await?;
    let config = args.asked.config.load().context("read the configuration")?;
    let build = placement.group(&group).await?.group_build().cloned();
    fs::create_dir(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    let scratch = Scratch(folder.to_owned());
    let rehearsed = rehearse(global, args, &config, (&group, build), &scratch.0).await;
    drop(scratch);
    rehearsed
}

async fn rehearse(
    global: &Global,
    args: &AskArgs,
    config: &ProcessConfig,
    (group, build): (&GroupName, Option<GroupBuild>),
    folder: &Path,
) -> anyhow::Result<()> {
    let clock = Clock::system();
    let duty = Duty {
        name: NAME,
        folder,
        partitions: &[PartitionId(args.partition)],
        build,
        snapshot_interval: NEVER,
    };
    let leaf = PrivateLeaf::start(config, duty, &clock).await?;
    let compared = build_and_compare(global, args, &leaf, group, &clock).await;
    let stopped = leaf.stop().await;
    compared.and(stopped)
}

async fn build_and_compare(
    global: &Global,
    args: &AskArgs,
    leaf: &PrivateLeaf,
    group: &GroupName,
    clock: &Clock,
) -> anyhow::Result<()> {
    let partition = PartitionId(args.partition);
    let began = clock.now();
    let took = || clock.now().saturating_duration_since(began);
    let mut said = String::new();
    let built = loop {
        let own = own_status(leaf, partition).await.unwrap_or_default();
        match own.state.as_str() {
            "SERVING" => break own,
            "FAILED" => {
                let message = format!("the recovery failed: {}", own.detail);
                return Err(Failure::new(Class::Corrupt, message).into());
            }
            state if state != said => {
                output::complain(&format!("{:>8}  {state}", format::took(took())));
                state.clone_into(&mut said);
            }
            _ => {}
        }
        if took() >= args.wait {
            return Err(Failure::new(Class::Deadline, "not rebuilt in the time given").into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    let rebuilt = took();
    output::complain(&format!("{:>8}  rebuilt; comparing", format::took(rebuilt)));
    let until = clock.now() + COMPARE_TIME_MAX;
    let (own, other) = loop {
        if let Some(pair) = at_one_offset(global, leaf, group, partition).await? {
            break pair;
        }
        if clock.now() >= until {
            let message = "rebuilt, but not compared: records come too fast for one moment at the same offset";
            return Err(Failure::new(Class::Precondition, message).into());
        }
    };
    let is_equal = (own.documents, own.namespaces) == (other.documents, other.namespaces);
    let recovery = built.recovery.unwrap_or_default();
    let text = || {
        format!(
            "partition {partition} was rebuilt in {}: {} downloaded, {} replayed\nat offset {} it has {} in {}; {} \
             has {} in {}: {}",
            format::took(rebuilt),
            format::size(recovery.downloaded_bytes),
            format::counted(
                recovery.replay_until_offset.saturating_sub(recovery.replay_from_offset),
                "record"
            ),
            format::count(next_offset(&own)),
            format::counted(own.documents, "document"),
            format::counted(own.namespaces, "namespace"),
            other.leaf,
            format::counted(other.documents, "document"),
            format::counted(other.namespaces, "namespace"),
            if is_equal { "equal" } else { "NOT EQUAL" },
        )
    };
    let counts =
        |it: &PartitionStatus| json!({ "documents": it.documents, "namespaces": it.namespaces });
    let json = || {
        json!({
            "partition": partition.0,
            "replica_group": group.as_str(),
            "seconds": rebuilt.as_secs_f64(),
            "recovery": status::recovery_json(&recovery),
            "next_offset": next_offset(&own),
            "rebuilt": counts(&own),
            "serving": counts(&other),
            "leaf": other.leaf,
            "is_equal": is_equal,
        })
    };
    output::print(global, text, json)?;
    if !is_equal {
        let message = "the rebuilt replica is not what the serving one is";
        return Err(Failure::new(Class::Corrupt, message).into());
    }
    Ok(())
}

/// Both replicas, if neither moved while both were looked at twice.
async fn at_one_offset(
    global: &Global,
    leaf: &PrivateLeaf,
    group: &GroupName,
    partition: PartitionId,
) -> anyhow::Result<Option<(PartitionStatus, PartitionStatus)>> {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let Some(own) = own_status(leaf, partition).await else { return Ok(None) };
        seen.push((own, serving(global, group, partition).await?));
    }
    let mut offsets = seen.iter().flat_map(|(own, other)| [next_offset(own), next_offset(other)]);
    let first = offsets.next();
    let is_still = offsets.all(|offset| Some(offset) == first);
    Ok(seen.into_iter().next().filter(|_| is_still))
}

async fn own_status(leaf: &PrivateLeaf, partition: PartitionId) -> Option<PartitionStatus> {
    leaf.partitions().await.into_iter().find(|it| number(it) == partition.0)
}

/// The replica of the group that serves.
async fn serving(
    global: &Global,
    group: &GroupName,
    partition: PartitionId,
) -> anyhow::Result<PartitionStatus> {
    let replicas = status::fetch(global).await?.partitions;
    let mut its = replicas.into_iter().filter(|it| {
        number(it) == partition.0 && it.replica_group == group.as_str() && it.state == "SERVING"
    });
    let message = || format!("no leaf of group {group} serves partition {partition}");
    its.next().ok_or_else(|| Failure::new(Class::Precondition, message()).into())
}

/// A folder that goes with the rehearsal.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            output::complain(&format!("note: {} stays: {error}", self.0.display()));
        }
    }
}
