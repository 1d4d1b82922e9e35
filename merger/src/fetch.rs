//! Fetching stored documents by key, in the order of the keys.

use std::collections::BTreeMap;

use futures::future::join_all;
use nautilus_identity::Purpose;
use nautilus_proto::leaf::v1::{FetchKey, FetchedDocument};
use nautilus_proto::query_to_proto;
use nautilus_proto::root::v1::{FetchRequest, FetchResponse};
use nautilus_query::Node;
use nautilus_service::Deadline;
use nautilus_types::{DocumentId, PartitionId};

use crate::MergerError;
use crate::caller::Caller;
use crate::consistency::to_proto;
use crate::coverage::Asked;
use crate::merger::Core;
use crate::rank::Namespace;
use crate::root_client::{Root, RootError};
use crate::scope::to_ref;

/// Documents fetched in one call. The largest a document can be (256 KiB of text, 72 KiB of the
/// rest and its highlights) times this stays below the 4 MiB that leaf and root send in one message.
const KEYS_MAX: usize = 10;

/// Which document of which namespace.
pub(crate) type Key = (Namespace, DocumentId);

/// Which replicas documents come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'f> {
    /// By partition, the offset the replica must show at least.
    pub(crate) min: &'f Asked,
    /// Empty = any.
    pub(crate) replica_group: &'f str,
    /// Of this build where it is served.
    pub(crate) build: Option<&'f str>,
}

/// What of each document is fetched beside its title, path and metadata.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'f> {
    pub(crate) body: bool,
    /// Where this matches.
    pub(crate) highlight: Option<&'f Node>,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fetched {
    Found(Box<FetchedDocument>),
    Absent,
    /// Its partition did not answer, for this reason.
    Missing(PartitionId, String),
}

impl Core {
    /// One entry for each key, in order. The namespaces are all covered by the caller's scope;
    /// leaves check a grant of exactly these.
    pub(crate) async fn fetch(
        &self,
        caller: &Caller,
        keys: &[Key],
        parts: Parts<'_>,
        from: Source<'_>,
        deadline: Deadline,
    ) -> Result<Vec<Fetched>, RootOrGrant> {
        let batches = keys
            .chunks(KEYS_MAX)
            .map(|batch| self.fetch_batch(caller, batch, parts, from, deadline));
        let fetched = join_all(batches).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(fetched.into_iter().flatten().collect())
    }

    async fn fetch_batch(
        &self,
        caller: &Caller,
        keys: &[Key],
        parts: Parts<'_>,
        from: Source<'_>,
        deadline: Deadline,
    ) -> Result<Vec<Fetched>, RootOrGrant> {
        let namespaces: Vec<_> = keys.iter().map(|(namespace, _)| namespace.clone()).collect();
        let grant = self.grant(caller, &namespaces, Purpose::Fetch, 0);
        let message = FetchRequest {
            grant: grant.map_err(RootOrGrant::Grant)?,
            map_version: self.config.map.version,
            keys: keys.iter().map(to_fetch_key).collect(),
            include_body: parts.body,
            min_offsets: to_proto(from.min),
            replica_group: from.replica_group.to_owned(),
            highlight: parts.highlight.map(query_to_proto),
            build: from.build.map(str::to_owned),
        };
        let send = |mut root: Root, message| async move { root.fetch(message).await };
        let response = self.roots.call(&self.clock, deadline, message, send).await;
        self.sorted_out(keys, response.map_err(RootOrGrant::Root)?)
    }

    fn sorted_out(
        &self,
        keys: &[Key],
        response: FetchResponse,
    ) -> Result<Vec<Fetched>, RootOrGrant> {
        let (found, asked) = (response.documents.len(), keys.len());
        if found != asked {
            return Err(RootOrGrant::Root(RootError::DocumentCount { found, asked }));
        }
        let failures: BTreeMap<_, _> =
            response.failures.into_iter().map(|f| (PartitionId(f.partition), f.reason)).collect();
        let sort_out = |(((name, _), _), document): (&Key, FetchedDocument)| {
            let partition = self.config.map.partition_of(name);
            match failures.get(&partition) {
                Some(reason) => Fetched::Missing(partition, reason.clone()),
                None if document.found => Fetched::Found(Box::new(document)),
                None => Fetched::Absent,
            }
        };
        Ok(keys.iter().zip(response.documents).map(sort_out).collect())
    }
}

/// Why nothing was fetched. Apart from [`MergerError`] so that the caller says whether a refusal is
/// its token's fault.
#[derive(Debug)]
pub(crate) enum RootOrGrant {
    Root(RootError),
    Grant(MergerError),
}

impl From<RootOrGrant> for MergerError {
    fn from(error: RootOrGrant) -> Self {
        match error {
            RootOrGrant::Root(error) => Self::Root(error),
            RootOrGrant::Grant(error) => error,
        }
    }
}

fn to_fetch_key((namespace, document_id): &Key) -> FetchKey {
    FetchKey { namespace: Some(to_ref(namespace)), document_id: document_id.as_bytes().to_vec() }
}
