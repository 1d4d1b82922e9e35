//! By how much searches run over their time budget: queries at the limits, orders with nothing but ties, pages after
//! everything changed, a thousand namespaces, words by prefix. Times are CPU times of the one thread.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use nautilus_bench::measure::{CpuWatch, Samples};
use nautilus_engine::{
    Attributes, Budget, Cursor, Filter, Mutation, NumberRange, Operation, Partition,
    PartitionIdentity, Resources, ScopeEntry, SearchRequest, Sort, SortKey, Unlimited, Upsert,
};
use nautilus_query::{FieldSet, Node};
use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId};

/// Measures a partition that `search_engine` made, and a small one made here.
#[derive(Debug, Parser)]
struct Args {
    /// A partition made by `search_engine`.
    #[arg(long)]
    dir: PathBuf,
    /// Milliseconds of the budgets.
    #[arg(long, num_args = 1.., default_values_t = [5.0, 50.0, 500.0])]
    budget_ms: Vec<f64>,
    /// Only the kind of this name.
    #[arg(long)]
    only: Option<String>,
    /// Searches of each kind.
    #[arg(long, default_value_t = 100)]
    rounds: usize,
}

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"bench-of-search.",
    log_generation: LogGeneration(1),
    partition: PartitionId(0),
};
const NAMESPACES: u64 = 1_024;
const DOCUMENTS_PER_NAMESPACE: u64 = 40;
const LEAVES: usize = 1_000;
const CANDIDATES: usize = 200;

type Run<'a> = Box<dyn Fn(&mut dyn Budget) -> Result<bool> + 'a>;

fn main() -> Result<()> {
    let args = Args::parse();
    let resources = Resources::new(512 << 20, 256 << 20);
    let large = open(&args.dir, &resources)?;
    let folder = tempfile::tempdir()?;
    let many = small(folder.path(), &resources)?;
    let one = [entry("bench")?];
    let scope = (0..NAMESPACES).map(|n| entry(&format!("n{n}"))).collect::<Result<Vec<_>>>()?;

    let the = term("the");
    let words = Node::Or((0..LEAVES).map(|n| term(&n.to_string())).collect());
    let absent = Node::Or((0..LEAVES).map(|n| term(&format!("absent{n}"))).collect());
    let prefixes = Node::Or(
        ('a'..='z').flat_map(|a| ('a'..='z').map(move |b| prefix(&format!("{a}{b}")))).collect(),
    );
    let letter = prefix("a");
    let mut deep = the.clone();
    for level in 0..15 {
        deep = Node::Or(vec![term(&format!("a{level}")), Node::And(vec![term("of"), deep])]);
    }
    let phrase = Node::Phrase { fields: FieldSet::ALL, tokens: vec!["of".into(), "the".into()] };
    let in_all = term("every");
    let by_created = Sort { key: SortKey::Created, is_ascending: true };
    let by_size = Sort { key: SortKey::Size, is_ascending: false };
    let cursor = Cursor {
        score: 0.0,
        sort_value: None,
        document_id: DocumentId::new("m")?,
        namespace: NamespaceName::new("bench")?,
    };
    let range = NumberRange { min: Some(10), max: Some(1_000) };
    let filter = Filter { size_bytes: range, ..Filter::default() };

    let plain = |query| SearchRequest::new(&one, query, CANDIDATES);
    let everywhere = |query| SearchRequest::new(&scope, query, CANDIDATES);
    let requests = [
        ("1,000 terms", &large, plain(&words)),
        ("1,000 absent terms", &large, plain(&absent)),
        ("676 prefixes", &large, plain(&prefixes)),
        ("a*", &large, plain(&letter)),
        ("31 levels", &large, plain(&deep)),
        ("phrase", &large, plain(&phrase)),
        ("a*, all tie", &large, SearchRequest { sort: by_created, ..plain(&letter) }),
        ("the, all tie", &large, SearchRequest { sort: by_created, ..plain(&the) }),
        (
            "the, all tie, page",
            &large,
            SearchRequest { sort: by_created, after: Some(&cursor), ..plain(&the) },
        ),
        (
            "the, all changed",
            &large,
            SearchRequest { changed_before: Some(Offset(0)), ..plain(&the) },
        ),
        (
            "the, all tie and changed",
            &large,
            SearchRequest { sort: by_created, changed_before: Some(Offset(0)), ..plain(&the) },
        ),
        ("1,024 namespaces", &many, everywhere(&in_all)),
        ("1,024 namespaces, 1,000 terms", &many, everywhere(&words)),
        ("1,024 namespaces, a*", &many, everywhere(&letter)),
        (
            "1,024 namespaces, range and order",
            &many,
            SearchRequest { filter, sort: by_size, ..everywhere(&in_all) },
        ),
    ];
    let mut runs: Vec<(&str, Run<'_>)> = Vec::new();
    for (name, partition, request) in requests {
        let run = move |budget: &mut dyn Budget| {
            Ok(partition.searcher().search(&request, budget)?.truncated)
        };
        runs.push((name, Box::new(run)));
    }
    for (name, prefix) in [("words of s*", "s"), ("all words", "")] {
        let (large, one) = (&large, &one);
        let run = move |budget: &mut dyn Budget| {
            Ok(large.searcher().suggest(one, prefix, 0b111, CANDIDATES, budget)?.truncated)
        };
        runs.push((name, Box::new(run)));
    }

    println!("| search | budget ms | CPU ms without | truncated | over p50 ms | p99 | max |");
    println!("|---|---|---|---|---|---|---|");
    runs.retain(|(name, _)| args.only.as_deref().is_none_or(|only| only == *name));
    for (name, run) in &runs {
        let watch = CpuWatch::start();
        run(&mut Unlimited)?;
        let whole_ms = watch.micros() / 1e3;
        for &budget_ms in &args.budget_ms {
            let (mut over, mut truncated) = (Samples::default(), 0);
            for _ in 0..args.rounds {
                let watch = CpuWatch::start();
                let mut budget = || watch.micros() / 1e3 > budget_ms;
                truncated += usize::from(run(&mut budget)?);
                over.push((watch.micros() / 1e3 - budget_ms).max(0.0));
            }
            println!(
                "| {name} | {budget_ms} | {whole_ms:.1} | {truncated} | {:.2} | {:.2} | {:.2} |",
                over.percentile(50),
                over.percentile(99),
                over.percentile(100)
            );
            if whole_ms < budget_ms {
                break;
            }
        }
    }
    Ok(())
}

fn open(dir: &Path, resources: &Resources) -> Result<Partition> {
    let (partition, _) = Partition::open(dir, &IDENTITY, resources, |_| Attributes::default())
        .context("open the partition")?;
    Ok(partition)
}

fn entry(name: &str) -> Result<ScopeEntry> {
    Ok(ScopeEntry { namespace: NamespaceName::new(name)?, incarnation: Incarnation(1) })
}

fn term(token: &str) -> Node {
    Node::Term { fields: FieldSet::ALL, token: token.to_owned() }
}

fn prefix(prefix: &str) -> Node {
    Node::Prefix { fields: FieldSet::ALL, prefix: prefix.to_owned() }
}

/// As many namespaces as a grant may name, of few documents each.
fn small(dir: &Path, resources: &Resources) -> Result<Partition> {
    let (partition, mut writer) =
        Partition::open(dir, &IDENTITY, resources, |_| Attributes::default())?;
    for number in 0..NAMESPACES * DOCUMENTS_PER_NAMESPACE {
        let name = format!("n{}", number % NAMESPACES);
        let words: Vec<String> = (0..30).map(|n| (number * 31 % (n + 997)).to_string()).collect();
        let operation = Operation::Upsert(Upsert {
            document_id: DocumentId::new(number.to_string())?,
            version: None,
            condition: None,
            content_hash: [0; 16],
            title: String::new(),
            path: format!("a{number}/b"),
            body: format!("every {}", words.join(" ")),
            metadata: Vec::new(),
            attributes: Attributes {
                size_bytes: i64::try_from(number % 2_000).ok(),
                ..Attributes::default()
            },
        });
        let (namespace, incarnation) = (NamespaceName::new(name.as_str())?, Incarnation(1));
        writer.apply(writer.next_offset(), &Mutation { namespace, incarnation, operation })?;
    }
    writer.flush()?;
    Ok(partition)
}
