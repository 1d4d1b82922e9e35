//! What annotators found, and what failed, is the same in every replica group.

use std::time::Duration;

use nautilus_proto::common::v1::{
    Annotation, AttributeValue, DocumentFailure, DocumentMetadata, attribute_value::Value,
};
use nautilus_proto::ingest::v1::write::Operation;
use nautilus_proto::search::v1::{GetDocumentRequest, ListDocumentsRequest, SearchRequest};
use nautilus_service::config::HumanDuration;

use crate::world::{Client, World, query, upsert};

const BODY: &str = "The red fox came on 2024-03-12. It slept in the barn until the evening, and then \
                    it went back into the woods where nobody could see it any more.";

/// As a search of this group's replicas shows it.
async fn in_group(client: &Client, token: &str, group: &str) -> DocumentMetadata {
    let search = SearchRequest {
        consistency_token: token.to_owned(),
        replica_group: group.to_owned(),
        ..query("fox", "notes")
    };
    let found = client.search("operator:ada", search).await.expect("found");
    found.hits[0].metadata.clone().expect("metadata")
}

async fn failures(client: &Client, token: &str) -> Vec<DocumentFailure> {
    let list = ListDocumentsRequest {
        namespace: "notes".to_owned(),
        with_failures: true,
        consistency_token: token.to_owned(),
        ..ListDocumentsRequest::default()
    };
    let listed = client.searches().list_documents(client.request("ada", list)).await;
    listed.expect("listed").into_inner().documents[0].failures.clone()
}

fn run(names: &[&str], time_max: Duration) -> nautilus_indexbuilder::RawAnnotators {
    nautilus_indexbuilder::RawAnnotators {
        run: names.iter().map(|name| (*name).to_owned()).collect(),
        time_max: HumanDuration(time_max),
        ..nautilus_indexbuilder::RawAnnotators::default()
    }
}

fn text(annotation: &Annotation, key: &str) -> Option<Value> {
    annotation.values.get(key)?.value.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_groups_show_the_same_annotations() {
    let annotators = run(&["language", "dates", "simhash"], Duration::from_secs(5));
    let world =
        World::start_as(|settings| settings.roles.indexbuilder.annotators = annotators, |_| {});
    let world = world.await;
    let client = &world.client;
    client.create("ada", "notes").await;
    let token = client.write("ada", vec![upsert("notes", "d", BODY)]).await;
    let (a, b) = (in_group(client, &token, "a").await, in_group(client, &token, "b").await);
    assert_eq!(a, b);
    assert_eq!(text(&a.annotations["language"], "code"), Some(Value::Text("eng".to_owned())));
    assert_eq!(text(&a.annotations["dates"], "days"), Some(Value::Text("2024-03-12".to_owned())));
    assert!(text(&a.annotations["simhash"], "hash").is_some());
    assert_eq!(failures(client, &token).await, []);
    // What is found is not searched.
    let found = client.search("ada", query("eng", "notes")).await.expect("searched");
    assert_eq!(found.total_hits, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_groups_show_the_same_failures() {
    // No annotator is that fast.
    let annotators = run(&["language", "simhash"], Duration::from_nanos(1));
    let world =
        World::start_as(|settings| settings.roles.indexbuilder.annotators = annotators, |_| {});
    let world = world.await;
    let client = &world.client;
    client.create("ada", "notes").await;
    let mut write = upsert("notes", "d", BODY);
    if let Some(Operation::Upsert(content)) = &mut write.operation {
        let told = Value::Text("NO_PARTS: read as one text".to_owned());
        let told = AttributeValue { value: Some(told) };
        let attributes = [("extraction.failure".to_owned(), told)].into();
        content.metadata = Some(DocumentMetadata { attributes, ..DocumentMetadata::default() });
    }
    let token = client.write("ada", vec![write]).await;
    let (a, b) = (in_group(client, &token, "a").await, in_group(client, &token, "b").await);
    assert_eq!(a, b);
    for name in ["language", "simhash"] {
        let failure = a.annotations[name].failure.as_ref().expect("failed");
        assert_eq!(failure.reason, "TIME_LIMIT");
    }
    let get = GetDocumentRequest {
        namespace: "notes".to_owned(),
        document_id: "d".to_owned(),
        consistency_token: token.clone(),
    };
    let got = client.searches().get_document(client.request("ada", get)).await.expect("there");
    let document = got.into_inner().document.expect("there");
    assert_eq!((&*document.body, document.metadata), (BODY, Some(a)), "nothing of it is lost");
    // Each time another leaf may answer.
    for _ in 0..4 {
        let stages: Vec<(String, String)> =
            failures(client, &token).await.into_iter().map(|one| (one.stage, one.reason)).collect();
        let expected = [
            ("extract", "NO_PARTS"),
            ("annotate/language", "TIME_LIMIT"),
            ("annotate/simhash", "TIME_LIMIT"),
        ];
        assert_eq!(stages, expected.map(|(stage, reason)| (stage.to_owned(), reason.to_owned())));
    }
    world.stop().await;
}
