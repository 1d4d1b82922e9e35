//! One partition of the engine against Tantivy over the same documents, in the same run.
//!
//! ```text
//! generated │ files │ journal ─► corpus ─┬─► our partition ─────┐
//!                                        └─► Tantivy, 4 layouts ─┴─► rounds in turn ─► lines ─► table, JSON, plots
//!                                        └─► exhaustive scan ─► every answer checked
//! ```

mod check;
mod data;
mod dataset;
mod exhaustive;
mod feed;
mod history;
mod journal;
mod lines;
mod ours;
mod peer;
mod plot;
mod queries;
mod report;
mod rounds;
mod rows;
mod scale;
mod stages;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use data::{Corpus, Shape};
use dataset::{Dataset, Size};
use journal::Journal;
use lines::{build, bytes, churn, partitions, sustained, top10, visible};
use scale::Scale;
use stages::Stages;

pub use journal::{RecordArgs, record};
pub use lines::namespaces::{ProbeArgs, probe};

/// What `nautilus-bench engine` takes.
#[derive(Args, Clone, Debug)]
pub struct EngineArgs {
    /// Small sizes, within two minutes (the default)
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// The sizes of the targets, some hours; goes on where an interrupted run stopped
    #[arg(long, requires = "dir")]
    full: bool,
    /// Where databases are made, and a full run keeps its stages; default: a temporary folder
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
    /// Seed of documents, queries and edits
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Only these stages
    #[arg(long, value_name = "STAGE", num_args = 1..)]
    only: Vec<String>,
    /// Real documents instead of generated ones, each folder a namespace (text, HTML, or JSONL with id, title, text)
    #[arg(long, value_name = "FOLDER", num_args = 1..)]
    docs: Vec<PathBuf>,
    /// Replay a recorded feed too (`nautilus-bench journal`)
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Write pictures of the ratios (SVG) into this folder
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
    /// Append the result, with commit and machine, to this file as one line of JSON
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Human,
    Json,
}

/// Measures and prints.
///
/// # Errors
/// When something fails, and when any engine gives another answer than a scan of all documents.
pub fn measure_engine(args: &EngineArgs) -> Result<()> {
    let scale = if args.full { Scale::full(args.seed) } else { Scale::quick(args.seed) };
    let temporary = match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
            None
        }
        None => Some(tempfile::tempdir()?),
    };
    let dir: &Path = match (&args.dir, &temporary) {
        (Some(dir), _) => dir,
        (None, Some(temporary)) => temporary.path(),
        (None, None) => anyhow::bail!("no folder to work in"),
    };
    claim(dir, &format!("{} scale, seed {}, documents {:?}", scale.name, args.seed, args.docs))?;
    let mut stages = Stages::new(args.full.then_some(dir), &args.only, scale.name);
    let source = Source { docs: args.docs.clone(), seed: args.seed };
    searches(&mut stages, &scale, &source, dir)?;
    edits(&mut stages, &scale, &source, dir)?;
    stores(&mut stages, &scale, &source, dir)?;
    crowds(&mut stages, &scale, &source, dir)?;
    if let Some(file) = &args.journal {
        let journal = Journal::read(file)?;
        stages.stage("journal", &format!("{} records", journal.len()), || {
            let dir = fresh(dir, "journal")?;
            let lines = journal.replay(&dir, scale.effort.rounds)?;
            remove(&dir, lines)
        })?;
    }
    if let Some(folder) = &args.plots {
        plot::write(folder, &stages.lines)?;
    }
    match args.output {
        Output::Json => println!("{}", report::document(&stages.lines)),
        Output::Human => print!("{}", report::table(&stages.lines)),
    }
    if let Some(file) = &args.history {
        history::append(file, scale.name, &report::document(&stages.lines))?;
    }
    Ok(())
}

/// A folder belongs to one kind of run: databases and stages of another would not fit.
fn claim(dir: &Path, run: &str) -> Result<()> {
    let file = dir.join("run");
    match std::fs::read_to_string(&file) {
        Ok(of) => ensure!(of == run, "{} holds another run: {of}, not {run}", dir.display()),
        Err(_) => {
            std::fs::write(&file, run).with_context(|| format!("write {}", file.display()))?
        }
    }
    Ok(())
}

/// Where documents come from.
struct Source {
    /// None: generated.
    docs: Vec<PathBuf>,
    seed: u64,
}

impl Source {
    /// A corpus of this shape, or as many real documents.
    fn corpus(&self, shape: &Shape) -> Result<Corpus> {
        if self.docs.is_empty() {
            return Ok(Corpus::generate(shape));
        }
        let documents: usize =
            shape.groups.iter().map(|group| (group.namespaces * group.documents) as usize).sum();
        Corpus::read(&self.docs, documents / self.docs.len(), self.seed)
    }

    /// What is queried: of real documents each namespace.
    fn sizes(&self, scale: &Scale, corpus: &Corpus) -> Vec<Size> {
        if self.docs.is_empty() {
            return scale.sizes();
        }
        let sizes = (0..).zip(corpus.sizes());
        sizes
            .map(|(namespace, documents)| Size { documents, namespaces: vec![namespace] })
            .collect()
    }
}

/// The ten best of every class, at rest and while documents are edited.
fn searches(stages: &mut Stages, scale: &Scale, source: &Source, dir: &Path) -> Result<()> {
    let corpus = source.corpus(&scale.searched)?;
    let (sizes, effort) = (source.sizes(scale, &corpus), scale.effort);
    let of = format!("{} documents in {} namespaces", corpus.len(), corpus.namespaces());
    let base = dir.join("searched");
    if scale.is_large() {
        // Apart, so that an interruption does not cost it again.
        stages.stage("fill", &of, || {
            Dataset::open(&base, &corpus, &sizes)?;
            Ok(Vec::new())
        })?;
    }
    stages.stage("top10", &of, || {
        let dataset = Dataset::open(&base, &corpus, &sizes)?;
        top10::settled(&dataset, &sizes, &effort)
    })?;
    stages.stage("live", &of, || {
        drop(Dataset::open(&base, &corpus, &sizes)?);
        let copy = dir.join("edited");
        dataset::copy_folder(&base, &copy)?;
        let mut dataset = Dataset::open(&copy, &corpus, &sizes)?;
        let lines = top10::live(&mut dataset, &sizes, &effort, scale.live)?;
        drop(dataset);
        std::fs::remove_dir_all(&copy)?;
        Ok(lines)
    })
}

/// Single edits, and a hundred a batch.
fn edits(stages: &mut Stages, scale: &Scale, source: &Source, dir: &Path) -> Result<()> {
    let corpus = source.corpus(&scale.edited)?;
    let of = format!("{} documents in {} namespaces", corpus.len(), corpus.namespaces());
    let effort = scale.visible;
    stages.stage("visible", &of, || {
        let dir = fresh(dir, "visible")?;
        let mut edited = visible::Edited::new(&dir, &corpus, scale.visible.seed)?;
        let mut lines = visible::visible(&mut edited, &effort)?;
        lines.extend(visible::batched(&mut edited, &effort)?);
        lines.extend(visible::hot_document(&mut edited, scale.hot_edits, &effort)?);
        drop(edited);
        remove(&dir, lines)
    })
}

/// Bytes, building, and what many edits leave behind.
fn stores(stages: &mut Stages, scale: &Scale, source: &Source, dir: &Path) -> Result<()> {
    let documents = scale.sized_documents;
    stages.stage("bytes", &format!("{documents} documents"), || {
        let dir = fresh(dir, "bytes")?;
        let lines = bytes::bytes(&dir, documents, scale.effort.seed)?;
        remove(&dir, lines)
    })?;
    let built = source.corpus(&scale.built)?;
    let of = format!("{} documents in {} namespaces", built.len(), built.namespaces());
    stages.stage("build", &of, || {
        let dir = fresh(dir, "build")?;
        let mut lines = rows::floor(&dir.join("floor"), &built, scale.effort.rounds)?;
        lines.extend(build::build(&dir, &built, scale.effort.rounds)?);
        remove(&dir, lines)
    })?;
    let churned = source.corpus(&scale.churned)?;
    let of = format!("{} edits of {} documents", scale.churn.edits, churned.len());
    let folder = dir.join("churn");
    for quarter in 1..=churn::QUARTERS {
        stages.stage(&format!("churn-{quarter}"), &of, || {
            churn::quarter(&folder, &churned, &scale.churn, quarter)
        })?;
    }
    let of_quarter = |quarter| stages.found(&churn::resident_name(quarter));
    let resident = of_quarter(1).zip(of_quarter(churn::QUARTERS));
    stages.stage("churn", &of, || {
        let lines = churn::compare(&folder, &churned, &scale.churn, resident)?;
        remove(&folder, lines)
    })
}

/// A steady stream of edits, many namespaces, two partitions.
fn crowds(stages: &mut Stages, scale: &Scale, source: &Source, dir: &Path) -> Result<()> {
    let corpus = source.corpus(&scale.edited)?;
    let of = format!("{} documents in {} namespaces", corpus.len(), corpus.namespaces());
    stages.stage("sustained", &of, || {
        let dir = fresh(dir, "sustained")?;
        let lines = sustained::sustained(&dir, &corpus, &scale.sustained)?;
        remove(&dir, lines)
    })?;
    let effort = scale.namespaces;
    let of = format!("{} and {} documents", effort.queried, effort.others);
    stages.stage("namespaces", &of, || {
        let dir = fresh(dir, "namespaces")?;
        let lines = lines::namespaces::namespaces(&dir, &effort)?;
        remove(&dir, lines)
    })?;
    let built = source.corpus(&scale.built)?;
    let of = format!("{} documents in {} namespaces", built.len(), built.namespaces());
    stages.stage("partitions", &of, || {
        let dir = fresh(dir, "partitions")?;
        let lines = partitions::two(&dir, &built, scale.effort.rounds, scale.effort.seed)?;
        remove(&dir, lines)
    })
}

/// An empty folder for a stage.
fn fresh(dir: &Path, name: &str) -> Result<PathBuf> {
    let dir = dir.join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("empty {}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    Ok(dir)
}

/// A stage leaves only its lines.
fn remove<T>(dir: &Path, lines: T) -> Result<T> {
    std::fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
    Ok(lines)
}
