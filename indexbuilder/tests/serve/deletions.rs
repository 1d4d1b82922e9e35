//! A deleted namespace reaches the log, whatever happens between.

use nautilus_catalog::Catalog as _;
use nautilus_mutation_log::MutationLog as _;
use nautilus_proto::admin::v1::{CreateNamespaceRequest, DeleteNamespaceRequest};
use nautilus_proto::log::v1::mutation_record::Operation;
use nautilus_types::Offset;

use crate::gate::Gate;
use crate::gateway::{WAIT, World, name, partition_of};

/// Waits for the first record of `notes`'s partition, checks that it is the deletion of this life,
/// and that the catalog knows.
async fn check_deleted(world: &World, incarnation: u64) {
    let wait = world.log.wait_beyond(partition_of("notes"), Offset(0));
    tokio::time::timeout(WAIT, wait).await.expect("in time").expect("log");
    let records = world.records(partition_of("notes")).await;
    let namespace = records[0].namespace.as_ref().expect("there");
    assert_eq!((&*namespace.name, namespace.incarnation), (&b"notes"[..], incarnation));
    assert!(matches!(records[0].operation, Some(Operation::DeleteNamespace(_))));
    // The catalog is told right after the log has it.
    let told = async {
        while !world.catalog.pending_namespace_deletions(1).await.expect("catalog").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT, told).await.expect("in time");
}

fn delete_notes() -> DeleteNamespaceRequest {
    DeleteNamespaceRequest { name: "notes".to_owned() }
}

#[tokio::test]
async fn a_deletion_is_in_the_log_when_it_is_answered() {
    let world = World::with_people().await;
    let mut gateway = world.start().await;
    let answer = gateway.accounts.delete_namespace(world.from("ada", delete_notes())).await;
    let incarnation = answer.expect("deleted").into_inner().incarnation;
    assert_eq!(world.record_count().await, 1);
    check_deleted(&world, incarnation).await;

    // The name is free again, with a higher life.
    let request = CreateNamespaceRequest { name: "notes".to_owned(), owner: String::new() };
    let created = gateway.accounts.create_namespace(world.from("eve", request)).await;
    assert!(created.expect("created").into_inner().incarnation > incarnation);
    gateway.stop().await;
    assert_eq!(world.record_count().await, 1, "written once");
}

#[tokio::test]
async fn what_a_crash_left_is_finished_at_the_next_start() {
    let world = World::with_people().await;
    // The process died between the catalog's change and the log.
    let deleted = world.catalog.delete_namespace(&name("notes"), 1).await.expect("catalog");
    let incarnation = deleted.expect("was there").incarnation.0;
    assert_eq!(world.record_count().await, 0);

    let gateway = world.start().await;
    check_deleted(&world, incarnation).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_deletion_waits_for_the_log() {
    let world = World::with_people().await;
    let gate = Gate::new(world.log.clone());
    let mut gateway = world.start_on(world.catalog.clone(), gate.clone()).await;
    gate.set_away(true);
    let answer = gateway.accounts.delete_namespace(world.from("ada", delete_notes())).await;
    let incarnation = answer.expect("the catalog has it").into_inner().incarnation;
    assert_eq!(world.catalog.get_namespace(&name("notes")).await.expect("catalog"), None);
    assert_eq!(world.record_count().await, 0);

    gate.set_away(false);
    check_deleted(&world, incarnation).await;
    gateway.stop().await;
}
