//! The driver of a search: from credentials to a page.
//!
//! Whatever fails on the way, nothing is shown: no step has a fallback that shows more.

use std::time::Duration;

use nautilus_identity::{Purpose, query_hash};
use nautilus_proto::query_to_proto;
use nautilus_proto::root::v1 as root;
use nautilus_proto::search::v1::{SearchRequest, SearchResponse};
use nautilus_query::Node;
use nautilus_service::Deadline;
use prost::Message as _;
use tonic::metadata::MetadataMap;

use crate::MergerError;
use crate::caller::Caller;
use crate::consistency::{MinOffsets, to_proto};
use crate::coverage::Coverage;
use crate::merger::Core;
use crate::page::Page;
use crate::rank::{Hit, Namespace, rank};
use crate::root_client::{RootError, call};
use crate::scope::{asked, to_ref};
use crate::stopwatch::{Stopwatch, micros};
use crate::understand::{Understood, understand};
use crate::wish::Wish;

/// Searches of one request at most: the second is without namespaces that the access check of
/// the first took away, so that no count or score of the answer comes from them.
const ATTEMPTS_MAX: usize = 2;
/// Kept back from the caller's time for what comes after the candidates, at most.
const RESERVE_MAX: Duration = Duration::from_millis(500);

/// A search on its way.
pub(crate) struct Run<'c> {
    pub(crate) core: &'c Core,
    pub(crate) caller: Caller,
    pub(crate) wish: Wish,
    pub(crate) min: MinOffsets,
    pub(crate) deadline: Deadline,
    pub(crate) watch: Stopwatch,
}

/// What the partitions found.
struct Found {
    response: root::SearchResponse,
    coverage: Coverage,
    scoring_leaves: usize,
    is_relaxed: bool,
}

impl Core {
    pub(crate) async fn search(
        &self,
        metadata: &MetadataMap,
        request: SearchRequest,
        deadline: Deadline,
    ) -> Result<SearchResponse, MergerError> {
        let mut watch = Stopwatch::start(&self.clock);
        let caller = self.identify(metadata).await?;
        watch.lap("authenticate");
        let wish = Wish::of(&request, &self.config)?;
        let scope = self.scope(&caller, &request.namespaces).await?;
        watch.lap("scope");
        let limits = &self.config.query_limits;
        let understood =
            understand(&request.query, wish.syntax, wish.matching, limits, &self.analyzer)?;
        let min = self.min_offsets(&request.consistency_token)?;
        watch.lap("parse");
        let run = Run { core: self, caller, wish, min, deadline, watch };
        let response = Box::pin(run.answer(scope, understood)).await?;
        self.metrics.searches.add(1);
        self.metrics.relaxed.add_if(response.relaxed);
        self.metrics.truncated.add_if(response.truncated);
        self.metrics.partial.add_if(response.coverage.as_ref().is_some_and(|c| !c.complete));
        Ok(response)
    }
}

impl Run<'_> {
    async fn answer(
        mut self,
        mut scope: Vec<Namespace>,
        understood: Understood,
    ) -> Result<SearchResponse, MergerError> {
        for attempt in 1.. {
            if scope.is_empty() {
                break;
            }
            let found = self.find(&scope, &understood).await?;
            let mut page = self.page(&scope, &understood, found)?;
            self.watch.lap("rank");
            let shown = page.hits.iter().filter_map(|hit| scope.get(hit.namespace_index));
            let denied = self.core.denied(&self.caller.user, shown).await?;
            self.watch.lap("access_check");
            if denied.is_empty() {
                return self.show(&scope, page).await;
            }
            let is_allowed = |hit: &Hit| {
                scope.get(hit.namespace_index).is_some_and(|(name, _)| !denied.contains(name))
            };
            let before = page.hits.len();
            page.hits.retain(is_allowed);
            self.core.metrics.acl_dropped_hits.add(before - page.hits.len());
            if attempt == ATTEMPTS_MAX {
                return self.show(&scope, page).await;
            }
            scope.retain(|(name, _)| !denied.contains(name));
        }
        // Nothing may be read: no results, and nothing is missing.
        self.show(&[], Page::default()).await
    }

    /// Asks for all words, and where that finds nothing and the caller lets us, for any. A search that was cut off
    /// has not shown that there is nothing.
    async fn find(
        &mut self,
        scope: &[Namespace],
        understood: &Understood,
    ) -> Result<Found, MergerError> {
        let found = self.ask(scope, &understood.tree).await?;
        match &understood.relaxed {
            Some(relaxed) if found.response.total_hits == 0 && !found.response.truncated => {
                Ok(Found { is_relaxed: true, ..self.ask(scope, relaxed).await? })
            }
            Some(_) | None => Ok(found),
        }
    }

    async fn ask(&mut self, scope: &[Namespace], tree: &Node) -> Result<Found, MergerError> {
        let (core, config) = (self.core, &self.core.config);
        let query = query_to_proto(tree);
        let hash = query_hash(&query.encode_to_vec());
        let asked = asked(&config.map, scope, &self.min);
        let page_size = u32::try_from(self.wish.page_size).unwrap_or(u32::MAX);
        let message = root::SearchRequest {
            grant: core.grant(&self.caller, scope, Purpose::Search, hash)?,
            map_version: config.map.version,
            namespaces: scope.iter().map(to_ref).collect(),
            query: Some(query),
            limit: config.candidates_per_partition.max(page_size),
            budget_us: micros(self.budget_left()),
            min_offsets: to_proto(&asked),
            replica_group: config.replica_group.clone(),
        };
        let mut client = core.root.clone();
        let deadline = self.candidates_deadline();
        let sent = call(&core.clock, deadline, message, |message| client.search(message)).await;
        let response = sent.map_err(|error| self.min.blame(error))?;
        let labels = response.answers.iter().map(|answer| answer.label.as_ref());
        let coverage =
            Coverage::of(&asked, labels, &response.failures).map_err(RootError::Coverage)?;
        self.watch.lap("root");
        self.require_usable(&coverage)?;
        let scoring_leaves = tree.scoring_leaves().len();
        Ok(Found { response, coverage, scoring_leaves, is_relaxed: false })
    }

    fn page(
        &self,
        scope: &[Namespace],
        understood: &Understood,
        found: Found,
    ) -> Result<Page, MergerError> {
        let Found { response, coverage, scoring_leaves, is_relaxed } = found;
        let statistics = response.statistics.unwrap_or_default();
        let hits_max = self.wish.page_size;
        let hits = rank(response.candidates, &statistics, scope, scoring_leaves, hits_max);
        let relaxed = understood.relaxed.as_ref().filter(|_| is_relaxed);
        Ok(Page {
            hits: hits.map_err(RootError::Candidate)?,
            tree: Some(relaxed.unwrap_or(&understood.tree).clone()),
            total_hits: response.total_hits,
            is_relaxed,
            is_truncated: response.truncated,
            coverage,
        })
    }

    /// An answer of a part is an error unless the caller takes a part.
    pub(crate) fn require_usable(&self, coverage: &Coverage) -> Result<(), MergerError> {
        if coverage.is_usable(self.wish.allow_partial) {
            Ok(())
        } else if coverage.is_all_late() {
            Err(MergerError::Deadline)
        } else {
            Err(MergerError::Partial(coverage.clone()))
        }
    }

    /// What is left of the time to fetch candidates in. A second search gets at least a quarter:
    /// it is asked because the first found nothing.
    fn budget_left(&self) -> Duration {
        let budget = self.wish.budget;
        budget.saturating_sub(self.watch.spent("root")).max(budget / 4)
    }

    /// The candidates must be here early enough for the rest of the work.
    fn candidates_deadline(&self) -> Deadline {
        let now = self.core.clock.now();
        let left = self.deadline.remaining(now);
        Deadline::after(now, left.saturating_sub(RESERVE_MAX.min(left / 4)))
    }
}
