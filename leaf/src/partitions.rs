//! The partitions this leaf holds at the moment.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use nautilus_types::PartitionId;

use crate::LeafError;
use crate::partition::Served;

/// Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub(crate) struct Partitions(Arc<RwLock<BTreeMap<PartitionId, Arc<Served>>>>);

impl Partitions {
    /// The partition, or an error that says that it is not here.
    pub(crate) fn get(&self, partition: PartitionId) -> Result<Arc<Served>, LeafError> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        map.get(&partition).cloned().ok_or(LeafError::NotServed { partition })
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> Vec<Arc<Served>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn insert(&self, served: Arc<Served>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(served.id, served);
    }

    pub(crate) fn remove(&self, partition: PartitionId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }
}
