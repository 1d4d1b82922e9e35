//! The driver: checks a request, waits for the offset it must show, and runs it on the search pool.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nautilus_engine::{PartitionIdentity, Resources, ScopeEntry};
use nautilus_identity::{GrantVerifier, Purpose};
use nautilus_mutation_log::MutationLog;
use nautilus_proto::common::v1::{DocumentMetadata, PartitionLabel};
use nautilus_proto::leaf::v1::{
    Candidate, FetchRequest, FetchResponse, FetchedDocument, ListRequest, ListResponse,
    ListedDocument, SearchRequest, SearchResponse, Statistics,
};
use nautilus_service::deadline::HOP_MARGIN;
use nautilus_service::server::{BoundServer, GrpcServer, ServerError, ServerSettings};
use nautilus_service::status::error_chain;
use nautilus_service::threads::STACK_BYTES;
use nautilus_service::worker_pool::PoolSettings;
use nautilus_service::{Clock, Deadline, TaskGroup, WorkerPool};
use nautilus_types::{Class, DocumentId, Offset, PartitionId};
use prost::Message as _;
use tokio::runtime::Handle;

use crate::applier::{Applier, FlushRule};
use crate::budget::TimeBudget;
use crate::partition::Served;
use crate::record::Decoder;
use crate::request::{self, CANDIDATES_MAX, Context, FETCH_KEYS_MAX, LIST_MAX};
use crate::state::Event;
use crate::{Config, LeafError, LeafGrpc};

/// A leaf. Its partitions come up once [`Self::spawn_appliers`] has run.
pub struct Leaf {
    pub(crate) config: Config,
    pub(crate) log: Arc<dyn MutationLog>,
    pub(crate) partitions: BTreeMap<PartitionId, Arc<Served>>,
    pub(crate) clock: Clock,
    verifier: GrantVerifier,
    pool: WorkerPool,
    resources: Resources,
}

/// For requests that came without the server's layers.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

impl Leaf {
    /// Makes a leaf and its search threads. Touches neither disk nor log.
    pub fn build(
        config: Config,
        log: Arc<dyn MutationLog>,
        verifier: GrantVerifier,
        clock: Clock,
    ) -> Result<Self, LeafError> {
        let (in_log, in_map) = (log.identity().partitions, config.map.partitions);
        if in_log != in_map {
            return Err(LeafError::PartitionCount { log: in_log, map: in_map });
        }
        let settings = PoolSettings {
            queue_bound: config.search_queue,
            ..PoolSettings::new("search", config.search_threads)
        };
        let pool = WorkerPool::new(settings).map_err(LeafError::Thread)?;
        let resources = Resources::new(config.block_cache_bytes, config.write_buffers_bytes);
        let partitions = config.serves.iter().map(|&id| (id, Arc::new(Served::new(id)))).collect();
        Ok(Self { config, log, partitions, clock, verifier, pool, resources })
    }

    /// Starts one applier thread per partition in `tasks`; they open, replay, and flush when the group stops.
    pub fn spawn_appliers(&self, tasks: &mut TaskGroup) -> Result<(), LeafError> {
        for (&id, served) in &self.partitions {
            let identity = self.log.identity();
            let applier = Applier {
                served: Arc::clone(served),
                log: Arc::clone(&self.log),
                decoder: Decoder { log: identity.clone(), map: self.config.map, partition: id },
                dir: self.config.data_dir.join(format!("p{:04}", id.0)),
                identity: PartitionIdentity {
                    cluster_id: identity.cluster_id,
                    log_generation: identity.generation,
                    partition: id,
                },
                resources: self.resources.clone(),
                clock: self.clock.clone(),
                flush: FlushRule {
                    interval: self.config.flush_interval,
                    records: self.config.flush_records,
                },
                runtime: Handle::current(),
            };
            tasks
                .spawn_thread(format!("apply-p{:04}", id.0), STACK_BYTES, move |stop| {
                    applier.run(&stop);
                })
                .map_err(LeafError::Thread)?;
        }
        Ok(())
    }

    /// Takes the address for this leaf alone; [`BoundServer::serve`] then runs it until it is told to stop.
    pub async fn bind(self: Arc<Self>, address: SocketAddr) -> Result<BoundServer, ServerError> {
        let clock = self.clock.clone();
        GrpcServer::new("leaf", ServerSettings::default(), clock)
            .service(LeafGrpc::server(self))
            .bind(address)
            .await
    }

    pub(crate) fn deadline_of<T>(&self, request: &tonic::Request<T>) -> Deadline {
        let usual = || Deadline::after(self.clock.now(), DEFAULT_DEADLINE);
        Deadline::of(request).unwrap_or_else(usual)
    }

    pub(crate) async fn search(
        &self,
        request: SearchRequest,
        deadline: Deadline,
    ) -> Result<SearchResponse, LeafError> {
        let query = request.query.as_ref();
        let context = self.context(request.context, Purpose::Search, query)?;
        let tree = request::query(query)?;
        let limit = request::limit(request.limit, CANDIDATES_MAX)?;
        let scope = request::scope(&context, &self.config.map, &request.namespaces)?;
        let served = self.ready(&context, deadline).await?;
        let database = served.serving()?;

        let queued_at = self.clock.now();
        let mut time = deadline.remaining(queued_at).saturating_sub(HOP_MARGIN);
        if request.budget_us > 0 {
            time = time.min(Duration::from_micros(request.budget_us));
        }
        let (mut budget, _caller) = TimeBudget::until(self.clock.clone(), queued_at + time);
        let clock = self.clock.clone();
        let (outcome, queued, searched) = self
            .pool
            .run(move || {
                let started_at = clock.now();
                let outcome = database.searcher().search(&scope, &tree, limit, &mut budget);
                let queued = started_at.saturating_duration_since(queued_at);
                (outcome, queued, clock.now().saturating_duration_since(started_at))
            })
            .await?;
        let outcome = noting_damage(served, outcome.map_err(LeafError::from))?;
        Ok(SearchResponse {
            label: Some(self.label(context.partition, outcome.next_offset)),
            candidates: outcome.candidates.into_iter().map(candidate).collect(),
            statistics: Some(Statistics {
                documents: outcome.statistics.documents,
                total_length: outcome.statistics.total_length,
                document_frequencies: outcome.statistics.document_frequencies,
            }),
            total_hits: outcome.total_hits,
            truncated: outcome.truncated,
            rows_scanned: outcome.rows_scanned,
            queue_us: micros(queued),
            search_us: micros(searched),
        })
    }

    pub(crate) async fn fetch(
        &self,
        request: FetchRequest,
        deadline: Deadline,
    ) -> Result<FetchResponse, LeafError> {
        let context = self.context(request.context, Purpose::Fetch, None)?;
        request::check_count("keys", request.keys.len(), FETCH_KEYS_MAX)?;
        let named = request.keys.iter().map(|key| key.namespace.as_ref());
        let named = named
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| request::field("keys", "has one without a namespace"))?;
        let scope = request::scope(&context, &self.config.map, named)?;
        let ids = request.keys.iter().map(|key| DocumentId::new(&key.document_id));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let served = self.ready(&context, deadline).await?;
        let database = served.serving()?;
        let include_body = request.include_body;
        let fetched = self
            .pool
            .run(move || {
                let searcher = database.searcher();
                let fetched = scope.iter().zip(&ids).map(|(entry, id)| {
                    let document = searcher.fetch(entry, id, include_body)?;
                    document.map_or_else(|| Ok(FetchedDocument::default()), fetched_document)
                });
                let documents = fetched.collect::<Result<Vec<_>, LeafError>>()?;
                Ok::<_, LeafError>((searcher.next_offset()?, documents))
            })
            .await?;
        let (next_offset, documents) = noting_damage(served, fetched)?;
        Ok(FetchResponse { label: Some(self.label(context.partition, next_offset)), documents })
    }

    pub(crate) async fn list(
        &self,
        request: ListRequest,
        deadline: Deadline,
    ) -> Result<ListResponse, LeafError> {
        let context = self.context(request.context, Purpose::List, None)?;
        let scope = request::scope(&context, &self.config.map, &request.namespace)?;
        let limit = request::limit(request.limit, LIST_MAX)?;
        let served = self.ready(&context, deadline).await?;
        let database = served.serving()?;
        let after = Some(request.after_document_id).filter(|after| !after.is_empty());
        let listed = self
            .pool
            .run(move || {
                let searcher = database.searcher();
                let entry: &ScopeEntry = &scope[0];
                // One more than asked for says whether there are more.
                let listed = searcher.list(entry, after.as_deref(), limit + 1)?;
                Ok::<_, LeafError>((searcher.next_offset()?, listed))
            })
            .await?;
        let (next_offset, mut listed) = noting_damage(served, listed)?;
        let is_last = listed.len() <= limit;
        listed.truncate(limit);
        let documents = listed.into_iter().map(|document| ListedDocument {
            document_id: document.document_id.as_bytes().to_vec(),
            version: document.version,
            content_hash: document.content_hash.to_vec(),
        });
        Ok(ListResponse {
            label: Some(self.label(context.partition, next_offset)),
            documents: documents.collect(),
            is_last,
        })
    }

    fn context(
        &self,
        context: Option<nautilus_proto::leaf::v1::RequestContext>,
        purpose: Purpose,
        query: Option<&nautilus_proto::common::v1::QueryNode>,
    ) -> Result<Context, LeafError> {
        let now_ms = self.clock.unix_ms();
        request::context(&self.verifier, &self.config.map, now_ms, context, purpose, query)
    }

    /// The partition, once it shows what the request must see.
    async fn ready(
        &self,
        context: &Context,
        deadline: Deadline,
    ) -> Result<&Arc<Served>, LeafError> {
        let partition = context.partition;
        let served = self.partitions.get(&partition).ok_or(LeafError::NotServed { partition })?;
        served.serving()?;
        let asked = Offset(context.min_next_offset);
        let mut until = asked;
        if context.latest || asked > served.applied() {
            let log_end = self.log.watermarks(partition).await.map_err(LeafError::Log)?.high;
            if asked > log_end {
                return Err(LeafError::BeyondLog { asked });
            }
            if context.latest {
                until = log_end;
            }
        }
        if served.applied() < until {
            let mut applied = served.watch_applied();
            let give_up = deadline.instant().checked_sub(HOP_MARGIN);
            let give_up = give_up.unwrap_or_else(|| deadline.instant());
            let waited =
                tokio::time::timeout_at(give_up.into(), applied.wait_for(|at| *at >= until)).await;
            if !matches!(waited, Ok(Ok(_))) {
                // It may have stopped meanwhile, which is another thing than being behind.
                served.serving()?;
                return Err(LeafError::Lagging { asked: until, applied: served.applied() });
            }
        }
        Ok(served)
    }

    pub(crate) fn label(&self, partition: PartitionId, next_offset: Offset) -> PartitionLabel {
        PartitionLabel {
            partition: partition.0,
            epoch: self.config.epoch.0,
            next_offset: next_offset.0,
            build: String::new(),
        }
    }
}

/// Stored bytes that make no sense stop the partition: what else they spoil is not known.
fn noting_damage<T>(served: &Served, result: Result<T, LeafError>) -> Result<T, LeafError> {
    if let Err(error) = &result
        && error.class() == Class::Corrupt
    {
        let reason = error_chain(error);
        let (before, after) = served.step(Event::Broke { reason: reason.clone() });
        if before != after {
            tracing::error!(partition = served.id.0, error = reason, "partition stopped");
        }
    }
    result
}

fn candidate(candidate: nautilus_engine::Candidate) -> Candidate {
    Candidate {
        // A scope has at most GRANT_NAMESPACES_MAX entries.
        namespace_index: u32::try_from(candidate.scope_index).unwrap_or(u32::MAX),
        document_id: candidate.document_id.as_bytes().to_vec(),
        length: candidate.length,
        frequencies: candidate.frequencies,
        local_score: candidate.score,
    }
}

fn fetched_document(
    document: nautilus_engine::StoredDocument,
) -> Result<FetchedDocument, LeafError> {
    let metadata =
        DocumentMetadata::decode(document.metadata.as_slice()).map_err(LeafError::Metadata)?;
    Ok(FetchedDocument {
        found: true,
        version: document.version,
        title: document.title,
        path: document.path,
        body: document.body.unwrap_or_default(),
        metadata: Some(metadata),
        content_hash: document.content_hash.to_vec(),
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
