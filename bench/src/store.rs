//! One partition in RocksDB, written as the engine writes it: one batch a mutation, no WAL.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, CompactOptions, DB, DBCompressionType,
    DBRawIterator, IteratorMode, Options, ReadOptions, SstFileWriter, WaitForCompactOptions,
    WriteBatch, WriteOptions, statistics::Ticker,
};

use crate::corpus::Document;
use crate::format::{
    NORM_CHUNK, PARTS, forward_row, header_row, norm, posting_prefix, put_frequencies, put_varint,
    row_key, take_varint,
};
use crate::measure::CpuWatch;
use crate::tokens::{Change, Frequencies, Tokens, diff};

/// What one mutation wrote.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    /// Posting rows put or deleted.
    pub postings: usize,
    /// All rows.
    pub rows: usize,
    /// Bytes of the write batch.
    pub bytes: usize,
}

/// A document version to write, with what its writer knows about it.
pub struct Version<'a> {
    /// Namespace number.
    pub ns: u32,
    /// The document's number in its namespace.
    pub ordinal: u32,
    /// What to store.
    pub document: &'a Document,
    /// Words per field.
    pub lengths: Frequencies,
    /// Words per field of the version replaced, `None` for a new document.
    pub old_lengths: Option<Frequencies>,
    /// Forward row, where the variant keeps one.
    pub forward: Option<Vec<u8>>,
}

/// An open partition and its single writer's memory.
pub struct Store {
    /// The database.
    pub db: DB,
    options: Options,
    statistics: HashMap<u32, (u64, u64)>,
    norm_chunk: (Vec<u8>, Vec<u8>),
    offset: u64,
    /// CPU microseconds spent in RocksDB's write call.
    pub write_cpu_micros: f64,
}

fn options(cache: &Cache, write_buffer_bytes: usize) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(16 << 10);
    table.set_block_restart_interval(64);
    table.set_block_cache(cache);
    let mut o = Options::default();
    o.create_if_missing(true);
    o.set_block_based_table_factory(&table);
    o.set_write_buffer_size(write_buffer_bytes);
    o.set_max_write_buffer_number(4);
    o.set_compression_type(DBCompressionType::Lz4);
    o.set_bottommost_compression_type(DBCompressionType::Zstd);
    o.set_max_background_jobs(2);
    o.enable_statistics();
    o
}

impl Store {
    /// Opens or creates the partition in `dir` with a block cache and memtables of these sizes in bytes.
    ///
    /// # Errors
    /// When RocksDB does not open.
    pub fn open(dir: &Path, cache_bytes: usize, write_buffer_bytes: usize) -> Result<Self> {
        let options = options(&Cache::new_lru_cache(cache_bytes), write_buffer_bytes);
        let db = DB::open(&options, dir).context("open RocksDB")?;
        let norm_chunk = (Vec::new(), Vec::new());
        Ok(Store {
            db,
            options,
            statistics: HashMap::new(),
            norm_chunk,
            offset: 0,
            write_cpu_micros: 0.0,
        })
    }

    /// Reads the statistics rows back into the writer's memory.
    ///
    /// # Errors
    /// When a row is damaged or reading fails.
    pub fn restore_statistics(&mut self) -> Result<()> {
        let mut found = HashMap::new();
        let mut scan = self.scan(b"S");
        while let Some((key, mut value)) = scan.item() {
            let ns = u32::from_be_bytes(*key.last_chunk().context("statistics key")?);
            let documents = take_varint(&mut value).context("statistics row")?;
            found.insert(ns, (documents, take_varint(&mut value).context("statistics row")?));
            scan.next();
        }
        scan.status().context("scan statistics")?;
        drop(scan);
        self.statistics = found;
        Ok(())
    }

    /// Writes a document that is not there yet.
    ///
    /// # Errors
    /// When the write fails.
    pub fn insert(
        &mut self,
        ns: u32,
        ordinal: u32,
        document: &Document,
        forward: bool,
    ) -> Result<Written> {
        let tokens = Tokens::analyse(crate::tokens::fields(document), forward);
        let version = Version {
            ns,
            ordinal,
            document,
            lengths: tokens.lengths,
            old_lengths: None,
            forward: forward.then(|| forward_row(&tokens)),
        };
        self.write(&version, &diff(&[], &tokens.frequencies()))
    }

    /// Writes one version and its posting changes as one batch with its offset.
    ///
    /// # Errors
    /// When a read or the write fails.
    pub fn write(&mut self, v: &Version<'_>, changes: &[Change]) -> Result<Written> {
        let mut batch = WriteBatch::default();
        let mut value = Vec::new();
        for (token, frequencies) in changes {
            let mut key = posting_prefix(v.ns, token);
            key.extend_from_slice(&v.ordinal.to_be_bytes());
            match frequencies {
                Some(f) => {
                    value.clear();
                    put_frequencies(*f, &mut value);
                    batch.put(&key, &value);
                }
                None => batch.delete(&key),
            }
        }
        if let Some(forward) = &v.forward {
            batch.put(row_key(b'F', v.ns, v.ordinal), forward);
        }
        batch.put(row_key(b'H', v.ns, v.ordinal), header_row(v.document, self.offset, v.lengths));
        batch.put(row_key(b'B', v.ns, v.ordinal), &v.document.body);
        if v.old_lengths.is_none() {
            let mut key = vec![b'I'];
            key.extend_from_slice(&v.ns.to_be_bytes());
            key.extend_from_slice(v.document.id.as_bytes());
            value.clear();
            put_varint(v.ordinal.into(), &mut value);
            batch.put(&key, &value);
        }
        let (new, old) = (total(v.lengths), v.old_lengths.map(total));
        if old.map(norm) != Some(norm(new)) {
            self.put_norm(v.ns, v.ordinal, norm(new), &mut batch)?;
        }
        if old != Some(new) {
            let entry = self.statistics.entry(v.ns).or_default();
            entry.0 += u64::from(old.is_none());
            entry.1 = entry.1 + u64::from(new) - u64::from(old.unwrap_or(0));
            value.clear();
            put_varint(entry.0, &mut value);
            put_varint(entry.1, &mut value);
            let mut key = vec![b'S'];
            key.extend_from_slice(&v.ns.to_be_bytes());
            batch.put(&key, &value);
        }
        self.offset += 1;
        batch.put(b"O", self.offset.to_be_bytes());
        let written =
            Written { postings: changes.len(), rows: batch.len(), bytes: batch.size_in_bytes() };
        let mut how = WriteOptions::default();
        how.disable_wal(true);
        let watch = CpuWatch::start();
        self.db.write_opt(batch, &how).context("write batch")?;
        self.write_cpu_micros += watch.micros();
        Ok(written)
    }

    /// Read-modify-write of a norm row; the last one is kept, as consecutive inserts share it.
    fn put_norm(&mut self, ns: u32, ordinal: u32, norm: u8, batch: &mut WriteBatch) -> Result<()> {
        let key = row_key(b'N', ns, ordinal / NORM_CHUNK);
        if self.norm_chunk.0 != key {
            let row = self.db.get(&key).context("read norms")?.unwrap_or_default();
            self.norm_chunk = (key, row);
        }
        let at = usize::try_from(ordinal % NORM_CHUNK)?;
        let (key, row) = &mut self.norm_chunk;
        row.resize(row.len().max(at + 1), 0);
        row[at] = norm;
        batch.put(key, row);
        Ok(())
    }

    /// Flushes and waits until no compaction is due.
    ///
    /// # Errors
    /// When RocksDB reports a background error.
    pub fn settle(&self) -> Result<()> {
        self.db.flush().context("flush")?;
        self.db.wait_for_compact(&WaitForCompactOptions::default()).context("wait for compaction")
    }

    /// Compacts everything to the bottom level.
    pub fn compact_fully(&self) {
        let mut how = CompactOptions::default();
        how.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &how);
    }

    /// Bytes written by flushes and compactions since opening.
    pub fn bytes_to_disk(&self) -> u64 {
        self.options.get_ticker_count(Ticker::FlushWriteBytes)
            + self.options.get_ticker_count(Ticker::CompactWriteBytes)
    }

    /// Rows, raw bytes and compressed bytes of each part.
    ///
    /// Compressed is the size of a table file of that part alone, with the bottom level's options: the
    /// database's own files mix parts.
    ///
    /// # Errors
    /// When the scan or the scratch file in `dir` fails.
    pub fn sizes(&self, dir: &Path) -> Result<Vec<(&'static str, u64, u64, u64)>> {
        let mut out = Vec::new();
        for (part, name) in PARTS {
            let mut how = self.options.clone();
            how.set_compression_type(DBCompressionType::Zstd);
            let file = dir.join(format!("{name}.sst"));
            let mut writer = SstFileWriter::create(&how);
            writer.open(&file).context("open scratch table")?;
            let (mut rows, mut raw) = (0, 0);
            let mut scan = self.scan(&[part]);
            while let Some((key, value)) = scan.item() {
                rows += 1;
                raw += (key.len() + value.len()) as u64;
                writer.put(key, value).context("write scratch table")?;
                scan.next();
            }
            scan.status().context("scan part")?;
            let packed = if rows == 0 {
                0
            } else {
                writer.finish().context("finish scratch table")?;
                std::fs::metadata(&file).context("size of scratch table")?.len()
            };
            out.push((name, rows, raw, packed));
        }
        Ok(out)
    }

    /// Bytes of all live table files.
    ///
    /// # Errors
    /// When the file list cannot be read.
    pub fn table_bytes(&self) -> Result<u64> {
        Ok(self.db.live_files().context("list files")?.iter().map(|f| f.size as u64).sum())
    }

    /// An iterator bound to keys that begin with `prefix`, at the first of them.
    pub fn scan(&self, prefix: &[u8]) -> DBRawIterator<'_> {
        let mut how = ReadOptions::default();
        how.set_iterate_range(rocksdb::PrefixRange(prefix));
        let mut scan = self.db.raw_iterator_opt(how);
        scan.seek(prefix);
        scan
    }

    /// Fails unless the stored postings are exactly those of `documents` (ns = index modulo `namespaces`).
    ///
    /// # Errors
    /// On a difference, or when reading fails.
    pub fn verify_postings(&self, documents: &[Document], namespaces: u32) -> Result<u64> {
        let (mut want, mut have) = ((0u64, 0u64), (0u64, 0u64));
        for (index, document) in documents.iter().enumerate() {
            let (ns, ordinal) = place(index, namespaces)?;
            for token in Tokens::analyse(crate::tokens::fields(document), false).list {
                let mut key = posting_prefix(ns, &token.text);
                key.extend_from_slice(&ordinal.to_be_bytes());
                put_frequencies(token.frequencies, &mut key);
                add(&mut want, &key);
            }
        }
        let mut how = ReadOptions::default();
        how.set_iterate_range(rocksdb::PrefixRange(b"P"));
        for row in self.db.iterator_opt(IteratorMode::Start, how) {
            let (key, value) = row.context("scan postings")?;
            add(&mut have, &[&key[..], &value[..]].concat());
        }
        if want != have {
            bail!("postings differ: (rows, digest) stored {have:?}, expected {want:?}");
        }
        Ok(have.0)
    }
}

/// Namespace and ordinal of the corpus document `index`.
///
/// # Errors
/// When there are more documents than ordinals.
pub fn place(index: usize, namespaces: u32) -> Result<(u32, u32)> {
    let index = u32::try_from(index)?;
    Ok((index % namespaces, index / namespaces))
}

/// Words in all fields.
pub fn total(lengths: Frequencies) -> u32 {
    lengths.iter().sum()
}

/// Order-independent digest of rows: count, and the sum of their hashes.
fn add(digest: &mut (u64, u64), row: &[u8]) {
    let hash = row
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3));
    *digest = (digest.0 + 1, digest.1.wrapping_add(hash ^ (hash >> 31)));
}
