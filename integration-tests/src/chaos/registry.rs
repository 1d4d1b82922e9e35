//! etcd that changes its leader, a leaf that cannot reach it, and a leaf's name that two processes claim.

use std::time::Duration;

use anyhow::Context as _;
use nautilus_test_services::free_port;

use super::leaves::{CALM, LEASE_TTL, recovered_all, recovered_without, serving_leaf};
use super::link::Link;
use super::recovery::served_by;
use super::replicas::{Replica, replicas};
use super::run::Run;
use super::verify;

const RECOVERY_TIME_MAX: Duration = Duration::from_secs(120);
const ELECTIONS: u32 = 3;
/// After a partition is served elsewhere every root knows it.
const SETTLED: Duration = Duration::from_secs(2);

/// The leader of three etcd nodes dies, again and again: nothing is given to anybody else for it.
pub(super) fn lose_leader(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let before: Vec<_> = replicas(run)?.iter().map(Replica::place).collect();
    for _ in 0..ELECTIONS {
        let leader = run.cluster.services.etcd.leader();
        run.cluster.services.etcd.kill(leader);
        run.injected("kill -9 of etcd's leader");
        let killed = run.now();
        run.until(killed + LEASE_TTL * 2)?;
        run.cluster.services.etcd.restart(leader);
        run.cluster.services.etcd.wait_ready();
    }
    let after: Vec<_> = replicas(run)?.iter().map(Replica::place).collect();
    run.check("nothing moves", before == after, format!("before {before:?}, after {after:?}"));
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// A leaf lives and cannot reach etcd beyond its lease: its partitions go to another, whose answers alone count.
pub(super) fn cut_leaf(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let count = run.cluster.serving()?;
    let victim = serving_leaf(run, "a")?;
    let etcd = run.cluster.services.etcd.endpoints();
    let etcd = etcd.first().context("etcd has no members")?.trim_start_matches("http://");
    let link = Link::to(etcd)?;
    run.cluster.stop(&victim)?;
    let setting = format!("registry.endpoints=[\"http://{}\"]", link.address());
    run.cluster.launch_as(&victim, &victim, &[setting])?;
    run.cluster.wait_started(&victim)?;
    // Whoever took over keeps its partitions, so another round of losses brings some back to it.
    let mut is_settled = recovered_all(run, count, RECOVERY_TIME_MAX)?;
    let heir = serving_leaf(run, "a")?;
    run.cluster.kill(&heir)?;
    run.cluster.wipe(&heir)?;
    is_settled &= recovered_without(run, count, &heir, RECOVERY_TIME_MAX)?;
    let lost: Vec<u32> = served_by(run, &victim)?.iter().map(|it| it.partition).collect();
    run.check(
        "the leaf behind the link serves",
        is_settled && !lost.is_empty(),
        format!("{lost:?}"),
    );
    run.cluster.launch(&heir)?;
    run.cluster.wait_started(&heir)?;

    link.cut();
    run.injected("a leaf cannot reach etcd");
    let is_away = recovered_without(run, count, &victim, RECOVERY_TIME_MAX)?;
    run.check("its partitions are served by another", is_away, format!("{lost:?}"));
    let from = run.now() + SETTLED;
    run.until(from + LEASE_TTL * 2)?;
    let to = run.now();
    link.mend();
    let mended = run.now();
    run.until((mended + LEASE_TTL * 2).max(run.options.duration))?;
    let report = run.finish_load()?;
    let within = report.answers.iter().filter(|answer| answer.sent > from && answer.received < to);
    let labels: Vec<_> = within.flat_map(|answer| &answer.labels).collect();
    let stale = labels.iter().filter(|it| it.leaf == victim && lost.contains(&it.partition.0));
    let stale = stale.count();
    run.check(
        "no answer of the leaf that lost its lease is used",
        stale == 0 && !labels.is_empty(),
        format!("{stale} of {}", labels.len()),
    );
    verify::everything_acknowledged_is_found(run, &report)
}

/// A second process claims the name of a leaf that runs: the later start has it, and neither serves what it does not
/// have.
pub(super) fn claim_name(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let count = run.cluster.serving()?;
    let victim = serving_leaf(run, "a")?;
    let twin = format!("{victim}-twin");
    let settings = [
        format!("server.listen_address=127.0.0.1:{}", free_port()?),
        format!("server.admin_listen_address=127.0.0.1:{}", free_port()?),
        format!("leaf.data_dir={}", run.cluster.folder().join("disks").join(&twin).display()),
    ];
    run.cluster.launch_as(&victim, &twin, &settings)?;
    run.injected("a second leaf of the same name");
    let began = run.now();
    run.until(began + LEASE_TTL * 3)?;
    let is_back = recovered_all(run, count, RECOVERY_TIME_MAX)?;
    run.check("every partition is served", is_back, victim.clone());
    run.cluster.kill(&twin)?;
    run.injected("kill -9 of the second one");
    let killed = run.now();
    run.until(killed + LEASE_TTL * 3)?;
    let is_back = recovered_all(run, count, RECOVERY_TIME_MAX)?;
    run.check("every partition is served without it too", is_back, victim);
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}
