//! What a root answers from documents in memory: every partition looks at all of its own, sorts
//! them and gives the first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use nautilus_analysis::Analyzer;
use nautilus_proto::common::v1::{
    DocumentFilter, Field, NamespaceRef, QueryNode, Range as NumberRange, Sort, SortKey, Stage,
};
use nautilus_proto::leaf::v1::{Cursor, Statistics, Suggestion};
use nautilus_proto::query_from_proto;
use nautilus_proto::root::v1 as root;
use nautilus_proto::search::v1::{ByteRange, Highlight};
use nautilus_query::highlight::fragments;
use nautilus_query::scoring::{Collection, score, weighted_frequency};
use nautilus_query::{Field as QueryField, FieldSet, Node};
use nautilus_types::PartitionId;

use super::{Doc, State, label, partition_of};

/// A match in its place.
pub(crate) struct Ranked<'d> {
    pub(crate) doc: &'d Doc,
    pub(crate) score: f64,
    sort_value: Option<i64>,
    length: u32,
    frequencies: Vec<u32>,
}

/// All matches of `docs`, best first, by the statistics of `docs` or those given.
pub(crate) fn ranked<'d>(
    docs: &[&'d Doc],
    tree: &Node,
    statistics: Option<&Statistics>,
    filter: Option<&DocumentFilter>,
    sort: Option<&Sort>,
) -> Vec<Ranked<'d>> {
    let own = statistics_of(docs, tree);
    let statistics = statistics.unwrap_or(&own);
    let collection =
        Collection { documents: statistics.documents, total_length: statistics.total_length };
    let rank = |doc: &&'d Doc| {
        let tokens = Tokens::of(doc);
        let is_in = tokens.matches(tree) && filter.is_none_or(|filter| passes(doc, filter));
        is_in.then(|| {
            let frequencies = tokens.frequencies(tree);
            let (length, df) = (tokens.length(), &statistics.document_frequencies);
            let score = score(collection, df, length, &frequencies);
            Ranked { doc, score, sort_value: sort_value(doc, sort), length, frequencies }
        })
    };
    let mut found: Vec<_> = docs.iter().filter_map(rank).collect();
    found.sort_by(|a, b| {
        let by_number = |ascending: bool| {
            let key = |value: Option<i64>| {
                (value.is_none(), value.map(|v| if ascending { v } else { -v }))
            };
            key(a.sort_value).cmp(&key(b.sort_value))
        };
        let first = match sort {
            None => Reverse(OrderedScore(a.score)).cmp(&Reverse(OrderedScore(b.score))),
            Some(sort) => by_number(sort.ascending),
        };
        first
            .then_with(|| a.doc.id.as_bytes().cmp(b.doc.id.as_bytes()))
            .then_with(|| a.doc.namespace.name.cmp(&b.doc.namespace.name))
    });
    found
}

/// Where the title and the text of a document match.
pub(crate) fn highlights(doc: &Doc, query: Option<&QueryNode>) -> Vec<Highlight> {
    let Some(query) = query else { return Vec::new() };
    let tree = query_from_proto(query).expect("a query");
    let fields = [(Field::Title, &doc.title), (Field::Body, &doc.body)];
    let of_field = |(field, text): (Field, &String)| {
        let field_asked = if field == Field::Title { QueryField::Title } else { QueryField::Body };
        let fragments = fragments(text, &tree, field_asked, &Analyzer::new(), 1, 160);
        fragments.into_iter().map(move |fragment| {
            let at = |at: usize| u32::try_from(at).expect("small");
            let range =
                |range: &Range<usize>| ByteRange { start: at(range.start), end: at(range.end) };
            let ranges = fragment.ranges.iter().map(range).collect();
            Highlight { field: field.into(), ranges, text: fragment.text }
        })
    };
    fields.into_iter().flat_map(of_field).collect()
}

#[derive(PartialEq)]
struct OrderedScore(f64);

impl Eq for OrderedScore {}

impl PartialOrd for OrderedScore {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedScore {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.partial_cmp(&other.0).expect("scores are numbers")
    }
}

fn passes(doc: &Doc, filter: &DocumentFilter) -> bool {
    let is_in = |range: Option<NumberRange>, value: Option<i64>| match (range, value) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(range), Some(value)) => {
            range.min.is_none_or(|min| min <= value) && range.max.is_none_or(|max| value <= max)
        }
    };
    is_in(filter.size_bytes, number(doc, SortKey::Size))
        && is_in(filter.created_unix_ms, number(doc, SortKey::Created))
        && is_in(filter.modified_unix_ms, number(doc, SortKey::Modified))
}

fn sort_value(doc: &Doc, sort: Option<&Sort>) -> Option<i64> {
    number(doc, sort?.key())
}

fn number(doc: &Doc, key: SortKey) -> Option<i64> {
    let number = match key {
        SortKey::Unspecified | SortKey::Relevance => 0,
        SortKey::Modified => doc.metadata.modified_unix_ms,
        SortKey::Created => doc.metadata.created_unix_ms,
        SortKey::Size => i64::try_from(doc.metadata.size_bytes).expect("small"),
    };
    (number != 0).then_some(number)
}

fn statistics_of(docs: &[&Doc], tree: &Node) -> Statistics {
    let leaves = tree.scoring_leaves().len();
    let mut sum = Statistics { document_frequencies: vec![0; leaves], ..Statistics::default() };
    for doc in docs {
        let tokens = Tokens::of(doc);
        sum.documents += 1;
        sum.total_length += u64::from(tokens.length());
        for (df, tf) in sum.document_frequencies.iter_mut().zip(tokens.frequencies(tree)) {
            *df += u64::from(tf > 0);
        }
    }
    sum
}

pub(super) fn search(state: &State, request: &root::SearchRequest) -> root::SearchResponse {
    let tree = query_from_proto(request.query.as_ref().expect("always")).expect("a tree");
    let leaves = tree.scoring_leaves().len();
    let mut statistics =
        Statistics { document_frequencies: vec![0; leaves], ..Statistics::default() };
    let mut response = root::SearchResponse {
        stages: vec![
            Stage { name: "route".into(), duration_us: 1, ..Stage::default() },
            Stage { name: "fan_out".into(), duration_us: 5, ..Stage::default() },
        ],
        ..root::SearchResponse::default()
    };
    let asked: BTreeSet<_> = request.namespaces.iter().map(partition_of).collect();
    for partition in asked {
        match state.failures.get(&partition) {
            Some(reason) => response
                .failures
                .push(root::PartitionFailure { partition: partition.0, reason: (*reason).into() }),
            None => {
                let part = leaf_search(state, request, &tree, partition, &mut response);
                add(&mut statistics, &part);
            }
        }
    }
    response.statistics = Some(statistics);
    response
}

fn leaf_search(
    state: &State,
    request: &root::SearchRequest,
    tree: &Node,
    partition: PartitionId,
    response: &mut root::SearchResponse,
) -> Statistics {
    let docs = documents(state, &request.namespaces, partition);
    let before = request.changed_before.iter().find(|one| one.partition == partition.0);
    let before = before.map_or(u64::MAX, |one| one.next_offset);
    let (statistics, filter) = (request.statistics.as_ref(), request.filter.as_ref());
    let own = statistics_of(&docs, tree);
    let given = statistics.or(Some(&own));
    let mut found = ranked(&docs, tree, given, filter, request.sort.as_ref());
    found.retain(|one| one.doc.changed_at < before);
    let total_hits = u64::try_from(found.len()).expect("small");
    if let Some(after) = &request.after {
        let is_first = |one: &Ranked<'_>| !is_after(one, after, request.sort.as_ref());
        let skipped = found.iter().take_while(|one| is_first(one)).count();
        found.drain(..skipped);
    }
    found.truncate(usize::try_from(request.limit).expect("small"));
    response.total_hits += total_hits;
    response.answers.push(root::PartitionAnswer {
        label: Some(label(state, partition)),
        leaf: "leaf-1".into(),
        replica_group: "blue".into(),
        rows_scanned: 10 * total_hits,
        queue_us: 1,
        search_us: 2,
        round_trip_us: 4,
        total_hits,
        candidates: u32::try_from(found.len()).expect("small"),
        attempts: Vec::from_iter(request.explain.then(|| root::Attempt {
            leaf: "leaf-1".into(),
            reason: "ONLY".into(),
            outcome: "OK".into(),
            ..root::Attempt::default()
        })),
        ..root::PartitionAnswer::default()
    });
    response.candidates.extend(found.into_iter().map(|one| {
        let index = request.namespaces.iter().position(|name| *name == one.doc.namespace);
        root::Candidate {
            namespace_index: u32::try_from(index.expect("asked for")).expect("small"),
            document_id: one.doc.id.clone().into(),
            length: one.length,
            frequencies: one.frequencies,
            sort_value: one.sort_value,
        }
    }));
    own
}

fn is_after(one: &Ranked<'_>, after: &Cursor, sort: Option<&Sort>) -> bool {
    let tie = (one.doc.id.as_bytes(), &*one.doc.namespace.name)
        > (&*after.document_id, &*after.namespace);
    let Some(sort) = sort else {
        return one.score < after.score || (one.score == after.score && tie);
    };
    match (one.sort_value, after.sort_value) {
        (None, None) => tie,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (Some(a), Some(b)) if a == b => tie,
        (Some(a), Some(b)) => (a > b) == sort.ascending,
    }
}

fn documents<'s>(
    state: &'s State,
    namespaces: &[NamespaceRef],
    partition: PartitionId,
) -> Vec<&'s Doc> {
    let is_in = |doc: &&Doc| {
        namespaces.contains(&doc.namespace) && partition_of(&doc.namespace) == partition
    };
    state.documents.iter().filter(is_in).collect()
}

fn add(sum: &mut Statistics, part: &Statistics) {
    sum.documents += part.documents;
    sum.total_length += part.total_length;
    for (df, more) in sum.document_frequencies.iter_mut().zip(&part.document_frequencies) {
        *df += more;
    }
}

pub(super) fn suggest(state: &State, request: &root::SuggestRequest) -> root::SuggestResponse {
    let asked: BTreeSet<_> = request.namespaces.iter().map(partition_of).collect();
    let mut words = BTreeMap::<String, u64>::new();
    let mut response = root::SuggestResponse::default();
    for partition in asked {
        if let Some(reason) = state.failures.get(&partition) {
            let reason = (*reason).to_owned();
            response.failures.push(root::PartitionFailure { partition: partition.0, reason });
            continue;
        }
        let label = Some(label(state, partition));
        response.answers.push(root::PartitionAnswer { label, ..Default::default() });
        for doc in documents(state, &request.namespaces, partition) {
            let distinct: BTreeSet<_> = Tokens::of(doc).0.into_iter().flatten().collect();
            for token in distinct.into_iter().filter(|token| token.starts_with(&request.prefix)) {
                *words.entry(token).or_default() += 1;
            }
        }
    }
    let mut words: Vec<_> = words.into_iter().collect();
    words.sort_by_key(|(token, documents)| (Reverse(*documents), token.clone()));
    words.truncate(usize::try_from(request.limit).expect("small"));
    let suggestion = |(token, documents)| Suggestion { token, documents };
    response.suggestions = words.into_iter().map(suggestion).collect();
    response
}

/// Tokens by field.
struct Tokens([Vec<String>; 3]);

impl Tokens {
    fn of(doc: &Doc) -> Self {
        let tokens =
            |text: &str| Analyzer::new().tokens(text).into_iter().map(|token| token.text).collect();
        Self([tokens(&doc.title), tokens(&doc.path), tokens(&doc.body)])
    }

    fn length(&self) -> u32 {
        u32::try_from(self.0.iter().map(Vec::len).sum::<usize>()).expect("small")
    }

    fn frequencies(&self, tree: &Node) -> Vec<u32> {
        tree.scoring_leaves().into_iter().map(|leaf| self.frequency(leaf)).collect()
    }

    fn frequency(&self, leaf: &Node) -> u32 {
        let count = |is_it: &dyn Fn(&String) -> bool| {
            let of_field = |tokens: &Vec<String>| tokens.iter().filter(|t| is_it(t)).count();
            [0, 1, 2].map(|n| u32::try_from(of_field(&self.0[n])).expect("small"))
        };
        match leaf {
            Node::Term { fields, token } => weighted_frequency(count(&|t| t == token), *fields),
            Node::Prefix { fields, prefix } => {
                weighted_frequency(count(&|t| t.starts_with(prefix.as_str())), *fields)
            }
            // No test searches for phrases here.
            Node::Phrase { .. } | Node::And(_) | Node::Or(_) | Node::Not(_) => {
                weighted_frequency([0; 3], FieldSet::ALL)
            }
        }
    }

    fn matches(&self, node: &Node) -> bool {
        match node {
            Node::And(children) => children.iter().all(|child| self.matches(child)),
            Node::Or(children) => children.iter().any(|child| self.matches(child)),
            Node::Not(child) => !self.matches(child),
            Node::Term { .. } | Node::Prefix { .. } | Node::Phrase { .. } => {
                self.frequency(node) > 0
            }
        }
    }
}
