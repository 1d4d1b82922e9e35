//! A tree as text, in the query language.

use std::fmt;

use crate::{Field, FieldSet, Node};

impl Field {
    /// Its name in the query language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Path => "path",
            Self::Body => "body",
        }
    }
}

/// The fields as they stand before a word: nothing for all, else `title:` or `title,path:`.
impl fmt::Display for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return Ok(());
        }
        let mut separator = "";
        for field in Field::ALL.into_iter().filter(|&field| self.contains(field)) {
            write!(f, "{separator}{}", field.name())?;
            separator = ",";
        }
        f.write_str(":")
    }
}

/// Text that parses to this tree again in either match mode, if the parser made the tree.
///
/// Recursive: for trees that passed [`validate`](crate::validate()).
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(children) => list(f, children, " AND "),
            Self::Or(children) => list(f, children, " OR "),
            Self::Not(child) => {
                f.write_str("NOT ")?;
                operand(f, child)
            }
            Self::Term { fields, token } => write!(f, "{fields}{token}"),
            Self::Prefix { fields, prefix } => write!(f, "{fields}{prefix}*"),
            Self::Phrase { fields, tokens } => write!(f, "{fields}\"{}\"", tokens.join(" ")),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, children: &[Node], separator: &str) -> fmt::Result {
    for (index, child) in children.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        operand(f, child)?;
    }
    Ok(())
}

fn operand(f: &mut fmt::Formatter<'_>, node: &Node) -> fmt::Result {
    match node {
        Node::And(_) | Node::Or(_) => write!(f, "({node})"),
        Node::Not(_) | Node::Term { .. } | Node::Prefix { .. } | Node::Phrase { .. } => {
            write!(f, "{node}")
        }
    }
}
