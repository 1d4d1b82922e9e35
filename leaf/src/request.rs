//! Requests checked: grant, map version, names, bounds. The grant is verified here again, whatever the root did.

use nautilus_engine::ScopeEntry;
use nautilus_identity::{Grant, GrantVerifier, Purpose};
use nautilus_proto::common::v1::{NamespaceRef, QueryNode};
use nautilus_proto::leaf::v1::RequestContext;
use nautilus_proto::query_from_proto;
use nautilus_query::{FieldSet, Node, QueryLimits, validate};
use nautilus_types::{Incarnation, Limits, NamespaceName, PartitionId, PartitionMap};

use crate::LeafError;

/// Most candidates of one search.
pub(crate) const CANDIDATES_MAX: u32 = 1_000;
/// Most documents fetched at once.
pub(crate) const FETCH_KEYS_MAX: usize = 100;
/// Most ids listed at once.
pub(crate) const LIST_MAX: u32 = 1_000;
/// Most words suggested at once.
pub(crate) const SUGGESTIONS_MAX: u32 = 1_000;

/// A request's context, checked.
pub(crate) struct Context {
    pub(crate) grant: Grant,
    pub(crate) partition: PartitionId,
    pub(crate) min_next_offset: u64,
    pub(crate) latest: bool,
}

/// The context, of a call of this kind; `query_hash` is that of its query, 0 where there is none.
pub(crate) fn context(
    verifier: &GrantVerifier,
    map: &PartitionMap,
    now_unix_ms: u64,
    context: Option<&RequestContext>,
    purpose: Purpose,
    query_hash: u64,
) -> Result<Context, LeafError> {
    let context = context.ok_or_else(|| field("context", "is missing"))?;
    let grant = verifier.verify(&context.grant, now_unix_ms)?;
    grant.check_call(purpose, query_hash)?;
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

/// The beginning of words, and the fields to look for them in as bits.
pub(crate) fn prefix(prefix: String, fields: u32) -> Result<(String, u8), LeafError> {
    check_count("prefix", prefix.len(), Limits::QUERY_BYTES_MAX)?;
    let bits = u8::try_from(fields).ok().and_then(FieldSet::from_bits).map(FieldSet::bits);
    bits.map(|bits| (prefix, bits))
        .ok_or_else(|| field("fields", format!("is {fields:#b}, bits 0 to 2 are allowed")))
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
