//! Searching by looking at everything: what matches, and its score (`docs/formats/scoring.md`).

use std::collections::BTreeSet;

use nautilus_query::{Field, FieldSet, Node};
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset};

use crate::state::StoredDocument;
use crate::tokens::normalized;
use crate::{Attributes, ReferenceEngine};

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// One matching document.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its namespace.
    pub namespace: NamespaceName,
    /// Its id.
    pub id: DocumentId,
    /// Its score, not negative.
    pub score: f64,
    /// Weighted frequency of each scoring leaf, left to right.
    pub frequencies: Vec<u32>,
    /// Its length as it is scored: tokens of all fields, rounded.
    pub length: u32,
    /// Its numbers.
    pub attributes: Attributes,
    /// Offset of the record that last changed it.
    pub changed_at: Offset,
}

/// What documents are weighed against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Documents of the scope.
    pub documents: u64,
    /// Their lengths together, not rounded.
    pub total_length: u64,
    /// For each scoring leaf, left to right, how many of them have it.
    pub document_frequencies: Vec<u64>,
}

/// A document of the scope, with its tokens by field.
pub(crate) struct Candidate<'a> {
    namespace: &'a NamespaceName,
    id: &'a DocumentId,
    document: &'a StoredDocument,
    analyzer: u32,
    pub(crate) fields: &'a [Vec<String>; 3],
}

impl ReferenceEngine {
    /// The best `k` documents that match, best first; equal scores by namespace, then document id.
    ///
    /// A scope entry counts once, and only if its incarnation is the namespace's current one.
    #[must_use]
    pub fn search(
        &self,
        scope: &[(NamespaceName, Incarnation)],
        node: &Node,
        k: usize,
    ) -> Vec<Hit> {
        let mut hits = self.hits(scope, node, &self.statistics(scope, node));
        hits.truncate(k);
        hits
    }

    /// Every document that matches, scored with these statistics, in the order of [`Self::search`].
    pub(crate) fn hits(
        &self,
        scope: &[(NamespaceName, Incarnation)],
        node: &Node,
        statistics: &Statistics,
    ) -> Vec<Hit> {
        let leaves = node.scoring_leaves();
        let mut hits = Vec::new();
        for candidate in self.candidates(scope) {
            if candidate.matches(node) {
                let frequencies: Vec<u32> =
                    leaves.iter().map(|leaf| candidate.frequency(leaf)).collect();
                let length = round_length(candidate.length());
                hits.push(Hit {
                    namespace: candidate.namespace.clone(),
                    id: candidate.id.clone(),
                    score: score(statistics, &frequencies, length),
                    frequencies,
                    length,
                    attributes: candidate.document.metadata.attributes,
                    changed_at: candidate.document.changed_at,
                });
            }
        }
        hits.sort_by(|a, b| {
            let by_score = b.score.total_cmp(&a.score);
            by_score.then_with(|| (&a.id, &a.namespace).cmp(&(&b.id, &b.namespace)))
        });
        hits
    }

    /// The figures of the scope that scores are made with.
    #[must_use]
    pub fn statistics(&self, scope: &[(NamespaceName, Incarnation)], node: &Node) -> Statistics {
        let candidates = self.candidates(scope);
        let having = |leaf: &Node, namespace: Option<&NamespaceName>| {
            let is_counted = |c: &&Candidate<'_>| namespace.is_none_or(|only| c.namespace == only);
            candidates.iter().filter(is_counted).filter(|c| c.frequency(leaf) > 0).count() as u64
        };
        let namespaces: BTreeSet<_> = candidates.iter().map(|c| c.namespace).collect();
        let document_frequency = |leaf: &Node| match leaf {
            // A phrase counts as its rarest token, in each namespace.
            Node::Phrase { fields, tokens } => namespaces
                .iter()
                .map(|namespace| {
                    let of_token = |token: &String| {
                        let term = Node::Term { fields: *fields, token: token.clone() };
                        having(&term, Some(namespace))
                    };
                    tokens.iter().map(of_token).min().unwrap_or(0)
                })
                .sum(),
            Node::Term { .. } | Node::Prefix { .. } => having(leaf, None),
            Node::And(_) | Node::Or(_) | Node::Not(_) => 0,
        };
        Statistics {
            documents: candidates.len() as u64,
            total_length: candidates.iter().map(|c| u64::from(c.length())).sum(),
            document_frequencies: node
                .scoring_leaves()
                .into_iter()
                .map(document_frequency)
                .collect(),
        }
    }

    pub(crate) fn candidates(&self, scope: &[(NamespaceName, Incarnation)]) -> Vec<Candidate<'_>> {
        let scope: BTreeSet<_> = scope.iter().collect();
        let mut candidates = Vec::new();
        for (namespace, incarnation) in scope {
            let Some((namespace, stored)) = self.namespaces.get_key_value(namespace) else {
                continue;
            };
            if stored.incarnation != *incarnation {
                continue;
            }
            for (id, document) in &stored.documents {
                if document.text.is_some() {
                    let fields = &document.tokens;
                    let analyzer = self.analyzer;
                    candidates.push(Candidate { namespace, id, document, analyzer, fields });
                }
            }
        }
        candidates
    }
}

impl Candidate<'_> {
    /// As the query tree defines it.
    fn matches(&self, node: &Node) -> bool {
        match node {
            Node::And(children) => children.iter().all(|child| self.matches(child)),
            Node::Or(children) => children.iter().any(|child| self.matches(child)),
            Node::Not(child) => !self.matches(child),
            Node::Term { .. } | Node::Phrase { .. } | Node::Prefix { .. } => {
                self.frequency(node) > 0
            }
        }
    }

    /// How often a leaf occurs: 4 for each time in the title, 2 in the path, 1 in the body.
    fn frequency(&self, leaf: &Node) -> u32 {
        let in_fields = |fields: &FieldSet, count: &dyn Fn(&[String]) -> usize| -> u32 {
            [(Field::Title, 4), (Field::Path, 2), (Field::Body, 1)]
                .into_iter()
                .filter(|(field, _)| fields.contains(*field))
                .map(|(field, weight)| weight * to_u32(count(&self.fields[field.index()])))
                .sum()
        };
        match leaf {
            Node::Term { fields, token } => {
                let token = normalized(self.analyzer, token);
                in_fields(fields, &|tokens| tokens.iter().filter(|t| **t == token).count())
            }
            Node::Prefix { fields, prefix } => in_fields(fields, &|tokens| {
                tokens.iter().filter(|token| token.starts_with(prefix)).count()
            }),
            Node::Phrase { fields, tokens: phrase } => {
                let phrase: Vec<_> =
                    phrase.iter().map(|token| normalized(self.analyzer, token)).collect();
                in_fields(fields, &|tokens| {
                    tokens.windows(phrase.len().max(1)).filter(|window| *window == phrase).count()
                })
            }
            Node::And(_) | Node::Or(_) | Node::Not(_) => 0,
        }
    }

    /// Tokens of all fields.
    fn length(&self) -> u32 {
        to_u32(self.fields.iter().map(Vec::len).sum())
    }
}

fn score(statistics: &Statistics, frequencies: &[u32], length: u32) -> f64 {
    let n = statistics.documents as f64;
    let average = statistics.total_length as f64 / n;
    let mut score = 0.0;
    for (&df, &tf) in statistics.document_frequencies.iter().zip(frequencies) {
        if tf > 0 {
            let df = df as f64;
            let tf = f64::from(tf);
            let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
            let norm = K1 * (1.0 - B + B * (f64::from(length) / average));
            score += idf * tf * (K1 + 1.0) / (tf + norm);
        }
    }
    score
}

/// A length as one byte keeps it: exact below 24; above, what exceeds 24 is rounded down to its
/// four leading binary digits. Nothing is longer than 2^31 − 1.
pub(crate) fn round_length(length: u32) -> u32 {
    let length = length.min(0x7fff_ffff);
    if length < 24 {
        return length;
    }
    let mut unit = 1;
    while (length - 24) / unit >= 16 {
        unit *= 2;
    }
    24 + (length - 24) / unit * unit
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
