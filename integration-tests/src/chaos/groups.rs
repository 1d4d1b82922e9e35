//! Whole replica groups that go, come back, or are restarted leaf by leaf.

use std::time::Duration;

use super::leaves::{CALM, LEASE_TTL, recovered_all, serving_leaf};
use super::run::Run;
use super::verify;
use crate::cluster::Kind;

/// How long a group may take to come back from empty disks.
const GROUP_TIME_MAX: Duration = Duration::from_secs(180);

/// Every process of group b dies and loses its disk; then the group comes back.
pub(super) fn lose_group(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let replicas = run.cluster.serving()?;
    let members = members_of(run, "b");
    for name in &members {
        run.cluster.kill(name)?;
        run.cluster.wipe(name)?;
    }
    run.injected("a whole group is gone");
    let gone = run.now();
    run.until(gone + LEASE_TTL * 3)?;
    for name in &members {
        run.cluster.launch(name)?;
    }
    let back = run.now();
    let is_back = recovered_all(run, replicas, GROUP_TIME_MAX)?;
    let took = run.now().saturating_sub(back);
    run.check(
        "the group comes back from empty disks",
        is_back,
        format!("after {:.1} s", took.as_secs_f64()),
    );
    let least = run.options.duration.max(run.now() + Duration::from_secs(5));
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// Every leaf is stopped politely and started again, one after the other.
pub(super) fn restart_leaves(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let replicas = run.cluster.serving()?;
    let leaves: Vec<String> =
        run.cluster.of_kind(Kind::Leaf).map(|leaf| leaf.name.clone()).collect();
    let mut is_back = true;
    for name in &leaves {
        run.cluster.stop(name)?;
        run.injected("SIGTERM of a leaf");
        run.cluster.launch(name)?;
        run.cluster.wait_started(name)?;
        is_back &= recovered_all(run, replicas, GROUP_TIME_MAX)?;
    }
    run.check(
        "every partition is served again after each",
        is_back,
        format!("{} leaves", leaves.len()),
    );
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// The acting coordinator of a group dies, or stands still beyond its lease, while a leaf of the group dies.
pub(super) fn lose_coordinators(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let replicas = run.cluster.serving()?;
    let mut is_back = true;
    for (group, freezes) in [("a", false), ("b", true)] {
        let victim = serving_leaf(run, group)?;
        // Which one acts is not asked: both are hurt in turn, so one of the two was it.
        for number in 1..=2 {
            let name = format!("coordinator-{group}-{number}");
            if freezes {
                run.cluster.freeze(&name)?;
                run.injected("a coordinator stands still");
            } else {
                run.cluster.kill(&name)?;
                run.injected("kill -9 of a coordinator");
            }
            if number == 1 {
                run.cluster.kill(&victim)?;
                run.injected("kill -9 of a leaf");
            }
            let hurt = run.now();
            run.until(hurt + LEASE_TTL * 2)?;
            if freezes {
                run.cluster.thaw(&name)?;
            } else {
                run.cluster.launch(&name)?;
                run.cluster.wait_started(&name)?;
            }
        }
        is_back &= recovered_all(run, replicas, GROUP_TIME_MAX)?;
        run.cluster.wipe(&victim)?;
        run.cluster.launch(&victim)?;
        run.cluster.wait_started(&victim)?;
    }
    run.check("the lost partitions are served again", is_back, "2 of 2 groups");
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// Every leaf dies and loses its disk, and etcd loses everything; repository and log are left.
pub(super) fn lose_everything(run: &mut Run) -> anyhow::Result<()> {
    let least = run.options.duration.max(Duration::from_secs(40));
    run.until(least)?;
    let replicas = run.cluster.serving()?;
    let report = run.finish_load()?;
    let members: Vec<String> = [members_of(run, "a"), members_of(run, "b")].concat();
    for name in &members {
        run.cluster.kill(name)?;
        run.cluster.wipe(name)?;
    }
    run.cluster.services.etcd.wipe();
    run.injected("every leaf's disk and etcd are lost");
    let began = run.clock.now();
    for name in &members {
        run.cluster.launch(name)?;
    }
    let is_back = recovered_all(run, replicas, GROUP_TIME_MAX)?;
    let took = run.clock.now().saturating_duration_since(began);
    run.check("everything is served again", is_back, format!("after {:.1} s", took.as_secs_f64()));
    verify::everything_acknowledged_is_found(run, &report)
}

/// Leaves and coordinators of a group.
pub(super) fn members_of(run: &Run, group: &str) -> Vec<String> {
    let members = run.cluster.members().values();
    let of_group = members.filter(|member| member.group.as_deref() == Some(group));
    of_group.map(|member| member.name.clone()).collect()
}
