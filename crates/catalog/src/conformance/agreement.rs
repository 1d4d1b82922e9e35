//! Random histories: the scope query, the second check and a naive model say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nautilus_types::{Incarnation, NamespaceName};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Harness, group, name, user};
use crate::{Catalog, Right, UserGroupId, UserId};

/// Histories per harness, and steps of each. All run in one store, with names of their own.
const HISTORIES: u8 = 12;
const STEPS: usize = 60;

#[derive(Debug, Clone)]
enum Step {
    CreateUser(u8),
    DeleteUser(u8),
    Create { name: u8, owner: u8 },
    Delete { name: u8 },
    Grant { user: u8, name: u8, right: Right },
    Revoke { user: u8, name: u8 },
    CreateGroup(u8),
    DeleteGroup(u8),
    Join { group: u8, user: u8 },
    Leave { group: u8, user: u8 },
    GrantGroup { group: u8, name: u8, right: Right },
    RevokeGroup { group: u8, name: u8 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let right = prop_oneof![Just(Right::Reader), Just(Right::Writer), Just(Right::Owner)];
    prop_oneof![
        2 => (0..3u8).prop_map(Step::CreateUser),
        1 => (0..3u8).prop_map(Step::DeleteUser),
        4 => (0..4u8, 0..3u8).prop_map(|(name, owner)| Step::Create { name, owner }),
        2 => (0..4u8).prop_map(|name| Step::Delete { name }),
        5 => (0..3u8, 0..4u8, right).prop_map(|(user, name, right)| Step::Grant { user, name, right }),
        3 => (0..3u8, 0..4u8).prop_map(|(user, name)| Step::Revoke { user, name }),
        2 => (0..2u8).prop_map(Step::CreateGroup),
        1 => (0..2u8).prop_map(Step::DeleteGroup),
        4 => (0..2u8, 0..3u8).prop_map(|(group, user)| Step::Join { group, user }),
        2 => (0..2u8, 0..3u8).prop_map(|(group, user)| Step::Leave { group, user }),
        4 => (0..2u8, 0..4u8, prop_oneof![Just(Right::Reader), Just(Right::Writer)])
            .prop_map(|(group, name, right)| Step::GrantGroup { group, name, right }),
        2 => (0..2u8, 0..4u8).prop_map(|(group, name)| Step::RevokeGroup { group, name }),
        1 => Just(Step::Reopen),
    ]
}

/// The catalog as a person would write it down; right or wrong calls are decided here as well.
#[derive(Default)]
struct Model {
    users: Vec<UserId>,
    namespaces: BTreeMap<NamespaceName, Life>,
    groups: BTreeMap<UserGroupId, BTreeSet<UserId>>,
    /// All lives there ever were.
    lives: Vec<(NamespaceName, Incarnation)>,
}

struct Life {
    incarnation: Incarnation,
    members: BTreeMap<UserId, Right>,
    groups: BTreeMap<UserGroupId, Right>,
}

impl Model {
    fn is_last_owner(&self, user: &UserId, name: &NamespaceName) -> bool {
        self.namespaces.get(name).is_some_and(|life| {
            life.members.get(user) == Some(&Right::Owner)
                && life.members.values().filter(|right| **right == Right::Owner).count() == 1
        })
    }

    /// The most that the user's own membership and those of their groups allow.
    fn right(&self, user: &UserId, life: &Life) -> Option<Right> {
        let is_in = |group: &UserGroupId| self.groups.get(group).is_some_and(|g| g.contains(user));
        let of_groups =
            life.groups.iter().filter(|(group, _)| is_in(group)).map(|(_, right)| *right);
        life.members.get(user).copied().into_iter().chain(of_groups).max()
    }

    fn readable(&self, user: &UserId) -> Vec<(NamespaceName, Incarnation)> {
        self.namespaces
            .iter()
            .filter(|(_, life)| self.right(user, life).is_some())
            .map(|(name, life)| (name.clone(), life.incarnation))
            .collect()
    }
}

/// Names of one history: prefixes of each other and bytes that escapes are made of.
fn history_name(history: u8, n: u8) -> NamespaceName {
    let tail: [&[u8]; 4] = [b"", b"\0", b"\0\xff", b"|"];
    name([&[history + 1], tail[usize::from(n)]].concat())
}

fn history_group(history: u8, n: u8) -> UserGroupId {
    group(&format!("g{history}-{n}"))
}

fn history_user(history: u8, n: u8) -> UserId {
    user(&format!("u{history}-{n}"))
}

async fn apply(catalog: &dyn Catalog, model: &mut Model, history: u8, step: &Step) {
    match step {
        Step::CreateUser(n) => {
            let id = history_user(history, *n);
            let outcome = catalog.create_user(&id, "U", 1).await;
            assert_eq!(outcome.is_ok(), !model.users.contains(&id));
            if outcome.is_ok() {
                model.users.push(id);
            }
        }
        Step::DeleteUser(n) => {
            let id = history_user(history, *n);
            let owns = model.namespaces.keys().any(|name| model.is_last_owner(&id, name));
            let outcome = catalog.delete_user(&id).await;
            assert_eq!(outcome.is_ok(), !owns);
            if outcome.is_ok() {
                model.users.retain(|user| *user != id);
                for life in model.namespaces.values_mut() {
                    life.members.remove(&id);
                }
                for users in model.groups.values_mut() {
                    users.remove(&id);
                }
            }
        }
        Step::Create { name, owner } => {
            let (name, owner) = (history_name(history, *name), history_user(history, *owner));
            let outcome = catalog.create_namespace(&name, &owner, 1).await;
            let allowed = model.users.contains(&owner) && !model.namespaces.contains_key(&name);
            assert_eq!(outcome.is_ok(), allowed);
            if let Ok(made) = outcome {
                let members = BTreeMap::from([(owner, Right::Owner)]);
                model.lives.push((name.clone(), made.incarnation));
                model.namespaces.insert(
                    name,
                    Life { incarnation: made.incarnation, members, groups: BTreeMap::new() },
                );
            }
        }
        Step::Delete { name } => {
            let name = history_name(history, *name);
            let deleted = catalog.delete_namespace(&name, 2).await.expect("deleted");
            assert_eq!(deleted.is_some(), model.namespaces.remove(&name).is_some());
        }
        Step::Grant { user, name, right } => {
            let (user, name) = (history_user(history, *user), history_name(history, *name));
            let allowed = model.users.contains(&user)
                && model.namespaces.contains_key(&name)
                && (*right == Right::Owner || !model.is_last_owner(&user, &name));
            let outcome = catalog.grant_membership(&user, &name, *right).await;
            assert_eq!(outcome.is_ok(), allowed);
            if outcome.is_ok()
                && let Some(life) = model.namespaces.get_mut(&name)
            {
                life.members.insert(user, *right);
            }
        }
        Step::Revoke { user, name } => {
            let (user, name) = (history_user(history, *user), history_name(history, *name));
            let outcome = catalog.revoke_membership(&user, &name).await;
            assert_eq!(outcome.is_ok(), !model.is_last_owner(&user, &name));
            if let Ok(had) = outcome {
                let life = model.namespaces.get_mut(&name);
                assert_eq!(had, life.and_then(|life| life.members.remove(&user)));
            }
        }
        Step::CreateGroup(_)
        | Step::DeleteGroup(_)
        | Step::Join { .. }
        | Step::Leave { .. }
        | Step::GrantGroup { .. }
        | Step::RevokeGroup { .. } => apply_to_groups(catalog, model, history, step).await,
        Step::Reopen => {}
    }
}

async fn apply_to_groups(catalog: &dyn Catalog, model: &mut Model, history: u8, step: &Step) {
    match step {
        Step::CreateGroup(n) => {
            let id = history_group(history, *n);
            let outcome = catalog.create_user_group(&id, "G", 1).await;
            assert_eq!(outcome.is_ok(), !model.groups.contains_key(&id));
            model.groups.entry(id).or_default();
        }
        Step::DeleteGroup(n) => {
            let id = history_group(history, *n);
            let deleted = catalog.delete_user_group(&id).await.expect("deleted");
            assert_eq!(deleted.is_some(), model.groups.remove(&id).is_some());
            for life in model.namespaces.values_mut() {
                life.groups.remove(&id);
            }
        }
        Step::Join { group, user } => {
            let (group, user) = (history_group(history, *group), history_user(history, *user));
            let outcome = catalog.add_to_user_group(&group, &user).await;
            let allowed = model.groups.contains_key(&group) && model.users.contains(&user);
            assert_eq!(outcome.is_ok(), allowed);
            if allowed && let Some(users) = model.groups.get_mut(&group) {
                users.insert(user);
            }
        }
        Step::Leave { group, user } => {
            let (group, user) = (history_group(history, *group), history_user(history, *user));
            let left = catalog.remove_from_user_group(&group, &user).await.expect("removed");
            let users = model.groups.get_mut(&group);
            assert_eq!(left, users.is_some_and(|users| users.remove(&user)));
        }
        Step::GrantGroup { group, name, right } => {
            let (group, name) = (history_group(history, *group), history_name(history, *name));
            let outcome = catalog.grant_group_membership(&group, &name, *right).await;
            let allowed = model.groups.contains_key(&group) && model.namespaces.contains_key(&name);
            assert_eq!(outcome.is_ok(), allowed);
            if allowed && let Some(life) = model.namespaces.get_mut(&name) {
                life.groups.insert(group, *right);
            }
        }
        Step::RevokeGroup { group, name } => {
            let (group, name) = (history_group(history, *group), history_name(history, *name));
            let had = catalog.revoke_group_membership(&group, &name).await.expect("revoked");
            let life = model.namespaces.get_mut(&name);
            assert_eq!(had, life.and_then(|life| life.groups.remove(&group)));
        }
        Step::CreateUser(_)
        | Step::DeleteUser(_)
        | Step::Create { .. }
        | Step::Delete { .. }
        | Step::Grant { .. }
        | Step::Revoke { .. }
        | Step::Reopen => unreachable!("concerns no group"),
    }
}

async fn check(catalog: &dyn Catalog, model: &Model, history: u8) {
    for n in 0..3 {
        let id = history_user(history, n);
        let readable = model.readable(&id);
        let scope = catalog.readable_namespaces(&id, None, 100).await.expect("scope");
        let scope: Vec<_> = scope.into_iter().map(|n| (n.name, n.incarnation)).collect();
        assert_eq!(scope, readable, "scope of {id}");
        let verdicts = catalog.may_read(&id, &model.lives).await.expect("check");
        for (life, verdict) in model.lives.iter().zip(verdicts) {
            assert_eq!(verdict, readable.contains(life), "second check of {id} and {life:?}");
        }
        for n in 0..4 {
            let name = history_name(history, n);
            let right = catalog.right_of(&id, &name).await.expect("read");
            let life = model.namespaces.get(&name);
            let expected = life.and_then(|life| model.right(&id, life));
            assert_eq!(right, expected, "right of {id} in {name:?}");
        }
    }
}

pub(crate) async fn scope_and_second_check_agree(harness: &dyn Harness) {
    // A fixed seed: a failure is the same failure for everybody.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let histories = proptest::collection::vec(step(), STEPS);
    let mut catalog: Arc<dyn Catalog> = harness.open().await;
    let mut granted_after_rebirth = 0;
    for history in 0..HISTORIES {
        let steps = histories.new_tree(&mut runner).expect("generated").current();
        let mut model = Model::default();
        for step in &steps {
            if matches!(step, Step::Reopen) {
                catalog.close().await;
                catalog = harness.open().await;
            }
            apply(&*catalog, &mut model, history, step).await;
            check(&*catalog, &model, history).await;
        }
        granted_after_rebirth += usize::from(model.lives.len() > model.namespaces.len());
    }
    assert!(granted_after_rebirth > 0, "no history ended a life: the test tests too little");
}
