use super::*;

const ALL: [Class; 13] = [
    Class::Invalid,
    Class::Unauthenticated,
    Class::Denied,
    Class::NotFound,
    Class::Conflict,
    Class::Precondition,
    Class::Fenced,
    Class::Overloaded,
    Class::Unavailable,
    Class::Deadline,
    Class::Cancelled,
    Class::Corrupt,
    Class::Bug,
];

#[test]
fn every_class_survives_the_way_there_and_back() {
    for class in ALL {
        let status = RpcError::new(class, "SOME_REASON", "some message").into_status();
        assert_eq!(class_of(&status), class, "{status:?}");
        let details = status.get_error_details();
        let info = details.error_info().expect("ErrorInfo");
        assert_eq!(info.domain, ERROR_DOMAIN);
        assert_eq!(details.retry_info().is_some(), class.is_retryable(), "{class:?}");
        assert_eq!(status.metadata().contains_key(RETRY_PUSHBACK), class.is_retryable());
    }
}

#[test]
fn details_are_those_named_and_each_type_comes_once() {
    let status: Status = RpcError::new(Class::Invalid, "BAD_QUERY", "query does not parse")
        .field("query", "unexpected ) at byte 7")
        .field("page_size", "above 100")
        .with("position", "7")
        .into();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "query does not parse");
    assert_eq!(status.get_error_details_vec().len(), 2);
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("BadRequest").field_violations;
    assert_eq!(violations.len(), 2);
    assert_eq!(violations[0].field, "query");
    assert_eq!(details.error_info().expect("ErrorInfo").metadata["position"], "7");
}

#[test]
fn a_refusal_says_which_bound_and_when_to_come_back() {
    let status = RpcError::new(Class::Overloaded, "QUEUE_FULL", "too many searches")
        .quota("searches in flight", "256")
        .retry_after(Duration::from_millis(1_500))
        .into_status();
    let details = status.get_error_details();
    assert_eq!(details.quota_failure().expect("QuotaFailure").violations[0].description, "256");
    let retry = details.retry_info().expect("RetryInfo").retry_delay;
    assert_eq!(retry, Some(Duration::from_millis(1_500)));
    let pushback = status.metadata().get(RETRY_PUSHBACK).expect("trailer");
    assert_eq!(pushback.to_str().expect("text"), "1500");
}

#[test]
fn not_found_and_preconditions_name_their_subject() {
    let status = RpcError::new(Class::NotFound, "DOCUMENT_NOT_FOUND", "no such document")
        .resource("document", "notes/today.md")
        .into_status();
    let details = status.get_error_details();
    assert_eq!(details.resource_info().expect("ResourceInfo").resource_name, "notes/today.md");

    let status = RpcError::new(Class::Precondition, "STALE_MAP", "map version 3 is past");
    let details = status.into_status().get_error_details();
    let violations = &details.precondition_failure().expect("detail").violations;
    assert_eq!(violations[0].r#type, "STALE_MAP");
}

#[tokio::test]
async fn a_bug_tells_the_client_the_request_id_and_nothing_else() {
    let id = RequestId::accept("req-17").expect("plain");
    let error = RpcError::new(Class::Bug, "POSTING_ORDER", "postings of ns-secret out of order")
        .with("path", "/var/lib/secret")
        .caused_by(std::io::Error::other("row 12"));
    assert_eq!(error_chain(&error), "postings of ns-secret out of order: row 12");
    let status = id.scope(async { error.into_status() }).await;
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "internal error, request req-17");
    let details = status.get_error_details();
    assert_eq!(details.request_info().expect("RequestInfo").request_id, "req-17");
    let info = details.error_info().expect("ErrorInfo");
    assert_eq!((info.reason.as_str(), info.metadata.len()), ("INTERNAL", 0));
    let wire = String::from_utf8_lossy(status.details()).into_owned();
    assert!(!wire.contains("secret") && !wire.contains("POSTING"), "{wire}");
}

#[test]
fn codes_of_other_servers_have_a_class() {
    let cases = [
        (Code::Unknown, Class::Bug),
        (Code::Internal, Class::Bug),
        (Code::Cancelled, Class::Cancelled),
        (Code::OutOfRange, Class::Invalid),
        (Code::AlreadyExists, Class::Conflict),
        (Code::Unimplemented, Class::Precondition),
    ];
    for (code, class) in cases {
        assert_eq!(class_of(&Status::new(code, "from afar")), class);
    }
}

#[test]
fn failures_of_the_client_library_have_a_class() {
    let timeout = Status::from_error(Box::new(tonic::TimeoutExpired(())));
    assert_eq!(class_of(&timeout), Class::Deadline, "{timeout:?}");
    assert!(!is_connection_loss(&timeout));
    let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset by peer");
    let reset = Status::from_error(Box::new(reset));
    assert_eq!(class_of(&reset), Class::Unavailable, "{reset:?}");
    assert!(is_connection_loss(&reset));
    assert!(!is_connection_loss(&Status::unavailable("draining")));
}

#[test]
fn reasons_are_constants_programs_can_compare() {
    assert!(is_reason("QUEUE_FULL2"));
    for bad in ["", "queue_full", "QUEUE-FULL", "2MANY", "_X", &"X".repeat(64)] {
        assert!(!is_reason(bad), "{bad:?}");
    }
}
