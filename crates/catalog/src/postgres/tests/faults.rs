//! The server killed, frozen, slow, or a standby.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::CatalogError;
use crate::conformance::classes_of_every_call;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_changes_survive_a_kill_and_calls_work_again() {
    let test = "catalog::postgres::faults";
    let Some(mut server) = or_skip(test, Postgres::start()) else { return };
    let catalog = PostgresCatalog::open(config(&server)).await.expect("opens");
    catalog.create_user(&user("ada"), "Ada", 1).await.expect("created");
    for round in 0..3 {
        let writer = catalog.clone();
        let (progress, mut progressed) = tokio::sync::watch::channel(0);
        let mut writing = tokio::task::JoinSet::new();
        writing.spawn(async move {
            let (mut acknowledged, mut unknown) = (Vec::new(), Vec::new());
            for n in 0.. {
                let next = name(format!("{round} {n}"));
                match writer.create_namespace(&next, &user("ada"), 1).await {
                    Ok(made) => acknowledged.push(made),
                    Err(error) => {
                        assert_eq!(error.class(), Class::Unavailable, "{error:?}");
                        if error.may_have_happened() {
                            unknown.push(next);
                        }
                        break;
                    }
                }
                progress.send_replace(n);
            }
            (acknowledged, unknown)
        });
        progressed.wait_for(|n| *n >= 20).await.expect("writes");
        // Connections that are kept unused when the server goes.
        let readers = (catalog.get_user(&user("ada")).await, catalog.list_users(None, 9).await);
        assert!(readers.0.is_ok() && readers.1.is_ok());
        server.kill().expect("killed");
        let (acknowledged, unknown) = writing.join_all().await.remove(0);
        let classes = classes_of_every_call(&catalog).await;
        assert!(classes.iter().all(|class| *class == Class::Unavailable), "{classes:?}");

        server.restart().expect("starts again");
        let mine = |name: &nautilus_types::NamespaceName| {
            name.as_bytes().starts_with(format!("{round} ").as_bytes())
        };
        let mut listed = catalog.list_namespaces(None, 100_000).await.expect("the very next call");
        listed.retain(|made| mine(&made.name) && !unknown.contains(&made.name));
        listed.sort_by_key(|made| made.incarnation);
        assert_eq!(listed, acknowledged, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_between_two_calls_is_not_noticed() {
    let test = "catalog::postgres::faults";
    let Some(mut server) = or_skip(test, Postgres::start()) else { return };
    let catalog = PostgresCatalog::open(config(&server)).await.expect("opens");
    // Several connections, all of which will be dead.
    let names: Vec<_> = (0..8).map(|n| user(&format!("u{n}"))).collect();
    let mut calls = tokio::task::JoinSet::new();
    for id in names {
        let catalog = catalog.clone();
        calls.spawn(async move { catalog.create_user(&id, "U", 1).await.expect("created") });
    }
    calls.join_all().await;
    server.restart().expect("starts again");
    catalog.create_user(&user("after"), "U", 1).await.expect("created");
    assert_eq!(catalog.list_users(None, 99).await.expect("list").len(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_costs_a_deadline_and_no_connections() {
    let test = "catalog::postgres::faults";
    let Some(server) = or_skip(test, Postgres::start()) else { return };
    let ready = PostgresCatalog::open(config(&server)).await.expect("opens");
    ready.create_user(&user("ada"), "Ada", 1).await.expect("created");
    let limit = Duration::from_secs(1);
    let mut config = config(&server);
    (config.call_timeout, config.statement_timeout, config.connections_max) = (limit, limit, 2);
    config.database = ready.connections.config().database.clone();
    let catalog = PostgresCatalog::open(config).await.expect("opens");
    catalog.get_user(&user("ada")).await.expect("read");
    server.freeze().expect("frozen");
    // More calls than connections; some meet a kept one, some a new one, some none.
    let start = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..6 {
        let catalog = catalog.clone();
        calls.spawn(async move {
            let id = user(&format!("u{n}"));
            if n % 2 == 0 {
                catalog.create_user(&id, "U", 1).await.map(drop)
            } else {
                catalog.get_user(&id).await.map(drop)
            }
        });
    }
    for outcome in calls.join_all().await {
        assert_eq!(outcome.expect_err("must fail").class(), Class::Unavailable);
    }
    assert!(start.elapsed() < limit * 3, "{:?}", start.elapsed());
    // A caller that gives up leaves nothing taken either.
    let ada = user("ada");
    for _ in 0..4 {
        let given_up = catalog.get_user(&ada);
        assert!(tokio::time::timeout(Duration::from_millis(50), given_up).await.is_err());
    }
    server.thaw().expect("thawed");
    assert!(catalog.get_user(&user("ada")).await.expect("read").is_some());
}

#[tokio::test]
async fn a_commit_without_an_answer_is_unknown_and_one_refused_is_not() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    // Runs when the change is committed.
    database.sql(
        "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN
                  IF NEW.id = ''slow'' THEN PERFORM pg_sleep(3); ELSE RAISE EXCEPTION ''no''; END IF;
                  RETURN NULL;
              END';
         CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON users
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()",
    );
    let mut config = database.config.clone();
    config.call_timeout = Duration::from_secs(1);
    config.statement_timeout = config.call_timeout;
    let impatient = PostgresCatalog::open(config).await.expect("opens");
    let error = impatient.create_user(&user("slow"), "S", 1).await.expect_err("must fail");
    assert!(matches!(error, CatalogError::OutcomeUnknown { .. }), "{error:?}");

    let error = catalog.create_user(&user("refused"), "R", 1).await.expect_err("must fail");
    assert!(matches!(error, CatalogError::Unavailable { .. }), "{error:?}");
    assert_eq!(catalog.get_user(&user("refused")).await.expect("read"), None);
}

#[tokio::test]
async fn a_lock_somebody_else_holds_costs_the_statement_timeout() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    catalog.create_user(&user("ada"), "Ada", 1).await.expect("created");
    catalog.create_namespace(&name("a"), &user("ada"), 1).await.expect("created");
    let mut holder = catalog.connections.take().await.expect("taken");
    for statement in ["BEGIN", "SELECT FROM namespaces FOR UPDATE"] {
        sqlx::Executor::execute(&mut *holder, statement).await.expect("runs");
    }
    let mut config = database.config.clone();
    config.statement_timeout = Duration::from_millis(200);
    let waiting = PostgresCatalog::open(config).await.expect("opens");
    let error = waiting.grant_membership(&user("ada"), &name("a"), Right::Owner).await;
    let error = error.expect_err("must fail");
    assert_eq!(error.class(), Class::Unavailable);
    assert!(format!("{error:?}").contains("statement timeout"), "{error:?}");
    assert_eq!(waiting.list_namespaces(None, 9).await.expect("reads go on").len(), 1);
    drop(holder);
    waiting.grant_membership(&user("ada"), &name("a"), Right::Owner).await.expect("granted");
}

#[tokio::test]
async fn a_standby_is_refused() {
    let test = "catalog::postgres::faults";
    let standby = Postgres::start_with(&[], &[("standby.signal", "")]);
    let Some(server) = or_skip(test, standby) else { return };
    let mut config = PostgresConfig::new("127.0.0.1", server.role(), "postgres");
    config.port = server.port();
    config.password_file = Some(server.password_file());
    config.tls = PostgresTls::Off;
    let error = PostgresCatalog::open(config).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Unavailable);
    assert!(format!("{error:?}").contains("standby"), "{error:?}");
}
