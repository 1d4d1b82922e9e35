//! The driver: asks the leaves at once and puts together what comes back in time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use nautilus_identity::{GrantVerifier, Purpose};
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::{
    FetchRequest, FetchResponse, GetStatusResponse, ListRequest, PartitionFailure, SearchRequest,
    SearchResponse,
};
use nautilus_service::deadline::HOP_MARGIN;
use nautilus_service::server::{
    BoundServer, DeadlinePolicy, DeadlineRules, GrpcServer, ServerError, ServerSettings,
};
use nautilus_service::{Clock, Deadline};
use nautilus_types::{Class, PartitionId};

use crate::answer::{AnswerProblem, check_fetch, check_list};
use crate::call::{CallError, Timed, call};
use crate::failure::{ANSWER_INVALID, Failure, PARTITION_NOT_SERVED, PARTITION_UNASSIGNED};
use crate::gather::{Outcome, gather};
use crate::grpc::RootGrpc;
use crate::plan::{Part, split};
use crate::request::{self, CANDIDATES_MAX, FETCH_KEYS_MAX, LIST_MAX, Namespace};
use crate::router::{Leaf, Router, Routes};
use crate::{Config, RootError, RoutingTable};

/// A root: stateless but for its routes.
#[derive(Debug)]
pub struct Root {
    router: Router,
    verifier: GrantVerifier,
    clock: Clock,
    default_deadline: Duration,
}

impl Root {
    /// Makes a root. Leaves are connected to when they are first asked. Must be called on a
    /// runtime.
    pub fn build(config: Config, verifier: GrantVerifier, clock: Clock) -> Result<Self, RootError> {
        let router = Router::new(config.routing, config.connect_timeout)?;
        Ok(Self { router, verifier, clock, default_deadline: config.default_deadline })
    }

    /// From now on requests go by `table`; those under way end by the one they began with.
    pub fn replace_routing(&self, table: RoutingTable) -> Result<(), RootError> {
        self.router.replace(table)
    }

    /// Takes the address for this root alone; [`BoundServer::serve`] then runs it until it is told
    /// to stop. To share a server with other services take [`RootGrpc::server`].
    pub async fn bind(self, address: SocketAddr) -> Result<BoundServer, ServerError> {
        let usual =
            DeadlinePolicy { default: Some(self.default_deadline), ..DeadlinePolicy::UNARY };
        let deadlines = DeadlineRules { usual, ..DeadlineRules::default() };
        let settings = ServerSettings { deadlines, ..ServerSettings::default() };
        let clock = self.clock.clone();
        GrpcServer::new("root", settings, clock).service(RootGrpc::server(self)).bind(address).await
    }

    /// The deadline of a request that came without the server's layers.
    pub(crate) fn deadline_of<T>(&self, request: &tonic::Request<T>) -> Deadline {
        let usual = || Deadline::after(self.clock.now(), self.default_deadline);
        Deadline::of(request).unwrap_or_else(usual)
    }

    pub(crate) async fn search(
        &self,
        request: SearchRequest,
        deadline: Deadline,
    ) -> Result<SearchResponse, RootError> {
        let routes = self.router.routes();
        let (purpose, query) = (Purpose::Search, request.query.as_ref());
        let now_ms = self.clock.unix_ms();
        let grant = request::grant(&self.verifier, &request.grant, now_ms, purpose, query)?;
        request::check_map(&routes.table.map, request.map_version)?;
        check_group(&routes, &request.replica_group)?;
        request::check_limit(request.limit, CANDIDATES_MAX)?;
        let scope = request::scope(&grant, &request.namespaces)?;
        let scoring_leaves = request::scoring_leaves(query)?;

        let parts = split_scope(&routes, &scope, &request.min_offsets);
        let asked = parts.iter().map(|part| self.search_part(&routes, part, &request, deadline));
        let outcomes = join_all(asked).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let gathered = gather(&parts, outcomes, request.limit, scoring_leaves);
        for (partition, problem) in &gathered.rejected {
            log_rejected(*partition, problem);
        }
        Ok(gathered.response)
    }

    async fn search_part(
        &self,
        routes: &Routes,
        part: &Part,
        request: &SearchRequest,
        deadline: Deadline,
    ) -> Result<Outcome, RootError> {
        let Some((address, mut leaf)) = routes.leaf_of(part.partition) else {
            return Ok(Outcome::Failed(unassigned()));
        };
        let message = leaf::SearchRequest {
            context: Some(context(routes, part, &request.grant)),
            namespaces: picked(&request.namespaces, part),
            query: request.query.clone(),
            limit: request.limit,
            budget_us: self.leaf_budget_us(request.budget_us, deadline),
        };
        let sent = call(&self.clock, deadline, message, |message| leaf.search(message));
        Ok(match answer_or_failure(sent.await)? {
            Ok(Timed { answer, round_trip }) => {
                Outcome::Answered { answer, leaf: address.to_owned(), round_trip }
            }
            Err(failure) => Outcome::Failed(failure),
        })
    }

    /// The time to fetch candidates in: what the caller gives, but less than a leaf has for its
    /// whole answer, so that it comes truncated rather than not at all. 0 asks for no bound.
    fn leaf_budget_us(&self, asked_us: u64, deadline: Deadline) -> u64 {
        let left = deadline.remaining(self.clock.now()).saturating_sub(HOP_MARGIN * 3);
        let left_us = u64::try_from(left.as_micros()).unwrap_or(u64::MAX).max(1);
        if asked_us == 0 { left_us } else { asked_us.min(left_us) }
    }

    pub(crate) async fn fetch(
        &self,
        request: FetchRequest,
        deadline: Deadline,
    ) -> Result<FetchResponse, RootError> {
        let routes = self.router.routes();
        let now_ms = self.clock.unix_ms();
        let grant = request::grant(&self.verifier, &request.grant, now_ms, Purpose::Fetch, None)?;
        request::check_map(&routes.table.map, request.map_version)?;
        request::check_count("keys", request.keys.len(), FETCH_KEYS_MAX)?;
        let named = request.keys.iter().map(|key| key.namespace.as_ref());
        let named = named.collect::<Option<Vec<_>>>().ok_or_else(|| RootError::Field {
            field: "keys",
            problem: "has one without a namespace".into(),
        })?;
        let namespaces = request::namespaces(&grant, named)?;

        let parts = split_scope(&routes, &namespaces, &request.min_offsets);
        let asked = parts.iter().map(|part| self.fetch_part(&routes, part, &request, deadline));
        let answers = join_all(asked).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut response = FetchResponse {
            documents: vec![leaf::FetchedDocument::default(); request.keys.len()],
            failures: Vec::new(),
        };
        for (part, answer) in parts.iter().zip(answers) {
            match answer {
                Ok(documents) => put_back(&mut response.documents, part, documents),
                Err(failure) => response
                    .failures
                    .push(PartitionFailure { partition: part.partition.0, reason: failure.reason }),
            }
        }
        Ok(response)
    }

    async fn fetch_part(
        &self,
        routes: &Routes,
        part: &Part,
        request: &FetchRequest,
        deadline: Deadline,
    ) -> Result<Result<Vec<leaf::FetchedDocument>, Failure>, RootError> {
        let Some((_, mut leaf)) = routes.leaf_of(part.partition) else {
            return Ok(Err(unassigned()));
        };
        let message = leaf::FetchRequest {
            context: Some(context(routes, part, &request.grant)),
            keys: picked(&request.keys, part),
            include_body: request.include_body,
        };
        let sent = call(&self.clock, deadline, message, |message| leaf.fetch(message));
        Ok(answer_or_failure(sent.await)?.and_then(|Timed { answer, .. }| {
            checked(part, check_fetch(part, &answer)).map(|()| answer.documents)
        }))
    }

    pub(crate) async fn list(
        &self,
        request: ListRequest,
        deadline: Deadline,
    ) -> Result<leaf::ListResponse, RootError> {
        let routes = self.router.routes();
        let now_ms = self.clock.unix_ms();
        let grant = request::grant(&self.verifier, &request.grant, now_ms, Purpose::List, None)?;
        request::check_map(&routes.table.map, request.map_version)?;
        request::check_limit(request.limit, LIST_MAX)?;
        let namespaces = request::namespaces(&grant, &request.namespace)?;
        let parts = split_scope(&routes, &namespaces, &request.min_offsets);
        let Some(part) = parts.first() else {
            return Err(RootError::Field { field: "namespace", problem: "is missing".into() });
        };

        let leaf = routes.leaf_of(part.partition);
        let (_, mut leaf) = leaf.ok_or_else(|| RootError::Partition(unassigned()))?;
        let mut context = context(&routes, part, &request.grant);
        context.latest = request.latest;
        let message = leaf::ListRequest {
            context: Some(context),
            namespace: request.namespace,
            after_document_id: request.after_document_id.clone(),
            limit: request.limit,
        };
        let sent = call(&self.clock, deadline, message, |message| leaf.list(message));
        let Timed { answer, .. } = answer_or_failure(sent.await)?.map_err(RootError::Partition)?;
        let check = check_list(part, &request.after_document_id, request.limit, &answer);
        checked(part, check).map_err(RootError::Partition)?;
        Ok(answer)
    }

    /// Every partition once: as its leaf says, or among the failures.
    pub(crate) async fn status(&self, deadline: Deadline) -> Result<GetStatusResponse, RootError> {
        let routes = self.router.routes();
        let asked = routes.leaves().map(async |(address, leaf)| {
            self.leaf_status(leaf, deadline).await.map(|answer| (address, answer))
        });
        let answers = join_all(asked).await.into_iter().collect::<Result<BTreeMap<_, _>, _>>()?;
        let mut response = GetStatusResponse::default();
        for partition in routes.table.partitions() {
            let answer = routes.table.leaf_of(partition).and_then(|leaf| answers.get(leaf));
            let found = match answer {
                None => Err(PARTITION_UNASSIGNED.to_owned()),
                Some(Err(failure)) => Err(failure.reason.clone()),
                Some(Ok(served)) => {
                    served.get(&partition).cloned().ok_or(PARTITION_NOT_SERVED.to_owned())
                }
            };
            match found {
                Ok(status) => response.partitions.push(status),
                Err(reason) => {
                    let partition = partition.0;
                    response.failures.push(PartitionFailure { partition, reason });
                }
            }
        }
        Ok(response)
    }

    async fn leaf_status(
        &self,
        mut leaf: Leaf,
        deadline: Deadline,
    ) -> Result<Result<BTreeMap<PartitionId, PartitionStatus>, Failure>, RootError> {
        let message = leaf::GetStatusRequest {};
        let sent = call(&self.clock, deadline, message, |message| leaf.get_status(message));
        Ok(answer_or_failure(sent.await)?.map(|Timed { answer, .. }| {
            let by_partition = |status: PartitionStatus| {
                status.label.as_ref().map(|label| PartitionId(label.partition)).zip(Some(status))
            };
            answer.partitions.into_iter().filter_map(by_partition).collect()
        }))
    }
}

fn check_group(routes: &Routes, asked: &str) -> Result<(), RootError> {
    if asked.is_empty() || asked == routes.table.replica_group {
        return Ok(());
    }
    let problem = "names no replica group of this root".to_owned();
    Err(RootError::Field { field: "replica_group", problem })
}

fn split_scope(
    routes: &Routes,
    namespaces: &[Namespace],
    min_offsets: &[nautilus_proto::root::v1::MinOffset],
) -> Vec<Part> {
    split(&routes.table.map, namespaces.iter().map(|(name, _)| name), min_offsets)
}

fn context(routes: &Routes, part: &Part, grant: &[u8]) -> leaf::RequestContext {
    leaf::RequestContext {
        grant: grant.to_vec(),
        map_version: routes.table.map.version,
        partition: part.partition.0,
        min_next_offset: part.min_next_offset,
        latest: false,
    }
}

/// The entries of a request's list that go to a part.
fn picked<T: Clone>(all: &[T], part: &Part) -> Vec<T> {
    let indexes = part.indexes.iter().filter_map(|&index| usize::try_from(index).ok());
    indexes.filter_map(|index| all.get(index).cloned()).collect()
}

/// The inverse of [`picked`].
fn put_back<T>(all: &mut [T], part: &Part, entries: Vec<T>) {
    let indexes = part.indexes.iter().filter_map(|&index| usize::try_from(index).ok());
    for (index, entry) in indexes.zip(entries) {
        if let Some(slot) = all.get_mut(index) {
            *slot = entry;
        }
    }
}

/// Separates what ends the request from what only concerns the partition.
fn answer_or_failure<T>(
    sent: Result<Timed<T>, CallError>,
) -> Result<Result<Timed<T>, Failure>, RootError> {
    match sent {
        Ok(answer) => Ok(Ok(answer)),
        Err(CallError::Failed(failure)) => Ok(Err(failure)),
        Err(CallError::Refused(status)) => Err(RootError::Refused(status)),
    }
}

fn checked(part: &Part, check: Result<(), AnswerProblem>) -> Result<(), Failure> {
    check.map_err(|problem| {
        log_rejected(part.partition, &problem);
        Failure::new(Class::Bug, ANSWER_INVALID)
    })
}

fn log_rejected(partition: PartitionId, problem: &AnswerProblem) {
    tracing::error!(%partition, %problem, "a leaf's answer was not taken");
}

fn unassigned() -> Failure {
    Failure::new(Class::Unavailable, PARTITION_UNASSIGNED)
}
