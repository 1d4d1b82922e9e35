//! Measures searches of one partition on real files and real queries: the figures of
//! `docs/adr/2026-11-22-execution.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use nautilus_analysis::Analyzer;
use nautilus_bench::corpus;
use nautilus_bench::measure::{CpuWatch, Samples, Watch, cpu_seconds};
use nautilus_engine::{
    Attributes, Budget, Mutation, Operation, Partition, PartitionIdentity, Resources, ScopeEntry,
    SearchOutcome, SearchRequest, Unlimited, Upsert, Writer,
};
use nautilus_query::{MatchMode, Node, QueryLimits, parse};
use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId};

/// Loads files into one partition, searches it, and prints times by class of query.
#[derive(Debug, Parser)]
struct Args {
    /// The partition's folder: opened as it is if it is there, else made from `--docs`.
    #[arg(long)]
    dir: PathBuf,
    /// Folders of files; all of them go into one namespace.
    #[arg(long, num_args = 0..)]
    docs: Vec<PathBuf>,
    /// Files loaded at most.
    #[arg(long, default_value_t = usize::MAX)]
    limit: usize,
    /// Bodies are cut here (bytes).
    #[arg(long, default_value_t = 256 << 10)]
    body_bytes_max: usize,
    /// A file of lines `{"query": …, "tags": [class, …]}`.
    #[arg(long)]
    queries: Option<PathBuf>,
    /// Queries asked: the first ones that find something.
    #[arg(long, default_value_t = 500)]
    queries_max: usize,
    /// More queries, as text; each is a class of its own.
    #[arg(long, num_args = 0..)]
    query: Vec<String>,
    /// Times each query is asked, in rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Candidates asked for.
    #[arg(long, default_value_t = 200)]
    candidates: usize,
    /// Block cache (MiB).
    #[arg(long, default_value_t = 512)]
    cache_mib: usize,
    /// Write buffers (MiB).
    #[arg(long, default_value_t = 256)]
    write_buffers_mib: usize,
    /// Milliseconds a search may take in the overshoot measurement; none: left out.
    #[arg(long, num_args = 0..)]
    budget_ms: Vec<f64>,
    /// Measure by the clock and not by the searching thread's CPU time, which other processes do not disturb.
    #[arg(long)]
    wall: bool,
    /// Print every query whose median is above this (ms).
    #[arg(long)]
    above_ms: Option<f64>,
    /// Rewrite all files of the partition before the searches.
    #[arg(long)]
    compact: bool,
}

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"bench-of-search.",
    log_generation: LogGeneration(1),
    partition: PartitionId(0),
};

/// What searches are timed by.
enum Clock {
    Wall(Watch),
    Cpu(CpuWatch),
}

impl Clock {
    fn start(wall: bool) -> Self {
        if wall { Self::Wall(Watch::start()) } else { Self::Cpu(CpuWatch::start()) }
    }

    fn ms(&self) -> f64 {
        match self {
            Self::Wall(watch) => watch.micros() / 1e3,
            Self::Cpu(watch) => watch.micros() / 1e3,
        }
    }
}

/// A query that finds something.
struct Query {
    text: String,
    class: String,
    all: Node,
    /// Asked where all words find nothing.
    any: Option<Node>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let resources = Resources::new(args.cache_mib << 20, args.write_buffers_mib << 20);
    let watch = Watch::start();
    let (partition, mut writer) =
        Partition::open(&args.dir, &IDENTITY, &resources, |_| Attributes::default())
            .context("open the partition")?;
    println!("opened in {:.1} s", watch.seconds());
    if writer.next_offset() == Offset(0) {
        load(&args, &mut writer)?;
    }
    if args.compact {
        let (watch, cpu) = (Watch::start(), cpu_seconds());
        partition.compact()?;
        println!("compacted in {:.1} s, {:.1} CPU-s", watch.seconds(), cpu_seconds() - cpu);
    }
    let statistics = partition.statistics()?;
    println!("{} documents, {} bytes on disk", statistics.documents, statistics.disk_bytes);
    for (name, bytes) in &statistics.row_bytes {
        println!("  {name}: {bytes}");
    }
    let scope = [scope()?];
    let mut queries = read_queries(&args, &partition, &scope)?;
    for text in &args.query {
        let query = understand(text, text).with_context(|| format!("not a query: {text}"))?;
        queries.push(query);
    }
    measure(&args, &partition, &scope, &queries)?;
    for &budget_ms in &args.budget_ms {
        overshoot(&args, &partition, &scope, budget_ms)?;
    }
    Ok(())
}

fn scope() -> Result<ScopeEntry> {
    Ok(ScopeEntry { namespace: NamespaceName::new("bench")?, incarnation: Incarnation(1) })
}

fn load(args: &Args, writer: &mut Writer) -> Result<()> {
    let mut files = Vec::new();
    for root in &args.docs {
        for file in corpus::files(root)? {
            files.push((root.as_path(), file));
        }
    }
    ensure!(!files.is_empty(), "no files to load");
    let entry = scope()?;
    let (watch, cpu) = (Watch::start(), cpu_seconds());
    let (mut documents, mut bytes) = (0_u64, 0);
    for (root, file) in files.into_iter().take(args.limit) {
        let upsert = document(root, &file, args.body_bytes_max)?;
        bytes += upsert.body.len();
        let mutation = Mutation {
            namespace: entry.namespace.clone(),
            incarnation: entry.incarnation,
            operation: Operation::Upsert(upsert),
        };
        writer.apply(Offset(documents), &mutation)?;
        documents += 1;
    }
    let foreground = watch.seconds();
    writer.flush()?;
    let cpu = cpu_seconds() - cpu;
    println!(
        "loaded {documents} documents, {:.1} MB of text: {foreground:.1} s, with flush {:.1} s, {cpu:.1} CPU-s, {:.0} docs/CPU-s",
        bytes as f64 / 1e6,
        watch.seconds(),
        documents as f64 / cpu,
    );
    Ok(())
}

fn document(root: &Path, file: &Path, body_bytes_max: usize) -> Result<Upsert> {
    let path = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
    let title = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let body = corpus::body_of(file, body_bytes_max)?;
    Ok(Upsert {
        document_id: DocumentId::new(path.as_str())?,
        version: None,
        condition: None,
        content_hash: [0; 16],
        title,
        path,
        body,
        metadata: Vec::new(),
        attributes: Attributes::default(),
    })
}

fn understand(text: &str, class: &str) -> Option<Query> {
    let analyzer = Analyzer::new();
    let read = |mode| parse(text, mode, &QueryLimits::default(), &analyzer).ok();
    let all = read(MatchMode::All)?;
    let any = read(MatchMode::Any).filter(|any| *any != all);
    Some(Query { text: text.to_owned(), class: class.to_owned(), all, any })
}

fn read_queries(args: &Args, partition: &Partition, scope: &[ScopeEntry]) -> Result<Vec<Query>> {
    let Some(path) = &args.queries else { return Ok(Vec::new()) };
    let lines = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut queries = Vec::new();
    for line in lines.lines() {
        if queries.len() >= args.queries_max {
            break;
        }
        let value: serde_json::Value = serde_json::from_str(line)?;
        let text = value["query"].as_str().context("a query")?;
        let class = value["tags"][0].as_str().unwrap_or("untagged");
        let Some(query) = understand(text, class) else { continue };
        if ask(partition, scope, &query, args.candidates, &mut Unlimited)?.total_hits > 0 {
            queries.push(query);
        }
    }
    Ok(queries)
}

/// All words, and where that finds nothing, any: what the merger does.
fn ask(
    partition: &Partition,
    scope: &[ScopeEntry],
    query: &Query,
    limit: usize,
    budget: &mut dyn Budget,
) -> Result<SearchOutcome> {
    let outcome =
        partition.searcher().search(&SearchRequest::new(scope, &query.all, limit), budget)?;
    match &query.any {
        Some(any) if outcome.total_hits == 0 && !outcome.truncated => {
            Ok(partition.searcher().search(&SearchRequest::new(scope, any, limit), budget)?)
        }
        Some(_) | None => Ok(outcome),
    }
}

fn measure(
    args: &Args,
    partition: &Partition,
    scope: &[ScopeEntry],
    queries: &[Query],
) -> Result<()> {
    // Per query, its time in each round; per round, all times.
    let mut times = vec![Vec::new(); queries.len()];
    let mut rows = vec![0; queries.len()];
    let mut hits = vec![0; queries.len()];
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        let mut round = Samples::default();
        for (index, query) in queries.iter().enumerate() {
            let clock = Clock::start(args.wall);
            let outcome = ask(partition, scope, query, args.candidates, &mut Unlimited)?;
            let ms = clock.ms();
            times[index].push(ms);
            rows[index] = outcome.rows_scanned;
            hits[index] = outcome.total_hits;
            round.push(ms);
        }
        rounds.push(round);
    }
    println!(
        "\n| class | queries | p50 ms | p90 | p99 | max | mean | rows p50 | rows max | hits p50 |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, query) in queries.iter().enumerate() {
        classes.entry(&query.class).or_default().push(index);
    }
    let of_files: Vec<usize> =
        (0..queries.len()).filter(|index| !args.query.contains(&queries[*index].text)).collect();
    classes.insert("ALL", of_files);
    for (class, members) in classes {
        let (mut ms, mut read, mut found) =
            (Samples::default(), Samples::default(), Samples::default());
        for &index in &members {
            ms.push(median(&times[index]));
            read.push(rows[index] as f64);
            found.push(hits[index] as f64);
        }
        println!(
            "| {class} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} |",
            members.len(),
            ms.percentile(50),
            ms.percentile(90),
            ms.percentile(99),
            ms.percentile(100),
            ms.mean(),
            read.percentile(50),
            read.percentile(100),
            found.percentile(50),
        );
    }
    let of_rounds = |percent| -> Vec<String> {
        rounds.iter().map(|round| format!("{:.2}", round.percentile(percent))).collect()
    };
    println!("rounds, ms: p50 {}; p99 {}", of_rounds(50).join(" "), of_rounds(99).join(" "));
    if let Some(above) = args.above_ms {
        for (index, query) in queries.iter().enumerate() {
            let ms = median(&times[index]);
            if ms > above {
                println!("{ms:.1} ms, {} rows, {} hits: {}", rows[index], hits[index], query.text);
            }
        }
    }
    Ok(())
}

fn median(times: &[f64]) -> f64 {
    let mut samples = Samples::default();
    times.iter().for_each(|&time| samples.push(time));
    samples.percentile(50)
}

/// By how much searches made to run out of time run over it.
fn overshoot(
    args: &Args,
    partition: &Partition,
    scope: &[ScopeEntry],
    budget_ms: f64,
) -> Result<()> {
    let words: Vec<String> = (0..1_000).map(|n| format!("{n}")).collect();
    let mut deep = "the".to_owned();
    for level in 0..14 {
        deep = format!("(a{level} OR ({deep} AND of))");
    }
    let texts = [
        ("1,000 terms", words.join(" OR ")),
        ("a*", "a*".to_owned()),
        ("deepest", deep),
        ("phrase", "\"struct device\"".to_owned()),
        ("two prefixes", "s* t*".to_owned()),
    ];
    println!(
        "\n| budget {budget_ms} ms | truncated | over p50 ms | p99 | max |\n|---|---|---|---|---|"
    );
    for (name, text) in texts {
        let Ok(node) = parse(&text, MatchMode::All, &QueryLimits::HARD, &Analyzer::new()) else {
            println!("| {name} | refused | | | |");
            continue;
        };
        let (mut over, mut truncated) = (Samples::default(), 0);
        for _ in 0..100 {
            let clock = Clock::start(args.wall);
            let mut budget = || clock.ms() > budget_ms;
            let outcome = partition
                .searcher()
                .search(&SearchRequest::new(scope, &node, args.candidates), &mut budget)?;
            truncated += usize::from(outcome.truncated);
            over.push((clock.ms() - budget_ms).max(0.0));
        }
        println!(
            "| {name} | {truncated} | {:.2} | {:.2} | {:.2} |",
            over.percentile(50),
            over.percentile(99),
            over.percentile(100)
        );
    }
    Ok(())
}
