//! Watches that end and are begun again at the next revision tell the whole history, once.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{all, available, bounded, delete, etcd, open_on, perform, put, watch_from};
use crate::etcd::EtcdRegistry;
use crate::seeded::Seeded;
use crate::{Change, Registry, RegistryError, Revision};

const TRANSACTIONS: usize = 400;

type History = Vec<(Revision, Vec<Change>)>;

/// Random writes and deletions of a few keys, several at a time; the last writes `end`.
async fn write(registry: Arc<EtcdRegistry>, seed: u64) {
    let mut seeded = Seeded::new(seed);
    for i in 0..TRANSACTIONS {
        let mut operations = Vec::new();
        for key in 0..8 {
            match seeded.next_u64() % 6 {
                0 | 1 => operations.push(put(&format!("h/{key}"), &i.to_string())),
                2 => operations.push(delete(&format!("h/{key}"))),
                _ => {}
            }
        }
        // Those that fail may have happened; the watch says.
        match registry.transact(all(operations)).await {
            Ok(_) => {}
            Err(RegistryError::Unavailable(_)) => {
                available(|| registry.get("h/end")).await.expect("read");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    available(|| registry.transact(all([put("h/end", "x")]))).await.expect("the end is written");
}

fn is_end(changes: &[Change]) -> bool {
    changes.iter().any(|change| matches!(change, Change::Put(entry) if entry.key == "h/end"))
}

/// Follows from `from` to the end, beginning anew after some changes, or when the watch ended.
async fn follow(registry: Arc<EtcdRegistry>, from: Revision, seed: u64) -> (History, usize) {
    let mut seeded = Seeded::new(seed);
    let (mut told, mut due, mut begun) = (History::new(), from, 0);
    loop {
        let mut watch = available(|| registry.watch("h/", due)).await.expect("watches");
        begun += 1;
        for _ in 0..seeded.next_u64() % 40 {
            let (revision, changes) = match bounded(watch.next()).await {
                Ok(delivered) => delivered,
                Err(RegistryError::Unavailable(_)) => break,
                Err(other) => panic!("{other:?}"),
            };
            due = revision.next();
            let is_end = is_end(&changes);
            told.push((revision, changes));
            if is_end {
                return (told, begun);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_and_nothing_repeated() {
    let Some(mut etcd) = etcd() else { return };
    let registry = open_on(&etcd).await;
    let from = perform(&*registry, [put("h/begin", "x")]).await;
    let mut followers = JoinSet::new();
    for seed in 1..=4 {
        followers.spawn(follow(open_on(&etcd).await, from, seed));
    }
    let mut writer = JoinSet::new();
    writer.spawn(write(Arc::clone(&registry), 7));
    // While they go on, twice.
    for part in 1..=2 {
        let reached = Revision(from.0 + part * 100);
        let mut watch = available(|| registry.watch("h/", reached)).await.expect("watches");
        let _ = bounded(watch.next()).await;
        etcd.kill();
        etcd.restart();
    }
    bounded(writer.join_all()).await;
    let followed = bounded(followers.join_all()).await;

    let mut whole = History::new();
    let mut watch = watch_from(&*registry, from).await;
    while whole.last().is_none_or(|(_, changes)| !is_end(changes)) {
        whole.push(bounded(watch.next()).await.expect("told"));
    }
    assert!(whole.len() > TRANSACTIONS / 2);
    assert!(whole.is_sorted_by(|a, b| a.0 < b.0));
    for (told, begun) in followed {
        assert!(begun > 5, "begun {begun} times");
        assert_eq!(told, whole);
    }
    // And it leads to what is there.
    let mut state = std::collections::BTreeMap::new();
    for change in whole.into_iter().flat_map(|(_, changes)| changes) {
        match change {
            Change::Put(entry) => drop(state.insert(entry.key.clone(), entry)),
            Change::Delete { key, .. } => drop(state.remove(&key)),
        }
    }
    let listing = bounded(registry.list("h/")).await.expect("listed");
    assert_eq!(state.into_values().collect::<Vec<_>>(), listing.entries);
}
