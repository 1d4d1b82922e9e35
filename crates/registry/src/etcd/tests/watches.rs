//! Watches and compaction, and watches that nothing happens on.

use std::time::Duration;

use super::{
    assert_unavailable, bounded, delete, etcd, latest, next, open_on, perform, put, raw, watch_from,
};
use crate::{Change, Registry, RegistryError, Revision, Watch};

async fn compact(client: &mut etcd_client::Client, at: Revision) {
    client.compact(i64::try_from(at.0).unwrap(), None).await.expect("compacted");
}

/// The outcome of a watch that is told only when it begins to read.
async fn first(
    registry: &dyn Registry,
    from: Revision,
) -> Result<(Revision, Vec<Change>), RegistryError> {
    bounded(async { registry.watch("", from).await?.next().await }).await
}

/// A watch from a revision that is no longer known in full is told where one can begin, also where only
/// the deletion at the compacted revision is missing, which etcd itself passes over in silence.
#[tokio::test]
async fn a_watch_from_a_compacted_revision_is_told_so() {
    let Some(etcd) = etcd() else { return };
    let (registry, mut client) = (open_on(&etcd).await, raw(&etcd).await);
    let created = perform(&*registry, [put("k", "1")]).await;
    let deleted = perform(&*registry, [delete("k")]).await;
    let after = perform(&*registry, [put("k", "2")]).await;
    // Nothing is lost yet.
    assert_eq!(first(&*registry, deleted).await.unwrap().0, deleted);
    compact(&mut client, deleted).await;
    for from in [Revision(0), Revision(1), created, deleted] {
        match first(&*registry, from).await {
            Err(RegistryError::Compacted { asked, oldest }) => {
                assert_eq!((asked, oldest), (from, deleted.next()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(first(&*registry, deleted.next()).await.unwrap().0, after);
}

/// Compaction does not disturb a watch that has everything, and ends one that fell too far behind: what it
/// told until then has no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_ends_a_watch_that_fell_behind() {
    const REVISIONS: usize = 400;
    let Some(etcd) = etcd() else { return };
    let (registry, mut client) = (open_on(&etcd).await, raw(&etcd).await);
    let from = latest(&*registry).await.next();
    let (mut live, mut behind) =
        (watch_from(&*registry, from).await, watch_from(&*registry, from).await);
    // 64 KiB each: more than connections and etcd hold for one who does not read.
    let value = "v".repeat(4096);
    let mut last = from;
    for _ in 0..REVISIONS {
        let puts: Vec<_> = (0..16).map(|key| put(&format!("k/{key}"), &value)).collect();
        last = perform(&*registry, puts).await;
        assert_eq!(next(&mut *live).await.0, last);
    }
    compact(&mut client, last).await;
    let mut due = from;
    let (asked, oldest) = loop {
        match bounded(behind.next()).await {
            Ok((told, changes)) => {
                assert_eq!((told, changes.len()), (due, 16));
                due = due.next();
            }
            Err(RegistryError::Compacted { asked, oldest }) => break (asked, oldest),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!((asked, oldest), (due, last.next()));
    assert_unavailable(bounded(behind.next()).await);
    let after = perform(&*registry, [put("k/0", "after")]).await;
    assert_eq!(next(&mut *live).await.0, after);
    // A watch that had nothing to tell is not behind, either.
    let mut idle = bounded(registry.watch("elsewhere/", after)).await.unwrap();
    let told = perform(&*registry, [put("elsewhere/1", "x")]).await;
    assert_eq!(next(&mut *idle).await.0, told);
    let end = perform(&*registry, [put("k/0", "end")]).await;
    compact(&mut client, end).await;
    let told = perform(&*registry, [put("elsewhere/1", "x")]).await;
    assert_eq!(next(&mut *idle).await.0, told);
}

/// A watch on which nothing happens goes on: the member says that it is there when asked.
#[tokio::test]
async fn silence_alone_ends_no_watch() {
    let Some(etcd) = etcd() else { return };
    let registry = open_on(&etcd).await;
    let from = latest(&*registry).await.next();
    let mut watch = watch_from(&*registry, from).await;
    // Longer than silence and patience together.
    let nothing = tokio::time::timeout(Duration::from_secs(9), watch.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    let at = perform(&*registry, [put("k", "x")]).await;
    assert_eq!(next(&mut *watch).await.0, at);
}

/// A watch on a node that stopped, its connections open, ends within 10 s.
#[tokio::test]
async fn a_watch_on_a_frozen_node_ends() {
    let Some(etcd) = etcd() else { return };
    let registry = open_on(&etcd).await;
    let from = latest(&*registry).await.next();
    let mut watch: Box<dyn Watch> = watch_from(&*registry, from).await;
    etcd.freeze();
    let ended = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
    assert_unavailable(ended.expect("ended in time"));
    etcd.thaw();
    super::available(|| registry.get("k")).await.expect("there again");
}
