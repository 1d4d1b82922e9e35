//! Users and namespaces: their lives, names and incarnations.

use std::collections::BTreeSet;

use nautilus_types::{Class, Incarnation, Limits, NamespaceName};

use super::{Harness, class, name, user, with_users};
use crate::{CatalogError, DeletedNamespace, Right};

/// Names that meet one another in a store that escapes badly.
fn adversarial_names() -> BTreeSet<NamespaceName> {
    let mut names: BTreeSet<NamespaceName> = [
        &b"a"[..],
        b"ab",
        b"abc",
        b"a|b",
        b"|",
        b"||",
        b"\0",
        b"\0\0",
        b"a\0",
        b"a\0b",
        b"\xff",
        b"\xff\xff",
        b"a\xff",
        b" ",
        b"a ",
        b" a",
        b"A",
        b"%",
        b"_",
        b"a%",
        b"'",
        b"';--",
        b"\"",
        b"\xc3\x28",
        b"1",
        b"1.0",
        b"NULL",
        b"x'61'",
        "é".as_bytes(),
        "e\u{301}".as_bytes(),
        b"\n",
        b"../a",
        b"/",
        b"*",
    ]
    .into_iter()
    .map(name)
    .collect();
    names.insert(name([0xff; Limits::NAMESPACE_BYTES_MAX]));
    names.insert(name([0; Limits::NAMESPACE_BYTES_MAX]));
    names
}

pub(crate) async fn users_are_created_read_listed_and_deleted(harness: &dyn Harness) {
    let catalog = harness.open().await;
    let made = catalog.create_user(&user("bob"), "Bob B.", 7).await.expect("created");
    assert_eq!(
        (made.id.as_str(), &*made.display_name, made.created_at_unix_ms),
        ("bob", "Bob B.", 7)
    );
    assert_eq!(catalog.get_user(&user("bob")).await.expect("read"), Some(made.clone()));
    assert_eq!(catalog.get_user(&user("BOB")).await.expect("read"), None);
    let again = catalog.create_user(&user("bob"), "Other", 9).await;
    assert!(matches!(again, Err(CatalogError::UserExists { .. })));
    let ada = catalog.create_user(&user("ada"), "Ada", 8).await.expect("created");
    assert_eq!(catalog.list_users(None, 10).await.expect("list"), [ada.clone(), made.clone()]);
    assert_eq!(catalog.delete_user(&user("bob")).await.expect("deleted"), Some(made));
    assert_eq!(catalog.delete_user(&user("bob")).await.expect("nothing"), None);
    assert_eq!(catalog.list_users(None, 10).await.expect("list"), [ada]);
}

pub(crate) async fn display_names_are_checked(harness: &dyn Harness) {
    let catalog = harness.open().await;
    for bad in ["", "a\0", "a\u{202e}b", &"x".repeat(257)] {
        assert_eq!(class(catalog.create_user(&user("ada"), bad, 1).await), Class::Invalid);
    }
    assert_eq!(class(catalog.create_user(&user("ada"), "Ada", u64::MAX).await), Class::Invalid);
    assert_eq!(catalog.list_users(None, 10).await.expect("list"), []);
    catalog.create_user(&user("ada"), &"x".repeat(256), 1).await.expect("created");
}

pub(crate) async fn namespaces_are_created_read_listed_and_deleted(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, notes) = (user("ada"), name("notes"));
    let unknown = catalog.create_namespace(&notes, &user("nobody"), 5).await;
    assert!(matches!(unknown, Err(CatalogError::NoSuchUser { .. })));
    let made = catalog.create_namespace(&notes, &ada, 5).await.expect("created");
    assert_eq!((&made.name, made.created_at_unix_ms), (&notes, 5));
    assert!(made.incarnation >= Incarnation(1));
    assert_eq!(catalog.get_namespace(&notes).await.expect("read"), Some(made.clone()));
    assert_eq!(catalog.right_of(&ada, &notes).await.expect("read"), Some(Right::Owner));
    assert_eq!(class(catalog.create_namespace(&notes, &user("bob"), 6).await), Class::Conflict);
    assert_eq!(catalog.right_of(&user("bob"), &notes).await.expect("read"), None);
    assert_eq!(catalog.list_namespaces(None, 10).await.expect("list"), std::slice::from_ref(&made));
    assert_eq!(catalog.delete_namespace(&notes, 9).await.expect("deleted"), Some(made));
    assert_eq!(catalog.delete_namespace(&notes, 9).await.expect("nothing"), None);
    assert_eq!(catalog.get_namespace(&notes).await.expect("read"), None);
    assert_eq!(catalog.list_namespaces(None, 10).await.expect("list"), []);
    assert_eq!(catalog.right_of(&ada, &notes).await.expect("read"), None);
}

pub(crate) async fn names_of_any_bytes_stay_apart(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let names = adversarial_names();
    let (even, odd) = (user("ada"), user("bob"));
    let mut incarnations = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let owner = if n % 2 == 0 { &even } else { &odd };
        incarnations
            .push(catalog.create_namespace(name, owner, 1).await.expect("created").incarnation);
    }
    let listed = catalog.list_namespaces(None, 1000).await.expect("list");
    assert!(listed.iter().map(|n| &n.name).eq(names.iter()), "all, in byte order");
    for (who, parity) in [(&even, 0), (&odd, 1)] {
        let scope = catalog.readable_namespaces(who, None, 1000).await.expect("scope");
        let own = names.iter().enumerate().filter(|(n, _)| n % 2 == parity).map(|(_, name)| name);
        assert!(scope.iter().map(|n| &n.name).eq(own));
        let pairs: Vec<_> = names.iter().cloned().zip(incarnations.iter().copied()).collect();
        let verdicts = catalog.may_read(who, &pairs).await.expect("check");
        assert!(verdicts.iter().enumerate().all(|(n, verdict)| *verdict == (n % 2 == parity)));
        for (n, name) in names.iter().enumerate() {
            let only = catalog
                .readable_namespaces(who, Some(std::slice::from_ref(name)), 10)
                .await
                .expect("scope");
            assert_eq!(only.len(), usize::from(n % 2 == parity), "{name:?}");
        }
    }
    // Deleting one must not touch those it is a prefix of.
    catalog.delete_namespace(&name("a"), 2).await.expect("deleted").expect("was there");
    assert_eq!(catalog.list_namespaces(None, 1000).await.expect("list").len(), names.len() - 1);
}

pub(crate) async fn incarnations_only_grow(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let ada = user("ada");
    let mut last = Incarnation(0);
    for round in 0..3 {
        for n in ["a", "b"] {
            let made = catalog.create_namespace(&name(n), &ada, 1).await.expect("created");
            assert!(made.incarnation > last, "round {round}");
            last = made.incarnation;
        }
        assert_eq!(class(catalog.create_namespace(&name("a"), &ada, 1).await), Class::Conflict);
        // The newest goes, so that a store that takes "largest in use, plus one" is caught.
        for n in ["a", "b"] {
            catalog.delete_namespace(&name(n), 2).await.expect("deleted").expect("was there");
        }
        for pending in catalog.pending_namespace_deletions(10).await.expect("list") {
            catalog.mark_namespace_deletion_logged(pending.incarnation).await.expect("marked");
        }
    }
    catalog.close().await;
    let made = harness.open().await.create_namespace(&name("c"), &ada, 3).await.expect("created");
    assert!(made.incarnation > last);
}

pub(crate) async fn deletions_stay_pending_until_logged(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, notes) = (user("ada"), name(b"n\0\xff"));
    assert_eq!(catalog.pending_namespace_deletions(10).await.expect("list"), []);
    let first = catalog.create_namespace(&notes, &ada, 1).await.expect("created").incarnation;
    let missing = catalog.mark_namespace_deletion_logged(first).await;
    assert_eq!(class(missing), Class::NotFound);
    catalog.delete_namespace(&notes, 20).await.expect("deleted").expect("was there");
    let second = catalog.create_namespace(&notes, &ada, 3).await.expect("created").incarnation;
    catalog.delete_namespace(&notes, 40).await.expect("deleted").expect("was there");
    let expected = |incarnation, deleted_at_unix_ms| DeletedNamespace {
        name: notes.clone(),
        incarnation,
        deleted_at_unix_ms,
    };
    let both = [expected(first, 20), expected(second, 40)];
    assert_eq!(catalog.pending_namespace_deletions(10).await.expect("list"), both);
    assert_eq!(catalog.pending_namespace_deletions(1).await.expect("list"), both[..1]);
    catalog.close().await;

    let catalog = harness.open().await;
    assert_eq!(catalog.pending_namespace_deletions(10).await.expect("list"), both);
    catalog.mark_namespace_deletion_logged(first).await.expect("marked");
    catalog.mark_namespace_deletion_logged(first).await.expect("repeating changes nothing");
    assert_eq!(catalog.pending_namespace_deletions(10).await.expect("list"), both[1..]);
    catalog.close().await;
    let catalog = harness.open().await;
    assert_eq!(catalog.pending_namespace_deletions(10).await.expect("list"), both[1..]);
}
