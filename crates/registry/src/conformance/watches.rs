//! Cases about watches.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::task::JoinSet;

use super::{
    RegistryUnderTest, bounded, changes, delete, deleted, next, perform, put, revision,
    watch_from_now, written,
};
use crate::{Change, RegistryError, Revision};

/// Under concurrent writers a watch delivers each change once, in the order of revisions, with the
/// changes of a revision together.
pub async fn watches_deliver_each_change_once_and_in_order(subject: impl RegistryUnderTest) {
    const WRITERS: usize = 3;
    const WRITES: usize = 20;
    let registry = subject.registry();
    let mut watch = watch_from_now(&*registry, "w/").await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let registry = subject.registry();
        writers.spawn(async move {
            let mut written = Vec::new();
            for i in 0..WRITES {
                let (value, key) = (i.to_string(), format!("w/{writer}"));
                let both = [put(&key, &value), put(&format!("{key}/too"), &value)];
                written.push((perform(&*registry, both).await, key, value));
            }
            written
        });
    }
    let mut delivered = Vec::new();
    let mut last = Revision(0);
    for _ in 0..WRITERS * WRITES {
        let change = next(&mut *watch).await;
        let at = change.0;
        assert!(at > last, "{at} after {last}");
        last = at;
        let mut both = changes(change);
        both.sort();
        let [(key, Some(value)), (too, same)] = &*both else { panic!("{both:?}") };
        assert_eq!((too, same), (&format!("{key}/too"), &Some(value.clone())));
        delivered.push((at, key.clone(), value.clone()));
    }
    let mut written = bounded(writers.join_all()).await.concat();
    written.sort();
    assert_eq!(delivered, written);
}

/// A watch delivers the changes at its first revision and later, those before it began too.
pub async fn watches_begin_where_they_are_told(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let first = perform(&*registry, [put("k", "1")]).await;
    let second = perform(&*registry, [put("k", "2")]).await;
    let third = perform(&*registry, [delete("k")]).await;
    let all = [(first, written("k", "1")), (second, written("k", "2")), (third, deleted("k"))];
    for from in [first, second, third] {
        let mut watch = bounded(registry.watch("", from)).await.expect("watches");
        for (at, change) in all.iter().filter(|(at, _)| *at >= from) {
            let delivered = next(&mut *watch).await;
            assert_eq!(delivered.0, *at);
            assert_eq!(changes(delivered), *std::slice::from_ref(change));
        }
    }
    // One of the future waits for it.
    let from = third.next().next();
    let mut watch = bounded(registry.watch("", from)).await.expect("watches");
    let early = perform(&*registry, [put("k", "early")]).await;
    assert!(early < from);
    while perform(&*registry, [put("k", "due")]).await < from {}
    assert_eq!(changes(next(&mut *watch).await), [written("k", "due")]);
}

/// Of a transaction a watch delivers what is under its prefix; of others nothing.
pub async fn watches_see_only_their_prefix(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let mut watch = watch_from_now(&*registry, "a/").await;
    let mut all = watch_from_now(&*registry, "").await;
    perform(&*registry, [put("a", "x"), put("a0", "x"), put("b/a/", "x")]).await;
    perform(&*registry, [put("b", "x"), put("a/1", "x"), delete("a0")]).await;
    perform(&*registry, [delete("b")]).await;
    perform(&*registry, [delete("a/1")]).await;
    assert_eq!(changes(next(&mut *watch).await), [written("a/1", "x")]);
    assert_eq!(changes(next(&mut *watch).await), [deleted("a/1")]);
    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.push(next(&mut *all).await.1.len());
    }
    assert_eq!(counts, [3, 3, 1, 1]);
}

/// A listing and a watch from the revision after it rebuild the state, wherever they cut.
pub async fn watches_miss_nothing_after_a_listing(subject: impl RegistryUnderTest) {
    const WRITES: usize = 60;
    let registry = subject.registry();
    let mut tasks = JoinSet::new();
    let writer = subject.registry();
    tasks.spawn(async move {
        for i in 0..WRITES {
            let (new, old) = (format!("m/{}", i % 7), format!("m/{}", (i + 3) % 7));
            perform(&*writer, [put(&new, &i.to_string()), delete(&old)]).await;
        }
        perform(&*writer, [put("m/end", "x")]).await;
    });
    let mut views = Vec::new();
    for _ in 0..5 {
        let listing = bounded(registry.list("m/")).await.expect("listed");
        let watch = bounded(registry.watch("m/", listing.revision.next())).await.expect("watches");
        let view: BTreeMap<_, _> =
            listing.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        views.push((view, watch));
        tokio::task::yield_now().await;
    }
    bounded(tasks.join_all()).await;
    let end = bounded(registry.list("m/")).await.expect("listed");
    for (mut view, mut watch) in views {
        while !view.contains_key("m/end") {
            for change in next(&mut *watch).await.1 {
                match change {
                    Change::Put(entry) => drop(view.insert(entry.key.clone(), entry)),
                    Change::Delete { key, .. } => {
                        assert!(view.remove(&key).is_some(), "{key} deleted, and not there");
                    }
                }
            }
        }
        assert_eq!(view.into_values().collect::<Vec<_>>(), end.entries);
    }
}

/// A watch nobody reads from delivers every change in the end, or says that some were compacted:
/// never some of them without a word. A new one finds out when it begins.
pub async fn watches_that_fall_behind_are_told(subject: impl RegistryUnderTest) {
    const WRITES: usize = 200;
    let registry = subject.registry();
    let from = revision(&*registry).await.next();
    let mut watch = bounded(registry.watch("", from)).await.expect("watches");
    for i in 0..WRITES {
        perform(&*registry, [put("k", &i.to_string())]).await;
    }
    let mut expected = 0;
    while expected < WRITES {
        match bounded(watch.next()).await {
            Ok(delivered) => {
                assert_eq!(changes(delivered), [written("k", &expected.to_string())]);
                expected += 1;
            }
            Err(RegistryError::Compacted { asked, oldest }) => {
                assert!(asked < oldest);
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    match bounded(registry.watch("", from)).await {
        Ok(mut watch) => match bounded(watch.next()).await {
            Ok(delivered) => assert_eq!(changes(delivered), [written("k", "0")]),
            Err(error) => assert!(matches!(error, RegistryError::Compacted { .. }), "{error:?}"),
        },
        Err(RegistryError::Compacted { asked, oldest }) => {
            assert_eq!(asked, from);
            assert!(oldest > from);
            let mut watch = bounded(registry.watch("", oldest)).await.expect("the oldest is kept");
            assert!(next(&mut *watch).await.0 >= oldest);
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// A wait may be dropped at any time; what it would have delivered comes with the next.
pub async fn a_dropped_wait_loses_nothing(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let mut watch = watch_from_now(&*registry, "d/").await;
    for i in 0..20 {
        let value = i.to_string();
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(pin!(watch.next()).as_mut().poll(&mut context), Poll::Pending));
        perform(&*registry, [put("elsewhere", &value)]).await;
        perform(&*registry, [put("d/1", &value)]).await;
        // Not polled at all, then waited for.
        drop(watch.next());
        assert_eq!(changes(next(&mut *watch).await), [written("d/1", &value)]);
    }
}
