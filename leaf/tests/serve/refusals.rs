//! What a request must be, and that nothing is read for one that is not.

use nautilus_identity::{Grant, GrantSigner, KeyPair, Purpose, query_hash};
use nautilus_proto::common::v1::{QueryList, QueryNode, query_node::Node};
use nautilus_proto::leaf::v1::{FetchRequest, ListRequest, RequestContext, SearchRequest};
use nautilus_service::Clock;
use nautilus_types::Incarnation;
use prost::Message as _;
use tonic::Code;

use crate::world::{LIFE, World, namespace, namespace_ref, refusal, term};

fn with_grant(request: &SearchRequest, grant: Vec<u8>) -> SearchRequest {
    let mut request = request.clone();
    request.context = request.context.map(|context| RequestContext { grant, ..context });
    request
}

#[tokio::test]
async fn nothing_is_read_beyond_the_grant() {
    let world = World::new().await;
    let notes = world.first();
    let leaf = world.start().await.serving().await;
    world.append(world.upsert(notes, "a", "tide")).await;
    let request = world.search(notes, "tide");
    assert!(leaf.search(request.clone()).await.is_ok());

    let hash = query_hash(&term("tide").encode_to_vec());
    let now_ms = Clock::system().unix_ms();
    let signed = |signer: &GrantSigner, name: &str, life, purpose, hash, expires_at| {
        let scope = [(namespace(name), Incarnation(life))];
        signer.sign(&Grant::new("ada", scope, purpose, hash, expires_at).expect("valid"))
    };
    let ours = |name: &str, life, purpose, hash, expires_at| {
        signed(&world.signer, name, life, purpose, hash, expires_at)
    };
    let (search, soon) = (Purpose::Search, now_ms + 4_000);
    let stranger = tempfile::tempdir().expect("temporary folder");
    let stranger = GrantSigner::new(KeyPair::open(stranger.path(), "grant").expect("key"));
    let mut changed = ours(notes, LIFE, search, hash, soon);
    *changed.last_mut().expect("not empty") ^= 1;
    let cases = [
        (Vec::new(), "GRANT_MISSING"),
        (b"nonsense".to_vec(), "GRANT_MALFORMED"),
        (changed, "GRANT_SIGNATURE_WRONG"),
        (signed(&stranger, notes, LIFE, search, hash, soon), "GRANT_KEY_UNKNOWN"),
        (ours(notes, LIFE, search, hash, now_ms - 1), "GRANT_EXPIRED"),
        (ours(notes, LIFE, search, hash, now_ms + 60_000), "GRANT_LIFETIME_TOO_LONG"),
        (ours(notes, LIFE, Purpose::Fetch, hash, soon), "GRANT_PURPOSE_WRONG"),
        (ours(notes, LIFE, search, hash ^ 1, soon), "GRANT_QUERY_WRONG"),
        (ours("other", LIFE, search, hash, soon), "GRANT_NAMESPACE_NOT_COVERED"),
        (ours(notes, LIFE + 1, search, hash, soon), "GRANT_NAMESPACE_NOT_COVERED"),
    ];
    for (grant, reason) in cases {
        let answer = leaf.search(with_grant(&request, grant)).await;
        assert_eq!(refusal(answer), (Code::PermissionDenied, reason.to_owned()));
    }

    // The same for the other ways in: a grant to search opens neither, and none opens what it does not name.
    let grant = ours(notes, LIFE, search, 0, soon);
    let context = Some(world.context(notes, grant));
    let fetch = FetchRequest { context: context.clone(), ..world.fetch(notes, &["a"]) };
    let denied = |reason: &str| (Code::PermissionDenied, reason.to_owned());
    assert_eq!(refusal(leaf.fetch(fetch).await), denied("GRANT_PURPOSE_WRONG"));
    let list = ListRequest { context, ..world.list(notes, "", 1) };
    assert_eq!(refusal(leaf.list(list).await), denied("GRANT_PURPOSE_WRONG"));
    let mut fetch = world.fetch(notes, &["a", "b"]);
    fetch.keys[1].namespace = Some(namespace_ref(notes, LIFE + 1));
    assert_eq!(refusal(leaf.fetch(fetch).await), denied("GRANT_NAMESPACE_NOT_COVERED"));
    let list =
        ListRequest { namespace: Some(namespace_ref("x", LIFE)), ..world.list(notes, "", 1) };
    assert_eq!(refusal(leaf.list(list).await), denied("GRANT_NAMESPACE_NOT_COVERED"));
    leaf.stop().await;
}

#[tokio::test]
async fn malformed_requests_are_refused_by_what_is_wrong() {
    let world = World::new().await;
    let notes = world.first();
    let leaf = world.start().await.serving().await;
    let sound = world.search(notes, "tide");
    let context = |change: fn(&mut RequestContext)| {
        let mut request = sound.clone();
        request.context.as_mut().map(change);
        request
    };
    let invalid = |reason: &'static str| (Code::InvalidArgument, reason);
    let stale = (Code::FailedPrecondition, "STALE_PARTITION_MAP");
    let elsewhere = (Code::InvalidArgument, "ARGUMENT_INVALID");
    for (request, (code, reason)) in [
        (SearchRequest { context: None, ..sound.clone() }, invalid("ARGUMENT_INVALID")),
        (context(|context| context.map_version += 1), stale),
        (context(|context| context.partition = 1), elsewhere),
        (context(|context| context.min_next_offset = 1), invalid("OFFSET_BEYOND_LOG")),
        (SearchRequest { limit: 0, ..sound.clone() }, invalid("ARGUMENT_INVALID")),
        (SearchRequest { limit: 1_001, ..sound.clone() }, invalid("ARGUMENT_INVALID")),
        (SearchRequest { namespaces: Vec::new(), ..sound.clone() }, invalid("ARGUMENT_INVALID")),
    ] {
        let refused = refusal(leaf.search(request).await);
        assert_eq!(refused, (code, reason.to_owned()));
    }
    // Queries under a grant for just that query, as a faulty merger might send them.
    let empty = QueryNode { node: Some(Node::Or(QueryList { children: Vec::new() })) };
    let lone_not = QueryNode { node: Some(Node::Not(Box::new(term("tide")))) };
    for query in [QueryNode { node: None }, empty, lone_not] {
        let hash = query_hash(&query.encode_to_vec());
        let grant = world.grant(notes, Purpose::Search, hash);
        let request = SearchRequest { query: Some(query), ..with_grant(&sound, grant) };
        let refused = refusal(leaf.search(request).await);
        assert_eq!(refused, (Code::InvalidArgument, "QUERY_TREE_INVALID".to_owned()));
    }
    for (count, is_ok) in [(0, false), (1, true), (100, true), (101, false)] {
        let answer = leaf.fetch(world.fetch(notes, &vec!["a"; count])).await;
        assert_eq!(answer.is_ok(), is_ok, "{count} keys");
    }
    for (limit, is_ok) in [(0, false), (1, true), (1_000, true), (1_001, false)] {
        assert_eq!(leaf.list(world.list(notes, "", limit)).await.is_ok(), is_ok, "limit {limit}");
    }
    leaf.stop().await;
}
