//! Postings in memory, each appended to its term's list: one look-up for each token of a text, and nothing sorted but the
//! terms, once they are drained.
//!
//! ```text
//! (namespace, term) ─hash─► term ─► its newest record ─► the one before ─► …
//! ```

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use nautilus_query::Field;

use crate::common::{self, CommonWord};
use crate::error::EngineError;
use crate::keys::{self, Chunk, Kind, NamespaceNumber, Ordinal};
use crate::rows::pairs::pair_hash;
use crate::rows::posting::Frequencies;

/// No record.
const NONE: u32 = u32::MAX;
/// Leaves [`NONE`] free.
const RECORDS_MAX: usize = (u32::MAX - 1) as usize;
/// Bytes of a term that stand with it: nearly every token is that short, and is told from others without another look
/// into memory, which is most of what a token costs here.
const INLINE_BYTES: usize = 14;
/// Terms that are looked for, or whose lists are collected, side by side.
const BLOCK_TERMS: usize = 32;
/// The table's growth leaves half of it empty at worst.
const TABLE_BYTES_PER_TERM: usize = 2 * (size_of::<TermRecord>() + 1);

/// Lists of all terms of the documents since the last drain.
#[derive(Default)]
pub(super) struct Inversion {
    table: HashTable<TermRecord>,
    /// Of terms longer than [`INLINE_BYTES`].
    texts: Vec<u8>,
    records: Vec<Record>,
}

struct TermRecord {
    hash: u64,
    ns: NamespaceNumber,
    newest: u32,
    /// Of the newest record, so that it need not be looked at.
    ordinal: Ordinal,
    /// Where the text is, if it is long.
    long: u32,
    len: u8,
    kind: Kind,
    start: [u8; INLINE_BYTES],
}

/// The tokens of one field of a document, in order.
#[derive(Default)]
pub(super) struct Tokens {
    texts: Vec<u8>,
    tokens: Vec<TokenPlace>,
}

struct TokenPlace {
    hash: u64,
    start: usize,
    end: usize,
}

impl Tokens {
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.tokens.clear();
    }

    /// Adds a token, whose [`token_hash`](crate::rows::pairs::token_hash) this is.
    pub(super) fn push(&mut self, token: &str, hash: u64) {
        let start = self.texts.len();
        self.texts.extend_from_slice(token.as_bytes());
        self.tokens.push(TokenPlace { hash, start, end: self.texts.len() });
    }

    fn text(&self, token: &TokenPlace) -> &[u8] {
        &self.texts[token.start..token.end]
    }
}

/// One posting.
struct Record {
    before: u32,
    ordinal: Ordinal,
    /// A title and a path have at most 4 KiB; what is longer is counted up to here.
    title: u16,
    path: u16,
    body: u32,
}

/// A posting in a chunk.
pub(super) type Posting = (u16, Frequencies);

impl Inversion {
    /// Counts the tokens of a field.
    ///
    /// Looking up a term is a look at memory far away, and another. A first round through a block of tokens only brings
    /// them near: nothing in it waits for what it finds, so many wait at the same time.
    pub(super) fn add_tokens(
        &mut self,
        document: (NamespaceNumber, Ordinal),
        field: Field,
        tokens: &Tokens,
    ) {
        for block in tokens.tokens.chunks(BLOCK_TERMS) {
            for token in block {
                let hash = pair_hash(token.hash, u64::from(document.0.0));
                std::hint::black_box(self.table.find(hash, |term| term.hash == hash));
            }
            for token in block {
                self.add(Kind::Posting, document, tokens.text(token), token.hash, field);
            }
        }
    }

    /// Counts two common words side by side.
    pub(super) fn add_pair(
        &mut self,
        document: (NamespaceNumber, Ordinal),
        words: [CommonWord; 2],
        field: Field,
    ) {
        let [first, second] = words.map(u64::from);
        let hash = pair_hash(first << 32 | 0xFFFF, second);
        self.add(Kind::PairPosting, document, &words, hash, field);
    }

    #[inline]
    fn add(
        &mut self,
        kind: Kind,
        (ns, ordinal): (NamespaceNumber, Ordinal),
        text: &[u8],
        hash: u64,
        field: Field,
    ) {
        let hash = pair_hash(hash, u64::from(ns.0));
        let Self { table, texts, records } = self;
        let is_it = |term: &TermRecord| {
            term.hash == hash && term.ns == ns && term.kind == kind && term.text(texts) == text
        };
        let mut before = NONE;
        match table.entry(hash, is_it, |term| term.hash) {
            Entry::Occupied(mut found) => {
                let term = found.get_mut();
                if term.ordinal == ordinal {
                    if let Some(record) = records.get_mut(index(term.newest)) {
                        record.count(field);
                    }
                    return;
                }
                before = std::mem::replace(&mut term.newest, number(records.len()));
                term.ordinal = ordinal;
            }
            Entry::Vacant(place) => {
                let newest = number(records.len());
                place.insert(TermRecord::new(kind, (ns, ordinal), text, hash, newest, texts));
            }
        }
        let mut record = Record { before, ordinal, title: 0, path: 0, body: 0 };
        record.count(field);
        records.push(record);
    }

    /// What it holds, nearly.
    pub(super) fn memory_bytes(&self) -> usize {
        if self.records.len() >= RECORDS_MAX {
            return usize::MAX;
        }
        self.records.len() * size_of::<Record>()
            + self.table.len() * (TABLE_BYTES_PER_TERM + size_of::<SortKey<'_>>())
            + self.texts.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Calls `f` with each key of a chunk and its postings, ascending, and forgets them.
    pub(super) fn drain(
        &mut self,
        mut f: impl FnMut(&[u8], &mut Vec<Posting>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let Self { table, texts, records } = self;
        let mut order: Vec<SortKey<'_>> = table.iter().map(SortKey::of).collect();
        order.sort_unstable_by(|a, b| {
            let by_start = (a.place, a.start).cmp(&(b.place, b.start));
            by_start.then_with(|| a.term.text(texts).cmp(b.term.text(texts)))
        });
        let (mut key, mut postings) = (Vec::new(), Vec::new());
        let mut lists: [Vec<&Record>; BLOCK_TERMS] = std::array::from_fn(|_| Vec::new());
        for block in order.chunks(BLOCK_TERMS) {
            collect(block, records, &mut lists);
            for (SortKey { term, .. }, list) in block.iter().zip(&mut lists) {
                list.reverse();
                key.clear();
                let text = term.text(texts);
                if term.kind == Kind::PairPosting {
                    let words = <[CommonWord; 2]>::try_from(text).unwrap_or_default();
                    let text = common::text(words);
                    keys::put_postings(&mut key, term.kind, term.ns, text.as_bytes());
                } else {
                    keys::put_postings(&mut key, term.kind, term.ns, text);
                }
                for_each_chunk(&mut key, list, &mut postings, &mut f)?;
            }
        }
        table.clear();
        texts.clear();
        records.clear();
        Ok(())
    }
}

impl TermRecord {
    fn new(
        kind: Kind,
        (ns, ordinal): (NamespaceNumber, Ordinal),
        text: &[u8],
        hash: u64,
        newest: u32,
        texts: &mut Vec<u8>,
    ) -> Self {
        let mut start = [0; INLINE_BYTES];
        let inline = text.len().min(INLINE_BYTES);
        start[..inline].copy_from_slice(&text[..inline]);
        let long = number(texts.len());
        if text.len() > INLINE_BYTES {
            texts.extend_from_slice(text);
        }
        // A token has at most 128 bytes.
        let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
        Self { hash, ns, newest, ordinal, long, len, kind, start }
    }

    fn text<'a>(&'a self, texts: &'a [u8]) -> &'a [u8] {
        let len = usize::from(self.len);
        match self.start.get(..len) {
            Some(text) => text,
            None => &texts[index(self.long)..index(self.long) + len],
        }
    }
}

/// Most terms are told apart by what is here, without a look at their text.
///
/// Tokens hold no zero byte, and common words' numbers order as the words: so this is the order of the keys.
struct SortKey<'a> {
    /// Kind and namespace.
    place: u64,
    /// The first bytes.
    start: u64,
    term: &'a TermRecord,
}

impl<'a> SortKey<'a> {
    fn of(term: &'a TermRecord) -> Self {
        let place = u64::from(term.kind as u8) << 32 | u64::from(term.ns.0);
        let start = term.start.first_chunk().map_or(0, |start| u64::from_be_bytes(*start));
        Self { place, start, term }
    }
}

/// The records of each term of a block, the newest first.
///
/// Every step is a look at memory far away. Going through all lists side by side, many of them wait at the same time.
fn collect<'a>(block: &[SortKey<'_>], records: &'a [Record], lists: &mut [Vec<&'a Record>]) {
    let mut next = [NONE; BLOCK_TERMS];
    for ((key, list), next) in block.iter().zip(&mut *lists).zip(&mut next) {
        list.clear();
        *next = key.term.newest;
    }
    let mut is_done = false;
    while !is_done {
        is_done = true;
        for (next, list) in next.iter_mut().zip(&mut *lists) {
            if let Some(record) = records.get(index(*next)) {
                list.push(record);
                *next = record.before;
                is_done = false;
            }
        }
    }
}

fn for_each_chunk(
    key: &mut Vec<u8>,
    list: &[&Record],
    postings: &mut Vec<Posting>,
    f: &mut impl FnMut(&[u8], &mut Vec<Posting>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let start = key.len();
    let chunk = |record: &Record| -> Chunk { keys::chunk_of(record.ordinal).0 };
    for part in list.chunk_by(|a, b| chunk(a) == chunk(b)) {
        postings.clear();
        postings.extend(
            part.iter().map(|record| (keys::chunk_of(record.ordinal).1, record.frequencies())),
        );
        if let Some(first) = part.first() {
            key.truncate(start);
            keys::put_chunk(key, chunk(first));
            f(key, postings)?;
        }
    }
    Ok(())
}

impl Record {
    fn count(&mut self, field: Field) {
        match field {
            Field::Title => self.title = self.title.saturating_add(1),
            Field::Path => self.path = self.path.saturating_add(1),
            Field::Body => self.body = self.body.saturating_add(1),
        }
    }

    fn frequencies(&self) -> Frequencies {
        let mut frequencies = Frequencies::default();
        frequencies.0[Field::Title.index()] = u32::from(self.title);
        frequencies.0[Field::Path.index()] = u32::from(self.path);
        frequencies.0[Field::Body.index()] = self.body;
        frequencies
    }
}

/// [`NONE`] is beyond every list.
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What is counted here fits: memory is full long before.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(NONE)
}
