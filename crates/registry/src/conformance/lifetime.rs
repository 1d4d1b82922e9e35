//! Cases about closing and opening again.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{
    RegistryUnderTest, bounded, changes, delete, get, grant, next, perform, put, put_under,
    revision, watch_from_now, written,
};
use crate::{RegistryError, Revision, Transaction};

/// What was acknowledged is there after opening again, as it was.
pub async fn acknowledged_changes_survive_reopening(mut subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    for i in 0..20 {
        perform(&*registry, [put(&format!("s/{i}"), &i.to_string())]).await;
    }
    perform(&*registry, [put("s/3", "again"), delete("s/4"), put("any", "\0\u{ff}")]).await;
    let before = bounded(registry.list("")).await.expect("listed");
    drop(registry);
    for _ in 0..2 {
        let registry = bounded(subject.reopen()).await;
        let after = bounded(registry.list("")).await.expect("listed");
        assert_eq!(after.entries, before.entries);
        assert!(after.revision >= before.revision);
    }
    let registry = subject.registry();
    let mut watch = watch_from_now(&*registry, "s/").await;
    perform(&*registry, [put("s/4", "new")]).await;
    assert_eq!(changes(next(&mut *watch).await), [written("s/4", "new")]);
}

/// Every change has a larger revision than all before, those of leases and of earlier openings too.
pub async fn revisions_only_grow(mut subject: impl RegistryUnderTest) {
    let mut last = Revision(0);
    for round in 0..3 {
        let registry = subject.registry();
        assert!(revision(&*registry).await >= last);
        let at = perform(&*registry, [put("k", &round.to_string())]).await;
        assert!(at > last, "{at} after {last}");
        last = at;
        let lease = grant(&*registry, Duration::from_secs(60)).await;
        let at = perform(&*registry, [put_under(lease, "by-lease")]).await;
        assert!(at > last, "{at} after {last}");
        bounded(registry.revoke_lease(lease)).await.expect("revoked");
        let ended = revision(&*registry).await;
        assert!(ended > at, "{ended} after {at}");
        // Left to the next opening, which may end it.
        let lease = grant(&*registry, Duration::from_secs(60)).await;
        last = perform(&*registry, [put_under(lease, "by-lease")]).await;
        assert!(get(&*registry, "by-lease").await.is_some());
        drop(registry);
        bounded(subject.reopen()).await;
    }
}

/// Closing wakes those who wait, and every later call says that it is closed.
pub async fn closing_wakes_watchers_and_refuses_calls(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let lease = grant(&*registry, Duration::from_secs(60)).await;
    let mut waiting = JoinSet::new();
    for prefix in ["", "a/"] {
        let mut watch = watch_from_now(&*registry, prefix).await;
        waiting.spawn(async move { watch.next().await });
    }
    let mut idle = watch_from_now(&*registry, "").await;
    bounded(registry.close()).await;
    for woken in bounded(waiting.join_all()).await {
        assert!(matches!(woken, Err(RegistryError::Closed)), "{woken:?}");
    }
    let from = Revision(1);
    let outcomes = [
        bounded(idle.next()).await.err(),
        bounded(registry.get("k")).await.err(),
        bounded(registry.list("")).await.err(),
        bounded(registry.transact(Transaction::default())).await.err(),
        bounded(registry.watch("", from)).await.err(),
        bounded(registry.grant_lease(Duration::from_secs(1))).await.err(),
        bounded(registry.keep_alive(lease)).await.err(),
        bounded(registry.revoke_lease(lease)).await.err(),
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Some(RegistryError::Closed)), "{outcome:?}");
    }
    bounded(registry.close()).await;
}
