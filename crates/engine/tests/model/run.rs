//! One run: applies a history with restarts while other threads ask, then checks every answer.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nautilus_analysis::Analyzer;
use nautilus_engine as engine;
use nautilus_engine::{
    Partition, PartitionIdentity, Resources, ScopeEntry, SearchRequest, Unlimited, Writer,
};
use nautilus_query::Node;
use nautilus_reference_engine as reference;
use nautilus_reference_engine::ReferenceEngine;
use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId};
use rand::prelude::*;

use super::history::{Change, Condition, NAMES, Record, Source, Step, Text};
use super::queries::query;

const SEARCHERS: u64 = 2;
const ANSWERS_PER_LABEL: usize = 4;
/// More documents than any namespace of a history has.
const LISTED_MAX: usize = 10_000;
const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"model-test-00000",
    log_generation: LogGeneration(1),
    partition: PartitionId(0),
};

/// What a run did, for the test to check that it did enough.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    steps: BTreeMap<Step, usize>,
    outcomes: BTreeMap<engine::Outcome, usize>,
    queries: usize,
    queries_with_hits: usize,
    labels: usize,
    crashes: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (step, count) in &other.steps {
            *self.steps.entry(*step).or_default() += count;
        }
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
        self.queries += other.queries;
        self.queries_with_hits += other.queries_with_hits;
        self.labels += other.labels;
        self.crashes += other.crashes;
    }

    pub(crate) fn assert_covered(&self) {
        let steps: usize = self.steps.values().sum();
        for (step, _) in Step::WEIGHTED {
            let count = self.steps.get(&step).copied().unwrap_or(0);
            assert!(count * 20 >= steps / Step::WEIGHTED.len(), "{step:?} occurred {count} times");
        }
        assert!(self.queries_with_hits * 5 >= self.queries, "too few queries hit: {self}");
        assert!(self.labels > steps / 50, "too few different labels: {self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: usize = self.steps.values().sum();
        writeln!(f, "{steps} steps {:?}", self.steps)?;
        writeln!(f, "outcomes {:?}", self.outcomes)?;
        write!(
            f,
            "{} answers at {} labels, {} with hits, {} restarts without a flush",
            self.queries, self.labels, self.queries_with_hits, self.crashes
        )
    }
}

/// An answer as it was given while records were being applied.
struct Answer {
    label: Offset,
    scope: Vec<ScopeEntry>,
    query: Node,
    limit: usize,
    outcome: engine::SearchOutcome,
    fetched: Option<(ScopeEntry, DocumentId, Option<engine::StoredDocument>)>,
    listed: Vec<engine::ListedDocument>,
}

pub(crate) fn run(seed: u64, steps: usize) -> Tally {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dir = folder.path().join("life-0");
    let resources = Resources::new(8 << 20, 8 << 20);
    let mut source = Source::new(seed);
    let mut tally = Tally::default();
    let mut log: Vec<Record> = Vec::new();
    let mut answers = Vec::new();
    let mut left = steps;
    let mut segment = 0;
    while left > 0 {
        let (partition, mut writer) = open(&dir, &resources).expect("opens");
        assert_eq!(partition.durable_offset(), writer.next_offset());
        let durable = writer.next_offset();
        for record in log.iter().filter(|record| record.offset >= durable.0) {
            writer.apply(Offset(record.offset), &to_engine(record)).expect("replays");
        }
        segment += 1;
        let now = Now::default();
        std::thread::scope(|scope| {
            let searchers: Vec<_> = (0..SEARCHERS)
                .map(|number| {
                    let rng = StdRng::seed_from_u64(seed * 1_000 + segment * SEARCHERS + number);
                    let (partition, now) = (&partition, &now);
                    scope.spawn(move || ask(partition, rng, now))
                })
                .collect();
            // Also when applying panics: those who ask would wait for ever.
            let done = DoneOnDrop(&now);
            while left > 0 {
                left -= 1;
                let step = source.step();
                *tally.steps.entry(step).or_default() += 1;
                if step == Step::Restart {
                    break;
                }
                apply(&mut writer, source.records(step), &mut log, &mut tally);
                now.publish(&source, &writer);
            }
            drop(done);
            for searcher in searchers {
                answers.extend(searcher.join().expect("no panic"));
            }
        });
        if source.flips() {
            assert_eq!(partition.flush().expect("flushes"), writer.next_offset());
        } else {
            tally.crashes += 1;
            let next = folder.path().join(format!("life-{segment}"));
            crash(partition, writer, &dir, &next, &resources);
            dir = next;
        }
    }
    check(&log, answers, &mut tally);
    tally
}

fn open(dir: &Path, resources: &Resources) -> Result<(Partition, Writer), engine::EngineError> {
    Partition::open(dir, &IDENTITY, resources, |_| engine::Attributes::default())
}

/// Leaves in `next` what a killed process would find in `dir`: closing would write what is in memory.
fn crash(partition: Partition, writer: Writer, dir: &Path, next: &Path, resources: &Resources) {
    std::mem::forget((partition, writer));
    // Flushes and compactions go on meanwhile, so a copy may miss a file; a whole one opens.
    for _ in 0..100 {
        let copied = copy_folder(dir, next);
        if copied.is_ok() && open(next, resources).is_ok() {
            return;
        }
        std::fs::remove_dir_all(next).expect("removes the torn copy");
    }
    panic!("no whole copy of {}", dir.display());
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut names: Vec<_> =
        std::fs::read_dir(from)?.flatten().map(|file| file.file_name()).collect();
    // The manifest last: it names table files that are there by then.
    names.sort_by_key(|name| name.to_string_lossy().starts_with("MANIFEST"));
    for name in names.into_iter().filter(|name| name != "LOCK") {
        std::fs::copy(from.join(&name), to.join(&name))?;
    }
    Ok(())
}

fn apply(writer: &mut Writer, records: Vec<Record>, log: &mut Vec<Record>, tally: &mut Tally) {
    for record in records {
        let expected_redelivery = Offset(record.offset) < writer.next_offset();
        let outcome = writer.apply(Offset(record.offset), &to_engine(&record)).expect("applies");
        *tally.outcomes.entry(outcome).or_default() += 1;
        assert_eq!(outcome == engine::Outcome::Redelivered, expected_redelivery);
        if !expected_redelivery {
            log.push(record);
        }
    }
}

/// What the applying thread tells those who ask.
#[derive(Default)]
struct Now {
    is_done: AtomicBool,
    next_offset: AtomicU64,
    /// Current incarnation of each of [`NAMES`].
    incarnations: [AtomicU64; NAMES.len()],
}

struct DoneOnDrop<'a>(&'a Now);

impl Drop for DoneOnDrop<'_> {
    fn drop(&mut self) {
        self.0.is_done.store(true, Ordering::Release);
    }
}

impl Now {
    fn publish(&self, source: &Source, writer: &Writer) {
        for (incarnation, name) in self.incarnations.iter().zip(NAMES) {
            incarnation.store(source.incarnation(name), Ordering::Relaxed);
        }
        self.next_offset.store(writer.next_offset().0, Ordering::Release);
    }

    /// Waits for another record; false at the end.
    fn moves_beyond(&self, label: Offset) -> bool {
        while self.next_offset.load(Ordering::Acquire) <= label.0 {
            if self.is_done.load(Ordering::Acquire) {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }
}

/// Asks after each record that is applied, while the next ones are.
fn ask(partition: &Partition, mut rng: StdRng, now: &Now) -> Vec<Answer> {
    let analyzer = Analyzer::new();
    let mut answers: Vec<Answer> = Vec::new();
    while answers.last().is_none_or(|answer| {
        !answers.len().is_multiple_of(ANSWERS_PER_LABEL) || now.moves_beyond(answer.label)
    }) {
        let searcher = partition.searcher();
        let label = searcher.next_offset().expect("a label");
        let scope: Vec<ScopeEntry> =
            (0..rng.random_range(0..6)).map(|_| entry(&mut rng, now)).collect();
        let query = query(&mut rng, &analyzer);
        let limit = *[1, 3, 1_000].choose(&mut rng).expect("not empty");
        let outcome = searcher
            .search(&SearchRequest::new(&scope, &query, limit), &mut Unlimited)
            .expect("searches");
        let first = outcome.candidates.first();
        let fetched = first.map(|hit| {
            let entry = scope[hit.scope_index].clone();
            let document = searcher.fetch(&entry, &hit.document_id, true).expect("fetches");
            (entry, hit.document_id.clone(), document)
        });
        let listed = match scope.first() {
            Some(entry) => list_in_pages(&searcher, entry, rng.random_range(1..5)),
            None => Vec::new(),
        };
        answers.push(Answer { label, scope, query, limit, outcome, fetched, listed });
    }
    answers
}

fn list_in_pages(
    searcher: &engine::Searcher<'_>,
    entry: &ScopeEntry,
    page: usize,
) -> Vec<engine::ListedDocument> {
    let mut listed: Vec<engine::ListedDocument> = Vec::new();
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

/// Replays the history in the reference engine and compares each answer at its label.
fn check(log: &[Record], mut answers: Vec<Answer>, tally: &mut Tally) {
    answers.sort_by_key(|answer| answer.label);
    let mut model = ReferenceEngine::new();
    let mut records = log.iter().peekable();
    let mut last_label = None;
    for answer in answers {
        while let Some(record) = records.next_if(|record| record.offset < answer.label.0) {
            model.apply(Offset(record.offset), &to_reference(record));
        }
        tally.queries += 1;
        tally.labels += usize::from(last_label != Some(answer.label));
        tally.queries_with_hits += usize::from(answer.outcome.total_hits > 0);
        last_label = Some(answer.label);
        check_search(&model, &answer);
        if let Some((entry, id, document)) = &answer.fetched {
            let expected =
                model.get(&entry.namespace, entry.incarnation, id).expect("it was a hit");
            let document = document.as_ref().expect("a hit can be fetched from its own snapshot");
            let text = expected.text.as_ref().expect("live");
            assert_eq!(
                (&document.title, &document.path, document.body.as_ref(), document.version),
                (&text.title, &text.path, Some(&text.body), expected.version)
            );
        }
        if let Some(entry) = answer.scope.first() {
            let listed: Vec<_> = answer.listed.iter().map(|doc| doc.document_id.clone()).collect();
            let expected = model.document_ids(&entry.namespace, entry.incarnation);
            assert_eq!(listed, expected, "list of {entry:?} at {}", answer.label);
        }
    }
}

fn check_search(model: &ReferenceEngine, answer: &Answer) {
    let scope: Vec<_> =
        answer.scope.iter().map(|entry| (entry.namespace.clone(), entry.incarnation)).collect();
    let at = format!("{} in {:?} at {}", answer.query, answer.scope, answer.label);
    let hits = model.search(&scope, &answer.query, usize::MAX);
    let outcome = &answer.outcome;
    assert_eq!(outcome.next_offset, answer.label);
    assert!(!outcome.truncated, "{at}");
    assert_eq!(outcome.total_hits, hits.len() as u64, "hits of {at}");
    let statistics = model.statistics(&scope, &answer.query);
    assert_eq!(outcome.statistics.documents, statistics.documents, "{at}");
    assert_eq!(outcome.statistics.total_length, statistics.total_length, "{at}");
    assert_eq!(
        outcome.statistics.document_frequencies, statistics.document_frequencies,
        "document frequencies of {at}"
    );
    let got: Vec<_> = outcome
        .candidates
        .iter()
        .map(|hit| {
            let namespace = &answer.scope[hit.scope_index].namespace;
            (
                hit.score,
                hit.document_id.clone(),
                namespace.clone(),
                hit.length,
                hit.frequencies.clone(),
            )
        })
        .collect();
    let expected: Vec<_> = hits
        .into_iter()
        .take(answer.limit)
        .map(|hit| (hit.score, hit.id, hit.namespace, hit.length, hit.frequencies))
        .collect();
    assert_eq!(got, expected, "{at}");
}

fn to_engine(record: &Record) -> engine::Mutation {
    let condition = |condition: &Option<Condition>| {
        condition.map(|condition| match condition {
            Condition::Absent => engine::Condition::Absent,
            Condition::Version(version) => engine::Condition::Version(version),
        })
    };
    let operation = match &record.change {
        Change::Upsert { id, version, condition: when, text, metadata } => {
            engine::Operation::Upsert(engine::Upsert {
                document_id: id.clone(),
                version: *version,
                condition: condition(when),
                content_hash: [7; 16],
                title: text.title.clone(),
                path: text.path.clone(),
                body: text.body.clone(),
                metadata: metadata.clone(),
                attributes: engine::Attributes::default(),
            })
        }
        Change::Delete { id, version, condition: when } => {
            engine::Operation::Delete(engine::Delete {
                document_id: id.clone(),
                version: *version,
                condition: condition(when),
            })
        }
        Change::DeleteNamespace => engine::Operation::DeleteNamespace,
    };
    engine::Mutation {
        namespace: record.namespace.clone(),
        incarnation: record.incarnation,
        operation,
    }
}

fn to_reference(record: &Record) -> reference::Mutation {
    let expected = |condition: &Option<Condition>| {
        condition.map(|condition| match condition {
            Condition::Absent => reference::ExpectedVersion::Absent,
            Condition::Version(version) => reference::ExpectedVersion::Exactly(version),
        })
    };
    let (namespace, incarnation) = (record.namespace.clone(), record.incarnation);
    match &record.change {
        Change::Upsert { id, version, condition, text: Text { title, path, body }, .. } => {
            reference::Mutation::Upsert {
                namespace,
                incarnation,
                id: id.clone(),
                version: *version,
                expected: expected(condition),
                text: reference::Text {
                    title: title.clone(),
                    path: path.clone(),
                    body: body.clone(),
                },
            }
        }
        Change::Delete { id, version, condition } => reference::Mutation::Delete {
            namespace,
            incarnation,
            id: id.clone(),
            version: *version,
            expected: expected(condition),
        },
        Change::DeleteNamespace => reference::Mutation::DeleteNamespace { namespace, incarnation },
    }
}
