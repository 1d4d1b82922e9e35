//! The driver of a search: from credentials to a page.
//!
//! Whatever fails on the way, nothing is shown: no step has a fallback that shows more.

use std::time::Duration;

use nautilus_proto::root::v1::ShadowTarget;
use nautilus_proto::search::v1::{SearchRequest, SearchResponse};
use nautilus_service::Deadline;
use tonic::metadata::MetadataMap;

use crate::MergerError;
use crate::caller::Caller;
use crate::candidates::Found;
use crate::consistency::MinOffsets;
use crate::coverage::Coverage;
use crate::merger::Core;
use crate::page::Page;
use crate::rank::{Hit, Namespace, Place, Ranking, rank};
use crate::root_client::RootError;
use crate::search_token::{self, Binding, NamespaceSet, Progress};
use crate::shadow::{Answered, Job};
use crate::track::Track;
use crate::understand::{Understood, understand};
use crate::wish::Wish;

/// Searches of one request at most: the second is without namespaces that the access check of
/// the first took away, so that no count or score of the answer comes from them.
const ATTEMPTS_MAX: usize = 2;

/// A search on its way.
pub(crate) struct Run<'c> {
    pub(crate) core: &'c Core,
    pub(crate) caller: Caller,
    pub(crate) wish: Wish,
    pub(crate) binding: Binding,
    /// From the page token; none on the first page.
    pub(crate) progress: Option<Progress>,
    pub(crate) min: MinOffsets,
    pub(crate) deadline: Deadline,
    /// It is the shadow of another one, for nobody to see.
    pub(crate) shadow_on: Option<ShadowTarget>,
    pub(crate) track: &'c mut Track,
}

impl Core {
    pub(crate) async fn search(
        &self,
        metadata: &MetadataMap,
        request: SearchRequest,
        deadline: Deadline,
    ) -> Result<SearchResponse, MergerError> {
        let mut track = Track::start(&self.clock);
        let answer = Box::pin(self.answer(metadata, &request, deadline, &mut track)).await;
        self.searched(&request.query, &track, answer.as_ref());
        if let Some(job) = track.shadow.take().filter(|_| answer.is_ok()) {
            self.shadows.submit(*job, self.clock.unix_ms());
        }
        answer
    }

    async fn answer(
        &self,
        metadata: &MetadataMap,
        request: &SearchRequest,
        deadline: Deadline,
        track: &mut Track,
    ) -> Result<SearchResponse, MergerError> {
        let caller = self.identify(metadata).await?;
        track.watch.lap("authenticate");
        let wish = Wish::of(request)?;
        if !wish.replica_group.is_empty() && !caller.is_operator {
            return Err(MergerError::GroupDenied);
        }
        let mut min = self.min_offsets(&request.consistency_token)?;
        let binding = Binding::of(&caller.user, &request.query, &request.namespaces, &wish);
        let progress = self.progress(&binding, &request.page_token)?;
        track.watch.lap("open_tokens");
        let scope = match &progress {
            None => self.scope(&caller, &request.namespaces).await?,
            Some(progress) => self.scope_after(&caller, &request.namespaces, progress).await?,
        };
        track.watch.lap("scope");
        let limits = &self.config.query_limits;
        let understood =
            understand(&request.query, wish.syntax, wish.matching, limits, &self.analyzer)?;
        if let Some(progress) = &progress {
            min.require_all(&progress.offsets);
        }
        track.watch.lap("parse");
        let shadow_on = None;
        let run =
            Run { core: self, caller, wish, binding, progress, min, deadline, shadow_on, track };
        run.answer(scope, understood).await
    }

    /// How far the pages before this one came.
    fn progress(&self, binding: &Binding, token: &str) -> Result<Option<Progress>, MergerError> {
        if token.is_empty() {
            return Ok(None);
        }
        let opened = search_token::open(&self.token_key, &self.config.log, binding, token);
        opened.map(Some).map_err(MergerError::PageToken)
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
            let began = self.core.clock.now();
            let found = self.find(&scope, &understood).await?;
            let mut page = self.page(&scope, found)?;
            self.track.watch.lap("rank");
            let took = self.core.clock.now().saturating_duration_since(began);
            let shown = page.hits.iter().filter_map(|hit| scope.get(hit.namespace_index));
            let denied = self.core.denied(&self.caller.user, shown).await?;
            self.track.watch.lap("access_check");
            if denied.is_empty() {
                self.prepare_shadow(&scope, understood, &page, took);
                return self.show(&scope, page).await;
            }
            let is_allowed = |hit: &Hit| {
                scope.get(hit.namespace_index).is_some_and(|(name, _)| !denied.contains(name))
            };
            let before = page.hits.len();
            page.hits.retain(is_allowed);
            let dropped = u64::try_from(before - page.hits.len()).unwrap_or(u64::MAX);
            self.core.metrics.acl_dropped_hits.inc_by(dropped);
            if attempt == ATTEMPTS_MAX {
                return self.show(&scope, page).await;
            }
            scope.retain(|(name, _)| !denied.contains(name));
        }
        // Nothing may be read: no results, and nothing is missing.
        self.show(&[], Page::default()).await
    }

    /// Keeps what it takes to run this search again, where the root would have it so.
    fn prepare_shadow(
        &mut self,
        scope: &[Namespace],
        understood: Understood,
        page: &Page,
        took: Duration,
    ) {
        let Some(target) = self.track.shadow_on.take() else { return };
        let mut min = self.min.clone();
        min.require_all(&page.coverage.served);
        self.track.shadow = Some(Box::new(Job {
            target,
            caller: self.caller.clone(),
            wish: self.wish.clone(),
            binding: self.binding.clone(),
            min,
            scope: scope.to_vec(),
            understood,
            shown: Answered::of(scope, page, took),
        }));
    }

    /// The page that what was found makes, and where the next one would begin.
    pub(crate) fn page(&self, scope: &[Namespace], found: Found) -> Result<Page, MergerError> {
        let Found { tree, mut response, statistics, coverage, build, is_relaxed, is_truncated } =
            found;
        let ranking = Ranking {
            statistics: &statistics,
            scope,
            scoring_leaves: tree.scoring_leaves().len(),
            order: self.wish.order,
            after: self.progress.as_ref().map(|progress| &progress.place),
        };
        let page_size = self.wish.page_size;
        let candidates = std::mem::take(&mut response.candidates);
        let mut hits = rank(candidates, ranking, page_size + 1).map_err(RootError::Candidate)?;
        let has_more = hits.len() > page_size;
        hits.truncate(page_size);
        let total_hits =
            self.progress.as_ref().map_or(response.total_hits, |progress| progress.total_hits);
        let place = hits.last().filter(|_| has_more).and_then(|hit| Place::of(hit, scope));
        let next = place.map(|place| match &self.progress {
            // A partition that was missing before begins where it was first seen.
            Some(progress) => {
                let mut offsets = coverage.served.clone();
                offsets.extend(&progress.offsets);
                Progress { place, offsets, ..progress.clone() }
            }
            None => Progress {
                place,
                statistics: statistics.clone(),
                total_hits,
                is_relaxed,
                offsets: coverage.served.clone(),
                build: Some(build.clone()),
                namespaces: NamespaceSet::of(scope),
            },
        });
        Ok(Page {
            hits,
            tree: Some(tree),
            statistics,
            answers: response.answers,
            total_hits,
            is_relaxed,
            is_truncated,
            coverage,
            build,
            next,
        })
    }

    /// An answer of a part is an error unless the caller takes a part.
    pub(crate) fn require_usable(&self, coverage: &Coverage) -> Result<(), MergerError> {
        coverage.require_usable(self.wish.allow_partial)
    }
}
