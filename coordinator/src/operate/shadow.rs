//! Which share of searches is also run on a candidate build: one key of the cluster, for roots to read.

use std::time::Duration;

use nautilus_registry::layout::ShadowSearches;
use nautilus_registry::{Condition, Operation, Registry, Revision, Transaction};

use super::change::give_back;
use crate::CoordinatorError;
use crate::election::within;

/// What is asked for at the moment, and whether it ends by itself; none = no search is shadowed.
pub async fn shadow_searches(
    registry: &dyn Registry,
) -> Result<Option<(ShadowSearches, bool)>, CoordinatorError> {
    let reading = CoordinatorError::while_("read what is said of shadow searches");
    let found = within(registry.get(ShadowSearches::KEY)).await.map_err(reading)?;
    let Some(entry) = found else { return Ok(None) };
    let decoded = ShadowSearches::decode(&entry.value);
    let setting =
        decoded.map_err(CoordinatorError::while_("read what is said of shadow searches"))?;
    Ok(Some((setting, entry.lease.is_some())))
}

/// Asks for shadow searches, instead of what was asked for before; with `ttl` only for this time, at most an hour.
/// None ends them. A conflict where somebody else changes it at this moment.
pub async fn set_shadow_searches(
    registry: &dyn Registry,
    wanted: Option<&ShadowSearches>,
    ttl: Option<Duration>,
) -> Result<Revision, CoordinatorError> {
    let key = ShadowSearches::KEY.to_owned();
    let reading = CoordinatorError::while_("read what is said of shadow searches");
    let condition = match within(registry.get(&key)).await.map_err(reading)? {
        Some(seen) => Condition::Unchanged(key.clone(), seen.modified),
        None => Condition::Absent(key.clone()),
    };
    let mut lease = None;
    let operation = match wanted {
        None => Operation::Delete(key),
        Some(wanted) => {
            let value = wanted.encode().map_err(CoordinatorError::while_("encode the change"))?;
            if let Some(ttl) = ttl {
                let granted = within(registry.grant_lease(ttl)).await;
                lease = Some(granted.map_err(CoordinatorError::while_("get a lease"))?);
            }
            Operation::Put { key, value, lease }
        }
    };
    let transaction = Transaction { conditions: vec![condition], operations: vec![operation] };
    let written = within(registry.transact(transaction)).await;
    if written.is_err() {
        give_back(registry, lease).await;
    }
    written.map_err(CoordinatorError::while_("write the change"))
}
