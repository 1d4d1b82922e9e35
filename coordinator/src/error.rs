//! What goes wrong in a coordinator.

use nautilus_registry::{RegistryError, Revision};
use nautilus_types::Class;

use crate::operate::Refusal;
use crate::plan::PlanFault;

/// An error of the coordinator.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// A setting cannot be.
    #[error("{key} {problem}")]
    Config {
        /// Which setting.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A call to the registry failed.
    #[error("{doing}")]
    Registry {
        /// What was to be done.
        doing: &'static str,
        /// Why it was not.
        #[source]
        source: RegistryError,
    },
    /// An assignment does not read. Planning without it would begin its epochs anew.
    #[error("what is stored at {key} makes no sense")]
    Unreadable {
        /// Where it stands.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The registry answered from an older state than before.
    #[error("the registry went back from revision {seen} to {got}")]
    WentBack {
        /// The revision seen before.
        seen: Revision,
        /// The revision it answered with.
        got: Revision,
    },
    /// A plan breaks the rules; it was not executed.
    #[error(transparent)]
    Plan(#[from] PlanFault),
    /// What a person asked for is not done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another coordinator acts for the group now, or none.
    #[error("this coordinator no longer leads the group")]
    NotLeading,
}

impl CoordinatorError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Config { .. } => Class::Invalid,
            Self::Registry { source, .. } => source.class(),
            Self::Unreadable { .. } | Self::WentBack { .. } => Class::Corrupt,
            Self::Plan(_) => Class::Bug,
            Self::Refused(refusal) => refusal.class(),
            Self::NotLeading => Class::Fenced,
        }
    }

    /// Names what was being done when a call to the registry failed.
    pub(crate) fn while_(doing: &'static str) -> impl FnOnce(RegistryError) -> Self {
        move |source| Self::Registry { doing, source }
    }
}
