//! Requests checked: grant, map version, names, bounds.

use nautilus_identity::{Grant, GrantVerifier, Purpose, query_hash};
use nautilus_proto::common::v1::{NamespaceRef, QueryNode, Sort, SortKey};
use nautilus_proto::leaf::v1::Statistics;
use nautilus_proto::query_from_proto;
use nautilus_query::{QueryLimits, validate};
use nautilus_types::{Incarnation, Limits, NamespaceName, PartitionMap};
use prost::Message as _;

use crate::RootError;

/// Most candidates wanted from each partition.
pub const CANDIDATES_MAX: u32 = 1_000;
/// Most documents fetched at once: a page of hits.
pub const FETCH_KEYS_MAX: usize = 100;
/// Most ids listed at once.
pub const LIST_MAX: u32 = 1_000;
/// Most words suggested at once.
pub const SUGGESTIONS_MAX: u32 = 1_000;

/// A life of a namespace, checked.
pub(crate) type Namespace = (NamespaceName, Incarnation);

/// The grant of a request, made for a call of this kind with this query.
pub(crate) fn grant(
    verifier: &GrantVerifier,
    bytes: &[u8],
    now_unix_ms: u64,
    purpose: Purpose,
    query: Option<&QueryNode>,
) -> Result<Grant, RootError> {
    let grant = verifier.verify(bytes, now_unix_ms)?;
    grant.check_call(purpose, query.map_or(0, |query| query_hash(&query.encode_to_vec())))?;
    Ok(grant)
}

/// The grant of a request for words, made for this prefix.
pub(crate) fn suggest_grant(
    verifier: &GrantVerifier,
    bytes: &[u8],
    now_unix_ms: u64,
    prefix: &str,
) -> Result<Grant, RootError> {
    let grant = verifier.verify(bytes, now_unix_ms)?;
    grant.check_call(Purpose::Search, query_hash(prefix.as_bytes()))?;
    Ok(grant)
}

/// The caller divided the namespaces by the same map as we do.
pub(crate) fn check_map(map: &PartitionMap, asked: u64) -> Result<(), RootError> {
    if asked == map.version {
        Ok(())
    } else {
        Err(RootError::StaleMap { asked, current: map.version })
    }
}

/// The namespaces of a request, all of them in the grant.
pub(crate) fn namespaces<'a>(
    grant: &Grant,
    refs: impl IntoIterator<Item = &'a NamespaceRef>,
) -> Result<Vec<Namespace>, RootError> {
    let namespace = |namespace: &NamespaceRef| {
        Ok((NamespaceName::new(&namespace.name)?, Incarnation(namespace.incarnation)))
    };
    let namespaces = refs.into_iter().map(namespace).collect::<Result<Vec<_>, RootError>>()?;
    grant.check_namespaces(namespaces.iter().map(|(name, incarnation)| (name, *incarnation)))?;
    Ok(namespaces)
}

/// The scope of a search: some namespaces, none twice, since statistics are summed over them.
pub(crate) fn scope(grant: &Grant, refs: &[NamespaceRef]) -> Result<Vec<Namespace>, RootError> {
    check_count("namespaces", refs.len(), Limits::GRANT_NAMESPACES_MAX)?;
    let scope = namespaces(grant, refs)?;
    let mut names: Vec<_> = scope.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(RootError::Field { field: "namespaces", problem: "has a name twice".into() });
    }
    Ok(scope)
}

/// How many scoring leaves the query has, once its tree is known to be one.
pub(crate) fn scoring_leaves(query: Option<&QueryNode>) -> Result<usize, RootError> {
    let missing = || RootError::Field { field: "query", problem: "is missing".into() };
    let tree = query_from_proto(query.ok_or_else(missing)?)?;
    validate(&tree, &QueryLimits::HARD)?;
    Ok(tree.scoring_leaves().len())
}

/// The key is one that is known here: candidates are put in its order.
pub(crate) fn check_sort(sort: Option<&Sort>) -> Result<(), RootError> {
    match sort.map(|sort| SortKey::try_from(sort.key)) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(_)) => {
            let problem = "has a key that is not known".into();
            Err(RootError::Field { field: "sort", problem })
        }
    }
}

/// Given statistics are those of this query.
pub(crate) fn check_statistics(
    statistics: Option<&Statistics>,
    scoring_leaves: usize,
) -> Result<(), RootError> {
    let found = statistics.map_or(scoring_leaves, |given| given.document_frequencies.len());
    if found == scoring_leaves {
        return Ok(());
    }
    let problem = format!("has {found} frequencies, the query has {scoring_leaves} scoring leaves");
    Err(RootError::Field { field: "statistics", problem })
}

pub(crate) fn check_limit(limit: u32, limit_max: u32) -> Result<(), RootError> {
    if (1..=limit_max).contains(&limit) {
        return Ok(());
    }
    let problem = format!("is {limit}, 1 to {limit_max} are allowed");
    Err(RootError::Field { field: "limit", problem })
}

pub(crate) fn check_count(
    field: &'static str,
    count: usize,
    count_max: usize,
) -> Result<(), RootError> {
    if (1..=count_max).contains(&count) {
        return Ok(());
    }
    let problem = format!("has {count} entries, 1 to {count_max} are allowed");
    Err(RootError::Field { field, problem })
}
