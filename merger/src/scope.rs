//! The scope: which namespaces a request may see, asked of the catalog, and checked once more for
//! what is about to be shown.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_catalog::UserId;
use nautilus_identity::{Grant, Purpose};
use nautilus_proto::common::v1::NamespaceRef;
use nautilus_types::{Limits, NamespaceName, Offset, PartitionMap};

use crate::consistency::MinOffsets;
use crate::coverage::Asked;
use crate::merger::Core;
use crate::rank::Namespace;
use crate::search_token::Progress;
use crate::{MergerError, caller::Caller};

/// How long a grant lives, in milliseconds: longer than any time budget, so that it does not end
/// on its way.
const GRANT_LIFETIME_MS: u64 = nautilus_identity::GRANT_LIFETIME_MS_MAX;

impl Core {
    /// The namespaces `names` says, each of which the caller must be able to read; all readable
    /// ones where it says none. By name, none twice.
    pub(crate) async fn scope(
        &self,
        caller: &Caller,
        names: &[String],
    ) -> Result<Vec<Namespace>, MergerError> {
        let wanted = parse_names(names)?;
        let readable = self.readable_of(caller, &wanted).await?;
        if !wanted.is_empty() && readable.len() != wanted.len() {
            return Err(MergerError::NamespaceDenied);
        }
        Ok(readable)
    }

    /// The scope of a later page: what the caller may read now of what page one saw. That all of
    /// `names` could be read then, its token says.
    pub(crate) async fn scope_after(
        &self,
        caller: &Caller,
        names: &[String],
        progress: &Progress,
    ) -> Result<Vec<Namespace>, MergerError> {
        let mut readable = self.readable_of(caller, &parse_names(names)?).await?;
        // What was empty on page one holds only documents that page one could not see.
        let was_empty = |(name, _): &Namespace| {
            progress.offsets.get(&self.config.map.partition_of(name)) == Some(&Offset(0))
        };
        readable.retain(|life| progress.namespaces.contains(life) && !was_empty(life));
        Ok(readable)
    }

    /// Those of `wanted` that the caller may read; all there are where it is empty.
    async fn readable_of(
        &self,
        caller: &Caller,
        wanted: &[NamespaceName],
    ) -> Result<Vec<Namespace>, MergerError> {
        let limit_max = Limits::GRANT_NAMESPACES_MAX;
        let filter = (!wanted.is_empty()).then_some(wanted);
        let limit = u32::try_from(limit_max + 1).unwrap_or(u32::MAX);
        let readable = self.catalog.readable_namespaces(&caller.user, filter, limit).await?;
        if readable.len() > limit_max {
            return Err(MergerError::ScopeTooLarge { namespaces_max: limit_max });
        }
        Ok(readable.into_iter().map(|record| (record.name, record.incarnation)).collect())
    }

    /// Those of `namespaces` that the caller may not read at this moment: asked in another way
    /// than [`Core::scope`] asks, right before something of them is shown.
    pub(crate) async fn denied<'a>(
        &self,
        user: &UserId,
        namespaces: impl IntoIterator<Item = &'a Namespace>,
    ) -> Result<BTreeSet<NamespaceName>, MergerError> {
        let distinct: BTreeMap<_, _> =
            namespaces.into_iter().map(|(name, incarnation)| (name, *incarnation)).collect();
        let entries: Vec<Namespace> = distinct.into_iter().map(|(n, i)| (n.clone(), i)).collect();
        if entries.is_empty() {
            return Ok(BTreeSet::new());
        }
        let verdicts = self.catalog.may_read(user, &entries).await?;
        // An entry without a verdict is denied.
        let verdicts = verdicts.into_iter().chain(std::iter::repeat(false));
        let denied = entries.into_iter().zip(verdicts).filter(|(_, may)| !may);
        Ok(denied.map(|((name, _), _)| name).collect())
    }

    /// A grant for one internal request, signed.
    pub(crate) fn grant(
        &self,
        caller: &Caller,
        namespaces: &[Namespace],
        purpose: Purpose,
        query_hash: u64,
    ) -> Result<Vec<u8>, MergerError> {
        let expires = self.clock.unix_ms().saturating_add(GRANT_LIFETIME_MS);
        let namespaces = namespaces.iter().cloned();
        let grant = Grant::new(caller.user.as_str(), namespaces, purpose, query_hash, expires);
        Ok(self.signer.sign(&grant.map_err(MergerError::Grant)?))
    }
}

/// Which partitions the namespaces are in, with the offset each must show.
pub(crate) fn asked(map: &PartitionMap, scope: &[Namespace], min: &MinOffsets) -> Asked {
    let partition = |(name, _): &Namespace| map.partition_of(name);
    scope.iter().map(partition).map(|partition| (partition, min.of(partition))).collect()
}

/// For internal requests.
pub(crate) fn to_ref((name, incarnation): &Namespace) -> NamespaceRef {
    NamespaceRef { name: name.as_bytes().to_vec(), incarnation: incarnation.0 }
}

/// The namespace a request names.
pub(crate) fn parse_name(field: &str, name: &str) -> Result<NamespaceName, MergerError> {
    NamespaceName::new(name).map_err(|error| MergerError::field(field, error.to_string()))
}

/// The names a request lists, sorted, each once.
fn parse_names(names: &[String]) -> Result<Vec<NamespaceName>, MergerError> {
    let count_max = Limits::GRANT_NAMESPACES_MAX;
    if names.len() > count_max {
        let problem = format!("has {} entries, at most {count_max} are allowed", names.len());
        return Err(MergerError::field("namespaces", problem));
    }
    let parse = |(index, name): (usize, &String)| parse_name(&format!("namespaces[{index}]"), name);
    let names = names.iter().enumerate().map(parse).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(names.into_iter().collect())
}
