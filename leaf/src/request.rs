//! Requests checked: grant, map version, names, bounds. The grant is verified here again, whatever the root did.

use nautilus_engine::ScopeEntry;
use nautilus_identity::{Grant, GrantVerifier, Purpose, query_hash};
use nautilus_proto::common::v1::{NamespaceRef, QueryNode};
use nautilus_proto::leaf::v1::RequestContext;
use nautilus_proto::query_from_proto;
use nautilus_query::{Node, QueryLimits, validate};
use nautilus_types::{Incarnation, Limits, NamespaceName, PartitionId, PartitionMap};
use prost::Message as _;

use crate::LeafError;

/// Most candidates of one search.
pub(crate) const CANDIDATES_MAX: u32 = 1_000;
/// Most documents fetched at once.
pub(crate) const FETCH_KEYS_MAX: usize = 100;
/// Most ids listed at once.
pub(crate) const LIST_MAX: u32 = 1_000;

/// A request's context, checked.
pub(crate) struct Context {
    pub(crate) grant: Grant,
    pub(crate) partition: PartitionId,
    pub(crate) min_next_offset: u64,
    pub(crate) latest: bool,
}

/// The context, of a call of this kind with this query.
pub(crate) fn context(
    verifier: &GrantVerifier,
    map: &PartitionMap,
    now_unix_ms: u64,
    context: Option<RequestContext>,
    purpose: Purpose,
    query: Option<&QueryNode>,
) -> Result<Context, LeafError> {
    let context = context.ok_or_else(|| field("context", "is missing"))?;
    let grant = verifier.verify(&context.grant, now_unix_ms)?;
    grant.check_call(purpose, query.map_or(0, |query| query_hash(&query.encode_to_vec())))?;
    if context.map_version != map.version {
        let (asked, current) = (context.map_version, map.version);
        return Err(LeafError::StaleMap { asked, current });
    }
    Ok(Context {
        grant,
        partition: PartitionId(context.partition),
        min_next_offset: context.min_next_offset,
        latest: context.latest,
    })
}

/// Namespaces of a request: each in the grant, each of the asked partition.
pub(crate) fn scope<'a>(
    context: &Context,
    map: &PartitionMap,
    refs: impl IntoIterator<Item = &'a NamespaceRef>,
) -> Result<Vec<ScopeEntry>, LeafError> {
    let mut scope = Vec::new();
    for reference in refs {
        let namespace = NamespaceName::new(&reference.name)?;
        let incarnation = Incarnation(reference.incarnation);
        context.grant.check_namespaces([(&namespace, incarnation)])?;
        if map.partition_of(&namespace) != context.partition {
            return Err(field("namespaces", "holds one of another partition"));
        }
        scope.push(ScopeEntry { namespace, incarnation });
    }
    check_count("namespaces", scope.len(), Limits::GRANT_NAMESPACES_MAX)?;
    Ok(scope)
}

/// The query's tree, well-formed.
pub(crate) fn query(query: Option<&QueryNode>) -> Result<Node, LeafError> {
    let tree = query_from_proto(query.ok_or_else(|| field("query", "is missing"))?)?;
    validate(&tree, &QueryLimits::HARD)?;
    Ok(tree)
}

pub(crate) fn limit(limit: u32, limit_max: u32) -> Result<usize, LeafError> {
    match usize::try_from(limit) {
        Ok(wanted) if (1..=limit_max).contains(&limit) => Ok(wanted),
        Ok(_) | Err(_) => Err(field("limit", format!("is {limit}, 1 to {limit_max} are allowed"))),
    }
}

pub(crate) fn check_count(
    name: &'static str,
    count: usize,
    count_max: usize,
) -> Result<(), LeafError> {
    if (1..=count_max).contains(&count) {
        return Ok(());
    }
    Err(field(name, format!("has {count} entries, 1 to {count_max} are allowed")))
}

pub(crate) fn field(field: &'static str, problem: impl Into<String>) -> LeafError {
    LeafError::Field { field, problem: problem.into() }
}
