//! Filters, orders and pages of hits: everything is found, then sorted, then cut.

use std::cmp::Ordering;

use nautilus_query::Node;
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset};

use crate::{Attributes, Hit, ReferenceEngine, Statistics};

/// One of a document's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Size in bytes.
    Size,
    /// Time of creation.
    Created,
    /// Time of the last change.
    Modified,
}

impl Number {
    fn of(self, attributes: &Attributes) -> Option<i64> {
        match self {
            Self::Size => attributes.size_bytes,
            Self::Created => attributes.created_unix_ms,
            Self::Modified => attributes.modified_unix_ms,
        }
    }
}

/// A bound on a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Not below.
    AtLeast(Number, i64),
    /// Not above.
    AtMost(Number, i64),
}

impl Bound {
    fn holds(&self, attributes: &Attributes) -> bool {
        match *self {
            Self::AtLeast(number, bound) => number.of(attributes).is_some_and(|it| it >= bound),
            Self::AtMost(number, bound) => number.of(attributes).is_some_and(|it| it <= bound),
        }
    }
}

/// How hits are ordered; equal ones by document id, then namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The best score first.
    Relevance,
    /// The smallest number first; without one last.
    Ascending(Number),
    /// The largest number first; without one last.
    Descending(Number),
}

/// A place in an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Looked at by relevance.
    pub score: f64,
    /// Looked at by a number.
    pub value: Option<i64>,
    /// Of the hit there.
    pub id: DocumentId,
    /// Of the hit there.
    pub namespace: NamespaceName,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Where.
    pub scope: &'a [(NamespaceName, Incarnation)],
    /// What.
    pub node: &'a Node,
    /// Hits wanted.
    pub limit: usize,
    /// All must hold.
    pub bounds: &'a [Bound],
    /// How they are ordered.
    pub order: Order,
    /// Only hits after this place.
    pub after: Option<&'a Place>,
    /// To score with, instead of the scope's own.
    pub statistics: Option<&'a Statistics>,
    /// Only hits whose last change is below this offset.
    pub changed_before: Option<Offset>,
}

/// What is found.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Documents that match within the bounds, wherever they stand and whenever they changed.
    pub total_hits: u64,
    /// Those asked for.
    pub hits: Vec<Hit>,
}

impl ReferenceEngine {
    /// The hits of one page.
    #[must_use]
    pub fn page(&self, request: &Request<'_>) -> Page {
        let own = self.statistics(request.scope, request.node);
        let statistics = request.statistics.unwrap_or(&own);
        let mut hits = self.hits(request.scope, request.node, statistics);
        hits.retain(|hit| request.bounds.iter().all(|bound| bound.holds(&hit.attributes)));
        let total_hits = hits.len() as u64;
        let place = |hit: &Hit| place(hit, request.order);
        hits.sort_by(|a, b| compare(request.order, &place(a), &place(b)));
        if let Some(after) = request.after {
            hits.retain(|hit| compare(request.order, &place(hit), after) == Ordering::Greater);
        }
        if let Some(bound) = request.changed_before {
            hits.retain(|hit| hit.changed_at < bound);
        }
        hits.truncate(request.limit);
        Page { total_hits, hits }
    }
}

/// The place of a hit in an order.
#[must_use]
pub fn place(hit: &Hit, order: Order) -> Place {
    let value = match order {
        Order::Relevance => None,
        Order::Ascending(number) | Order::Descending(number) => number.of(&hit.attributes),
    };
    let (id, namespace) = (hit.id.clone(), hit.namespace.clone());
    Place { score: hit.score, value, id, namespace }
}

fn compare(order: Order, a: &Place, b: &Place) -> Ordering {
    let by_value = match (order, a.value, b.value) {
        (Order::Relevance, _, _) => b.score.total_cmp(&a.score),
        (_, None, None) => Ordering::Equal,
        (_, None, Some(_)) => Ordering::Greater,
        (_, Some(_), None) => Ordering::Less,
        (Order::Ascending(_), Some(a), Some(b)) => a.cmp(&b),
        (Order::Descending(_), Some(a), Some(b)) => b.cmp(&a),
    };
    by_value.then_with(|| (&a.id, &a.namespace).cmp(&(&b.id, &b.namespace)))
}
