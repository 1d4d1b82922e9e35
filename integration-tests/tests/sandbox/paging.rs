//! Pages while documents are written, changed and deleted.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_proto::common::v1::{Sort, SortKey};
use nautilus_proto::search::v1::SearchRequest;

use crate::world::{World, delete, ids, query, upsert};

const DOCUMENTS: usize = 230;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_repeat_nothing_and_omit_nothing_unchanged() {
    let world = World::start().await;
    let client = &world.client;
    // Two namespaces, most likely in two partitions.
    for namespace in ["notes", "team"] {
        client.create("ada", namespace).await;
    }
    let name = |n: usize| if n.is_multiple_of(3) { "team" } else { "notes" };
    // Lengths differ, and so do scores.
    let text = |n: usize| format!("red fox {}", "word ".repeat(n % 17));
    for batch in (0..DOCUMENTS).collect::<Vec<_>>().chunks(50) {
        let writes = batch.iter().map(|&n| upsert(name(n), &format!("d{n:03}"), &text(n)));
        client.write("ada", writes.collect()).await;
    }
    let sorts = [None, Some(Sort { key: SortKey::Size.into(), ascending: true })];
    let mut generation = 0;
    for sort in sorts {
        // At least what was written last, or the first page would miss some of it.
        let token = client.write("ada", vec![upsert("notes", "d001", &text(1))]).await;
        let mut changed = BTreeSet::new();
        let mut seen = BTreeMap::<(String, String), usize>::new();
        let (mut page_token, mut pages, mut total) = (String::new(), 0, None);
        loop {
            let request = SearchRequest {
                namespaces: Vec::new(),
                page_size: 20,
                page_token: page_token.clone(),
                consistency_token: token.clone(),
                sort,
                ..query("fox", "")
            };
            let page = client.search("ada", request).await.expect("page");
            assert!(page.hits.len() <= 20);
            assert_eq!(*total.get_or_insert(page.total_hits), page.total_hits, "frozen");
            for hit in &page.hits {
                let key = (hit.namespace.clone(), hit.document_id.clone());
                if let Some(before) = seen.insert(key.clone(), pages) {
                    panic!("{key:?} on page {before} and again on {pages}");
                }
            }
            pages += 1;
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
            // Between pages: new ones, changed ones before and after the place reached, deleted ones.
            generation += 1;
            let old = |step: usize| (generation * step) % DOCUMENTS;
            let mut writes = vec![upsert("notes", &format!("new{generation}"), "red fox")];
            for n in [old(7), old(13)] {
                changed.insert((name(n).to_owned(), format!("d{n:03}")));
                writes.push(upsert(name(n), &format!("d{n:03}"), "fox fox fox"));
            }
            let n = old(29);
            changed.insert((name(n).to_owned(), format!("d{n:03}")));
            writes.push(delete(name(n), &format!("d{n:03}")));
            client.write("ada", writes).await;
        }
        assert!(pages >= 8, "{pages} pages");
        let unchanged = (0..DOCUMENTS)
            .map(|n| (name(n).to_owned(), format!("d{n:03}")))
            .filter(|key| !changed.contains(key));
        // What an earlier round deleted is not there any more.
        let mut missing = Vec::new();
        for key in unchanged {
            if !seen.contains_key(&key) && exists(&world, &key).await {
                missing.push(key);
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }
    // A token is good for its search only.
    let first = SearchRequest { page_size: 5, ..query("fox", "notes") };
    let page = client.search("ada", first.clone()).await.expect("page");
    assert_eq!(ids(&page).len(), 5);
    let page_token = page.next_page_token;
    for other in [
        SearchRequest { query: "red".to_owned(), ..first.clone() },
        SearchRequest { namespaces: vec!["team".to_owned()], ..first.clone() },
    ] {
        let other = SearchRequest { page_token: page_token.clone(), ..other };
        let status = client.search("ada", other).await.expect_err("another search");
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
    }
    let stolen = SearchRequest { page_token, ..first };
    let status = client.search("bob", stolen).await.expect_err("another user");
    assert!(matches!(status.code(), tonic::Code::InvalidArgument | tonic::Code::PermissionDenied));
    world.stop().await;
}

async fn exists(world: &World, (namespace, id): &(String, String)) -> bool {
    let request = nautilus_proto::search::v1::GetDocumentRequest {
        namespace: namespace.clone(),
        document_id: id.clone(),
        ..Default::default()
    };
    let request = world.client.request("ada", request);
    world.client.searches().get_document(request).await.is_ok()
}
