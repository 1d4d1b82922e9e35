//! `Search`: candidates of every partition of the scope.

use std::time::Instant;

use futures::future::join_all;
use nautilus_identity::Purpose;
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::{SearchRequest, SearchResponse};
use nautilus_registry::layout::GroupName;
use nautilus_service::Deadline;
use nautilus_service::deadline::HOP_MARGIN;
use tonic::Status;

use crate::answer::{SearchRules, check_search};
use crate::call::call;
use crate::dispatch::{Answered, Ask, Dispatched, Operation};
use crate::failure::Failure;
use crate::fingerprint::Fingerprint;
use crate::gather::{Rules, Source, gather};
use crate::plan::{Part, lowest_offset_of, split};
use crate::request::{self, CANDIDATES_MAX, Namespace};
use crate::router::Leaf;
use crate::stages::{FAN_OUT, GATHER, ROUTE, Stages, VERIFY, micros};
use crate::{Root, RootError};

/// A request that was checked.
pub(crate) struct Checked {
    pub(crate) scope: Vec<Namespace>,
    pub(crate) scoring_leaves: usize,
    pub(crate) group: Option<GroupName>,
}

/// What all parts of a search have in common.
struct Whole<'a> {
    request: &'a SearchRequest,
    rules: SearchRules,
    group: Option<&'a GroupName>,
    deadline: Deadline,
    began: Instant,
}

/// What became of one part, where the whole was not refused.
type PartOutcome = Result<Answered<leaf::SearchResponse>, Failure>;

/// Builds that one search is asked of, one after the other.
const BUILDS_ASKED_MAX: usize = 2;

fn failed(parts: &[PartOutcome]) -> usize {
    parts.iter().filter(|part| part.is_err()).count()
}

impl Root {
    /// Searches every partition of the request's scope and gathers what answers within `deadline`.
    pub async fn search(
        &self,
        request: SearchRequest,
        deadline: Deadline,
    ) -> Result<SearchResponse, RootError> {
        let _work = self.metrics.requests.begin();
        let mut stages = Stages::begin(&self.clock, &self.metrics);
        let result = self.search_in_stages(&request, deadline, &mut stages).await;
        let outcome = match &result {
            Ok(response) if !response.failures.is_empty() => "partial",
            Ok(response) if response.truncated => "truncated",
            Ok(_) => "complete",
            Err(_) => "failed",
        };
        self.metrics.searched(outcome, stages.elapsed());
        stages.record_spans();
        result
    }

    async fn search_in_stages(
        &self,
        request: &SearchRequest,
        deadline: Deadline,
        stages: &mut Stages<'_>,
    ) -> Result<SearchResponse, RootError> {
        let checked = self.check_search(request);
        stages.end(VERIFY);
        let Checked { scope, scoring_leaves, group } = checked?;

        let parts = self.parts_of(&scope, request);
        stages.end(ROUTE);

        let rules = SearchRules {
            limit: request.limit,
            scoring_leaves,
            are_statistics_given: request.statistics.is_some(),
        };
        let whole =
            Whole { request, rules, group: group.as_ref(), deadline, began: stages.began() };
        let dispatched = self.search_parts(&parts, whole).await;
        stages.end(FAN_OUT);
        let dispatched = dispatched.map_err(RootError::Refused)?;

        self.count_coverage(&dispatched);
        let outcomes = dispatched.into_iter().map(|part| outcome(part, request.explain));
        let (namespaces, sort) = (request.namespaces.as_slice(), request.sort.as_ref());
        let rules = Rules { namespaces, scoring_leaves, sort };
        let mut response = gather(&parts, outcomes.collect(), rules);
        response.shadow = self.shadow_of(request, &parts, &response);
        stages.end(GATHER);
        response.stages = stages.to_proto();
        Ok(response)
    }

    /// Asks all parts of one build. Where a part fails, all are asked of the next best build, once: within a build there
    /// may be no other replica. The answer that misses less counts.
    async fn search_parts(
        &self,
        parts: &[Part],
        whole: Whole<'_>,
    ) -> Result<Vec<PartOutcome>, Box<Status>> {
        let Whole { request, rules, group, deadline, began } = whole;
        let (operation, fingerprint) = (Operation::Search, search_fingerprint(request));
        let builds = match &request.build {
            Some(build) => vec![build.clone()],
            None => self.dispatcher.builds(parts, group),
        };
        // Nobody is known: who comes within a moment is asked, whichever build it is of.
        let nobody = builds.is_empty().then_some(None);
        let asked = builds.iter().take(BUILDS_ASKED_MAX).map(|build| Some(build.as_str()));
        let mut best: Option<Vec<PartOutcome>> = None;
        for build in asked.chain(nobody) {
            let searches = parts.iter().map(|part| {
                let ask = Ask { operation, fingerprint, part, group, build, deadline, began };
                self.search_part(ask, request, rules)
            });
            let answered = join_all(searches).await;
            let answered = answered.into_iter().collect::<Result<Vec<_>, _>>()?;
            if best.as_ref().is_none_or(|best| failed(&answered) < failed(best)) {
                best = Some(answered);
            }
            let failures = best.iter().flatten().filter_map(|part| part.as_ref().err());
            let mut failures = failures.peekable();
            let left = deadline.remaining(self.clock.now());
            if failures.peek().is_none()
                || !failures.all(Failure::is_retryable)
                || left <= HOP_MARGIN * 2
            {
                break;
            }
        }
        Ok(best.unwrap_or_default())
    }

    fn count_coverage(&self, dispatched: &[PartOutcome]) {
        let failures = dispatched.iter().filter_map(|part| part.as_ref().err());
        let failed = failures.map(|failure| self.metrics.partial(failure.kind())).count();
        self.metrics.covered(dispatched.len() - failed, dispatched.len());
    }

    pub(crate) fn check_search(&self, request: &SearchRequest) -> Result<Checked, RootError> {
        let (purpose, query) = (Purpose::Search, request.query.as_ref());
        let now_ms = self.clock.unix_ms();
        let grant = request::grant(&self.verifier, &request.grant, now_ms, purpose, query)?;
        request::check_map(&self.map, request.map_version)?;
        request::check_limit(request.limit, CANDIDATES_MAX)?;
        let scope = request::scope(&grant, &request.namespaces)?;
        let scoring_leaves = request::scoring_leaves(query)?;
        request::check_sort(request.sort.as_ref())?;
        request::check_statistics(request.statistics.as_ref(), scoring_leaves)?;
        let group = self.group(&request.replica_group)?;
        Ok(Checked { scope, scoring_leaves, group })
    }

    /// The request divided by partition.
    pub(crate) fn parts_of(&self, scope: &[Namespace], request: &SearchRequest) -> Vec<Part> {
        let names = scope.iter().map(|(name, _)| name);
        let mut parts = split(&self.map, names, &request.min_offsets);
        for part in &mut parts {
            part.changed_before_offset = lowest_offset_of(part.partition, &request.changed_before);
        }
        parts
    }

    /// What a leaf is asked for a part.
    pub(crate) fn leaf_request(
        &self,
        part: &Part,
        request: &SearchRequest,
        deadline: Deadline,
    ) -> leaf::SearchRequest {
        leaf::SearchRequest {
            context: Some(self.context(part, &request.grant)),
            namespaces: picked(&request.namespaces, part),
            query: request.query.clone(),
            limit: request.limit,
            budget_us: self.leaf_budget_us(request.budget_us, deadline),
            filter: request.filter,
            sort: request.sort,
            after: request.after.clone(),
            statistics: request.statistics.clone(),
            changed_before_offset: part.changed_before_offset,
        }
    }

    async fn search_part(
        &self,
        ask: Ask<'_>,
        request: &SearchRequest,
        rules: SearchRules,
    ) -> Dispatched<leaf::SearchResponse> {
        let (part, deadline) = (ask.part, ask.deadline);
        let send = |mut leaf: Leaf| {
            let message = self.leaf_request(part, request, deadline);
            async move { call(&self.clock, deadline, message, |message| leaf.search(message)).await }
        };
        let check = |answer: &leaf::SearchResponse| check_search(part, &rules, answer);
        self.dispatcher.ask(ask, send, check).await
    }

    /// The time to fetch candidates in: what the caller gives, but less than a leaf has for its
    /// whole answer, so that it comes truncated rather than not at all. 0 asks for no bound.
    pub(crate) fn leaf_budget_us(&self, asked_us: u64, deadline: Deadline) -> u64 {
        let left = deadline.remaining(self.clock.now()).saturating_sub(HOP_MARGIN * 3);
        let left_us = micros(left).max(1);
        if asked_us == 0 { left_us } else { asked_us.min(left_us) }
    }

    /// What every request to a leaf says about where it goes and what it must show.
    pub(crate) fn context(&self, part: &Part, grant: &[u8]) -> leaf::RequestContext {
        leaf::RequestContext {
            grant: grant.to_vec(),
            map_version: self.map.version,
            partition: part.partition.0,
            min_next_offset: part.min_next_offset,
            latest: false,
        }
    }
}

/// Of everything that decides what a leaf does for the search, but for namespaces and statistics.
#[must_use]
pub fn search_fingerprint(request: &SearchRequest) -> Fingerprint {
    let bytes = |message: Option<Vec<u8>>| message.unwrap_or_default();
    let query = bytes(request.query.as_ref().map(prost::Message::encode_to_vec));
    let filter = bytes(request.filter.as_ref().map(prost::Message::encode_to_vec));
    let sort = bytes(request.sort.as_ref().map(prost::Message::encode_to_vec));
    Fingerprint::of("search", &[&query, &filter, &sort])
}

/// A part's end as gathering takes it.
pub(crate) fn outcome<T>(
    part: Result<Answered<T>, Failure>,
    explain: bool,
) -> Result<(T, Source), Failure> {
    part.map(|Answered { answer, from, round_trip, attempts }| {
        let attempts = if explain { attempts } else { Vec::new() };
        (answer, Source { leaf: from, round_trip, attempts })
    })
}

/// The entries of a request's list that go to a part.
pub(crate) fn picked<T: Clone>(all: &[T], part: &Part) -> Vec<T> {
    let indexes = part.indexes.iter().filter_map(|&index| usize::try_from(index).ok());
    indexes.filter_map(|index| all.get(index).cloned()).collect()
}
