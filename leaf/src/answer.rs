//! Answering: checks a request, waits for the offset it must show, and runs it on a pool of threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use nautilus_analysis::Analyzer;
use nautilus_engine::{ScopeEntry, SearchRequest as EngineRequest};
use nautilus_identity::{Purpose, query_hash};
use nautilus_proto::leaf::v1::{
    FetchRequest, FetchResponse, FetchedDocument, ListRequest, ListResponse, ListedDocument,
    RequestContext, SearchRequest, SearchResponse, SuggestRequest, SuggestResponse,
};
use nautilus_query::Node;
use nautilus_service::deadline::HOP_MARGIN;
use nautilus_service::status::error_chain;
use nautilus_service::{Deadline, WorkerPool};
use nautilus_types::{Class, DocumentId, Offset};
use prost::Message as _;

use crate::budget::TimeBudget;
use crate::convert::{Terms, Took, fetched_document, search_response, suggest_response};
use crate::failures;
use crate::highlights;
use crate::metrics::Call;
use crate::partition::{Database, Served};
use crate::request::{self, CANDIDATES_MAX, Context, FETCH_KEYS_MAX, LIST_MAX, SUGGESTIONS_MAX};
use crate::state::Event;
use crate::work::Admitted;
use crate::{Leaf, LeafError};

/// Records are applied within this time after somebody saw them elsewhere: before, the log is not asked whether they are
/// in it at all. Fetching what another replica found would ask it all the time.
const FEED_DELAY: Duration = Duration::from_millis(20);

/// A partition that shows what the request must see, with its database.
struct Ready {
    served: Arc<Served>,
    /// Of the database, which cannot become another while it is held.
    build: String,
    database: Database,
}

impl Leaf {
    #[tracing::instrument(
        name = "leaf.search",
        skip_all,
        fields(partition, epoch, offset, rows, queue_us, search_us)
    )]
    pub(crate) async fn search(
        &self,
        request: SearchRequest,
        deadline: Deadline,
    ) -> Result<SearchResponse, LeafError> {
        let admitted = self.workload.admit();
        let query = request.query.as_ref();
        let hash = query.map_or(0, |query| query_hash(&query.encode_to_vec()));
        let context = self.context(request.context.as_ref(), Purpose::Search, hash)?;
        let tree = request::query(query)?;
        let limit = request::limit(request.limit, CANDIDATES_MAX)?;
        let scope = request::scope(&context, &self.shared.config.map, &request.namespaces)?;
        let terms = Terms::of(&request, tree.scoring_leaves().len())?;
        let Ready { served, build, database } = self.ready(&context, deadline).await?;
        let (mut budget, _caller) = self.budget(deadline, request.budget_us);
        let work = move || {
            let request = EngineRequest {
                scope: &scope,
                query: &tree,
                limit,
                filter: terms.filter,
                sort: terms.sort,
                after: terms.after.as_ref(),
                statistics: terms.statistics.as_ref(),
                changed_before: terms.changed_before,
            };
            Ok(database.searcher().search(&request, &mut budget)?)
        };
        let call = (Call::Search, admitted);
        let (outcome, took) = self.on_pool(&self.search_pool, call, work).await?;
        let outcome = self.noting_damage(&served, outcome)?;
        self.shared.metrics.scanned(Call::Search, outcome.rows_scanned, outcome.truncated);
        let label = self.label(&served, &build, outcome.next_offset);
        let span = tracing::Span::current();
        span.record("epoch", label.epoch).record("offset", label.next_offset);
        span.record("rows", outcome.rows_scanned);
        span.record("queue_us", took.queue_us).record("search_us", took.work_us);
        Ok(search_response(label, outcome, took))
    }

    #[tracing::instrument(name = "leaf.suggest", skip_all, fields(partition, epoch, offset, rows))]
    pub(crate) async fn suggest(
        &self,
        request: SuggestRequest,
        deadline: Deadline,
    ) -> Result<SuggestResponse, LeafError> {
        let admitted = self.workload.admit();
        // A grant for words is one to search, for just this beginning of them.
        let hash = query_hash(request.prefix.as_bytes());
        let context = self.context(request.context.as_ref(), Purpose::Search, hash)?;
        let limit = request::limit(request.limit, SUGGESTIONS_MAX)?;
        let scope = request::scope(&context, &self.shared.config.map, &request.namespaces)?;
        let (prefix, fields) = request::prefix(request.prefix, request.fields)?;
        let Ready { served, build, database } = self.ready(&context, deadline).await?;
        let (mut budget, _caller) = self.budget(deadline, request.budget_us);
        let work = move || {
            let searcher = database.searcher();
            Ok(searcher.suggest(&scope, &prefix, fields, limit, &mut budget)?)
        };
        let call = (Call::Suggest, admitted);
        let (outcome, took) = self.on_pool(&self.search_pool, call, work).await?;
        let outcome = self.noting_damage(&served, outcome)?;
        self.shared.metrics.scanned(Call::Suggest, outcome.rows_scanned, outcome.truncated);
        let label = self.label(&served, &build, outcome.next_offset);
        let span = tracing::Span::current();
        span.record("epoch", label.epoch).record("offset", label.next_offset);
        span.record("rows", outcome.rows_scanned);
        Ok(suggest_response(label, outcome, took))
    }

    #[tracing::instrument(
        name = "leaf.fetch",
        skip_all,
        fields(partition, epoch, offset, fetch_us, highlight_us)
    )]
    pub(crate) async fn fetch(
        &self,
        request: FetchRequest,
        deadline: Deadline,
    ) -> Result<FetchResponse, LeafError> {
        let admitted = self.workload.admit();
        let context = self.context(request.context.as_ref(), Purpose::Fetch, 0)?;
        request::check_count("keys", request.keys.len(), FETCH_KEYS_MAX)?;
        let named = request.keys.iter().map(|key| key.namespace.as_ref());
        let named = named
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| request::field("keys", "has one without a namespace"))?;
        let scope = request::scope(&context, &self.shared.config.map, named)?;
        let ids = request.keys.iter().map(|key| DocumentId::new(&key.document_id));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let highlight = request.highlight.as_ref();
        let highlight = highlight.map(|query| request::query(Some(query))).transpose()?;
        let Ready { served, build, database } = self.ready(&context, deadline).await?;
        let include_body = request.include_body;
        let analyzer = database.analyzer();
        let reads_body = include_body || highlight.is_some();
        let work = move || {
            let searcher = database.searcher();
            let fetched = scope.iter().zip(&ids).map(|(entry, id)| {
                let document = searcher.fetch(entry, id, reads_body)?;
                document.map_or_else(|| Ok(FetchedDocument::default()), fetched_document)
            });
            let documents = fetched.collect::<Result<Vec<_>, LeafError>>()?;
            Ok((searcher.next_offset()?, documents))
        };
        let (fetched, took) = self.on_pool(&self.read_pool, (Call::Fetch, admitted), work).await?;
        let (next_offset, mut documents) = self.noting_damage(&served, fetched)?;
        let label = self.label(&served, &build, next_offset);
        let span = tracing::Span::current();
        span.record("epoch", label.epoch).record("offset", next_offset.0);
        span.record("fetch_us", took.work_us);
        if let Some(tree) = highlight {
            let began = self.shared.clock.now();
            documents = self.highlighted(documents, (tree, analyzer), deadline).await?;
            let took = self.shared.clock.now().saturating_duration_since(began);
            span.record("highlight_us", micros(took));
        }
        if !include_body {
            documents.iter_mut().for_each(|document| document.body = String::new());
        }
        Ok(FetchResponse { label: Some(label), documents })
    }

    /// The documents with where the query matches them, long ones on several threads.
    async fn highlighted(
        &self,
        documents: Vec<FetchedDocument>,
        (tree, analyzer): (Node, Analyzer),
        deadline: Deadline,
    ) -> Result<Vec<FetchedDocument>, LeafError> {
        let tree = Arc::new(tree);
        let shares = highlights::shares(documents, self.shared.config.read_threads);
        let jobs = shares.into_iter().map(|mut share| {
            let (tree, admitted) = (Arc::clone(&tree), self.workload.admit());
            let (mut budget, caller) = self.budget(deadline, 0);
            let work = move || {
                highlights::add(&mut share, &tree, &analyzer, &mut budget);
                Ok(share)
            };
            async move {
                let _caller = caller;
                self.on_pool(&self.read_pool, (Call::Highlight, admitted), work).await?.0
            }
        });
        let shares = try_join_all(jobs).await?;
        Ok(shares.into_iter().flatten().collect())
    }

    #[tracing::instrument(name = "leaf.list", skip_all, fields(partition, epoch, offset))]
    pub(crate) async fn list(
        &self,
        request: ListRequest,
        deadline: Deadline,
    ) -> Result<ListResponse, LeafError> {
        let admitted = self.workload.admit();
        let context = self.context(request.context.as_ref(), Purpose::List, 0)?;
        let scope = request::scope(&context, &self.shared.config.map, &request.namespace)?;
        let limit = request::limit(request.limit, LIST_MAX)?;
        let Ready { served, build, database } = self.ready(&context, deadline).await?;
        let after = Some(request.after_document_id).filter(|after| !after.is_empty());
        let with_failures = request.with_failures;
        let work = move || {
            let searcher = database.searcher();
            let entry: &ScopeEntry = &scope[0];
            // One more than asked for says whether there are more.
            let mut listed = searcher.list(entry, after.as_deref(), limit + 1)?;
            let is_last = listed.len() <= limit;
            listed.truncate(limit);
            let failures = failures::of(&searcher, entry, &listed, with_failures)?;
            Ok((searcher.next_offset()?, (listed, failures, is_last)))
        };
        let (listed, _) = self.on_pool(&self.read_pool, (Call::List, admitted), work).await?;
        let (next_offset, (listed, failures, is_last)) = self.noting_damage(&served, listed)?;
        let documents =
            listed.into_iter().zip(failures).map(|(document, failures)| ListedDocument {
                document_id: document.document_id.as_bytes().to_vec(),
                version: document.version,
                content_hash: document.content_hash.to_vec(),
                failures,
            });
        let label = self.label(&served, &build, next_offset);
        tracing::Span::current().record("epoch", label.epoch).record("offset", next_offset.0);
        Ok(ListResponse { label: Some(label), documents: documents.collect(), is_last })
    }

    fn context(
        &self,
        context: Option<&RequestContext>,
        purpose: Purpose,
        query_hash: u64,
    ) -> Result<Context, LeafError> {
        let now_ms = self.shared.clock.unix_ms();
        let map = &self.shared.config.map;
        let context = request::context(&self.verifier, map, now_ms, context, purpose, query_hash)?;
        tracing::Span::current().record("partition", context.partition.0);
        Ok(context)
    }

    /// Time for work that may be cut short: what the deadline leaves, or less if asked. Ends with its caller too.
    fn budget(
        &self,
        deadline: Deadline,
        budget_us: u64,
    ) -> (TimeBudget, crate::budget::CancelOnDrop) {
        let now = self.shared.clock.now();
        let mut time = deadline.remaining(now).saturating_sub(HOP_MARGIN);
        if budget_us > 0 {
            time = time.min(Duration::from_micros(budget_us));
        }
        TimeBudget::until(self.shared.clock.clone(), now + time)
    }

    /// Runs `work` on a thread of `pool`. What its caller gave up before it began is not begun.
    async fn on_pool<T: Send + 'static>(
        &self,
        pool: &WorkerPool,
        (call, admitted): (Call, Admitted),
        work: impl FnOnce() -> Result<T, LeafError> + Send + 'static,
    ) -> Result<(Result<T, LeafError>, Took), LeafError> {
        let (clock, queued_at) = (self.shared.clock.clone(), self.shared.clock.now());
        // What waits in the queue is let go of with its caller: it holds a place in the count and a database.
        let waiting = Arc::new(Mutex::new(Some((admitted, work))));
        let _caller = AbandonOnDrop(Arc::clone(&waiting));
        let job = move || {
            let (mut admitted, work) = take(&waiting)?;
            admitted.run();
            let started_at = clock.now();
            let result = work();
            let took = clock.now().saturating_duration_since(started_at);
            Some((result, started_at.saturating_duration_since(queued_at), took))
        };
        let done = pool.run(job).await?;
        // Only a caller that is gone takes its work away.
        let (result, queued, took) = done.ok_or(LeafError::Abandoned)?;
        self.shared.metrics.worked(call, queued, took);
        Ok((result, Took { queue_us: micros(queued), work_us: micros(took) }))
    }

    /// The partition, once it shows what the request must see.
    async fn ready(&self, context: &Context, deadline: Deadline) -> Result<Ready, LeafError> {
        let partition = context.partition;
        let served = self.shared.partitions.get(partition)?;
        drop(served.serving()?);
        let asked = Offset(context.min_next_offset);
        let give_up = deadline.instant().checked_sub(HOP_MARGIN);
        let give_up = give_up.unwrap_or_else(|| deadline.instant());
        let soon = give_up.min(self.shared.clock.now() + FEED_DELAY);
        let mut until = asked;
        if context.latest || !served.will_have_applied(asked, soon).await {
            let marks = self.shared.log.watermarks(partition);
            let log_end = marks.await.map_err(LeafError::Log)?.high;
            if asked > log_end {
                return Err(LeafError::BeyondLog { asked });
            }
            if context.latest {
                until = log_end;
            }
        }
        if !served.will_have_applied(until, give_up).await {
            // It may have stopped meanwhile, which is another thing than being behind.
            drop(served.serving()?);
            return Err(LeafError::Lagging { asked: until, applied: served.applied() });
        }
        let database = served.serving()?;
        let build = served.build();
        Ok(Ready { served, build, database })
    }

    /// Stored bytes that make no sense, or that the disk cannot read, take the partition out of service: what else they
    /// spoil is not known.
    fn noting_damage<T>(
        &self,
        served: &Served,
        result: Result<T, LeafError>,
    ) -> Result<T, LeafError> {
        if let Err(error) = &result
            && (error.class() == Class::Corrupt
                || matches!(error, LeafError::Engine(error) if error.is_disk_error()))
        {
            let reason = error_chain(error);
            let partition = served.id.0;
            tracing::warn!(partition, error = reason, "damaged files met while answering");
            served.step(self.shared.clock.now(), Event::Damaged { reason });
        }
        result
    }
}

/// Takes what waits away when dropped.
struct AbandonOnDrop<T>(Arc<Mutex<Option<T>>>);

impl<T> Drop for AbandonOnDrop<T> {
    fn drop(&mut self) {
        drop(take(&self.0));
    }
}

fn take<T>(waiting: &Mutex<Option<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
