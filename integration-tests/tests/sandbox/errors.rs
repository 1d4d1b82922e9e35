//! Statuses of the public API that need a whole cluster, with their details. Those that one role decides
//! alone are tested beside it.

use std::time::Duration;

use nautilus_proto::admin::v1::{CreateNamespaceRequest, Right, SetMemberRequest};
use nautilus_proto::ingest::v1::WriteRequest;
use nautilus_proto::search::v1::{GetDocumentRequest, SearchRequest};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::world::{World, bounded, query, refusal, upsert};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_say_what_and_why() {
    let mut world = World::start().await;
    let client = world.client.clone();
    client.create("ada", "notes").await;
    client.write("ada", vec![upsert("notes", "d", "red fox")]).await;

    let malformed = client.search("ada", query("fox AND (red", "notes")).await;
    let status = malformed.expect_err("malformed");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.get_details_bad_request().is_some_and(|b| !b.field_violations.is_empty()));

    let nobody = client.searches().search(Request::new(query("fox", "notes"))).await;
    assert_eq!(refusal(nobody), (Code::Unauthenticated, "TOKEN_MISSING".to_owned()));
    // Of another and of nobody: the same words.
    let foreign = client.search("bob", query("fox", "notes")).await.expect_err("not Bob's");
    let absent = client.search("bob", query("fox", "nowhere")).await.expect_err("nobody's");
    assert_eq!((foreign.code(), absent.code()), (Code::PermissionDenied, Code::PermissionDenied));
    assert_eq!(foreign.message(), absent.message());

    let request = GetDocumentRequest {
        namespace: "notes".to_owned(),
        document_id: "missing".to_owned(),
        ..GetDocumentRequest::default()
    };
    let missing = client.searches().get_document(client.request("ada", request)).await;
    let status = missing.expect_err("missing");
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.get_details_resource_info().is_some());

    let again = CreateNamespaceRequest { name: "notes".to_owned(), owner: String::new() };
    let again = client.accounts().create_namespace(client.request("ada", again)).await;
    assert_eq!(refusal(again), (Code::Aborted, "NAMESPACE_EXISTS".to_owned()));

    // The condition is one of the namespace, which can be made to hold.
    let set_right = async |user: &str, right: Right| {
        let change = SetMemberRequest {
            namespace: "notes".to_owned(),
            user: user.to_owned(),
            right: right.into(),
            ..SetMemberRequest::default()
        };
        client.accounts().set_member(client.request("ada", change)).await
    };
    let last_owner = set_right("ada", Right::Reader).await.expect_err("nobody else owns it");
    assert_eq!(last_owner.code(), Code::FailedPrecondition);
    let conditions = last_owner.get_details_precondition_failure().expect("says which");
    assert_eq!(conditions.violations[0].r#type, "LAST_OWNER");
    set_right("bob", Right::Owner).await.expect("one more owner");
    set_right("ada", Right::Writer).await.expect("not the last one any more");

    let elsewhere = SearchRequest { replica_group: "z".to_owned(), ..query("fox", "notes") };
    let by_operator = client.search("operator:ada", elsewhere.clone()).await;
    assert_eq!(by_operator.expect_err("no such group").code(), Code::InvalidArgument);
    let by_user = client.search("ada", elsewhere).await;
    assert_eq!(by_user.expect_err("for operators").code(), Code::PermissionDenied);

    // Replicas stand still: writes are pushed back before the backlog passes its bound by much.
    world.log.set_open(false);
    let mut taken = 0;
    let pushed_back = bounded("pushed back", async {
        loop {
            let writes = (0..1_000).map(|n| upsert("notes", &format!("n{n}"), "")).collect();
            let answer =
                client.writes().write(client.request("ada", WriteRequest { writes })).await;
            match answer {
                Ok(_) => taken += 1_000,
                Err(status) => return status,
            }
        }
    })
    .await;
    assert_eq!(pushed_back.code(), Code::ResourceExhausted);
    assert!(pushed_back.get_details_retry_info().is_some());
    assert!(pushed_back.get_details_quota_failure().is_some());
    assert!((1_000..=60_000).contains(&taken), "{taken} records were taken");
    world.log.set_open(true);

    for group in ["a", "b"] {
        bounded("the leaves stop", world.cluster.stop_leaves(group)).await.expect("cleanly");
    }
    let status = client.search("ada", query("fox", "notes")).await.expect_err("nobody is there");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
    assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_tells_the_request_id_and_nothing_else() {
    let world = World::start().await;
    let client = &world.client;
    client.create("ada", "notes").await;
    world.log.panic_at_next_append();
    let writes = vec![upsert("notes", "d", "red fox")];
    let mut request = client.request("ada", WriteRequest { writes });
    request.metadata_mut().insert("x-request-id", "req-7".parse().expect("value"));
    let status = client.writes().write(request).await.expect_err("the handler panics");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "internal error, request req-7")
    );
    let info = status.get_details_error_info().expect("every error says why");
    assert_eq!((info.reason.as_str(), info.metadata.len()), ("INTERNAL", 0));
    let request_info = status.get_details_request_info().expect("what to report");
    assert_eq!(request_info.request_id, "req-7");
    assert!(!String::from_utf8_lossy(status.details()).contains("secret"));
    // The next request on the same connection is answered.
    let token = client.write("ada", vec![upsert("notes", "e", "red fox")]).await;
    let request = SearchRequest { consistency_token: token, ..query("fox", "notes") };
    assert_eq!(client.search("ada", request).await.expect("found").total_hits, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_is_an_error_only_where_there_is_nothing_to_show() {
    let world = World::start().await;
    let client = &world.client;
    let identity = world.cluster.ports().log.identity();
    let map = nautilus_types::PartitionMap::divided(identity.partitions);
    let partition_of =
        |name: &str| map.partition_of(&nautilus_types::NamespaceName::new(name).expect("valid")).0;
    let names = (0..).map(|n| format!("n{n}"));
    let other = names.clone().find(|name| partition_of(name) != partition_of("notes"));
    let other = other.expect("there are several partitions");
    let mut seen = String::new();
    for name in ["notes", other.as_str()] {
        client.create("ada", name).await;
        seen = client.write("ada", vec![upsert(name, "d", "red fox")]).await;
    }
    for group in ["a", "b"] {
        let request = SearchRequest {
            consistency_token: seen.clone(),
            replica_group: group.to_owned(),
            ..query("fox", &other)
        };
        client.search("operator:ada", request).await.expect("found");
    }
    // Leaves that must show what is written now hang, and only the deadline ends that.
    world.log.set_open(false);
    let mut token = String::new();
    for n in 0..3 {
        token = client.write("ada", vec![upsert("notes", &format!("e{n}"), "red fox")]).await;
    }
    world.log.set_end_told(false);
    let search = async |namespaces: &[&str], allow_partial: bool| {
        let request = SearchRequest {
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
            consistency_token: token.clone(),
            allow_partial,
            ..query("fox", "")
        };
        let request = client.request_within("ada", request, Duration::from_millis(1_200));
        client.searches().search(request).await
    };
    let both = ["notes", other.as_str()];
    let (nothing, incomplete, part) =
        tokio::join!(search(&both[..1], true), search(&both, false), search(&both, true));
    assert_eq!(refusal(nothing), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
    assert_eq!(refusal(incomplete), (Code::Unavailable, "PARTIAL_COVERAGE".to_owned()));
    let part = part.expect("what there is").into_inner();
    assert_eq!((part.hits.len(), part.hits[0].namespace.as_str()), (1, other.as_str()));
    let coverage = part.coverage.expect("said");
    assert!(!coverage.complete);
    let missing: Vec<_> =
        coverage.missing.iter().map(|m| (m.partition, m.reason.as_str())).collect();
    assert_eq!(missing, [(partition_of("notes"), "DEADLINE")]);
    world.log.set_end_told(true);
    world.log.set_open(true);
    world.stop().await;
}
