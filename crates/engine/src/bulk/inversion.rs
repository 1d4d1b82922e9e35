//! Postings in memory, in the order of documents: one look-up for each token of a text. Once they are drained the terms
//! are sorted, and a counting sort (Knuth, TAOCP vol. 3, 5.2) brings each term's postings together.
//!
//! ```text
//! (namespace, term) ─hash─► term's number ◄─ records, by document ─counting sort─► places of records, by term
//! ```

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use nautilus_query::Field;

use super::terms::{SortKey, TermRecord, hash_in, index, number, spread};
use crate::common::{self, CommonWord};
use crate::error::EngineError;
use crate::keys::{self, Chunk, Kind, NamespaceNumber, Ordinal};
use crate::rows::pairs::pair_hash;
use crate::rows::posting::Frequencies;
use crate::spelling::Spelling;

/// As many as have a number, and as many bytes of long terms.
const RECORDS_MAX: usize = (u32::MAX - 1) as usize;
/// Terms that are looked for, or whose records are collected, side by side.
const BLOCK_TERMS: usize = 32;
/// The table's growth leaves half of it empty at worst.
const TABLE_BYTES_PER_TERM: usize = 2 * (size_of::<TermRecord>() + 1);

/// Lists of all terms of the documents since the last drain.
#[derive(Default)]
pub(super) struct Inversion {
    table: HashTable<TermRecord>,
    /// Of long terms.
    texts: Vec<u8>,
    /// Ascending by document.
    records: Vec<Record>,
    /// The document that is being added, and where its records begin.
    document: Option<(NamespaceNumber, Ordinal)>,
    document_start: u32,
}

/// The tokens of one field of a document, in order.
#[derive(Default)]
pub(super) struct Tokens {
    tokens: Vec<Token>,
    /// Of long tokens, one after the other.
    texts: Vec<u8>,
}

struct Token {
    hash: u64,
    spelling: Spelling,
}

impl Tokens {
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.tokens.clear();
    }

    /// Adds a token, whose [`token_hash`](crate::rows::pairs::token_hash) this is.
    pub(super) fn push(&mut self, token: &str, hash: u64) {
        let spelling = Spelling::of(token.as_bytes());
        if spelling.is_long() {
            self.texts.extend_from_slice(token.as_bytes());
        }
        self.tokens.push(Token { hash, spelling });
    }
}

/// One posting.
#[derive(Clone, Copy)]
struct Record {
    /// Its number.
    term: u32,
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
        let mut texts = tokens.texts.as_slice();
        for block in tokens.tokens.chunks(BLOCK_TERMS) {
            for token in block {
                let hash = hash_in(document.0, token.hash);
                std::hint::black_box(self.table.find(spread(hash), |term| term.hash == hash));
            }
            for Token { hash, spelling } in block {
                let long;
                (long, texts) = texts.split_at(spelling.long_len().min(texts.len()));
                self.add(Kind::Posting, document, (*spelling, long), *hash, field);
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
        self.add(Kind::PairPosting, document, (Spelling::of(&words), &[]), hash, field);
    }

    #[inline]
    fn add(
        &mut self,
        kind: Kind,
        document @ (ns, ordinal): (NamespaceNumber, Ordinal),
        (spelling, long): (Spelling, &[u8]),
        hash: u64,
        field: Field,
    ) {
        let hash = hash_in(ns, hash);
        let newest = number(self.records.len());
        if self.document != Some(document) {
            (self.document, self.document_start) = (Some(document), newest);
        }
        let Self { table, texts, records, .. } = self;
        let is_it = |term: &TermRecord| {
            term.hash == hash
                && term.ns == ns
                && term.kind == kind
                && term.is(spelling, long, texts)
        };
        let met = number(table.len());
        let term = match table.entry(spread(hash), is_it, |term| spread(term.hash)) {
            Entry::Occupied(mut found) => {
                let term = found.get_mut();
                if term.newest >= self.document_start {
                    if let Some(record) = records.get_mut(index(term.newest)) {
                        record.count(field);
                    }
                    return;
                }
                term.newest = newest;
                term.number
            }
            Entry::Vacant(place) => {
                let numbers = (met, newest);
                place.insert(TermRecord::new((kind, ns, hash), numbers, spelling, long, texts));
                met
            }
        };
        let mut record = Record { term, ordinal, title: 0, path: 0, body: 0 };
        record.count(field);
        records.push(record);
    }

    /// What it holds, nearly.
    pub(super) fn memory_bytes(&self) -> usize {
        if self.records.len().max(self.texts.len()) >= RECORDS_MAX {
            return usize::MAX;
        }
        self.records.len() * (size_of::<Record>() + size_of::<u32>())
            + self.table.len()
                * (TABLE_BYTES_PER_TERM + size_of::<SortKey<'_>>() + size_of::<u32>())
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
        let Self { table, texts, records, .. } = self;
        let mut order: Vec<SortKey<'_>> = table.iter().map(SortKey::of).collect();
        order.sort_unstable_by(|a, b| {
            let by_start = (a.place, a.start).cmp(&(b.place, b.start));
            by_start.then_with(|| a.term.text(texts).cmp(b.term.text(texts)))
        });
        let (sorted, ends) = by_term(&order, records);
        let (mut key, mut postings) = (Vec::new(), Vec::new());
        let (mut lists, mut list_ends) = (Vec::new(), Vec::new());
        let mut start = 0;
        for block in order.chunks(BLOCK_TERMS) {
            // Copied in a loop that does nothing else, so that many looks wait at the same time.
            lists.clear();
            list_ends.clear();
            for SortKey { term, .. } in block {
                let end = ends.get(index(term.number)).map_or(start, |end| index(*end));
                let places = sorted.get(start..end).unwrap_or_default();
                lists.extend(places.iter().map(|place| records[index(*place)]));
                list_ends.push(lists.len());
                start = end;
            }
            let mut list_start = 0;
            for (SortKey { term, .. }, list_end) in block.iter().zip(&list_ends) {
                key.clear();
                let text = term.text(texts);
                if term.kind == Kind::PairPosting {
                    let words = <[CommonWord; 2]>::try_from(text).unwrap_or_default();
                    let text = common::text(words);
                    keys::put_postings(&mut key, term.kind, term.ns, text.as_bytes());
                } else {
                    keys::put_postings(&mut key, term.kind, term.ns, text);
                }
                let list = lists.get(list_start..*list_end).unwrap_or_default();
                list_start = *list_end;
                for_each_chunk(&mut key, list, &mut postings, &mut f)?;
            }
        }
        self.document = None;
        table.clear();
        texts.clear();
        records.clear();
        Ok(())
    }
}

/// The places of all records, those of each term together and ascending, the terms in this order; and by a term's
/// number where its places end.
///
/// Following each list from record to record would wait for memory at every step. Nothing here waits for what the step
/// before it found.
fn by_term(order: &[SortKey<'_>], records: &[Record]) -> (Vec<u32>, Vec<u32>) {
    let mut counts = vec![0_u32; order.len()];
    for record in records {
        if let Some(count) = counts.get_mut(index(record.term)) {
            *count += 1;
        }
    }
    let mut begin = 0;
    for SortKey { term, .. } in order {
        if let Some(next) = counts.get_mut(index(term.number)) {
            begin += std::mem::replace(next, begin);
        }
    }
    let mut next = counts;
    let mut sorted = vec![0; records.len()];
    for (place, record) in (0..).zip(records) {
        if let Some(next) = next.get_mut(index(record.term))
            && let Some(at) = sorted.get_mut(index(*next))
        {
            *at = place;
            *next += 1;
        }
    }
    (sorted, next)
}

fn for_each_chunk(
    key: &mut Vec<u8>,
    list: &[Record],
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
