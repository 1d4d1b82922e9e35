//! A partition under a steady stream of edits: how long from their hand-over until a search finds them, and what the
//! stream costs searches.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nautilus_engine::{Mutation, Partition, ScopeEntry, SearchRequest, Unlimited};
use nautilus_query::{FieldSet, Node};

use crate::engine::data::{Corpus, Namespace};
use crate::engine::exhaustive::PAGE;
use crate::engine::feed::Feed;
use crate::engine::ours::{self, Ours, upsert};
use crate::engine::queries::{self, Band, Class, Profile};
use crate::engine::report::{Line, Target};
use crate::measure::{Random, Samples, Watch};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Seconds each, of the highest rate, of probes and of searches.
    pub(crate) seconds: f64,
    pub(crate) seed: u64,
}

/// Share of the highest rate that is held.
const SHARE: f64 = 0.7;
/// Mutations handed over and not yet applied. More are only waited for.
const QUEUE: usize = 1_000;
/// Edits between two whose word is looked for.
const PROBE_EVERY: usize = 10;
/// Edits made ready: texts are made before, not while, rates are measured.
const PREPARED: usize = 4_000;
/// Between two searches of a probe: one that never waits would take a core from what it measures.
const PROBE_STEP: Duration = Duration::from_micros(100);
/// A probe that takes longer is never found.
const PROBE_SECONDS_MAX: f64 = 30.0;

/// Edits to apply over and over; and others, each of a document that no other edit touches, which puts a word into it
/// that no text has had.
struct Edits {
    mutations: Vec<Mutation>,
    probes: Vec<(Mutation, ScopeEntry, Node)>,
}

impl Edits {
    fn new(corpus: &Corpus, round: usize, seed: u64) -> Result<Self> {
        let mut feed = Feed::new(corpus, &[], seed.wrapping_add(round as u64));
        let (mut mutations, mut probes) = (Vec::new(), Vec::new());
        for id in corpus.len().. {
            if mutations.len() >= PREPARED {
                break;
            }
            for _ in 0..PROBE_EVERY {
                let edit = feed.next();
                if let Some(words) = &edit.words {
                    mutations.push(upsert(edit.namespace, edit.id, corpus.text(words))?);
                }
            }
            let edit = feed.next();
            let text = edit.words.as_ref().map(|words| corpus.text(words)).unwrap_or_default();
            let marker = format!("zq{round}x{id}");
            let mutation = upsert(edit.namespace, id, format!("{text} {marker}"))?;
            let node = Node::Term { fields: FieldSet::ALL, token: marker };
            probes.push((mutation, ours::scope(edit.namespace)?, node));
        }
        Ok(Self { mutations, probes })
    }
}

fn find(partition: &Partition, scope: &ScopeEntry, node: &Node) -> Result<u64> {
    let request = SearchRequest::new(std::slice::from_ref(scope), node, PAGE);
    Ok(partition.searcher().search(&request, &mut Unlimited)?.total_hits)
}

/// Freshness and searches at the share of the highest rate, in rounds.
pub(crate) fn sustained(dir: &Path, corpus: &Corpus, effort: &Effort) -> Result<Vec<Line>> {
    let mut engine = Ours::open(&dir.join("ours"))?;
    for id in 0..corpus.len() {
        engine.put(corpus.owner(id), id, corpus.text(&corpus.document(id)))?;
    }
    engine.settle()?;
    let queries = searches(corpus, effort.seed)?;
    let (mut highest, mut held) = (Samples::default(), Samples::default());
    let (mut fresh50, mut fresh99) = (Samples::default(), Samples::default());
    let (mut resting, mut working) = (Samples::default(), Samples::default());
    for round in 0..effort.rounds {
        let edits = Edits::new(corpus, round, effort.seed)?;
        resting.push(search_for(&engine.partition, &queries, effort.seconds)?);
        let rate = highest_rate(&mut engine, &edits, effort.seconds)?;
        highest.push(rate);
        let pace = Duration::from_secs_f64(1.0 / (rate * SHARE));
        let partition = engine.partition.clone();
        let look = |probes: Receiver<Probe>| {
            let mut samples = Samples::default();
            while let Ok(Probe { at, handed_over }) = probes.recv() {
                let (_, scope, node) = &edits.probes[at];
                while find(&partition, scope, node)? == 0 {
                    std::thread::sleep(PROBE_STEP);
                    ensure!(handed_over.seconds() < PROBE_SECONDS_MAX, "an edit is never seen");
                }
                samples.push(handed_over.micros() / 1e3);
            }
            Ok(samples)
        };
        let (found, samples) = with_stream(&mut engine, &edits, pace, effort.seconds, look)?;
        held.push(found);
        fresh50.push(samples.quantile(0.5));
        fresh99.push(samples.quantile(0.99));
        let (_, p999) = with_stream(&mut engine, &edits, pace, effort.seconds, |_probes| {
            search_for(&partition, &queries, effort.seconds)
        })?;
        working.push(p999);
    }
    let bound = (3.0 * resting.median()).max(5.0);
    Ok(vec![
        Line::alone("sustained/highest-apply-rate", "edits/s", &highest, Target::None),
        Line::of_rounds("sustained/held-rate", "edits/s", &held, &highest, Target::None)
            .noted("peer: ours, the highest rate"),
        Line::alone("sustained/freshness-p50", "ms", &fresh50, Target::OursAtMost(1.0)),
        Line::alone("sustained/freshness-p99", "ms", &fresh99, Target::OursAtMost(10.0)),
        Line::of_rounds(
            "sustained/search-p99.9",
            "ms",
            &working,
            &resting,
            Target::OursAtMost(bound),
        )
        .noted("peer: ours at rest"),
    ])
}

/// Edits of the clock's second, as fast as they go, flushes and compactions under way included.
fn highest_rate(engine: &mut Ours, edits: &Edits, seconds: f64) -> Result<f64> {
    let watch = Watch::start();
    let mut applied = 0;
    for mutation in edits.mutations.iter().cycle() {
        engine.apply(mutation)?;
        applied += 1;
        if watch.seconds() >= seconds {
            break;
        }
    }
    Ok(f64::from(applied) / watch.seconds())
}

/// An edit whose word is to be looked for, and when it was handed over.
struct Probe {
    at: usize,
    handed_over: Watch,
}

/// Runs `measure` while edits are handed over at this pace and applied by a thread of their own. Also the rate held.
fn with_stream<T>(
    engine: &mut Ours,
    edits: &Edits,
    pace: Duration,
    seconds: f64,
    measure: impl FnOnce(Receiver<Probe>) -> Result<T>,
) -> Result<(f64, T)> {
    let (queue, waiting): (SyncSender<&Mutation>, Receiver<&Mutation>) = sync_channel(QUEUE);
    let (probe, probes) = sync_channel(QUEUE);
    let (stopped, applied) = (AtomicBool::new(false), AtomicU64::new(0));
    let watch = Watch::start();
    std::thread::scope(|scope| {
        let applier = scope.spawn(|| -> Result<()> {
            for mutation in waiting {
                engine.apply(mutation)?;
                applied.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let stopped = &stopped;
        let feeder = scope.spawn(move || {
            let mut others = edits.probes.iter().enumerate();
            for (number, mutation) in (0_u32..).zip(edits.mutations.iter().cycle()) {
                if watch.seconds() >= seconds || stopped.load(Ordering::Relaxed) {
                    break;
                }
                let ahead = pace.as_secs_f64() * f64::from(number) - watch.seconds();
                if ahead > 0.0 {
                    std::thread::sleep(Duration::from_secs_f64(ahead));
                }
                let is_probe = (number as usize).is_multiple_of(PROBE_EVERY);
                let other = if is_probe { others.next() } else { None };
                let handed_over = Watch::start();
                let sent = queue.send(other.map_or(mutation, |(_, (mutation, _, _))| mutation));
                if sent.is_err() {
                    break;
                }
                // Where nobody looks, or not as fast, it is an edit like the others.
                if let Some((at, _)) = other {
                    probe.try_send(Probe { at, handed_over }).ok();
                }
            }
        });
        let measured = measure(probes);
        stopped.store(measured.is_err(), Ordering::Relaxed);
        feeder.join().ok().context("the feeder panicked")?;
        applier.join().ok().context("the applier panicked")??;
        let rate = applied.load(Ordering::Relaxed) as f64 / watch.seconds();
        Ok((rate, measured?))
    })
}

fn searches(corpus: &Corpus, seed: u64) -> Result<Vec<(ScopeEntry, Node)>> {
    let namespaces: Vec<Namespace> = (0..corpus.namespaces().min(4)).collect();
    let profiles = Profile::of(corpus, &namespaces);
    let mut random = Random::new(seed);
    let mut all = Vec::new();
    for class in [Class::Term, Class::And2, Class::Or] {
        for band in Band::ALL {
            for query in queries::draw(corpus, &profiles, (class, band), 10, &mut random) {
                all.push((ours::scope(query.namespace)?, query.node(corpus)));
            }
        }
    }
    random.shuffle(&mut all);
    ensure!(!all.is_empty(), "no queries");
    Ok(all)
}

/// p99.9 of searches one after the other, in milliseconds.
fn search_for(partition: &Partition, queries: &[(ScopeEntry, Node)], seconds: f64) -> Result<f64> {
    let (all, mut samples) = (Watch::start(), Samples::default());
    for (scope, node) in queries.iter().cycle() {
        let watch = Watch::start();
        std::hint::black_box(find(partition, scope, node)?);
        samples.push(watch.micros() / 1e3);
        if all.seconds() >= seconds {
            break;
        }
    }
    Ok(samples.quantile(0.999))
}
