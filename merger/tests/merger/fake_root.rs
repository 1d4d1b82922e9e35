//! A root that holds a few documents, checks grants, and fails as it is told.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nautilus_catalog::{Catalog, Faulty, UserId};
use nautilus_identity::{GrantVerifier, Purpose, query_hash};
use nautilus_proto::admin::v1::{PartitionStatus, ReplicaGroupStatus};
use nautilus_proto::common::v1::{DocumentMetadata, NamespaceRef, PartitionLabel};
use nautilus_proto::leaf::v1::{FetchedDocument, ListResponse, ListedDocument};
use nautilus_proto::root::v1 as root;
use nautilus_proto::root::v1::root_service_server::RootService;
use nautilus_service::Clock;
use nautilus_service::deadline::{GRPC_TIMEOUT, parse_timeout};
use nautilus_types::{Incarnation, NamespaceName, PartitionId};
use prost::Message as _;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::system::MAP;

pub(crate) use model::ranked;

/// A document as it is fed to the fake.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doc {
    pub(crate) namespace: NamespaceRef,
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) metadata: DocumentMetadata,
    /// Offset of the last record that changed it.
    pub(crate) changed_at: u64,
}

/// What happens while the root searches: between the merger's two access checks.
#[derive(Debug, Clone)]
pub(crate) enum Meanwhile {
    Revoked { user: UserId, namespace: NamespaceName },
    CatalogDown,
}

/// What becomes of shadow searches.
#[derive(Debug, Clone, Default)]
pub(crate) enum Candidate {
    /// They are answered as searches are.
    #[default]
    Same,
    /// Their answers are changed.
    Changed(fn(&mut root::SearchResponse)),
    Failing(fn() -> Status),
    /// They are answered once this says so.
    Held(watch::Receiver<bool>),
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
    /// Where it would have searches shadowed, and what the candidate does then.
    pub(crate) shadow: Option<root::ShadowTarget>,
    pub(crate) candidate: Candidate,
    pub(crate) shadows: Vec<root::SearchRequest>,
    /// What each search was given.
    pub(crate) timeouts: Vec<Duration>,
    pub(crate) searches: Vec<root::SearchRequest>,
    pub(crate) fetches: Vec<root::FetchRequest>,
    pub(crate) lists: Vec<root::ListRequest>,
    pub(crate) suggests: Vec<root::SuggestRequest>,
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

    /// What happens meanwhile happens once.
    async fn meanwhile(&self) {
        let meanwhile = self.state().meanwhile.take();
        match meanwhile {
            None => {}
            Some(Meanwhile::CatalogDown) => self.catalog.set_down(true),
            Some(Meanwhile::Revoked { user, namespace }) => {
                self.catalog.revoke_membership(&user, &namespace).await.expect("revoked");
            }
        }
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
        self.meanwhile().await;
        let mut state = self.state();
        let mut response = model::search(&state, &request);
        if let Some(lie) = state.lie {
            lie(&mut response);
        }
        if request.build.is_none() && request.statistics.is_none() && request.after.is_none() {
            response.shadow.clone_from(&state.shadow);
        }
        state.timeouts.push(timeout);
        state.searches.push(request);
        Ok(Response::new(response))
    }

    async fn search_shadow(
        &self,
        request: Request<root::SearchRequest>,
    ) -> Result<Response<root::SearchResponse>, Status> {
        let request = request.into_inner();
        let query = request.query.as_ref().expect("always");
        let hash = query_hash(&query.encode_to_vec());
        self.check(&request.grant, Purpose::Search, hash, &request.namespaces)?;
        let (mut response, candidate) = {
            let mut state = self.state();
            state.shadows.push(request.clone());
            (model::search(&state, &request), state.candidate.clone())
        };
        match candidate {
            Candidate::Same => {}
            Candidate::Changed(change) => change(&mut response),
            Candidate::Failing(status) => return Err(status()),
            Candidate::Held(mut until) => {
                until.wait_for(|is_over| *is_over).await.expect("the test lives");
            }
        }
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
                    body: if request.include_body { doc.body.clone() } else { String::new() },
                    metadata: Some(doc.metadata.clone()),
                    highlights: model::highlights(doc, request.highlight.as_ref()),
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
            groups: vec![ReplicaGroupStatus { name: "blue".into(), ..Default::default() }],
        }))
    }

    async fn suggest(
        &self,
        request: Request<root::SuggestRequest>,
    ) -> Result<Response<root::SuggestResponse>, Status> {
        let request = request.into_inner();
        let hash = query_hash(request.prefix.as_bytes());
        self.check(&request.grant, Purpose::Search, hash, &request.namespaces)?;
        self.meanwhile().await;
        let mut state = self.state();
        let response = model::suggest(&state, &request);
        state.suggests.push(request);
        Ok(Response::new(response))
    }

    type WatchReplicasStream = futures::stream::Empty<Result<root::ReplicasUpdate, Status>>;

    async fn watch_replicas(
        &self,
        _: Request<root::WatchReplicasRequest>,
    ) -> Result<Response<Self::WatchReplicasStream>, Status> {
        Err(Status::unimplemented("no merger watches"))
    }
}

fn label(state: &State, partition: PartitionId) -> PartitionLabel {
    PartitionLabel {
        partition: partition.0,
        epoch: 4,
        next_offset: state.next_offset,
        ..PartitionLabel::default()
    }
}
