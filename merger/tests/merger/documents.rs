//! Single documents and lists of ids.

use nautilus_proto::search::v1::{GetDocumentRequest, ListDocumentsRequest, ListDocumentsResponse};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::system::{System, fields_of, partition_of, reason_of};

fn get(namespace: &str, document_id: &str) -> GetDocumentRequest {
    GetDocumentRequest {
        namespace: namespace.into(),
        document_id: document_id.into(),
        ..GetDocumentRequest::default()
    }
}

fn list(namespace: &str, page_size: i32, page_token: &str) -> ListDocumentsRequest {
    ListDocumentsRequest {
        namespace: namespace.into(),
        page_size,
        page_token: page_token.into(),
        ..ListDocumentsRequest::default()
    }
}

fn ids(response: &ListDocumentsResponse) -> Vec<&str> {
    response.documents.iter().map(|document| document.document_id.as_str()).collect()
}

#[tokio::test]
async fn a_document_is_shown_as_stored() {
    let system = System::start().await;
    system.with_foxes().await;
    let document = system.get("ada", get("home", "red")).await.expect("found").document;
    let document = document.expect("always");
    assert_eq!((document.namespace.as_str(), document.document_id.as_str()), ("home", "red"));
    assert_eq!((document.title.as_str(), document.version), ("Red fox", Some(7)));
    assert_eq!(document.body, "the red fox jumps over the lazy dog");

    let status = system.get("ada", get("home", "absent")).await.expect_err("absent");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::NotFound, "DOCUMENT_NOT_FOUND"));
    let details = status.get_error_details();
    assert_eq!(details.resource_info().expect("always").resource_name, "absent");
    for (request, field) in [(get("", "red"), "namespace"), (get("home", ""), "document_id")] {
        let status = system.get("ada", request).await.expect_err(field);
        assert_eq!(
            (status.code(), fields_of(&status)),
            (Code::InvalidArgument, vec![field.into()])
        );
    }
    system.root.state().fetch_failures.insert(partition_of("home"));
    let status = system.get("ada", get("home", "red")).await.expect_err("out of reach");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::Unavailable, "PARTIAL_COVERAGE"));
    system.stop().await;
}

#[tokio::test]
async fn lists_go_on_where_they_ended() {
    let system = System::start().await;
    system.with_foxes().await;
    let first = system.list("ada", list("home", 2, "")).await.expect("listed");
    assert_eq!(ids(&first), ["grey", "red"]);
    assert!(!first.next_page_token.is_empty());
    let second = system.list("ada", list("home", 2, &first.next_page_token)).await;
    let second = second.expect("listed");
    assert_eq!((ids(&second), second.next_page_token.as_str()), (vec!["tea"], ""));

    let latest = ListDocumentsRequest { latest: true, ..list("home", 0, "") };
    assert_eq!(ids(&system.list("ada", latest).await.expect("listed")).len(), 3);
    system.list("ada", list("home", 5_000, "")).await.expect("quietly less");
    let lists = system.root.state().lists.clone();
    let asked: Vec<_> = lists.iter().map(|l| (l.limit, l.latest)).collect();
    assert_eq!(asked, [(2, false), (2, false), (100, true), (1_000, false)]);
    let min = &lists[1].min_offsets;
    assert_eq!(min[0].next_offset, 100, "a page shows at least what the one before did");
    system.stop().await;
}

#[tokio::test]
async fn page_tokens_are_of_one_list() {
    let system = System::start().await;
    system.with_foxes().await;
    let other = system.namespace("other", "ada").await;
    system.feed(&other, "a", "", "");
    let token = system.list("ada", list("home", 1, "")).await.expect("listed").next_page_token;
    let changed = format!("{}A{}", &token[..20], &token[21..]);
    let changed =
        if changed == token { format!("{}B{}", &token[..20], &token[21..]) } else { changed };
    for (namespace, page_token) in [("home", "garbage"), ("other", &token), ("home", &changed)] {
        let status = system.list("ada", list(namespace, 1, page_token)).await.expect_err("foreign");
        let reason = reason_of(&status);
        assert_eq!((status.code(), &*reason), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
        assert_eq!(fields_of(&status), ["page_token"]);
    }
    // It opens no door: another caller with the token is refused before it is looked at.
    system.user("bob").await;
    let status = system.list("bob", list("home", 1, &token)).await.expect_err("denied");
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = system.list("ada", list("home", -1, "")).await.expect_err("negative");
    assert_eq!(fields_of(&status), ["page_size"]);
    system.stop().await;
}
