//! A term as the table of the inversion holds it, and as terms are sorted.

use crate::keys::{Kind, NamespaceNumber};
use crate::rows::pairs::pair_hash;
use crate::spelling::Spelling;

/// Half a line of the processor's cache, so that one look brings all of it.
#[repr(align(32))]
pub(super) struct TermRecord {
    pub(super) hash: u32,
    pub(super) ns: NamespaceNumber,
    /// In the order in which terms were met.
    pub(super) number: u32,
    /// Its record in the document that had it last.
    pub(super) newest: u32,
    pub(super) kind: Kind,
    spelling: Spelling,
}

impl TermRecord {
    /// A term that was not met before; a long text goes to the others.
    pub(super) fn new(
        (kind, ns, hash): (Kind, NamespaceNumber, u32),
        (number, newest): (u32, u32),
        spelling: Spelling,
        long: &[u8],
        texts: &mut Vec<u8>,
    ) -> Self {
        let spelling = spelling.placed(long, texts);
        Self { hash, ns, number, newest, kind, spelling }
    }

    /// Whether it is spelled like this; `long` is the text of a long one.
    pub(super) fn is(&self, spelling: Spelling, long: &[u8], texts: &[u8]) -> bool {
        self.spelling.is(spelling, long, texts)
    }

    pub(super) fn text<'a>(&'a self, texts: &'a [u8]) -> &'a [u8] {
        self.spelling.text(texts)
    }
}

/// Most terms are told apart by what is here, without a look at their text.
///
/// Tokens hold no zero byte, and common words' numbers order as the words: so this is the order of the keys.
pub(super) struct SortKey<'a> {
    /// Kind and namespace.
    pub(super) place: u64,
    /// The first bytes.
    pub(super) start: u64,
    pub(super) term: &'a TermRecord,
}

impl<'a> SortKey<'a> {
    pub(super) fn of(term: &'a TermRecord) -> Self {
        let place = u64::from(term.kind as u8) << 32 | u64::from(term.ns.0);
        Self { place, start: term.spelling.start(), term }
    }
}

/// A term's hash: the token's, mixed with the namespace.
pub(super) fn hash_in(ns: NamespaceNumber, token_hash: u64) -> u32 {
    let mixed = pair_hash(token_hash, u64::from(ns.0));
    u32::try_from(mixed >> 32).unwrap_or_default()
}

/// The table reads both ends of a hash.
pub(super) fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Where a number stands.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What is counted here fits: memory is full long before.
pub(super) fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
