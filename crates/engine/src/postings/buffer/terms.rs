//! The terms of one namespace whose postings changed lately, and the changes of each.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::changes::{Change, Changes};
use crate::keys::{self, Chunk, Kind, NamespaceNumber, Ordinal};
use crate::postings::{Term, value};
use crate::rows::posting::{Frequencies, is_whole};
use crate::spelling::Spelling;

/// Terms that are looked for side by side.
const BLOCK_TERMS: usize = 32;
/// Terms not yet in order that a read by prefix looks through: this, or a 32nd of all.
const UNORDERED_MAX: usize = 256;
const UNORDERED_PART: usize = 32;

/// Changes of the postings of one namespace.
#[derive(Default)]
pub(super) struct Terms {
    /// Places in `terms`.
    table: HashTable<u32>,
    terms: Vec<Changed>,
    /// Of long terms.
    texts: Vec<u8>,
    /// What no first byte says, by the number in a change.
    long: Vec<Frequencies>,
    /// Places of the first so many of `terms`, in the order of keys.
    order: Vec<u32>,
}

/// A term, and how its postings changed.
struct Changed {
    hash: u32,
    kind: Kind,
    spelling: Spelling,
    changes: Changes,
}

/// What memory a term, and a change, comes to.
const TERM_BYTES: usize = size_of::<Changed>() + 2 * size_of::<u32>();
const CHANGE_BYTES: usize = size_of::<Change>();

/// What an insertion did.
pub(super) struct Grown {
    pub(super) bytes: usize,
    /// Most changes among which one had to be put.
    pub(super) among_max: usize,
}

fn kind_of(term: Term<'_>) -> (Kind, &[u8]) {
    (term.kind(), term.text().as_bytes())
}

/// Low bits of a hash that tell pairs from tokens.
fn hash_of(kind: Kind, text: &[u8]) -> u32 {
    u32::try_from(xxh3_64(text) >> 32).unwrap_or_default() ^ kind as u32
}

/// The table reads both ends of a hash.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

impl Terms {
    /// Adds what the record `since` made of a document's postings.
    ///
    /// Looking up a term is a look at memory far away, and another. A first round through a block only brings them
    /// near: nothing in it waits for what it finds, so many wait at the same time.
    pub(super) fn insert(
        &mut self,
        since: u32,
        ordinal: Ordinal,
        changes: &[(Term<'_>, Frequencies)],
    ) -> Grown {
        let mut grown = Grown { bytes: 0, among_max: 0 };
        let mut hashes = [0_u32; BLOCK_TERMS];
        for block in changes.chunks(BLOCK_TERMS) {
            for ((term, _), place) in block.iter().zip(&mut hashes) {
                let (kind, text) = kind_of(*term);
                *place = hash_of(kind, text);
            }
            for (hash, _) in hashes.iter().zip(block) {
                let is_near = |place: &u32| {
                    self.terms.get(index(*place)).is_some_and(|term| term.hash == *hash)
                };
                std::hint::black_box(self.table.find(spread(*hash), is_near));
            }
            for ((term, after), hash) in block.iter().zip(hashes) {
                self.add(since, ordinal, (*term, *after), hash, &mut grown);
            }
        }
        grown
    }

    #[inline]
    fn add(
        &mut self,
        since: u32,
        ordinal: Ordinal,
        (term, after): (Term<'_>, Frequencies),
        hash: u32,
        grown: &mut Grown,
    ) {
        let code = if after.is_empty() { 0 } else { after.first_byte() };
        let posting = if code == 0 || is_whole(code) {
            u32::from(code)
        } else {
            let number = u32::try_from(self.long.len()).unwrap_or(u32::MAX);
            self.long.push(after);
            grown.bytes += size_of::<Frequencies>();
            number << 8 | u32::from(code)
        };
        let (kind, text) = kind_of(term);
        let spelling = Spelling::of(text);
        let place = match self.place(hash, kind, spelling, text) {
            Some(place) => place,
            None => {
                let place = u32::try_from(self.terms.len()).unwrap_or(u32::MAX);
                let spelling = spelling.placed(text, &mut self.texts);
                let changes = Changes::default();
                self.terms.push(Changed { hash, kind, spelling, changes });
                let Self { table, terms, .. } = self;
                let hash_at =
                    |place: &u32| terms.get(index(*place)).map_or(0, |term| spread(term.hash));
                table.insert_unique(spread(hash), place, hash_at);
                grown.bytes += TERM_BYTES + spelling.long_len();
                place
            }
        };
        let Some(term) = self.terms.get_mut(index(place)) else { return };
        if let Some(among) = term.changes.insert(Change { ordinal, since, posting }) {
            grown.among_max = grown.among_max.max(among);
        }
        grown.bytes += CHANGE_BYTES;
    }

    #[inline]
    fn place(&self, hash: u32, kind: Kind, spelling: Spelling, text: &[u8]) -> Option<u32> {
        let is_it = |place: &u32| {
            self.terms.get(index(*place)).is_some_and(|term| {
                term.hash == hash
                    && term.kind == kind
                    && term.spelling.is(spelling, text, &self.texts)
            })
        };
        self.table.find(spread(hash), is_it).copied()
    }

    /// Forgets what records from this one on changed.
    pub(super) fn forget_from(&mut self, since: u32) {
        for term in &mut self.terms {
            term.changes.forget_from(since);
        }
    }

    /// Calls `each` with the chunks of a term that records before `until` changed, ascending, as values of changes.
    pub(super) fn chunks(&self, term: Term<'_>, until: u64, each: &mut impl FnMut(Chunk, &[u8])) {
        let (kind, text) = kind_of(term);
        let place = self.place(hash_of(kind, text), kind, Spelling::of(text), text);
        if let Some(term) = place.and_then(|place| self.terms.get(index(place))) {
            self.values(term, until, &mut Vec::new(), each);
        }
    }

    /// Calls `each` with the chunks of the terms of one kind that begin with `prefix`, in the order of keys.
    pub(super) fn rows(
        &self,
        ns: NamespaceNumber,
        kind: Kind,
        prefix: &[u8],
        until: u64,
        each: &mut impl FnMut(&[u8], &[u8]),
    ) {
        let begins = |place: u32| -> bool {
            self.terms
                .get(index(place))
                .is_some_and(|term| term.kind == kind && self.text(term).starts_with(prefix))
        };
        let first = self.order.partition_point(|&place| {
            self.terms
                .get(index(place))
                .is_some_and(|term| (term.kind as u8, self.text(term)) < (kind as u8, prefix))
        });
        let ordered = self.order.iter().skip(first).copied().take_while(|&place| begins(place));
        let rest = (self.order.len()..self.terms.len()).filter_map(|at| u32::try_from(at).ok());
        let mut places: Vec<u32> = ordered.chain(rest.filter(|&place| begins(place))).collect();
        self.sort(&mut places);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for term in places.into_iter().filter_map(|place| self.terms.get(index(place))) {
            key.clear();
            keys::put_postings(&mut key, kind, ns, self.text(term));
            let start = key.len();
            self.values(term, until, &mut value, &mut |chunk, value: &[u8]| {
                key.truncate(start);
                keys::put_chunk(&mut key, chunk);
                each(&key, value);
            });
        }
    }

    /// Whether a read by prefix has to look through many terms.
    pub(super) fn is_unordered(&self) -> bool {
        let unordered = self.terms.len() - self.order.len();
        unordered > UNORDERED_MAX.max(self.terms.len() / UNORDERED_PART)
    }

    /// All of its terms in the order of keys, for [`Self::set_order`].
    pub(super) fn ordered(&self) -> Vec<u32> {
        let rest = (self.order.len()..self.terms.len()).filter_map(|at| u32::try_from(at).ok());
        let mut rest: Vec<u32> = rest.collect();
        self.sort(&mut rest);
        let mut order = Vec::with_capacity(self.terms.len());
        let mut taken = 0;
        for place in rest {
            let Some(term) = self.terms.get(index(place)) else { continue };
            let before = self.order.get(taken..).unwrap_or_default();
            let count = before.partition_point(|&other| {
                self.terms
                    .get(index(other))
                    .is_some_and(|other| self.sort_key(other) < self.sort_key(term))
            });
            order.extend_from_slice(before.get(..count).unwrap_or_default());
            order.push(place);
            taken += count;
        }
        order.extend_from_slice(self.order.get(taken..).unwrap_or_default());
        order
    }

    /// Keeps an order that [`Self::ordered`] made, unless it has one of more terms.
    pub(super) fn set_order(&mut self, order: Vec<u32>) {
        if order.len() > self.order.len() {
            self.order = order;
        }
    }

    fn sort(&self, places: &mut [u32]) {
        places.sort_unstable_by(|&a, &b| {
            let key = |place: u32| self.terms.get(index(place)).map(|term| self.sort_key(term));
            key(a).cmp(&key(b))
        });
    }

    /// Tokens hold no zero byte: so this is the order of keys.
    fn sort_key<'a>(&'a self, term: &'a Changed) -> (u8, u64, &'a [u8]) {
        (term.kind as u8, term.spelling.start(), self.text(term))
    }

    fn text<'a>(&'a self, term: &'a Changed) -> &'a [u8] {
        term.spelling.text(&self.texts)
    }

    /// Calls `each` with each chunk that records before `until` changed; `value` is a buffer.
    fn values(
        &self,
        term: &Changed,
        until: u64,
        value: &mut Vec<u8>,
        each: &mut impl FnMut(Chunk, &[u8]),
    ) {
        let chunk = |change: &Change| keys::chunk_of(change.ordinal).0;
        for part in term.changes.in_order().chunk_by(|a, b| chunk(a) == chunk(b)) {
            let mut out = value::Appender::new(value);
            for (at, change) in part.iter().enumerate() {
                let is_seen = |change: &Change| u64::from(change.since) < until;
                let is_newer = |later: &&Change| later.ordinal == change.ordinal && is_seen(later);
                if is_seen(change) && part.get(at + 1).filter(is_newer).is_none() {
                    self.append(change, &mut out);
                }
            }
            if let Some(first) = part.first().filter(|_| !out.is_empty()) {
                each(chunk(first), value);
            }
        }
    }

    #[inline]
    fn append(&self, change: &Change, out: &mut value::Appender<'_>) {
        let (_, at) = keys::chunk_of(change.ordinal);
        // The low byte.
        let code = (change.posting & 0xFF) as u8;
        if code == 0 || is_whole(code) {
            out.push_code(at, code);
        } else {
            let number = index(change.posting >> 8);
            out.push(at, self.long.get(number).copied().unwrap_or_default());
        }
    }
}
