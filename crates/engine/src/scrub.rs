//! Reading every block of a checkpoint from its files, so that damage is found before a search meets it.
//!
//! A checkpoint has the partition's own files under other names. Opened apart, it shares no cache with the partition:
//! what is read comes from the files, each block with its checksum.

use std::path::Path;

use nautilus_analysis::Analyzer;
use rocksdb::DB;

use crate::digest::{Depth, Digests};
use crate::error::EngineError;
use crate::partition::Shared;
use crate::read::Searcher;
use crate::resources::Resources;

/// Of the checkpoint alone: a scan needs no more.
const BLOCK_CACHE_BYTES: usize = 8 << 20;
/// Nothing is written.
const WRITE_BUFFERS_BYTES: usize = 1 << 20;

/// Reads all of the checkpoint in `dir`, and holds its rows against each other and against its texts.
///
/// `pace` learns how many bytes were read since it was last asked, may wait, and says whether to go on; `None` where
/// it does not. Damage is an error of class `Corrupt`.
pub fn scrub(
    dir: &Path,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Digests>, EngineError> {
    let resources = Resources::new(BLOCK_CACHE_BYTES, WRITE_BUFFERS_BYTES);
    let db = DB::open_for_read_only(&resources.options(), dir, false)
        .map_err(|source| EngineError::Storage { operation: "open", source })?;
    let shared = Shared::of(db, dir, Analyzer::new(), &resources)?;
    Searcher::new(&shared).digests(Depth::Derive, pace)
}
