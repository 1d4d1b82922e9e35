//! Digests of everything a partition holds, and a check of its rows against each other. Defined in `docs/formats/partition.md`.
//!
//! ```text
//! namespaces ─► ids ─► headers, bodies, attributes ─► document digest
//!                 │              └─(derived again)─► postings ┐ equal?
//!                 └─► who has which ordinal ─► lists ─► posting digest
//! ```
//!
//! A digest is the sum of the hashes of what there is, so it depends neither on order nor on how it came about: not
//! on ordinals, offsets, flushes or compactions. Everything is read from the files, blocks with their checksums, and
//! past the block cache, which belongs to searches.

mod items;
mod reading;
#[cfg(test)]
mod tests;

use std::fmt;

use nautilus_types::Offset;

use crate::error::EngineError;
use crate::read::Searcher;
use reading::Reading;

/// The sum of the hashes of some items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Digest(u128);

impl Digest {
    fn add(&mut self, hash: u128) {
        self.0 = self.0.wrapping_add(hash);
    }

    /// 16 bytes, as it is stored and sent.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a partition holds at one offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Every record below it is in them.
    pub next_offset: Offset,
    /// Of namespaces, documents, and versions remembered of deleted ones.
    pub documents: Digest,
    /// Of postings; comparable within one analyzer version.
    pub postings: Digest,
    /// Which rules made the postings.
    pub analyzer_version: u32,
    /// Live documents.
    pub document_count: u64,
}

/// How much is done beside reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Rows are read and counted.
    Read,
    /// The postings are also derived from the stored texts again, which costs about what feeding them did.
    Derive,
}

impl Searcher<'_> {
    /// Reads all of this moment. `pace` learns how many bytes were read since it was last asked, may wait, and says
    /// whether to go on; `None` where it does not.
    ///
    /// Rows that contradict each other are [`EngineError::Inconsistent`]: the files are not what was written.
    pub fn digests(
        &self,
        depth: Depth,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Digests>, EngineError> {
        let next_offset = self.next_offset()?;
        let mut reading = Reading::new(self, depth, pace);
        if !reading.run()? {
            return Ok(None);
        }
        Ok(Some(Digests {
            next_offset,
            documents: reading.documents,
            postings: reading.postings,
            analyzer_version: self.shared.analyzer.version(),
            document_count: reading.document_count,
        }))
    }
}
