//! What was seen of etcd so far: it may not become another one, or go back.

use std::sync::{Mutex, PoisonError};

use etcd_client::proto::PbResponseHeader;

use crate::{RegistryError, Revision};

/// The latest known state of the one etcd we talk to.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<State>);

#[derive(Debug, Default, Clone, Copy)]
struct State {
    /// Of the first answer.
    cluster_id: Option<u64>,
    /// At least this one was reached.
    revision: Revision,
}

impl Seen {
    /// The revision that every linearizable answer to a call that begins now is at or above.
    pub(super) fn floor(&self) -> Revision {
        self.lock().revision
    }

    /// The revision of a linearizable answer to a call before which `floor` was reached. An etcd that is
    /// not the former one, or was restored from an older copy, is refused until this process starts anew:
    /// epochs that were given out may not be known to it.
    pub(super) fn check(
        &self,
        header: Option<PbResponseHeader>,
        floor: Revision,
    ) -> Result<Revision, RegistryError> {
        let Some(header) = header else {
            return Err(corrupt("etcd's answer says no revision"));
        };
        let reached = revision(header.revision)?;
        let mut state = self.lock();
        let cluster_id = *state.cluster_id.get_or_insert(header.cluster_id);
        if cluster_id != header.cluster_id {
            let found = header.cluster_id;
            return Err(corrupt(format!("this is etcd {found:x}, it was {cluster_id:x} before")));
        }
        if reached < floor {
            return Err(corrupt(format!("etcd went back from revision {floor} to {reached}")));
        }
        state.revision = state.revision.max(reached);
        Ok(reached)
    }

    /// Notes a revision that a watch told of.
    pub(super) fn reached(&self, revision: Revision) {
        let mut state = self.lock();
        state.revision = state.revision.max(revision);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A revision in etcd's type.
pub(super) fn revision(etcds: i64) -> Result<Revision, RegistryError> {
    let number = u64::try_from(etcds);
    number.map(Revision).map_err(|_| corrupt(format!("etcd told of revision {etcds}")))
}

pub(super) fn corrupt(problem: impl Into<String>) -> RegistryError {
    RegistryError::Corrupt { problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cluster_id: u64, revision: i64) -> Option<PbResponseHeader> {
        Some(PbResponseHeader { cluster_id, revision, ..PbResponseHeader::default() })
    }

    #[test]
    fn answers_out_of_order_are_no_way_back() {
        let seen = Seen::default();
        let (first, second) = (seen.floor(), seen.floor());
        assert_eq!(seen.check(header(7, 20), second).unwrap(), Revision(20));
        // Asked before the other was answered.
        assert_eq!(seen.check(header(7, 15), first).unwrap(), Revision(15));
        assert_eq!(seen.floor(), Revision(20));
    }

    #[test]
    fn a_way_back_and_another_cluster_are_refused() {
        let seen = Seen::default();
        seen.check(header(7, 20), seen.floor()).unwrap();
        seen.reached(Revision(22));
        for (cluster, revision) in [(7, 21), (7, -1), (8, 30)] {
            let error = seen.check(header(cluster, revision), seen.floor()).unwrap_err();
            assert!(matches!(error, RegistryError::Corrupt { .. }), "{error:?}");
        }
        assert!(seen.check(None, Revision(0)).is_err());
        assert_eq!(seen.floor(), Revision(22));
    }
}
