//! Several clients of one etcd.

use super::{
    assert_unavailable, bounded, config, etcd, latest, next, open, open_on, perform, put,
    put_under, watch_from, when,
};
use crate::etcd::listing;
use crate::{Condition, LeaseId, Registry, RegistryError};

/// Of two clients that saw the same state exactly one changes it; the other is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_race_one_wins() {
    const ROUNDS: usize = 100;
    let Some(etcd) = etcd() else { return };
    let (one, two) = (open_on(&etcd).await, open_on(&etcd).await);
    let mut seen = perform(&*one, [put("k", "start")]).await;
    for round in 0..ROUNDS {
        let attempt = |who: &str| {
            let condition = Condition::Unchanged("k".to_owned(), seen);
            when(condition, put("k", &format!("{who} in round {round}")))
        };
        let outcomes = bounded(async {
            tokio::join!(one.transact(attempt("one")), two.transact(attempt("two")))
        });
        let (won, winner) = match outcomes.await {
            (Ok(won), Err(RegistryError::Conflict { key, revision })) => {
                assert_eq!((&*key, revision), ("k", won));
                (won, "one")
            }
            (Err(RegistryError::Conflict { key, revision }), Ok(won)) => {
                assert_eq!((&*key, revision), ("k", won));
                (won, "two")
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(won, seen.next());
        let entry = bounded(two.get("k")).await.unwrap().unwrap();
        assert_eq!((entry.modified, entry.value.starts_with(winner.as_bytes())), (won, true));
        seen = won;
    }
}

/// What one cluster keeps in an etcd, another one that uses it does not see.
#[tokio::test]
async fn clusters_do_not_see_each_other() {
    let Some(etcd) = etcd() else { return };
    let of = |cluster: &str| {
        let mut config = config(vec![etcd.endpoint()]);
        config.cluster = cluster.to_owned();
        open(config)
    };
    let (a, longer) = (of("a").await, of("a-b").await);
    let from = latest(&*a).await.next();
    let mut watch = watch_from(&*a, from).await;
    perform(&*longer, [put("k", "theirs"), put("a/k", "theirs")]).await;
    assert_eq!(bounded(a.get("k")).await.unwrap(), None);
    assert_eq!(bounded(a.list("")).await.unwrap().entries, []);
    let absent = when(Condition::Absent("k".to_owned()), put("k", "ours"));
    let at = bounded(a.transact(absent)).await.unwrap();
    let (told, changes) = next(&mut *watch).await;
    assert_eq!((told, changes.len()), (at, 1));
    assert_eq!(bounded(longer.get("k")).await.unwrap().unwrap().value, "theirs");
    assert_eq!(bounded(a.list("")).await.unwrap().entries.len(), 1);
}

/// A listing of many pages is of one revision while keys change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_in_pages_is_of_one_revision() {
    const KEYS: usize = 20;
    let Some(etcd) = etcd() else { return };
    let (reader, writer) = (open_on(&etcd).await, open_on(&etcd).await);
    let write = |round: usize| {
        let all: Vec<_> =
            (0..KEYS).map(|key| put(&format!("k/{key:02}"), &round.to_string())).collect();
        perform(&*writer, all)
    };
    let first = write(0).await;
    let mut compactor = super::raw(&etcd).await;
    let mut round = 0;
    for i in 0..30 {
        let read = listing::list(&reader, "k/", 3);
        let written = async {
            for _ in 0..3 {
                round += 1;
                write(round).await;
            }
        };
        let (listing, ()) = bounded(async { tokio::join!(read, written) }).await;
        let listing = listing.unwrap();
        assert_eq!(listing.entries.len(), KEYS);
        assert!(listing.entries.is_sorted_by(|a, b| a.key < b.key));
        for entry in &listing.entries {
            assert_eq!(entry.value, listing.entries[0].value);
            assert!(entry.modified <= listing.revision && entry.modified >= first);
        }
        // The revision that a listing began at may go meanwhile: it begins anew.
        if i % 3 == 0 {
            let at = i64::try_from(latest(&*writer).await.0).unwrap();
            compactor.compact(at, None).await.unwrap();
        }
    }
}

/// Of several leases in a transaction the one that is gone is named; 0 is none of etcd's.
#[tokio::test]
async fn the_lease_that_is_gone_is_named() {
    let Some(etcd) = etcd() else { return };
    let registry = open_on(&etcd).await;
    let long = std::time::Duration::from_secs(600);
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(registry.grant_lease(long).await.unwrap());
    }
    registry.revoke_lease(leases[1]).await.unwrap();
    let order = |order: [usize; 3]| {
        order.map(|i| put_under(Some(leases[i]), &format!("k/{i}"), "x")).to_vec()
    };
    for order in [order([0, 1, 2]), order([1, 0, 2]), order([2, 0, 1])] {
        match registry.transact(super::all(order)).await {
            Err(RegistryError::LeaseGone { lease }) => assert_eq!(lease, leases[1].0),
            other => panic!("{other:?}"),
        }
    }
    for never in [LeaseId(0), LeaseId(u64::MAX)] {
        let put = super::all([put_under(Some(never), "k", "x")]);
        let outcome = registry.transact(put).await;
        assert!(matches!(outcome, Err(RegistryError::LeaseGone { .. })), "{outcome:?}");
        let outcome = registry.keep_alive(never).await;
        assert!(matches!(outcome, Err(RegistryError::LeaseGone { .. })), "{outcome:?}");
        registry.revoke_lease(never).await.unwrap();
    }
    assert_eq!(registry.list("").await.unwrap().entries, []);
}

/// A registry is prepared while etcd is away, and works once it is there.
#[tokio::test]
async fn etcd_may_come_later() {
    let Some(mut etcd) = etcd() else { return };
    etcd.kill();
    let registry = open_on(&etcd).await;
    assert_unavailable(bounded(registry.get("k")).await);
    assert_unavailable(bounded(registry.transact(super::all([put("k", "x")]))).await);
    assert_unavailable(bounded(registry.watch("", crate::Revision(1))).await.map(drop));
    etcd.restart();
    perform(&*registry, [put("k", "x")]).await;
    assert!(bounded(registry.get("k")).await.unwrap().is_some());
}
