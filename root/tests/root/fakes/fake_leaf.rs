//! A leaf that does what a test tells it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures::stream::BoxStream;
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_proto::common::v1::{NamespaceRef, PartitionLabel};
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::leaf::v1::leaf_service_server::{LeafService, LeafServiceServer};
use nautilus_service::server::{DeadlinePolicy, DeadlineRules, GrpcServer, ServerSettings};
use nautilus_service::{CancellationToken, Clock};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tonic::{Request, Response, Status};

use super::WAIT_MAX;

/// The epoch in its labels: not below any that tests announce.
const EPOCH: u64 = 9;

#[derive(Clone)]
enum Behaviour {
    Answer,
    Change(fn(&mut leaf::SearchResponse)),
    Fail(fn() -> Status),
    Hang,
}

/// A leaf that does what it is told. Clones are the same leaf.
#[derive(Clone)]
pub(crate) struct FakeLeaf {
    behaviour: Arc<watch::Sender<Behaviour>>,
    searches: Arc<Mutex<Vec<leaf::SearchRequest>>>,
    suggestions: Arc<Mutex<Vec<leaf::Suggestion>>>,
    status: Arc<watch::Sender<leaf::LeafStatus>>,
    /// Searches that began to hang, and those of them that were dropped before their end.
    hung: Arc<watch::Sender<(usize, usize)>>,
}

impl FakeLeaf {
    pub(crate) fn answering() -> Self {
        Self::new(Behaviour::Answer)
    }

    pub(crate) fn changing(change: fn(&mut leaf::SearchResponse)) -> Self {
        Self::new(Behaviour::Change(change))
    }

    pub(crate) fn failing(status: fn() -> Status) -> Self {
        Self::new(Behaviour::Fail(status))
    }

    pub(crate) fn hanging() -> Self {
        Self::new(Behaviour::Hang)
    }

    fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour: Arc::new(watch::Sender::new(behaviour)),
            searches: Arc::default(),
            suggestions: Arc::default(),
            status: Arc::default(),
            hung: Arc::default(),
        }
    }

    /// From now on it answers, also what hangs.
    pub(crate) fn answer_now(&self) {
        self.behaviour.send_replace(Behaviour::Answer);
    }

    pub(crate) fn hang_now(&self) {
        self.behaviour.send_replace(Behaviour::Hang);
    }

    /// What it says to every suggest request.
    pub(crate) fn suggest(&self, words: &[(&str, u64)]) {
        let word = |&(token, documents): &(&str, u64)| leaf::Suggestion {
            token: token.to_owned(),
            documents,
        };
        *self.suggestions.lock().expect("not poisoned") = words.iter().map(word).collect();
    }

    /// Changes what it says of itself.
    pub(crate) fn report(&self, change: impl FnOnce(&mut leaf::LeafStatus)) {
        self.status.send_modify(change);
    }

    /// The searches it was asked for.
    pub(crate) fn searches(&self) -> Vec<leaf::SearchRequest> {
        self.searches.lock().expect("not poisoned").clone()
    }

    /// As if it had never been asked.
    pub(crate) fn forget_searches(&self) {
        self.searches.lock().expect("not poisoned").clear();
    }

    pub(crate) async fn wait_started(&self, count: usize) {
        self.wait(|(started, _)| *started >= count).await;
    }

    pub(crate) async fn wait_all_cancelled(&self) {
        self.wait(|(started, cancelled)| *started > 0 && started == cancelled).await;
    }

    async fn wait(&self, is_so: impl FnMut(&(usize, usize)) -> bool) {
        let mut hung = self.hung.subscribe();
        let waited = tokio::time::timeout(WAIT_MAX, hung.wait_for(is_so)).await;
        waited.expect("in time").expect("the sender lives");
    }
}

/// A leaf's process, as far as its peers can tell: a runtime of its own. Dropped, its connections break.
pub(crate) struct Process {
    runtime: Option<Runtime>,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Serves `leaf` on this address; port 0 takes any.
    pub(crate) async fn start(leaf: &FakeLeaf, address: SocketAddr) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a thread");
        let deadlines = DeadlineRules::default()
            .with("/nautilus.leaf.v1.LeafService/WatchStatus", DeadlinePolicy::STREAM);
        let settings = ServerSettings { deadlines, ..ServerSettings::default() };
        let server = GrpcServer::new("leaf", settings, Clock::system())
            .service(LeafServiceServer::new(leaf.clone()));
        let (bound, address_bound) = oneshot::channel();
        runtime.spawn(async move {
            let server = server.bind(address).await.expect("a port");
            bound.send(server.local_addr()).expect("somebody waits");
            server.serve(CancellationToken::new()).await
        });
        let address = address_bound.await.expect("bound");
        Self { runtime: Some(runtime), address }
    }
}

impl Process {
    /// All its tasks are dropped, and with them its sockets.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Counts a search that is dropped.
struct Dropped(Arc<watch::Sender<(usize, usize)>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send_modify(|(_, cancelled)| *cancelled += 1);
    }
}

#[tonic::async_trait]
impl LeafService for FakeLeaf {
    async fn search(
        &self,
        request: Request<leaf::SearchRequest>,
    ) -> Result<Response<leaf::SearchResponse>, Status> {
        assert!(request.metadata().get("grpc-timeout").is_some(), "every call has a deadline");
        let request = request.into_inner();
        self.searches.lock().expect("not poisoned").push(request.clone());
        let mut answer = search_answer(&request);
        let behaviour = self.behaviour.borrow().clone();
        match behaviour {
            Behaviour::Answer => {}
            Behaviour::Change(change) => change(&mut answer),
            Behaviour::Fail(status) => return Err(status()),
            Behaviour::Hang => {
                let _dropped = Dropped(Arc::clone(&self.hung));
                self.hung.send_modify(|(started, _)| *started += 1);
                let mut behaviour = self.behaviour.subscribe();
                let released = behaviour.wait_for(|b| !matches!(b, Behaviour::Hang)).await;
                drop(released);
            }
        }
        Ok(Response::new(answer))
    }

    async fn suggest(
        &self,
        request: Request<leaf::SuggestRequest>,
    ) -> Result<Response<leaf::SuggestResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(leaf::SuggestResponse {
            label: label(request.context.as_ref()),
            suggestions: self.suggestions.lock().expect("not poisoned").clone(),
            ..leaf::SuggestResponse::default()
        }))
    }

    async fn fetch(
        &self,
        request: Request<leaf::FetchRequest>,
    ) -> Result<Response<leaf::FetchResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.highlight, Some(super::query("fox")));
        let document = |key: &leaf::FetchKey| {
            let name = key.namespace.as_ref().map(|n| n.name.clone()).unwrap_or_default();
            let [name, id] = [&name, &key.document_id].map(|b| String::from_utf8_lossy(b));
            leaf::FetchedDocument {
                found: id != "absent",
                title: format!("{name}/{id}"),
                ..leaf::FetchedDocument::default()
            }
        };
        Ok(Response::new(leaf::FetchResponse {
            label: label(request.context.as_ref()),
            documents: request.keys.iter().map(document).collect(),
        }))
    }

    async fn list(
        &self,
        request: Request<leaf::ListRequest>,
    ) -> Result<Response<leaf::ListResponse>, Status> {
        let request = request.into_inner();
        assert!(request.context.as_ref().is_some_and(|context| context.latest));
        let document = |id: &str| leaf::ListedDocument {
            document_id: id.into(),
            ..leaf::ListedDocument::default()
        };
        Ok(Response::new(leaf::ListResponse {
            label: label(request.context.as_ref()),
            documents: vec![document("d2"), document("d3")],
            is_last: false,
        }))
    }

    async fn get_status(
        &self,
        _: Request<leaf::GetStatusRequest>,
    ) -> Result<Response<leaf::GetStatusResponse>, Status> {
        let status = |replica: &leaf::ReplicaStatus| PartitionStatus {
            label: Some(PartitionLabel {
                partition: replica.partition,
                epoch: replica.epoch,
                ..PartitionLabel::default()
            }),
            state: replica.state.clone(),
            ..PartitionStatus::default()
        };
        let mut partitions: Vec<_> = self.status.borrow().replicas.iter().map(status).collect();
        // One that is not of the map.
        partitions.push(PartitionStatus {
            label: Some(PartitionLabel { partition: 99, ..PartitionLabel::default() }),
            ..PartitionStatus::default()
        });
        Ok(Response::new(leaf::GetStatusResponse { leaf: "fake".into(), partitions }))
    }

    type WatchStatusStream = BoxStream<'static, Result<leaf::LeafStatus, Status>>;

    async fn watch_status(
        &self,
        _: Request<leaf::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let mut status = self.status.subscribe();
        status.mark_changed();
        let statuses = futures::stream::unfold(status, |mut status| async move {
            status.changed().await.ok()?;
            let now = status.borrow_and_update().clone();
            Some((Ok(now), status))
        });
        Ok(Response::new(Box::pin(statuses)))
    }
}

fn label(context: Option<&leaf::RequestContext>) -> Option<PartitionLabel> {
    let context = context.expect("always");
    Some(PartitionLabel {
        partition: context.partition,
        next_offset: context.min_next_offset.max(50),
        epoch: EPOCH,
        ..PartitionLabel::default()
    })
}

/// One document in each namespace, named after it.
fn search_answer(request: &leaf::SearchRequest) -> leaf::SearchResponse {
    let candidate = |(index, namespace): (u32, &NamespaceRef)| leaf::Candidate {
        namespace_index: index,
        document_id: namespace.name.clone(),
        length: 10,
        frequencies: vec![1, 2],
        local_score: 1.0,
        sort_value: None,
    };
    leaf::SearchResponse {
        label: label(request.context.as_ref()),
        candidates: (0..).zip(&request.namespaces).map(candidate).collect(),
        statistics: Some(leaf::Statistics {
            documents: 100,
            total_length: 1_000,
            document_frequencies: vec![3, 2],
        }),
        total_hits: u64::try_from(request.namespaces.len()).expect("small"),
        ..leaf::SearchResponse::default()
    }
}
