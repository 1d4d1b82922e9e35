//! What operators do on purpose, under load: groups removed, added and handed over, leaves drained.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::leaves::{CALM, recovered_all, serving_leaf};
use super::run::Run;
use super::verify;
use crate::cluster::Kind;
use crate::load::USER;
use crate::process::Process;
use crate::wait::{poll_for, wait_until};

/// How long a group may take to be filled, or a leaf to be emptied.
const FILL_TIME_MAX: Duration = Duration::from_secs(180);
/// How long a registration may outlive its process.
const GONE_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a whole handover may take.
const DEPLOY_TIME_MAX: Duration = Duration::from_secs(300);

/// Group b is drained, stopped and removed; group c comes up beside a from empty disks.
pub(super) fn remove_group(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let replicas = run.cluster.serving()?;
    run.cluster.run(&["group", "drain", "b", "--reason", "it goes"])?;
    run.injected("a group is drained");
    let standing = field_of(run, "b", "standing")?;
    run.check("a drained group says so", standing == "DRAINED", format!("b is {standing}"));
    let refused = run.cluster.run(&["group", "remove", "b", "--yes"]).is_err();
    run.check("a group that runs is not removed", refused, "asked once");
    let members = members_of(run, "b");
    for name in &members {
        run.cluster.stop(name)?;
        run.cluster.wipe(name)?;
    }
    let removed = poll_for(GONE_TIME_MAX, || {
        Ok(run.cluster.run(&["group", "remove", "b", "--yes"]).ok().map(|_| ()))
    })?;
    run.cluster.remove_group("b")?;
    run.injected("a group is removed");
    let names = group_names(run)?;
    let is_gone = removed.is_some() && names == ["a"];
    run.check("nothing is left of it", is_gone, format!("groups: {names:?}"));
    let last = run.cluster.run(&["group", "drain", "a", "--dry-run"])?;
    let warns = last.contains("no other active group");
    run.check("whoever would drain the last group is warned", warns, "asked once");

    let began = run.now();
    run.cluster.run(&["group", "add", "c"])?;
    for name in run.cluster.add_group("c")? {
        run.cluster.launch(&name)?;
        run.cluster.wait_started(&name)?;
    }
    run.cluster.run(&["group", "add", "c", "--wait", "180s", "--timeout", "10s"])?;
    run.injected("a fresh group is added");
    let took = run.now().saturating_sub(began);
    let standing = field_of(run, "c", "standing")?;
    let is_back = recovered_all(run, replicas, FILL_TIME_MAX)?;
    run.check(
        "the fresh group is complete and takes searches",
        is_back && standing == "ACTIVE",
        format!("after {:.1} s", took.as_secs_f64()),
    );
    let least = run.options.duration.max(run.now() + Duration::from_secs(5));
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// Each group in turn is handed over: every process of it is restarted while the other answers.
pub(super) fn rolling_deploy(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let replicas = run.cluster.serving()?;
    let mut told = Vec::new();
    let mut is_well = true;
    for group in ["a", "b"] {
        let arguments = ["group", "deploy", group, "--as", USER, "--wait", "300s"];
        let mut deploy = run.cluster.begin(&arguments, &format!("deploy-{group}"))?;
        wait_until("group deploy to ask for the restart", DEPLOY_TIME_MAX, || {
            if deploy.ended()?.is_some() {
                anyhow::bail!("group deploy ended early: {}", deploy.complaints()?);
            }
            Ok(deploy.complaints()?.contains("restart now").then_some(()))
        })?;
        run.say(&format!("group {group} is drained; restarting it"));
        for name in members_of(run, group) {
            run.cluster.stop(&name)?;
            run.cluster.launch(&name)?;
        }
        run.injected("every process of a group is restarted");
        let (ended_well, said) = outcome(&mut deploy)?;
        is_well &= ended_well;
        run.say(&said);
        told.push(said);
        is_well &= recovered_all(run, replicas, FILL_TIME_MAX)?;
        is_well &= field_of(run, group, "standing")? == "ACTIVE";
    }
    run.check("both groups are handed over and answer alike", is_well, told.join("; "));
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// How a deploy ended, and the last it said.
fn outcome(deploy: &mut Process) -> anyhow::Result<(bool, String)> {
    let status = deploy.wait(DEPLOY_TIME_MAX)?;
    let said = if status.success() { deploy.stdout()? } else { deploy.complaints()? };
    Ok((status.success(), said.trim().to_owned()))
}

/// A serving leaf of each group is emptied and may be filled again.
pub(super) fn drain_leaf(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let replicas = run.cluster.serving()?;
    let (mut is_empty, mut is_back, mut slowest) = (true, true, Duration::ZERO);
    for group in ["a", "b"] {
        let leaf = serving_leaf(run, group)?;
        let began = run.now();
        run.cluster.run(&["leaf", "drain", &leaf, "--reason", "a new disk", "--wait", "180s"])?;
        run.injected("a leaf is drained");
        slowest = slowest.max(run.now().saturating_sub(began));
        let listed = leaf_of(run, &leaf)?;
        is_empty &= listed["partitions"] == Value::Array(Vec::new());
        is_empty &= listed["cordon"]["kind"] == "DRAIN";
        is_back &= recovered_all(run, replicas, FILL_TIME_MAX)?;
        run.cluster.run(&["leaf", "uncordon", &leaf])?;
        is_back &= leaf_of(run, &leaf)?["cordon"].is_null();
    }
    run.check(
        "a drained leaf is emptied",
        is_empty,
        format!("slowest {:.1} s of 2", slowest.as_secs_f64()),
    );
    run.check("what it had is served elsewhere, and its mark goes", is_back, "2 of 2 leaves");
    let folder = run.cluster.folder().join("rehearsal").display().to_string();
    let rehearse = ["partition", "recover", "1", "--group", "a", "--rehearse", "--folder", &folder];
    let rehearsed = run.cluster.run(&rehearse);
    run.injected("a recovery is rehearsed");
    let (is_equal, said) = match rehearsed {
        Ok(said) => (said.contains(": equal"), said.trim().to_owned()),
        Err(error) => (false, format!("{error:#}")),
    };
    run.check("a rehearsed recovery equals what serves", is_equal, said);
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// Coordinators of a group before its leaves: nobody gives their partitions away while they stop.
fn members_of(run: &Run, group: &str) -> Vec<String> {
    let members = run.cluster.members().values();
    let mut of_group: Vec<_> =
        members.filter(|member| member.group.as_deref() == Some(group)).collect();
    of_group.sort_by_key(|member| member.kind != Kind::Coordinator);
    of_group.into_iter().map(|member| member.name.clone()).collect()
}

fn listed(run: &Run, what: &str) -> anyhow::Result<Vec<Value>> {
    let text = run.cluster.run(&[what, "list", "--output", "json"])?;
    let value: Value = serde_json::from_str(&text)?;
    value.as_array().cloned().context("no list")
}

fn group_names(run: &Run) -> anyhow::Result<Vec<String>> {
    let groups = listed(run, "group")?;
    Ok(groups.iter().filter_map(|it| it["name"].as_str().map(str::to_owned)).collect())
}

fn field_of(run: &Run, group: &str, field: &str) -> anyhow::Result<String> {
    let groups = listed(run, "group")?;
    let found = groups.iter().find(|it| it["name"] == group);
    let value = found.with_context(|| format!("there is no group {group}"))?;
    Ok(value[field].as_str().unwrap_or_default().to_owned())
}

fn leaf_of(run: &Run, leaf: &str) -> anyhow::Result<Value> {
    let leaves = listed(run, "leaf")?;
    let found = leaves.into_iter().find(|it| it["leaf"] == leaf);
    found.with_context(|| format!("there is no leaf {leaf}"))
}
