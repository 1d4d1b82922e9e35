//! Who is still there: leases and when they end. Time comes in as data.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::LeaseId;

/// The leases that have not ended.
#[derive(Debug)]
pub(super) struct Leases {
    live: BTreeMap<LeaseId, Lease>,
    next: u64,
}

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    ends: Instant,
}

impl Leases {
    /// None yet, in the `opening`th life of the registry: numbers never come again in a later one,
    /// so that a holder of the former life cannot keep another's lease alive.
    pub(super) fn of_opening(opening: u64) -> Self {
        Self { live: BTreeMap::new(), next: opening << 32 }
    }

    pub(super) fn grant(&mut self, ttl: Duration, now: Instant) -> LeaseId {
        let lease = LeaseId(self.next);
        self.next += 1;
        self.live.insert(lease, Lease { ttl, ends: now + ttl });
        lease
    }

    pub(super) fn is_live(&self, lease: LeaseId) -> bool {
        self.live.contains_key(&lease)
    }

    /// Begins the lease's time anew, also where it is over but nobody has taken note yet. False where
    /// it has ended.
    pub(super) fn keep_alive(&mut self, lease: LeaseId, now: Instant) -> bool {
        let Some(lease) = self.live.get_mut(&lease) else { return false };
        // Calls may come out of their order; none takes back what another promised.
        lease.ends = lease.ends.max(now + lease.ttl);
        true
    }

    /// Ends a lease; false where it had.
    pub(super) fn end(&mut self, lease: LeaseId) -> bool {
        self.live.remove(&lease).is_some()
    }

    /// Ends those whose time is over, and names them.
    pub(super) fn end_expired(&mut self, now: Instant) -> Vec<LeaseId> {
        self.live.extract_if(.., |_, lease| lease.ends <= now).map(|(lease, _)| lease).collect()
    }

    /// When the next one ends unless it is kept alive.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.live.values().map(|lease| lease.ends).min()
    }
}
