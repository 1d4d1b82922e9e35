//! What is in the log is found, fetched and listed.

use nautilus_proto::common::v1::DocumentMetadata;
use nautilus_proto::log::v1::{
    Condition, Patch, Skip, condition::Condition as Holds, mutation_record::Operation,
};

use crate::world::{LIFE, World, ids};

#[tokio::test]
async fn records_become_answers_with_their_label() {
    let world = World::new().await;
    let notes = world.first();
    let leaf = world.start().await.serving().await;
    let mut record = world.upsert(notes, "tide", "low tide at noon");
    if let Some(Operation::Upsert(upsert)) = &mut record.operation {
        upsert.version = Some(3);
        upsert.metadata = Some(DocumentMetadata { size_bytes: 16, ..DocumentMetadata::default() });
    }
    world.append(record).await;
    world.append(world.upsert(notes, "moon", "moon and stars")).await;

    let answer = leaf.search(world.search(notes, "tide")).await.expect("answered");
    let label = answer.label.as_ref().expect("labelled");
    assert_eq!((label.partition, label.epoch, label.next_offset, &*label.build), (0, 1, 2, ""));
    assert_eq!(ids(&answer), ["tide"]);
    assert_eq!((answer.total_hits, answer.truncated), (1, false));
    let statistics = answer.statistics.expect("there");
    assert_eq!((statistics.documents, &*statistics.document_frequencies), (2, &[1][..]));
    let candidate = &answer.candidates[0];
    assert_eq!(candidate.namespace_index, 0);
    // Title and path hold the id: weights 4 and 2 for them, 1 for the text.
    assert_eq!(candidate.frequencies, [7]);

    let answer = leaf.fetch(world.fetch(notes, &["tide", "sun", "moon"])).await.expect("answered");
    assert_eq!(answer.label.expect("labelled").next_offset, 2);
    let [tide, sun, moon] = &answer.documents[..] else { panic!("one for each key") };
    assert!(tide.found && !sun.found && moon.found);
    assert_eq!(
        (&*tide.title, &*tide.path, &*tide.body),
        ("tide", "notes/tide", "low tide at noon")
    );
    assert_eq!((tide.version, &*tide.content_hash), (Some(3), &[7; 16][..]));
    assert_eq!(tide.metadata.as_ref().map(|metadata| metadata.size_bytes), Some(16));
    let without_body = nautilus_proto::leaf::v1::FetchRequest {
        include_body: false,
        ..world.fetch(notes, &["moon"])
    };
    let answer = leaf.fetch(without_body).await.expect("answered");
    assert_eq!((&*answer.documents[0].title, &*answer.documents[0].body), ("moon", ""));
    let highlighted = nautilus_proto::leaf::v1::FetchRequest {
        include_body: false,
        highlight: world.search(notes, "noon").query,
        ..world.fetch(notes, &["sun", "tide"])
    };
    let answer = leaf.fetch(highlighted).await.expect("answered");
    let [sun, tide] = &answer.documents[..] else { panic!("one for each key") };
    assert!(!sun.found && sun.highlights.is_empty());
    assert_eq!((&*tide.body, &*tide.highlights[0].text), ("", "low tide at noon"));
    let range = &tide.highlights[0].ranges[0];
    assert_eq!((range.start, range.end), (12, 16));

    let answer = leaf.list(world.list(notes, "", 1)).await.expect("answered");
    assert_eq!((&*answer.documents[0].document_id, answer.is_last), (&b"moon"[..], false));
    let answer = leaf.list(world.list(notes, "moon", 1)).await.expect("answered");
    assert_eq!((&*answer.documents[0].document_id, answer.is_last), (&b"tide"[..], true));
    assert_eq!(answer.documents[0].version, Some(3));

    let status = leaf.status(0).await;
    assert_eq!((&*status.state, status.documents, status.namespaces), ("SERVING", 2, 1));
    assert_eq!((status.log_low_offset, status.log_high_offset, status.lag_ms), (0, 2, 0));
    assert_eq!(status.label.expect("labelled").next_offset, 2);
    leaf.stop().await;
}

#[tokio::test]
async fn every_operation_does_what_the_record_says() {
    let world = World::new().await;
    let notes = world.first();
    let leaf = world.start().await.serving().await;
    world.append(world.upsert(notes, "a", "tide one")).await;
    world.append(world.upsert(notes, "b", "tide two")).await;
    let patch = |condition| Patch {
        document_id: "a".into(),
        content_hash: vec![8; 16],
        body: Some("ebb".to_owned()),
        condition: Some(Condition { condition: Some(condition) }),
        ..Patch::default()
    };
    // Its condition does not hold: the record is there, and changes nothing.
    let refused = Operation::Patch(patch(Holds::Version(1)));
    world.append(world.record(notes, LIFE, refused)).await;
    let answer = leaf.search(world.search(notes, "tide")).await.expect("answered");
    assert_eq!((ids(&answer).len(), answer.label.expect("labelled").next_offset), (2, 3));

    let unconditional = Patch { condition: None, ..patch(Holds::Absent(true)) };
    world.append(world.record(notes, LIFE, Operation::Patch(unconditional))).await;
    world.append(world.record(notes, LIFE, Operation::Activity(Default::default()))).await;
    // Of a record that is still to come: nothing to do.
    let skip = Skip { skipped_offset: 99, ..Skip::default() };
    world.append(world.record(notes, LIFE, Operation::Skip(skip))).await;
    let answer = leaf.search(world.search(notes, "tide")).await.expect("answered");
    assert_eq!(
        (ids(&answer), answer.label.expect("labelled").next_offset),
        (vec!["b".to_owned()], 6)
    );
    let answer = leaf.search(world.search(notes, "ebb")).await.expect("answered");
    assert_eq!(ids(&answer), ["a"]);

    world.append(world.delete(notes, "b")).await;
    assert!(ids(&leaf.search(world.search(notes, "tide")).await.expect("answered")).is_empty());
    world.append(world.delete_namespace(notes)).await;
    let answer = leaf.search(world.search(notes, "ebb")).await.expect("answered");
    assert_eq!((ids(&answer).len(), answer.statistics.expect("there").documents), (0, 0));
    // What comes late to a life that ended stays away.
    world.append(world.upsert(notes, "c", "ebb again")).await;
    let answer = leaf.search(world.search(notes, "ebb")).await.expect("answered");
    assert_eq!((ids(&answer).len(), answer.label.expect("labelled").next_offset), (0, 9));
    leaf.stop().await;
}

#[tokio::test]
async fn a_search_sees_its_own_namespace_and_life_only() {
    let world = World::new().await;
    let notes = world.first();
    let leaf = world.start().await.serving().await;
    world.append(world.upsert(notes, "a", "tide")).await;
    world.append(world.upsert(&world.namespaces[1], "b", "tide")).await;
    for name in &world.namespaces {
        let answer = leaf.search(world.search(name, "tide")).await.expect("answered");
        assert_eq!((ids(&answer).len(), answer.statistics.expect("there").documents), (1, 1));
    }
    // A newer life takes the older one's documents with it.
    let Some(operation) = world.upsert(notes, "z", "ebb").operation else { panic!("there") };
    world.append(world.record(notes, LIFE + 1, operation)).await;
    let answer = leaf.search(world.search(notes, "tide")).await.expect("answered");
    assert_eq!((ids(&answer).len(), answer.statistics.expect("there").documents), (0, 0));
    leaf.stop().await;
}

/// A budget that is spent ends the search with what it has, not with an error.
#[tokio::test]
async fn a_spent_budget_is_said_and_is_no_error() {
    let world = World::new().await;
    let notes = world.first();
    let leaf = world.start().await.serving().await;
    for i in 0..300 {
        world.append(world.upsert(notes, &format!("{i}"), "tide")).await;
    }
    let mut request = world.search(notes, "tide");
    request.budget_us = 1;
    let answer = leaf.search(request).await.expect("answered");
    assert!(answer.truncated);
    assert!(answer.total_hits < 300);
    let answer = leaf.search(world.search(notes, "tide")).await.expect("answered");
    assert_eq!((answer.total_hits, answer.candidates.len(), answer.truncated), (300, 10, false));
    leaf.stop().await;
}
