//! An entry of the registry as what it says.

use super::key::Key;
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
        }
    }
}
