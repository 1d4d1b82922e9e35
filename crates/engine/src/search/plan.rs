//! A query tree compiled to the lists that must be read and a tree over their numbers.

use std::collections::HashMap;

use nautilus_query::{FieldSet, Node};

use crate::common;
use crate::error::EngineError;

/// Number of a list in [`Plan::lists`].
pub(super) type ListIndex = usize;

/// A list to read: every document with this token, or with a token that starts so, in these fields.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct List {
    pub(super) fields: FieldSet,
    pub(super) text: String,
    pub(super) kind: ListKind,
}

/// What a list's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ListKind {
    Token,
    Prefix,
    /// Two common words that stand side by side.
    Pair,
}

/// Tokens that must stand side by side in one field.
#[derive(Debug)]
pub(super) struct Phrase {
    pub(super) fields: FieldSet,
    pub(super) tokens: Vec<String>,
    pub(super) lists: Vec<ListIndex>,
}

/// The tree over lists and phrases.
#[derive(Debug)]
pub(super) enum Expression {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    List(ListIndex),
    Phrase(usize),
}

/// What scores.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaf {
    List(ListIndex),
    Phrase(usize),
    /// A phrase of two common words, which has a list; it counts as the rarer of the words.
    Pair {
        list: ListIndex,
        words: [ListIndex; 2],
    },
}

/// A compiled query.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) lists: Vec<List>,
    pub(super) phrases: Vec<Phrase>,
    pub(super) expression: Expression,
    /// In the order of `Node::scoring_leaves`.
    pub(super) scoring: Vec<Leaf>,
}

/// Deepest tree the recursion below follows; `nautilus_query` allows less.
const DEPTH_MAX: usize = 128;

impl Plan {
    pub(super) fn new(query: &Node) -> Result<Self, EngineError> {
        let mut builder = Builder::default();
        let expression = builder.expression(query, true, DEPTH_MAX)?;
        let Builder { lists, phrases, scoring, .. } = builder;
        Ok(Self { lists, phrases, expression, scoring })
    }

    /// Adds one namespace's document frequencies of the scoring leaves, given those of its lists.
    pub(super) fn add_document_frequencies(&self, of_lists: &[u64], sums: &mut [u64]) {
        let of = |list: ListIndex| of_lists.get(list).copied().unwrap_or(0);
        for (leaf, sum) in self.scoring.iter().zip(sums) {
            *sum += match *leaf {
                Leaf::List(list) => of(list),
                Leaf::Pair { words: [first, second], .. } => of(first).min(of(second)),
                Leaf::Phrase(phrase) => {
                    self.phrases[phrase].lists.iter().map(|&list| of(list)).min().unwrap_or(0)
                }
            };
        }
    }
}

#[derive(Default)]
struct Builder {
    lists: Vec<List>,
    numbers: HashMap<List, ListIndex>,
    phrases: Vec<Phrase>,
    scoring: Vec<Leaf>,
}

impl Builder {
    fn expression(
        &mut self,
        node: &Node,
        scores: bool,
        depth: usize,
    ) -> Result<Expression, EngineError> {
        let depth = depth.checked_sub(1).ok_or(EngineError::Query("nested too deep"))?;
        Ok(match node {
            Node::And(children) => Expression::And(self.children(children, scores, depth)?),
            Node::Or(children) => Expression::Or(self.children(children, scores, depth)?),
            Node::Not(child) => Expression::Not(Box::new(self.expression(child, false, depth)?)),
            Node::Term { fields, token } => self.list(*fields, token, ListKind::Token, scores),
            Node::Prefix { fields, prefix } => self.list(*fields, prefix, ListKind::Prefix, scores),
            Node::Phrase { fields, tokens } => {
                let lists: Vec<ListIndex> = tokens
                    .iter()
                    .map(|token| self.list_index(*fields, token, ListKind::Token))
                    .collect();
                if let (Some(text), &[first, second]) = (common::text_of_phrase(tokens), &*lists) {
                    let list = self.list_index(*fields, &text, ListKind::Pair);
                    if scores {
                        self.scoring.push(Leaf::Pair { list, words: [first, second] });
                    }
                    return Ok(Expression::List(list));
                }
                let phrase = self.phrases.len();
                self.phrases.push(Phrase { fields: *fields, tokens: tokens.clone(), lists });
                if scores {
                    self.scoring.push(Leaf::Phrase(phrase));
                }
                Expression::Phrase(phrase)
            }
        })
    }

    fn children(
        &mut self,
        children: &[Node],
        scores: bool,
        depth: usize,
    ) -> Result<Vec<Expression>, EngineError> {
        if children.is_empty() {
            return Err(EngineError::Query("a list without members"));
        }
        children.iter().map(|child| self.expression(child, scores, depth)).collect()
    }

    fn list(&mut self, fields: FieldSet, text: &str, kind: ListKind, scores: bool) -> Expression {
        let list = self.list_index(fields, text, kind);
        if scores {
            self.scoring.push(Leaf::List(list));
        }
        Expression::List(list)
    }

    fn list_index(&mut self, fields: FieldSet, text: &str, kind: ListKind) -> ListIndex {
        let list = List { fields, text: text.to_owned(), kind };
        let next = self.lists.len();
        *self.numbers.entry(list).or_insert_with_key(|list| {
            self.lists.push(list.clone());
            next
        })
    }
}
