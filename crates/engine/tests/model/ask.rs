//! Asking while records are applied: searches, pages of listings, words, documents, ids.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nautilus_analysis::Analyzer;
use nautilus_engine::{
    Cursor, Filter, ListedDocument, Partition, ScopeEntry, ScopeStatistics, SearchOutcome,
    SearchRequest, Searcher, Sort, StoredDocument, SuggestOutcome, Unlimited, Writer,
};
use nautilus_query::{FieldSet, Node};
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset};
use rand::prelude::*;

use super::history::{NAMES, Source};
use super::queries;

const ANSWERS_PER_LABEL: usize = 4;
/// Turns given to those who ask before going on without them.
const TURNS_MAX: usize = 10_000;
/// More documents than any namespace of a history has.
const LISTED_MAX: usize = 10_000;

/// A question and its answer as it was given while records were being applied.
pub(crate) struct Answer {
    pub(crate) label: Offset,
    pub(crate) question: Question,
    pub(crate) outcome: SearchOutcome,
    /// Which listing this is a page of.
    pub(crate) listing: Option<u64>,
    pub(crate) fetched: Option<(ScopeEntry, DocumentId, Option<StoredDocument>)>,
    pub(crate) listed: Vec<ListedDocument>,
    pub(crate) words: Words,
}

/// A search request that owns its parts.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) scope: Vec<ScopeEntry>,
    pub(crate) query: Node,
    pub(crate) limit: usize,
    pub(crate) filter: Filter,
    pub(crate) sort: Sort,
    pub(crate) after: Option<Cursor>,
    pub(crate) statistics: Option<ScopeStatistics>,
    pub(crate) changed_before: Option<Offset>,
}

impl Question {
    fn request(&self) -> SearchRequest<'_> {
        SearchRequest {
            filter: self.filter,
            sort: self.sort,
            after: self.after.as_ref(),
            statistics: self.statistics.as_ref(),
            changed_before: self.changed_before,
            ..SearchRequest::new(&self.scope, &self.query, self.limit)
        }
    }
}

/// A question for words, in the scope of the search beside it.
pub(crate) struct Words {
    pub(crate) prefix: String,
    pub(crate) fields: FieldSet,
    pub(crate) limit: usize,
    pub(crate) outcome: SuggestOutcome,
}

/// What the applying thread tells those who ask.
#[derive(Default)]
pub(crate) struct Now {
    is_done: AtomicBool,
    next_offset: AtomicU64,
    /// The newest label of an answer.
    answered: AtomicU64,
    /// Current incarnation of each of [`NAMES`].
    incarnations: [AtomicU64; NAMES.len()],
}

pub(crate) struct DoneOnDrop<'a>(pub(crate) &'a Now);

impl Drop for DoneOnDrop<'_> {
    fn drop(&mut self) {
        self.0.is_done.store(true, Ordering::Release);
    }
}

impl Now {
    pub(crate) fn publish(&self, source: &Source, writer: &Writer) {
        for (incarnation, name) in self.incarnations.iter().zip(NAMES) {
            incarnation.store(source.incarnation(name), Ordering::Relaxed);
        }
        self.next_offset.store(writer.next_offset().0, Ordering::Release);
    }

    /// Waits until someone has answered at the offset published last, within reason: on a busy machine a whole
    /// history may be applied before those who ask have a turn.
    pub(crate) fn wait_for_answer(&self) {
        let published = self.next_offset.load(Ordering::Acquire);
        for _ in 0..TURNS_MAX {
            if self.answered.load(Ordering::Acquire) >= published {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Waits for another record; false at the end.
    pub(crate) fn moves_beyond(&self, label: Offset) -> bool {
        while self.next_offset.load(Ordering::Acquire) <= label.0 {
            if self.is_done.load(Ordering::Acquire) {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }
}

/// One who asks; listings go on from one life of the partition to the next.
pub(crate) struct Asker {
    rng: StdRng,
    analyzer: Analyzer,
    /// The next page of a listing.
    next_page: Option<Question>,
    listing: u64,
}

impl Asker {
    /// `number` must differ from that of every other asker of the run.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed * 1_000 + number);
        Self { rng, analyzer: Analyzer::new(), next_page: None, listing: number << 32 }
    }

    /// Asks after each record that is applied, while the next ones are.
    pub(crate) fn ask(&mut self, partition: &Partition, now: &Now) -> Vec<Answer> {
        let mut answers: Vec<Answer> = Vec::new();
        while answers.last().is_none_or(|answer| {
            !answers.len().is_multiple_of(ANSWERS_PER_LABEL) || now.moves_beyond(answer.label)
        }) {
            let answer = self.ask_once(&partition.searcher(), now);
            now.answered.fetch_max(answer.label.0, Ordering::AcqRel);
            answers.push(answer);
        }
        answers
    }

    pub(crate) fn ask_once(&mut self, searcher: &Searcher<'_>, now: &Now) -> Answer {
        let label = searcher.next_offset().expect("a label");
        let next_page = if self.rng.random_bool(0.6) { self.next_page.take() } else { None };
        let is_next_page = next_page.is_some();
        let question = next_page.unwrap_or_else(|| self.question(label, now));
        let outcome = searcher.search(&question.request(), &mut Unlimited).expect("searches");
        let is_plain = question.after.is_none() && question.changed_before.is_none();
        let begins = !is_next_page && self.next_page.is_none() && is_plain;
        if begins {
            self.listing += 1;
        }
        let listing = (begins || is_next_page).then_some(self.listing);
        if listing.is_some() {
            self.next_page = next_page_of(&question, &outcome, label);
        }
        let rng = &mut self.rng;
        let fetched = outcome.candidates.first().map(|hit| {
            let entry = question.scope[hit.scope_index].clone();
            let document = searcher.fetch(&entry, &hit.document_id, true).expect("fetches");
            (entry, hit.document_id.clone(), document)
        });
        let listed = match question.scope.first() {
            Some(entry) => list_in_pages(searcher, entry, rng.random_range(1..5)),
            None => Vec::new(),
        };
        let words = words(rng, &self.analyzer, searcher, &question.scope);
        Answer { label, question, outcome, listing, fetched, listed, words }
    }

    fn question(&mut self, label: Offset, now: &Now) -> Question {
        let rng = &mut self.rng;
        let query = queries::query(rng, &self.analyzer);
        let mut question = Question {
            scope: (0..rng.random_range(0..8)).map(|_| entry(rng, now)).collect(),
            limit: *[0, 1, 2, 4, 1_000].choose(rng).expect("not empty"),
            filter: queries::filter(rng),
            sort: queries::sort(rng),
            after: None,
            statistics: None,
            changed_before: None,
            query,
        };
        if rng.random_bool(0.15) {
            question.after = Some(any_cursor(rng));
        }
        if rng.random_bool(0.15) {
            let leaves = question.query.scoring_leaves().len();
            let document_frequencies = (0..leaves).map(|_| rng.random_range(0..20)).collect();
            let (documents, total_length) = (rng.random_range(20..99), rng.random_range(1..999));
            question.statistics =
                Some(ScopeStatistics { documents, total_length, document_frequencies });
        }
        if rng.random_bool(0.15) {
            question.changed_before = Some(Offset(rng.random_range(0..=label.0 + 1)));
        }
        question
    }
}

/// With the figures and the bound of the first page; none after the last one.
fn next_page_of(question: &Question, outcome: &SearchOutcome, label: Offset) -> Option<Question> {
    let last = outcome.candidates.last().filter(|_| outcome.candidates.len() == question.limit)?;
    let after = Cursor {
        score: last.score,
        sort_value: last.sort_value,
        document_id: last.document_id.clone(),
        namespace: question.scope[last.scope_index].namespace.clone(),
    };
    let statistics = question.statistics.as_ref().unwrap_or(&outcome.statistics).clone();
    Some(Question {
        after: Some(after),
        statistics: Some(statistics),
        // The first page had no bound.
        changed_before: question.changed_before.or(Some(label)),
        ..question.clone()
    })
}

/// A place where there need not be a hit.
fn any_cursor(rng: &mut StdRng) -> Cursor {
    let name = |rng: &mut StdRng| *NAMES.choose(rng).expect("not empty");
    Cursor {
        score: *[0.0, 0.5, 1.0, f64::INFINITY].choose(rng).expect("not empty"),
        sort_value: rng.random_bool(0.7).then(|| rng.random_range(-1..6)),
        document_id: DocumentId::new(name(rng)).expect("valid"),
        namespace: NamespaceName::new(name(rng)).expect("valid"),
    }
}

fn words(
    rng: &mut StdRng,
    analyzer: &Analyzer,
    searcher: &Searcher<'_>,
    scope: &[ScopeEntry],
) -> Words {
    let prefix = if rng.random_bool(0.1) {
        ["", "\0", "A", "\u{ffff}"].choose(rng).copied().unwrap_or_default().to_owned()
    } else {
        queries::prefix(rng, analyzer)
    };
    let fields = queries::fields(rng);
    let limit = *[0, 1, 3, 100].choose(rng).expect("not empty");
    let outcome =
        searcher.suggest(scope, &prefix, fields.bits(), limit, &mut Unlimited).expect("suggests");
    Words { prefix, fields, limit, outcome }
}

fn list_in_pages(searcher: &Searcher<'_>, entry: &ScopeEntry, page: usize) -> Vec<ListedDocument> {
    let mut listed: Vec<ListedDocument> = Vec::new();
    loop {
        let after = listed.last().map(|document| document.document_id.as_bytes().to_vec());
        let more = searcher.list(entry, after.as_deref(), page).expect("lists");
        let is_last = more.len() < page;
        listed.extend(more);
        assert!(listed.len() < LISTED_MAX, "a list that does not end");
        if is_last {
            return listed;
        }
    }
}

/// Mostly a current incarnation.
fn entry(rng: &mut StdRng, now: &Now) -> ScopeEntry {
    let index = rng.random_range(0..NAMES.len());
    let namespace = NamespaceName::new(NAMES[index]).expect("valid");
    let incarnation = if rng.random_bool(0.9) {
        now.incarnations[index].load(Ordering::Relaxed)
    } else {
        rng.random_range(1..40)
    };
    ScopeEntry { namespace, incarnation: Incarnation(incarnation) }
}
