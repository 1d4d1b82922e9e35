//! Keys: building them, and reading back which one it is.

use std::fmt;

use nautilus_types::PartitionId;

use super::names::{GroupName, LeafName};

/// Every key there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// `groups/<group>/leaves/<leaf>`
    Leaf {
        /// The replica group it serves.
        group: GroupName,
        /// Which leaf.
        leaf: LeafName,
    },
    /// `groups/<group>/assignments/<p0007>`
    Assignment {
        /// In which replica group.
        group: GroupName,
        /// Of which partition.
        partition: PartitionId,
    },
    /// `groups/<group>/replicas/<p0007>/<leaf>`
    Replica {
        /// In which replica group.
        group: GroupName,
        /// Of which partition.
        partition: PartitionId,
        /// On which leaf.
        leaf: LeafName,
    },
    /// `groups/<group>/coordinator`
    Coordinator {
        /// Of which replica group.
        group: GroupName,
    },
    /// `groups/<group>/decision`
    Decision {
        /// Of which replica group.
        group: GroupName,
    },
    /// `groups/<group>/cordons/<leaf>`
    Cordon {
        /// In which replica group.
        group: GroupName,
        /// Of which leaf.
        leaf: LeafName,
    },
    /// `groups/<group>/moves/<p0007>`
    Move {
        /// In which replica group.
        group: GroupName,
        /// Of which partition.
        partition: PartitionId,
    },
    /// `groups/<group>/standing`
    Standing {
        /// Of which replica group.
        group: GroupName,
    },
    /// `groups/<group>/build`
    Build {
        /// Of which replica group.
        group: GroupName,
    },
}

impl Key {
    /// Which key this is; `None` where it is none of ours, such as one of a newer version.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.split('/');
        if parts.next()? != "groups" {
            return None;
        }
        let group = GroupName::new(parts.next()?).ok()?;
        let key = match parts.next()? {
            "leaves" => Self::Leaf { group, leaf: LeafName::new(parts.next()?).ok()? },
            "assignments" => Self::Assignment { group, partition: partition(parts.next()?)? },
            "replicas" => Self::Replica {
                group,
                partition: partition(parts.next()?)?,
                leaf: LeafName::new(parts.next()?).ok()?,
            },
            "coordinator" => Self::Coordinator { group },
            "decision" => Self::Decision { group },
            "cordons" => Self::Cordon { group, leaf: LeafName::new(parts.next()?).ok()? },
            "moves" => Self::Move { group, partition: partition(parts.next()?)? },
            "standing" => Self::Standing { group },
            "build" => Self::Build { group },
            _ => return None,
        };
        parts.next().is_none().then_some(key)
    }

    /// The replica group it belongs to.
    #[must_use]
    pub fn group(&self) -> &GroupName {
        match self {
            Self::Leaf { group, .. }
            | Self::Assignment { group, .. }
            | Self::Replica { group, .. }
            | Self::Coordinator { group }
            | Self::Decision { group }
            | Self::Cordon { group, .. }
            | Self::Move { group, .. }
            | Self::Standing { group }
            | Self::Build { group } => group,
        }
    }
}

/// The key as the registry takes it; [`Key::parse`] reads it back.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf { group, leaf } => write!(f, "groups/{group}/leaves/{leaf}"),
            Self::Assignment { group, partition } => {
                write!(f, "groups/{group}/assignments/p{:04}", partition.0)
            }
            Self::Replica { group, partition, leaf } => {
                write!(f, "groups/{group}/replicas/p{:04}/{leaf}", partition.0)
            }
            Self::Coordinator { group } => write!(f, "groups/{group}/coordinator"),
            Self::Decision { group } => write!(f, "groups/{group}/decision"),
            Self::Cordon { group, leaf } => write!(f, "groups/{group}/cordons/{leaf}"),
            Self::Move { group, partition } => {
                write!(f, "groups/{group}/moves/p{:04}", partition.0)
            }
            Self::Standing { group } => write!(f, "groups/{group}/standing"),
            Self::Build { group } => write!(f, "groups/{group}/build"),
        }
    }
}

/// Reads `p0007`; only the one way of writing a number, so that no two keys are of one partition.
pub(super) fn partition(part: &str) -> Option<PartitionId> {
    let digits = part.strip_prefix('p')?;
    let is_canonical = digits.bytes().all(|b| b.is_ascii_digit())
        && (digits.len() == 4 || (digits.len() > 4 && !digits.starts_with('0')));
    if !is_canonical {
        return None;
    }
    digits.parse().ok().map(PartitionId)
}

/// What to list and watch. Each ends with `/`, so that no group or partition meets another whose name it begins.
pub mod prefix {
    use nautilus_types::PartitionId;

    use super::GroupName;

    /// All groups.
    #[must_use]
    pub fn all_groups() -> String {
        "groups/".to_owned()
    }

    /// Everything of one group.
    #[must_use]
    pub fn group(group: &GroupName) -> String {
        format!("groups/{group}/")
    }

    /// The registrations of a group's leaves.
    #[must_use]
    pub fn leaves(group: &GroupName) -> String {
        format!("groups/{group}/leaves/")
    }

    /// A group's assignments.
    #[must_use]
    pub fn assignments(group: &GroupName) -> String {
        format!("groups/{group}/assignments/")
    }

    /// A group's replicas.
    #[must_use]
    pub fn replicas(group: &GroupName) -> String {
        format!("groups/{group}/replicas/")
    }

    /// The replicas of one partition of a group.
    #[must_use]
    pub fn replicas_of(group: &GroupName, partition: PartitionId) -> String {
        format!("groups/{group}/replicas/p{:04}/", partition.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::KEY_BYTES_MAX;

    fn group() -> impl Strategy<Value = GroupName> {
        "[a-z0-9-]{1,63}".prop_map(|name| GroupName::new(name).expect("valid"))
    }

    fn leaf() -> impl Strategy<Value = LeafName> {
        "[a-z0-9-]{1,63}".prop_map(|name| LeafName::new(name).expect("valid"))
    }

    fn partition() -> impl Strategy<Value = PartitionId> {
        prop_oneof![0..20_000_u32, any::<u32>()].prop_map(PartitionId)
    }

    fn key() -> impl Strategy<Value = Key> {
        prop_oneof![
            (group(), leaf()).prop_map(|(group, leaf)| Key::Leaf { group, leaf }),
            (group(), partition())
                .prop_map(|(group, partition)| Key::Assignment { group, partition }),
            (group(), partition(), leaf()).prop_map(|(group, partition, leaf)| Key::Replica {
                group,
                partition,
                leaf
            }),
            group().prop_map(|group| Key::Coordinator { group }),
            group().prop_map(|group| Key::Decision { group }),
            (group(), leaf()).prop_map(|(group, leaf)| Key::Cordon { group, leaf }),
            (group(), partition()).prop_map(|(group, partition)| Key::Move { group, partition }),
            group().prop_map(|group| Key::Standing { group }),
            group().prop_map(|group| Key::Build { group }),
        ]
    }

    proptest! {
        #[test]
        fn keys_read_back(key in key()) {
            let text = key.to_string();
            prop_assert!(text.len() <= KEY_BYTES_MAX);
            prop_assert_eq!(Key::parse(&text), Some(key.clone()));
            prop_assert!(text.starts_with(&prefix::group(key.group())));
            prop_assert!(text.starts_with(&prefix::all_groups()));
        }

        #[test]
        fn what_reads_is_written_the_same(
            text in "groups/[a-z]{1,2}/(leaves|assignments|replicas|coordinator|decision|cordons|moves|standing|build)(/p?[0-9]{0,6}){0,3}"
        ) {
            if let Some(key) = Key::parse(&text) {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }

    #[test]
    fn keys_look_as_documented() {
        let group = GroupName::new("a").expect("valid");
        let leaf = LeafName::new("leaf-1").expect("valid");
        let partition = PartitionId(7);
        let replica = Key::Replica { group: group.clone(), partition, leaf: leaf.clone() };
        assert_eq!(replica.to_string(), "groups/a/replicas/p0007/leaf-1");
        assert!(replica.to_string().starts_with(&prefix::replicas_of(&group, partition)));
        assert!(replica.to_string().starts_with(&prefix::replicas(&group)));
        let key = Key::Leaf { group: group.clone(), leaf };
        assert_eq!(key.to_string(), "groups/a/leaves/leaf-1");
        assert!(key.to_string().starts_with(&prefix::leaves(&group)));
        let key = Key::Assignment { group: group.clone(), partition: PartitionId(12_345) };
        assert_eq!(key.to_string(), "groups/a/assignments/p12345");
        assert!(key.to_string().starts_with(&prefix::assignments(&group)));
        let key = Key::Coordinator { group: group.clone() };
        assert_eq!(key.to_string(), "groups/a/coordinator");
        let key = Key::Decision { group: group.clone() };
        assert_eq!(key.to_string(), "groups/a/decision");
        let key =
            Key::Cordon { group: group.clone(), leaf: LeafName::new("leaf-1").expect("valid") };
        assert_eq!(key.to_string(), "groups/a/cordons/leaf-1");
        let key = Key::Move { group: group.clone(), partition };
        assert_eq!(key.to_string(), "groups/a/moves/p0007");
        assert_eq!(Key::Standing { group: group.clone() }.to_string(), "groups/a/standing");
        assert_eq!(Key::Build { group }.to_string(), "groups/a/build");
    }

    #[test]
    fn other_keys_are_none_of_ours() {
        for key in [
            "",
            "groups",
            "groups/a",
            "groups//coordinator",
            "groups/A/coordinator",
            "groups/a/coordinator/",
            "groups/a/elsewhere",
            "groups/a/assignments/p007",
            "groups/a/assignments/p00007",
            "groups/a/assignments/0007",
            "groups/a/assignments/p+007",
            "groups/a/assignments/p4294967296",
            "groups/a/replicas/p0007",
            "groups/a/replicas/p0007/leaf-1/x",
            "groups/a/cordons",
            "groups/a/cordons/leaf-1/x",
            "groups/a/moves/7",
            "groups/a/standing/x",
            "groups/a/build/x",
            "other/a/decision",
        ] {
            assert_eq!(Key::parse(key), None, "{key}");
        }
    }
}
