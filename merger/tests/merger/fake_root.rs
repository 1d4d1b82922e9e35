//! A root that holds a few documents, checks grants, and fails as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nautilus_analysis::Analyzer;
use nautilus_catalog::{Catalog, Faulty, UserId};
use nautilus_identity::{GrantVerifier, Purpose, query_hash};
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_proto::common::v1::{NamespaceRef, PartitionLabel};
use nautilus_proto::leaf::v1::{FetchedDocument, ListResponse, ListedDocument, Statistics};
use nautilus_proto::query_from_proto;
use nautilus_proto::root::v1 as root;
use nautilus_proto::root::v1::root_service_server::RootService;
use nautilus_query::scoring::weighted_frequency;
use nautilus_query::{FieldSet, Node};
use nautilus_service::Clock;
use nautilus_service::deadline::{GRPC_TIMEOUT, parse_timeout};
use nautilus_types::{Incarnation, NamespaceName, PartitionId};
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::system::MAP;

/// A document as it is fed to the fake.
#[derive(Debug, Clone)]
pub(crate) struct Doc {
    pub(crate) namespace: NamespaceRef,
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// What happens while the root searches: between the merger's two access checks.
#[derive(Debug, Clone)]
pub(crate) enum Meanwhile {
    Revoked { user: UserId, namespace: NamespaceName },
    CatalogDown,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) documents: Vec<Doc>,
    /// Why partitions do not answer searches.
    pub(crate) failures: BTreeMap<PartitionId, &'static str>,
    /// Partitions that do not answer fetches.
    pub(crate) fetch_failures: BTreeSet<PartitionId>,
    /// Ids that searches still find and fetches do not.
    pub(crate) deleted: BTreeSet<String>,
    pub(crate) next_offset: u64,
    pub(crate) meanwhile: Option<Meanwhile>,
    pub(crate) refusal: Option<fn() -> Status>,
    pub(crate) lie: Option<fn(&mut root::SearchResponse)>,
    /// What each search was given.
    pub(crate) timeouts: Vec<Duration>,
    pub(crate) searches: Vec<root::SearchRequest>,
    pub(crate) fetches: Vec<root::FetchRequest>,
    pub(crate) lists: Vec<root::ListRequest>,
}

#[derive(Clone)]
pub(crate) struct FakeRoot {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) verifier: GrantVerifier,
    pub(crate) catalog: Arc<Faulty>,
}

impl FakeRoot {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    fn check<'a>(
        &self,
        grant: &[u8],
        purpose: Purpose,
        hash: u64,
        namespaces: impl IntoIterator<Item = &'a NamespaceRef>,
    ) -> Result<(), Status> {
        let denied =
            |error: nautilus_identity::GrantError| Status::permission_denied(error.reason());
        let now_ms = Clock::system().unix_ms();
        let grant = self.verifier.verify(grant, now_ms).map_err(denied)?;
        grant.check_call(purpose, hash).map_err(denied)?;
        for namespace in namespaces {
            let name = NamespaceName::new(&namespace.name).expect("valid");
            let incarnation = Incarnation(namespace.incarnation);
            grant.check_namespaces([(&name, incarnation)]).map_err(denied)?;
        }
        match self.state().refusal {
            Some(refusal) => Err(refusal()),
            None => Ok(()),
        }
    }
}

fn partition_of(namespace: &NamespaceRef) -> PartitionId {
    MAP.partition_of(&NamespaceName::new(&namespace.name).expect("valid"))
}

#[tonic::async_trait]
impl RootService for FakeRoot {
    async fn search(
        &self,
        request: Request<root::SearchRequest>,
    ) -> Result<Response<root::SearchResponse>, Status> {
        let timeout = request.metadata().get(GRPC_TIMEOUT).expect("every call has a deadline");
        let timeout = parse_timeout(timeout.to_str().expect("text")).expect("a timeout");
        let request = request.into_inner();
        let query = request.query.as_ref().expect("always");
        let hash = query_hash(&query.encode_to_vec());
        self.check(&request.grant, Purpose::Search, hash, &request.namespaces)?;
        let meanwhile = self.state().meanwhile.take();
        match meanwhile {
            None => {}
            Some(Meanwhile::CatalogDown) => self.catalog.set_down(true),
            Some(Meanwhile::Revoked { user, namespace }) => {
                self.catalog.revoke_membership(&user, &namespace).await.expect("revoked");
            }
        }
        let mut state = self.state();
        let mut response = answer(&state, &request);
        if let Some(lie) = state.lie {
            lie(&mut response);
        }
        state.timeouts.push(timeout);
        state.searches.push(request);
        Ok(Response::new(response))
    }

    async fn fetch(
        &self,
        request: Request<root::FetchRequest>,
    ) -> Result<Response<root::FetchResponse>, Status> {
        let request = request.into_inner();
        let namespaces = request.keys.iter().filter_map(|key| key.namespace.as_ref());
        self.check(&request.grant, Purpose::Fetch, 0, namespaces)?;
        let mut state = self.state();
        let document = |key: &nautilus_proto::leaf::v1::FetchKey| {
            let is_it = |doc: &&Doc| {
                Some(&doc.namespace) == key.namespace.as_ref()
                    && doc.id.as_bytes() == key.document_id
                    && !state.deleted.contains(&doc.id)
                    && !state.fetch_failures.contains(&partition_of(&doc.namespace))
            };
            state.documents.iter().find(is_it).map_or_else(FetchedDocument::default, |doc| {
                FetchedDocument {
                    found: true,
                    version: Some(7),
                    title: doc.title.clone(),
                    path: doc.path.clone(),
                    body: doc.body.clone(),
                    ..FetchedDocument::default()
                }
            })
        };
        let failure = |partition: &PartitionId| root::PartitionFailure {
            partition: partition.0,
            reason: "LEAF_UNAVAILABLE".into(),
        };
        let response = root::FetchResponse {
            documents: request.keys.iter().map(document).collect(),
            failures: state.fetch_failures.iter().map(failure).collect(),
        };
        state.fetches.push(request);
        Ok(Response::new(response))
    }

    async fn list(
        &self,
        request: Request<root::ListRequest>,
    ) -> Result<Response<ListResponse>, Status> {
        let request = request.into_inner();
        let namespace = request.namespace.clone().expect("always");
        self.check(&request.grant, Purpose::List, 0, [&namespace])?;
        let mut state = self.state();
        let mut ids: Vec<_> = state
            .documents
            .iter()
            .filter(|doc| doc.namespace == namespace)
            .map(|doc| doc.id.clone().into_bytes())
            .filter(|id| *id > request.after_document_id)
            .collect();
        ids.sort();
        let limit = usize::try_from(request.limit).expect("small");
        let is_last = ids.len() <= limit;
        ids.truncate(limit);
        let listed = |document_id| ListedDocument { document_id, ..ListedDocument::default() };
        let response = ListResponse {
            label: Some(label(&state, partition_of(&namespace))),
            documents: ids.into_iter().map(listed).collect(),
            is_last,
        };
        state.lists.push(request);
        Ok(Response::new(response))
    }

    async fn get_status(
        &self,
        _: Request<root::GetStatusRequest>,
    ) -> Result<Response<root::GetStatusResponse>, Status> {
        let status = |partition| PartitionStatus {
            label: Some(PartitionLabel { partition, ..PartitionLabel::default() }),
            state: "SERVING".into(),
            ..PartitionStatus::default()
        };
        Ok(Response::new(root::GetStatusResponse {
            partitions: [3, 0, 1].map(status).to_vec(),
            failures: vec![root::PartitionFailure { partition: 2, reason: "DEADLINE".into() }],
        }))
    }
}

fn label(state: &State, partition: PartitionId) -> PartitionLabel {
    PartitionLabel {
        partition: partition.0,
        next_offset: state.next_offset,
        ..PartitionLabel::default()
    }
}

fn answer(state: &State, request: &root::SearchRequest) -> root::SearchResponse {
    let tree = query_from_proto(request.query.as_ref().expect("always")).expect("a tree");
    let leaves = tree.scoring_leaves();
    let asked: BTreeSet<_> = request.namespaces.iter().map(partition_of).collect();
    let mut statistics =
        Statistics { document_frequencies: vec![0; leaves.len()], ..Statistics::default() };
    let mut response = root::SearchResponse::default();
    for partition in asked {
        match state.failures.get(&partition) {
            Some(reason) => response
                .failures
                .push(root::PartitionFailure { partition: partition.0, reason: (*reason).into() }),
            None => response.answers.push(root::PartitionAnswer {
                label: Some(label(state, partition)),
                ..root::PartitionAnswer::default()
            }),
        }
    }
    for doc in &state.documents {
        let index = request.namespaces.iter().position(|namespace| *namespace == doc.namespace);
        let Some(index) = index else { continue };
        if state.failures.contains_key(&partition_of(&doc.namespace)) {
            continue;
        }
        let tokens = Tokens::of(doc);
        statistics.documents += 1;
        statistics.total_length += u64::from(tokens.length());
        let frequencies: Vec<_> = leaves.iter().map(|leaf| tokens.frequency(leaf)).collect();
        for (df, tf) in statistics.document_frequencies.iter_mut().zip(&frequencies) {
            *df += u64::from(*tf > 0);
        }
        if tokens.matches(&tree) {
            response.total_hits += 1;
            response.candidates.push(root::Candidate {
                namespace_index: u32::try_from(index).expect("small"),
                document_id: doc.id.clone().into(),
                length: tokens.length(),
                frequencies,
            });
        }
    }
    response.statistics = Some(statistics);
    response
}

/// Tokens by field.
struct Tokens([Vec<String>; 3]);

impl Tokens {
    fn of(doc: &Doc) -> Self {
        let tokens =
            |text: &str| Analyzer::new().tokens(text).into_iter().map(|token| token.text).collect();
        Self([tokens(&doc.title), tokens(&doc.path), tokens(&doc.body)])
    }

    fn length(&self) -> u32 {
        u32::try_from(self.0.iter().map(Vec::len).sum::<usize>()).expect("small")
    }

    fn frequency(&self, leaf: &Node) -> u32 {
        let count = |is_it: &dyn Fn(&String) -> bool| {
            let of_field = |tokens: &Vec<String>| tokens.iter().filter(|t| is_it(t)).count();
            [0, 1, 2].map(|n| u32::try_from(of_field(&self.0[n])).expect("small"))
        };
        match leaf {
            Node::Term { fields, token } => weighted_frequency(count(&|t| t == token), *fields),
            Node::Prefix { fields, prefix } => {
                weighted_frequency(count(&|t| t.starts_with(prefix.as_str())), *fields)
            }
            // No test searches for phrases here.
            Node::Phrase { .. } | Node::And(_) | Node::Or(_) | Node::Not(_) => {
                weighted_frequency([0; 3], FieldSet::ALL)
            }
        }
    }

    fn matches(&self, node: &Node) -> bool {
        match node {
            Node::And(children) => children.iter().all(|child| self.matches(child)),
            Node::Or(children) => children.iter().any(|child| self.matches(child)),
            Node::Not(child) => !self.matches(child),
            Node::Term { .. } | Node::Prefix { .. } | Node::Phrase { .. } => {
                self.frequency(node) > 0
            }
        }
    }
}
