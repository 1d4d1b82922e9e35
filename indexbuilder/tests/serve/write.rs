//! `IngestService.Write`.

use std::sync::Arc;

use nautilus_catalog::{Catalog as _, FaultPlan as CatalogFaults, Faulty as FaultyCatalog};
use nautilus_identity::{ConsistencyToken, LogIdentity};
use nautilus_mutation_log::{FaultPlan, Faulty, MutationLog};
use nautilus_proto::content_hash;
use nautilus_proto::ingest::v1::{
    DeleteDocument, DocumentContent, Write, WriteRequest, WriteResponse, write::Operation,
};
use nautilus_proto::log::v1::mutation_record::Operation as Logged;
use nautilus_types::Offset;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::gate::Gate;
use crate::gateway::{Gateway, WAIT, World, name, partition_of, refusal, with_authorization};

fn upsert(namespace: &str, document_id: &str, body: &str) -> Write {
    Write {
        namespace: namespace.to_owned(),
        document_id: document_id.to_owned(),
        operation: Some(Operation::Upsert(DocumentContent {
            title: document_id.to_owned(),
            body: body.to_owned(),
            ..DocumentContent::default()
        })),
        ..Write::default()
    }
}

fn batch(writes: Vec<Write>) -> WriteRequest {
    WriteRequest { writes }
}

async fn write(world: &World, gateway: &mut Gateway, writes: Vec<Write>) -> WriteResponse {
    let answer = gateway.ingest.write(world.from("ada", batch(writes))).await;
    answer.expect("answered").into_inner()
}

/// Code and reason of each result; `None` = acknowledged.
fn judged(answer: &WriteResponse) -> Vec<Option<(Code, &str)>> {
    let verdict = |error: &nautilus_proto::ingest::v1::WriteError| Code::from_i32(error.code);
    answer
        .results
        .iter()
        .map(|result| result.error.as_ref().map(|error| (verdict(error), error.reason.as_str())))
        .collect()
}

#[tokio::test]
async fn acknowledged_writes_are_in_the_log_in_order() {
    let world = World::with_people().await;
    // A second namespace, in another partition.
    let other = (0..).map(|i| format!("other-{i}"));
    let other = other.clone().find(|other| partition_of(other) != partition_of("notes"));
    let other = other.expect("there are several partitions");
    world.namespace(&other, "ada").await;
    let mut gateway = world.start().await;

    let delete = Write {
        operation: Some(Operation::Delete(DeleteDocument {})),
        version: Some(9),
        ..upsert("notes", "b", "")
    };
    let writes = vec![
        upsert("notes", "a", "1"),
        upsert(&other, "x", "2"),
        upsert("notes", "b", "3"),
        delete,
    ];
    let mut request = world.from("ada", batch(writes));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert("traceparent", trace.parse().expect("ascii"));
    let answer = gateway.ingest.write(request).await.expect("answered").into_inner();

    assert_eq!(judged(&answer), [None, None, None, None]);
    assert_eq!(answer.results[0].content_hash, content_hash("a", "", "1", None));
    assert!(answer.results[3].content_hash.is_empty());

    let identity = world.log.identity();
    let records = world.records(partition_of("notes")).await;
    let mut seen = Vec::new();
    for record in &records {
        assert_eq!((record.schema_version, &*record.trace_context), (1, trace));
        assert_eq!(record.cluster_id, identity.cluster_id);
        assert_eq!(record.log_generation, identity.generation.0);
        assert!(record.accepted_unix_ms > 0);
        let namespace = record.namespace.as_ref().expect("there");
        let life = world.catalog.get_namespace(&name("notes")).await;
        let life = life.expect("catalog").expect("there").incarnation.0;
        assert_eq!((&*namespace.name, namespace.incarnation), (&b"notes"[..], life));
        seen.push(match record.operation.as_ref().expect("there") {
            Logged::Upsert(upsert) => (upsert.document_id.clone(), Some(upsert.body.clone())),
            Logged::Delete(delete) if delete.version == Some(9) => {
                (delete.document_id.clone(), None)
            }
            other @ (Logged::Delete(_)
            | Logged::Patch(_)
            | Logged::DeleteNamespace(_)
            | Logged::Activity(_)
            | Logged::Skip(_)) => panic!("unexpected {other:?}"),
        });
    }
    let expected = [("a", Some("1")), ("b", Some("3")), ("b", None)];
    assert_eq!(seen, expected.map(|(id, body)| (id.into(), body.map(str::to_owned))));
    assert_eq!(world.records(partition_of(&other)).await.len(), 1);

    let log = LogIdentity { cluster_id: identity.cluster_id, generation: identity.generation };
    let token = ConsistencyToken::open(&world.token_key, &log, &answer.consistency_token);
    let token = token.expect("a token of ours");
    assert_eq!(token.of(partition_of("notes")), Offset(3));
    assert_eq!(token.of(partition_of(&other)), Offset(1));
    gateway.stop().await;
}

#[tokio::test]
async fn each_write_is_judged_on_its_own() {
    let world = World::with_people().await;
    world.namespace("secrets", "eve").await;
    let mut gateway = world.start().await;
    let writes = vec![
        upsert("notes", "a", "1"),
        upsert("nowhere", "a", "1"),
        upsert("secrets", "a", "1"),
        upsert("notes", "b", &"x".repeat(256 * 1024 + 1)),
        Write { operation: None, ..upsert("notes", "c", "") },
        upsert("", "d", ""),
        upsert("notes", "e", &"x".repeat(256 * 1024)),
    ];
    let answer = write(&world, &mut gateway, writes).await;
    let denied = Some((Code::PermissionDenied, "PERMISSION_DENIED"));
    assert_eq!(
        judged(&answer),
        [
            None,
            denied,
            denied,
            Some((Code::InvalidArgument, "FIELD_TOO_LARGE")),
            Some((Code::InvalidArgument, "FIELD_INVALID")),
            Some((Code::InvalidArgument, "FIELD_INVALID")),
            None,
        ]
    );
    let errors: Vec<_> = answer.results.iter().map(|result| result.error.clone()).collect();
    assert_eq!(errors[1], errors[2], "existing or not, the same words");
    let field = |index: usize| errors[index].as_ref().map(|error| error.field.as_str());
    assert_eq!((field(3), field(4)), (Some("upsert.body"), Some("operation")));
    assert_eq!(world.record_count().await, 2, "only what was acknowledged");

    // A reader is a member and still may not write.
    let request = world.from("bob", batch(vec![upsert("notes", "a", "1")]));
    let answer = gateway.ingest.write(request).await.expect("answered").into_inner();
    assert_eq!(judged(&answer), [denied]);
    assert_eq!(world.record_count().await, 2);
    gateway.stop().await;
}

#[tokio::test]
async fn without_credentials_nothing_is_looked_at() {
    let world = World::with_people().await;
    let mut gateway = world.start().await;
    let message = || batch(vec![upsert("notes", "a", "1")]);
    let cases = [
        (Request::new(message()), "TOKEN_MISSING"),
        (with_authorization(message(), "Basic YTpi"), "TOKEN_NOT_BEARER"),
        (with_authorization(message(), "Bearer nonsense"), "TOKEN_MALFORMED"),
        (world.from("mallory", message()), "USER_UNKNOWN"),
    ];
    for (request, reason) in cases {
        let refused = refusal(gateway.ingest.write(request).await);
        assert_eq!(refused, (Code::Unauthenticated, reason.to_owned()));
    }
    assert_eq!(world.record_count().await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn batches_have_bounds() {
    let world = World::with_people().await;
    let mut gateway = world.start().await;
    let large = "x".repeat(256 * 1024);
    let many = |count: usize, body: &str| {
        batch((0..count).map(|i| upsert("notes", &format!("{i}"), body)).collect())
    };
    for (request, reason) in [
        (many(0, ""), "BATCH_EMPTY"),
        (many(1_001, ""), "BATCH_TOO_LARGE"),
        (many(16, &large), "BATCH_TOO_LARGE"),
    ] {
        let status = gateway.ingest.write(world.from("ada", request)).await.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some(reason));
        let fields = &details.bad_request().expect("names the field").field_violations;
        assert_eq!(fields[0].field, "writes");
    }
    assert_eq!(world.record_count().await, 0);
    let answer = gateway.ingest.write(world.from("ada", many(1_000, ""))).await;
    assert_eq!(answer.expect("answered").into_inner().results.len(), 1_000);
    assert_eq!(world.record_count().await, 1_000);
    gateway.stop().await;
}

#[tokio::test]
async fn a_failing_log_is_said_as_it_is() {
    let world = World::with_people().await;
    let refused = FaultPlan { append_refused_per_mille: 1_000, ..FaultPlan::default() };
    let unknown = FaultPlan { append_unknown_per_mille: 1_000, ..FaultPlan::default() };
    for (plan, reason, records) in
        [(refused, "LOG_UNAVAILABLE", 0), (unknown, "WRITE_OUTCOME_UNKNOWN", 1)]
    {
        let log = Arc::new(Faulty::new(world.log.clone(), plan));
        let mut gateway = world.start_on(world.catalog.clone(), log).await;
        let writes = vec![upsert("notes", "a", "1"), upsert("notes", "", "1")];
        let answer = write(&world, &mut gateway, writes).await;
        let invalid = Some((Code::InvalidArgument, "FIELD_INVALID"));
        assert_eq!(judged(&answer), [Some((Code::Unavailable, reason)), invalid]);
        assert!(answer.results[0].content_hash.is_empty());
        assert_eq!(world.record_count().await, records);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn too_much_at_once_is_refused_and_comes_later() {
    let world = World::with_people().await;
    let gate = Gate::new(world.log.clone());
    let mut gateway = world.start_on(world.catalog.clone(), gate.clone()).await;
    gate.set_open(false);
    let body = "x".repeat(200 * 1024);
    let twelve = || batch((0..12).map(|i| upsert("notes", &format!("{i}"), &body)).collect());

    let mut first = gateway.ingest.clone();
    let request = world.from("ada", twelve());
    let first = async { first.write(request).await };
    let second = async {
        gate.until_waiting().await;
        let status = gateway.ingest.write(world.from("ada", twelve())).await.expect_err("refused");
        gate.set_open(true);
        status
    };
    let (first, status) =
        tokio::time::timeout(WAIT, async { tokio::join!(first, second) }).await.expect("in time");
    assert_eq!(first.expect("the first goes through").into_inner().results.len(), 12);
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("INGEST_BUSY"));
    assert!(details.retry_info().is_some() && details.quota_failure().is_some());
    let again = gateway.ingest.write(world.from("ada", twelve())).await;
    assert!(again.is_ok(), "there is room again");
    gateway.stop().await;
}

#[tokio::test]
async fn without_the_catalog_nobody_is_known() {
    let world = World::with_people().await;
    let catalog = Arc::new(FaultyCatalog::new(world.catalog.clone(), CatalogFaults::default()));
    let mut gateway = world.start_on(catalog.clone(), world.log.clone()).await;
    catalog.set_down(true);
    let request = world.from("ada", batch(vec![upsert("notes", "a", "1")]));
    let refused = refusal(gateway.ingest.write(request).await);
    assert_eq!(refused, (Code::Unavailable, "CATALOG_UNAVAILABLE".to_owned()));
    gateway.stop().await;
}
