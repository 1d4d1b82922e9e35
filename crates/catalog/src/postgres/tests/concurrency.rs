//! Several clients at once: what one server's locks must keep.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::CatalogError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_clients_one_wins_a_name() {
    let Some(database) = Database::new() else { return };
    let (one, other) = (database.catalog().await, database.catalog().await);
    for id in ["ada", "bob"] {
        one.create_user(&user(id), id, 1).await.expect("created");
    }
    for round in 0..50 {
        let notes = name(format!("notes {round}"));
        let (ada, bob) = (user("ada"), user("bob"));
        let outcomes = tokio::join!(
            one.create_namespace(&notes, &ada, 1),
            other.create_namespace(&notes, &bob, 1)
        );
        let (winner, loser) = match outcomes {
            (Ok(_), Err(error)) => (ada, error),
            (Err(error), Ok(_)) => (bob, error),
            outcomes => panic!("one winner and one loser, not {outcomes:?}"),
        };
        assert!(matches!(loser, CatalogError::NamespaceExists { .. }), "{loser:?}");
        let members = one.list_members(&notes, None, 9).await.expect("list");
        assert_eq!(members.len(), 1);
        assert_eq!(members[0].user, winner);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_leaving_at_once_leave_one() {
    let Some(database) = Database::new() else { return };
    let (one, other) = (database.catalog().await, database.catalog().await);
    let (ada, bob) = (user("ada"), user("bob"));
    for round in 0..60 {
        let notes = name(format!("notes {round}"));
        for id in [&ada, &bob] {
            let _ = one.create_user(id, "U", 1).await;
        }
        one.create_namespace(&notes, &ada, 1).await.expect("created");
        one.grant_membership(&bob, &notes, Right::Owner).await.expect("granted");
        // Each way in which an owner goes meets each other one.
        let leave_ada = async {
            match round % 3 {
                0 => one.revoke_membership(&ada, &notes).await.map(drop),
                1 => one.grant_membership(&ada, &notes, Right::Reader).await,
                _ => one.delete_user(&ada).await.map(drop),
            }
        };
        let leave_bob = async {
            match round / 3 % 3 {
                0 => other.revoke_membership(&bob, &notes).await.map(drop),
                1 => other.grant_membership(&bob, &notes, Right::Reader).await,
                _ => other.delete_user(&bob).await.map(drop),
            }
        };
        let (first, second) = tokio::join!(leave_ada, leave_bob);
        for outcome in [&first, &second] {
            let is_fair = matches!(outcome, Ok(()) | Err(CatalogError::LastOwner { .. }));
            assert!(is_fair, "round {round}: {outcome:?}");
        }
        assert!(first.is_ok() != second.is_ok(), "round {round}: {first:?} {second:?}");
        one.delete_namespace(&notes, 2).await.expect("deleted").expect("was there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lives_of_a_name_follow_one_another() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    catalog.create_user(&user("ada"), "Ada", 1).await.expect("created");
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (catalog, acknowledged) = (database.catalog().await, Arc::clone(&acknowledged));
        tasks.spawn(async move {
            let (ada, notes) = (user("ada"), name("notes"));
            let mut made_here = 0;
            while made_here < 25 {
                let before = acknowledged.load(Ordering::SeqCst);
                match catalog.create_namespace(&notes, &ada, 1).await {
                    Ok(made) => {
                        assert!(made.incarnation.0 > before, "an older life after a newer one");
                        acknowledged.fetch_max(made.incarnation.0, Ordering::SeqCst);
                        catalog.delete_namespace(&notes, 2).await.expect("deleted");
                        made_here += 1;
                    }
                    Err(error) => {
                        assert!(matches!(error, CatalogError::NamespaceExists { .. }), "{error:?}");
                        // Whoever made it may already be gone: then there is nothing to take away.
                        catalog.delete_namespace(&notes, 2).await.expect("deleted");
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let lives = catalog.pending_namespace_deletions(1_000).await.expect("list");
    assert_eq!(lives.len(), 100, "each life ended once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_drawn_early_does_not_come_into_use_late() {
    let Some(database) = Database::new() else { return };
    let (one, other) = (database.catalog().await, database.catalog().await);
    one.create_user(&user("ada"), "Ada", 1).await.expect("created");
    // The first creation stops between drawing its number and using it.
    database.sql(
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN
                  IF NEW.incarnation = 1 THEN PERFORM pg_sleep(2); END IF;
                  RETURN NEW;
              END';
         CREATE TRIGGER linger BEFORE INSERT ON namespaces FOR EACH ROW EXECUTE FUNCTION linger()",
    );
    let (ada, notes) = (user("ada"), name("notes"));
    let meanwhile = async {
        let lingers = "SELECT count(*) FROM pg_stat_activity
            WHERE wait_event = 'PgSleep' AND datname = current_database()";
        while database.sql(lingers) != "1" {
            tokio::task::yield_now().await;
        }
        other.create_namespace(&notes, &ada, 1).await
    };
    let (first, second) = tokio::join!(one.create_namespace(&notes, &ada, 1), meanwhile);
    assert_eq!(first.expect("created").incarnation.0, 1);
    let error = second.expect_err("it waits for the first");
    assert!(matches!(error, CatalogError::NamespaceExists { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_is_not_granted_meanwhile() {
    let Some(database) = Database::new() else { return };
    let (one, other) = (database.catalog().await, database.catalog().await);
    let (ada, bob, staff, notes) = (user("ada"), user("bob"), group("staff"), name("notes"));
    one.create_user(&ada, "Ada", 1).await.expect("created");
    for round in 0..40 {
        one.create_user(&bob, "Bob", 1).await.expect("created");
        one.create_user_group(&staff, "Staff", 1).await.expect("created");
        one.create_namespace(&notes, &ada, 1).await.expect("created");
        let grants = async {
            (
                one.grant_membership(&bob, &notes, Right::Owner).await,
                one.add_to_user_group(&staff, &bob).await,
                one.grant_group_membership(&staff, &notes, Right::Reader).await,
                one.set_mount(&bob, &path("a"), &notes).await,
            )
        };
        let deletions = async {
            (
                other.delete_namespace(&notes, 2).await,
                other.delete_user(&bob).await,
                other.delete_user_group(&staff).await,
            )
        };
        let (granted, deleted) = tokio::join!(grants, deletions);
        for outcome in [granted.0, granted.1, granted.2, granted.3] {
            let missing = outcome.err().is_none_or(|error| error.class() == Class::NotFound);
            assert!(missing, "round {round}");
        }
        assert!(
            matches!(deleted, (Ok(Some(_)), Ok(Some(_)), Ok(Some(_)))),
            "round {round}: {deleted:?}"
        );
        let left = "SELECT (SELECT count(*) FROM rights) + (SELECT count(*) FROM user_group_users)
                        + (SELECT count(*) FROM mounts)";
        if round % 8 == 0 {
            assert_eq!(database.sql(left), "0");
        }
    }
}
