//! The course of one partition's part: who was asked, who is asked next, and how it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nautilus_proto::root::v1::Attempt;
use nautilus_service::deadline::HOP_MARGIN;
use nautilus_types::Class;
use tonic::Status;

use super::{Answered, Ask, Dispatcher, Sent};
use crate::call::{CallError, Timed};
use crate::choice::{Prospect, Reason, choose};
use crate::failure::{
    BUILD_NOT_SERVED, Failure, PARTITION_NOT_SERVED, PARTITION_UNASSIGNED, ROUTING_UNKNOWN,
};
use crate::hedge::{Second, is_eligible};
use crate::metrics::{HedgeResult, RetryResult};
use crate::router::Routed;
use crate::routing::{LeafAddress, Replica, Standing};
use crate::stages::micros;
use crate::suspects::{Loss, Verdict};

/// What an ended attempt means for the part.
pub(super) enum Settled<T> {
    Answered(Answered<T>),
    Failed(Failure),
    /// Every other leaf would say the same: this ends the whole request.
    Refused(Box<Status>),
}

/// What becomes of a slow request.
pub(super) enum Hedge {
    /// Another one goes there, as this number.
    To(usize, Routed),
    /// Whoever is left is behind or silent, which may be over soon.
    Nobody,
    /// The budget is spent.
    Denied,
    /// Never: leaves may die of it, or its time is over.
    Never,
}

/// A request that was sent.
struct Tried {
    routed: Routed,
    reason: Reason,
    started: Instant,
    /// How it ended, and after what time.
    ended: Option<(String, Duration)>,
}

/// The part's course so far.
pub(super) struct Asking<'a> {
    dispatcher: &'a Dispatcher,
    ask: Ask<'a>,
    tried: Vec<Tried>,
    /// The replicas there were when the first choice was made.
    seen: Vec<Arc<Replica>>,
    has_retried: bool,
    has_waited: bool,
    /// Leaves may die of it: nobody else is asked.
    is_contained: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn new(dispatcher: &'a Dispatcher, ask: Ask<'a>) -> Self {
        Self {
            dispatcher,
            ask,
            tried: Vec::new(),
            seen: Vec::new(),
            has_retried: false,
            has_waited: false,
            is_contained: false,
        }
    }

    /// Whom to ask when nothing is under way: the first, or after `failure` another. None ends it.
    pub(super) async fn next(&mut self, failure: Option<&Failure>) -> Option<(usize, Routed)> {
        if let Some(failure) = failure {
            if self.is_contained || self.has_retried || !failure.is_retryable() || !self.has_time()
            {
                return None;
            }
            self.has_retried = true;
        }
        let mut candidates = self.untried();
        if candidates.is_empty() {
            candidates = self.changed().await?;
        }
        if failure.is_some() && !self.dispatcher.may_retry() {
            self.dispatcher.metrics.retry(RetryResult::Denied);
            return None;
        }
        let (routed, chosen) = self.choose(&candidates)?;
        let reason = match (failure, self.ask.group) {
            (Some(_), _) => Reason::Retry,
            (None, Some(_)) => Reason::Asked,
            (None, None) => chosen,
        };
        if reason == Reason::Retry {
            self.dispatcher.metrics.retry(RetryResult::Sent);
        }
        Some(self.start(routed, reason))
    }

    /// A second replica for the one that is slow, if there is a sound one and the budget allows it.
    pub(super) fn hedge(&mut self) -> Hedge {
        // It became suspect since, here or elsewhere.
        let (fingerprint, partition) = (self.ask.fingerprint, self.ask.part.partition);
        if self.dispatcher.suspects.is_suspect(fingerprint, partition) {
            return Hedge::Never;
        }
        if !self.has_time() {
            return Hedge::Never;
        }
        let candidates = self.eligible();
        if candidates.is_empty() {
            return Hedge::Nobody;
        }
        if !self.dispatcher.may_hedge() {
            return Hedge::Denied;
        }
        let Some((routed, _)) = self.choose(&candidates) else { return Hedge::Nobody };
        let (number, routed) = self.start(routed, Reason::Hedge);
        Hedge::To(number, routed)
    }

    /// Every other replica that is sound, along with the first.
    pub(super) fn hedge_all(&mut self) -> Vec<(usize, Routed)> {
        let all = self.eligible();
        let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
        self.dispatcher.metrics.hedge_by(HedgeResult::Sent, count);
        all.into_iter().map(|(routed, _)| self.start(routed, Reason::Hedge)).collect()
    }

    /// The replicas that may be asked beside the first.
    fn eligible(&mut self) -> Vec<(Routed, Prospect)> {
        let Some(first) = self.tried.first() else { return Vec::new() };
        let (standing, build) = (first.routed.replica.standing, first.routed.replica.build.clone());
        let mut candidates = self.untried();
        candidates.retain(|(routed, prospect)| {
            let second = Second {
                availability: prospect.availability,
                standing: prospect.standing,
                is_behind: prospect.is_behind,
                is_of_same_build: routed.replica.build == build,
            };
            is_eligible(&second, standing)
        });
        candidates
    }

    /// Takes the end of attempt `number`.
    pub(super) fn settle<T>(&mut self, number: usize, result: Sent<T>) -> Settled<T> {
        let now = self.dispatcher.clock.now();
        let outcome = match &result {
            Ok(_) => "OK".to_owned(),
            Err(CallError::Failed(failure)) => failure.reason.clone(),
            Err(CallError::Refused(_)) => "REFUSED".to_owned(),
        };
        let Some(tried) = self.tried.get_mut(number) else {
            return Settled::Failed(self.nobody());
        };
        let elapsed = now.saturating_duration_since(tried.started);
        tried.ended = Some((outcome, elapsed));
        let (reason, from) = (tried.reason, Arc::clone(&tried.routed.replica.at));
        let sent = tried.started;
        match result {
            Ok(Timed { answer, round_trip }) => {
                self.note_won(reason, elapsed, now);
                self.dispatcher.note_answered(&self.ask);
                let (fingerprint, partition) = (self.ask.fingerprint, self.ask.part.partition);
                self.dispatcher.suspects.answered(fingerprint, partition, sent);
                let attempts = self.to_proto(now);
                Settled::Answered(Answered { answer, from, round_trip, attempts })
            }
            Err(CallError::Refused(status)) => Settled::Refused(status),
            Err(CallError::Failed(failure)) => {
                if reason == Reason::Retry {
                    self.dispatcher.metrics.retry(RetryResult::Failed);
                }
                if failure.was_under_way {
                    self.note_lost(&from);
                }
                if failure.class == Class::Deadline {
                    self.measured([elapsed]);
                }
                Settled::Failed(failure)
            }
        }
    }

    /// The failure of a part that nobody could be asked for.
    pub(super) fn nobody(&self) -> Failure {
        let table = &self.dispatcher.router.routes().table;
        let reason = if table.revision.is_none() {
            ROUTING_UNKNOWN
        } else if self.is_only_of_other_builds() {
            BUILD_NOT_SERVED
        } else if table.assigned.contains(&self.ask.part.partition) {
            PARTITION_NOT_SERVED
        } else {
            PARTITION_UNASSIGNED
        };
        Failure::new(Class::Unavailable, reason)
    }

    /// Whether there are replicas, and none of the build asked for.
    fn is_only_of_other_builds(&self) -> bool {
        let any = Ask { build: None, ..self.ask };
        self.ask.build.is_some()
            && self.dispatcher.routable(&self.ask).is_empty()
            && !self.dispatcher.routable(&any).is_empty()
    }

    /// The leaf was lost while it had the request.
    fn note_lost(&mut self, at: &LeafAddress) {
        let loss = Loss {
            fingerprint: self.ask.fingerprint,
            partition: self.ask.part.partition,
            group: at.group.clone(),
            leaf: at.leaf.clone(),
            unix_ms: self.dispatcher.clock.unix_ms(),
        };
        let (fingerprint, partition) = (loss.fingerprint, loss.partition);
        match self.dispatcher.suspects.lost(loss) {
            Verdict::RetryOnce => {}
            Verdict::Contained => {
                self.is_contained = true;
                // Whoever looks for the query finds the fingerprint in the registry as well.
                tracing::error!(%fingerprint, %partition, group = %at.group, leaf = %at.leaf, "a request was under way when a second leaf was lost: it is refused from now on");
            }
        }
    }

    fn note_won(&self, reason: Reason, elapsed: Duration, now: Instant) {
        let metrics = &self.dispatcher.metrics;
        match reason {
            Reason::Hedge => metrics.hedge(HedgeResult::Won),
            Reason::Retry => metrics.retry(RetryResult::Won),
            Reason::Only | Reason::Fastest | Reason::Explore | Reason::Asked => {}
        }
        let hedges = self.tried.iter().filter(|tried| tried.reason == Reason::Hedge).count();
        let wasted = hedges.saturating_sub(usize::from(reason == Reason::Hedge));
        metrics.hedge_by(HedgeResult::Wasted, u64::try_from(wasted).unwrap_or(u64::MAX));
        // Those that lost would have taken at least this long.
        let lost = self.tried.iter().filter(|tried| tried.ended.is_none());
        let lost = lost.map(|tried| now.saturating_duration_since(tried.started));
        self.measured(lost.chain([elapsed]));
    }

    fn measured(&self, times: impl IntoIterator<Item = Duration>) {
        let (operation, partition) = (self.ask.operation, self.ask.part.partition);
        let mut windows = self.dispatcher.windows();
        times.into_iter().for_each(|elapsed| windows.add(operation, partition, elapsed));
    }

    fn has_time(&self) -> bool {
        self.ask.deadline.remaining(self.dispatcher.clock.now()) > HOP_MARGIN * 2
    }

    fn prospects(&self, routable: Vec<Routed>) -> Vec<(Routed, Prospect)> {
        let now = self.dispatcher.clock.now();
        let (partition, min) = (self.ask.part.partition, self.ask.part.min_next_offset);
        let with_prospect = |routed: Routed| {
            let standing = routed.replica.standing;
            let prospect = routed.leaf.state.prospect(partition, standing, min, now);
            (routed, prospect)
        };
        routable.into_iter().map(with_prospect).collect()
    }

    /// Those that were not asked yet.
    fn untried(&mut self) -> Vec<(Routed, Prospect)> {
        let mut routable = self.dispatcher.routable(&self.ask);
        if self.tried.is_empty() {
            self.seen = routable.iter().map(|routed| Arc::clone(&routed.replica)).collect();
        }
        let is_tried = |routed: &Routed| {
            self.tried.iter().any(|tried| tried.routed.replica.at == routed.replica.at)
        };
        routable.retain(|routed| !is_tried(routed));
        self.prospects(routable)
    }

    /// Waits a moment for the partition's replicas to become others than those seen, and gives them
    /// all: one that came back may be among them. Only once; none if nothing changes.
    async fn changed(&mut self) -> Option<Vec<(Routed, Prospect)>> {
        if std::mem::replace(&mut self.has_waited, true) {
            return None;
        }
        let now = self.dispatcher.clock.now();
        let left = self.ask.deadline.for_next_hop(now, HOP_MARGIN * 2)?;
        let mut changes = self.dispatcher.router.subscribe();
        let seen = &self.seen;
        let differ = || {
            let routable = self.dispatcher.routable(&self.ask);
            let replicas = routable.iter().map(|routed| &routed.replica);
            (!routable.is_empty() && !replicas.eq(seen.iter())).then_some(routable)
        };
        let waited = async {
            loop {
                if let Some(routable) = differ() {
                    return Some(routable);
                }
                changes.changed().await.ok()?;
            }
        };
        let pause = self.dispatcher.config.retry_pause.min(left);
        let routable = tokio::time::timeout(pause, waited).await.ok()??;
        Some(self.prospects(routable))
    }

    fn choose(&self, candidates: &[(Routed, Prospect)]) -> Option<(Routed, Reason)> {
        let prospects: Vec<Prospect> = candidates.iter().map(|(_, prospect)| *prospect).collect();
        let (index, reason) = choose(&prospects, rand::random())?;
        candidates.get(index).map(|(routed, _)| (routed.clone(), reason))
    }

    fn start(&mut self, routed: Routed, reason: Reason) -> (usize, Routed) {
        if self.ask.group.is_none() && routed.replica.standing == Standing::GroupDrained {
            self.dispatcher.metrics.asked_drained_group();
        }
        let started = self.dispatcher.clock.now();
        self.tried.push(Tried { routed: routed.clone(), reason, started, ended: None });
        (self.tried.len() - 1, routed)
    }

    fn to_proto(&self, now: Instant) -> Vec<Attempt> {
        let began = self.ask.began;
        let attempt = |tried: &Tried| {
            let cancelled =
                || ("CANCELLED".to_owned(), now.saturating_duration_since(tried.started));
            let (outcome, duration) = tried.ended.clone().unwrap_or_else(cancelled);
            Attempt {
                leaf: tried.routed.replica.at.leaf.to_string(),
                replica_group: tried.routed.replica.at.group.to_string(),
                reason: tried.reason.name().to_owned(),
                outcome,
                start_us: micros(tried.started.saturating_duration_since(began)),
                duration_us: micros(duration),
            }
        };
        self.tried.iter().map(attempt).collect()
    }
}
