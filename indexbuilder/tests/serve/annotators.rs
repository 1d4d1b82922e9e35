//! What annotators find travels in the log; that one fails costs no document.

use std::sync::Arc;

use nautilus_annotate::{Annotator, Budget, Failure, Input, Values};
use nautilus_proto::common::v1::{Annotation, DocumentMetadata, attribute_value::Value};
use nautilus_proto::content_hash;
use nautilus_proto::ingest::v1::{DocumentContent, Write, WriteRequest, write::Operation};
use nautilus_proto::log::v1::{Upsert, mutation_record};

use crate::gateway::{World, partition_of};

/// Fails on every document, in one way or another.
struct Hopeless;

impl Annotator for Hopeless {
    fn name(&self) -> &'static str {
        "hopeless"
    }

    fn version(&self) -> u32 {
        4
    }

    fn annotate(&self, input: &Input<'_>, _: &Budget<'_>) -> Result<Values, Failure> {
        if input.path == "gentle" { Err(Failure::failed("cannot")) } else { panic!("never could") }
    }
}

fn text(annotation: &Annotation, key: &str) -> String {
    let value = annotation.values.get(key).and_then(|value| value.value.clone());
    let Some(Value::Text(text)) = value else { panic!("{value:?} is no text") };
    text
}

#[tokio::test]
async fn annotations_and_failures_are_in_the_log() {
    let world = World::with_people().await;
    let mut gateway = world.start_annotating(vec![Arc::new(Hopeless)]).await;
    let body = "# Tides of 2024-03-12\nThe tide was low at noon, and the boats lay on the sand.";
    let sent = |path: &str| DocumentContent {
        path: path.to_owned(),
        body: body.to_owned(),
        metadata: Some(DocumentMetadata {
            // What a client has here is not believed.
            annotations: [("forged".to_owned(), Annotation::default())].into(),
            ..DocumentMetadata::default()
        }),
        ..DocumentContent::default()
    };
    let write = |path: &str| Write {
        namespace: "notes".to_owned(),
        document_id: path.to_owned(),
        operation: Some(Operation::Upsert(sent(path))),
        ..Write::default()
    };
    let request = WriteRequest { writes: vec![write("rough"), write("gentle")] };
    let answer = gateway.ingest.write(world.from("ada", request)).await;
    let answer = answer.expect("answered").into_inner();
    assert!(answer.results.iter().all(|result| result.error.is_none()), "{answer:?}");

    let mut upserts: Vec<Upsert> = Vec::new();
    for record in world.records(partition_of("notes")).await {
        if let Some(mutation_record::Operation::Upsert(upsert)) = record.operation {
            upserts.push(upsert);
        }
    }
    assert_eq!(upserts.len(), 2);
    for (upsert, (reason, result)) in
        upserts.iter().zip(["PANICKED", "FAILED"].into_iter().zip(&answer.results))
    {
        let metadata = upsert.metadata.as_ref().expect("metadata");
        let names: Vec<&str> = metadata.annotations.keys().map(String::as_str).collect();
        assert_eq!(names, ["dates", "hopeless", "language", "simhash", "title"]);
        let annotations = &metadata.annotations;
        assert_eq!(text(&annotations["dates"], "days"), "2024-03-12");
        assert_eq!(text(&annotations["language"], "code"), "eng");
        assert_eq!(text(&annotations["title"], "guess"), "Tides of 2024-03-12");
        let hopeless = &annotations["hopeless"];
        assert_eq!(hopeless.version, 4);
        assert_eq!(hopeless.failure.as_ref().expect("failed").reason, reason);
        // The text stays what was sent, and so does its hash: a guess is not the title.
        assert_eq!((&*upsert.title, &*upsert.body), ("", body));
        assert_eq!(upsert.content_hash, content_hash("", &upsert.path, body, None));
        assert_eq!(result.content_hash, upsert.content_hash);
    }
    gateway.stop().await;
}
