//! Two tenants with names and ids made to collide, written, deleted and re-created at once.

use std::collections::BTreeSet;

use nautilus_proto::search::v1::{Hit, SearchRequest, SuggestRequest};
use nautilus_service::{CancellationToken, TaskGroup};

use crate::world::{WAIT, World, query, upsert};

/// Prefixes of each other, separators, NUL, the highest code point: as namespaces and as ids.
const NAMES: [&str; 6] = ["a", "a|", "a|b", "a\0", "a\0b", "a\u{10ffff}"];
const ROUNDS: usize = 6;

/// A document and the bits of its score.
fn score_of(hit: &Hit) -> (String, u64) {
    (hit.document_id.clone(), hit.score.to_bits())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_tenant_shows_in_anothers_answers() {
    let world = World::start().await;
    let mut tasks = TaskGroup::new(&CancellationToken::new());
    // Bob's names are Ada's with one more character, so that every one is a prefix of another tenant's.
    for (user, suffix, secret) in [("ada", "", "adasecret"), ("bob", "|", "bobsecret")] {
        let client = world.client.clone();
        tasks.spawn_finite(user, move |_| async move {
            let mut expected = None;
            for round in 0..ROUNDS {
                for (index, name) in NAMES.iter().enumerate() {
                    let namespace = format!("{user}{name}{suffix}");
                    client.create(user, &namespace).await;
                    // A word of this life of the name only, and one that both tenants have.
                    let life = format!("{user}life{round}x{index}");
                    let writes = NAMES
                        .iter()
                        .map(|id| upsert(&namespace, id, &format!("common {secret} {life}")));
                    let token = client.write(user, writes.collect()).await;
                    let ask = |text: &str| SearchRequest {
                        consistency_token: token.clone(),
                        ..query(text, &namespace)
                    };
                    for text in ["common", secret, &life] {
                        let found = client.search(user, ask(text)).await.expect("found");
                        assert_eq!(found.total_hits, 6, "{text} in {namespace:?}");
                        let ids: BTreeSet<_> = found.hits.iter().map(|h| &*h.document_id).collect();
                        assert_eq!(ids, BTreeSet::from(NAMES));
                        // The same in every life of the name, and for every name: a score depends on
                        // nothing outside.
                        let mut scores: Vec<_> = found.hits.iter().map(score_of).collect();
                        scores.sort_unstable();
                        let first = expected.get_or_insert_with(|| scores.clone());
                        assert_eq!(*first, scores, "{text} in {namespace:?}");
                    }
                    if round > 0 {
                        let before = format!("{user}life{}x{index}", round - 1);
                        let found = client.search(user, ask(&before)).await.expect("answered");
                        assert_eq!(found.total_hits, 0, "of an earlier life of {namespace:?}");
                    }
                    let other = if user == "ada" { "bobsecret" } else { "adasecret" };
                    let everywhere =
                        SearchRequest { query: other.to_owned(), ..Default::default() };
                    let found = client.search(user, everywhere).await.expect("answered");
                    assert_eq!((found.total_hits, found.hits.len()), (0, 0));
                    let prefix = other[..4].to_owned();
                    let suggest = SuggestRequest { text: prefix, ..SuggestRequest::default() };
                    let suggest = client.request(user, suggest);
                    let words = client.searches().suggest(suggest).await.expect("answered");
                    let words = words.into_inner().suggestions;
                    assert!(words.is_empty(), "{words:?}");
                }
                if round + 1 < ROUNDS {
                    for name in NAMES {
                        client.delete(user, &format!("{user}{name}{suffix}")).await;
                    }
                }
            }
        });
    }
    // They do not look at the signal to stop: this waits until both are done.
    let report = tasks.drain(WAIT).await;
    assert!(report.is_clean(), "{report:?}");

    // What the other has, and what nobody has, are told apart by no error.
    for namespace in ["bobaX", "boba|"] {
        let refused = world.client.search("ada", query("common", namespace)).await;
        let status = refused.expect_err("not Ada's");
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
        assert!(!status.message().contains(namespace), "{}", status.message());
    }
    world.stop().await;
}
