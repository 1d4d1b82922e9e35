//! Consistency tokens: what they ask for goes on, and only our own are taken.

use nautilus_identity::{ConsistencyToken, LogIdentity, TokenKey, TokenKind};
use nautilus_proto::search::v1::{GetDocumentRequest, SearchRequest};
use nautilus_service::RpcError;
use nautilus_types::{Class, LogGeneration, Offset, PartitionId};
use tonic::Code;

use crate::system::{LOG, System, fields_of, partition_of, query, reason_of};

fn token(key: &TokenKey, log: &LogIdentity, offsets: &[(PartitionId, u64)]) -> String {
    let mut token = ConsistencyToken::new();
    for (partition, offset) in offsets {
        assert!(token.require(*partition, Offset(*offset)));
    }
    token.seal(key, log).expect("sealed")
}

#[tokio::test]
async fn what_a_token_asks_for_reaches_the_root() {
    let system = System::start().await;
    system.with_foxes().await;
    let home = partition_of("home");
    let elsewhere = PartitionId((home.0 + 1) % 4);
    let written = token(&system.token_key, &LOG, &[(home, 77), (elsewhere, 500)]);
    let request = SearchRequest { consistency_token: written, ..query("fox") };
    let response = system.search("ada", request).await.expect("found");
    let asked = system.root.state().searches[0].min_offsets.clone();
    let asked: Vec<_> = asked.iter().map(|min| (min.partition, min.next_offset)).collect();
    assert_eq!(asked, [(home.0, 77)], "only of the partitions that are asked");

    // The answer's token shows what was served, and keeps what was asked elsewhere.
    let served = ConsistencyToken::open(&system.token_key, &LOG, &response.consistency_token);
    let served = served.expect("our own");
    assert_eq!((served.of(home), served.of(elsewhere)), (Offset(100), Offset(500)));
    let get = GetDocumentRequest {
        namespace: "home".into(),
        document_id: "red".into(),
        consistency_token: response.consistency_token,
    };
    system.get("ada", get).await.expect("found");
    let asked = system.root.state().fetches.pop().expect("asked").min_offsets;
    assert_eq!(asked[0].next_offset, 100);
    system.stop().await;
}

#[tokio::test]
async fn only_our_own_tokens_are_taken() {
    let system = System::start().await;
    system.with_foxes().await;
    let theirs = TokenKey::generate().expect("randomness");
    let home = partition_of("home");
    let earlier = LogIdentity { generation: LogGeneration(2), ..LOG };
    let other = LogIdentity { cluster_id: [8; 16], ..LOG };
    let page = system.token_key.seal(TokenKind::Page, b"x").expect("sealed");
    for token in [
        "garbage".to_owned(),
        token(&theirs, &LOG, &[(home, 1)]),
        token(&system.token_key, &earlier, &[(home, 1)]),
        token(&system.token_key, &other, &[(home, 1)]),
        page,
    ] {
        let request = SearchRequest { consistency_token: token, ..query("fox") };
        let status = system.search("ada", request).await.expect_err("not ours");
        let reason = reason_of(&status);
        assert_eq!((status.code(), &*reason), (Code::InvalidArgument, "CONSISTENCY_TOKEN_INVALID"));
        assert_eq!(fields_of(&status), ["consistency_token"]);
    }
    assert!(system.root.state().searches.is_empty());
    system.stop().await;
}

#[tokio::test]
async fn offsets_beyond_the_log_are_the_tokens_fault() {
    let system = System::start().await;
    system.with_foxes().await;
    let consistency_token = token(&system.token_key, &LOG, &[(partition_of("home"), 1 << 40)]);
    system.root.state().refusal =
        Some(|| RpcError::new(Class::Invalid, "OFFSET_BEYOND_LOG", "beyond").into_status());
    let request = SearchRequest { consistency_token: consistency_token.clone(), ..query("fox") };
    let get = GetDocumentRequest {
        namespace: "home".into(),
        document_id: "red".into(),
        consistency_token,
    };
    let refused = [
        system.search("ada", request).await.expect_err("beyond"),
        system.get("ada", get).await.expect_err("beyond"),
    ];
    for status in refused {
        let reason = reason_of(&status);
        assert_eq!((status.code(), &*reason), (Code::InvalidArgument, "TOKEN_BEYOND_LOG"));
        assert_eq!(fields_of(&status), ["consistency_token"]);
    }
    system.stop().await;
}
