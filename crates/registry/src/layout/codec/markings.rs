//! The bytes of what people write.

use nautilus_proto::coordinator::v1 as proto;
use nautilus_types::{Epoch, PartitionId};

use super::{Broken, broken_name, leaf_text, optional_leaf};
use crate::layout::markings::{Cordon, CordonKind, GroupStanding, GroupState, MoveRequest, Note};
use crate::layout::names::LeafName;
use crate::layout::values::TEXT_BYTES_MAX;

impl Note {
    pub(super) fn check(&self) -> Result<(), Broken> {
        if self.owner.is_empty() {
            return Err("owner is empty".to_owned());
        }
        for (what, text) in [("owner", &self.owner), ("reason", &self.reason)] {
            // Shown on terminals: it must not move their cursor.
            if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
                return Err(format!("{what} is not a line of at most {TEXT_BYTES_MAX} bytes"));
            }
        }
        Ok(())
    }
}

impl CordonKind {
    fn to_proto(self) -> proto::CordonKind {
        match self {
            Self::Cordon => proto::CordonKind::Cordon,
            Self::Drain => proto::CordonKind::Drain,
        }
    }

    fn from_proto(number: i32) -> Result<Self, Broken> {
        let kind = proto::CordonKind::try_from(number)
            .map_err(|_| format!("unknown kind of cordon {number}"))?;
        match kind {
            proto::CordonKind::Unspecified => Err("no kind of cordon".to_owned()),
            proto::CordonKind::Cordon => Ok(Self::Cordon),
            proto::CordonKind::Drain => Ok(Self::Drain),
        }
    }
}

impl Cordon {
    pub(super) fn check(&self) -> Result<(), Broken> {
        self.note.check()
    }

    pub(super) fn to_proto(&self) -> proto::Cordon {
        proto::Cordon {
            leaf: self.leaf.to_string(),
            kind: self.kind.to_proto().into(),
            owner: self.note.owner.clone(),
            reason: self.note.reason.clone(),
            placed_unix_ms: self.placed_unix_ms,
        }
    }

    pub(super) fn from_proto(message: proto::Cordon) -> Result<Self, Broken> {
        let proto::Cordon { leaf, kind, owner, reason, placed_unix_ms } = message;
        let leaf = LeafName::new(leaf).map_err(broken_name)?;
        let (kind, note) = (CordonKind::from_proto(kind)?, Note { owner, reason });
        Ok(Self { leaf, kind, note, placed_unix_ms })
    }
}

impl MoveRequest {
    pub(super) fn check(&self) -> Result<(), Broken> {
        if self.epoch == Some(Epoch(0)) {
            return Err("epoch is 0".to_owned());
        }
        self.note.check()
    }

    pub(super) fn to_proto(&self) -> proto::MoveRequest {
        proto::MoveRequest {
            partition: self.partition.0,
            to_leaf: leaf_text(self.to.as_ref()),
            owner: self.note.owner.clone(),
            reason: self.note.reason.clone(),
            epoch: self.epoch.map_or(0, |epoch| epoch.0),
        }
    }

    pub(super) fn from_proto(message: proto::MoveRequest) -> Result<Self, Broken> {
        let proto::MoveRequest { partition, to_leaf, owner, reason, epoch } = message;
        Ok(Self {
            partition: PartitionId(partition),
            to: optional_leaf(to_leaf)?,
            epoch: (epoch > 0).then_some(Epoch(epoch)),
            note: Note { owner, reason },
        })
    }
}

impl GroupState {
    fn to_proto(self) -> proto::GroupState {
        match self {
            Self::Active => proto::GroupState::Active,
            Self::Drained => proto::GroupState::Drained,
        }
    }

    fn from_proto(number: i32) -> Result<Self, Broken> {
        let state = proto::GroupState::try_from(number)
            .map_err(|_| format!("unknown state of a group {number}"))?;
        match state {
            proto::GroupState::Unspecified => Err("no state of the group".to_owned()),
            proto::GroupState::Active => Ok(Self::Active),
            proto::GroupState::Drained => Ok(Self::Drained),
        }
    }
}

impl GroupStanding {
    pub(super) fn check(&self) -> Result<(), Broken> {
        self.note.check()
    }

    pub(super) fn to_proto(&self) -> proto::GroupStanding {
        proto::GroupStanding {
            state: self.state.to_proto().into(),
            owner: self.note.owner.clone(),
            reason: self.note.reason.clone(),
            placed_unix_ms: self.placed_unix_ms,
        }
    }

    pub(super) fn from_proto(message: proto::GroupStanding) -> Result<Self, Broken> {
        let proto::GroupStanding { state, owner, reason, placed_unix_ms } = message;
        let (state, note) = (GroupState::from_proto(state)?, Note { owner, reason });
        Ok(Self { state, note, placed_unix_ms })
    }
}
