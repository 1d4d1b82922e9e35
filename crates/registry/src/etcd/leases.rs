//! Leases, which etcd counts in whole seconds.

use std::time::Duration;

use etcd_client::Client;

use super::seen::corrupt;
use super::status::{is_lease_gone, meaning};
use super::{EtcdRegistry, Repeat};
use crate::{LeaseId, RegistryError};

/// A lease of `ttl` rounded up, or of the shortest time that etcd grants. One that is granted while the
/// answer is lost is held by nobody and ends by itself, so another is asked for.
pub(super) async fn grant(
    registry: &EtcdRegistry,
    ttl: Duration,
) -> Result<LeaseId, RegistryError> {
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let call = |mut client: Client| async move { client.lease_grant(seconds, None).await };
    let granted = registry.members()?.call(Repeat::Always, call).await?.map_err(meaning)?;
    if granted.ttl() < seconds {
        let problem = format!("etcd granted {} s of the {seconds} s asked for", granted.ttl());
        return Err(RegistryError::Unavailable(problem.into()));
    }
    match u64::try_from(granted.id()) {
        Ok(id) if id > 0 => Ok(LeaseId(id)),
        Ok(_) | Err(_) => Err(corrupt(format!("etcd granted lease {}", granted.id()))),
    }
}

/// One request, one answer: streams that keep a lease alive behind its holder's back are not used.
pub(super) async fn keep_alive(
    registry: &EtcdRegistry,
    lease: LeaseId,
) -> Result<(), RegistryError> {
    let gone = || RegistryError::LeaseGone { lease: lease.0 };
    let id = to_etcd(lease).ok_or_else(gone)?;
    let call = |mut client: Client| async move { client.lease_keep_alive(id).await.map(drop) };
    match registry.members()?.call(Repeat::Always, call).await? {
        Ok(()) => Ok(()),
        Err(error) if is_lease_gone(&error) => Err(gone()),
        Err(error) => Err(meaning(error)),
    }
}

pub(super) async fn revoke(registry: &EtcdRegistry, lease: LeaseId) -> Result<(), RegistryError> {
    let Some(id) = to_etcd(lease) else { return Ok(()) };
    let call = |mut client: Client| async move { client.lease_revoke(id).await.map(drop) };
    match registry.members()?.call(Repeat::Always, call).await? {
        Ok(()) => Ok(()),
        Err(error) if is_lease_gone(&error) => Ok(()),
        Err(error) => Err(meaning(error)),
    }
}

pub(super) async fn is_gone(
    registry: &EtcdRegistry,
    lease: LeaseId,
) -> Result<bool, RegistryError> {
    let Some(id) = to_etcd(lease) else { return Ok(true) };
    let call = |mut client: Client| async move { client.lease_time_to_live(id, None).await };
    match registry.members()?.call(Repeat::Always, call).await? {
        Ok(left) => Ok(left.ttl() < 0),
        Err(error) if is_lease_gone(&error) => Ok(true),
        Err(error) => Err(meaning(error)),
    }
}

/// None where etcd cannot have granted it; it takes 0 for "no lease".
pub(super) fn to_etcd(lease: LeaseId) -> Option<i64> {
    i64::try_from(lease.0).ok().filter(|id| *id > 0)
}
