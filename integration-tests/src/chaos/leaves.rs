//! Leaves that die, stand still, or lose sight of the registry.

use std::time::Duration;

use super::load_of_machine::Processors;
use super::recovery::{LiveRate, measure, served_by};
use super::replicas::replicas;
use super::run::Run;
use super::verify;
use crate::wait::poll_for;

/// Of a leaf, as the configuration says.
pub(super) const LEASE_TTL: Duration = Duration::from_secs(5);
/// Load before the first fault, to compare with.
pub(super) const CALM: Duration = Duration::from_secs(15);
/// What comes before is not counted: connections are made and caches filled.
const WARM: Duration = Duration::from_secs(3);

/// `kill -9` of serving leaves, in both groups by turns.
pub(super) fn kill(run: &mut Run) -> anyhow::Result<()> {
    let (live_rate, processors) = calm(run)?;
    let began = run.now();
    let mut slowest = Duration::ZERO;
    let mut is_back = true;
    let rounds = run.options.rounds;
    for round in 0..rounds {
        let victim = serving_leaf(run, if round % 2 == 0 { "a" } else { "b" })?;
        let lost = served_by(run, &victim)?;
        run.cluster.kill(&victim)?;
        run.injected("kill -9 of a leaf");
        let killed = run.now();
        let (recovered, took) = measure(run, &lost, killed, live_rate)?;
        run.say(&format!("{victim} killed; served again after {:.1} s", took.as_secs_f64()));
        is_back &= recovered;
        slowest = slowest.max(took);
        // It comes back with an empty disk, as a machine that replaces it would, and is the idle leaf then.
        run.cluster.wipe(&victim)?;
        run.cluster.launch(&victim)?;
        run.cluster.wait_started(&victim)?;
    }
    let ended = run.now();
    run.check(
        "each lost partition is served again by an idle leaf",
        is_back,
        format!("slowest {:.1} s of {rounds}", slowest.as_secs_f64()),
    );
    finish(run, began, ended, &processors)
}

/// SIGSTOP beyond the lease, then SIGCONT.
pub(super) fn freeze(run: &mut Run) -> anyhow::Result<()> {
    let (live_rate, processors) = calm(run)?;
    let began = run.now();
    let mut is_back = true;
    for group in ["a", "b"] {
        let victim = serving_leaf(run, group)?;
        let lost = served_by(run, &victim)?;
        run.cluster.freeze(&victim)?;
        run.injected("a leaf stands still");
        let frozen = run.now();
        is_back &= measure(run, &lost, frozen, live_rate)?.0;
        run.say(&format!("{victim} stands still; its partitions are served elsewhere"));
        run.cluster.thaw(&victim)?;
        let thawed = run.now();
        run.until(thawed + LEASE_TTL * 2)?;
    }
    let ended = run.now();
    run.check("its partitions are served by an idle leaf", is_back, "2 of 2 leaves");
    finish(run, began, ended, &processors)
}

/// The time before the faults, and how many records a CPU-second leaves apply in it.
fn calm(run: &mut Run) -> anyhow::Result<(f64, Processors)> {
    run.until(WARM)?;
    let before = LiveRate::so_far(run)?;
    run.until(CALM)?;
    let live_rate = LiveRate::so_far(run)?.since(&before);
    Ok((live_rate, Processors::now()?))
}

/// The end of a run that had faults between `began` and `ended`.
fn finish(
    run: &mut Run,
    began: Duration,
    ended: Duration,
    processors: &Processors,
) -> anyhow::Result<()> {
    let busy = processors.busy_until(&Processors::now()?);
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    let (calm, during) = (report.latency(WARM, CALM), report.latency(began, ended));
    let figures = format!("without faults: {calm}; during: {during}");
    let what = "p99 of searches is at most twice that without faults, or 20 ms";
    if during.p99 <= (calm.p99 * 2).max(Duration::from_millis(20)) {
        run.check(what, true, figures);
    } else {
        run.missed(busy, what, figures);
    }
    verify::everything_acknowledged_is_found(run, &report)
}

/// The name of a leaf of the group that serves a partition.
pub(super) fn serving_leaf(run: &mut Run, group: &str) -> anyhow::Result<String> {
    let mut names: Vec<String> = Vec::new();
    for replica in replicas(run)? {
        if replica.replica_group == group && replica.is_serving() {
            names.push(replica.leaf);
        }
    }
    anyhow::ensure!(!names.is_empty(), "no leaf of group {group} serves");
    let drawn = run.rng.index(names.len());
    Ok(names.swap_remove(drawn))
}

/// Whether as many replicas as before serve within the time, none of them on this leaf.
pub(super) fn recovered_without(
    run: &Run,
    count: usize,
    leaf: &str,
    at_most: Duration,
) -> anyhow::Result<bool> {
    let found = poll_for(at_most, || {
        let found = replicas(run).unwrap_or_default();
        let elsewhere = found.iter().filter(|it| it.is_serving() && it.leaf != leaf);
        Ok((elsewhere.count() >= count).then_some(()))
    })?;
    Ok(found.is_some())
}

/// Whether as many replicas as before serve again within the time; those of a leaf that died just now still count.
pub(super) fn recovered_all(run: &Run, replicas: usize, at_most: Duration) -> anyhow::Result<bool> {
    let found = poll_for(at_most, || {
        // Whoever is asked may be one of those that are hurt.
        Ok((run.cluster.serving().unwrap_or(0) >= replicas).then_some(()))
    })?;
    Ok(found.is_some())
}
