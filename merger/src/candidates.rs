//! From a scope and a query to ranked candidates: one question to the root, or several where the
//! first found nothing or did not settle which candidates are the best.

use std::time::Duration;

use nautilus_identity::{Purpose, query_hash};
use nautilus_proto::leaf::v1::Statistics;
use nautilus_proto::query_to_proto;
use nautilus_proto::root::v1 as root;
use nautilus_query::Node;
use nautilus_service::Deadline;
use nautilus_types::Class;
use prost::Message as _;

use crate::MergerError;
use crate::consistency::to_proto;
use crate::coverage::{Asked, Coverage};
use crate::error::PageTokenProblem;
use crate::rank::{Namespace, Order};
use crate::root_client::{Root, RootError};
use crate::scope::{asked, to_ref};
use crate::search::Run;
use crate::stopwatch::micros;
use crate::understand::Understood;

/// Kept back from the caller's time for what comes after the candidates, at most.
const RESERVE_MAX: Duration = Duration::from_millis(500);
/// With less than this left of the budget, another question is not worth asking.
const BUDGET_MIN: Duration = Duration::from_millis(1);

/// What the partitions found.
#[derive(Debug)]
pub(crate) struct Found {
    /// What was searched for.
    pub(crate) tree: Node,
    pub(crate) response: root::SearchResponse,
    /// What candidates are to be ranked by.
    pub(crate) statistics: Statistics,
    pub(crate) coverage: Coverage,
    /// Which build all answers are of; empty = what is fed from the log alone.
    pub(crate) build: String,
    pub(crate) is_relaxed: bool,
    pub(crate) is_truncated: bool,
}

/// A question to the root.
struct Question<'q> {
    tree: &'q Node,
    /// What leaves choose by; none = each by its own.
    statistics: Option<&'q Statistics>,
    limit: usize,
    /// Which build; none = one that the root chooses.
    build: Option<&'q str>,
    budget: Duration,
}

impl Run<'_> {
    /// Asks for all words, and where that finds nothing and the caller lets us, for any. A search
    /// that was cut off has not shown that there is nothing. Later pages ask as page one ended up.
    pub(crate) async fn find(
        &mut self,
        scope: &[Namespace],
        understood: &Understood,
    ) -> Result<Found, MergerError> {
        // Asked again because the access check took a namespace away, it gets at least a quarter.
        let budget = self.budget_left().max(self.wish.budget / 4);
        if self.progress.is_some() {
            return self.find_more(scope, understood, budget).await;
        }
        let mut found = self.find_first(scope, &understood.tree, budget).await?;
        let Some(relaxed) = &understood.relaxed else { return Ok(found) };
        if found.response.total_hits > 0 || found.is_truncated {
            return Ok(found);
        }
        let left = self.budget_left();
        if left < BUDGET_MIN {
            found.is_truncated = true;
            return Ok(found);
        }
        Ok(Found { is_relaxed: true, ..self.find_first(scope, relaxed, left).await? })
    }

    /// The first page. Leaves that hold a part of the scope each choose by the statistics of that
    /// part, so where one of them has more matches than it gave, all are asked again by those of
    /// the whole scope.
    async fn find_first(
        &mut self,
        scope: &[Namespace],
        tree: &Node,
        budget: Duration,
    ) -> Result<Found, MergerError> {
        let limit = self.first_limit(scope);
        let question = Question { tree, statistics: None, limit, build: None, budget };
        let (response, coverage) = self.ask(scope, question).await?;
        let mut first = Found::of(tree, response, coverage);
        if first.is_truncated || self.wish.order != Order::Relevance || !first.is_open() {
            return Ok(first);
        }
        let budget = self.budget_left();
        if budget >= BUDGET_MIN {
            let limit = self.wish.page_size + 1;
            let statistics = Some(&first.statistics);
            let build = Some(first.build.as_str());
            let question = Question { tree, statistics, limit, build, budget };
            match self.ask(scope, question).await {
                Ok((response, coverage))
                    if !response.truncated && coverage.answered() >= first.coverage.answered() =>
                {
                    // Ranked as they were chosen: by the statistics given, not by newer ones.
                    let statistics = first.statistics;
                    return Ok(Found { statistics, ..Found::of(tree, response, coverage) });
                }
                Ok(_) => {}
                Err(error) if is_passing(error.class()) => {}
                Err(error) => return Err(error),
            }
        }
        // What there is may still be shown, and is not called the best.
        first.is_truncated = true;
        Ok(first)
    }

    /// A later page: everything as page one froze it.
    async fn find_more(
        &mut self,
        scope: &[Namespace],
        understood: &Understood,
        budget: Duration,
    ) -> Result<Found, MergerError> {
        let stale = || MergerError::PageToken(PageTokenProblem::Query);
        let progress = self.progress.clone().ok_or_else(stale)?;
        let is_relaxed = progress.is_relaxed;
        let tree = match is_relaxed {
            true => understood.relaxed.as_ref().ok_or_else(stale)?,
            false => &understood.tree,
        };
        let statistics = progress.statistics;
        if statistics.document_frequencies.len() != tree.scoring_leaves().len() {
            return Err(stale());
        }
        let limit = self.wish.page_size + 1;
        // A token from before there were builds names none.
        let build = progress.build.as_deref();
        let question = Question { tree, statistics: Some(&statistics), limit, build, budget };
        let (response, coverage) = self.ask(scope, question).await?;
        Ok(Found { statistics, is_relaxed, ..Found::of(tree, response, coverage) })
    }

    /// One more than the page holds, so that it is seen whether there is another; of a scope in
    /// several partitions more, so that most are settled by one question.
    fn first_limit(&self, scope: &[Namespace]) -> usize {
        let page = self.wish.page_size + 1;
        let map = &self.core.config.map;
        if self.wish.order == Order::Relevance && asked(map, scope, &self.min).len() > 1 {
            let wide = usize::try_from(self.core.config.candidates_per_partition);
            return page.max(wide.unwrap_or(page));
        }
        page
    }

    async fn ask(
        &mut self,
        scope: &[Namespace],
        question: Question<'_>,
    ) -> Result<(root::SearchResponse, Coverage), MergerError> {
        let (core, config) = (self.core, &self.core.config);
        let query = query_to_proto(question.tree);
        let hash = query_hash(&query.encode_to_vec());
        let mut asked = asked(&config.map, scope, &self.min);
        let mut changed_before = Asked::new();
        if let Some(progress) = &self.progress {
            for (partition, offset) in &mut asked {
                if let Some(first) = progress.offsets.get(partition) {
                    *offset = (*offset).max(*first);
                    changed_before.insert(*partition, *first);
                }
            }
        }
        let message = root::SearchRequest {
            grant: core.grant(&self.caller, scope, Purpose::Search, hash)?,
            map_version: config.map.version,
            namespaces: scope.iter().map(to_ref).collect(),
            query: Some(query),
            limit: u32::try_from(question.limit).unwrap_or(u32::MAX),
            budget_us: micros(question.budget),
            min_offsets: to_proto(&asked),
            replica_group: match &self.shadow_on {
                Some(target) => target.replica_group.clone(),
                None => self.wish.replica_group.clone(),
            },
            filter: self.wish.filter,
            sort: self.wish.sort,
            after: self.progress.as_ref().map(|progress| progress.place.to_proto()),
            statistics: question.statistics.cloned(),
            changed_before: to_proto(&changed_before),
            explain: self.wish.explains,
            build: match &self.shadow_on {
                Some(target) => Some(target.build.clone()),
                None => question.build.map(str::to_owned),
            },
        };
        let deadline = self.candidates_deadline();
        let is_shadow = self.shadow_on.is_some();
        let send = |mut root: Root, message| async move {
            if is_shadow { root.search_shadow(message).await } else { root.search(message).await }
        };
        let sent = core.roots.call(&core.clock, deadline, message, send).await;
        self.track.watch.lap("root");
        let response = sent.map_err(|error| self.min.blame(error))?;
        self.track.answered(asked.len(), &response);
        let labels = response.answers.iter().map(|answer| answer.label.as_ref());
        let coverage =
            Coverage::of(&asked, labels, &response.failures).map_err(RootError::Coverage)?;
        if self.progress.is_some() && coverage.is_without_build() {
            return Err(MergerError::PageToken(PageTokenProblem::Build));
        }
        self.require_usable(&coverage)?;
        Ok((response, coverage))
    }

    /// What is left of the time to fetch candidates in.
    fn budget_left(&self) -> Duration {
        self.wish.budget.saturating_sub(self.track.watch.spent("root"))
    }

    /// The candidates must be here early enough for the rest of the work.
    fn candidates_deadline(&self) -> Deadline {
        let now = self.core.clock.now();
        let left = self.deadline.remaining(now);
        Deadline::after(now, left.saturating_sub(RESERVE_MAX.min(left / 4)))
    }
}

impl Found {
    fn of(tree: &Node, response: root::SearchResponse, coverage: Coverage) -> Self {
        let labels = response.answers.iter().filter_map(|answer| answer.label.as_ref());
        let build = labels.map(|label| label.build.clone()).next().unwrap_or_default();
        Self {
            tree: tree.clone(),
            statistics: response.statistics.clone().unwrap_or_default(),
            is_truncated: response.truncated,
            response,
            coverage,
            build,
            is_relaxed: false,
        }
    }

    /// Whether a partition has matches it did not give, and another partition was weighed by other
    /// statistics.
    fn is_open(&self) -> bool {
        let answers = &self.response.answers;
        answers.len() > 1
            && answers.iter().any(|answer| u64::from(answer.candidates) < answer.total_hits)
    }
}

/// Whether a question failed for want of time or of a replica, and not because something is wrong.
fn is_passing(class: Class) -> bool {
    match class {
        Class::Deadline | Class::Unavailable | Class::Overloaded | Class::Cancelled => true,
        Class::Invalid
        | Class::Unauthenticated
        | Class::Denied
        | Class::NotFound
        | Class::Conflict
        | Class::Precondition
        | Class::Fenced
        | Class::Corrupt
        | Class::Bug => false,
    }
}
