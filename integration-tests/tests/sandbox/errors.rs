//! Statuses of the public API that need a whole cluster, with their details. Those that one role decides
//! alone are tested beside it.

use nautilus_proto::admin::v1::CreateNamespaceRequest;
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
