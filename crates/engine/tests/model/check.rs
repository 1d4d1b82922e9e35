//! Replays the history in the reference engine and compares each answer at its label.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_engine::{Cursor, Filter, NumberRange, ScopeStatistics, Sort, SortKey};
use nautilus_reference_engine::{
    Attributes, Bound, Hit, Number, Order, Place, ReferenceEngine, Request, Statistics,
};
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset};

use super::ask::{Answer, Question, Words};
use super::convert::to_reference;
use super::history::Record;
use super::tally::{Count, Tally};

type Scope = Vec<(NamespaceName, Incarnation)>;
type Key = (NamespaceName, DocumentId);

/// A listing under way, page by page.
struct Listing {
    first_label: Offset,
    last_label: Offset,
    /// Every hit when it began.
    hits: Vec<Hit>,
    shown: BTreeSet<Key>,
}

pub(crate) fn check(log: &[Record], analyzer: u32, mut answers: Vec<Answer>, tally: &mut Tally) {
    answers.sort_by_key(|answer| answer.label);
    let mut model = ReferenceEngine::with_analyzer(analyzer);
    let mut records = log.iter().peekable();
    let mut last_label = None;
    let mut listings = BTreeMap::new();
    for answer in answers {
        while let Some(record) = records.next_if(|record| record.offset < answer.label.0) {
            model.apply(Offset(record.offset), &to_reference(record));
        }
        tally.count(Count::Answers, true);
        tally.count(Count::Labels, last_label != Some(answer.label));
        tally.count(Count::AnswersWithHits, answer.outcome.total_hits > 0);
        last_label = Some(answer.label);
        let scope = scope(&answer.question);
        check_search(&model, &scope, &answer, tally);
        check_listing(&model, &scope, &answer, &mut listings, tally);
        check_words(&model, &scope, &answer.words, answer.label, tally);
        check_fetched(&model, &answer);
        if let Some(entry) = answer.question.scope.first() {
            let listed: Vec<_> = answer.listed.iter().map(|doc| doc.document_id.clone()).collect();
            let expected = model.document_ids(&entry.namespace, entry.incarnation);
            assert_eq!(listed, expected, "list of {entry:?} at {}", answer.label);
        }
    }
}

fn check_search(model: &ReferenceEngine, scope: &Scope, answer: &Answer, tally: &mut Tally) {
    let Answer { label, question, outcome, .. } = answer;
    let at = format!("{question:?} at {label}");
    assert_eq!(outcome.next_offset, *label);
    assert!(!outcome.truncated, "{at}");
    assert_eq!(to_model(&outcome.statistics), model.statistics(scope, &question.query), "{at}");

    let page = page(model, scope, question, question.limit);
    assert_eq!(outcome.total_hits, page.total_hits, "hits of {at}");
    let got: Vec<_> = outcome
        .candidates
        .iter()
        .map(|hit| {
            let namespace = &question.scope[hit.scope_index].namespace;
            let (id, frequencies) = (hit.document_id.clone(), hit.frequencies.clone());
            (hit.score, id, namespace.clone(), hit.length, frequencies, hit.sort_value)
        })
        .collect();
    let expected: Vec<_> = page
        .hits
        .into_iter()
        .map(|hit| {
            let value = sort_value(question.sort, &hit.attributes);
            (hit.score, hit.id, hit.namespace, hit.length, hit.frequencies, value)
        })
        .collect();
    assert_eq!(got, expected, "{at}");

    let unfiltered = model.search(scope, &question.query, usize::MAX).len() as u64;
    let is_part = (1..unfiltered).contains(&outcome.total_hits);
    tally.count(Count::PartFiltered, !question.filter.is_open() && is_part);
    let is_by_number = question.sort.key != SortKey::Relevance;
    tally.count(Count::Sorted, is_by_number && outcome.candidates.len() > 1);
}

/// No page repeats a hit of an earlier one, and together they omit none that did not change meanwhile.
fn check_listing(
    model: &ReferenceEngine,
    scope: &Scope,
    answer: &Answer,
    listings: &mut BTreeMap<u64, Listing>,
    tally: &mut Tally,
) {
    let Answer { label, question, outcome, listing, .. } = answer;
    let Some(number) = listing else { return };
    let listing = listings.entry(*number).or_insert_with(|| Listing {
        first_label: *label,
        last_label: *label,
        hits: page(model, scope, question, usize::MAX).hits,
        shown: BTreeSet::new(),
    });
    if question.after.is_some() {
        tally.count(Count::Pages, true);
        tally.count(Count::PagesAfterChanges, listing.last_label != *label);
        let any_time = Question { changed_before: None, ..question.clone() };
        let with_changed = page(model, scope, &any_time, question.limit).hits;
        let left_out = with_changed.iter().any(|hit| hit.changed_at >= listing.first_label);
        tally.count(Count::PagesWithoutChanged, left_out);
    }
    listing.last_label = *label;
    for hit in &outcome.candidates {
        let namespace = question.scope[hit.scope_index].namespace.clone();
        let key = (namespace, hit.document_id.clone());
        assert!(listing.shown.insert(key), "{hit:?} twice in {question:?} at {label}");
    }
    if outcome.candidates.len() == question.limit {
        return;
    }
    for hit in &listing.hits {
        let key = (hit.namespace.clone(), hit.id.clone());
        let incarnation = scope.iter().find(|(namespace, incarnation)| {
            *namespace == hit.namespace && model.get(namespace, *incarnation, &hit.id).is_some()
        });
        let now = incarnation.and_then(|(name, life)| model.get(name, *life, &hit.id));
        let is_unchanged =
            now.is_some_and(|now| now.text.is_some() && now.changed_at < listing.first_label);
        assert!(
            !is_unchanged || listing.shown.contains(&key),
            "{key:?} left out of {question:?}, begun at {}, ended at {label}",
            listing.first_label
        );
    }
    tally.count(Count::Listings, true);
    tally.count(Count::ListingsAfterChanges, listing.first_label != *label);
}

fn check_words(
    model: &ReferenceEngine,
    scope: &Scope,
    words: &Words,
    label: Offset,
    tally: &mut Tally,
) {
    let Words { prefix, fields, limit, outcome } = words;
    assert_eq!((outcome.next_offset, outcome.truncated), (label, false));
    let got: Vec<_> =
        outcome.suggestions.iter().map(|word| (word.token.clone(), word.documents)).collect();
    let expected = model.suggest(scope, prefix, *fields, *limit);
    assert_eq!(got, expected, "{limit} words of {prefix:?} in {scope:?} at {label}");
    tally.count(Count::Suggestions, !got.is_empty());
}

fn check_fetched(model: &ReferenceEngine, answer: &Answer) {
    let Some((entry, id, document)) = &answer.fetched else { return };
    let expected = model.get(&entry.namespace, entry.incarnation, id).expect("it was a hit");
    let document = document.as_ref().expect("a hit can be fetched from its own snapshot");
    let text = expected.text.as_ref().expect("live");
    assert_eq!(
        (&document.title, &document.path, document.body.as_ref(), document.version),
        (&text.title, &text.path, Some(&text.body), expected.version)
    );
    assert_eq!(document.metadata, expected.metadata.bytes);
}

fn page(
    model: &ReferenceEngine,
    scope: &Scope,
    question: &Question,
    limit: usize,
) -> nautilus_reference_engine::Page {
    let statistics = question.statistics.as_ref().map(to_model);
    let after = question.after.as_ref().map(to_place);
    model.page(&Request {
        scope,
        node: &question.query,
        limit,
        bounds: &bounds(question.filter),
        order: order(question.sort),
        after: after.as_ref(),
        statistics: statistics.as_ref(),
        changed_before: question.changed_before,
    })
}

fn scope(question: &Question) -> Scope {
    question.scope.iter().map(|entry| (entry.namespace.clone(), entry.incarnation)).collect()
}

fn to_model(statistics: &ScopeStatistics) -> Statistics {
    Statistics {
        documents: statistics.documents,
        total_length: statistics.total_length,
        document_frequencies: statistics.document_frequencies.clone(),
    }
}

fn to_place(cursor: &Cursor) -> Place {
    Place {
        score: cursor.score,
        value: cursor.sort_value,
        id: cursor.document_id.clone(),
        namespace: cursor.namespace.clone(),
    }
}

fn bounds(filter: Filter) -> Vec<Bound> {
    let Filter { size_bytes, created_unix_ms, modified_unix_ms } = filter;
    let of = |number, range: NumberRange| {
        let min = range.min.map(|min| Bound::AtLeast(number, min));
        min.into_iter().chain(range.max.map(|max| Bound::AtMost(number, max)))
    };
    of(Number::Size, size_bytes)
        .chain(of(Number::Created, created_unix_ms))
        .chain(of(Number::Modified, modified_unix_ms))
        .collect()
}

fn order(sort: Sort) -> Order {
    let number = match sort.key {
        SortKey::Relevance => return Order::Relevance,
        SortKey::Modified => Number::Modified,
        SortKey::Created => Number::Created,
        SortKey::Size => Number::Size,
    };
    if sort.is_ascending { Order::Ascending(number) } else { Order::Descending(number) }
}

fn sort_value(sort: Sort, attributes: &Attributes) -> Option<i64> {
    match sort.key {
        SortKey::Relevance => None,
        SortKey::Modified => attributes.modified_unix_ms,
        SortKey::Created => attributes.created_unix_ms,
        SortKey::Size => attributes.size_bytes,
    }
}
