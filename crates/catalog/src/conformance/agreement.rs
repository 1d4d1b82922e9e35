//! Random histories: the scope query, the second check and a naive model say the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use nautilus_types::{Incarnation, NamespaceName};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Harness, name, user};
use crate::{Catalog, Right, UserId};

/// Histories per harness, and steps of each. All run in one store, with names of their own.
const HISTORIES: u8 = 12;
const STEPS: usize = 40;

#[derive(Debug, Clone)]
enum Step {
    CreateUser(u8),
    DeleteUser(u8),
    Create { name: u8, owner: u8 },
    Delete { name: u8 },
    Grant { user: u8, name: u8, right: Right },
    Revoke { user: u8, name: u8 },
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
        1 => Just(Step::Reopen),
    ]
}

/// The catalog as a person would write it down; right or wrong calls are decided here as well.
#[derive(Default)]
struct Model {
    users: Vec<UserId>,
    namespaces: BTreeMap<NamespaceName, Life>,
    /// All lives there ever were.
    lives: Vec<(NamespaceName, Incarnation)>,
}

struct Life {
    incarnation: Incarnation,
    members: BTreeMap<UserId, Right>,
}

impl Model {
    fn is_last_owner(&self, user: &UserId, name: &NamespaceName) -> bool {
        self.namespaces.get(name).is_some_and(|life| {
            life.members.get(user) == Some(&Right::Owner)
                && life.members.values().filter(|right| **right == Right::Owner).count() == 1
        })
    }

    fn readable(&self, user: &UserId) -> Vec<(NamespaceName, Incarnation)> {
        self.namespaces
            .iter()
            .filter(|(_, life)| life.members.contains_key(user))
            .map(|(name, life)| (name.clone(), life.incarnation))
            .collect()
    }
}

/// Names of one history: prefixes of each other and bytes that escapes are made of.
fn history_name(history: u8, n: u8) -> NamespaceName {
    let tail: [&[u8]; 4] = [b"", b"\0", b"\0\xff", b"|"];
    name([&[history + 1], tail[usize::from(n)]].concat())
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
                model.namespaces.insert(name, Life { incarnation: made.incarnation, members });
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
        Step::Reopen => {}
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
            let expected = model.namespaces.get(&name).and_then(|life| life.members.get(&id));
            assert_eq!(right, expected.copied(), "right of {id} in {name:?}");
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
