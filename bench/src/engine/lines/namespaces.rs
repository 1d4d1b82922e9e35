//! What the number of namespaces in a partition costs one of them, and what a scope of many costs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use nautilus_engine::ScopeEntry;
use nautilus_query::{FieldSet, Node};
use serde_json::{Value, json};

use crate::engine::data::{Corpus, Group, Id, LENGTH_MEDIAN, Namespace, Shape};
use crate::engine::ours::{self, Ours};
use crate::engine::report::{Line, Target};
use crate::engine::rounds::resident_bytes;
use crate::measure::{CpuWatch, Random, Samples};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Documents of the namespace that is queried.
    pub(crate) queried: u32,
    /// Small documents beside it: each a namespace of its own, or all in nine.
    pub(crate) others: u32,
    /// Namespaces of a large scope.
    pub(crate) scope: u32,
    pub(crate) seed: u64,
}

/// Median length of the documents beside the queried namespace.
const OTHERS_LENGTH: f64 = 15.0;
/// Words asked for in a process of its own, and times each.
const WORDS: usize = 60;
const ASKED: usize = 20;

/// What a process of its own measures: memory cannot be told apart in one that did other work before.
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// A partition's folder
    #[arg(long)]
    dir: PathBuf,
    /// Words to search for in the first namespace
    #[arg(long, num_args = 1..)]
    words: Vec<String>,
}

/// Opens a partition, searches it, and prints times and resident memory.
///
/// # Errors
/// When the partition cannot be read.
pub fn probe(args: &ProbeArgs) -> Result<()> {
    let watch = CpuWatch::start();
    let engine = Ours::open(&args.dir)?;
    let open_micros = watch.micros();
    let scope = [ours::scope(0)?];
    let nodes: Vec<Node> = args.words.iter().map(|word| term(word)).collect();
    let mut micros = Samples::default();
    for round in 0..=ASKED {
        let watch = CpuWatch::start();
        for node in &nodes {
            std::hint::black_box(engine.top10(&scope, node)?);
        }
        // The first round fills the cache.
        if round > 0 {
            micros.push(watch.micros() / nodes.len().max(1) as f64);
        }
    }
    let found = json!({
        "open_micros": open_micros,
        "query_micros": micros.median(),
        "resident_bytes": resident_bytes(),
    });
    println!("{found}");
    Ok(())
}

fn term(word: &str) -> Node {
    Node::Term { fields: FieldSet::ALL, token: word.to_owned() }
}

/// Many namespaces against ten, then a scope of many.
pub(crate) fn namespaces(dir: &Path, effort: &Effort) -> Result<Vec<Line>> {
    let shape = |documents, length_median| Shape {
        groups: vec![Group { namespaces: 1, documents }],
        length_median,
        seed: effort.seed,
    };
    let queried = Corpus::generate(&shape(effort.queried, LENGTH_MEDIAN));
    let others = Corpus::generate(&shape(effort.others, OTHERS_LENGTH));
    let (many, few) = (dir.join("many"), dir.join("few"));
    fill(&many, &queried, &others, |number| number + 1)?;
    fill(&few, &queried, &others, |number| number % 9 + 1)?;
    let mut random = Random::new(effort.seed);
    let mut words: Vec<&str> = Vec::new();
    while words.len() < WORDS {
        let id = Id::try_from(random.below(queried.len() as usize)).unwrap_or_default();
        let document = queried.document(id);
        words.push(&queried.words[document[random.below(document.len())] as usize]);
    }
    let figures = ["query_micros", "open_micros", "resident_bytes"];
    let mut samples = [(); 3].map(|()| [Samples::default(), Samples::default()]);
    for _ in 0..effort.rounds {
        for (at, dir) in [&many, &few].into_iter().enumerate() {
            let found = in_a_process(dir, &words)?;
            for (name, samples) in figures.iter().zip(&mut samples) {
                samples[at].push(found[name].as_f64().context("a figure of the probe")?);
            }
        }
    }
    let total = effort.others + 1;
    let line = |name: &str, unit, [ours, peer]: &[Samples; 2], bound| {
        let line = Line::of_rounds(
            format!("namespaces/{name}"),
            unit,
            ours,
            peer,
            Target::RatioAtMost(bound),
        );
        line.noted(format!("{total} namespaces; peer: ours with 10"))
    };
    let [query, open, resident] = &samples;
    let mut lines = vec![
        line("query", "CPU µs", query, 1.2),
        line("open", "CPU µs", open, 1.2),
        line("resident", "B", resident, 1.1),
    ];
    lines.push(scope(&many, &others, effort)?);
    std::fs::remove_dir_all(&many)?;
    std::fs::remove_dir_all(&few)?;
    Ok(lines)
}

/// The queried documents come in between all others, as they would.
fn fill(
    dir: &Path,
    queried: &Corpus,
    others: &Corpus,
    namespace: impl Fn(u32) -> Namespace,
) -> Result<()> {
    let mut engine = Ours::open(dir)?;
    let every = (others.len() / queried.len()).max(1);
    let mut next: Id = 0;
    for number in 0..others.len() {
        let text = others.text(&others.document(number));
        engine.put(namespace(number), number, text)?;
        while next < queried.len() && next <= number / every {
            engine.put(0, next, queried.text(&queried.document(next)))?;
            next += 1;
        }
    }
    for id in next..queried.len() {
        engine.put(0, id, queried.text(&queried.document(id)))?;
    }
    engine.settle()
}

fn in_a_process(dir: &Path, words: &[&str]) -> Result<Value> {
    let program = std::env::current_exe().context("find this program")?;
    let output = Command::new(program)
        .arg("engine-probe")
        .arg("--dir")
        .arg(dir)
        .arg("--words")
        .args(words)
        .output()
        .context("start this program again")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the probe of {} failed: {said}", dir.display());
    serde_json::from_slice(&output.stdout).context("what the probe printed")
}

/// CPU microseconds for each namespace and term.
fn scope(dir: &Path, others: &Corpus, effort: &Effort) -> Result<Line> {
    let engine = Ours::open(dir)?;
    let entries: Vec<ScopeEntry> =
        (1..=effort.scope.min(others.len())).map(ours::scope).collect::<Result<_>>()?;
    let words: Vec<Node> = others.words.iter().take(20).map(|word| term(word)).collect();
    let mut micros = Samples::default();
    for round in 0..=effort.rounds {
        let watch = CpuWatch::start();
        for node in &words {
            std::hint::black_box(engine.top10(&entries, node)?);
        }
        if round > 0 {
            micros.push(watch.micros() / (words.len() * entries.len()) as f64);
        }
    }
    let name = format!("scope/{}-namespaces", entries.len());
    Ok(Line::alone(name, "CPU µs a namespace and term", &micros, Target::OursAtMost(4.0)))
}
