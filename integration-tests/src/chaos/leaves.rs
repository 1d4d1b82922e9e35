//! Leaves that die, stand still, or lose sight of the registry.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::run::Run;
use super::verify;
use crate::wait::poll_for;

/// Of a leaf, as the configuration says.
pub(super) const LEASE_TTL: Duration = Duration::from_secs(5);
/// How long a partition may be without its second replica, at most, before the run is given up.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(90);
/// Load before the first fault, to compare with.
pub(super) const CALM: Duration = Duration::from_secs(15);

/// `kill -9` of serving leaves, in both groups by turns.
pub(super) fn kill(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let (from, to) = (Duration::from_secs(3), CALM);
    let replicas = run.cluster.serving()?;
    let began = run.now();
    let mut slowest = Duration::ZERO;
    let mut is_back = true;
    let rounds = run.options.rounds;
    for round in 0..rounds {
        let victim = serving_leaf(run, if round % 2 == 0 { "a" } else { "b" })?;
        run.cluster.kill(&victim)?;
        run.injected("kill -9 of a leaf");
        let killed = run.now();
        let recovered = recovered(run, replicas, &victim)?;
        let took = run.now().saturating_sub(killed);
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
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    let (calm, busy) = (report.latency(from, to), report.latency(began, ended));
    if !run.options.checks_latency {
        run.say(&format!("searches without faults: {calm}; during: {busy}"));
        return verify::everything_acknowledged_is_found(run, &report);
    }
    run.check(
        "p99 of searches is at most twice that without faults, or 20 ms",
        busy.p99 <= (calm.p99 * 2).max(Duration::from_millis(20)),
        format!("without: {calm}; during: {busy}"),
    );
    verify::everything_acknowledged_is_found(run, &report)
}

/// SIGSTOP beyond the lease, then SIGCONT.
pub(super) fn freeze(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let replicas = run.cluster.serving()?;
    let mut is_back = true;
    for group in ["a", "b"] {
        let victim = serving_leaf(run, group)?;
        run.cluster.freeze(&victim)?;
        run.injected("a leaf stands still");
        is_back &= recovered(run, replicas, &victim)?;
        run.say(&format!("{victim} stands still; its partitions are served elsewhere"));
        run.cluster.thaw(&victim)?;
        let thawed = run.now();
        run.until(thawed + LEASE_TTL * 2)?;
    }
    run.check("its partitions are served by an idle leaf", is_back, "2 of 2 leaves");
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// The name of a leaf of the group that serves a partition.
pub(super) fn serving_leaf(run: &mut Run, group: &str) -> anyhow::Result<String> {
    let status: Value = serde_json::from_str(&run.cluster.run(&["status", "--output", "json"])?)?;
    let partitions = status["partitions"].as_array().context("no partitions")?;
    let serving =
        partitions.iter().filter(|one| one["replica_group"] == group && one["state"] == "SERVING");
    let names: Vec<&str> = serving.filter_map(|one| one["leaf"].as_str()).collect();
    anyhow::ensure!(!names.is_empty(), "no leaf of group {group} serves");
    let drawn = run.rng.index(names.len());
    Ok(names[drawn].to_owned())
}

/// Whether as many replicas as before serve again, none of them on the victim.
fn recovered(run: &Run, replicas: usize, victim: &str) -> anyhow::Result<bool> {
    serve_within(run, replicas, Some(victim), RECOVERY_TIME_MAX)
}

/// Whether as many replicas as before serve again within the time.
pub(super) fn recovered_all(run: &Run, replicas: usize, at_most: Duration) -> anyhow::Result<bool> {
    serve_within(run, replicas, None, at_most)
}

fn serve_within(
    run: &Run,
    replicas: usize,
    except: Option<&str>,
    at_most: Duration,
) -> anyhow::Result<bool> {
    let found = poll_for(at_most, || {
        // Whoever is asked may be one of those that are hurt.
        let Ok(text) = run.cluster.run(&["status", "--output", "json"]) else { return Ok(None) };
        let status: Value = serde_json::from_str(&text)?;
        let partitions = status["partitions"].as_array().cloned().unwrap_or_default();
        let counts = |one: &&Value| one["state"] == "SERVING" && one["leaf"].as_str() != except;
        let serving = partitions.iter().filter(counts).count();
        Ok((serving >= replicas).then_some(()))
    })?;
    Ok(found.is_some())
}
