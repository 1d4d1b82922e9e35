//! Cases about waiting for the end of the log to move.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use nautilus_types::Offset;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{LogUnderTest, P0, P1, append, bounded};
use crate::LogError;

/// Counts how often a waiting future asked to be polled again.
#[derive(Default)]
struct Wakes {
    count: AtomicUsize,
    happened: Notify,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.happened.notify_one();
    }
}

/// A wait at the end sleeps: nothing wakes it while its partition is quiet, its own append does.
pub async fn tailing_wakes_without_polling(subject: impl LogUnderTest) {
    let log = subject.log();
    let first = append(&*log, P0, "first").await;
    let next = log.watermarks(P0).await.expect("watermarks").high;
    let high = bounded(log.wait_beyond(P0, first)).await.expect("there already");
    assert_eq!(high, next);

    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    let mut wait = pin!(log.wait_beyond(P0, next));
    assert!(wait.as_mut().poll(&mut context).is_pending());
    for i in 0..20 {
        append(&*log, P1, &format!("elsewhere {i}")).await;
    }
    assert_eq!(wakes.count.load(Ordering::SeqCst), 0, "woken without a reason");

    let second = append(&*log, P0, "second").await;
    let high = loop {
        bounded(wakes.happened.notified()).await;
        if let Poll::Ready(high) = wait.as_mut().poll(&mut context) {
            break high.expect("the log is open");
        }
    };
    assert!(high > second);
}

/// A wait may be dropped at any time, and others go on.
pub async fn a_dropped_wait_changes_nothing(subject: impl LogUnderTest) {
    let log = subject.log();
    for i in 0..10 {
        let next = log.watermarks(P0).await.expect("watermarks").high;
        let mut context = Context::from_waker(Waker::noop());
        let mut kept = pin!(log.wait_beyond(P0, next));
        assert!(kept.as_mut().poll(&mut context).is_pending());
        {
            let mut dropped = pin!(log.wait_beyond(P0, next));
            assert!(dropped.as_mut().poll(&mut context).is_pending());
        }
        let offset = append(&*log, P0, &format!("{i}")).await;
        assert!(bounded(kept).await.expect("the log is open") > offset);
    }
}

/// Whoever waits when the log is closed is told.
pub async fn closing_wakes_waiters(subject: impl LogUnderTest) {
    let log = subject.log();
    let mut context = Context::from_waker(Waker::noop());
    let mut wait = pin!(log.wait_beyond(P0, Offset(0)));
    assert!(wait.as_mut().poll(&mut context).is_pending());
    bounded(log.close()).await.expect("closed");
    let outcome = bounded(wait).await;
    assert!(matches!(outcome, Err(LogError::Closed)), "{outcome:?}");
}

/// A reader that alternates reads and waits sees every record once and in order while others append.
pub async fn tailing_follows_concurrent_appends(subject: impl LogUnderTest) {
    const WRITERS: usize = 4;
    const RECORDS: usize = 100;
    let log = subject.log();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let log = Arc::clone(&log);
        writers.spawn(async move {
            for i in 0..RECORDS {
                append(&*log, P0, &format!("{writer}:{i}")).await;
            }
        });
    }
    let (mut next, mut seen) = (Offset(0), Vec::<Bytes>::new());
    while seen.len() < WRITERS * RECORDS {
        let records = bounded(log.read(P0, next, 300)).await.expect("read");
        if records.is_empty() {
            bounded(log.wait_beyond(P0, next)).await.expect("the log is open");
        }
        for record in records {
            assert!(record.offset >= next);
            next = record.offset.next();
            seen.push(record.payload);
        }
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("the writer ended");
    }
    for writer in 0..WRITERS {
        let own = format!("{writer}:");
        let of_writer: Vec<_> =
            seen.iter().filter(|payload| payload.starts_with(own.as_bytes())).collect();
        let wanted: Vec<_> = (0..RECORDS).map(|i| format!("{writer}:{i}")).collect();
        assert_eq!(of_writer, wanted.iter().collect::<Vec<_>>());
    }
}
