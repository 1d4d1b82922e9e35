//! How postings are stored, behind a seam: chunks of packed lists, which compaction makes of single changes.
//!
//! ```text
//! edit ─► change in a buffer ─► changes (merge operand) ─► laid on a packed list ─► packed list
//!                      drain ┘               compaction ┘          1/8 of it ┘
//! ```
//!
//! Nothing outside knows the layout. The plain layout, a row each, is the tests' oracle.

mod buffer;
mod buffers;
mod column;
mod cursor;
pub(crate) mod drain;
pub(crate) mod merge;
mod packed;
pub(crate) mod redo;
#[cfg(test)]
mod rows;
mod run;
mod sums;
mod value;
mod vocabulary;
mod walk;

use nautilus_query::FieldSet;
use rocksdb::WriteBatch;

use crate::error::EngineError;
#[cfg(test)]
use crate::keys::Chunk;
use crate::keys::{Kind, NamespaceNumber, Ordinal};
use crate::rows::posting::Frequencies;
use crate::search::Budget;

pub(crate) use buffers::{BufferBudget, Buffers, View};
pub(crate) use column::{CHUNK_BITS, Column, Weights};
pub(crate) use cursor::{Cursor, Row};
pub(crate) use packed::{ChunkReader, ChunkWriter, Part};
pub(crate) use run::{Bitmap, Run};
pub(crate) use sums::{ChunkSums, PrefixSums, chunk_len};
pub(crate) use value::{count as count_of, decode_list, encode_list, read_column};
pub(crate) use vocabulary::VocabularyReader;
pub(crate) use walk::{List, walk};

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Everything asked for was read.
    Complete,
    /// The budget ended first; what was read is not to be used.
    Exhausted,
}

/// What has postings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term<'a> {
    /// A token.
    Token(&'a str),
    /// Two common words side by side, with a space between.
    Pair(&'a str),
}

impl<'a> Term<'a> {
    fn kind(self) -> Kind {
        match self {
            Self::Token(_) => Kind::Posting,
            Self::Pair(_) => Kind::PairPosting,
        }
    }

    fn text(self) -> &'a str {
        match self {
            Self::Token(text) | Self::Pair(text) => text,
        }
    }
}

/// What a term has at or after a chunk.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Postings in it, now in the column.
    Here,
    /// None before this later chunk.
    From(Chunk),
    /// None at all.
    End,
}

/// Writes changed postings into a batch.
pub(crate) trait PostingWriter {
    /// `after` empty removes the posting. A batch may hold one change of a term's chunk.
    fn put(
        &mut self,
        batch: &mut WriteBatch,
        ns: NamespaceNumber,
        term: Term<'_>,
        ordinal: Ordinal,
        after: Frequencies,
    );
}

/// Reads postings of one namespace in one snapshot.
pub(crate) trait PostingReader {
    /// Reads the term's postings in `chunk` into `out`, which is only touched where there are any.
    #[cfg(test)]
    fn read_term(
        &mut self,
        term: Term<'_>,
        chunk: Chunk,
        out: &mut Column,
    ) -> Result<Found, EngineError>;

    /// Sums the postings of every token that starts with `prefix`; the namespace's ordinals are below `ordinals`.
    fn read_prefix(
        &mut self,
        prefix: &str,
        fields: FieldSet,
        ordinals: Ordinal,
        budget: &mut dyn Budget,
    ) -> Result<(PrefixSums, Scan), EngineError>;

    /// Postings read so far.
    fn postings_read(&self) -> u64;
}
