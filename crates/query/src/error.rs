//! What is wrong with a query's text, and where.

use std::fmt;

use nautilus_types::Class;

/// An operator of the query language, as it is shown in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `AND`
    And,
    /// `OR`
    Or,
    /// `NOT`, or a minus sign.
    Not,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Not => "NOT",
        })
    }
}

/// Why a text is not a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryErrorKind {
    /// Longer than allowed.
    #[error("the query is longer than {bytes_max} bytes")]
    TooLong {
        /// The bound in bytes.
        bytes_max: usize,
    },
    /// More words than allowed.
    #[error("the query has more than {words_max} words")]
    TooManyWords {
        /// The bound.
        words_max: usize,
    },
    /// Nested deeper than allowed.
    #[error("the query is nested deeper than {depth_max} levels")]
    TooDeep {
        /// The bound.
        depth_max: usize,
    },
    /// Too many open parentheses.
    #[error("more than {parens_max} parentheses are open")]
    TooManyParentheses {
        /// The bound.
        parens_max: usize,
    },
    /// An operator with nothing after it.
    #[error("expected a word after {operator}")]
    NothingAfter {
        /// The operator.
        operator: Operator,
    },
    /// An operator with nothing before it.
    #[error("expected a word before {operator}")]
    NothingBefore {
        /// The operator.
        operator: Operator,
    },
    /// A quote without its end.
    #[error("the quote is not closed")]
    UnclosedQuote,
    /// A parenthesis without its end.
    #[error("the parenthesis is not closed")]
    UnclosedParenthesis,
    /// A closing parenthesis without its beginning.
    #[error("the parenthesis was not opened")]
    UnopenedParenthesis,
    /// Nothing to search for.
    #[error("the query has no word to search for")]
    NoWords,
    /// Only says what not to find.
    #[error("NOT needs something beside it that is searched for")]
    OnlyNegative,
}

/// An error in a query's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {position}")]
pub struct QueryError {
    /// What is wrong.
    pub kind: QueryErrorKind,
    /// Where, as a byte offset in the text, at most its length.
    pub position: usize,
}

impl QueryError {
    /// Always [`Class::Invalid`].
    #[must_use]
    pub fn class(&self) -> Class {
        Class::Invalid
    }

    /// A stable word for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.kind {
            QueryErrorKind::TooLong { .. } => "QUERY_TOO_LONG",
            QueryErrorKind::TooManyWords { .. } => "QUERY_TOO_MANY_WORDS",
            QueryErrorKind::TooDeep { .. } | QueryErrorKind::TooManyParentheses { .. } => {
                "QUERY_TOO_DEEP"
            }
            QueryErrorKind::NothingAfter { .. }
            | QueryErrorKind::NothingBefore { .. }
            | QueryErrorKind::UnclosedQuote
            | QueryErrorKind::UnclosedParenthesis
            | QueryErrorKind::UnopenedParenthesis => "QUERY_SYNTAX",
            QueryErrorKind::NoWords => "QUERY_NO_WORDS",
            QueryErrorKind::OnlyNegative => "QUERY_ONLY_NEGATIVE",
        }
    }
}
