//! Query trees to and from the wire. A tree from a peer is checked, never trusted.

use nautilus_query::{FieldSet, Node};

use crate::common::v1::{QueryList, QueryNode, QueryPhrase, QueryTerm, query_node};

/// A query tree on the wire that no parser of ours makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryDecodeError {
    /// A node without content, or a list without children.
    #[error("the query has an empty node")]
    Empty,
    /// A field set that names no field, or an unknown one.
    #[error("the query names an unknown field")]
    Fields,
    /// Deeper than [`DEPTH_MAX`].
    #[error("the query is nested deeper than {DEPTH_MAX}")]
    Depth,
}

/// Bound of nesting accepted from the wire: the hard cap of the query language.
const DEPTH_MAX: usize = 64;

/// The tree as a message.
#[must_use]
pub fn query_to_proto(node: &Node) -> QueryNode {
    let list =
        |children: &[Node]| QueryList { children: children.iter().map(query_to_proto).collect() };
    let node = match node {
        Node::And(children) => query_node::Node::And(list(children)),
        Node::Or(children) => query_node::Node::Or(list(children)),
        Node::Not(child) => query_node::Node::Not(Box::new(query_to_proto(child))),
        Node::Term { fields, token } => query_node::Node::Term(QueryTerm {
            fields: u32::from(fields.bits()),
            token: token.clone(),
        }),
        Node::Phrase { fields, tokens } => query_node::Node::Phrase(QueryPhrase {
            fields: u32::from(fields.bits()),
            tokens: tokens.clone(),
        }),
        Node::Prefix { fields, prefix } => query_node::Node::Prefix(QueryTerm {
            fields: u32::from(fields.bits()),
            token: prefix.clone(),
        }),
    };
    QueryNode { node: Some(node) }
}

/// The message as a tree; its well-formedness beyond that is checked by `nautilus_query::validate`.
pub fn query_from_proto(message: &QueryNode) -> Result<Node, QueryDecodeError> {
    decode(message, 1)
}

fn decode(message: &QueryNode, depth: usize) -> Result<Node, QueryDecodeError> {
    if depth > DEPTH_MAX {
        return Err(QueryDecodeError::Depth);
    }
    let list = |list: &QueryList| -> Result<Vec<Node>, QueryDecodeError> {
        if list.children.is_empty() {
            return Err(QueryDecodeError::Empty);
        }
        list.children.iter().map(|child| decode(child, depth + 1)).collect()
    };
    Ok(match message.node.as_ref().ok_or(QueryDecodeError::Empty)? {
        query_node::Node::And(children) => Node::And(list(children)?),
        query_node::Node::Or(children) => Node::Or(list(children)?),
        query_node::Node::Not(child) => Node::Not(Box::new(decode(child, depth + 1)?)),
        query_node::Node::Term(term) => {
            Node::Term { fields: fields(term.fields)?, token: term.token.clone() }
        }
        query_node::Node::Phrase(phrase) => {
            Node::Phrase { fields: fields(phrase.fields)?, tokens: phrase.tokens.clone() }
        }
        query_node::Node::Prefix(term) => {
            Node::Prefix { fields: fields(term.fields)?, prefix: term.token.clone() }
        }
    })
}

fn fields(bits: u32) -> Result<FieldSet, QueryDecodeError> {
    u8::try_from(bits).ok().and_then(FieldSet::from_bits).ok_or(QueryDecodeError::Fields)
}
