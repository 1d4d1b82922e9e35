//! Certificates between processes, over real sockets.

mod pki;
mod world;

use std::sync::Arc;
use std::time::Duration;

use nautilus_service::server::{GrpcServer, ServerError, ServerSettings, peer};
use nautilus_service::tls::{ClientCertificates, Role, TlsError};
use nautilus_service::{Clock, class_of};
use nautilus_types::Class;
use tonic_types::StatusExt;

use pki::{Authority, Folder, Made, tls};
use world::{Running, call, knock};

const LEAF: &str = "spiffe://test/leaf/leaf-1";
const ROOT: &str = "spiffe://test/root/root-1";

#[tokio::test]
async fn the_right_role_may_call_and_another_is_denied() {
    let authority = Authority::new("ours");
    let server = Running::start(&tls(&authority, LEAF), ClientCertificates::Required).await;
    let root = server.channel(&tls(&authority, ROOT), Role::Leaf);
    let answer = call(&root, "Search").await.expect("roots may search");
    assert!(answer.starts_with("spiffe://test/root/root-1 127.0.0.1:"), "{answer}");
    for role in ["leaf", "coordinator", "merger", "indexbuilder", "operator"] {
        let other = tls(&authority, &format!("spiffe://test/{role}/a"));
        let channel = server.channel(&other, Role::Leaf);
        let refused = call(&channel, "Search").await.expect_err(role);
        assert_eq!(class_of(&refused), Class::Denied, "{role}: {refused:?}");
        let reason = refused.get_error_details().error_info().expect("info").reason.clone();
        assert_eq!(reason, peer::ROLE_NOT_ALLOWED);
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
        health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect("for everybody");
    }
    let operator = server.channel(&tls(&authority, "spiffe://test/operator/ada"), Role::Leaf);
    assert!(call(&operator, "GetStatus").await.is_ok());
    let unknown = call(&root, "Drop").await.expect_err("not in the table");
    assert_eq!(class_of(&unknown), Class::Denied);
    assert_eq!(server.metrics.failed_handshakes(), 0);
    server.end().await;
}

#[tokio::test]
async fn callers_without_a_certificate_that_holds_up_are_refused() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = Running::start(&tls(&ours, LEAF), ClientCertificates::Required).await;
    let good = ours.certificate(&[ROOT]);
    knock(server.address, &ours, Some(&good)).await.expect("this is how it is done");
    let cases = [
        ("none", None),
        ("of another authority", Some(other.certificate(&[ROOT]))),
        ("expired", Some(ours.expired(ROOT))),
        ("for nobody", Some(ours.certificate(&[]))),
        ("for two", Some(ours.certificate(&[ROOT, LEAF]))),
        ("of an unknown role", Some(ours.certificate(&["spiffe://test/king/a"]))),
        ("of another cluster", Some(ours.certificate(&["spiffe://production/root/a"]))),
    ];
    let count = cases.len();
    for (what, own) in cases {
        let refused = knock(server.address, &ours, own.as_ref()).await;
        assert!(refused.is_err(), "a certificate {what} was let in");
    }
    let failed = server.metrics.failed_handshakes();
    assert_eq!(failed, u64::try_from(count).expect("few"));
    server.end().await;
}

#[tokio::test]
async fn a_server_that_is_not_who_was_meant_is_refused() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let root = tls(&ours, ROOT);
    for (server, says) in [
        (tls(&ours, "spiffe://test/merger/m"), "OtherPeer"),
        (tls(&ours, "spiffe://production/leaf/a"), "OtherPeer"),
        (tls(&other, LEAF), "UnknownIssuer"),
    ] {
        let server = Running::start(&server, ClientCertificates::NotAsked).await;
        let refused = call(&server.channel(&root, Role::Leaf), "Search").await;
        let refused = refused.expect_err(says);
        assert_eq!(class_of(&refused), Class::Unavailable, "{refused:?}");
        assert!(format!("{refused:?}").contains(says), "{refused:?}");
        server.end().await;
    }
}

#[tokio::test]
async fn ports_for_clients_ask_for_no_certificate_and_know_nobody() {
    let authority = Authority::new("ours");
    let server = Running::start(&tls(&authority, LEAF), ClientCertificates::NotAsked).await;
    knock(server.address, &authority, None).await.expect("encrypted is enough");
    let merger = server.channel(&tls(&authority, "spiffe://test/merger/m"), Role::Leaf);
    assert_eq!(call(&merger, "Search").await.expect("no table here"), "nobody");
    server.end().await;
}

#[tokio::test]
async fn new_certificates_are_taken_without_dropping_connections() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let folder = Folder::new(&before.pem, &before.certificate(&[LEAF]));
    let leaf = folder.load().expect("loads");
    let server = Running::start(&leaf, ClientCertificates::Required).await;
    let old_root = tls(&before, ROOT);
    let channel = server.channel(&old_root, Role::Leaf);
    // Tells the port of the caller's end, and so the connection.
    let connection = call(&channel, "Search").await.expect("answer");
    assert!(!leaf.reload().expect("nothing new"));

    let old = before.certificate(&[ROOT]);
    let shown_before = knock(server.address, &before, Some(&old)).await.expect("let in");
    let both = format!("{}{}", before.pem, after.pem);
    folder.write(&both, &after.certificate(&[LEAF]));
    assert!(leaf.reload().expect("new ones"));
    let new = after.certificate(&[ROOT]);
    let shown_after = knock(server.address, &after, Some(&new)).await.expect("let in");
    assert_ne!(shown_before, shown_after);
    knock(server.address, &after, Some(&old)).await.expect("both authorities are trusted");
    assert_eq!(call(&channel, "Search").await.expect("answer"), connection, "still the same one");

    // The former authority goes: who still comes from it is out, at the next connection.
    folder.write_one("ca.pem", &after.pem);
    assert!(leaf.reload().expect("new ones"));
    knock(server.address, &after, Some(&old)).await.expect_err("no longer trusted");
    knock(server.address, &after, Some(&new)).await.expect("let in");
    assert_eq!(call(&channel, "Search").await.expect("answer"), connection, "still the same one");
    drop(channel);
    server.end().await;
}

/// Makes the files of a process ones that do not hold up.
type Spoil = Box<dyn Fn(&Folder)>;
type IsExpected = fn(&TlsError) -> bool;

#[tokio::test]
async fn new_certificates_that_do_not_hold_up_leave_the_old_in_use() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let first = ours.certificate(&[LEAF]);
    let folder = Folder::new(&ours.pem, &first);
    let leaf = folder.load().expect("loads");
    let server = Running::start(&leaf, ClientCertificates::Required).await;
    let caller = ours.certificate(&[ROOT]);
    let shown = knock(server.address, &ours, Some(&caller)).await.expect("let in");
    let second = ours.certificate(&[LEAF]);
    let replaced = |made: Made| -> Spoil {
        let ca = ours.pem.clone();
        Box::new(move |folder| folder.write(&ca, &made))
    };
    let one = |name: &'static str, contents: String| -> Spoil {
        Box::new(move |folder| folder.write_one(name, &contents))
    };
    let is_unusable: IsExpected = |error| matches!(error, TlsError::Unusable { .. });
    let is_no_pem: IsExpected = |error| matches!(error, TlsError::Pem { .. });
    let cases: Vec<(Spoil, IsExpected)> = vec![
        // What a reload between two writes sees.
        (one("own.pem", second.certificate.clone()), is_unusable),
        (one("own.pem", "-----BEGIN".to_owned()), is_no_pem),
        (one("own.key", String::new()), is_no_pem),
        (one("ca.pem", String::new()), is_no_pem),
        (replaced(ours.expired(LEAF)), is_unusable),
        (replaced(other.certificate(&[LEAF])), is_unusable),
        (replaced(ours.certificate(&[ROOT])), |e| matches!(e, TlsError::SomebodyElse { .. })),
        (replaced(ours.certificate(&[])), |e| matches!(e, TlsError::Nobody { .. })),
        (Box::new(|f| std::fs::remove_file(f.path().join("ca.pem")).expect("removed")), |e| {
            matches!(e, TlsError::Read { .. })
        }),
    ];
    for (n, (spoil, is_expected)) in cases.into_iter().enumerate() {
        folder.write(&ours.pem, &first);
        spoil(&folder);
        let error = leaf.reload().expect_err("must fail");
        assert!(is_expected(&error), "case {n}: {error:?}");
        let now = knock(server.address, &ours, Some(&caller)).await.expect("let in");
        assert_eq!(now, shown, "case {n}");
    }
    folder.write(&ours.pem, &second);
    assert!(leaf.reload().expect("these hold up"));
    server.end().await;
}

#[tokio::test]
async fn files_are_looked_at_again_by_themselves() {
    let authority = Authority::new("ours");
    let folder = Folder::new(&authority.pem, &authority.certificate(&[LEAF]));
    let leaf = folder.load().expect("loads");
    let mut server = Running::start(&leaf, ClientCertificates::Required).await;
    let fresh = Arc::clone(&leaf);
    server.spawn("keep-fresh", |stop| fresh.keep_fresh(Duration::from_millis(5), stop));
    let caller = authority.certificate(&[ROOT]);
    let shown = knock(server.address, &authority, Some(&caller)).await.expect("let in");
    folder.write_one("own.pem", "broken");
    folder.write(&authority.pem, &authority.certificate(&[LEAF]));
    let changed = async {
        while knock(server.address, &authority, Some(&caller)).await.expect("let in") == shown {}
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.expect("taken in time");
    server.end().await;
}

#[tokio::test]
async fn clients_use_new_certificates_when_they_connect_again() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let folder = Folder::new(&before.pem, &before.certificate(&[ROOT]));
    let root = folder.load().expect("loads");
    let server = Running::start(&tls(&after, LEAF), ClientCertificates::Required).await;
    let channel = server.channel(&root, Role::Leaf);
    let refused = call(&channel, "Search").await.expect_err("another authority");
    assert_eq!(class_of(&refused), Class::Unavailable);
    folder.write(&after.pem, &after.certificate(&[ROOT]));
    assert!(root.reload().expect("new ones"));
    assert!(call(&channel, "Search").await.is_ok(), "the same channel");
    drop(channel);
    server.end().await;
}

#[tokio::test]
async fn a_caller_that_never_shakes_hands_keeps_nobody_waiting() {
    let authority = Authority::new("ours");
    let server = Running::start(&tls(&authority, LEAF), ClientCertificates::Required).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(tokio::net::TcpStream::connect(server.address).await.expect("connected"));
    }
    let root = server.channel(&tls(&authority, ROOT), Role::Leaf);
    // Less than a handshake may take.
    let answer = tokio::time::timeout(Duration::from_millis(2_500), call(&root, "Search")).await;
    assert!(answer.expect("in time").is_ok());
    drop((silent, root));
    server.end().await;
}

#[tokio::test]
async fn a_process_starts_only_with_certificates_of_its_own() {
    let authority = Authority::new("ours");
    let expired = Folder::new(&authority.pem, &authority.expired(LEAF)).load();
    assert!(matches!(expired, Err(TlsError::Unusable { .. })), "{expired:?}");
    let nobody = Folder::new(&authority.pem, &authority.certificate(&["https://a/b"])).load();
    assert!(matches!(nobody, Err(TlsError::Nobody { .. })), "{nobody:?}");
    let folder = Folder::new(&authority.pem, &authority.certificate(&[LEAF]));
    let tls = folder.load().expect("loads");
    assert_eq!((tls.identity().role, &*tls.identity().name), (Role::Leaf, "leaf-1"));
    assert!(tls.expires_unix_s() > Clock::system().unix_ms() / 1_000);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(folder.path().join("own.key"), mode).expect("sets");
    let open = folder.load().expect_err("others may read the key");
    assert!(matches!(open, TlsError::TooOpen { mode: 0o644, .. }));
    assert_eq!(open.class(), Class::Precondition);
}

#[tokio::test]
async fn beyond_loopback_there_is_no_listening_without_tls() {
    let everywhere = ([0, 0, 0, 0], 0).into();
    let server = || GrpcServer::new("leaf", ServerSettings::default(), Clock::system());
    let error = server().bind(everywhere).await.expect_err("exposed");
    assert!(matches!(error, ServerError::Exposed { .. }));
    assert_eq!(error.class(), Class::Invalid);
    assert!(error.to_string().contains("0.0.0.0:0 without TLS"), "{error}");
    let authority = Authority::new("ours");
    let tls = tls(&authority, LEAF);
    server().tls(tls, ClientCertificates::Required).bind(everywhere).await.expect("encrypted");
    server().plaintext_beyond_loopback(true).bind(everywhere).await.expect("somebody insists");
}
