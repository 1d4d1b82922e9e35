//! Leaves that do what a test tells them, a registry that can go away, and a root between them.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use nautilus_identity::{Grant, GrantSigner, KeyPair, Purpose, query_hash};
use nautilus_proto::common::v1::{NamespaceRef, QueryNode};
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::query_to_proto;
use nautilus_proto::root::v1::{SearchRequest, SearchResponse};
use nautilus_query::{FieldSet, Node};
use nautilus_service::Clock;
use nautilus_types::{Incarnation, NamespaceName, PartitionId, PartitionMap};
use prost::Message as _;
use tonic::Status;
use tonic_types::StatusExt as _;

mod cluster;
mod fake_leaf;
mod switch;

pub(crate) use cluster::Cluster;
pub(crate) use fake_leaf::FakeLeaf;

/// The group of tests that need only one.
pub(crate) const GROUP: &str = "blue";
pub(crate) const PARTITIONS: u32 = 4;
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// No wait of a test takes longer, even on a machine that is busy building.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);

static SIGNER: LazyLock<GrantSigner> =
    LazyLock::new(|| GrantSigner::new(KeyPair::generate().expect("randomness")));

pub(crate) fn now_ms() -> u64 {
    Clock::system().unix_ms()
}

/// The first or a later name that falls into a partition.
pub(crate) fn name(partition: u32, number: usize) -> String {
    let map = PartitionMap::divided(PARTITIONS);
    let is_in = |name: &String| {
        map.partition_of(&NamespaceName::new(name).expect("valid")) == PartitionId(partition)
    };
    let mut names = (0..).map(|n| format!("n{n}")).filter(is_in);
    names.nth(number).expect("there is always another")
}

pub(crate) fn namespace(name: &str) -> NamespaceRef {
    NamespaceRef { name: name.into(), incarnation: 1 }
}

pub(crate) fn key(name: &str, id: &str) -> leaf::FetchKey {
    leaf::FetchKey { namespace: Some(namespace(name)), document_id: id.into() }
}

/// A query of two scoring leaves.
pub(crate) fn query(word: &str) -> QueryNode {
    let term = |token: &str| Node::Term { fields: FieldSet::ALL, token: token.into() };
    query_to_proto(&Node::And(vec![term(word), term("red")]))
}

pub(crate) fn grant(
    names: &[impl AsRef<str>],
    purpose: Purpose,
    query: Option<&QueryNode>,
    expires_at_unix_ms: u64,
) -> Vec<u8> {
    let hash = query.map_or(0, |query| query_hash(&query.encode_to_vec()));
    sign(names, purpose, hash, expires_at_unix_ms)
}

fn sign(
    names: &[impl AsRef<str>],
    purpose: Purpose,
    query_hash: u64,
    expires_at_unix_ms: u64,
) -> Vec<u8> {
    let name = |name: &str| NamespaceName::new(name).expect("valid");
    let names = names.iter().map(|n| (name(n.as_ref()), Incarnation(1)));
    let grant = Grant::new("ada", names, purpose, query_hash, expires_at_unix_ms);
    SIGNER.sign(&grant.expect("valid"))
}

pub(crate) fn search_request(names: &[impl AsRef<str>]) -> SearchRequest {
    let query = query("fox");
    SearchRequest {
        grant: grant(names, Purpose::Search, Some(&query), now_ms() + 5_000),
        map_version: 1,
        namespaces: names.iter().map(|name| namespace(name.as_ref())).collect(),
        query: Some(query),
        limit: 10,
        budget_us: 500_000,
        ..SearchRequest::default()
    }
}

/// A grant for words that begin with `prefix`.
pub(crate) fn suggest_grant(names: &[impl AsRef<str>], prefix: &str) -> Vec<u8> {
    sign(names, Purpose::Search, query_hash(prefix.as_bytes()), now_ms() + 5_000)
}

/// Partition and reason of each failure.
pub(crate) fn failures(response: &SearchResponse) -> Vec<(u32, &str)> {
    response.failures.iter().map(|f| (f.partition, f.reason.as_str())).collect()
}

/// Leaf, reason and outcome of each attempt for the first partition that answered.
pub(crate) fn attempts(response: &SearchResponse) -> Vec<(&str, &str, &str)> {
    let attempts = response.answers.first().map_or(&[][..], |answer| answer.attempts.as_slice());
    attempts.iter().map(|a| (a.leaf.as_str(), a.reason.as_str(), a.outcome.as_str())).collect()
}

pub(crate) fn reason_of(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map_or_else(String::new, |info| info.reason.clone())
}
