//! The server over real sockets.

use std::convert::Infallible;
use std::time::Duration;

use tonic::{Code, Request as Call, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Reported;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;
use tower::{Layer, Service};

use super::arrival::Arrival;
use super::stage::StageLayer;
use super::*;
use crate::request_id::{REQUEST_ID, RequestId};
use crate::status::{class_of, is_connection_loss, is_loss_under_way};

mod probe;

use probe::{Probe, Running, TokenGuard, channel, health_of, send, with_timeout};

#[tokio::test]
async fn deadlines_are_stated_defaulted_and_cut() {
    let running = Running::start(ServerSettings::default(), None).await;
    let left = |text: &str| -> u64 {
        text.trim_start_matches("Some(").trim_end_matches(')').parse().expect("milliseconds")
    };
    let usual = left(running.call("Remaining").await.expect("answer").get_ref());
    assert!((5_000..=9_995).contains(&usual), "{usual}");
    let call = with_timeout(Duration::from_secs(30));
    let stated = left(running.send("Remaining", call).await.expect("answer").get_ref());
    assert!((20_000..=29_995).contains(&stated), "{stated}");
    let call = with_timeout(Duration::from_secs(3_600));
    let cut = left(running.send("Remaining", call).await.expect("answer").get_ref());
    assert!((50_000..=59_995).contains(&cut), "{cut}");

    let mut bad = Call::new(String::new());
    bad.metadata_mut().insert("grpc-timeout", "soon".parse().expect("value"));
    let refused = running.send("Remaining", bad).await.expect_err("refused");
    assert_eq!(class_of(&refused), Class::Invalid);
    assert!(refused.get_error_details().bad_request().is_some());
    assert!(running.end().await.is_clean());
}

#[tokio::test]
async fn a_request_past_its_deadline_is_cut_off_and_counted() {
    let running = Running::start(ServerSettings::default(), None).await;
    let call = with_timeout(Duration::from_millis(300));
    let late = running.send("Hold", call).await.expect_err("late");
    assert_eq!(class_of(&late), Class::Deadline, "{late:?}");
    let counted = |count: &MethodCount| count.code == Code::DeadlineExceeded;
    while !running.metrics.counts().iter().any(counted) {
        tokio::task::yield_now().await;
    }
    assert!(running.end().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn the_server_answers_before_the_stated_timeout() {
    let stage = Arrival { rules: Arc::new(DeadlineRules::default()), clock: Clock::system() };
    let never = tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<http::Response<Body>, Infallible>>()
    });
    let mut service = StageLayer(stage).layer(never);
    let request = Request::builder().uri("/a.v1.A/B").header("grpc-timeout", "100m");
    let started = Clock::system().now();
    let answer = service.call(request.body(Body::empty()).expect("request")).await;
    let answer = answer.expect("infallible");
    let took = Clock::system().now() - started;
    assert!(took < Duration::from_millis(100), "{took:?}");
    let status = Status::from_header_map(answer.headers()).expect("status");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.get_error_details().error_info().expect("info").reason, "DEADLINE_EXCEEDED");
    assert!(answer.headers().contains_key(REQUEST_ID));
}

#[tokio::test]
async fn load_above_the_limit_is_shed_but_health_answers() {
    let settings = ServerSettings { in_flight_max: 1, ..ServerSettings::default() };
    let running = Running::start(settings, None).await;
    let held = send(running.channel.clone(), "Hold", Call::new(String::new()));
    tokio::pin!(held);
    tokio::select! {
        answer = &mut held => panic!("must be held: {answer:?}"),
        permit = running.probe.held.acquire() => permit.expect("open").forget(),
    }
    let refused = running.call("Remaining").await.expect_err("shed");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let details = refused.get_error_details();
    assert_eq!(details.error_info().expect("info").reason, admission::TOO_MANY_REQUESTS);
    assert!(details.quota_failure().is_some() && details.retry_info().is_some());
    assert_eq!(running.metrics.shed(), 1);
    assert_eq!(health_of(&running.channel, "").await.expect("health"), Reported::Serving);
    running.probe.release.add_permits(1);
    assert_eq!(held.await.expect("released").get_ref(), "released");
    assert!(running.call("Remaining").await.is_ok());
    assert!(running.end().await.is_clean());
}

#[tokio::test]
async fn the_guard_refuses_and_hands_on_what_it_found() {
    let running = Running::start(ServerSettings::default(), Some(Arc::new(TokenGuard))).await;
    let refused = running.call("Caller").await.expect_err("no credentials");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.metadata().contains_key(REQUEST_ID));
    let mut call = Call::new(String::new());
    call.metadata_mut().insert("authorization", "Bearer ada".parse().expect("value"));
    let answer = running.send("Caller", call).await.expect("answer");
    assert_eq!(answer.get_ref(), "Some(\"ada\")");
    assert_eq!(health_of(&running.channel, "").await.expect("health"), Reported::Serving);
    assert!(running.end().await.is_clean());
}

#[tokio::test]
async fn request_ids_are_echoed_or_made_and_reach_the_handler() {
    let running = Running::start(ServerSettings::default(), None).await;
    let mut call = Call::new(String::new());
    RequestId::accept("given-1").expect("plain").state_on(&mut call);
    let answer = running.send("RequestId", call).await.expect("answer");
    assert_eq!(answer.get_ref(), "given-1");
    assert_eq!(answer.metadata().get(REQUEST_ID).expect("echo"), "given-1");
    let answer = running.call("RequestId").await.expect("answer");
    let made = answer.metadata().get(REQUEST_ID).expect("made").to_str().expect("text");
    assert_eq!(answer.get_ref(), made);

    let mut call = Call::new(String::new());
    call.metadata_mut().insert(REQUEST_ID, "req-9".parse().expect("value"));
    let bug = running.send("Bug", call).await.expect_err("bug");
    assert_eq!(bug.message(), "internal error, request req-9");
    assert!(running.end().await.is_clean());
}

#[tokio::test]
async fn answers_are_counted_by_method_and_code() {
    let running = Running::start(ServerSettings::default(), None).await;
    for _ in 0..3 {
        running.call("Remaining").await.expect("answer");
    }
    running.call("Bug").await.expect_err("bug");
    running.call("MadeUp").await.expect_err("unimplemented");
    let rows: Vec<_> = running
        .metrics
        .counts()
        .into_iter()
        .map(|count| (count.method, count.code, count.answers))
        .collect();
    let expected = [
        ("/test.v1.Probe/Bug".to_owned(), Code::Internal, 1),
        ("/test.v1.Probe/Remaining".to_owned(), Code::Ok, 3),
        ("other".to_owned(), Code::Unimplemented, 1),
    ];
    assert_eq!(rows, expected);
    assert!(running.end().await.is_clean());
}

#[tokio::test]
async fn a_panic_costs_its_request_and_no_other() {
    let running = Running::start(ServerSettings::default(), None).await;
    let held = send(running.channel.clone(), "Hold", Call::new(String::new()));
    tokio::pin!(held);
    tokio::select! {
        answer = &mut held => panic!("must be held: {answer:?}"),
        permit = running.probe.held.acquire() => permit.expect("open").forget(),
    }
    let mut call = Call::new(String::new());
    call.metadata_mut().insert(REQUEST_ID, "req-9".parse().expect("value"));
    let panicked = running.send("Panic", call).await.expect_err("panicked");
    assert_eq!(panicked.code(), Code::Internal);
    assert_eq!(panicked.message(), "internal error, request req-9");
    assert!(!is_connection_loss(&panicked));
    assert!(!String::from_utf8_lossy(panicked.details()).contains("secret"));
    let counted = running.metrics.counts();
    assert_eq!((counted[0].code, counted[0].answers), (Code::Internal, 1));
    // On the same connection.
    running.probe.release.add_permits(1);
    assert_eq!(held.await.expect("answer").into_inner(), "released");
    assert!(running.end().await.is_clean());
}

#[tokio::test]
async fn stopping_lets_open_requests_finish_and_refuses_new_connections() {
    let settings =
        ServerSettings { withdraw_delay: Duration::from_millis(500), ..ServerSettings::default() };
    let running = Running::start(settings, None).await;
    let health = health_of(&running.channel, Probe::NAME).await;
    assert_eq!(health.expect("health"), Reported::Serving);
    let held = send(running.channel.clone(), "Hold", Call::new(String::new()));
    tokio::pin!(held);
    tokio::select! {
        answer = &mut held => panic!("must be held: {answer:?}"),
        permit = running.probe.held.acquire() => permit.expect("open").forget(),
    }
    running.stop.cancel();
    // Still serving, and saying that it will not for long.
    let withdrawn = async {
        while health_of(&running.channel, Probe::NAME).await.expect("health") == Reported::Serving {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), withdrawn).await.expect("NOT_SERVING in time");
    running.probe.release.add_permits(1);
    assert_eq!(held.await.expect("finished").get_ref(), "released");
    let address = running.address;
    assert!(running.end().await.is_clean());
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is free again");
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_stop() {
    let settings =
        ServerSettings { drain_max: Duration::from_millis(50), ..ServerSettings::default() };
    let running = Running::start(settings, None).await;
    let request = HealthCheckRequest { service: String::new() };
    let watched = HealthClient::new(running.channel.clone()).watch(request).await;
    let mut watched = watched.expect("stream").into_inner();
    let first = watched.message().await.expect("message").expect("one");
    assert_eq!(first.status(), Reported::Serving);
    running.stop.cancel();
    let second = watched.message().await.expect("message").expect("one");
    assert_eq!(second.status(), Reported::NotServing);
    assert!(running.end().await.is_clean());
}

#[tokio::test]
async fn reflection_lists_what_is_served() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServiceResponse};

    let running = Running::start(ServerSettings::default(), Some(Arc::new(TokenGuard))).await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(running.channel.clone());
    let answers = client.server_reflection_info(futures::stream::iter([request])).await;
    let answer = answers.expect("stream").into_inner().message().await.expect("message");
    let Some(MessageResponse::ListServicesResponse(list)) =
        answer.and_then(|answer| answer.message_response)
    else {
        panic!("not a list of services");
    };
    let names: Vec<_> = list.service.into_iter().map(|ServiceResponse { name }| name).collect();
    assert!(names.iter().any(|name| name == "grpc.health.v1.Health"), "{names:?}");
    drop(client);
    assert!(running.end().await.is_clean());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = Running::start(ServerSettings::default(), None).await;
    let second = GrpcServer::new("second", ServerSettings::default(), Clock::system());
    let error = second.bind(running.address).await.expect_err("in use");
    assert_eq!(error.to_string(), format!("listen on {}", running.address));
    assert_eq!(error.class(), Class::Unavailable);
    assert!(running.end().await.is_clean());
}

#[tokio::test]
async fn messages_above_the_limit_are_refused_and_not_taken_for_a_broken_connection() {
    let running = Running::start(ServerSettings::default(), None).await;
    let client = HealthClient::new(running.channel.clone());
    let in_limit = MessageLimits { decode_bytes_max: 1, encode_bytes_max: 1024 };
    let mut client_in = crate::with_message_limits!(client.clone(), in_limit);
    let request = HealthCheckRequest { service: String::new() };
    let refused = client_in.check(request).await.expect_err("answer above the limit");
    assert_eq!(class_of(&refused), Class::Invalid, "{refused:?}");

    let out_limit = MessageLimits { decode_bytes_max: 1024, encode_bytes_max: 16 };
    let mut client_out = crate::with_message_limits!(client, out_limit);
    let request = HealthCheckRequest { service: "x".repeat(64) };
    let refused = client_out.check(request).await.expect_err("request above the limit");
    assert!(!is_connection_loss(&refused), "{refused:?}");
    assert_eq!(class_of(&refused), Class::Bug, "{refused:?}");
    drop((client_in, client_out));
    assert!(running.end().await.is_clean());
}

#[test]
fn a_lost_connection_is_unavailable_whenever_it_is_noticed() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (own, peer) = (runtime().expect("runtime"), runtime().expect("runtime"));
    let (tell_address, address) = std::sync::mpsc::sync_channel(1);
    let (tell_held, held) = tokio::sync::oneshot::channel();
    let peer_thread = std::thread::spawn(move || {
        peer.block_on(async {
            let running = Running::start(ServerSettings::default(), None).await;
            tell_address.send(running.address).expect("the test waits");
            running.probe.held.acquire().await.expect("open").forget();
        });
        // Ends the peer as a crash would: its sockets close in the middle of the call.
        peer.shutdown_background();
        tell_held.send(()).expect("the test waits");
    });
    let address = address.recv().expect("address");
    own.block_on(async {
        let channel = channel(address).await;
        let broken = send(channel.clone(), "Hold", Call::new(String::new())).await;
        let broken = broken.expect_err("peer is gone");
        assert_eq!(class_of(&broken), Class::Unavailable, "{broken:?}");
        assert!(is_connection_loss(&broken) && is_loss_under_way(&broken), "{broken:?}");
        held.await.expect("peer ended");
        let refused = send(channel, "Hold", Call::new(String::new())).await;
        let refused = refused.expect_err("nobody listens");
        assert_eq!(class_of(&refused), Class::Unavailable);
        assert!(!is_loss_under_way(&refused), "it was never sent: {refused:?}");
    });
    peer_thread.join().expect("peer thread");
}
