//! Single edits: how long until a search finds them, and how many a CPU-second takes.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use nautilus_engine::ScopeEntry;
use nautilus_mutation_log::{EmbeddedConfig, EmbeddedLog, MutationLog};
use nautilus_query::{FieldSet, Node};
use nautilus_types::PartitionId;
use tantivy::Term;
use tantivy::query::TermQuery;
use tantivy::schema::IndexRecordOption;

use crate::engine::data::{Corpus, Id, Namespace};
use crate::engine::feed::Feed;
use crate::engine::history::at_unix_s;
use crate::engine::ours::{self, Ours};
use crate::engine::peer::{Holds, Layout, Peer, Text};
use crate::engine::queries::{Band, Class, Query, Question};
use crate::engine::report::{Line, Target};
use crate::engine::rounds::whole_cpu;
use crate::measure::{Random, Samples, Watch};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Single edits of ours in a round; of the peer's on disk and in memory a tenth.
    pub(crate) edits: usize,
    /// Edits of a round at a hundred a batch.
    pub(crate) batched: usize,
    pub(crate) seed: u64,
}

/// What an edit does, each with a word that no document has, to find it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The last word becomes another.
    ReplaceAtEnd,
    /// A word is put at the very start.
    InsertAtStart,
    /// A paragraph of thirty words goes.
    DeleteParagraph,
}

const KINDS: [(Kind, &str); 3] = [
    (Kind::ReplaceAtEnd, "replace"),
    (Kind::InsertAtStart, "insert-at-start"),
    (Kind::DeleteParagraph, "delete-paragraph"),
];
const PARAGRAPH: usize = 30;
const BATCH: usize = 100;

/// Our partition, the peer on disk and the peer in memory, with the same documents.
pub(crate) struct Edited<'a> {
    corpus: &'a Corpus,
    pub(crate) ours: Ours,
    pub(crate) disk: Peer,
    memory: Peer,
    log: EmbeddedLog,
    runtime: tokio::runtime::Runtime,
    random: Random,
    markers: u64,
}

impl<'a> Edited<'a> {
    pub(crate) fn new(dir: &Path, corpus: &'a Corpus, seed: u64) -> Result<Self> {
        let mut ours = Ours::open(&dir.join("ours"))?;
        let mut disk = Peer::new(Layout::Filter, Holds::ALL, Some(dir));
        let mut memory = Peer::new(Layout::Filter, Holds::ALL, None);
        for id in 0..corpus.len() {
            let (namespace, text) = (corpus.owner(id), corpus.text(&corpus.document(id)));
            disk.add(namespace, id, &Text::plain(&text))?;
            memory.add(namespace, id, &Text::plain(&text))?;
            ours.put(namespace, id, text)?;
        }
        ours.settle()?;
        disk.merge()?;
        memory.merge()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let clock = Arc::new(|| at_unix_s().unwrap_or_default() * 1_000);
        let log = runtime
            .block_on(EmbeddedLog::open(EmbeddedConfig::new(dir.join("log"), 1, clock)))
            .context("open the log")?;
        let random = Random::new(seed);
        Ok(Self { corpus, ours, disk, memory, log, runtime, random, markers: 0 })
    }

    /// The text before and after an edit, and the word that is only in one of them.
    fn edit(&mut self, kind: Kind) -> (Namespace, Id, String, String, String) {
        let id = Id::try_from(self.random.below(self.corpus.len() as usize)).unwrap_or_default();
        let words = self.corpus.document(id);
        self.markers += 1;
        let marker = format!("zq{}", self.markers);
        let before = self.corpus.text(&words);
        let (before, after) = match kind {
            Kind::ReplaceAtEnd => {
                let kept = self.corpus.text(&words[..words.len() - 1]);
                (before, format!("{kept} {marker}"))
            }
            Kind::InsertAtStart => {
                let after = format!("{marker} {before}");
                (before, after)
            }
            Kind::DeleteParagraph => {
                let place = self.random.below(words.len());
                let start = self.random.below(words.len().saturating_sub(PARAGRAPH).max(1));
                let paragraph: Vec<_> =
                    words.iter().skip(start).take(PARAGRAPH - 1).copied().collect();
                let (head, tail) = words.split_at(place);
                let (head, tail) = (self.corpus.text(head), self.corpus.text(tail));
                let paragraph = self.corpus.text(&paragraph);
                (format!("{head}\n\n{paragraph} {marker}\n\n{tail}"), before)
            }
        };
        (self.corpus.owner(id), id, before, after, marker)
    }

    /// Microseconds until a search of ours shows the edit, with the log's append or without.
    fn ours_visible(&mut self, kind: Kind, with_log: bool) -> Result<f64> {
        let (namespace, id, before, after, marker) = self.edit(kind);
        self.ours.put(namespace, id, before)?;
        let scope: [ScopeEntry; 1] = [ours::scope(namespace)?];
        let node = Node::Term { fields: FieldSet::ALL, token: marker };
        let expected = u64::from(kind != Kind::DeleteParagraph);
        let payload = Bytes::from(after.clone().into_bytes());
        ensure!(self.ours.top10(&scope, &node)?.total_hits == 1 - expected, "before the edit");
        let watch = Watch::start();
        if with_log {
            self.runtime.block_on(self.log.append(PartitionId(0), payload))?;
        }
        self.ours.put(namespace, id, after)?;
        let found = self.ours.top10(&scope, &node)?.total_hits;
        let micros = watch.micros();
        ensure!(found == expected, "the edit of {id} is not visible");
        Ok(micros)
    }

    /// The same of the peer: replace, commit, reload, search.
    fn peer_visible(&mut self, kind: Kind, in_memory: bool) -> Result<f64> {
        let (namespace, id, before, after, marker) = self.edit(kind);
        let peer = if in_memory { &mut self.memory } else { &mut self.disk };
        if kind == Kind::DeleteParagraph {
            peer.replace(namespace, id, &Text::plain(&before))?;
            peer.commit()?;
        }
        let term = Term::from_field_text(peer.of(namespace)?.fields.body, &marker);
        let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
        let expected = usize::from(kind != Kind::DeleteParagraph);
        let watch = Watch::start();
        peer.replace(namespace, id, &Text::plain(&after))?;
        peer.commit()?;
        let found = peer.top10_and_count(namespace, &query)?.1;
        let micros = watch.micros();
        ensure!(found == expected, "the peer's edit of {id} is not visible");
        Ok(micros)
    }
}

/// Edit to visible, one at a time, by the clock.
pub(crate) fn visible(edited: &mut Edited<'_>, effort: &Effort) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (kind, name) in KINDS {
        let (mut plain, mut logged) = (Samples::default(), Samples::default());
        let (mut disk, mut memory) = (Samples::default(), Samples::default());
        for _ in 0..effort.rounds {
            let few = (effort.edits / 10).max(3);
            plain.push(median_of(effort.edits, || edited.ours_visible(kind, false))?);
            disk.push(median_of(few, || edited.peer_visible(kind, false))?);
            logged.push(median_of(few, || edited.ours_visible(kind, true))?);
            memory.push(median_of(few, || edited.peer_visible(kind, true))?);
        }
        let line = |against: &str, ours: &Samples, peer: &Samples, target| {
            Line::of_rounds(format!("visible/{name}/{against}"), "µs p50", ours, peer, target)
        };
        lines.push(line("vs-disk", &plain, &disk, Target::RatioAtMost(0.01)));
        lines.push(line("vs-memory", &plain, &memory, Target::RatioAtMost(0.02)));
        lines.push(line("with-log-append/vs-disk", &logged, &disk, Target::None));
    }
    edited.disk.finish()?;
    edited.memory.finish()?;
    Ok(lines)
}

fn median_of(count: usize, mut sample: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut samples = Samples::default();
    for _ in 0..count {
        samples.push(sample()?);
    }
    Ok(samples.median())
}

/// Edits a CPU-second, all threads: a hundred, then a commit of the peer's and a search; ours flushed at the end, as the
/// peer's are on disk.
pub(crate) fn batched(edited: &mut Edited<'_>, effort: &Effort) -> Result<Vec<Line>> {
    let corpus = edited.corpus;
    let mut feed = Feed::new(corpus, &[], effort.seed);
    let (mut ours, mut peer) = (Samples::default(), Samples::default());
    let per_second = |cpu: f64| effort.batched as f64 / cpu;
    for _ in 0..effort.rounds {
        let edits: Vec<_> = (0..effort.batched).map(|_| feed.next()).collect();
        let text = |edit: &crate::engine::feed::Edit| edit.words.as_ref().map(|w| corpus.text(w));
        let texts: Vec<Option<String>> = edits.iter().map(text).collect();
        let first = Node::Term { fields: FieldSet::ALL, token: corpus.words[0].clone() };
        let (cpu, _) = whole_cpu(|| {
            for (edits, texts) in edits.chunks(BATCH).zip(texts.chunks(BATCH)) {
                for (edit, text) in edits.iter().zip(texts) {
                    match text {
                        Some(text) => edited.ours.put(edit.namespace, edit.id, text.clone())?,
                        None => edited.ours.delete(edit.namespace, edit.id)?,
                    }
                }
                edited.ours.top10(&[ours::scope(0)?], &first)?;
            }
            edited.ours.flush()
        })?;
        ours.push(per_second(cpu));
        let (cpu, _) = whole_cpu(|| {
            for (edits, texts) in edits.chunks(BATCH).zip(texts.chunks(BATCH)) {
                for (edit, text) in edits.iter().zip(texts) {
                    match text {
                        Some(text) => {
                            edited.disk.replace(edit.namespace, edit.id, &Text::plain(text))?;
                        }
                        None => edited.disk.delete(edit.namespace, edit.id)?,
                    }
                }
                edited.disk.commit()?;
                let index = edited.disk.of(0)?;
                let term = Term::from_field_text(index.fields.body, &corpus.words[0]);
                index.top10(&TermQuery::new(term, IndexRecordOption::WithFreqs))?;
            }
            edited.disk.finish()
        })?;
        peer.push(per_second(cpu));
    }
    let target = Target::RatioAtLeast(5.0);
    Ok(vec![Line::of_rounds("edits/100-a-batch", "edits/CPU-s", &ours, &peer, target)])
}

/// One document edited again and again, then searches of its words, by the clock.
pub(crate) fn hot_document(
    edited: &mut Edited<'_>,
    edits: usize,
    effort: &Effort,
) -> Result<Vec<Line>> {
    let corpus = edited.corpus;
    let mut feed = Feed::new(corpus, &[], effort.seed);
    let id = (0..corpus.len()).find(|&id| corpus.document(id).len() >= 100).unwrap_or(0);
    let namespace = corpus.owner(id);
    for number in 1..=edits {
        let edit = feed.edit(id, crate::engine::feed::Kind::Replace);
        let text = edit.words.as_ref().map(|words| corpus.text(words)).unwrap_or_default();
        edited.disk.replace(namespace, id, &Text::plain(&text))?;
        edited.ours.put(namespace, id, text)?;
        if number % BATCH == 0 {
            edited.disk.commit()?;
        }
    }
    edited.disk.commit()?;
    let words = feed.words(id).context("the document edited")?;
    let scope = [ours::scope(namespace)?];
    let (mut ours, mut peer) = (Samples::default(), Samples::default());
    for _ in 0..effort.rounds {
        let (mut of_ours, mut of_peer) = (Samples::default(), Samples::default());
        for _ in 0..400 {
            let word = words[edited.random.below(words.len())];
            let question = Question::All(vec![word]);
            let query = Query { namespace, class: Class::Term, band: Band::High, question };
            let node = query.node(corpus);
            let watch = Watch::start();
            ensure!(edited.ours.top10(&scope, &node)?.total_hits > 0, "a word was lost");
            of_ours.push(watch.micros() / 1e3);
            let query = edited.disk.query(corpus, &query)?;
            let watch = Watch::start();
            std::hint::black_box(edited.disk.top10(namespace, query.as_ref())?);
            of_peer.push(watch.micros() / 1e3);
        }
        ours.push(of_ours.quantile(0.99));
        peer.push(of_peer.quantile(0.99));
    }
    edited.disk.finish()?;
    let name = format!("hot-document/{edits}-edits/query-p99");
    Ok(vec![Line::of_rounds(name, "ms p99", &ours, &peer, Target::OursAtMost(1.0))])
}
