//! Understanding: from a request's text to the trees that are searched for. Pure.

use nautilus_analysis::Analyzer;
use nautilus_proto::search::v1 as search;
use nautilus_query::{MatchMode, Node, QueryError, QueryLimits, literal, parse};

/// How the text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// The query language.
    Language,
    /// Every word is just a word.
    Literal,
}

/// What words side by side mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// All of them.
    All,
    /// Any of them.
    Any,
    /// All, and if that finds nothing any.
    Auto,
}

impl Syntax {
    /// From the wire; none where the number means nothing.
    #[must_use]
    pub fn from_proto(number: i32) -> Option<Self> {
        match search::QuerySyntax::try_from(number).ok()? {
            search::QuerySyntax::Unspecified | search::QuerySyntax::Language => {
                Some(Self::Language)
            }
            search::QuerySyntax::Literal => Some(Self::Literal),
        }
    }
}

impl Syntax {
    /// For page tokens: never changed, never reused.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Language => 1,
            Self::Literal => 2,
        }
    }
}

impl Match {
    /// For page tokens: never changed, never reused.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::All => 1,
            Self::Any => 2,
            Self::Auto => 3,
        }
    }

    /// From the wire; none where the number means nothing.
    #[must_use]
    pub fn from_proto(number: i32) -> Option<Self> {
        match search::MatchMode::try_from(number).ok()? {
            search::MatchMode::Unspecified | search::MatchMode::Auto => Some(Self::Auto),
            search::MatchMode::All => Some(Self::All),
            search::MatchMode::Any => Some(Self::Any),
        }
    }
}

/// What was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood {
    /// What is searched for.
    pub tree: Node,
    /// What is searched for next, if that finds nothing.
    pub relaxed: Option<Node>,
}

/// Reads a text.
pub fn understand(
    text: &str,
    syntax: Syntax,
    matching: Match,
    limits: &QueryLimits,
    analyzer: &Analyzer,
) -> Result<Understood, QueryError> {
    let read = |mode| match syntax {
        Syntax::Language => parse(text, mode, limits, analyzer),
        Syntax::Literal => literal(text, mode, limits, analyzer),
    };
    Ok(match matching {
        Match::All => Understood { tree: read(MatchMode::All)?, relaxed: None },
        Match::Any => Understood { tree: read(MatchMode::Any)?, relaxed: None },
        Match::Auto => {
            let tree = read(MatchMode::All)?;
            // A text that only means something with all words is not relaxed.
            let relaxed = read(MatchMode::Any).ok().filter(|relaxed| *relaxed != tree);
            Understood { tree, relaxed }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, syntax: Syntax, matching: Match) -> (String, Option<String>) {
        let understood =
            understand(text, syntax, matching, &QueryLimits::default(), &Analyzer::new());
        let Understood { tree, relaxed } = understood.expect("a query");
        (tree.to_string(), relaxed.map(|tree| tree.to_string()))
    }

    #[test]
    fn auto_relaxes_where_that_changes_something() {
        let language = |text| of(text, Syntax::Language, Match::Auto);
        assert_eq!(language("red fox"), ("red AND fox".into(), Some("red OR fox".into())));
        assert_eq!(language("fox"), ("fox".into(), None));
        assert_eq!(language("red AND fox"), ("red AND fox".into(), None));
        assert_eq!(of("red fox", Syntax::Language, Match::All).1, None);
        assert_eq!(of("red fox", Syntax::Language, Match::Any).0, "red OR fox");
        assert_eq!(of("red OR", Syntax::Literal, Match::All).0, "red AND or");
    }

    #[test]
    fn unknown_numbers_mean_nothing() {
        assert_eq!((Match::from_proto(0), Match::from_proto(4)), (Some(Match::Auto), None));
        assert_eq!((Syntax::from_proto(0), Syntax::from_proto(9)), (Some(Syntax::Language), None));
    }
}
