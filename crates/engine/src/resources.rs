//! Memory shared by all partitions of a process, and the database options that use it.

use std::sync::Arc;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, Env, Options,
    WriteBufferManager, WriteOptions,
};

use crate::columns::LengthColumns;
use crate::document_ids::DocumentIds;
use crate::postings::{self, BufferBudget};

/// One block cache and one bound on write buffers for the whole process: the number of partitions never multiplies them.
#[derive(Clone)]
pub struct Resources {
    block_cache: Cache,
    write_buffers: WriteBufferManager,
    pub(crate) buffers: Arc<BufferBudget>,
    pub(crate) lengths: Arc<LengthColumns>,
    pub(crate) document_ids: Arc<DocumentIds>,
}

/// Parts of the memory for blocks that are used for length codes and for document ids, which most searches
/// need and which take a third and a tenth there of what their blocks would.
const LENGTHS_PART: usize = 16;
const DOCUMENT_IDS_PART: usize = 32;
/// Part of the memory for writes that the database has for rows; the rest is for changes of postings.
const ROWS_PART: usize = 2;

/// Of rows that are no postings; those have buffers of their own (docs/adr/2026-11-23-posting-buffers.md).
const WRITE_BUFFER_BYTES: usize = 32 << 20;
/// Files of level 0 that a compaction begins with. A search for a word meets a third of them: lists of tokens, lists of
/// pairs and other rows stand in files of their own.
const LEVEL_0_FILES: i32 = 8;
/// One being filled, one being written.
const WRITE_BUFFERS_MAX: i32 = 3;
/// Of files above the last level: one in a hundred is read in vain. Searches of a churned partition take a third less
/// CPU, and so does looking for the id of a new document.
const FILTER_BITS_PER_KEY: f64 = 10.0;
const BLOCK_BYTES: usize = 16 << 10;
/// Long runs of keys that share a prefix: fewer restart points make blocks smaller at no scan cost.
const BLOCK_RESTART_INTERVAL: i32 = 64;
/// A partition built at once takes 8 % less CPU than with level 3, RocksDB's default, and 1 to 3 % more bytes.
const ZSTD_LEVEL: i32 = 1;
/// RocksDB's default, which for zstd means what the level says.
const ZSTD_WINDOW_BITS: i32 = -14;
const TARGET_FILE_BYTES: u64 = 64 << 20;
/// Files whose table readers stay open, per partition.
const OPEN_FILES_MAX: i32 = 512;

impl Resources {
    /// Bounds in bytes, for all partitions together.
    ///
    /// The threads that flush and compact, one each for the whole process, start here if they did not before: where
    /// the system hands a thread's priority on, they have the caller's.
    #[must_use]
    pub fn new(block_cache_bytes: usize, write_buffers_bytes: usize) -> Self {
        // Without an environment of its own a database starts them itself.
        if let Ok(mut environment) = Env::new() {
            environment.set_background_threads(1);
            environment.set_high_priority_background_threads(1);
        }
        let (lengths, ids) =
            (block_cache_bytes / LENGTHS_PART, block_cache_bytes / DOCUMENT_IDS_PART);
        let block_cache = Cache::new_lru_cache(block_cache_bytes - lengths - ids);
        // `false`: a full budget makes flushes earlier; it never stalls writers.
        let rows_bytes = write_buffers_bytes / ROWS_PART;
        let write_buffers = WriteBufferManager::new_write_buffer_manager(rows_bytes, false);
        Self {
            block_cache,
            write_buffers,
            buffers: Arc::new(BufferBudget::new(write_buffers_bytes - rows_bytes)),
            lengths: Arc::new(LengthColumns::new(lengths)),
            document_ids: Arc::new(DocumentIds::new(ids)),
        }
    }

    /// Options of one partition's database.
    pub(crate) fn options(&self) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.block_cache);
        table.set_block_size(BLOCK_BYTES);
        table.set_block_restart_interval(BLOCK_RESTART_INTERVAL);
        table.set_index_type(BlockBasedIndexType::BinarySearch);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_format_version(6);
        table.set_bloom_filter(FILTER_BITS_PER_KEY, false);

        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&table);
        // The last level has nine tenths of the rows and is asked last: what is not there is seldom asked for.
        options.set_optimize_filters_for_hits(true);
        postings::merge::configure(&mut options);
        options.set_write_buffer_manager(&self.write_buffers);
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_max_write_buffer_number(WRITE_BUFFERS_MAX);
        options.set_level_zero_file_num_compaction_trigger(LEVEL_0_FILES);
        options.set_target_file_size_base(TARGET_FILE_BYTES);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        options.set_bottommost_compression_options(ZSTD_WINDOW_BITS, ZSTD_LEVEL, 0, 0, true);
        options.set_max_background_jobs(2);
        options.set_max_open_files(OPEN_FILES_MAX);
        options.set_paranoid_checks(true);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(4 << 20);
        options.set_bytes_per_sync(1 << 20);
        options
    }

    /// Every write goes without RocksDB's own log: the mutation log is replayed from the durable offset.
    pub(crate) fn write_options() -> WriteOptions {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        options
    }
}
