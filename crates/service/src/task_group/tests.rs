use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BUDGET: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_stopped_group_drains_clean() {
    let shutdown = CancellationToken::new();
    let mut tasks = TaskGroup::new(&shutdown);
    let flushed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flushed);
    tasks.spawn("apply", |stop| async move {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        seen.store(true, Ordering::SeqCst);
    });
    shutdown.cancel();
    assert!(tasks.wait_or_signal().await.into_result().is_ok());
    let report = tasks.drain(BUDGET).await;
    assert!(report.is_clean(), "{report:?}");
    assert!(flushed.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn an_early_end_names_itself_and_stops_the_others() {
    let shutdown = CancellationToken::new();
    let mut tasks = TaskGroup::new(&shutdown);
    tasks.spawn("keep-lease", |stop| async move { stop.cancelled().await });
    tasks.spawn("reader", |_stop| async { Err::<(), _>(io::Error::other("log is gone")) });
    let ended = tasks.wait_or_signal().await.into_result().expect_err("early end");
    assert_eq!(error_chain(&ended), "task reader failed: log is gone");
    assert!(tasks.stop_token().is_cancelled());
    assert!(!shutdown.is_cancelled(), "the owner decides about its own component");
    assert_eq!(tasks.running(), ["keep-lease"]);
    assert!(tasks.drain(BUDGET).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn returning_without_being_asked_is_a_fault_unless_declared() {
    let shutdown = CancellationToken::new();
    let mut tasks = TaskGroup::new(&shutdown);
    tasks.spawn_finite("warm-up", |_stop| async {});
    tasks.spawn("serve", |_stop| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    let ended = tasks.wait_or_signal().await.into_result().expect_err("early end");
    assert_eq!(ended.to_string(), "task serve ended early");
    assert!(tasks.drain(BUDGET).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_early_end() {
    let shutdown = CancellationToken::new();
    let mut tasks = TaskGroup::new(&shutdown);
    tasks.spawn("fragile", |_stop| async {
        if shutdown_is_never_asked() {
            panic!("out of ids");
        }
    });
    let ended = tasks.wait_or_signal().await.into_result().expect_err("early end");
    assert_eq!(ended.to_string(), "task fragile panicked: out of ids");
    assert!(tasks.drain(BUDGET).await.is_clean());
}

fn shutdown_is_never_asked() -> bool {
    true
}

#[tokio::test(start_paused = true)]
async fn laggards_are_named_and_aborted() {
    let shutdown = CancellationToken::new();
    let mut tasks = TaskGroup::new(&shutdown);
    tasks.spawn("deaf", |_stop| std::future::pending::<()>());
    tasks.spawn("polite", |stop| async move { stop.cancelled().await });
    tasks.spawn("sore", |stop| async move {
        stop.cancelled().await;
        Err::<(), _>(io::Error::other("disk full"))
    });
    let report = tasks.drain(BUDGET).await;
    assert_eq!(report.laggards, ["deaf"]);
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].name, "sore");
}

#[tokio::test]
async fn a_thread_is_watched_like_a_task() {
    let shutdown = CancellationToken::new();
    let mut tasks = TaskGroup::new(&shutdown);
    tasks
        .spawn_thread("writer", crate::threads::STACK_BYTES, |_stop| {
            Err::<(), _>(io::Error::other("bad block"))
        })
        .expect("thread");
    let ended = tasks.wait_or_signal().await.into_result().expect_err("early end");
    assert_eq!(error_chain(&ended), "task writer failed: bad block");

    let mut tasks = TaskGroup::new(&shutdown);
    tasks
        .spawn_thread("doomed", crate::threads::STACK_BYTES, |_stop| {
            assert!(std::thread::current().name().is_none(), "it has a name");
        })
        .expect("thread");
    let ended = tasks.wait_or_signal().await.into_result().expect_err("early end");
    assert!(error_chain(&ended).contains("it has a name"), "{}", error_chain(&ended));
}

#[tokio::test]
async fn a_thread_that_heeds_the_token_drains_clean() {
    let shutdown = CancellationToken::new();
    let mut tasks = TaskGroup::new(&shutdown);
    tasks
        .spawn_thread("applier", crate::threads::STACK_BYTES, |stop| {
            while !stop.is_cancelled() {
                std::thread::yield_now();
            }
        })
        .expect("thread");
    assert!(tasks.drain(BUDGET).await.is_clean());
}
