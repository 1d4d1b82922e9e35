//! One partition, closely.

use std::fmt::Write as _;
use std::time::Duration;

use nautilus_coordinator::operate::{Explanation, GroupSnapshot};
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_types::{Class, PartitionId};
use serde_json::{Value, json};

use super::estimate::Rates;
use super::{WhichArgs, groups, moving, of_owner, replicas, report_json, state};
use crate::cli::Global;
use crate::commands::leaf::state_name;
use crate::exit::Failure;
use crate::format;
use crate::output;
use crate::placement::{self, Placement};

/// Shows it in every group.
pub(super) async fn run(global: &Global, args: &WhichArgs) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.config).await?;
    check(&placement, args.partition)?;
    let groups = groups(&placement, args.group.as_ref()).await?;
    let replicas = replicas(global).await;
    let partition = PartitionId(args.partition);
    let rates = Rates::of(&replicas);
    let anew = rates.of_recovery(&replicas, partition.0);
    output::print(
        global,
        || {
            let mut text = format!("partition {partition}\n");
            for group in &groups {
                text.push_str(&in_group(group, partition, &replicas, rates));
            }
            if !replicas.is_empty() {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "a recovery takes {}", anew.text());
            }
            text
        },
        || {
            let in_groups = groups.iter().map(|group| {
                let report = group.partition(partition);
                let mut value = report_json(group, &report, &replicas);
                let told = of_owner(&replicas, group.group(), &report);
                let rest = told.and_then(|told| rates.of_rest(told));
                if let Value::Object(fields) = &mut value {
                    fields.insert("remaining".to_owned(), rest.map_or(Value::Null, |it| it.json()));
                }
                value
            });
            json!({
                "partition": partition.0,
                "groups": in_groups.collect::<Vec<_>>(),
                "recovery_estimate": anew.json(),
            })
        },
    )?;
    Ok(())
}

fn check(placement: &Placement, partition: u32) -> anyhow::Result<()> {
    let partitions = placement.partitions();
    if partition >= partitions {
        let message = format!("there is no partition {partition}; there are {partitions}, from 0");
        return Err(Failure::new(Class::NotFound, message).into());
    }
    Ok(())
}

fn in_group(
    group: &GroupSnapshot,
    partition: PartitionId,
    replicas: &[PartitionStatus],
    rates: Rates,
) -> String {
    let report = group.partition(partition);
    let mut text = format!("group {} ({})\n", group.group(), group.state().as_str());
    // Writing to a string cannot fail.
    match &report.assignment {
        None => text.push_str("  nobody owns it\n"),
        Some(it) => {
            let (leaf, epoch) = (&it.owner.leaf, it.owner.epoch.0);
            let _ = writeln!(
                text,
                "  {} on {leaf} under epoch {epoch} ({})",
                state(&report),
                it.reason
            );
        }
    }
    let moving = moving(&report);
    if !moving.is_empty() {
        let _ = writeln!(text, "  moving: {moving}");
    }
    for replica in &report.replicas {
        let is_owner = report.assignment.as_ref().is_some_and(|it| it.owner.leaf == replica.leaf);
        if !is_owner {
            let (leaf, epoch) = (&replica.leaf, replica.epoch.0);
            let _ = writeln!(
                text,
                "  also {} on {leaf} under epoch {epoch}",
                state_name(replica.state)
            );
        }
    }
    if let Some(told) = of_owner(replicas, group.group(), &report) {
        told_by_leaf(&mut text, told, rates);
    }
    text
}

fn told_by_leaf(text: &mut String, told: &PartitionStatus, rates: Rates) {
    let next = super::next_offset(told);
    let _ = writeln!(
        text,
        "  applied {} of {}, {} on disk, snapshot at {}",
        format::count(next),
        format::count(told.log_high_offset),
        format::size(told.disk_bytes),
        format::count(told.snapshot_offset),
    );
    let _ = writeln!(
        text,
        "  {} in {}",
        format::counted(told.documents, "document"),
        format::counted(told.namespaces, "namespace"),
    );
    if let Some(rest) = rates.of_rest(told) {
        let _ = writeln!(text, "  still to do: {}", rest.text());
    } else if let Some(recovery) = &told.recovery {
        let took = |ms| format::took(Duration::from_millis(ms));
        let _ = writeln!(
            text,
            "  last started with {} downloaded in {}, {} replayed in {}",
            format::size(recovery.downloaded_bytes),
            took(recovery.download_ms),
            format::counted(
                recovery.replay_until_offset.saturating_sub(recovery.replay_from_offset),
                "record"
            ),
            took(recovery.replay_ms),
        );
    }
    if !told.detail.is_empty() {
        let _ = writeln!(text, "  {}", output::clean_line(&told.detail));
    }
}

/// Says why it is where it is.
pub(super) async fn explain(global: &Global, args: &WhichArgs) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.config).await?;
    check(&placement, args.partition)?;
    let groups = groups(&placement, args.group.as_ref()).await?;
    let wanted = placement.wanted()?;
    let partition = PartitionId(args.partition);
    let told: Vec<(&GroupSnapshot, Explanation)> =
        groups.iter().map(|group| (group, group.explain(partition, &wanted))).collect();
    output::print(
        global,
        || told.iter().map(|(group, it)| explained(group, it)).collect(),
        || told.iter().map(|(group, it)| explanation_json(group, it)).collect(),
    )?;
    Ok(())
}

fn explained(group: &GroupSnapshot, it: &Explanation) -> String {
    let mut text = format!("partition {} in group {}\n", it.report.partition, group.group());
    let mut line = |what: &str| {
        text.push_str("  ");
        text.push_str(&output::clean_line(what));
        text.push('\n');
    };
    match &it.report.assignment {
        None => line("nobody owns it"),
        Some(assignment) => {
            let because = it.because.unwrap_or(&assignment.reason);
            line(&format!("{} owns it: {because}", assignment.owner.leaf));
            if assignment.is_pinned {
                line("it stays there although others have less, because somebody asked");
            }
        }
    }
    line(&format!("the owner is {}", state(&it.report)));
    let moving = moving(&it.report);
    if !moving.is_empty() {
        line(&format!("moving: {moving}"));
    }
    if let Some(refused) = &it.report.refused {
        line(&format!("the last move asked for was refused: {}", refused.why));
    }
    for failed in &it.failures {
        line(&format!("it has failed on {}; the leaf's log says why", failed.leaf));
    }
    for cordon in &it.cordons {
        let (kind, by) = (cordon.kind.as_str(), &cordon.note.owner);
        line(&format!("leaf {} is marked {kind} by {by}: {}", cordon.leaf, cordon.note.reason));
    }
    for leaf in &it.draining {
        line(&format!("leaf {leaf} is stopping"));
    }
    match &it.coordinator {
        Some(coordinator) => line(&format!("coordinator {coordinator} acts")),
        None => line("no coordinator acts: nothing changes by itself"),
    }
    line(&format!("roots see the group as {}", it.group_state.as_str()));
    line("next:");
    text.push_str(&placement::forecast(&it.next));
    text
}

fn explanation_json(group: &GroupSnapshot, it: &Explanation) -> Value {
    let cordons = it.cordons.iter().map(|cordon| {
        json!({
            "leaf": cordon.leaf.as_str(),
            "kind": cordon.kind.as_str(),
            "by": cordon.note.owner,
            "reason": cordon.note.reason,
        })
    });
    json!({
        "partition": it.report.partition.0,
        "replica_group": group.group().as_str(),
        "standing": it.group_state.as_str(),
        "state": state(&it.report),
        "leaf": it.report.assignment.as_ref().map(|it| it.owner.leaf.as_str()),
        "reason": it.report.assignment.as_ref().map(|it| it.reason.as_str()),
        "because": it.because,
        "coordinator": it.coordinator.as_ref().map(|it| it.as_str()),
        "held_back": it.held_back,
        "cordons": cordons.collect::<Vec<_>>(),
        "draining": it.draining.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
        "failed_on": it.failures.iter().map(|it| it.leaf.as_str()).collect::<Vec<_>>(),
        "refused": it.report.refused.as_ref().map(|it| it.why.as_str()),
        "next": placement::forecast_json(&it.next),
    })
}
