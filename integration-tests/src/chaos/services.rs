//! Services that go away and come back, and roles between the caller and the leaves.

use std::time::Duration;

use super::leaves::{CALM, LEASE_TTL, recovered_all, serving_leaf};
use super::run::Run;
use super::verify;

/// How long a partition may take to come back.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(120);

/// No etcd for a minute.
pub(super) fn lose_etcd(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    run.cluster.services.etcd.kill(0);
    run.injected("etcd is gone");
    let lost = run.now();
    run.until(lost + Duration::from_secs(60))?;
    run.cluster.services.etcd.restart(0);
    run.cluster.services.etcd.wait_ready();
    let back = run.now();
    run.until((back + LEASE_TTL * 2).max(run.options.duration))?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// No Kafka for half a minute: searches go on, writes wait or are refused, none is lost.
pub(super) fn lose_kafka(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    run.cluster.services.kafka.kill();
    run.injected("Kafka is gone");
    let lost = run.now();
    run.until(lost + Duration::from_secs(30))?;
    run.cluster.services.kafka.restart();
    let back = run.now();
    run.until((back + Duration::from_secs(30)).max(run.options.duration))?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// A leaf dies while the object store is away: the partition waits for it, and searches go on.
pub(super) fn lose_repository(run: &mut Run) -> anyhow::Result<()> {
    // Long enough for a snapshot to be there.
    run.until(CALM * 2)?;
    let replicas = run.cluster.serving()?;
    run.cluster.services.s3.kill();
    run.injected("the object store is gone");
    let victim = serving_leaf(run, "a")?;
    run.cluster.kill(&victim)?;
    run.injected("kill -9 of a leaf");
    let killed = run.now();
    run.until(killed + LEASE_TTL * 3)?;
    run.cluster.services.s3.restart();
    let is_back = recovered_all(run, replicas, RECOVERY_TIME_MAX)?;
    run.check("the partition is served again once the store is back", is_back, victim);
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// Roots die one after the other.
pub(super) fn kill_roots(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    for round in 0..4_u32 {
        let name = format!("root-{}", round % 2 + 1);
        run.cluster.kill(&name)?;
        run.injected("kill -9 of a root");
        let killed = run.now();
        run.until(killed + Duration::from_secs(3))?;
        run.cluster.launch(&name)?;
        run.cluster.wait_started(&name)?;
        let back = run.now();
        run.until(back + Duration::from_secs(3))?;
    }
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}
