//! A term as the table of the inversion holds it, and as terms are sorted.

use crate::keys::{Kind, NamespaceNumber};
use crate::rows::pairs::pair_hash;

/// Bytes of a term that stand with it: nearly every token is that short, and is told from others without another look
/// into memory, which is most of what a token costs here.
const INLINE_BYTES: usize = 14;
/// Bytes of a longer term that stand with it, for sorting; its place follows them.
const START_BYTES: usize = 8;

/// A term's bytes, such that two short ones are compared without a loop.
#[derive(Clone, Copy)]
pub(super) struct Spelling {
    pub(super) len: u8,
    /// All of a short term, and zeros; of a long one the first bytes.
    start: [u8; INLINE_BYTES],
}

impl Spelling {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut start = [0; INLINE_BYTES];
        let here = if text.len() <= INLINE_BYTES { text.len() } else { START_BYTES };
        start[..here].copy_from_slice(&text[..here]);
        // A token has at most 128 bytes.
        Self { len: u8::try_from(text.len()).unwrap_or(u8::MAX), start }
    }

    pub(super) fn is_long(&self) -> bool {
        usize::from(self.len) > INLINE_BYTES
    }

    /// The text, if it is short.
    pub(super) fn short(&self) -> Option<&[u8]> {
        self.start.get(..usize::from(self.len))
    }
}

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
    /// The place of a long one among the texts follows its first bytes.
    spelling: Spelling,
}

impl TermRecord {
    /// A term that was not met before; a long text goes to the others.
    pub(super) fn new(
        (kind, ns, hash): (Kind, NamespaceNumber, u32),
        (number, newest): (u32, u32),
        mut spelling: Spelling,
        long: &[u8],
        texts: &mut Vec<u8>,
    ) -> Self {
        if spelling.is_long() {
            let place = self::number(texts.len()).to_be_bytes();
            spelling.start[START_BYTES..START_BYTES + place.len()].copy_from_slice(&place);
            texts.extend_from_slice(long);
        }
        Self { hash, ns, number, newest, kind, spelling }
    }

    /// Whether it is spelled like this; `long` is the text of a long one.
    pub(super) fn is(&self, spelling: Spelling, long: &[u8], texts: &[u8]) -> bool {
        self.spelling.len == spelling.len
            && if spelling.is_long() {
                self.text(texts) == long
            } else {
                self.spelling.start == spelling.start
            }
    }

    pub(super) fn text<'a>(&'a self, texts: &'a [u8]) -> &'a [u8] {
        if let Some(text) = self.spelling.short() {
            return text;
        }
        let place = self.spelling.start.get(START_BYTES..).and_then(<[u8]>::first_chunk);
        let place = place.map_or(0, |place| index(u32::from_be_bytes(*place)));
        &texts[place..place + usize::from(self.spelling.len)]
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
        let start = term.spelling.start.first_chunk().map_or(0, |start| u64::from_be_bytes(*start));
        Self { place, start, term }
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
