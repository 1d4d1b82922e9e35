//! One request to one replica, counted until it ends or is dropped.

use std::future::Future;
use std::time::{Duration, Instant};

use nautilus_proto::common::v1::PartitionLabel;
use nautilus_types::{Class, Epoch, PartitionId};
use tracing::Instrument as _;

use super::{Ask, Dispatcher, Sent};
use crate::answer::{AnswerProblem, Labelled};
use crate::call::{CallError, Timed};
use crate::failure::{
    ANSWER_INVALID, ANSWER_LEASE_UNCERTAIN, ANSWER_OF_OTHER_BUILD, ANSWER_STALE_EPOCH, Failure,
};
use crate::leaf_state::End;
use crate::router::{Leaf, Routed};
use crate::work::WorkGuard;

impl Dispatcher {
    /// Sends the request and checks what comes back. `number` is handed through.
    pub(super) async fn attempt<T, S, F, C>(
        &self,
        ask: Ask<'_>,
        number: usize,
        routed: Routed,
        send: &S,
        check: &C,
    ) -> (usize, Sent<T>)
    where
        T: Labelled,
        S: Fn(Leaf) -> F,
        F: Future<Output = Sent<T>>,
        C: Fn(&T) -> Result<(), AnswerProblem>,
    {
        let mut under_way = UnderWay::begin(self, ask.part.partition, &routed);
        let at = &routed.replica.at;
        let span = tracing::info_span!("ask_leaf", partition = ask.part.partition.0, group = %at.group, leaf = %at.leaf);
        let result = match send(routed.leaf.client.clone()).instrument(span).await {
            Ok(timed) => self.accepted(&ask, &routed, timed, check),
            Err(error) => Err(error),
        };
        under_way.end = match &result {
            Ok(_) => End::Answered,
            Err(CallError::Failed(failure)) => failure.end(),
            Err(CallError::Refused(_)) => End::Refused,
        };
        (number, result)
    }

    /// The answer, if it is one and its leaf may still give it.
    fn accepted<T: Labelled>(
        &self,
        ask: &Ask<'_>,
        routed: &Routed,
        mut timed: Timed<T>,
        check: impl Fn(&T) -> Result<(), AnswerProblem>,
    ) -> Sent<T> {
        let replica = &routed.replica;
        let (partition, group) = (replica.partition, &replica.at.group);
        if let Err(problem) = check(&timed.answer) {
            let leaf = &replica.at.leaf;
            tracing::error!(%partition, %group, %leaf, %problem, "a leaf's answer was not taken");
            return Err(CallError::Failed(Failure::new(Class::Bug, ANSWER_INVALID)));
        }
        if let Some(label) = timed.answer.label_mut() {
            // It may have been exchanged since it was announced.
            if ask.build.is_some_and(|build| build != label.build) {
                let failure = Failure::new(Class::Unavailable, ANSWER_OF_OTHER_BUILD);
                return Err(CallError::Failed(failure));
            }
            self.fence(routed, label).map_err(CallError::Failed)?;
            routed.leaf.state.showed(partition, label.next_offset, self.clock.now());
        }
        Ok(timed)
    }

    /// Drops answers of holders that may have been replaced, as long as the registry says who they
    /// are. Without it such answers are better than none, and say so.
    pub(crate) fn fence(&self, routed: &Routed, label: &mut PartitionLabel) -> Result<(), Failure> {
        let replica = &routed.replica;
        let table = &self.router.routes().table;
        let is_outdated =
            table.is_outdated(&replica.at.group, replica.partition, Epoch(label.epoch));
        if !self.router.is_registry_live() {
            label.is_lease_uncertain |= is_outdated;
            return Ok(());
        }
        if is_outdated {
            return Err(Failure::new(Class::Fenced, ANSWER_STALE_EPOCH));
        }
        if label.is_lease_uncertain {
            return Err(Failure::new(Class::Fenced, ANSWER_LEASE_UNCERTAIN));
        }
        Ok(())
    }
}

/// A request that has not ended. Dropped early it counts as abandoned.
struct UnderWay<'a> {
    dispatcher: &'a Dispatcher,
    routed: Routed,
    partition: PartitionId,
    started: Instant,
    end: End,
    _work: WorkGuard,
}

impl<'a> UnderWay<'a> {
    fn begin(dispatcher: &'a Dispatcher, partition: PartitionId, routed: &Routed) -> Self {
        routed.leaf.state.started(partition);
        Self {
            dispatcher,
            routed: routed.clone(),
            partition,
            started: dispatcher.clock.now(),
            end: End::Abandoned,
            _work: dispatcher.metrics.attempts.begin(),
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let now = self.dispatcher.clock.now();
        let elapsed: Duration = now.saturating_duration_since(self.started);
        self.routed.leaf.state.ended(self.partition, self.end, elapsed, now);
    }
}
