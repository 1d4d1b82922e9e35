//! An entry of the registry as what it says.

use bytes::Bytes;

use super::builds::GroupBuild;
use super::key::Key;
use super::markings::{Cordon, GroupStanding, MoveRequest};
use super::names::GroupName;
use super::values::{Assignment, Decision, Leader, LeafRegistration, Replica};
use crate::{Entry, RegistryError};

/// A key and its value, read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A leaf of a group.
    Leaf(GroupName, LeafRegistration),
    /// Who serves a partition of a group.
    Assignment(GroupName, Assignment),
    /// A partition on a leaf of a group.
    Replica(GroupName, Replica),
    /// Who coordinates a group.
    Coordinator(GroupName, Leader),
    /// What a group's coordinator leaves undone.
    Decision(GroupName, Decision),
    /// What a person has marked a leaf of a group with.
    Cordon(GroupName, Cordon),
    /// A move of a partition of a group that a person asks for.
    Move(GroupName, MoveRequest),
    /// Whether roots send searches to a group.
    Standing(GroupName, GroupStanding),
    /// Which build a group runs.
    Build(GroupName, GroupBuild),
}

impl Record {
    /// Reads an entry. `None` where its key is none of ours, such as one of a newer version: pass it over.
    /// `Corrupt` where the value does not read, or is about something else than its key.
    pub fn read(entry: &Entry) -> Result<Option<Self>, RegistryError> {
        let Some(key) = Key::parse(&entry.key) else { return Ok(None) };
        let record = match key.clone() {
            Key::Leaf { group, .. } => Self::Leaf(group, LeafRegistration::decode(&entry.value)?),
            Key::Assignment { group, .. } => {
                Self::Assignment(group, Assignment::decode(&entry.value)?)
            }
            Key::Replica { group, .. } => Self::Replica(group, Replica::decode(&entry.value)?),
            Key::Coordinator { group } => Self::Coordinator(group, Leader::decode(&entry.value)?),
            Key::Decision { group } => Self::Decision(group, Decision::decode(&entry.value)?),
            Key::Cordon { group, .. } => Self::Cordon(group, Cordon::decode(&entry.value)?),
            Key::Move { group, .. } => Self::Move(group, MoveRequest::decode(&entry.value)?),
            Key::Standing { group } => Self::Standing(group, GroupStanding::decode(&entry.value)?),
            Key::Build { group } => Self::Build(group, GroupBuild::decode(&entry.value)?),
        };
        if record.key() != key {
            let problem = format!("{} holds what belongs to {}", entry.key, record.key());
            return Err(RegistryError::Corrupt { problem });
        }
        Ok(Some(record))
    }

    /// The key it belongs to.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Leaf(group, value) => {
                Key::Leaf { group: group.clone(), leaf: value.leaf.clone() }
            }
            Self::Assignment(group, value) => {
                Key::Assignment { group: group.clone(), partition: value.partition }
            }
            Self::Replica(group, value) => Key::Replica {
                group: group.clone(),
                partition: value.partition,
                leaf: value.leaf.clone(),
            },
            Self::Coordinator(group, _) => Key::Coordinator { group: group.clone() },
            Self::Decision(group, _) => Key::Decision { group: group.clone() },
            Self::Cordon(group, value) => {
                Key::Cordon { group: group.clone(), leaf: value.leaf.clone() }
            }
            Self::Move(group, value) => {
                Key::Move { group: group.clone(), partition: value.partition }
            }
            Self::Standing(group, _) => Key::Standing { group: group.clone() },
            Self::Build(group, _) => Key::Build { group: group.clone() },
        }
    }

    /// The replica group it belongs to.
    #[must_use]
    pub fn group(&self) -> &GroupName {
        match self {
            Self::Leaf(group, _)
            | Self::Assignment(group, _)
            | Self::Replica(group, _)
            | Self::Coordinator(group, _)
            | Self::Decision(group, _)
            | Self::Cordon(group, _)
            | Self::Move(group, _)
            | Self::Standing(group, _)
            | Self::Build(group, _) => group,
        }
    }

    /// The bytes of its value. `Invalid` where a field breaks a rule of its type.
    pub fn encode(&self) -> Result<Bytes, RegistryError> {
        match self {
            Self::Leaf(_, value) => value.encode(),
            Self::Assignment(_, value) => value.encode(),
            Self::Replica(_, value) => value.encode(),
            Self::Coordinator(_, value) => value.encode(),
            Self::Decision(_, value) => value.encode(),
            Self::Cordon(_, value) => value.encode(),
            Self::Move(_, value) => value.encode(),
            Self::Standing(_, value) => value.encode(),
            Self::Build(_, value) => value.encode(),
        }
    }
}
