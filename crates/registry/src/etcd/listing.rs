//! Reading: always what the majority knows.

use etcd_client::GetOptions;
use etcd_client::proto::PbRangeResponse;

use super::keyspace::end_of;
use super::status::{is_compacted, meaning};
use super::{EtcdRegistry, Repeat};
use crate::{Entry, Listing, RegistryError, Revision};

/// Entries of one page: at the port's bounds 2.4 MiB, below the 4 MiB that are taken of one answer.
pub(super) const PAGE_ENTRIES: i64 = 500;

pub(super) async fn get(
    registry: &EtcdRegistry,
    key: &str,
) -> Result<Option<Entry>, RegistryError> {
    let outer = registry.keyspace.outer(key);
    let (_, mut response) = match read(registry, outer, GetOptions::new()).await? {
        Ok(read) => read,
        Err(error) => return Err(meaning(error)),
    };
    response.kvs.pop().map(|stored| registry.keyspace.entry(stored)).transpose()
}

/// The state of a prefix: the first page says the revision, the others are read at it.
pub(super) async fn list(
    registry: &EtcdRegistry,
    prefix: &str,
    page_entries: i64,
) -> Result<Listing, RegistryError> {
    let prefix = registry.keyspace.outer(prefix);
    let end = end_of(&prefix);
    'anew: loop {
        let mut from = prefix.clone();
        let mut at = None;
        let mut entries = Vec::new();
        loop {
            let mut options = GetOptions::new().with_range(end.clone()).with_limit(page_entries);
            if let Some((_, etcds)) = at {
                options = options.with_revision(etcds);
            }
            let (reached, page) = match read(registry, from, options).await? {
                Ok(read) => read,
                // The revision of the first page was compacted before the last was read.
                Err(error) if at.is_some() && is_compacted(&error) => continue 'anew,
                Err(error) => return Err(meaning(error)),
            };
            let (revision, _) =
                *at.get_or_insert((reached, page.header.as_ref().map_or(0, |h| h.revision)));
            from = page.kvs.last().map_or_else(Vec::new, |last| last.key.clone());
            // The first key behind it.
            from.push(0);
            for stored in page.kvs {
                entries.push(registry.keyspace.entry(stored)?);
            }
            if !page.more {
                return Ok(Listing { revision, entries });
            }
        }
    }
}

/// The latest revision.
pub(super) async fn latest(registry: &EtcdRegistry) -> Result<Revision, RegistryError> {
    let outer = registry.keyspace.outer("");
    let options = GetOptions::new().with_count_only();
    read(registry, outer, options).await?.map(|(revision, _)| revision).map_err(meaning)
}

async fn read(
    registry: &EtcdRegistry,
    key: Vec<u8>,
    options: GetOptions,
) -> Result<Result<(Revision, PbRangeResponse), etcd_client::Error>, RegistryError> {
    let floor = registry.seen.floor();
    let call = |mut client: etcd_client::Client| {
        let (key, options) = (key.clone(), options.clone());
        async move { client.get(key, Some(options)).await }
    };
    let response = match registry.members()?.call(Repeat::Always, call).await? {
        Ok(response) => response.0,
        Err(error) => return Ok(Err(error)),
    };
    let revision = registry.seen.check(response.header, floor)?;
    Ok(Ok((revision, response)))
}
