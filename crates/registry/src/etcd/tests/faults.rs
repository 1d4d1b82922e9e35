//! A single node that is killed, frozen, or loses what it knew.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{
    all, assert_corrupt, assert_unavailable, available, bounded, config, etcd, open, open_on,
    perform, put,
};
use crate::etcd::EtcdConfig;
use crate::{Registry, RegistryError, Revision};

/// A node that is there and answers nothing costs every call its deadline, no more.
#[tokio::test]
async fn a_frozen_node_fails_calls_within_their_deadline() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let Some(etcd) = etcd() else { return };
    let registry = open(EtcdConfig { timeout: TIMEOUT, ..config(vec![etcd.endpoint()]) }).await;
    let lease = available(|| registry.grant_lease(Duration::from_secs(600))).await.unwrap();
    etcd.freeze();
    let begun = Instant::now();
    assert_unavailable(registry.get("k").await);
    assert_unavailable(registry.list("").await);
    assert_unavailable(registry.transact(all([put("k", "x")])).await);
    assert_unavailable(registry.transact(all([])).await);
    assert_unavailable(registry.watch("", Revision(1)).await.map(drop));
    assert_unavailable(registry.grant_lease(Duration::from_secs(1)).await);
    assert_unavailable(registry.keep_alive(lease).await);
    assert_unavailable(registry.revoke_lease(lease).await);
    let took = begun.elapsed();
    // As long as the machine is slow, on top.
    assert!(took >= TIMEOUT * 8 && took < TIMEOUT * 8 * 2, "8 calls took {took:?}");
    etcd.thaw();
    // What was asked of it while it was frozen, and given up, may happen now.
    match available(|| registry.keep_alive(lease)).await {
        Ok(()) | Err(RegistryError::LeaseGone { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// What was acknowledged while a node is killed again and again is there afterwards, at the revision that
/// was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_loses_nothing_acknowledged() {
    let Some(mut etcd) = etcd() else { return };
    let registry = open_on(&etcd).await;
    let load = super::cluster::Load::start(Arc::clone(&registry));
    for round in 1..=3 {
        load.acknowledged(round * 30).await;
        etcd.kill();
        etcd.restart();
    }
    load.acknowledged(120).await;
    load.check(&*registry).await;
}

/// An etcd that starts from nothing on the same address is not taken for the former one.
#[tokio::test]
async fn a_wiped_etcd_is_refused() {
    let Some(mut etcd) = etcd() else { return };
    let registry = open_on(&etcd).await;
    for i in 0..5 {
        perform(&*registry, [put("k", &i.to_string())]).await;
    }
    etcd.wipe();
    assert_corrupt(available(|| registry.list("")).await);
    assert_corrupt(available(|| registry.get("k")).await);
    assert_corrupt(available(|| registry.transact(all([put("k", "x")]))).await);
    // A process that starts anew takes it as it is.
    let anew = open_on(&etcd).await;
    bounded(anew.list("")).await.expect("listed");
}
