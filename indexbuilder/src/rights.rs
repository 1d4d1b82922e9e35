//! Which life of a namespace a caller may write to.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_catalog::{Catalog, CatalogError, Right, UserId};
use nautilus_types::{Incarnation, NamespaceName};

/// What the catalog says about one namespace: the life to write to, or none where the caller may
/// not write or there is no such namespace.
pub(crate) type Writable = Result<Option<Incarnation>, CatalogError>;

/// Asks once about each of `names`.
pub(crate) async fn writable(
    catalog: &dyn Catalog,
    user: &UserId,
    names: BTreeSet<NamespaceName>,
) -> BTreeMap<NamespaceName, Writable> {
    let mut answers = BTreeMap::new();
    for name in names {
        let answer = one(catalog, user, &name).await;
        answers.insert(name, answer);
    }
    answers
}

/// The life is read before the right. Were the name re-created between, the write would carry the old
/// life and change nothing; the other way round it would land in a namespace of somebody else.
async fn one(catalog: &dyn Catalog, user: &UserId, name: &NamespaceName) -> Writable {
    let Some(record) = catalog.get_namespace(name).await? else { return Ok(None) };
    let right = catalog.right_of(user, name).await?;
    let may_write = right.is_some_and(|right| right.allows(Right::Writer));
    Ok(may_write.then_some(record.incarnation))
}
