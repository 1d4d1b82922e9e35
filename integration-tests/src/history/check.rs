//! Answers against the replayed log.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_analysis::Analyzer;
use nautilus_query::{MatchMode, Node, QueryLimits, parse};
use nautilus_reference_engine::{Hit, Mutation, Order, ReferenceEngine, Request, Statistics};
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset, PartitionId};

use super::log::LogCopy;
use super::record::{Answer, Figures};
use super::verdict::Verdict;

type Scope = Vec<(NamespaceName, Incarnation)>;
type Key = (NamespaceName, DocumentId);

/// Two sums of the same numbers in another order differ by less.
const SCORE_TOLERANCE: f64 = 1e-9;

/// A search as the reference engine is asked it.
struct Question<'a> {
    answer: &'a Answer,
    node: Node,
    /// Of the build that answered.
    analyzer: u32,
    /// By partition, in the order of the request.
    scopes: BTreeMap<PartitionId, Scope>,
    expected: Expected,
}

/// What the answer must be, gathered partition by partition.
#[derive(Default)]
struct Expected {
    statistics: Option<Statistics>,
    hits: Vec<Hit>,
    total_hits: u64,
    /// Versions of the hits at the label.
    versions: BTreeMap<Key, Option<u64>>,
}

/// Checks every answer. Namespaces must have had one life only.
#[must_use]
pub fn check_answers(log: &LogCopy, answers: &[&Answer]) -> Verdict {
    let mut verdict = Verdict::default();
    let lives = lives(log);
    let mut questions = Vec::new();
    for answer in answers {
        if answer.is_truncated || !answer.is_complete {
            verdict.passed_over += 1;
            continue;
        }
        verdict.checked += 1;
        match question(log, &lives, answer) {
            Ok(question) => questions.push(question),
            Err(text) => verdict.differs(0, format!("{}: {text}", shown(answer))),
        }
    }
    // Scores of a search over several partitions are made with the figures of all of them, so these come first.
    for partition in log.partitions() {
        replay(log, partition, &mut questions, |engine, scope, question| {
            let own = engine.statistics(scope, &question.node);
            let sum = question.expected.statistics.take();
            question.expected.statistics = Some(sum.map_or(own.clone(), |sum| added(sum, &own)));
        });
    }
    for question in &mut questions {
        verdict.by_other_figures += usize::from(question.takes_given_figures());
    }
    for partition in log.partitions() {
        replay(log, partition, &mut questions, look);
    }
    let later = Later::of(log);
    for question in &mut questions {
        question.expected.put_in_order(question.answer.page_size);
        for text in question.differences(&later) {
            let size = question.answer.hits.len() + question.expected.hits.len();
            verdict.differs(size, format!("{}: {text}", shown(question.answer)));
        }
    }
    verdict
}

/// The life each namespace has.
fn lives(log: &LogCopy) -> BTreeMap<NamespaceName, BTreeSet<Incarnation>> {
    let mut lives = BTreeMap::<_, BTreeSet<_>>::new();
    for entry in log.partitions().flat_map(|partition| log.entries(partition)) {
        if let Some((namespace, incarnation)) = place(&entry.mutation) {
            lives.entry(namespace.clone()).or_default().insert(incarnation);
        }
    }
    lives
}

fn place(mutation: &Mutation) -> Option<(&NamespaceName, Incarnation)> {
    match mutation {
        Mutation::Upsert { namespace, incarnation, .. }
        | Mutation::Patch { namespace, incarnation, .. }
        | Mutation::Delete { namespace, incarnation, .. }
        | Mutation::DeleteNamespace { namespace, incarnation } => Some((namespace, *incarnation)),
        Mutation::Skip => None,
    }
}

fn question<'a>(
    log: &LogCopy,
    lives: &BTreeMap<NamespaceName, BTreeSet<Incarnation>>,
    answer: &'a Answer,
) -> Result<Question<'a>, String> {
    let (limits, analyzer) = (QueryLimits::default(), Analyzer::new());
    let node = parse(&answer.query, MatchMode::All, &limits, &analyzer);
    let node = node.map_err(|error| format!("the query does not read: {error}"))?;
    let mut scopes = BTreeMap::<_, Scope>::new();
    for name in &answer.namespaces {
        let name = NamespaceName::new(name).map_err(|error| error.to_string())?;
        let scope = scopes.entry(log.partition_of(&name)).or_default();
        let Some(lives) = lives.get(&name) else { continue };
        if lives.len() > 1 {
            return Err(format!("{name:?} had several lives"));
        }
        scope.extend(lives.iter().map(|life| (name.clone(), *life)));
    }
    let wanted: Vec<PartitionId> = scopes.keys().copied().collect();
    let mut labelled: Vec<PartitionId> = answer.labels.iter().map(|it| it.partition).collect();
    labelled.sort_unstable();
    // A partition that is there twice was counted twice, one that is not there was left out in silence.
    if labelled != wanted {
        return Err(format!(
            "it is complete, of partitions {wanted:?}, and has labels of {labelled:?}"
        ));
    }
    for (partition, least) in &answer.demanded {
        let label = answer.labels.iter().find(|label| label.partition == *partition);
        if let Some(label) = label.filter(|label| label.next_offset < *least) {
            return Err(format!("its token asks for {least}, it shows {}", label.next_offset));
        }
    }
    let builds: BTreeSet<&str> = answer.labels.iter().map(|it| it.build.as_str()).collect();
    if builds.len() > 1 {
        return Err(format!("it is of several builds: {builds:?}"));
    }
    let build = builds.first().copied().unwrap_or_default();
    let analyzer =
        log.analyzer_of(build).ok_or_else(|| format!("nothing is known of build {build}"))?;
    Ok(Question { answer, node, analyzer, scopes, expected: Expected::default() })
}

/// Applies a partition's records in their order, and stops at every label for the questions that have it.
fn replay(
    log: &LogCopy,
    partition: PartitionId,
    questions: &mut [Question<'_>],
    mut look: impl FnMut(&ReferenceEngine, &Scope, &mut Question<'_>),
) {
    let analyzers: BTreeSet<u32> = questions.iter().map(|question| question.analyzer).collect();
    for analyzer in analyzers {
        replay_by(analyzer, log, partition, questions, &mut look);
    }
}

/// The same for the questions that were answered by one analyzer.
fn replay_by(
    analyzer: u32,
    log: &LogCopy,
    partition: PartitionId,
    questions: &mut [Question<'_>],
    look: &mut impl FnMut(&ReferenceEngine, &Scope, &mut Question<'_>),
) {
    let mut stops: BTreeMap<Offset, Vec<usize>> = BTreeMap::new();
    let its = |(_, question): &(usize, &Question<'_>)| question.analyzer == analyzer;
    for (number, question) in questions.iter().enumerate().filter(its) {
        let labels = question.answer.labels.iter();
        for label in labels.filter(|label| label.partition == partition) {
            stops.entry(label.next_offset).or_default().push(number);
        }
    }
    let mut engine = ReferenceEngine::with_analyzer(analyzer);
    let mut entries = log.entries(partition).iter().peekable();
    for (stop, numbers) in stops {
        while let Some(entry) = entries.next_if(|entry| entry.offset < stop) {
            engine.apply(entry.offset, &entry.mutation);
        }
        for number in numbers {
            let Some(question) = questions.get_mut(number) else { continue };
            let Some(scope) = question.scopes.get(&partition).cloned() else { continue };
            look(&engine, &scope, question);
        }
    }
}

fn look(engine: &ReferenceEngine, scope: &Scope, question: &mut Question<'_>) {
    let page = engine.page(&Request {
        scope,
        node: &question.node,
        limit: question.answer.page_size,
        bounds: &[],
        order: Order::Relevance,
        after: None,
        statistics: question.expected.statistics.as_ref(),
        changed_before: None,
    });
    for hit in &page.hits {
        let life = scope.iter().find(|(name, _)| *name == hit.namespace).map(|(_, life)| *life);
        let stored = life.and_then(|life| engine.get(&hit.namespace, life, &hit.id));
        let key = (hit.namespace.clone(), hit.id.clone());
        question.expected.versions.insert(key, stored.and_then(|stored| stored.version));
    }
    question.expected.total_hits += page.total_hits;
    question.expected.hits.extend(page.hits);
}

fn added(mut sum: Statistics, other: &Statistics) -> Statistics {
    sum.documents += other.documents;
    sum.total_length += other.total_length;
    for (sum, other) in sum.document_frequencies.iter_mut().zip(&other.document_frequencies) {
        *sum += other;
    }
    sum
}

impl Expected {
    /// The best of all partitions' best.
    fn put_in_order(&mut self, page_size: usize) {
        self.hits.sort_by(|a, b| {
            let by_score = b.score.total_cmp(&a.score);
            by_score.then_with(|| (&a.id, &a.namespace).cmp(&(&b.id, &b.namespace)))
        });
        self.hits.truncate(page_size);
    }
}

impl Question<'_> {
    /// A search over several partitions may ask twice: for figures first, then for hits ranked by these. Its labels
    /// are of the second time, so the hits must be right by the figures it gives; whether it does so.
    fn takes_given_figures(&mut self) -> bool {
        let Figures { documents, total_length, frequencies } = self.answer.figures.clone();
        let given = Statistics { documents, total_length, document_frequencies: frequencies };
        let is_other = self.expected.statistics.as_ref().is_some_and(|at_labels| {
            let terms = at_labels.document_frequencies.len();
            *at_labels != given && terms == given.document_frequencies.len()
        });
        if self.answer.labels.len() < 2 || !is_other {
            return false;
        }
        self.expected.statistics = Some(given);
        true
    }

    fn differences(&self, later: &Later) -> Vec<String> {
        let (answer, expected) = (self.answer, &self.expected);
        let mut found = Vec::new();
        let statistics = expected.statistics.as_ref();
        let figures = statistics.map_or_else(Figures::default, |it| Figures {
            documents: it.documents,
            total_length: it.total_length,
            frequencies: it.document_frequencies.clone(),
        });
        if answer.figures != figures {
            found.push(format!("figures are {:?}, right is {figures:?}", answer.figures));
        }
        if answer.total_hits != expected.total_hits {
            let (is, right) = (answer.total_hits, expected.total_hits);
            found.push(format!("{is} hits in all, right is {right}"));
        }
        let mut shown = answer.hits.iter().peekable();
        for hit in &expected.hits {
            let key = (hit.namespace.clone(), hit.id.clone());
            let is_this = |shown: &&super::ShownHit| {
                shown.id.as_bytes() == hit.id.as_bytes()
                    && shown.namespace.as_bytes() == hit.namespace.as_bytes()
            };
            let Some(shown) = shown.next_if(is_this) else {
                // Its text is fetched after the search, and by then it may be gone.
                if !later.is_deleted(&key, self.label_of(&key)) {
                    found.push(format!("{} is not where it belongs", hit.id.to_lossy()));
                }
                continue;
            };
            if (shown.score - hit.score).abs() > SCORE_TOLERANCE * hit.score.abs().max(1.0) {
                found.push(format!("{} scores {}, right is {}", shown.id, shown.score, hit.score));
            }
            let searched = expected.versions.get(&key).copied().flatten();
            if shown.version < searched || !later.has_version(&key, shown.version) {
                found.push(format!(
                    "{} is shown at version {:?}, searched was {searched:?}",
                    shown.id, shown.version
                ));
            }
        }
        found.extend(shown.map(|extra| format!("{} does not belong there", extra.id)));
        found
    }

    fn label_of(&self, key: &Key) -> Offset {
        let is_in = |scope: &Scope| scope.iter().any(|(name, _)| *name == key.0);
        let partition = self.scopes.iter().find(|(_, scope)| is_in(scope)).map(|(it, _)| *it);
        let label = self.answer.labels.iter().find(|label| Some(label.partition) == partition);
        label.map(|label| label.next_offset).unwrap_or_default()
    }
}

/// What became of documents after searches saw them.
struct Later {
    deleted: BTreeMap<Key, Offset>,
    versions: BTreeMap<Key, BTreeSet<Option<u64>>>,
}

impl Later {
    fn of(log: &LogCopy) -> Self {
        let mut later = Self { deleted: BTreeMap::new(), versions: BTreeMap::new() };
        for entry in log.partitions().flat_map(|partition| log.entries(partition)) {
            match &entry.mutation {
                Mutation::Upsert { namespace, id, version, .. }
                | Mutation::Patch { namespace, id, version, .. } => {
                    let key = (namespace.clone(), id.clone());
                    later.versions.entry(key).or_default().insert(*version);
                }
                Mutation::Delete { namespace, id, .. } => {
                    later.deleted.insert((namespace.clone(), id.clone()), entry.offset);
                }
                Mutation::DeleteNamespace { .. } | Mutation::Skip => {}
            }
        }
        later
    }

    fn is_deleted(&self, key: &Key, since: Offset) -> bool {
        self.deleted.get(key).is_some_and(|offset| *offset >= since)
    }

    fn has_version(&self, key: &Key, version: Option<u64>) -> bool {
        self.versions.get(key).is_some_and(|versions| versions.contains(&version))
    }
}

fn shown(answer: &Answer) -> String {
    let labels: Vec<String> = answer
        .labels
        .iter()
        .map(|it| {
            format!("{} at {} by {} epoch {}", it.partition, it.next_offset, it.leaf, it.epoch)
        })
        .collect();
    let (from, to) = (answer.sent.as_secs_f64(), answer.received.as_secs_f64());
    let Answer { query, namespaces, .. } = answer;
    format!("{query:?} in {namespaces:?} from {from:.3} to {to:.3} s ({})", labels.join(", "))
}
