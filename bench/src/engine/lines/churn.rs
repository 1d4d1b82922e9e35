//! A partition after many edits against one built anew from the same documents.

use std::path::Path;

use anyhow::{Context, Result};
use nautilus_engine::ScopeEntry;
use nautilus_query::Node;
use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

use crate::engine::data::{Corpus, Id, Namespace};
use crate::engine::feed::Feed;
use crate::engine::ours::{self, Ours};
use crate::engine::queries::{self, Band, Class, Profile};
use crate::engine::report::{Line, Target};
use crate::engine::rounds::{resident_bytes, rest};
use crate::measure::{CpuWatch, Random, Samples};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) edits: usize,
    pub(crate) rounds: usize,
    /// Times each query is asked in a round.
    pub(crate) asked: usize,
    pub(crate) seed: u64,
}

/// Ten writes come for each search.
const EDITS_PER_SEARCH: usize = 10;
const QUERIES: usize = 10;

const FRESH: &str = "peer: ours, built anew";

/// The queries of one class.
struct Asked {
    class: Class,
    queries: Vec<(ScopeEntry, Node)>,
}

/// Stages of the edits.
pub(crate) const QUARTERS: usize = 4;

/// The corpus as it is after so many edits, and the feed of those that follow.
fn feed_after<'a>(corpus: &'a Corpus, edits: usize, seed: u64) -> Feed<'a> {
    let mut feed = Feed::new(corpus, &[], seed);
    // What the bench itself remembers is there from the start, so that growth is the engine's.
    feed.remember_all();
    for _ in 0..edits {
        feed.next();
    }
    feed
}

/// Edits to the end of a quarter, wherever an interrupted run stopped, a search after each tenth; the partition is
/// opened anew for each quarter. Returns resident memory at its end.
pub(crate) fn quarter(
    dir: &Path,
    corpus: &Corpus,
    effort: &Effort,
    quarter: usize,
) -> Result<Vec<Line>> {
    let asked = queries(corpus, effort.seed)?;
    let all: Vec<&(ScopeEntry, Node)> = asked.iter().flat_map(|asked| &asked.queries).collect();
    let folder = dir.join("churned");
    let mut engine = Ours::open(&folder)?;
    // Every document and every edit is one record.
    for id in Id::try_from(engine.records()).unwrap_or(Id::MAX)..corpus.len() {
        engine.put(corpus.owner(id), id, corpus.text(&corpus.document(id)))?;
    }
    engine.flush()?;
    drop(engine);
    let mut engine = Ours::open(&folder)?;
    let done = usize::try_from(engine.records())?.saturating_sub(corpus.len() as usize);
    let mut feed = feed_after(corpus, done, effort.seed);
    for number in done..effort.edits / QUARTERS * quarter {
        let edit = feed.next();
        match &edit.words {
            Some(words) => engine.put(edit.namespace, edit.id, corpus.text(words))?,
            None => engine.delete(edit.namespace, edit.id)?,
        }
        if number % EDITS_PER_SEARCH == 0 {
            let (scope, node) = all[number / EDITS_PER_SEARCH % all.len()];
            engine.top10(std::slice::from_ref(scope), node)?;
        }
    }
    rest();
    let resident: Samples = [resident_bytes() / 1e6].into_iter().collect();
    engine.flush()?;
    Ok(vec![Line::alone(resident_name(quarter), "MB", &resident, Target::None)])
}

/// The name of a quarter's line.
pub(crate) fn resident_name(quarter: usize) -> String {
    format!("churn/resident/quarter-{quarter}")
}

/// After all edits: every class on both partitions in turn. `resident` is of the first and the last quarter.
pub(crate) fn compare(
    dir: &Path,
    corpus: &Corpus,
    effort: &Effort,
    resident: Option<(f64, f64)>,
) -> Result<Vec<Line>> {
    let asked = queries(corpus, effort.seed)?;
    let feed = feed_after(corpus, effort.edits / QUARTERS * QUARTERS, effort.seed);
    let folder = dir.join("churned");
    let churned = Ours::open(&folder)?;
    let mut fresh = Ours::open(&dir.join("fresh"))?;
    for id in 0..corpus.len() {
        if let Some(words) = feed.words(id) {
            fresh.put(corpus.owner(id), id, corpus.text(&words))?;
        }
    }
    fresh.flush()?;
    rest();
    let mut lines = latencies(&churned, &fresh, &asked, effort)?;
    lines.push(tombstones(&churned, &asked)?);
    let single = |value: f64| -> Samples { [value].into_iter().collect() };
    if let Some((first, last)) = resident {
        let bound = Target::RatioAtMost(1.05);
        let line = Line::of_rounds("churn/resident", "MB", &single(last), &single(first), bound);
        lines.push(line.noted("last quarter; peer: ours, first quarter"));
    }
    drop(churned);
    let written = written(&folder)?;
    lines.push(Line::alone(
        "churn/write-amplification",
        "flushed and compacted B per flushed B",
        &single(written.amplification()),
        Target::OursAtMost(5.0),
    ));
    Ok(lines)
}

fn queries(corpus: &Corpus, seed: u64) -> Result<Vec<Asked>> {
    let sizes = corpus.sizes();
    let mut largest: Vec<Namespace> = (0..corpus.namespaces()).collect();
    largest.sort_by_key(|&namespace| std::cmp::Reverse(sizes[namespace as usize]));
    largest.truncate(4);
    let profiles = Profile::of(corpus, &largest);
    let mut random = Random::new(seed);
    let mut all = Vec::new();
    for class in Class::ALL {
        let mut of_class = Vec::new();
        for band in Band::ALL {
            let drawn = queries::draw(corpus, &profiles, (class, band), QUERIES, &mut random);
            for query in drawn {
                of_class.push((ours::scope(query.namespace)?, query.node(corpus)));
            }
        }
        all.push(Asked { class, queries: of_class });
    }
    Ok(all)
}

/// p99 of each class, and p99.99 of all, on both partitions.
fn latencies(churned: &Ours, fresh: &Ours, asked: &[Asked], effort: &Effort) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut of_all = [Samples::default(), Samples::default()];
    for Asked { class, queries } in asked {
        let mut p99 = [Samples::default(), Samples::default()];
        for round in 0..=effort.rounds {
            let mut micros = [Samples::default(), Samples::default()];
            for _ in 0..effort.asked {
                for (scope, node) in queries {
                    for (at, engine) in [churned, fresh].into_iter().enumerate() {
                        let watch = CpuWatch::start();
                        let scope = std::slice::from_ref(scope);
                        std::hint::black_box(engine.top10(scope, node)?);
                        micros[at].push(watch.micros());
                    }
                }
            }
            // The first round fills the caches.
            if round > 0 {
                for (at, micros) in micros.iter().enumerate() {
                    p99[at].push(micros.quantile(0.99));
                    micros.iter().for_each(|sample| of_all[at].push(sample));
                }
            }
        }
        let name = format!("churn/p99/{}", class.name());
        let bound = Target::RatioAtMost(1.5);
        lines.push(Line::of_rounds(name, "CPU µs p99", &p99[0], &p99[1], bound).noted(FRESH));
    }
    let [churned, fresh] =
        of_all.map(|all| -> Samples { [all.quantile(0.9999)].into_iter().collect() });
    let line = Line::of_rounds("churn/p99.99/all", "CPU µs p99.99", &churned, &fresh, Target::None);
    lines.push(line.noted(FRESH));
    Ok(lines)
}

/// Deleted rows that a query steps over, by RocksDB's own count.
fn tombstones(engine: &Ours, asked: &[Asked]) -> Result<Line> {
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut samples = Samples::default();
    for (scope, node) in asked.iter().flat_map(|asked| &asked.queries) {
        let mut context = PerfContext::default();
        context.reset();
        engine.top10(std::slice::from_ref(scope), node)?;
        samples.push(context.metric(PerfMetric::InternalDeleteSkippedCount) as f64);
    }
    set_perf_stats(PerfStatsLevel::Disable);
    let mean: Samples = [samples.mean()].into_iter().collect();
    Ok(Line::alone("churn/tombstones", "skipped a query", &mean, Target::None))
}

/// Bytes of the table files a partition wrote. The events do not tell how long the lists are that it wrote itself, whose
/// compactions they do tell: so the amplification is rather too high.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Written {
    /// Of all files.
    created: f64,
    /// Of those, by compactions; the others were flushed.
    compacted: f64,
}

impl Written {
    fn amplification(self) -> f64 {
        self.created / (self.created - self.compacted)
    }

    fn add(&mut self, event: &serde_json::Value) {
        let bytes = |name: &str| event[name].as_f64().unwrap_or_default();
        match event["event"].as_str() {
            Some("compaction_finished") => self.compacted += bytes("total_output_size"),
            Some("table_file_creation") => self.created += bytes("file_size"),
            Some(_) | None => {}
        }
    }
}

/// From the events in RocksDB's own logs: nothing else tells them after the fact. A partition keeps those of its last
/// four openings: of the later quarters.
fn written(dir: &Path) -> Result<Written> {
    let mut written = Written::default();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("LOG") {
            let text = std::fs::read_to_string(entry.path())?;
            text.lines().filter_map(event).for_each(|event| written.add(&event));
        }
    }
    Ok(written)
}

fn event(line: &str) -> Option<serde_json::Value> {
    serde_json::from_str(line.split_once("EVENT_LOG_v1 ")?.1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_bytes_are_read_from_events() {
        let dir = tempfile::tempdir().unwrap();
        let log = r#"2026/11/22 1 EVENT_LOG_v1 {"job": 3, "event": "table_file_creation", "file_size": 100}
2026/11/22 1 [db/flush_job.cc] something else
2026/11/22 1 EVENT_LOG_v1 {"job": 4, "event": "table_file_creation", "file_size": 60}
2026/11/22 1 EVENT_LOG_v1 {"job": 4, "event": "compaction_finished", "total_output_size": 60}
"#;
        std::fs::write(dir.path().join("LOG"), log).unwrap();
        let found = written(dir.path()).unwrap();
        assert_eq!(found, Written { created: 160.0, compacted: 60.0 });
        assert!((found.amplification() - 1.6).abs() < 1e-12);
    }
}
