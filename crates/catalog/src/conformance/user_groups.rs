//! Groups of users, the rights that come through them, and mounts.

use nautilus_types::Class;

use super::{Harness, class, group, name, path, user, with_users};
use crate::{CatalogError, MOUNTS_MAX, MemberGroup, Right};

pub(crate) async fn user_groups_are_created_listed_and_deleted(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (staff, guests) = (group("staff"), group("guests"));
    let made = catalog.create_user_group(&staff, "Staff", 5).await.expect("created");
    assert_eq!((&*made.display_name, made.created_at_unix_ms), ("Staff", 5));
    let twice = catalog.create_user_group(&staff, "Other", 6).await;
    assert!(matches!(twice, Err(CatalogError::UserGroupExists { .. })));
    assert_eq!(class(catalog.create_user_group(&guests, "", 6).await), Class::Invalid);
    catalog.create_user_group(&guests, "Guests", 6).await.expect("created");
    let listed = catalog.list_user_groups(None, 10).await.expect("list");
    assert_eq!(listed.iter().map(|g| g.id.as_str()).collect::<Vec<_>>(), ["guests", "staff"]);
    let second = catalog.list_user_groups(Some(&guests), 1).await.expect("list");
    assert_eq!(second, std::slice::from_ref(&made));

    for who in ["eve", "ada", "ada"] {
        catalog.add_to_user_group(&staff, &user(who)).await.expect("added");
    }
    let users = catalog.list_users_of_group(&staff, None, 10).await.expect("list");
    assert_eq!(users, [user("ada"), user("eve")]);
    let after = catalog.list_users_of_group(&staff, Some(&user("ada")), 10).await.expect("list");
    assert_eq!(after, [user("eve")]);
    assert!(catalog.remove_from_user_group(&staff, &user("ada")).await.expect("removed"));
    assert!(!catalog.remove_from_user_group(&staff, &user("ada")).await.expect("nothing"));
    let nobody = catalog.add_to_user_group(&staff, &user("nobody")).await;
    assert!(matches!(nobody, Err(CatalogError::NoSuchUser { .. })));
    let nowhere = catalog.add_to_user_group(&group("x"), &user("ada")).await;
    assert!(matches!(nowhere, Err(CatalogError::NoSuchUserGroup { .. })));
    assert_eq!(class(catalog.list_users_of_group(&group("x"), None, 9).await), Class::NotFound);

    assert_eq!(catalog.delete_user_group(&staff).await.expect("deleted"), Some(made));
    assert_eq!(catalog.delete_user_group(&staff).await.expect("nothing"), None);
    assert_eq!(class(catalog.list_users_of_group(&staff, None, 9).await), Class::NotFound);
    // A new group of the same id is another one.
    catalog.create_user_group(&staff, "Staff", 7).await.expect("created");
    assert_eq!(catalog.list_users_of_group(&staff, None, 9).await.expect("list"), []);
}

pub(crate) async fn rights_come_through_groups_and_go_with_them(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, bob, notes, staff) = (user("ada"), user("bob"), name("notes"), group("staff"));
    let made = catalog.create_namespace(&notes, &ada, 1).await.expect("created");
    let life = [(notes.clone(), made.incarnation)];
    catalog.create_user_group(&staff, "Staff", 1).await.expect("created");
    catalog.add_to_user_group(&staff, &bob).await.expect("added");
    catalog.grant_group_membership(&staff, &notes, Right::Writer).await.expect("granted");
    assert_eq!(catalog.right_of(&bob, &notes).await.expect("read"), Some(Right::Writer));
    assert_eq!(catalog.may_read(&bob, &life).await.expect("check"), [true]);
    assert_eq!(
        catalog.readable_namespaces(&bob, None, 9).await.expect("scope"),
        std::slice::from_ref(&made)
    );

    // Both ways at once: once in the scope, with the larger right.
    catalog.grant_membership(&bob, &notes, Right::Reader).await.expect("granted");
    assert_eq!(
        catalog.readable_namespaces(&bob, None, 9).await.expect("scope"),
        std::slice::from_ref(&made)
    );
    let of_bob = catalog.namespaces_of(&bob, None, 9).await.expect("list");
    assert_eq!(of_bob.len(), 1);
    assert_eq!(of_bob[0].right, Right::Writer);
    let members = catalog.list_members(&notes, None, 9).await.expect("list");
    assert_eq!(members.len(), 2, "the group's users are not members themselves");
    let groups = catalog.list_member_groups(&notes, None, 9).await.expect("list");
    assert_eq!(groups, [MemberGroup { group: staff.clone(), right: Right::Writer }]);
    catalog.revoke_membership(&bob, &notes).await.expect("revoked");
    assert_eq!(catalog.right_of(&bob, &notes).await.expect("read"), Some(Right::Writer));

    catalog.remove_from_user_group(&staff, &bob).await.expect("removed");
    assert_eq!(catalog.right_of(&bob, &notes).await.expect("read"), None);
    assert_eq!(catalog.may_read(&bob, &life).await.expect("check"), [false]);
    catalog.add_to_user_group(&staff, &bob).await.expect("added");
    let had = catalog.revoke_group_membership(&staff, &notes).await.expect("revoked");
    assert_eq!(had, Some(Right::Writer));
    assert_eq!(catalog.readable_namespaces(&bob, None, 9).await.expect("scope"), []);

    // A new life of the name has new members, and a new group new rights.
    catalog.grant_group_membership(&staff, &notes, Right::Reader).await.expect("granted");
    catalog.delete_namespace(&notes, 2).await.expect("deleted");
    catalog.create_namespace(&notes, &ada, 3).await.expect("created");
    assert_eq!(catalog.readable_namespaces(&bob, None, 9).await.expect("scope"), []);
    catalog.grant_group_membership(&staff, &notes, Right::Reader).await.expect("granted");
    catalog.delete_user_group(&staff).await.expect("deleted");
    catalog.create_user_group(&staff, "Staff", 4).await.expect("created");
    catalog.add_to_user_group(&staff, &bob).await.expect("added");
    assert_eq!(catalog.readable_namespaces(&bob, None, 9).await.expect("scope"), []);
}

pub(crate) async fn a_group_owns_nothing_and_keeps_no_owner(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, bob, notes, staff) = (user("ada"), user("bob"), name("notes"), group("staff"));
    catalog.create_namespace(&notes, &ada, 1).await.expect("created");
    catalog.create_user_group(&staff, "Staff", 1).await.expect("created");
    catalog.add_to_user_group(&staff, &bob).await.expect("added");
    let owner = catalog.grant_group_membership(&staff, &notes, Right::Owner).await;
    assert_eq!(class(owner), Class::Invalid);
    catalog.grant_group_membership(&staff, &notes, Right::Writer).await.expect("granted");
    let last = catalog.revoke_membership(&ada, &notes).await;
    assert!(matches!(last, Err(CatalogError::LastOwner { .. })));
    let nothing = catalog.grant_group_membership(&group("x"), &notes, Right::Reader).await;
    assert!(matches!(nothing, Err(CatalogError::NoSuchUserGroup { .. })));
    let nowhere = catalog.grant_group_membership(&staff, &name("x"), Right::Reader).await;
    assert!(matches!(nowhere, Err(CatalogError::NoSuchNamespace { .. })));
    assert_eq!(catalog.revoke_group_membership(&staff, &name("x")).await.expect("nothing"), None);
    assert_eq!(class(catalog.list_member_groups(&name("x"), None, 9).await), Class::NotFound);
}

pub(crate) async fn mounts_show_namespaces_and_give_no_right(harness: &dyn Harness) {
    let catalog = with_users(harness).await;
    let (ada, bob, notes) = (user("ada"), user("bob"), name("notes"));
    let made = catalog.create_namespace(&notes, &ada, 1).await.expect("created");
    catalog.create_namespace(&name("team"), &ada, 1).await.expect("created");
    catalog.set_mount(&bob, &path("Shared/Notes"), &notes).await.expect("set");
    assert_eq!(catalog.right_of(&bob, &notes).await.expect("read"), None);
    assert_eq!(catalog.readable_namespaces(&bob, None, 9).await.expect("scope"), []);
    assert_eq!(catalog.list_mounts(&ada).await.expect("list"), []);
    let mounts = catalog.list_mounts(&bob).await.expect("list");
    assert_eq!(mounts.len(), 1);
    assert_eq!((&mounts[0].namespace, mounts[0].incarnation), (&notes, made.incarnation));
    catalog.set_mount(&bob, &path("Shared/Notes"), &name("team")).await.expect("replaced");
    catalog.set_mount(&bob, &path("Again"), &name("team")).await.expect("set");
    let places = |mounts: Vec<crate::Mount>| -> Vec<String> {
        mounts.iter().map(|m| format!("{} {}", m.path, m.namespace.to_lossy())).collect()
    };
    let listed = places(catalog.list_mounts(&bob).await.expect("list"));
    assert_eq!(listed, ["Again team", "Shared/Notes team"]);
    assert!(catalog.remove_mount(&bob, &path("Again")).await.expect("removed"));
    assert!(!catalog.remove_mount(&bob, &path("Again")).await.expect("nothing"));
    let nobody = catalog.set_mount(&user("nobody"), &path("a"), &notes).await;
    assert!(matches!(nobody, Err(CatalogError::NoSuchUser { .. })));
    let nowhere = catalog.set_mount(&bob, &path("a"), &name("x")).await;
    assert!(matches!(nowhere, Err(CatalogError::NoSuchNamespace { .. })));
    catalog.delete_namespace(&name("team"), 2).await.expect("deleted");
    assert_eq!(catalog.list_mounts(&bob).await.expect("list"), []);

    for n in 0..MOUNTS_MAX {
        catalog.set_mount(&bob, &path(&format!("m{n}")), &notes).await.expect("fits");
    }
    assert_eq!(class(catalog.set_mount(&bob, &path("more"), &notes).await), Class::Invalid);
    catalog.set_mount(&bob, &path("m0"), &notes).await.expect("replacing is no more");
}
