//! The two oldest forms of an inverted index in one RocksDB, beside ours: a row for each posting, and a plain list of
//! 8-byte ids a token. And the machine's floor: what a scan of such rows and a copy of memory cost.

use std::path::Path;

use anyhow::{Context, Result};
use rocksdb::{BlockBasedOptions, DB, DBCompressionType, Options, SstFileWriter};

use super::data::{Corpus, Id, Word};
use super::report::{Line, Target};
use crate::measure::{CpuWatch, Samples};

/// One posting: namespace and word make the list, the frequency is capped at a byte.
struct Posting {
    namespace: u32,
    word: Word,
    id: Id,
    frequency: u8,
}

/// Bytes of the files of the two forms.
pub(crate) struct Sizes {
    pub(crate) exploded: f64,
    pub(crate) lists: f64,
    pub(crate) postings: f64,
}

fn options() -> Options {
    let mut table = BlockBasedOptions::default();
    // As our partition's tables are.
    table.set_block_size(16 << 10);
    table.set_block_restart_interval(64);
    table.set_format_version(6);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Zstd);
    options
}

/// Writes all postings in both forms; words are numbered in the order of their texts, as keys are.
pub(crate) fn write(dir: &Path, corpus: &Corpus) -> Result<Sizes> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let mut by_text: Vec<Word> = (0..).take(corpus.words.len()).collect();
    by_text.sort_unstable_by_key(|&word| &corpus.words[word as usize]);
    let mut place = vec![0; by_text.len()];
    for (at, &word) in (0..).zip(&by_text) {
        place[word as usize] = at;
    }
    let mut postings = Vec::new();
    // Ordinals within a namespace, in the order of arrival.
    let mut ordinals = vec![0; corpus.namespaces() as usize];
    for id in 0..corpus.len() {
        let namespace = corpus.owner(id);
        let ordinal = ordinals[namespace as usize];
        ordinals[namespace as usize] += 1;
        let mut words: Vec<Word> =
            corpus.document(id).iter().map(|&word| place[word as usize]).collect();
        words.sort_unstable();
        for same in words.chunk_by(|a, b| a == b) {
            let frequency = u8::try_from(same.len()).unwrap_or(u8::MAX);
            postings.push(Posting { namespace, word: same[0], id: ordinal, frequency });
        }
    }
    postings.sort_unstable_by_key(|p| (p.namespace, p.word, p.id));
    let key = |posting: &Posting| {
        let mut key = posting.namespace.to_be_bytes().to_vec();
        let text = &corpus.words[by_text[posting.word as usize] as usize];
        key.extend_from_slice(text.as_bytes());
        key.push(0);
        key
    };
    let options = options();
    let (exploded, lists) = (dir.join("exploded.sst"), dir.join("lists.sst"));
    let mut file = SstFileWriter::create(&options);
    file.open(&exploded)?;
    for posting in &postings {
        let mut key = key(posting);
        key.extend_from_slice(&posting.id.to_be_bytes());
        file.put(key, [posting.frequency])?;
    }
    file.finish()?;
    let mut file = SstFileWriter::create(&options);
    file.open(&lists)?;
    for list in postings.chunk_by(|a, b| (a.namespace, a.word) == (b.namespace, b.word)) {
        let mut value = Vec::with_capacity(list.len() * 9);
        for posting in list {
            value.extend_from_slice(&u64::from(posting.id).to_be_bytes());
            value.push(posting.frequency);
        }
        file.put(key(&list[0]), value)?;
    }
    file.finish()?;
    Ok(Sizes {
        exploded: std::fs::metadata(&exploded)?.len() as f64,
        lists: std::fs::metadata(&lists)?.len() as f64,
        postings: postings.len() as f64,
    })
}

/// Bytes that are copied: more than the last cache holds.
const COPIED: usize = 256 << 20;

/// What no engine on this machine can be faster than: a scan of RocksDB's rows, and a copy of memory.
pub(crate) fn floor(dir: &Path, corpus: &Corpus, rounds: usize) -> Result<Vec<Line>> {
    write(dir, corpus)?;
    let db = DB::open(&options(), dir.join("db"))?;
    db.ingest_external_file(vec![dir.join("exploded.sst")])?;
    let source = vec![7_u8; COPIED];
    let mut target = vec![0_u8; COPIED];
    let (mut scan, mut copy) = (Samples::default(), Samples::default());
    // The first scan fills the cache.
    for round in 0..=rounds {
        let watch = CpuWatch::start();
        let mut rows = db.raw_iterator();
        rows.seek_to_first();
        let (mut count, mut bytes) = (0_u64, 0);
        while let Some((key, value)) = rows.item() {
            count += 1;
            bytes += key.len() + value.len();
            rows.next();
        }
        rows.status()?;
        std::hint::black_box(bytes);
        if round > 0 {
            scan.push(watch.micros() * 1e3 / count.max(1) as f64);
        }
        let watch = CpuWatch::start();
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&mut target);
        if round > 0 {
            copy.push(COPIED as f64 / watch.micros() / 1e3);
        }
    }
    Ok(vec![
        Line::alone("floor/rocksdb-scan", "CPU ns a row", &scan, Target::None),
        Line::alone("floor/memory-copy", "GB/CPU-s", &copy, Target::None),
    ])
}
