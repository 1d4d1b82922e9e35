//! A query as partitions of another analyzer version understand it.

use std::borrow::Cow;

use nautilus_analysis::Analyzer;

use crate::Node;

impl Node {
    /// The tree with its tokens as `analyzer` has them: the same leaves at the same places, so that what is said of
    /// scoring leaves by their number holds for both.
    ///
    /// Prefixes stay: what a person has typed of a word so far says nothing yet of the word's ending.
    #[must_use]
    pub fn normalized(&self, analyzer: &Analyzer) -> Cow<'_, Self> {
        if analyzer.keeps_tokens() {
            return Cow::Borrowed(self);
        }
        let mut tree = self.clone();
        let mut stack = vec![&mut tree];
        while let Some(node) = stack.pop() {
            match node {
                Self::And(children) | Self::Or(children) => stack.extend(children),
                Self::Not(child) => stack.push(child),
                Self::Term { token, .. } => normalize(token, analyzer),
                Self::Phrase { tokens, .. } => {
                    tokens.iter_mut().for_each(|token| normalize(token, analyzer));
                }
                Self::Prefix { .. } => {}
            }
        }
        Cow::Owned(tree)
    }
}

fn normalize(token: &mut String, analyzer: &Analyzer) {
    if let Cow::Owned(other) = analyzer.normalized(token) {
        *token = other;
    } else {
        // What is borrowed is a beginning of it.
        let length = analyzer.normalized(token).len();
        token.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MatchMode, QueryLimits, parse};

    #[test]
    fn tokens_change_and_leaves_keep_their_places() {
        let text = "foxes AND (\"red queries\" OR wolves*) title:boxes NOT kernels";
        let parsed = |analyzer: &Analyzer| {
            parse(text, MatchMode::All, &QueryLimits::default(), analyzer).expect("a query")
        };
        let (plain, singular) = (Analyzer::new(), Analyzer::of(2).expect("there is one"));
        let tree = parsed(&plain);
        assert!(matches!(tree.normalized(&plain), Cow::Borrowed(same) if *same == tree));
        let mapped = tree.normalized(&singular);
        assert_eq!(
            mapped.to_string(),
            "fox AND (\"red query\" OR wolves*) AND title:box AND NOT kernel"
        );
        assert_eq!(mapped.scoring_leaves().len(), tree.scoring_leaves().len());
        assert_eq!(mapped.normalized(&singular), mapped);
    }
}
