//! Rights, scope and second check.

use nautilus_types::{Class, Incarnation};

use super::{Harness, class, name, user, with_users};
use crate::{CatalogError, Member, Right};

pub(crate) async fn rights_are_granted_changed_and_revoked(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, bob, notes) = (user("ada"), user("bob"), name("notes"));
    let made = catalog.create_namespace(&notes, &ada, 1).await.expect("created");
    for right in [Right::Reader, Right::Writer, Right::Owner, Right::Reader] {
        catalog.grant_membership(&bob, &notes, right).await.expect("granted");
        assert_eq!(catalog.right_of(&bob, &notes).await.expect("read"), Some(right));
        let access = catalog.access_of(&bob, &notes).await.expect("read").expect("member");
        assert_eq!((access.namespace, access.right), (made.clone(), right));
    }
    let members = catalog.list_members(&notes, None, 10).await.expect("list");
    let expected = [
        Member { user: ada.clone(), right: Right::Owner },
        Member { user: bob.clone(), right: Right::Reader },
    ];
    assert_eq!(members, expected);
    assert_eq!(
        catalog.revoke_membership(&bob, &notes).await.expect("revoked"),
        Some(Right::Reader)
    );
    assert_eq!(catalog.revoke_membership(&bob, &notes).await.expect("nothing"), None);
    assert_eq!(catalog.revoke_membership(&bob, &name("x")).await.expect("nothing"), None);
    assert_eq!(catalog.right_of(&bob, &notes).await.expect("read"), None);

    let nobody = catalog.grant_membership(&user("nobody"), &notes, Right::Reader).await;
    assert!(matches!(nobody, Err(CatalogError::NoSuchUser { .. })));
    let nowhere = catalog.grant_membership(&bob, &name("x"), Right::Reader).await;
    assert!(matches!(nowhere, Err(CatalogError::NoSuchNamespace { .. })));
    assert_eq!(class(catalog.list_members(&name("x"), None, 10).await), Class::NotFound);
}

pub(crate) async fn the_last_owner_stays(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, bob, notes) = (user("ada"), user("bob"), name("notes"));
    catalog.create_namespace(&notes, &ada, 1).await.expect("created");
    catalog.grant_membership(&bob, &notes, Right::Writer).await.expect("granted");
    let refused = [
        catalog.grant_membership(&ada, &notes, Right::Reader).await,
        catalog.revoke_membership(&ada, &notes).await.map(drop),
        catalog.delete_user(&ada).await.map(drop),
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(CatalogError::LastOwner { .. })));
    }
    catalog.grant_membership(&ada, &notes, Right::Owner).await.expect("no change");
    catalog.grant_membership(&bob, &notes, Right::Owner).await.expect("granted");
    catalog.grant_membership(&ada, &notes, Right::Reader).await.expect("two owners until now");
    catalog.delete_user(&ada).await.expect("deleted").expect("was there");
    let members = catalog.list_members(&notes, None, 10).await.expect("list");
    assert_eq!(members, [Member { user: bob, right: Right::Owner }]);
    // A user of the same id is somebody else.
    catalog.create_user(&ada, "Ada II", 2).await.expect("created");
    assert_eq!(catalog.readable_namespaces(&ada, None, 10).await.expect("scope"), []);
}

pub(crate) async fn scope_follows_memberships_and_filter(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, bob) = (user("ada"), user("bob"));
    let mut made = Vec::new();
    for n in ["a", "b", "c"] {
        made.push(catalog.create_namespace(&name(n), &ada, 1).await.expect("created"));
    }
    assert_eq!(catalog.readable_namespaces(&bob, None, 10).await.expect("scope"), []);
    assert_eq!(catalog.readable_namespaces(&user("nobody"), None, 10).await.expect("scope"), []);
    catalog.grant_membership(&bob, &name("c"), Right::Reader).await.expect("granted");
    catalog.grant_membership(&bob, &name("a"), Right::Writer).await.expect("granted");
    let scope = catalog.readable_namespaces(&bob, None, 10).await.expect("scope");
    assert_eq!(scope, [made[0].clone(), made[2].clone()]);
    assert_eq!(catalog.readable_namespaces(&bob, None, 1).await.expect("scope"), made[..1]);
    assert_eq!(catalog.readable_namespaces(&bob, None, 0).await.expect("scope"), []);
    assert_eq!(catalog.readable_namespaces(&bob, Some(&[]), 10).await.expect("scope"), []);
    let filter = [name("c"), name("b"), name("missing"), name("c")];
    let scope = catalog.readable_namespaces(&bob, Some(&filter), 10).await.expect("scope");
    assert_eq!(scope, made[2..]);
    let of_bob = catalog.namespaces_of(&bob, None, 10).await.expect("list");
    let rights: Vec<_> = of_bob.into_iter().map(|a| (a.namespace, a.right)).collect();
    assert_eq!(rights, [(made[0].clone(), Right::Writer), (made[2].clone(), Right::Reader)]);
}

pub(crate) async fn second_check_follows_memberships_and_incarnation(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, bob) = (user("ada"), user("bob"));
    let a = catalog.create_namespace(&name("a"), &ada, 1).await.expect("created").incarnation;
    let b = catalog.create_namespace(&name("b"), &ada, 1).await.expect("created").incarnation;
    catalog.grant_membership(&bob, &name("b"), Right::Reader).await.expect("granted");
    let asked = [
        (name("a"), a),
        (name("b"), b),
        (name("b"), a),
        (name("b"), Incarnation(b.0 + 1)),
        (name("b"), Incarnation(0)),
        (name("b"), Incarnation(u64::MAX)),
        (name("missing"), b),
        (name("b"), b),
    ];
    let verdicts = catalog.may_read(&bob, &asked).await.expect("check");
    assert_eq!(verdicts, [false, true, false, false, false, false, false, true]);
    assert_eq!(catalog.may_read(&bob, &[]).await.expect("check"), []);
    assert_eq!(catalog.may_read(&user("nobody"), &asked[..2]).await.expect("check"), [false; 2]);
    catalog.revoke_membership(&bob, &name("b")).await.expect("revoked");
    assert_eq!(catalog.may_read(&bob, &asked[1..2]).await.expect("check"), [false]);
}

pub(crate) async fn a_new_life_of_a_name_has_new_members(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, bob, notes) = (user("ada"), user("bob"), name("notes"));
    let old = catalog.create_namespace(&notes, &ada, 1).await.expect("created").incarnation;
    catalog.grant_membership(&bob, &notes, Right::Writer).await.expect("granted");
    catalog.delete_namespace(&notes, 2).await.expect("deleted").expect("was there");
    assert_eq!(catalog.readable_namespaces(&bob, None, 10).await.expect("scope"), []);
    let new = catalog.create_namespace(&notes, &user("eve"), 3).await.expect("created").incarnation;
    assert_eq!(catalog.right_of(&bob, &notes).await.expect("read"), None);
    assert_eq!(catalog.readable_namespaces(&bob, None, 10).await.expect("scope"), []);
    let lives = [(notes.clone(), old), (notes.clone(), new)];
    assert_eq!(catalog.may_read(&bob, &lives).await.expect("check"), [false, false]);
    catalog.grant_membership(&bob, &notes, Right::Reader).await.expect("granted");
    assert_eq!(catalog.may_read(&bob, &lives).await.expect("check"), [false, true]);
}
