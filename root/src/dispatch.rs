//! Asks one partition until it has answered or its chances are used up.
//!
//! ```text
//! choice ─► first request ──┬─ answered ─► checked, fenced ─► done, the others are dropped
//!   (mode `all`: the others ├─ slow ─────► hedge: one more replica, within the hedge budget
//!    along with it)         │
//!                           └─ failed ───► retry: one more replica, within the retry budget, unless leaves
//!                                          may die of it (see `suspects`);
//!                                          without one, a short wait for the routing table to change
//! ```

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use nautilus_proto::root::v1::Attempt;
use nautilus_registry::layout::GroupName;
use nautilus_service::{Clock, Deadline};
use tonic::Status;

use crate::RootError;
use crate::answer::{AnswerProblem, Labelled};
use crate::budget::TokenBucket;
use crate::builds;
use crate::call::{CallError, Timed};
use crate::config::Dispatching;
use crate::failure::Failure;
use crate::fingerprint::{Fingerprint, Seen};
use crate::hedge::{self, HedgeMode, Hedging};
use crate::metrics::{HedgeResult, RootMetrics};
use crate::plan::Part;
use crate::router::{Leaf, Routed, Router};
use crate::routing::LeafAddress;
use crate::suspect_sharing::SharedSuspects;

mod asking;
mod attempt;
mod windows;

use asking::{Asking, Hedge, Settled};
use windows::Windows;

/// What leaves are asked for. Times of one kind say nothing of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Operation {
    Search,
    Suggest,
    Fetch,
    List,
}

impl Operation {
    /// Whether a second request may go out for a slow one. A list is long and nobody waits for it.
    fn may_hedge(self) -> bool {
        match self {
            Self::Search | Self::Suggest | Self::Fetch => true,
            Self::List => false,
        }
    }
}

/// What is asked of one partition, whoever answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) operation: Operation,
    /// What is asked, wherever.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) part: &'a Part,
    /// Only replicas of this group.
    pub(crate) group: Option<&'a GroupName>,
    /// Only replicas of this build, and answers of it.
    pub(crate) build: Option<&'a str>,
    pub(crate) deadline: Deadline,
    /// When the caller's request began.
    pub(crate) began: Instant,
}

/// An answer, checked.
#[derive(Debug, Clone)]
pub(crate) struct Answered<T> {
    pub(crate) answer: T,
    pub(crate) from: Arc<LeafAddress>,
    pub(crate) round_trip: Duration,
    /// Every request that was sent, in order.
    pub(crate) attempts: Vec<Attempt>,
}

/// What became of one partition's part; an error is a refusal of the whole request.
pub(crate) type Dispatched<T> = Result<Result<Answered<T>, Failure>, Box<Status>>;

/// Sends requests to replicas.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) router: Arc<Router>,
    pub(crate) clock: Clock,
    pub(crate) metrics: RootMetrics,
    config: Dispatching,
    budgets: Mutex<Budgets>,
    windows: Mutex<Windows>,
    /// What was answered before.
    answered: Mutex<Seen>,
    pub(crate) suspects: Arc<SharedSuspects>,
}

#[derive(Debug)]
struct Budgets {
    retry: TokenBucket,
    hedge: TokenBucket,
}

impl Dispatcher {
    pub(crate) fn new(
        config: Dispatching,
        router: Arc<Router>,
        clock: Clock,
        metrics: RootMetrics,
    ) -> Self {
        let suspects = Arc::new(SharedSuspects::new(clock.clone(), metrics.clone()));
        let budgets = Budgets {
            retry: TokenBucket::new(config.retry_budget_percent, config.retry_burst),
            hedge: TokenBucket::new(config.hedge_budget_percent, config.hedge_burst),
        };
        Self {
            router,
            clock,
            metrics,
            config,
            budgets: Mutex::new(budgets),
            windows: Mutex::default(),
            answered: Mutex::default(),
            suspects,
        }
    }

    /// Asks the replicas of one partition. `send` sends the message to one leaf; `check` says whether
    /// what came back is an answer. Dropping the future cancels whatever is under way.
    pub(crate) async fn ask<T, S, F, C>(&self, ask: Ask<'_>, send: S, check: C) -> Dispatched<T>
    where
        T: Labelled,
        S: Fn(Leaf) -> F,
        F: Future<Output = Sent<T>>,
        C: Fn(&T) -> Result<(), AnswerProblem>,
    {
        if let Some(left) = self.suspects.refused_for(ask.fingerprint) {
            self.metrics.refused();
            return Err(Box::new(RootError::Quarantined { left }.into()));
        }
        self.earn();
        let mut asking = Asking::new(self, ask);
        let mut running = FuturesUnordered::new();
        let mut failure = None;
        let hedge_timer = tokio::time::sleep(Duration::MAX);
        tokio::pin!(hedge_timer);
        let mut delay = None;
        loop {
            if running.is_empty() {
                let Some((number, routed)) = asking.next(failure.as_ref()).await else {
                    return Ok(Err(failure.unwrap_or_else(|| asking.nobody())));
                };
                running.push(self.attempt(ask, number, routed, &send, &check));
                if number == 0 {
                    match self.hedging(&ask) {
                        Hedging::Never => {}
                        Hedging::After(after) => {
                            delay = Some(after);
                            hedge_timer.as_mut().reset(tokio::time::Instant::now() + after);
                        }
                        Hedging::AtOnce => {
                            for (number, routed) in asking.hedge_all() {
                                running.push(self.attempt(ask, number, routed, &send, &check));
                            }
                        }
                    }
                }
            }
            tokio::select! {
                biased;
                Some((number, result)) = running.next() => match asking.settle(number, result) {
                    Settled::Answered(answered) => return Ok(Ok(answered)),
                    Settled::Refused(status) => return Err(status),
                    Settled::Failed(failed) => failure = Some(failed),
                },
                () = &mut hedge_timer, if delay.is_some() => {
                    match asking.hedge() {
                        Hedge::To(number, routed) => {
                            delay = None;
                            running.push(self.attempt(ask, number, routed, &send, &check));
                        }
                        Hedge::Never => delay = None,
                        // What is still slow after twice the time needs it more than what was a little late.
                        Hedge::Denied => delay = delay.map(|delay| delay.saturating_mul(2)),
                        Hedge::Nobody => {}
                    }
                    if let Some(delay) = delay {
                        hedge_timer.as_mut().reset(tokio::time::Instant::now() + delay);
                    }
                }
            }
        }
    }

    fn budgets(&self) -> MutexGuard<'_, Budgets> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn earn(&self) {
        self.metrics.asked();
        let mut budgets = self.budgets();
        budgets.retry.earn();
        budgets.hedge.earn();
    }

    fn may_retry(&self) -> bool {
        self.budgets().retry.spend()
    }

    fn may_hedge(&self) -> bool {
        let may = self.budgets().hedge.spend();
        self.metrics.hedge(if may { HedgeResult::Sent } else { HedgeResult::Denied });
        may
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hedging(&self, ask: &Ask<'_>) -> Hedging {
        let is_suspect = || self.suspects.is_suspect(ask.fingerprint, ask.part.partition);
        if !ask.operation.may_hedge() || is_suspect() {
            return Hedging::Never;
        }
        let (mode, delay_min) = (self.config.hedge_mode, self.config.hedge_delay_min);
        let was_answered = mode == HedgeMode::All && self.answered().contains(ask.fingerprint);
        let percentile = self.windows().percentile(ask.operation, ask.part.partition);
        hedge::hedging(mode, was_answered, percentile, delay_min)
    }

    fn answered(&self) -> MutexGuard<'_, Seen> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that it was answered, where that matters.
    fn note_answered(&self, ask: &Ask<'_>) {
        if self.config.hedge_mode == HedgeMode::All {
            self.answered().add(ask.fingerprint);
        }
    }

    /// The replicas of the part that may be asked at the moment.
    fn routable(&self, ask: &Ask<'_>) -> Vec<Routed> {
        let is_live = self.router.is_registry_live();
        let routes = self.router.routes();
        let all = routes.routable(ask.part.partition, is_live);
        all.filter(|routed| ask.group.is_none_or(|group| *group == routed.replica.at.group))
            .filter(|routed| ask.build.is_none_or(|build| build == routed.replica.build))
            .collect()
    }

    /// The builds that may be asked for these parts, best first.
    pub(crate) fn builds(&self, parts: &[Part], group: Option<&GroupName>) -> Vec<String> {
        let is_live = self.router.is_registry_live();
        let routes = self.router.routes();
        let replicas: Vec<Vec<Routed>> = parts
            .iter()
            .map(|part| {
                let all = routes.routable(part.partition, is_live);
                all.filter(|it| group.is_none_or(|group| *group == it.replica.at.group)).collect()
            })
            .collect();
        let parts: Vec<Vec<_>> = replicas
            .iter()
            .map(|all| all.iter().map(|it| (it.replica.standing, it.replica.build.as_str())))
            .map(Iterator::collect)
            .collect();
        builds::ranked(&parts, rand::random()).into_iter().map(str::to_owned).collect()
    }
}

/// What the client library gives back.
pub(crate) type Sent<T> = Result<Timed<T>, CallError>;
