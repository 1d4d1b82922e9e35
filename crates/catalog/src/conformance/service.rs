//! Paging, bounds, durability, concurrency and closing.

use std::collections::BTreeSet;

use nautilus_types::{Class, Limits};

use super::{Harness, class, classes_of_every_call, name, user, with_users};
use crate::{CatalogError, Right};

pub(crate) async fn lists_are_paged_without_gaps(harness: &dyn Harness) {
    let catalog = harness.open().await;
    let owner = user("u0");
    for n in 0..7 {
        catalog.create_user(&user(&format!("u{n}")), "U", 1).await.expect("created");
    }
    for n in 0..7 {
        catalog.create_namespace(&name(format!("n{n}")), &owner, 1).await.expect("created");
        let member = user(&format!("u{n}"));
        catalog.grant_membership(&member, &name("n0"), Right::Owner).await.expect("granted");
    }
    let (mut users, mut members, mut namespaces, mut own) = (vec![], vec![], vec![], vec![]);
    for _ in 0..4 {
        users.extend(
            catalog.list_users(users.last(), 2).await.expect("list").into_iter().map(|u| u.id),
        );
        let page = catalog.list_members(&name("n0"), members.last(), 2).await.expect("list");
        members.extend(page.into_iter().map(|m| m.user));
        let page = catalog.list_namespaces(namespaces.last(), 2).await.expect("list");
        namespaces.extend(page.into_iter().map(|n| n.name));
        let page = catalog.namespaces_of(&owner, own.last(), 2).await.expect("list");
        own.extend(page.into_iter().map(|a| a.namespace.name));
    }
    let ids: Vec<_> = (0..7).map(|n| user(&format!("u{n}"))).collect();
    let names: Vec<_> = (0..7).map(|n| name(format!("n{n}"))).collect();
    assert_eq!((users, members), (ids.clone(), ids));
    assert_eq!((namespaces, own), (names.clone(), names));
}

pub(crate) async fn too_many_names_are_refused(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let ada = user("ada");
    catalog.create_namespace(&name("n7"), &ada, 1).await.expect("created");
    let most = Limits::GRANT_NAMESPACES_MAX;
    let names: Vec<_> = (0..=most).map(|n| name(format!("n{n}"))).collect();
    let refused = catalog.readable_namespaces(&ada, Some(&names), 10).await;
    assert!(matches!(refused, Err(CatalogError::TooMany { .. })));
    let scope = catalog.readable_namespaces(&ada, Some(&names[..most]), 10).await.expect("scope");
    let life = scope[0].incarnation;
    assert_eq!(scope.len(), 1);
    let pairs: Vec<_> = names.into_iter().map(|name| (name, life)).collect();
    assert_eq!(class(catalog.may_read(&ada, &pairs).await), Class::Invalid);
    let verdicts = catalog.may_read(&ada, &pairs[..most]).await.expect("check");
    assert!(verdicts.iter().enumerate().all(|(n, verdict)| *verdict == (n == 7)));
}

pub(crate) async fn acknowledged_changes_survive_reopening(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, bob) = (user("ada"), user("bob"));
    let kept = catalog.create_namespace(&name("kept"), &ada, 1).await.expect("created");
    catalog.create_namespace(&name("gone"), &ada, 1).await.expect("created");
    catalog.grant_membership(&bob, &name("kept"), Right::Writer).await.expect("granted");
    catalog.delete_namespace(&name("gone"), 2).await.expect("deleted").expect("was there");
    catalog.delete_user(&user("eve")).await.expect("deleted").expect("was there");
    // Not closed, and while it is still open: the other reads what was acknowledged, not what was
    // tidied up at the end.
    let other = harness.open().await;
    catalog.revoke_membership(&bob, &name("kept")).await.expect("revoked");
    drop(catalog);
    assert_eq!(other.right_of(&bob, &name("kept")).await.expect("read"), None);
    assert_eq!(other.list_namespaces(None, 10).await.expect("list"), std::slice::from_ref(&kept));
    let ids: Vec<_> =
        other.list_users(None, 10).await.expect("list").into_iter().map(|u| u.id).collect();
    assert_eq!(ids, [ada.clone(), bob.clone()]);
    assert_eq!(other.pending_namespace_deletions(10).await.expect("list").len(), 1);
    other.close().await;
    let third = harness.open().await;
    assert_eq!(third.readable_namespaces(&ada, None, 10).await.expect("scope"), [kept]);
    assert_eq!(third.readable_namespaces(&bob, None, 10).await.expect("scope"), []);
}

pub(crate) async fn concurrent_creations_have_one_winner(harness: &dyn Harness) {
    const CALLERS: usize = 8;
    let catalog = with_users(harness).await;
    let ada = user("ada");
    let mut winners = 0;
    let mut lives = BTreeSet::new();
    for round in 0..4 {
        let same = name(format!("same {round}"));
        let others: Vec<_> = (0..CALLERS).map(|n| name(format!("own {round} {n}"))).collect();
        let mut calls = tokio::task::JoinSet::new();
        for own in others {
            let (catalog, ada, same) = (catalog.clone(), ada.clone(), same.clone());
            calls.spawn(async move {
                let same = catalog.create_namespace(&same, &ada, 1).await;
                let own = catalog.create_namespace(&own, &ada, 1).await.expect("created");
                (same, own)
            });
        }
        while let Some(joined) = calls.join_next().await {
            let (same, own) = joined.expect("joined");
            assert!(lives.insert(own.incarnation), "given twice");
            match same {
                Ok(made) => {
                    winners += 1;
                    assert!(lives.insert(made.incarnation), "given twice");
                }
                Err(error) => assert_eq!(error.class(), Class::Conflict),
            }
        }
    }
    assert_eq!(winners, 4);
    assert_eq!(catalog.list_namespaces(None, 1000).await.expect("list").len(), 4 * (CALLERS + 1));
}

pub(crate) async fn closed_is_unavailable(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    catalog.close().await;
    let classes = classes_of_every_call(&*catalog).await;
    assert!(classes.iter().all(|class| *class == Class::Unavailable), "{classes:?}");
}
