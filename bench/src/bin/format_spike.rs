//! Measures the row formats of one partition on real text and prints the tables of
//! `docs/adr/2026-11-22-formats.md`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;
use nautilus_bench::corpus::{self, Document};
use nautilus_bench::edits::{self, Kind, OldSide};
use nautilus_bench::measure::{CpuWatch, Random, Samples, Watch, cpu_seconds};
use nautilus_bench::phrases::{self, Check};
use nautilus_bench::store::{Store, place};
use nautilus_bench::tokens::Tokens;

/// Bytes, edits, phrases and load rate of the row formats, on the documents given.
#[derive(Debug, Parser)]
struct Args {
    /// Files, folders or `.jsonl` collections.
    #[arg(long, num_args = 1.., required = true)]
    docs: Vec<PathBuf>,
    /// Documents drawn from them.
    #[arg(long, default_value_t = 20_000)]
    limit: usize,
    /// Bodies are cut here (bytes).
    #[arg(long, default_value_t = 256 << 10)]
    body_bytes_max: usize,
    /// Namespaces the documents are dealt to.
    #[arg(long, default_value_t = 1)]
    namespaces: u32,
    /// Edits of each kind; 0 leaves them out.
    #[arg(long, default_value_t = 2_000)]
    edits: usize,
    /// Phrases in each class of survivors; the two largest classes get a tenth. 0 leaves them out.
    #[arg(long, default_value_t = 200)]
    phrases: usize,
    /// Loads of each variant; the first is kept for the other measurements.
    #[arg(long, default_value_t = 2)]
    loads: usize,
    /// Block cache of the hot phrase run (MiB).
    #[arg(long, default_value_t = 4_096)]
    hot_cache_mib: usize,
    /// Block cache of the other measurements (MiB).
    #[arg(long, default_value_t = 32)]
    cache_mib: usize,
    /// Memtable (MiB).
    #[arg(long, default_value_t = 8)]
    write_buffer_mib: usize,
    /// Seed of every choice.
    #[arg(long, default_value_t = 22)]
    seed: u64,
    /// Where databases are made and removed; default: the system's temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let watch = Watch::start();
    let documents = corpus::read(&args.docs, args.limit, args.body_bytes_max, args.seed)?;
    ensure!(!documents.is_empty(), "no documents");
    println!(
        "seed {}, {} namespaces, read in {:.0} s",
        args.seed,
        args.namespaces,
        watch.seconds()
    );
    describe(&documents);
    let dir = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    println!(
        "\nload\n| variant | docs/s foreground | M posting rows/s | M posting rows/CPU-s of the write call alone | docs/s settled | docs/CPU-s | disk B/raw text B |\n|---|---|---|---|---|---|---|"
    );
    let names = [("text", false), ("forward", true)];
    for round in (0..args.loads.max(1)).rev() {
        for (name, forward) in names {
            let at = dir.path().join(format!("{name}-{round}"));
            load(&args, &documents, name, forward, &at)?;
            if round > 0 {
                std::fs::remove_dir_all(&at)?;
            }
        }
    }
    let [text, forward] = names.map(|(name, _)| dir.path().join(format!("{name}-0")));
    sizes(&args, &documents, dir.path(), [("text", &text), ("forward", &forward)])?;
    if args.phrases > 0 {
        measure_phrases(&args, &documents, &text, &forward)?;
    }
    if args.edits > 0 {
        measure_edits(&args, &documents, &text, &forward)?;
    }
    Ok(())
}

fn describe(documents: &[Document]) {
    let (mut words, mut distinct) = (Samples::default(), Samples::default());
    let watch = Watch::start();
    for document in documents {
        let tokens = Tokens::of(document);
        words.push(f64::from(tokens.lengths.iter().sum::<u32>()));
        distinct.push(tokens.list.len() as f64);
    }
    let seconds = watch.seconds();
    let bytes: usize = documents.iter().map(|d| d.body.len()).sum();
    let ascii = documents.iter().filter(|d| d.body.is_ascii()).count();
    println!(
        "{} documents, {:.1} MB of text, {:.0} words (p50 {:.0}, p99 {:.0}) and {:.0} postings each; {ascii} all ASCII",
        documents.len(),
        bytes as f64 / 1e6,
        words.mean(),
        words.percentile(50),
        words.percentile(99),
        distinct.mean(),
    );
    println!(
        "analysis with positions: {:.1} MB/s, {:.0} docs/s",
        bytes as f64 / 1e6 / seconds,
        documents.len() as f64 / seconds
    );
}

fn load(args: &Args, documents: &[Document], name: &str, forward: bool, at: &Path) -> Result<()> {
    let mut store = Store::open(at, args.cache_mib << 20, args.write_buffer_mib << 20)?;
    let (watch, cpu) = (Watch::start(), cpu_seconds());
    let mut postings = 0;
    for (index, document) in documents.iter().enumerate() {
        let (ns, ordinal) = place(index, args.namespaces)?;
        postings += store.insert(ns, ordinal, document, forward)?.postings;
    }
    let foreground = watch.seconds();
    store.settle()?;
    let (settled, cpu) = (watch.seconds(), cpu_seconds() - cpu);
    let count = documents.len() as f64;
    let bytes: usize = documents.iter().map(|d| d.body.len()).sum();
    println!(
        "| {name} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {:.2} |",
        count / foreground,
        postings as f64 / foreground / 1e6,
        postings as f64 / store.write_cpu_micros,
        count / settled,
        count / cpu,
        store.bytes_to_disk() as f64 / bytes as f64
    );
    store.compact_fully();
    Ok(())
}

fn sizes(
    args: &Args,
    documents: &[Document],
    scratch: &Path,
    stores: [(&str, &PathBuf); 2],
) -> Result<()> {
    for (name, at) in stores {
        let store = Store::open(at, args.cache_mib << 20, args.write_buffer_mib << 20)?;
        let parts = store.sizes(scratch)?;
        let count = documents.len() as f64;
        let postings = parts.first().map_or(1.0, |p| p.1 as f64);
        let text: usize = documents.iter().map(|d| d.body.len()).sum();
        println!(
            "\nbytes, {name}\n| part | rows/doc | raw B/doc | B/doc | raw B/posting | B/posting | B/text B |\n|---|---|---|---|---|---|---|"
        );
        let total = parts.iter().fold((0, 0, 0), |t, p| (t.0 + p.1, t.1 + p.2, t.2 + p.3));
        for (part, rows, raw, packed) in
            parts.into_iter().chain([("sum", total.0, total.1, total.2)]).filter(|p| p.1 > 0)
        {
            let (rows, raw, packed) = (rows as f64, raw as f64, packed as f64);
            println!(
                "| {part} | {:.2} | {:.0} | {:.0} | {:.3} | {:.3} | {:.3} |",
                rows / count,
                raw / count,
                packed / count,
                raw / postings,
                packed / postings,
                packed / text as f64
            );
        }
        println!("live table files: {:.1} MB", store.table_bytes()? as f64 / 1e6);
    }
    Ok(())
}

/// Classes of phrases by survivors: lower bounds.
const CLASSES: [usize; 6] = [1, 2, 10, 100, 1_000, 10_000];

fn choose(args: &Args, documents: &[Document], store: &Store) -> Result<Vec<(usize, [String; 2])>> {
    let mut random = Random::new(args.seed ^ 1);
    let mut frequency: HashMap<String, usize> = HashMap::new();
    for document in documents.iter().step_by(args.namespaces as usize) {
        for token in Tokens::analyse([&document.body, "", ""], false).list {
            *frequency.entry(token.text).or_default() += 1;
        }
    }
    let mut common: Vec<_> = frequency.into_iter().map(|(word, count)| (count, word)).collect();
    common.sort_by(|a, b| b.cmp(a));
    common.truncate(60);
    let mut chosen: Vec<Vec<[String; 2]>> = vec![Vec::new(); CLASSES.len()];
    for round in 0..args.phrases * 100 {
        // Every second pair is two of the commonest words, wherever they stand: mostly not a phrase.
        let pair = if round % 2 == 0 {
            neighbours(documents, args.namespaces as usize, &mut random)
        } else {
            let mut word = || common[random.below(common.len())].1.clone();
            Some([word(), word()])
        };
        let Some(pair) = pair.filter(|p| p[0] != p[1]) else {
            continue;
        };
        let survivors = phrases::conjunction(store, 0, &pair)?.len();
        let class = CLASSES.partition_point(|c| *c <= survivors);
        let Some(class) = class.checked_sub(1) else {
            continue;
        };
        let cap = if class >= 4 { args.phrases.div_ceil(10) } else { args.phrases };
        if chosen[class].len() < cap && !chosen[class].contains(&pair) {
            chosen[class].push(pair);
        }
        if round > args.phrases * 20 && chosen.iter().all(|c| c.len() * 10 >= args.phrases) {
            break;
        }
    }
    let tagged =
        |(class, list): (usize, Vec<[String; 2]>)| list.into_iter().map(move |p| (class, p));
    Ok(chosen.into_iter().enumerate().flat_map(tagged).collect())
}

fn neighbours(documents: &[Document], step: usize, random: &mut Random) -> Option<[String; 2]> {
    let index = random.below(documents.len()) / step * step;
    let body = &documents.get(index)?.body;
    let from = edits::random_word(body, random)?.start;
    let to = body.floor_char_boundary(from + 200);
    let mut words = nautilus_analysis::Analyzer::new().tokens(&body[from..to]).into_iter();
    Some([words.next()?.text, words.next()?.text])
}

fn measure_phrases(args: &Args, documents: &[Document], text: &Path, forward: &Path) -> Result<()> {
    let chosen = choose(
        args,
        documents,
        &Store::open(text, args.hot_cache_mib << 20, args.write_buffer_mib << 20)?,
    )?;
    let words: Vec<[String; 2]> = chosen.iter().map(|c| c.1.clone()).collect();
    let truth = phrases::brute_force(documents, args.namespaces as usize, &words);
    let checks = [
        (Check::Forward, forward),
        (Check::Derive, text),
        (Check::TokenScan, text),
        (Check::ByteScan, text),
    ];
    for (label, cache, warm) in
        [("hot", args.hot_cache_mib, true), ("small block cache", args.cache_mib, false)]
    {
        println!(
            "\nphrases, {label} ({cache} MiB)\n| survivors ≥ | queries | survivors | hits | conjunction CPU µs p50 | check | query CPU µs p50 (p99) | CPU µs/survivor | 500 ms holds |\n|---|---|---|---|---|---|---|---|---|"
        );
        for (check, at) in checks {
            let store = Store::open(at, cache << 20, args.write_buffer_mib << 20)?;
            for (class, least) in CLASSES.into_iter().enumerate() {
                let mut row = PhraseRow::default();
                for (index, (_, pair)) in chosen.iter().enumerate().filter(|c| c.1.0 == class) {
                    if warm {
                        answer(&store, pair, check)?;
                    }
                    let (hits, survivors, conjunction, whole) = answer(&store, pair, check)?;
                    ensure!(
                        hits == truth[index],
                        "{check:?} {pair:?}: {hits:?}, not {:?}",
                        truth[index]
                    );
                    row.hits.push(hits.0 as f64);
                    row.survivors.push(survivors as f64);
                    row.conjunction.push(conjunction);
                    row.whole.push(whole);
                }
                row.print(least, check);
            }
        }
    }
    println!("hit counts equal for all checks and to brute force: {} phrases", chosen.len());
    Ok(())
}

#[derive(Default)]
struct PhraseRow {
    hits: Samples,
    survivors: Samples,
    conjunction: Samples,
    whole: Samples,
}

impl PhraseRow {
    fn print(&self, least: usize, check: Check) {
        let each = (self.whole.sum() - self.conjunction.sum()) / self.survivors.sum().max(1.0);
        println!(
            "| {least} | {} | {:.0} | {:.1} | {:.0} | {check:?} | {:.0} ({:.0}) | {each:.2} | {:.0} |",
            self.whole.count(),
            self.survivors.mean(),
            self.hits.mean(),
            self.conjunction.percentile(50),
            self.whole.percentile(50),
            self.whole.percentile(99),
            500_000.0 / each.max(0.001),
        );
    }
}

/// Hits and occurrences, survivors, CPU microseconds of the conjunction and of the whole query.
fn answer(
    store: &Store,
    pair: &[String; 2],
    check: Check,
) -> Result<((usize, usize), usize, f64, f64)> {
    let watch = CpuWatch::start();
    let survivors = phrases::conjunction(store, 0, pair)?;
    let conjunction = watch.micros();
    let mut hits = (0, 0);
    for survivor in &survivors {
        let count = phrases::occurrences(store, 0, *survivor, pair, check)?;
        hits = (hits.0 + usize::from(count > 0), hits.1 + count);
    }
    Ok((hits, survivors.len(), conjunction, watch.micros()))
}

fn measure_edits(args: &Args, documents: &[Document], text: &Path, forward: &Path) -> Result<()> {
    println!(
        "\nedits\n| old side | kind | edits | posting rows (changed tokens) | rows with positions in postings | rows − 1.2 × changed, max | all rows | batch B | flush + compaction B | old side CPU µs p50 | written CPU µs p50 (p99) | visible CPU µs p50 (p99) | written wall µs p50 (p99) |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    for (at, sides) in
        [(forward, &[OldSide::Forward][..]), (text, &[OldSide::Text, OldSide::CommonEnds][..])]
    {
        let mut store = Store::open(at, args.cache_mib << 20, args.write_buffer_mib << 20)?;
        store.restore_statistics()?;
        let mut current = documents.to_vec();
        for side in sides {
            let mut random = Random::new(args.seed ^ 2);
            for kind in [Kind::Replace, Kind::InsertAtStart, Kind::DeleteParagraph] {
                let how = (kind, *side, args.edits);
                let r = edits::run(&mut store, &mut current, args.namespaces, how, &mut random)?;
                println!(
                    "| {side:?} | {kind:?} | {} | {:.2} ({:.2}) | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} ({:.0}) | {:.0} ({:.0}) | {:.0} ({:.0}) |",
                    r.changed.count(),
                    r.postings.mean(),
                    r.changed.mean(),
                    r.moved.mean(),
                    r.over_limit_max,
                    r.rows.mean(),
                    r.batch_bytes.mean(),
                    r.disk_bytes,
                    r.old_side.percentile(50),
                    r.written.percentile(50),
                    r.written.percentile(99),
                    r.visible.percentile(50),
                    r.visible.percentile(99),
                    r.written_wall.percentile(50),
                    r.written_wall.percentile(99),
                );
            }
        }
        let rows = store.verify_postings(&current, args.namespaces)?;
        println!("\n{rows} posting rows equal those of the edited documents\n");
    }
    Ok(())
}
