//! Who stored an object: races, and answers that are lost on the way.

use futures::future::join_all;

use super::proxy::{Fate, Proxy};
use super::*;

/// A repository behind a proxy, and one beside it.
async fn scene() -> Option<(Proxy, S3Repository, S3Repository)> {
    let config = bucket()?;
    let proxy = Proxy::start(config.endpoint.as_deref()?);
    let behind = S3Config { endpoint: Some(proxy.endpoint()), ..config.clone() };
    Some((proxy, open(&behind).await, open(&config).await))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_and_parts_race_for_a_name() {
    let Some(config) = bucket() else { return };
    let repository = open(&config).await;
    for round in 0..20 {
        let object = name(&format!("race/{round}"));
        let creators = (0..8).map(|i| {
            let (repository, object) = (&repository, &object);
            async move {
                let mut source = ObjectSource::from_bytes(content(i, 1000 * (usize::from(i) + 1)));
                if i % 2 == 0 {
                    repository.put_whole(object, &mut source).await
                } else {
                    repository.put_in_parts(object, &mut source).await
                }
            }
        });
        let outcomes = join_all(creators).await;
        let mut winners = Vec::new();
        for (i, outcome) in (0_u8..).zip(outcomes) {
            if outcome.is_ok() { winners.push(i) } else { assert_exists(outcome) }
        }
        let [winner] = winners[..] else { panic!("winners of round {round}: {winners:?}") };
        let expected = content(winner, 1000 * (usize::from(winner) + 1));
        assert!(get(&repository, object.as_str()).await.expect("read") == expected);
    }
    let left = repository.abort_stale_uploads(None, u64::MAX).await.expect("asked");
    assert_eq!(left, 0, "losers abort their uploads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ones_own_object_is_known_when_the_answer_was_lost() {
    let Some((proxy, behind, beside)) = scene().await else { return };
    for (object, length, method, query) in
        [("small", 1000, "PUT", ""), ("large", 2 * PART_BYTES + 1, "POST", "uploadId=")]
    {
        for lost in [1, 2] {
            let object = format!("{object}-{lost}");
            proxy.next(Fate::AnswerLost, method, query, lost);
            put(&behind, &object, content(1, length)).await.expect("it is stored, and said to be");
            assert!(get(&beside, &object).await.expect("read") == content(1, length));
            assert_exists(put(&behind, &object, content(2, length)).await);
        }
    }
    let left = beside.abort_stale_uploads(None, u64::MAX).await.expect("asked");
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_every_answer_is_lost_the_outcome_is_unknown() {
    let Some((proxy, behind, beside)) = scene().await else { return };
    proxy.next(Fate::AnswerLost, "PUT", "", u32::MAX);
    // No attempt is ever told anything, and the object is there.
    assert_unavailable(put(&behind, "stored", content(1, 10)).await);
    assert_eq!(get(&beside, "stored").await.expect("read"), content(1, 10));
    proxy.next(Fate::RequestLost, "PUT", "", u32::MAX);
    assert_unavailable(put(&behind, "never", content(1, 10)).await);
    assert!(matches!(get(&beside, "never").await, Err(RepositoryError::NotFound { .. })));
}

/// An earlier attempt may still arrive when the other's object is gone: that it stored nothing cannot be said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_object_is_never_ones_own() {
    let Some((proxy, behind, beside)) = scene().await else { return };
    for (object, length, method, query) in
        [("small", 1000, "PUT", ""), ("large", 2 * PART_BYTES + 1, "POST", "uploadId=")]
    {
        put(&beside, object, content(9, 500)).await.expect("stored");
        assert_exists(put(&behind, object, content(1, length)).await);
        proxy.next(Fate::RequestLost, method, query, 1);
        assert_unavailable(put(&behind, object, content(1, length)).await);
        // Also not one of the same bytes.
        assert_exists(put(&behind, object, content(9, 500)).await);
        assert_eq!(get(&beside, object).await.expect("read"), content(9, 500));
    }
}

#[tokio::test]
async fn a_name_is_not_both_object_and_folder() {
    let Some(config) = bucket() else { return };
    let repository = open(&config).await;
    put(&repository, "a/b", content(1, 10)).await.expect("stored");
    for taken in ["a", "a/b/c", "a/b/c/d"] {
        for length in [10, PART_BYTES + 1] {
            // This server keeps keys in folders. One that does not stores both, and lists them apart.
            let outcome = put(&repository, taken, content(2, length)).await;
            assert!(
                matches!(outcome, Err(RepositoryError::Invalid { .. })),
                "{taken}: {outcome:?}"
            );
            assert_eq!(names(&repository).await, ["a/b"]);
        }
    }
    assert_eq!(repository.abort_stale_uploads(None, u64::MAX).await.expect("asked"), 0);
}
