//! The ten best documents of each class of query, at rest and while documents are edited.

use anyhow::{Context, Result, ensure};
use nautilus_engine::ScopeEntry;
use nautilus_query::Node;

use crate::engine::check;
use crate::engine::data::{Id, Namespace, Word};
use crate::engine::dataset::{Dataset, Size};
use crate::engine::exhaustive::{self, Answer};
use crate::engine::feed::Feed;
use crate::engine::ours;
use crate::engine::peer::Layout;
use crate::engine::queries::{self, Band, Class, Profile, Query};
use crate::engine::report::{Line, Target};
use crate::measure::{CpuWatch, Random, Samples};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Queries of each class and band.
    pub(crate) queries: usize,
    /// CPU microseconds that a pass over them takes at least: it is repeated until then.
    pub(crate) pass_micros: f64,
    pub(crate) seed: u64,
}

/// A pass that takes longer is made shorter.
const PASS_MICROS_MAX: f64 = 150_000.0;
const QUERIES_MIN: usize = 3;
/// Ours, each layout, each layout with a count.
const CONTENDERS: usize = 1 + 2 * Layout::ALL.len();

/// Queries of one class, band and size.
pub(crate) struct Cell {
    size: u32,
    class: Class,
    band: Band,
    queries: Vec<Query>,
    ours: Vec<(ScopeEntry, Node)>,
    /// Of each layout.
    peers: Vec<Vec<(Namespace, Box<dyn tantivy::query::Query>)>>,
    /// Passes in a round, and CPU microseconds a query in each round, of each contender.
    repeats: [usize; CONTENDERS],
    samples: Vec<Samples>,
}

/// Draws and prepares the queries of all classes for each size.
pub(crate) fn cells(dataset: &Dataset<'_>, sizes: &[Size], effort: &Effort) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    let mut random = Random::new(effort.seed);
    for size in sizes {
        let profiles = Profile::of(dataset.corpus, &size.namespaces);
        for class in Class::ALL {
            for band in Band::ALL {
                let count = effort.queries;
                let drawn =
                    queries::draw(dataset.corpus, &profiles, (class, band), count, &mut random);
                if drawn.is_empty() {
                    continue;
                }
                cells.push(Cell::new(dataset, size.documents, (class, band), drawn)?);
            }
        }
    }
    Ok(cells)
}

impl Cell {
    fn new(
        dataset: &Dataset<'_>,
        size: u32,
        (class, band): (Class, Band),
        queries: Vec<Query>,
    ) -> Result<Self> {
        let ours = queries
            .iter()
            .map(|query| Ok((ours::scope(query.namespace)?, query.node(dataset.corpus))))
            .collect::<Result<_>>()?;
        let peers = dataset
            .peers
            .iter()
            .map(|peer| {
                let prepared =
                    |query: &Query| Ok((query.namespace, peer.query(dataset.corpus, query)?));
                queries.iter().map(prepared).collect::<Result<_>>()
            })
            .collect::<Result<_>>()?;
        let samples = vec![Samples::default(); CONTENDERS];
        Ok(Self { size, class, band, queries, ours, peers, repeats: [1; CONTENDERS], samples })
    }

    /// Asks every query once; returns CPU microseconds.
    fn pass(&self, dataset: &Dataset<'_>, contender: usize) -> Result<f64> {
        let watch = CpuWatch::start();
        match contender.checked_sub(1) {
            None => {
                for (scope, node) in &self.ours {
                    let outcome = dataset.ours.top10(std::slice::from_ref(scope), node)?;
                    std::hint::black_box(outcome);
                }
            }
            Some(at) if at < Layout::ALL.len() => {
                for (namespace, query) in &self.peers[at] {
                    std::hint::black_box(dataset.peers[at].top10(*namespace, query.as_ref())?);
                }
            }
            Some(at) => {
                let at = at - Layout::ALL.len();
                for (namespace, query) in &self.peers[at] {
                    let found = dataset.peers[at].top10_and_count(*namespace, query.as_ref())?;
                    std::hint::black_box(found);
                }
            }
        }
        Ok(watch.micros())
    }

    /// Fits the number of queries and of passes to the time they take.
    fn warm_up(&mut self, dataset: &Dataset<'_>, effort: &Effort) -> Result<()> {
        let mut longest = 0.0_f64;
        for contender in 0..CONTENDERS {
            longest = longest.max(self.pass(dataset, contender)?);
        }
        let mut kept = self.ours.len();
        while longest / self.ours.len() as f64 * kept as f64 > PASS_MICROS_MAX && kept > QUERIES_MIN
        {
            kept -= 1;
        }
        self.ours.truncate(kept);
        self.peers.iter_mut().for_each(|peer| peer.truncate(kept));
        for contender in 0..CONTENDERS {
            let micros = self.pass(dataset, contender)?;
            self.repeats[contender] = 1;
            let mut total = micros;
            while total < effort.pass_micros {
                total += micros.max(1.0);
                self.repeats[contender] += 1;
            }
        }
        Ok(())
    }

    /// One round: every contender, another one first each time.
    fn round(&mut self, dataset: &Dataset<'_>, round: usize) -> Result<()> {
        for turn in 0..CONTENDERS {
            let contender = (turn + round) % CONTENDERS;
            let repeats = self.repeats[contender];
            let mut micros = 0.0;
            for _ in 0..repeats {
                micros += self.pass(dataset, contender)?;
            }
            self.samples[contender].push(micros / (repeats * self.ours.len()) as f64);
        }
        Ok(())
    }

    /// Against the filter and against the best of the layouts, without and with a count of the hits.
    fn lines(&self, prefix: &str, (filter, best): (Target, Target)) -> Vec<Line> {
        let place = format!("{}/{}/{}", self.size, self.class.name(), self.band.name());
        let ours = &self.samples[0];
        let mut lines = Vec::new();
        for (kind, first, targets) in [
            ("top10", 1, (filter, best)),
            ("top10+count", 1 + Layout::ALL.len(), (Target::None, Target::None)),
        ] {
            let peers = &self.samples[first..first + Layout::ALL.len()];
            let line = |against: &str, peer: &Samples, target: Target| {
                let name = format!("{prefix}{kind}/{place}/vs-{against}");
                Line::of_rounds(name, "CPU µs a query", ours, peer, target)
            };
            lines.push(line("filter", &peers[0], targets.0));
            let quickest = (0..peers.len())
                .min_by(|&a, &b| peers[a].median().total_cmp(&peers[b].median()))
                .unwrap_or(0);
            let best = line("best", &peers[quickest], targets.1);
            lines.push(best.noted(Layout::ALL[quickest].name()));
        }
        lines
    }

    /// Of the best ten, settled: against the best of the layouts.
    fn target_settled(&self) -> Target {
        match self.class {
            Class::Term => Target::RatioAtMost(0.85),
            Class::And2 | Class::And3 | Class::Or | Class::Phrase | Class::Prefix => {
                Target::RatioAtMost(1.0)
            }
        }
    }
}

/// Compares every engine's answers with those of looking at all documents.
///
/// While documents are edited the peer weighs by statistics that still count deleted ones, so of its answers only the
/// number of hits is compared then.
fn check_all(
    dataset: &Dataset<'_>,
    cells: &[Cell],
    documents: &dyn Fn(Id) -> Option<Vec<Word>>,
    is_settled: bool,
) -> Result<()> {
    let queries: Vec<Query> = cells.iter().flat_map(|cell| cell.queries.clone()).collect();
    let answers: Vec<Answer> = exhaustive::answer(dataset.corpus, documents, &queries);
    let mut answers = answers.iter();
    for cell in cells {
        for (at, query) in cell.queries.iter().enumerate() {
            let answer = answers.next().context("an answer for every query")?;
            ensure!(!is_settled || answer.hits > 0, "{query:?} finds nothing");
            let (scope, node) = &cell.ours[at];
            check::ours(query, &dataset.ours.top10(std::slice::from_ref(scope), node)?, answer)?;
            for (peer, prepared) in dataset.peers.iter().zip(&cell.peers) {
                let (namespace, prepared) = &prepared[at];
                let name = peer.layout.name();
                let (best, both) = peer.top10_and_count(*namespace, prepared.as_ref())?;
                let count = peer.of(*namespace)?.count(prepared.as_ref())?;
                check::count(query, name, count, answer)?;
                check::count(query, name, both, answer)?;
                if is_settled {
                    let definition = peer.layout.definition();
                    check::peer(query, name, &best, answer, definition)?;
                    let best = peer.top10(*namespace, prepared.as_ref())?;
                    check::peer(query, name, &best, answer, definition)?;
                }
            }
        }
    }
    Ok(())
}

/// At rest: ours compacted, the peer's merged to one segment.
pub(crate) fn settled(dataset: &Dataset<'_>, sizes: &[Size], effort: &Effort) -> Result<Vec<Line>> {
    let mut cells = cells(dataset, sizes, effort)?;
    let documents = |id: Id| Some(dataset.corpus.document(id));
    check_all(dataset, &cells, &documents, true)?;
    for cell in &mut cells {
        cell.warm_up(dataset, effort)?;
    }
    for round in 0..effort.rounds {
        for cell in &mut cells {
            cell.round(dataset, round)?;
        }
    }
    let lines = cells
        .iter()
        .flat_map(|cell| cell.lines("", (Target::RatioAtMost(0.35), cell.target_settled())));
    Ok(lines.collect())
}

/// Edits before and between the rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edits {
    pub(crate) before: usize,
    pub(crate) between: usize,
}

/// While documents are edited, a commit of the peer's after each hundred edits, its own merges and our compactions as
/// they come.
pub(crate) fn live(
    dataset: &mut Dataset<'_>,
    sizes: &[Size],
    effort: &Effort,
    edits: Edits,
) -> Result<Vec<Line>> {
    let mut cells = cells(dataset, sizes, effort)?;
    let queried: Vec<Namespace> = sizes.iter().flat_map(|s| s.namespaces.clone()).collect();
    let mut feed = Feed::new(dataset.corpus, &queried, effort.seed);
    dataset.edit_from(&mut feed, edits.before)?;
    for cell in &mut cells {
        cell.warm_up(dataset, effort)?;
    }
    for round in 0..effort.rounds {
        dataset.edit_from(&mut feed, edits.between)?;
        for cell in &mut cells {
            cell.round(dataset, round)?;
        }
    }
    for cell in &mut cells {
        // The warm-up may have kept fewer.
        cell.queries.truncate(cell.ours.len());
    }
    check_all(dataset, &cells, &|id| feed.words(id), false)?;
    dataset.peers.iter_mut().try_for_each(crate::engine::peer::Peer::finish)?;
    let live = Target::RatioAtMost(1.5);
    let filter = Target::RatioAtMost(0.35);
    Ok(cells.iter().flat_map(|cell| cell.lines("live/", (filter, live))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::data::{Corpus, Group, LENGTH_MEDIAN, Shape};

    fn corpus() -> (Corpus, Vec<Size>) {
        let groups =
            vec![Group { namespaces: 1, documents: 300 }, Group { namespaces: 4, documents: 30 }];
        let sizes = vec![
            Size { documents: 30, namespaces: vec![1, 2] },
            Size { documents: 300, namespaces: vec![0] },
        ];
        let shape = Shape { groups, length_median: LENGTH_MEDIAN, seed: 5 };
        (Corpus::generate(&shape), sizes)
    }

    const EFFORT: Effort = Effort { rounds: 2, queries: 4, pass_micros: 1.0, seed: 5 };

    #[test]
    fn all_engines_agree_with_the_scan() {
        let (corpus, sizes) = corpus();
        let dir = tempfile::tempdir().unwrap();
        let lines = {
            let dataset = Dataset::open(&dir.path().join("base"), &corpus, &sizes).unwrap();
            settled(&dataset, &sizes, &EFFORT).unwrap()
        };
        // Four lines a cell; a namespace of thirty has no word between one and ten in a hundred that two have.
        assert!(lines.len() > 4 * 20 && lines.len() <= 4 * 36, "{}", lines.len());
        assert!(lines.iter().all(|line| line.ours > 0.0 && line.ratio.is_some()));
        let copy = dir.path().join("copy");
        crate::engine::dataset::copy_folder(&dir.path().join("base"), &copy).unwrap();
        let mut edited = Dataset::open(&copy, &corpus, &sizes).unwrap();
        let edits = Edits { before: 150, between: 20 };
        assert_eq!(live(&mut edited, &sizes, &EFFORT, edits).unwrap().len(), lines.len());
    }

    #[test]
    fn a_wrong_answer_is_found() {
        let (corpus, sizes) = corpus();
        let dir = tempfile::tempdir().unwrap();
        let mut dataset = Dataset::open(dir.path(), &corpus, &sizes).unwrap();
        let cells = cells(&dataset, &sizes, &EFFORT).unwrap();
        let documents = |id: Id| Some(corpus.document(id));
        check_all(&dataset, &cells, &documents, true).unwrap();
        // One document that only ours lost.
        let lost = (0..corpus.len()).find(|&id| corpus.owner(id) == 0).unwrap();
        dataset.ours.delete(0, lost).unwrap();
        assert!(check_all(&dataset, &cells, &documents, true).is_err());
        // Of the peer's, every document of the edit is in again: the scan without it differs.
        let without = |id: Id| (id != lost).then(|| corpus.document(id));
        assert!(check_all(&dataset, &cells, &without, true).is_err());
    }
}
