//! Moves that people ask for.

use nautilus_registry::layout::{Assignment, Holder, LeafName, MoveRequest};
use nautilus_types::PartitionId;

use super::{Choice, Placement, Spares};
use crate::plan::reason::{Reason, WhyRefused};

/// What becomes of a request now.
enum Answer {
    /// The new owner, and who serves until it does.
    Go(LeafName, Option<Holder>),
    /// Something else comes first: it stays as it is.
    Wait,
}

impl Placement<'_> {
    /// Rule 5. What can be done is done within `moves_max`; what never could is refused; the rest waits.
    pub(in crate::plan) fn answer_requests(&mut self) {
        for (partition, request) in &self.observed.requests {
            match self.answer(*partition, request) {
                Ok(Answer::Go(leaf, retiring)) => {
                    if !self.change_owner(*partition, leaf, retiring, Reason::OperatorMove) {
                        self.refused.insert(*partition, WhyRefused::EpochsSpent);
                    }
                }
                Ok(Answer::Wait) => {}
                Err(why) => {
                    self.refused.insert(*partition, why);
                }
            }
        }
    }

    fn answer(&self, partition: PartitionId, request: &MoveRequest) -> Result<Answer, WhyRefused> {
        if partition.0 >= self.wanted.partitions {
            return Err(WhyRefused::UnknownPartition);
        }
        if self.changed.contains(&partition) {
            return Ok(Answer::Wait);
        }
        let assignment = self.assignments.get(&partition).ok_or(WhyRefused::Unassigned)?;
        let Assignment { owner, retiring, .. } = assignment;
        if !self.observed.is_live(&owner.leaf) {
            return Err(WhyRefused::Unassigned);
        }
        if request.epoch.is_some_and(|epoch| epoch != owner.epoch) {
            return Err(WhyRefused::OwnerChanged);
        }
        let to = match &request.to {
            Some(to) => self.check_target(to, assignment).map(|()| to.clone())?,
            None => self.choose_other(partition, retiring.as_ref())?,
        };
        // A move under way goes elsewhere, or back to where it comes from.
        if let Some(retiring) = retiring {
            let until = (retiring.leaf != to).then(|| retiring.clone());
            return Ok(Answer::Go(to, until));
        }
        if self.observed.is_failed(partition, owner) {
            let may_load = self.loading() < self.wanted.moves_max;
            return Ok(if may_load { Answer::Go(to, None) } else { Answer::Wait });
        }
        let may_move = self.moves < self.wanted.moves_max;
        Ok(if may_move { Answer::Go(to, Some(owner.clone())) } else { Answer::Wait })
    }

    /// Whether the leaf may be given the partition. That it failed there lately is for the person to know:
    /// its present leaf serves until the new one does.
    fn check_target(&self, to: &LeafName, assignment: &Assignment) -> Result<(), WhyRefused> {
        if assignment.owner.leaf == *to {
            return Err(WhyRefused::AlreadyThere);
        }
        if assignment.retiring.as_ref().is_some_and(|it| it.leaf == *to) {
            return Ok(());
        }
        let load = self.loads.get(to).ok_or(WhyRefused::LeafGone)?;
        if self.observed.is_leaving(to) {
            return Err(WhyRefused::LeafDraining);
        }
        if !self.observed.is_open(to) {
            return Err(WhyRefused::LeafCordoned);
        }
        if !self.has_room(load) {
            return Err(WhyRefused::LeafFull);
        }
        Ok(())
    }

    fn choose_other(
        &self,
        partition: PartitionId,
        retiring: Option<&Holder>,
    ) -> Result<LeafName, WhyRefused> {
        match self.choose(partition, Choice::Sound, Spares::Used) {
            Ok(leaf) => Ok(leaf),
            // The one it is coming from has it still, whatever else it may take.
            Err(_) => retiring.map(|it| it.leaf.clone()).ok_or(WhyRefused::NoOtherLeaf),
        }
    }
}
