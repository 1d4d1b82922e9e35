//! Three members, of which some fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use nautilus_test_services::{EtcdCluster, or_skip};
use tokio::sync::watch as signal;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{
    all, assert_unavailable, available, bounded, config, latest, next, open, perform, put,
    put_under, watch_from,
};
use crate::etcd::EtcdRegistry;
use crate::{Change, Registry, RegistryError, Revision};

fn cluster() -> Option<EtcdCluster> {
    or_skip("registry::etcd", EtcdCluster::start(3))
}

/// Clients that write all the time, each key once, and remember what they were told.
pub(super) struct Load {
    writers: JoinSet<()>,
    told: Arc<Mutex<Vec<(String, Revision)>>>,
    count: signal::Sender<usize>,
    stop: signal::Sender<bool>,
}

impl Load {
    pub(super) fn start(registry: Arc<EtcdRegistry>) -> Self {
        let mut load = Self {
            writers: JoinSet::new(),
            told: Arc::default(),
            count: signal::Sender::new(0),
            stop: signal::Sender::new(false),
        };
        for writer in 0..3 {
            let (registry, told) = (Arc::clone(&registry), Arc::clone(&load.told));
            let (count, stop) = (load.count.clone(), load.stop.subscribe());
            load.writers.spawn(async move {
                let mut last = Revision(0);
                for i in 0.. {
                    if *stop.borrow() {
                        return;
                    }
                    let key = format!("load/{writer}/{i}");
                    match registry.transact(all([put(&key, "x")])).await {
                        Ok(revision) => {
                            assert!(revision > last, "{revision} after {last}");
                            last = revision;
                            told.lock().unwrap().push((key, revision));
                            count.send_modify(|count| *count += 1);
                        }
                        // It may have happened or not; the next one goes under another key.
                        Err(RegistryError::Unavailable(_)) => {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
            });
        }
        load
    }

    /// Waits until so many writes were acknowledged.
    pub(super) async fn acknowledged(&self, writes: usize) {
        let mut count = self.count.subscribe();
        bounded(count.wait_for(|count| *count >= writes)).await.expect("writers go on");
    }

    fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Ends, and compares what was told with what is there.
    pub(super) async fn check(self, registry: &dyn Registry) {
        self.stop.send_replace(true);
        bounded(self.writers.join_all()).await;
        let listing = available(|| registry.list("load/")).await.expect("listed");
        for (key, revision) in self.told.lock().unwrap().iter() {
            let found = listing.entries.binary_search_by(|entry| entry.key.cmp(key));
            let found = found.unwrap_or_else(|_| panic!("{key} was acknowledged and is lost"));
            assert_eq!(listing.entries[found].modified, *revision, "{key}");
        }
    }
}

/// The leader is killed under load: writable again, nothing acknowledged is lost, and no lease ends early.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_not_missed() {
    const TTL: Duration = Duration::from_secs(4);
    let Some(mut cluster) = cluster() else { return };
    let registry = open(config(cluster.endpoints())).await;
    let load = Load::start(Arc::clone(&registry));
    for _ in 0..2 {
        let before = load.count();
        load.acknowledged(before + 30).await;
        let from = latest(&*registry).await.next();
        let asked = Instant::now();
        let lease = registry.grant_lease(TTL).await.expect("granted");
        perform(&*registry, [put_under(Some(lease), "leased", "x")]).await;

        let leader = cluster.leader();
        cluster.kill(leader);
        let killed = Instant::now();
        let before = load.count();
        load.acknowledged(before + 30).await;
        println!("writable again {:?} after the leader was killed", killed.elapsed());

        let watch = || registry.watch("leased", from);
        let mut watch = available(watch).await.expect("watches");
        let put = next(&mut *watch).await;
        assert!(matches!(&*put.1, [Change::Put(entry)] if entry.lease == Some(lease)), "{put:?}");
        let gone = next(&mut *watch).await;
        assert!(matches!(&*gone.1, [Change::Delete { .. }]), "{gone:?}");
        let lasted = asked.elapsed();
        assert!(lasted >= TTL, "a lease of {TTL:?} ended after {lasted:?}");
        println!("a lease of {TTL:?} lasted {lasted:?}");
        cluster.restart(leader);
        cluster.wait_ready();
    }
    load.check(&*registry).await;
}

/// A lease that is kept alive goes on over elections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_lease_outlives_elections() {
    const TTL: Duration = Duration::from_secs(6);
    let Some(mut cluster) = cluster() else { return };
    let registry = open(config(cluster.endpoints())).await;
    let lease = available(|| registry.grant_lease(TTL)).await.unwrap();
    available(|| registry.transact(all([put_under(Some(lease), "leased", "x")]))).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < TTL * 2 {
        let leader = cluster.leader();
        cluster.kill(leader);
        available(|| registry.keep_alive(lease)).await.expect("kept alive within its time");
        cluster.restart(leader);
        cluster.wait_ready();
        available(|| registry.keep_alive(lease)).await.expect("kept alive within its time");
    }
    assert!(available(|| registry.get("leased")).await.unwrap().is_some());
}

/// Without a majority nothing is told, not even what the last member remembers, and watches on it end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_told() {
    let Some(mut cluster) = cluster() else { return };
    let registry = open(config(cluster.endpoints())).await;
    let at = perform(&*registry, [put("k", "x")]).await;
    // The first endpoint is the one that is asked, and the one that stays.
    let mut watch = watch_from(&*registry, at.next()).await;
    cluster.kill(1);
    cluster.kill(2);
    assert_unavailable(bounded(watch.next()).await);
    assert_unavailable(bounded(registry.get("k")).await);
    assert_unavailable(bounded(registry.list("")).await);
    assert_unavailable(bounded(registry.transact(all([put("k", "y")]))).await);
    assert_unavailable(bounded(registry.transact(all([]))).await);
    cluster.restart(1);
    let entry = available(|| registry.get("k")).await.unwrap().expect("there");
    assert!(entry.modified >= at);
    let mut watch = available(|| registry.watch("", at)).await.expect("watches");
    assert_eq!(next(&mut *watch).await.0, at);
}

/// A member that answers nothing is left for another: within the call where it may be repeated, with the
/// next call where it may not, also where the caller has less patience than the registry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_member_is_left() {
    let Some(cluster) = cluster() else { return };
    let patient = open(config(cluster.endpoints())).await;
    let (writer, hasty) =
        (open(config(cluster.endpoints())).await, open(config(cluster.endpoints())).await);
    for registry in [&patient, &writer, &hasty] {
        perform(&**registry, [put("k", "x")]).await;
    }
    // The first endpoint is the one that each asks.
    cluster.freeze(0);
    // Where it led, an election takes a part of the time as well.
    available(|| patient.get("k")).await.expect("read elsewhere");
    bounded(patient.get("k")).await.expect("at once, then");
    available(|| writer.transact(all([put("k", "y")]))).await.expect("written elsewhere");
    let patience = Duration::from_millis(700);
    let mut tries = 0;
    while tokio::time::timeout(patience, hasty.get("k")).await.is_err() {
        tries += 1;
        assert!(tries < 10, "asks the frozen member for ever");
    }
    cluster.thaw(0);
}
