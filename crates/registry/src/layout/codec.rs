//! The bytes of values.
//!
//! What is written is checked by the same rules as what is read, so nothing unreadable gets in.

use std::collections::BTreeSet;

use bytes::Bytes;
use nautilus_proto::coordinator::v1 as proto;
use nautilus_types::{Epoch, PartitionId};
use prost::Message;

use super::builds::GroupBuild;
use super::digests::PartitionDigests;
use super::markings::{Cordon, GroupStanding, MoveRequest};
use super::names::{CoordinatorName, InvalidName, LeafName};
use super::shadow::ShadowSearches;
use super::values::{
    Assignment, Decision, HELD_BACK_BYTES_MAX, Holder, Leader, LeafRegistration, REFUSED_MOVES_MAX,
    RefusedMove, Replica, ReplicaState, TEXT_BYTES_MAX, UNASSIGNED_MAX, WHY_BYTES_MAX,
};
use crate::RegistryError;

mod builds;
mod digests;
mod markings;
mod shadow;

/// A rule that a value breaks.
type Broken = String;

fn read<M: Message + Default>(what: &str, bytes: &[u8]) -> Result<M, RegistryError> {
    M::decode(bytes).map_err(|error| corrupt(what, error.to_string()))
}

fn corrupt(what: &str, problem: Broken) -> RegistryError {
    RegistryError::Corrupt { problem: format!("{what}: {problem}") }
}

fn refused(problem: Broken) -> RegistryError {
    RegistryError::Invalid { what: "value", problem }
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

fn check_address(address: &str) -> Result<(), Broken> {
    let rest = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
    let is_uri = rest.is_some_and(|rest| !rest.is_empty());
    if is_uri && address.len() <= TEXT_BYTES_MAX && is_visible(address) {
        return Ok(());
    }
    Err(format!("address {address:?} is no http or https URI of at most {TEXT_BYTES_MAX} bytes"))
}

fn check_epoch(epoch: Epoch) -> Result<(), Broken> {
    if epoch.0 == 0 { Err("epoch is 0".to_owned()) } else { Ok(()) }
}

/// `bytes_max` is part of what is refused, not only a cut for people.
fn check_upper_snake(what: &str, text: &str, bytes_max: usize) -> Result<(), Broken> {
    let is_upper_snake = text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    if is_upper_snake && text.len() <= bytes_max {
        return Ok(());
    }
    Err(format!("{what} {text:?} is not UPPER_SNAKE of at most {bytes_max} bytes"))
}

/// Empty = none.
fn optional_leaf(name: String) -> Result<Option<LeafName>, Broken> {
    if name.is_empty() { Ok(None) } else { LeafName::new(name).map(Some).map_err(broken_name) }
}

fn leaf_text(leaf: Option<&LeafName>) -> String {
    leaf.map(ToString::to_string).unwrap_or_default()
}

fn broken_name(error: InvalidName) -> Broken {
    error.to_string()
}

/// Gives a type its `encode` and `decode`, from `check`, `to_proto` and `from_proto`.
macro_rules! codec {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Its bytes. `Invalid` where a field breaks a rule of its type.
            pub fn encode(&self) -> Result<Bytes, RegistryError> {
                self.check().map_err(refused)?;
                Ok(self.to_proto().encode_to_vec().into())
            }

            /// Reads what [`encode`](Self::encode) wrote, passing over fields of newer versions. `Corrupt`.
            pub fn decode(bytes: &[u8]) -> Result<Self, RegistryError> {
                let value = Self::from_proto(read($what, bytes)?)
                    .map_err(|problem| corrupt($what, problem))?;
                value.check().map_err(|problem| corrupt($what, problem))?;
                Ok(value)
            }
        }
    };
}

codec!(LeafRegistration, "leaf registration");
codec!(Assignment, "assignment");
codec!(Replica, "replica");
codec!(Leader, "leader");
codec!(Decision, "decision");
codec!(Cordon, "cordon");
codec!(MoveRequest, "move request");
codec!(GroupStanding, "group standing");
codec!(GroupBuild, "group build");
codec!(PartitionDigests, "partition digests");
codec!(ShadowSearches, "shadow searches");

impl LeafRegistration {
    fn check(&self) -> Result<(), Broken> {
        check_address(&self.address)
    }

    fn to_proto(&self) -> proto::LeafRegistration {
        proto::LeafRegistration {
            leaf: self.leaf.to_string(),
            address: self.address.clone(),
            start: self.start,
            is_draining: self.is_draining,
        }
    }

    fn from_proto(message: proto::LeafRegistration) -> Result<Self, Broken> {
        let proto::LeafRegistration { leaf, address, start, is_draining } = message;
        let leaf = LeafName::new(leaf).map_err(broken_name)?;
        Ok(Self { leaf, address, start, is_draining })
    }
}

impl Holder {
    fn to_proto(&self) -> proto::Holder {
        proto::Holder { leaf: self.leaf.to_string(), epoch: self.epoch.0 }
    }

    fn from_proto(message: &proto::Holder) -> Result<Self, Broken> {
        let leaf = LeafName::new(&message.leaf).map_err(broken_name)?;
        Ok(Self { leaf, epoch: Epoch(message.epoch) })
    }
}

impl Assignment {
    fn check(&self) -> Result<(), Broken> {
        check_epoch(self.owner.epoch)?;
        if let Some(retiring) = &self.retiring {
            check_epoch(retiring.epoch)?;
            if retiring.epoch >= self.owner.epoch {
                let (old, new) = (retiring.epoch, self.owner.epoch);
                return Err(format!("retiring epoch {old} is not below the owner's {new}"));
            }
        }
        check_upper_snake("reason", &self.reason, TEXT_BYTES_MAX)
    }

    fn to_proto(&self) -> proto::Assignment {
        proto::Assignment {
            partition: self.partition.0,
            owner: Some(self.owner.to_proto()),
            retiring: self.retiring.as_ref().map(Holder::to_proto),
            reason: self.reason.clone(),
            is_pinned: self.is_pinned,
        }
    }

    fn from_proto(message: proto::Assignment) -> Result<Self, Broken> {
        let proto::Assignment { partition, owner, retiring, reason, is_pinned } = message;
        let owner = owner.ok_or("no owner")?;
        let retiring = retiring.as_ref().map(Holder::from_proto).transpose()?;
        let owner = Holder::from_proto(&owner)?;
        Ok(Self { partition: PartitionId(partition), owner, retiring, reason, is_pinned })
    }
}

impl ReplicaState {
    fn to_proto(self) -> proto::ReplicaState {
        match self {
            Self::Downloading => proto::ReplicaState::Downloading,
            Self::Replaying => proto::ReplicaState::Replaying,
            Self::Serving => proto::ReplicaState::Serving,
            Self::Draining => proto::ReplicaState::Draining,
            Self::Failed => proto::ReplicaState::Failed,
        }
    }

    fn from_proto(number: i32) -> Result<Self, Broken> {
        let state = proto::ReplicaState::try_from(number)
            .map_err(|_| format!("unknown replica state {number}"))?;
        match state {
            proto::ReplicaState::Unspecified => Err("no replica state".to_owned()),
            proto::ReplicaState::Downloading => Ok(Self::Downloading),
            proto::ReplicaState::Replaying => Ok(Self::Replaying),
            proto::ReplicaState::Serving => Ok(Self::Serving),
            proto::ReplicaState::Draining => Ok(Self::Draining),
            proto::ReplicaState::Failed => Ok(Self::Failed),
        }
    }
}

impl Replica {
    fn check(&self) -> Result<(), Broken> {
        check_address(&self.address)?;
        check_epoch(self.epoch)?;
        match &self.build {
            Some(build)
                if build.is_empty() || build.len() > TEXT_BYTES_MAX || !is_visible(build) =>
            {
                Err(format!("build {build:?} is not 1 to {TEXT_BYTES_MAX} printable characters"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn to_proto(&self) -> proto::Replica {
        proto::Replica {
            partition: self.partition.0,
            leaf: self.leaf.to_string(),
            address: self.address.clone(),
            epoch: self.epoch.0,
            state: self.state.to_proto().into(),
            build: self.build.clone().unwrap_or_default(),
        }
    }

    fn from_proto(message: proto::Replica) -> Result<Self, Broken> {
        let proto::Replica { partition, leaf, address, epoch, state, build } = message;
        Ok(Self {
            partition: PartitionId(partition),
            leaf: LeafName::new(leaf).map_err(broken_name)?,
            address,
            epoch: Epoch(epoch),
            state: ReplicaState::from_proto(state)?,
            build: (!build.is_empty()).then_some(build),
        })
    }
}

impl Leader {
    fn check(&self) -> Result<(), Broken> {
        let Self { coordinator: _valid_by_its_type } = self;
        Ok(())
    }

    fn to_proto(&self) -> proto::Leader {
        proto::Leader { coordinator: self.coordinator.to_string() }
    }

    fn from_proto(message: proto::Leader) -> Result<Self, Broken> {
        let coordinator = CoordinatorName::new(message.coordinator).map_err(broken_name)?;
        Ok(Self { coordinator })
    }
}

impl Decision {
    fn check(&self) -> Result<(), Broken> {
        match &self.held_back {
            Some(text) if text.is_empty() || text.len() > HELD_BACK_BYTES_MAX => {
                return Err(format!("held back is not 1 to {HELD_BACK_BYTES_MAX} bytes"));
            }
            Some(_) | None => {}
        }
        if self.refused_moves.len() > REFUSED_MOVES_MAX {
            return Err(format!("more than {REFUSED_MOVES_MAX} refused moves"));
        }
        let partitions: BTreeSet<_> = self.refused_moves.iter().map(|it| it.partition).collect();
        if partitions.len() < self.refused_moves.len() {
            return Err("two refused moves of one partition".to_owned());
        }
        let mut whys = self.refused_moves.iter().map(|it| &it.why);
        whys.try_for_each(|why| check_upper_snake("why", why, WHY_BYTES_MAX))
    }

    fn to_proto(&self) -> proto::Decision {
        let refused = |it: &RefusedMove| proto::RefusedMove {
            partition: it.partition.0,
            to_leaf: leaf_text(it.to.as_ref()),
            why: it.why.clone(),
        };
        proto::Decision {
            held_back: self.held_back.clone().unwrap_or_default(),
            unassigned: self.unassigned.iter().take(UNASSIGNED_MAX).map(|p| p.0).collect(),
            refused_moves: self.refused_moves.iter().map(refused).collect(),
        }
    }

    fn from_proto(message: proto::Decision) -> Result<Self, Broken> {
        let proto::Decision { held_back, unassigned, refused_moves } = message;
        if !unassigned.is_sorted_by(|a, b| a < b) {
            return Err("unassigned partitions do not ascend".to_owned());
        }
        let refused = |it: proto::RefusedMove| {
            let (partition, to) = (PartitionId(it.partition), optional_leaf(it.to_leaf)?);
            Ok(RefusedMove { partition, to, why: it.why })
        };
        Ok(Self {
            held_back: (!held_back.is_empty()).then_some(held_back),
            unassigned: unassigned.into_iter().map(PartitionId).collect(),
            refused_moves: refused_moves.into_iter().map(refused).collect::<Result<_, Broken>>()?,
        })
    }
}
