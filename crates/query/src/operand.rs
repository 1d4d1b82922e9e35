//! Operands and how `AND`, `OR` and `NOT` join them into flat, well-formed trees.

use crate::{Node, QueryError, QueryErrorKind};

/// What a word or a group has become.
pub(crate) enum Operand {
    /// Nothing to search for.
    Empty,
    Positive(Node),
    /// None of these, at least one, the first of them negated at `position`.
    Negative {
        excluded: Vec<Node>,
        position: usize,
    },
}

/// The operand under a `NOT` at `position`.
pub(crate) fn negate(operand: Operand, position: usize) -> Operand {
    match operand {
        Operand::Empty => Operand::Empty,
        Operand::Positive(node) => Operand::Negative { excluded: vec![node], position },
        // Not (neither a nor b) is a or b.
        Operand::Negative { excluded, .. } => Operand::Positive(or(excluded)),
    }
}

/// Operands joined by `AND`, in their order.
pub(crate) fn all(operands: Vec<Operand>) -> Operand {
    let mut children = Vec::new();
    let mut negated_at = None;
    let mut has_positive = false;
    for operand in operands {
        match operand {
            Operand::Empty => {}
            Operand::Positive(node) => {
                has_positive = true;
                match node {
                    Node::And(inner) => children.extend(inner),
                    Node::Or(_)
                    | Node::Not(_)
                    | Node::Term { .. }
                    | Node::Phrase { .. }
                    | Node::Prefix { .. } => children.push(node),
                }
            }
            Operand::Negative { excluded, position } => {
                negated_at.get_or_insert(position);
                children.extend(excluded.into_iter().map(|node| Node::Not(Box::new(node))));
            }
        }
    }
    match (has_positive, negated_at) {
        (true, _) if children.len() == 1 => {
            children.pop().map_or(Operand::Empty, Operand::Positive)
        }
        (true, _) => Operand::Positive(Node::And(children)),
        (false, None) => Operand::Empty,
        (false, Some(position)) => {
            let inner = |child| {
                if let Node::Not(inner) = child { *inner } else { child }
            };
            Operand::Negative { excluded: children.into_iter().map(inner).collect(), position }
        }
    }
}

/// Operands side by side in mode Any: one of the positive ones, and none of the negative ones.
///
/// In mode All there is one, as all are joined.
pub(crate) fn any_beside(operands: Vec<Operand>) -> Operand {
    let mut wanted = Vec::new();
    let mut rest = Vec::new();
    for operand in operands {
        match operand {
            Operand::Positive(node) => wanted.push(node),
            Operand::Negative { .. } => rest.push(operand),
            Operand::Empty => {}
        }
    }
    if !wanted.is_empty() {
        rest.insert(0, Operand::Positive(or(wanted)));
    }
    all(rest)
}

/// The sides of `OR`, each of which must search for something.
pub(crate) fn any_side(sides: Vec<Operand>) -> Result<Operand, QueryError> {
    let mut sides: Vec<_> =
        sides.into_iter().filter(|side| !matches!(side, Operand::Empty)).collect();
    if sides.len() <= 1 {
        return Ok(sides.pop().unwrap_or(Operand::Empty));
    }
    let mut nodes = Vec::with_capacity(sides.len());
    for side in sides {
        match side {
            Operand::Positive(node) => nodes.push(node),
            Operand::Negative { position, .. } => {
                return Err(QueryError { kind: QueryErrorKind::OnlyNegative, position });
            }
            Operand::Empty => {}
        }
    }
    Ok(Operand::Positive(or(nodes)))
}

/// One of these, at least one given; flat.
fn or(nodes: Vec<Node>) -> Node {
    let mut children = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node {
            Node::Or(inner) => children.extend(inner),
            Node::And(_)
            | Node::Not(_)
            | Node::Term { .. }
            | Node::Phrase { .. }
            | Node::Prefix { .. } => children.push(node),
        }
    }
    if children.len() == 1 { children.remove(0) } else { Node::Or(children) }
}
