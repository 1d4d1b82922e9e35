//! Row keys: order-preserving and escape-safe for any bytes. Drawn in `docs/formats/partition.md`.
//!
//! ```text
//! M │ name                                  meta row
//! N │ namespace bytes                       namespace row   (last part: needs no end mark)
//! G │ ns u32 │ two common words │ chunk    postings of the words side by side, as of a token
//! I │ ns u32 │ document id bytes            id row          (last part)
//! A │ ns u32 │ ordinal u32                  attribute row
//! D │ ns u32 │ ordinal u32                  header row
//! T │ ns u32 │ ordinal u32                  body row
//! L │ ns u32 │ ordinal >> 8                 length codes of 256 ordinals
//! R │ offset u64                          postings that the record changed and no list has yet
//! F │ ns u32 │ ordinal u32                pairs of tokens that follow each other in the body
//! P │ ns u32 │ token escaped │ chunk u24    postings of 16,384 ordinals
//! ```
//!
//! Numbers are big endian. In an escaped token a zero byte becomes `00 FF` and `00 01` ends it, so no
//! token's rows stand between another's, and the order of keys is the order of tokens. `ns` is the
//! namespace's number in this partition directory: never reused there and never seen outside it.

use nautilus_types::Offset;

/// Namespace number, private to one partition directory and never reused in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NamespaceNumber(pub(crate) u32);

/// Document number within a namespace number, never reused.
pub(crate) type Ordinal = u32;

/// First byte of a key: the kind of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Attributes = b'A',
    Header = b'D',
    Pairs = b'F',
    PairPosting = b'G',
    Id = b'I',
    Lengths = b'L',
    Meta = b'M',
    Namespace = b'N',
    Posting = b'P',
    Redo = b'R',
    Body = b'T',
}

impl Kind {
    /// Every kind with the name statistics use for it.
    pub(crate) const NAMED: [(Self, &'static str); 11] = [
        (Self::Posting, "postings"),
        (Self::PairPosting, "pair postings"),
        (Self::Body, "bodies"),
        (Self::Header, "headers"),
        (Self::Pairs, "pairs"),
        (Self::Id, "ids"),
        (Self::Lengths, "lengths"),
        (Self::Attributes, "attributes"),
        (Self::Namespace, "namespaces"),
        (Self::Meta, "meta"),
        (Self::Redo, "redo"),
    ];

    /// The kinds whose values are lists of postings.
    pub(crate) const POSTINGS: [Self; 2] = [Self::Posting, Self::PairPosting];

    /// The kinds whose keys start with a namespace number.
    pub(crate) const PER_NAMESPACE: [Self; 8] = [
        Self::Posting,
        Self::PairPosting,
        Self::Body,
        Self::Header,
        Self::Pairs,
        Self::Id,
        Self::Lengths,
        Self::Attributes,
    ];
}

/// Ordinals whose postings share a row. A list of this many is read in some 30 µs and folded in some 200.
pub(crate) const ORDINALS_PER_CHUNK: u32 = 1 << CHUNK_SHIFT;
const CHUNK_SHIFT: u32 = 14;
const CHUNK_KEY_BYTES: usize = 3;

/// Number of a chunk of ordinals.
pub(crate) type Chunk = u32;

/// The chunk of an ordinal, and its index there.
pub(crate) fn chunk_of(ordinal: Ordinal) -> (Chunk, u16) {
    // The remainder is below 2^14.
    let index = u16::try_from(ordinal % ORDINALS_PER_CHUNK).unwrap_or(0);
    (ordinal >> CHUNK_SHIFT, index)
}

/// The first ordinal of a chunk.
pub(crate) fn first_ordinal(chunk: Chunk) -> Ordinal {
    chunk << CHUNK_SHIFT
}

/// The ordinal at an index of a chunk.
pub(crate) fn ordinal_of(chunk: Chunk, index: usize) -> Ordinal {
    // An index is below the ordinals of a chunk.
    first_ordinal(chunk) | u32::try_from(index).unwrap_or(0)
}

/// Ordinals whose length codes share a row.
pub(crate) const LENGTHS_PER_ROW: u32 = 256;

const ESCAPE: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xFF;
const END: u8 = 0x01;
/// Kind and namespace number.
const NAMESPACE_END: usize = 5;

/// `M │ name`.
pub(crate) fn meta(name: &str) -> Vec<u8> {
    let mut key = vec![Kind::Meta as u8];
    key.extend_from_slice(name.as_bytes());
    key
}

/// `M │ skipped/ │ offset u64`.
pub(crate) fn skipped(offset: Offset) -> Vec<u8> {
    let mut key = skipped_prefix();
    key.extend_from_slice(&offset.0.to_be_bytes());
    key
}

/// The start of every key of a skipped record.
pub(crate) fn skipped_prefix() -> Vec<u8> {
    meta("skipped/")
}

/// The offset in the key of a skipped record.
pub(crate) fn offset_of_skipped(key: &[u8]) -> Option<Offset> {
    let (_, offset) = key.split_last_chunk::<8>()?;
    Some(Offset(u64::from_be_bytes(*offset)))
}

/// `R │ offset u64`.
pub(crate) fn redo(offset: Offset) -> Vec<u8> {
    let mut key = vec![Kind::Redo as u8];
    key.extend_from_slice(&offset.0.to_be_bytes());
    key
}

/// The offset in the key of a redo row.
pub(crate) fn offset_of_redo(key: &[u8]) -> Option<Offset> {
    let offset: [u8; 8] = key.get(1..)?.try_into().ok()?;
    Some(Offset(u64::from_be_bytes(offset)))
}

/// `N │ namespace bytes`.
pub(crate) fn namespace(name: &[u8]) -> Vec<u8> {
    let mut key = vec![Kind::Namespace as u8];
    key.extend_from_slice(name);
    key
}

/// `kind │ ns`: the start of all rows of this kind of one namespace.
pub(crate) fn of_namespace(kind: Kind, ns: NamespaceNumber) -> Vec<u8> {
    let mut key = Vec::with_capacity(48);
    put_namespace(&mut key, kind, ns);
    key
}

/// Appends `kind │ ns`.
pub(crate) fn put_namespace(key: &mut Vec<u8>, kind: Kind, ns: NamespaceNumber) {
    key.push(kind as u8);
    key.extend_from_slice(&ns.0.to_be_bytes());
}

/// The first key after every key that [`of_namespace`] starts.
pub(crate) fn after_namespace(kind: Kind, ns: NamespaceNumber) -> Vec<u8> {
    match ns.0.checked_add(1) {
        Some(next) => of_namespace(kind, NamespaceNumber(next)),
        None => vec![kind as u8 + 1],
    }
}

/// `I │ ns │ document id`.
pub(crate) fn id(ns: NamespaceNumber, document_id: &[u8]) -> Vec<u8> {
    let mut key = of_namespace(Kind::Id, ns);
    key.extend_from_slice(document_id);
    key
}

/// The namespace number in the key of a kind that has one.
pub(crate) fn namespace_of(key: &[u8]) -> Option<NamespaceNumber> {
    let number = key.get(1..NAMESPACE_END)?.first_chunk()?;
    Some(NamespaceNumber(u32::from_be_bytes(*number)))
}

/// Whose row it is, of a kind whose keys end with an ordinal.
pub(crate) fn document_of(key: &[u8]) -> Option<(NamespaceNumber, Ordinal)> {
    let ordinal = key.get(NAMESPACE_END..)?.first_chunk()?;
    Some((namespace_of(key)?, Ordinal::from_be_bytes(*ordinal)))
}

/// The document id in an id row's key.
pub(crate) fn document_id_of(key: &[u8]) -> Option<&[u8]> {
    key.get(NAMESPACE_END..)
}

/// `D │ ns │ ordinal`.
pub(crate) fn header(ns: NamespaceNumber, ordinal: Ordinal) -> Vec<u8> {
    numbered(Kind::Header, ns, ordinal)
}

/// `T │ ns │ ordinal`.
pub(crate) fn body(ns: NamespaceNumber, ordinal: Ordinal) -> Vec<u8> {
    numbered(Kind::Body, ns, ordinal)
}

/// `A │ ns │ ordinal`.
pub(crate) fn attributes(ns: NamespaceNumber, ordinal: Ordinal) -> Vec<u8> {
    numbered(Kind::Attributes, ns, ordinal)
}

/// `F │ ns │ ordinal`.
pub(crate) fn pairs(ns: NamespaceNumber, ordinal: Ordinal) -> Vec<u8> {
    numbered(Kind::Pairs, ns, ordinal)
}

/// `L │ ns │ ordinal >> 8`.
pub(crate) fn lengths(ns: NamespaceNumber, ordinal: Ordinal) -> Vec<u8> {
    numbered(Kind::Lengths, ns, ordinal / LENGTHS_PER_ROW)
}

/// A row of length codes with the code of `ordinal` set.
pub(crate) fn with_length_code(mut row: Vec<u8>, ordinal: Ordinal, code: u8) -> Vec<u8> {
    let at = usize::try_from(ordinal % LENGTHS_PER_ROW).unwrap_or(0);
    if row.len() <= at {
        row.resize(at + 1, 0);
    }
    row[at] = code;
    row
}

/// `kind │ ns │ number`.
pub(crate) fn numbered(kind: Kind, ns: NamespaceNumber, number: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(NAMESPACE_END + size_of::<u32>());
    put_numbered(&mut key, kind, ns, number);
    key
}

/// Appends `kind │ ns │ number`.
pub(crate) fn put_numbered(key: &mut Vec<u8>, kind: Kind, ns: NamespaceNumber, number: u32) {
    put_namespace(key, kind, ns);
    key.extend_from_slice(&number.to_be_bytes());
}

/// Appends `kind │ ns │ token escaped`, with the end mark: the start of the token's postings.
pub(crate) fn put_postings(key: &mut Vec<u8>, kind: Kind, ns: NamespaceNumber, token: &[u8]) {
    put_postings_prefix(key, kind, ns, token);
    key.extend_from_slice(&[ESCAPE, END]);
}

/// `P │ ns │ prefix escaped`, without end mark: the start of the postings of every token with this prefix.
pub(crate) fn postings_prefix(ns: NamespaceNumber, prefix: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(48);
    put_postings_prefix(&mut key, Kind::Posting, ns, prefix);
    key
}

fn put_postings_prefix(key: &mut Vec<u8>, kind: Kind, ns: NamespaceNumber, prefix: &[u8]) {
    key.push(kind as u8);
    key.extend_from_slice(&ns.0.to_be_bytes());
    for &byte in prefix {
        key.push(byte);
        if byte == ESCAPE {
            key.push(ESCAPED_ZERO);
        }
    }
}

/// Appends the last part of a key of postings.
pub(crate) fn put_chunk(key: &mut Vec<u8>, chunk: Chunk) {
    key.extend_from_slice(&chunk.to_be_bytes()[4 - CHUNK_KEY_BYTES..]);
}

/// `kind │ ns │ token escaped │ chunk`.
pub(crate) fn posting_chunk(
    kind: Kind,
    ns: NamespaceNumber,
    token: &[u8],
    chunk: Chunk,
) -> Vec<u8> {
    let mut key = Vec::with_capacity(5 + token.len() + 2 + CHUNK_KEY_BYTES);
    put_postings(&mut key, kind, ns, token);
    put_chunk(&mut key, chunk);
    key
}

/// What [`put_chunk`] appended.
pub(crate) fn decode_chunk(bytes: &[u8]) -> Option<Chunk> {
    let bytes: [u8; CHUNK_KEY_BYTES] = bytes.try_into().ok()?;
    Some(bytes.into_iter().fold(0, |chunk, byte| chunk << 8 | Chunk::from(byte)))
}

/// A key of postings without its chunk: the start of all postings of its token.
pub(crate) fn without_chunk(key: &[u8]) -> Option<&[u8]> {
    key.get(..key.len().checked_sub(CHUNK_KEY_BYTES)?)
}

/// The token whose start, as [`put_postings`] makes it, this is.
pub(crate) fn token_of(start: &[u8]) -> Option<Vec<u8>> {
    let escaped = start.strip_suffix(&[ESCAPE, END])?.get(NAMESPACE_END..)?;
    let mut token = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        token.push(byte);
        if byte == ESCAPE && bytes.next() != Some(&ESCAPED_ZERO) {
            return None;
        }
    }
    Some(token)
}

/// The chunk of any key of postings, whatever its token.
pub(crate) fn last_chunk(key: &[u8]) -> Option<Chunk> {
    decode_chunk(key.last_chunk::<CHUNK_KEY_BYTES>()?)
}

/// The ordinal at the end of a key of a header or a body.
pub(crate) fn last_ordinal(key: &[u8]) -> Option<Ordinal> {
    Some(Ordinal::from_be_bytes(*key.last_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As many as there are chunks of all ordinals.
    const CHUNKS: Chunk = 1 << (32 - CHUNK_SHIFT);

    /// Bytes that meet every special case: escapes, end marks, 0xFF, prefixes of each other.
    fn tricky() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(
            prop::sample::select(vec![0x00_u8, 0x01, 0xFE, 0xFF, b'|', b'a', b'b']),
            0..6,
        )
    }

    proptest! {
        #[test]
        fn keys_order_as_their_parts(
            a in (any::<u32>(), tricky(), 0..CHUNKS),
            b in (any::<u32>(), tricky(), 0..CHUNKS),
        ) {
            let key = |(ns, token, chunk): &(u32, Vec<u8>, Chunk)| {
                posting_chunk(Kind::Posting, NamespaceNumber(*ns), token, *chunk)
            };
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        }

        #[test]
        fn a_scan_of_one_token_meets_no_other(
            ns in 0..3_u32, token in tricky(),
            other_ns in 0..3_u32, other in tricky(), chunk in 0..CHUNKS,
        ) {
            let mut start = Vec::new();
            put_postings(&mut start, Kind::Posting, NamespaceNumber(ns), &token);
            let key = posting_chunk(Kind::Posting, NamespaceNumber(other_ns), &other, chunk);
            let same = ns == other_ns && token == other;
            prop_assert_eq!(key.strip_prefix(&*start).and_then(decode_chunk), same.then_some(chunk));
            prop_assert_eq!(last_chunk(&key), Some(chunk));
            prop_assert_eq!(without_chunk(&key).and_then(token_of), Some(other));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let _: (Option<Vec<u8>>, Option<Chunk>) = (token_of(&bytes), last_chunk(&bytes));
            let _: (Option<&[u8]>, Option<Ordinal>) = (without_chunk(&bytes), last_ordinal(&bytes));
        }

        #[test]
        fn a_prefix_scan_meets_exactly_its_tokens(
            prefix in tricky(), other_ns in 0..2_u32, token in tricky(), chunk in 0..CHUNKS,
        ) {
            // A prefix that ends in NUL is the one byte that an end mark could be taken for.
            let start = postings_prefix(NamespaceNumber(0), &prefix);
            let key = posting_chunk(Kind::Posting, NamespaceNumber(other_ns), &token, chunk);
            prop_assert_eq!(key.starts_with(&start), other_ns == 0 && token.starts_with(&prefix));
        }

        #[test]
        fn rows_of_one_namespace_end_before_the_next(
            ns in prop::sample::select(vec![0, 1, 0xFE, 0xFF, 0x100, u32::MAX - 1, u32::MAX]),
            id_bytes in tricky(), token in tricky(), ordinal in any::<u32>(),
        ) {
            let ns = NamespaceNumber(ns);
            for (kind, key) in [
                (Kind::Id, id(ns, &id_bytes)),
                (Kind::Posting, posting_chunk(Kind::Posting, ns, &token, chunk_of(ordinal).0)),
                (Kind::PairPosting, posting_chunk(Kind::PairPosting, ns, &token, 0)),
                (Kind::Header, header(ns, ordinal)),
                (Kind::Body, body(ns, ordinal)),
                (Kind::Pairs, pairs(ns, ordinal)),
                (Kind::Lengths, lengths(ns, ordinal)),
                (Kind::Attributes, attributes(ns, ordinal)),
            ] {
                prop_assert!(of_namespace(kind, ns) <= key && key < after_namespace(kind, ns));
            }
        }
    }
}
