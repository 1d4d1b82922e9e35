//! `nautilus status`: the cluster on one screen.

mod watch;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use nautilus_proto::admin::v1::{
    GetStatusRequest, GetStatusResponse, LeafSummary, PartitionStatus, RecoveryStatus,
    ReplicaGroupStatus,
};
use nautilus_service::{Clock, class_of};
use nautilus_types::Class;
use serde_json::{Value, json};

use crate::cli::{Global, duration};
use crate::client::Client;
use crate::credentials::Caller;
use crate::exit::Failure;
use crate::format::{self, Align};
use crate::{location, output, wire_json};

/// How often `--wait` looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

const SERVING: &str = "SERVING";
const DRAINED: &str = "DRAINED";

/// How to look.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nautilus status
  nautilus status --watch                             every second, until Ctrl-C
  nautilus status --wait 30s && nautilus search fox   go on once everything serves and is caught up")]
pub(crate) struct StatusArgs {
    /// Wait at most this long until every partition serves and has applied its whole log
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,

    /// Look again every second until stopped; with --output json one value a line
    #[arg(long, conflicts_with = "wait")]
    watch: bool,
}

/// Looks, once, until all is well, or on and on.
pub(crate) async fn run(global: &Global, args: StatusArgs) -> anyhow::Result<()> {
    if args.watch {
        return watch::run(global).await;
    }
    let clock = Clock::system();
    let until = args.wait.map(|wait| clock.now() + wait);
    let mut explained = false;
    loop {
        let time_is_left = until.is_some_and(|until| clock.now() < until);
        if time_is_left && !is_told(global) {
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        }
        let looked = look(global, &mut explained).await;
        match looked {
            Ok(status) if until.is_none() || is_settled(&status) => {
                return Ok(output::print(global, || screen(&status), || status_json(&status))?);
            }
            Ok(status) if !time_is_left => {
                output::print(global, || screen(&status), || status_json(&status))?;
                let message = "not every partition serves and is caught up in the time given";
                return Err(Failure::new(Class::Deadline, message).into());
            }
            Err(error) if !time_is_left || !may_pass(&error) => return Err(error),
            Ok(_) | Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Whether it is known where to look: a `nautilus dev` that is starting or has stopped does not say where it is, and what
/// listens at the usual address may be another one.
fn is_told(global: &Global) -> bool {
    global.token.is_some() || location::is_known(global)
}

/// How every replica is, once.
pub(crate) async fn fetch(global: &Global) -> anyhow::Result<GetStatusResponse> {
    look(global, &mut false).await
}

async fn look(global: &Global, explained: &mut bool) -> anyhow::Result<GetStatusResponse> {
    // A new connection for each look: with --wait the process may not be there yet.
    let client = Client::connect(global).await?;
    if !*explained {
        *explained = true;
        client.explain("nautilus.admin.v1.ClusterService/GetStatus", Caller::Operator, &json!({}));
    }
    let request = client.request(GetStatusRequest {}, Caller::Operator)?;
    Ok(client.cluster().get_status(request).await?.into_inner())
}

/// Whether the error says that the cluster is not there yet.
fn may_pass(error: &anyhow::Error) -> bool {
    let class = error.chain().find_map(|cause| {
        let of_status = cause.downcast_ref::<tonic::Status>().map(class_of);
        of_status.or_else(|| cause.downcast_ref::<Failure>().map(Failure::class))
    });
    class.is_some_and(|class| class.is_retryable() || class == Class::Deadline)
}

fn is_settled(status: &GetStatusResponse) -> bool {
    !status.partitions.is_empty()
        && status.partitions.iter().all(|partition| {
            partition.state == SERVING && next_offset(partition) >= partition.log_high_offset
        })
}

fn next_offset(partition: &PartitionStatus) -> u64 {
    partition.label.as_ref().map_or(0, |label| label.next_offset)
}

fn lag(partition: &PartitionStatus) -> u64 {
    partition.log_high_offset.saturating_sub(next_offset(partition))
}

fn screen(status: &GetStatusResponse) -> String {
    let partitions = &status.partitions;
    let serving = partitions.iter().filter(|partition| partition.state == SERVING).count();
    let worst_records = partitions.iter().map(lag).max().unwrap_or(0);
    let worst_ms = partitions.iter().map(|partition| partition.lag_ms).max().unwrap_or(0);
    let disk_bytes: u64 = partitions.iter().map(|partition| partition.disk_bytes).sum();
    let mut text = format!(
        "cluster {}  version {}  log generation {}\n{serving} of {} replicas serving  \
         worst lag {} ({})\n{}  {}  {} on disk, all replicas together\n",
        short_id(&status.cluster_id),
        status.version,
        status.log_generation,
        partitions.len(),
        format::counted(worst_records, "record"),
        format::took(Duration::from_millis(worst_ms)),
        format::counted(once(partitions, |partition| partition.namespaces), "namespace"),
        format::counted(once(partitions, |partition| partition.documents), "document"),
        format::size(disk_bytes),
    );
    text.push_str(&groups(status));
    text.push('\n');
    let columns = [
        ("partition", Align::Right),
        ("group", Align::Left),
        ("state", Align::Left),
        ("leaf", Align::Left),
        ("epoch", Align::Right),
        ("applied", Align::Right),
        ("durable", Align::Right),
        ("log", Align::Right),
        ("lag", Align::Right),
        ("documents", Align::Right),
        ("disk", Align::Right),
    ];
    let rows: Vec<Vec<String>> = partitions.iter().map(row).collect();
    text.push_str(&format::table(&columns, &rows));
    for partition in partitions.iter().filter(|partition| !partition.detail.is_empty()) {
        let number = partition.label.as_ref().map_or(0, |label| label.partition);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "partition {number}: {}", output::clean_line(&partition.detail));
    }
    let skipped = once(partitions, |partition| u64::try_from(partition.skipped.len()).unwrap_or(0));
    if skipped > 0 {
        let records = format::counted(skipped, "record");
        let _ = writeln!(text, "{records} passed over, see `nautilus partition skipped`");
    }
    text.push_str(&row_bytes(partitions));
    text
}

fn row(partition: &PartitionStatus) -> Vec<String> {
    let label = partition.label.clone().unwrap_or_default();
    vec![
        label.partition.to_string(),
        output::clean_line(&partition.replica_group),
        partition.state.clone(),
        partition.leaf.clone(),
        label.epoch.to_string(),
        format::count(label.next_offset),
        format::count(partition.durable_offset),
        format!(
            "{}..{}",
            format::count(partition.log_low_offset),
            format::count(partition.log_high_offset)
        ),
        format::count(lag(partition)),
        format::count(partition.documents),
        format::size(partition.disk_bytes),
    ]
}

/// Adds up what every replica of a partition has, counting each partition once: by its fullest replica.
fn once(partitions: &[PartitionStatus], of: fn(&PartitionStatus) -> u64) -> u64 {
    let mut most = BTreeMap::<u32, u64>::new();
    for partition in partitions {
        let number = partition.label.as_ref().map_or(0, |label| label.partition);
        let most = most.entry(number).or_default();
        *most = of(partition).max(*most);
    }
    most.values().sum()
}

/// What is wrong with a replica group; nothing where all is well.
fn groups(status: &GetStatusResponse) -> String {
    let mut text = String::new();
    for group in &status.groups {
        let name = output::clean_line(&group.name);
        if group.standing == DRAINED {
            let detail = output::clean_line(&group.standing_detail);
            // Writing to a string cannot fail.
            let _ = write!(text, "group {name} is drained by {detail}");
            if !group.still_needed.is_empty() {
                let numbers = numbers(&group.still_needed);
                let _ = write!(text, "; searches still need it for partition {numbers}");
            }
            text.push('\n');
        }
        if !group.unserved.is_empty() {
            let numbers = numbers(&group.unserved);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "group {name} does not serve partition {numbers}");
        }
        if !group.held_back.is_empty() {
            let why = output::clean_line(&group.held_back);
            let _ = writeln!(text, "group {name} moves nothing: {why}");
        }
        for leaf in group.leaves.iter().filter(|leaf| !leaf.is_reachable) {
            let leaf = output::clean_line(&leaf.name);
            let _ = writeln!(text, "group {name}: leaf {leaf} cannot be reached");
        }
    }
    text
}

fn numbers(partitions: &[u32]) -> String {
    let numbers: Vec<String> = partitions.iter().map(u32::to_string).collect();
    numbers.join(", ")
}

/// What the disk is used for, over all replicas.
fn row_bytes(partitions: &[PartitionStatus]) -> String {
    let mut kinds: Vec<(String, u64)> = Vec::new();
    for row in partitions.iter().flat_map(|partition| &partition.row_bytes) {
        match kinds.iter_mut().find(|(kind, _)| *kind == row.kind) {
            Some((_, bytes)) => *bytes += row.bytes,
            None => kinds.push((row.kind.clone(), row.bytes)),
        }
    }
    if kinds.is_empty() {
        return String::new();
    }
    let parts: Vec<String> =
        kinds.iter().map(|(kind, bytes)| format!("{kind} {}", format::size(*bytes))).collect();
    format!("\nrows: {}\n", parts.join(", "))
}

fn short_id(id: &[u8]) -> String {
    wire_json::hex(id.get(..4).unwrap_or(id))
}

fn status_json(status: &GetStatusResponse) -> Value {
    let partitions = status.partitions.iter().map(|partition| {
        let label = partition.label.clone().unwrap_or_default();
        let rows = partition.row_bytes.iter();
        json!({
            "partition": label.partition,
            "replica_group": partition.replica_group,
            "epoch": label.epoch,
            "next_offset": label.next_offset,
            "build": label.build,
            "leaf": partition.leaf,
            "state": partition.state,
            "detail": partition.detail,
            "durable_offset": partition.durable_offset,
            "log_low_offset": partition.log_low_offset,
            "log_high_offset": partition.log_high_offset,
            "lag_records": lag(partition),
            "lag_ms": partition.lag_ms,
            "namespaces": partition.namespaces,
            "documents": partition.documents,
            "disk_bytes": partition.disk_bytes,
            "recovery": partition.recovery.as_ref().map(recovery_json),
            "skipped_records": partition.skipped.len(),
            "row_bytes": rows
                .map(|row| json!({ "kind": row.kind, "bytes": row.bytes }))
                .collect::<Vec<_>>(),
        })
    });
    json!({
        "cluster_id": wire_json::hex(&status.cluster_id),
        "log_generation": status.log_generation,
        "version": status.version,
        "partitions": partitions.collect::<Vec<_>>(),
        "groups": status.groups.iter().map(group_json).collect::<Vec<_>>(),
    })
}

/// How a recovery goes or went.
pub(crate) fn recovery_json(recovery: &RecoveryStatus) -> Value {
    json!({
        "snapshot_bytes": recovery.snapshot_bytes,
        "downloaded_bytes": recovery.downloaded_bytes,
        "download_ms": recovery.download_ms,
        "replay_from_offset": recovery.replay_from_offset,
        "replay_until_offset": recovery.replay_until_offset,
        "replay_ms": recovery.replay_ms,
        "is_done": recovery.is_done,
    })
}

fn group_json(group: &ReplicaGroupStatus) -> Value {
    let leaf = |leaf: &LeafSummary| {
        json!({
            "name": leaf.name,
            "address": leaf.address,
            "is_reachable": leaf.is_reachable,
            "partitions": leaf.partitions,
        })
    };
    json!({
        "name": group.name,
        "leaves": group.leaves.iter().map(leaf).collect::<Vec<_>>(),
        "unserved": group.unserved,
        "held_back": group.held_back,
        "standing": group.standing,
        "standing_detail": group.standing_detail,
        "still_needed": group.still_needed,
    })
}
