//! One pass over a snapshot: namespace after namespace, kind after kind.

use nautilus_query::scoring::encode_length;
use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use super::items::{Item, Seed, seed_of_document, seed_of_namespace};
use super::{Depth, Digest};
use crate::diff::Diff;
use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::mutation::Attributes;
use crate::postings::{Cursor, List, walk};
use crate::read::Searcher;
use crate::rows::document::{self, Header};
use crate::rows::id::IdRow;
use crate::rows::namespace::NamespaceRow;
use crate::rows::{Malformed, attributes};

/// Read between two looks at the pace.
const SLICE_BYTES: u64 = 256 << 10;
/// Read ahead of a scan that goes past the cache.
const READAHEAD_BYTES: usize = 256 << 10;

/// What was read so far.
pub(super) struct Reading<'a> {
    searcher: &'a Searcher<'a>,
    depth: Depth,
    pace: &'a mut dyn FnMut(u64) -> bool,
    unreported: u64,
    item: Item,
    pub(super) documents: Digest,
    pub(super) postings: Digest,
    /// What the stored texts say that the postings should be.
    derived: Digest,
    pub(super) document_count: u64,
}

/// One namespace while it is read.
struct Namespace {
    row: NamespaceRow,
    seed: Seed,
    /// The document of each ordinal; 0 = none.
    documents: Vec<Seed>,
}

type Rows<'a> = DBRawIteratorWithThreadMode<'a, DB>;

fn inconsistent<T>(what: &'static str) -> Result<T, EngineError> {
    Err(EngineError::Inconsistent { what })
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX)
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        searcher: &'a Searcher<'a>,
        depth: Depth,
        pace: &'a mut dyn FnMut(u64) -> bool,
    ) -> Self {
        Self {
            searcher,
            depth,
            pace,
            unreported: 0,
            item: Item::default(),
            documents: Digest::default(),
            postings: Digest::default(),
            derived: Digest::default(),
            document_count: 0,
        }
    }

    /// False where the pace ended it.
    pub(super) fn run(&mut self) -> Result<bool, EngineError> {
        let kind = Kind::Namespace as u8;
        let mut rows = self.rows(vec![kind], vec![kind + 1]);
        rows.seek_to_first();
        while let Some((key, value)) = rows.item() {
            let row = NamespaceRow::decode(value)?;
            let name = key.get(1..).unwrap_or_default();
            self.documents.add(self.item.namespace(name, &row));
            if !self.go_on(size(key, value)) {
                return Ok(false);
            }
            if row.is_live && !self.namespace(name, row)? {
                return Ok(false);
            }
            rows.next();
        }
        rows.status().map_err(EngineError::read)?;
        if self.depth == Depth::Derive && self.derived != self.postings {
            return inconsistent("the postings are not those of the stored texts");
        }
        Ok(true)
    }

    fn namespace(&mut self, name: &[u8], row: NamespaceRow) -> Result<bool, EngineError> {
        let seed = seed_of_namespace(name, row.incarnation);
        let mut ns = Namespace { row, seed, documents: Vec::new() };
        Ok(self.ids(&mut ns)? && self.contents(&ns)? && self.lists(&ns)?)
    }

    fn ids(&mut self, ns: &mut Namespace) -> Result<bool, EngineError> {
        let mut rows = self.rows_of(Kind::Id, ns.row.number);
        let mut live = 0_u64;
        rows.seek_to_first();
        while let Some((key, value)) = rows.item() {
            let id = keys::document_id_of(key).ok_or(Malformed { row: "id" })?;
            let row = IdRow::decode(value)?;
            if let Some(hash) = self.item.id(ns.seed, id, &row) {
                self.documents.add(hash);
            }
            if let Some(document) = row.live {
                live += 1;
                ns.take(document.ordinal, seed_of_document(ns.seed, id))?;
            }
            if !self.go_on(size(key, value)) {
                return Ok(false);
            }
            rows.next();
        }
        rows.status().map_err(EngineError::read)?;
        if live != ns.row.documents {
            return inconsistent("a namespace counts other documents than it has ids");
        }
        self.document_count += live;
        Ok(true)
    }

    fn contents(&mut self, ns: &Namespace) -> Result<bool, EngineError> {
        let number = ns.row.number;
        let mut headers = self.rows_of(Kind::Header, number);
        let mut bodies = self.rows_of(Kind::Body, number);
        let mut numbers = self.rows_of(Kind::Attributes, number);
        let mut lengths = Lengths::default();
        let (mut count, mut total_length) = (0_u64, 0_u64);
        for rows in [&mut headers, &mut bodies, &mut numbers] {
            rows.seek_to_first();
        }
        while let Some((key, value)) = headers.item() {
            let ordinal = keys::last_ordinal(key).ok_or(Malformed { row: "header" })?;
            let header = Header::decode(value)?;
            let document = seed_of_document(ns.seed, &header.document_id);
            if ns.document(ordinal) != Some(document) {
                return inconsistent("a header belongs to no id");
            }
            let mut bytes = size(key, value);
            let Some((key, row)) = bodies.item().filter(|(key, _)| is_of(key, ordinal)) else {
                bodies.status().map_err(EngineError::read)?;
                return inconsistent("a header and the next body are of two documents");
            };
            bytes += size(key, row);
            let body = document::decode_body(row)?;
            let found = numbers.item().filter(|(key, _)| is_of(key, ordinal));
            let attributes = match found {
                Some((_, row)) => attributes::decode(row)?,
                None => Attributes::default(),
            };
            let has_attributes = found.is_some();
            self.documents.add(self.item.content(document, &header, body.as_bytes(), &attributes));
            if lengths.code(self.searcher, number, ordinal)? != encode_length(header.length) {
                return inconsistent("a length code is not that of its document");
            }
            if self.depth == Depth::Derive {
                self.derive(number, ordinal, document, &header, body)?;
            }
            count += 1;
            total_length += u64::from(header.length);
            if !self.go_on(bytes) {
                return Ok(false);
            }
            headers.next();
            bodies.next();
            if has_attributes {
                numbers.next();
            }
        }
        for rows in [&headers, &bodies, &numbers] {
            rows.status().map_err(EngineError::read)?;
        }
        if bodies.valid() || numbers.valid() {
            return inconsistent("a body or attributes belong to no header");
        }
        if (count, total_length) != (ns.row.documents, ns.row.total_length) {
            return inconsistent("a namespace's statistics are not those of its documents");
        }
        Ok(true)
    }

    /// Adds what the document's texts say that its postings are.
    fn derive(
        &mut self,
        ns: NamespaceNumber,
        ordinal: Ordinal,
        document: Seed,
        header: &Header,
        body: &str,
    ) -> Result<(), EngineError> {
        let texts = [header.title.as_str(), header.path.as_str(), body];
        let mut diff = Diff::between(&self.searcher.shared.analyzer, ["", "", ""], texts);
        for (token, pair) in diff.changed() {
            self.item.begin_list(Kind::Posting, token.as_bytes());
            self.derived.add(self.item.posting(document, pair.after));
        }
        for (words, pair) in diff.changed_pairs() {
            self.item.begin_list(Kind::PairPosting, words.as_bytes());
            self.derived.add(self.item.posting(document, pair.after));
        }
        if diff.length_after != header.length {
            return inconsistent("a stored length is not that of the texts");
        }
        if self.searcher.get(&keys::pairs(ns, ordinal))? != diff.pairs_row() {
            return inconsistent("the pairs of a body are not those of its text");
        }
        Ok(())
    }

    fn lists(&mut self, ns: &Namespace) -> Result<bool, EngineError> {
        for kind in Kind::POSTINGS {
            let recent = self.searcher.recent_rows(kind, ns.row.number, b"")?;
            let mut rows = Cursor::new(self.rows_of(kind, ns.row.number), None, recent);
            let whole = walk(&mut rows, &mut |list: &List<'_>| {
                self.item.begin_list(kind, list.token);
                for (ordinal, frequencies) in list.postings {
                    let Some(document) = ns.document(*ordinal) else {
                        return inconsistent("a posting belongs to no document");
                    };
                    self.postings.add(self.item.posting(document, *frequencies));
                }
                Ok(self.go_on(list.bytes))
            })?;
            if !whole {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// So many more bytes were read; whether to go on.
    fn go_on(&mut self, bytes: u64) -> bool {
        self.unreported += bytes;
        if self.unreported < SLICE_BYTES {
            return true;
        }
        (self.pace)(std::mem::take(&mut self.unreported))
    }

    fn rows_of(&self, kind: Kind, ns: NamespaceNumber) -> Rows<'a> {
        self.rows(keys::of_namespace(kind, ns), keys::after_namespace(kind, ns))
    }

    fn rows(&self, from: Vec<u8>, to: Vec<u8>) -> Rows<'a> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(to);
        options.set_verify_checksums(true);
        options.fill_cache(false);
        options.set_readahead_size(READAHEAD_BYTES);
        self.searcher.snapshot.raw_iterator_opt(options)
    }
}

impl Namespace {
    fn take(&mut self, ordinal: Ordinal, document: Seed) -> Result<(), EngineError> {
        if ordinal >= self.row.next_ordinal {
            return inconsistent("an ordinal was never given");
        }
        let place = usize::try_from(ordinal).unwrap_or(usize::MAX);
        if self.documents.len() <= place {
            self.documents.resize(place + 1, 0);
        }
        if std::mem::replace(&mut self.documents[place], document) != 0 {
            return inconsistent("two ids share an ordinal");
        }
        Ok(())
    }

    fn document(&self, ordinal: Ordinal) -> Option<Seed> {
        let place = usize::try_from(ordinal).ok()?;
        self.documents.get(place).copied().filter(|seed| *seed != 0)
    }
}

/// The row of length codes that was read last.
#[derive(Default)]
struct Lengths {
    key: Vec<u8>,
    codes: Vec<u8>,
}

impl Lengths {
    fn code(
        &mut self,
        searcher: &Searcher<'_>,
        ns: NamespaceNumber,
        ordinal: Ordinal,
    ) -> Result<u8, EngineError> {
        let key = keys::lengths(ns, ordinal);
        if self.key != key {
            self.codes = searcher.get(&key)?.unwrap_or_default();
            self.key = key;
        }
        let place = usize::try_from(ordinal % keys::LENGTHS_PER_ROW).unwrap_or(usize::MAX);
        Ok(self.codes.get(place).copied().unwrap_or(0))
    }
}

fn is_of(key: &[u8], ordinal: Ordinal) -> bool {
    keys::last_ordinal(key) == Some(ordinal)
}
