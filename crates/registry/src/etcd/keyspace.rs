//! Where in etcd a cluster's keys stand.

use etcd_client::proto::PbKeyValue;

use super::seen::revision;
use crate::{Entry, LeaseId, RegistryError};

/// What all keys of ours begin with.
const PRODUCT: &str = "nautilus";

/// The keys of one cluster: the port's, behind a prefix.
#[derive(Debug, Clone)]
pub(super) struct Keyspace {
    prefix: String,
}

impl Keyspace {
    pub(super) fn of_cluster(cluster: &str) -> Self {
        // No name of a cluster holds a slash, so none is the beginning of another.
        Self { prefix: format!("{PRODUCT}/{cluster}/") }
    }

    /// A key, or a prefix of keys, as it stands in etcd.
    pub(super) fn outer(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }

    /// The key of the port.
    pub(super) fn inner(&self, outer: Vec<u8>) -> Result<String, RegistryError> {
        let key = String::from_utf8(outer).ok();
        key.as_deref().and_then(|key| key.strip_prefix(&self.prefix)).map(str::to_owned).ok_or_else(
            || RegistryError::Corrupt {
                problem: format!("etcd told of a key that is not text below {}", self.prefix),
            },
        )
    }

    pub(super) fn entry(&self, stored: PbKeyValue) -> Result<Entry, RegistryError> {
        let lease = u64::try_from(stored.lease).map_err(|_| RegistryError::Corrupt {
            problem: format!("etcd told of lease {}", stored.lease),
        })?;
        Ok(Entry {
            key: self.inner(stored.key)?,
            value: stored.value.into(),
            modified: revision(stored.mod_revision)?,
            // etcd's way to say none.
            lease: (lease != 0).then_some(LeaseId(lease)),
        })
    }
}

/// The first key behind all that begin with `prefix`, which is text and not empty.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        // No byte of text is the largest one.
        *last = last.saturating_add(1);
    }
    end
}
