//! Well-formedness of trees that come from elsewhere than the parser.

use nautilus_analysis::TOKEN_BYTES_MAX;
use nautilus_types::Class;

use crate::{Node, QueryLimits};

/// Why a tree is not a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// An `And` or `Or` without children.
    #[error("the query tree has an operator without operands")]
    EmptyOperator,
    /// A `Not` that is not beside something positive inside an `And`.
    #[error("the query tree has a NOT that stands alone")]
    LoneNot,
    /// A phrase of fewer than two tokens.
    #[error("the query tree has a phrase of fewer than two tokens")]
    ShortPhrase,
    /// An empty token, or one longer than any document has.
    #[error("the query tree has a token of {bytes} bytes, 1 to {TOKEN_BYTES_MAX} are allowed")]
    TokenLength {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Nested deeper than allowed.
    #[error("the query tree is deeper than {depth_max} levels")]
    TooDeep {
        /// The bound.
        depth_max: usize,
    },
    /// More tokens than allowed.
    #[error("the query tree has more than {leaves_max} tokens")]
    TooManyLeaves {
        /// The bound.
        leaves_max: usize,
    },
}

impl TreeError {
    /// Always [`Class::Invalid`].
    #[must_use]
    pub fn class(&self) -> Class {
        Class::Invalid
    }

    /// A stable word for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        "QUERY_TREE_INVALID"
    }
}

/// Checks what [`Node`] promises about a well-formed tree, and the limits on depth and leaves.
pub fn validate(node: &Node, limits: &QueryLimits) -> Result<(), TreeError> {
    let QueryLimits { leaves_max, depth_max, .. } = limits.capped();
    let mut leaves = 0;
    // An explicit stack: the tree may be as deep as its decoder allows.
    let mut stack = vec![(node, 1, false)];
    while let Some((node, depth, is_not_allowed)) = stack.pop() {
        if depth > depth_max {
            return Err(TreeError::TooDeep { depth_max });
        }
        match node {
            Node::And(children) | Node::Or(children) => {
                if children.is_empty() {
                    return Err(TreeError::EmptyOperator);
                }
                let is_not_allowed = matches!(node, Node::And(_))
                    && children.iter().any(|child| !matches!(child, Node::Not(_)));
                stack.extend(children.iter().map(|child| (child, depth + 1, is_not_allowed)));
            }
            Node::Not(child) => {
                if !is_not_allowed {
                    return Err(TreeError::LoneNot);
                }
                stack.push((child, depth + 1, false));
            }
            Node::Term { token, .. } | Node::Prefix { prefix: token, .. } => {
                check_token(token)?;
                leaves += 1;
            }
            Node::Phrase { tokens, .. } => {
                if tokens.len() < 2 {
                    return Err(TreeError::ShortPhrase);
                }
                tokens.iter().try_for_each(|token| check_token(token))?;
                leaves += tokens.len();
            }
        }
        if leaves > leaves_max {
            return Err(TreeError::TooManyLeaves { leaves_max });
        }
    }
    Ok(())
}

fn check_token(token: &str) -> Result<(), TreeError> {
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err(TreeError::TokenLength { bytes: token.len() });
    }
    Ok(())
}

/// Levels of a tree; a leaf has one.
pub(crate) fn depth(node: &Node) -> usize {
    let mut deepest = 0;
    let mut stack = vec![(node, 1)];
    while let Some((node, depth)) = stack.pop() {
        deepest = deepest.max(depth);
        match node {
            Node::And(children) | Node::Or(children) => {
                stack.extend(children.iter().map(|child| (child, depth + 1)));
            }
            Node::Not(child) => stack.push((child, depth + 1)),
            Node::Term { .. } | Node::Phrase { .. } | Node::Prefix { .. } => {}
        }
    }
    deepest
}
