use super::*;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

fn pool(threads: usize, queue_bound: usize) -> Arc<WorkerPool> {
    let settings = PoolSettings { queue_bound, ..PoolSettings::new("test", threads) };
    Arc::new(WorkerPool::new(settings).expect("threads"))
}

/// A job that says when it has started and then waits until it is let go.
fn gate() -> (impl FnOnce() + Send, oneshot::Receiver<()>, SyncSender<()>) {
    let (started, has_started) = oneshot::channel();
    let (release, released): (SyncSender<()>, Receiver<()>) = sync_channel(1);
    let job = move || {
        started.send(()).expect("the test waits for the start");
        released.recv().expect("the test lets the job go");
    };
    (job, has_started, release)
}

#[tokio::test]
async fn results_come_back_from_named_threads() {
    let pool = pool(2, 8);
    let name = pool.run(|| std::thread::current().name().map(str::to_owned)).await;
    assert!(name.expect("ran").expect("named").starts_with("test-"));
    assert_eq!(pool.run(|| 6 * 7).await, Ok(42));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let pool = pool(1, 1);
    let (job, has_started, release) = gate();
    let mut owned = tokio::task::JoinSet::new();
    let first = Arc::clone(&pool);
    owned.spawn(async move { first.run(job).await });
    has_started.await.expect("started");
    let second = Arc::clone(&pool);
    owned.spawn(async move { second.run(|| ()).await });
    while pool.stats().queued == 0 {
        tokio::task::yield_now().await;
    }
    let refused = pool.run(|| ()).await.expect_err("full");
    assert_eq!(refused, PoolError::Full { pool: "test".to_owned(), bound: 1 });
    assert_eq!(refused.class(), Class::Overloaded);
    assert_eq!(pool.stats().refused, 1);
    release.send(()).expect("job waits");
    while let Some(ended) = owned.join_next().await {
        assert_eq!(ended.expect("task"), Ok(()));
    }
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_pool_goes_on() {
    let pool = pool(1, 4);
    let ended = pool.run(|| assert_eq!(1, 2, "sums differ")).await.expect_err("panicked");
    assert_eq!(ended.class(), Class::Bug);
    assert!(ended.to_string().contains("sums differ"), "{ended}");
    assert_eq!(pool.stats().panicked, 1);
    assert_eq!(pool.stats().running, 0);
    assert_eq!(pool.run(|| 1).await, Ok(1));
}

#[tokio::test]
async fn a_job_whose_caller_has_gone_is_not_run() {
    let pool = pool(1, 4);
    let (job, has_started, release) = gate();
    let mut owned = tokio::task::JoinSet::new();
    let first = Arc::clone(&pool);
    owned.spawn(async move { first.run(job).await });
    has_started.await.expect("started");
    {
        let abandoned = pool.run(|| panic!("must not run"));
        tokio::pin!(abandoned);
        let polled = futures::poll!(abandoned.as_mut());
        assert!(polled.is_pending());
    }
    release.send(()).expect("job waits");
    assert_eq!(pool.run(|| 5).await, Ok(5));
    assert_eq!(pool.stats().abandoned, 1);
    assert_eq!(pool.stats().panicked, 0);
}

#[tokio::test]
async fn closing_refuses_new_and_waiting_jobs() {
    let pool = pool(1, 4);
    let (job, has_started, release) = gate();
    let mut owned = tokio::task::JoinSet::new();
    let first = Arc::clone(&pool);
    owned.spawn(async move { first.run(job).await });
    has_started.await.expect("started");
    let waiting = pool.run(|| ());
    tokio::pin!(waiting);
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    pool.close();
    let closed = Err(PoolError::Closed { pool: "test".to_owned() });
    assert_eq!(waiting.await, closed);
    assert_eq!(pool.run(|| ()).await, closed);
    release.send(()).expect("job waits");
    assert_eq!(owned.join_next().await.expect("one task").expect("task"), Ok(()));
}
