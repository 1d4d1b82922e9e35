//! Who gets which connection.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use sqlx::PgConnection;

use super::Database;

/// Which of the server's processes is at the other end.
async fn process(connection: &mut PgConnection) -> i32 {
    let id = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await;
    id.expect("reads")
}

#[tokio::test]
async fn connections_are_used_in_turn() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    let connections = &catalog.connections;
    let mut first = connections.take().await.expect("taken");
    let mut second = connections.take().await.expect("taken");
    let expected = [process(&mut first).await, process(&mut second).await];
    connections.take_back(first);
    connections.take_back(second);
    for expected in expected.repeat(2) {
        let mut lease = connections.take().await.expect("taken");
        assert_eq!(process(&mut lease).await, expected, "the one unused for longest");
        connections.take_back(lease);
    }
}

#[tokio::test]
async fn a_connection_that_comes_back_soon_spares_a_login() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    let connections = &catalog.connections;
    let mut only = connections.take().await.expect("taken");
    let expected = process(&mut only).await;
    let mut waiting = pin!(connections.take());
    let is_waiting = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending()));
    assert!(is_waiting.await);
    connections.take_back(only);
    let mut lease = waiting.await.expect("taken");
    assert_eq!(process(&mut lease).await, expected);
}

#[tokio::test]
async fn who_waits_for_a_connection_in_long_use_logs_in() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    let connections = &catalog.connections;
    let mut held = connections.take().await.expect("taken");
    let mut other = connections.take().await.expect("taken");
    assert_ne!(process(&mut held).await, process(&mut other).await);
}
