//! Searches narrowed, ordered, continued and weighed with given statistics; words that begin alike.

use nautilus_identity::{Purpose, query_hash};
use nautilus_proto::common::v1::{DocumentFilter, DocumentMetadata, Range, Sort, SortKey};
use nautilus_proto::leaf::v1::{Cursor, SearchRequest, Statistics, SuggestRequest};
use nautilus_proto::log::v1::mutation_record::Operation;
use tonic::Code;

use crate::world::{LIFE, Running, World, ids, namespace_ref, refusal};

/// Documents `a` to `e` with these sizes and the word as often as their place says.
async fn sized(world: &World, sizes: [u64; 5]) {
    for (i, (id, size_bytes)) in ["a", "b", "c", "d", "e"].into_iter().zip(sizes).enumerate() {
        let mut record = world.upsert(world.first(), id, &"tide ".repeat(i + 1));
        if let Some(Operation::Upsert(upsert)) = &mut record.operation {
            upsert.metadata = Some(DocumentMetadata { size_bytes, ..DocumentMetadata::default() });
        }
        world.append(record).await;
    }
}

async fn found(leaf: &Running, request: &SearchRequest) -> Vec<String> {
    ids(&leaf.search(request.clone()).await.expect("answered"))
}

#[tokio::test]
async fn filters_sort_and_cursors_reach_the_engine() {
    let world = World::new().await;
    let leaf = world.start().await.serving().await;
    sized(&world, [30, 10, 0, 20, 40]).await;
    let all = world.search(world.first(), "tide");
    let size_bytes = Some(Range { min: Some(20), max: Some(30) });
    let filter = Some(DocumentFilter { size_bytes, ..DocumentFilter::default() });
    let mut some = found(&leaf, &SearchRequest { filter, ..all.clone() }).await;
    some.sort();
    assert_eq!(some, ["a", "d"]);

    let by_size = |ascending| Some(Sort { key: SortKey::Size.into(), ascending });
    let sorted = SearchRequest { sort: by_size(true), ..all.clone() };
    // One without the number comes last either way.
    assert_eq!(found(&leaf, &sorted).await, ["b", "d", "a", "e", "c"]);
    let falling = SearchRequest { sort: by_size(false), ..all.clone() };
    assert_eq!(found(&leaf, &falling).await, ["e", "a", "d", "b", "c"]);
    let answer = leaf.search(sorted.clone()).await.expect("answered");
    let values: Vec<_> = answer.candidates.iter().map(|candidate| candidate.sort_value).collect();
    assert_eq!(values, [Some(10), Some(20), Some(30), Some(40), None]);
    let after = Some(Cursor {
        sort_value: Some(20),
        document_id: b"d".to_vec(),
        namespace: world.first().into(),
        ..Cursor::default()
    });
    assert_eq!(found(&leaf, &SearchRequest { after, ..sorted }).await, ["a", "e", "c"]);

    // By relevance, page by page, with the statistics of the first page.
    let first = leaf.search(SearchRequest { limit: 2, ..all.clone() }).await.expect("answered");
    let last = first.candidates.last().expect("there");
    let after = Some(Cursor {
        score: last.local_score,
        document_id: last.document_id.clone(),
        namespace: world.first().into(),
        ..Cursor::default()
    });
    let frozen = SearchRequest { after, statistics: first.statistics.clone(), ..all.clone() };
    let mut pages = ids(&first);
    pages.extend(found(&leaf, &frozen).await);
    assert_eq!(pages, found(&leaf, &all).await);
    // What changed since is left out.
    world.append(world.upsert(world.first(), "f", "tide")).await;
    let before = SearchRequest { changed_before_offset: 5, ..all.clone() };
    assert_eq!(found(&leaf, &before).await.len(), 5);
    assert_eq!(found(&leaf, &all).await.len(), 6);

    let of_two = Statistics { document_frequencies: vec![1, 1], ..Statistics::default() };
    let refused = refusal(leaf.search(SearchRequest { statistics: Some(of_two), ..all }).await);
    assert_eq!(refused, (Code::InvalidArgument, "ARGUMENT_INVALID".to_owned()));
    leaf.stop().await;
}

#[tokio::test]
async fn words_of_the_scope_are_suggested() {
    let world = World::new().await;
    let notes = world.first();
    let leaf = world.start().await.serving().await;
    world.append(world.upsert(notes, "1", "tide tidal")).await;
    world.append(world.upsert(notes, "2", "tidal moon")).await;
    world.append(world.upsert(&world.namespaces[1], "3", "tidings")).await;
    let request = |prefix: &str| {
        let grant = world.grant(notes, Purpose::Search, query_hash(prefix.as_bytes()));
        SuggestRequest {
            context: Some(world.context(notes, grant)),
            namespaces: vec![namespace_ref(notes, LIFE)],
            prefix: prefix.to_owned(),
            fields: 4,
            limit: 10,
            budget_us: 0,
        }
    };
    let suggest =
        async |request| leaf.client.clone().suggest(request).await.map(tonic::Response::into_inner);
    let answer = suggest(request("tid")).await.expect("answered");
    let words: Vec<_> =
        answer.suggestions.iter().map(|word| (&*word.token, word.documents)).collect();
    assert_eq!(words, [("tidal", 2), ("tide", 1)]);
    assert_eq!((answer.truncated, answer.label.expect("labelled").next_offset), (false, 2));

    let invalid = (Code::InvalidArgument, "ARGUMENT_INVALID".to_owned());
    for wrong in [
        request(""),
        SuggestRequest { fields: 0, ..request("tid") },
        SuggestRequest { fields: 8, ..request("tid") },
        SuggestRequest { limit: 0, ..request("tid") },
    ] {
        assert_eq!(refusal(suggest(wrong).await), invalid);
    }
    let other = SuggestRequest { prefix: "mo".to_owned(), ..request("tid") };
    let denied = (Code::PermissionDenied, "GRANT_QUERY_WRONG".to_owned());
    assert_eq!(refusal(suggest(other).await), denied);
    leaf.stop().await;
}
