//! Reading one snapshot: documents by id, ids in order. Searching is in `search`.

use std::sync::OnceLock;

use nautilus_types::{DocumentId, Offset};
use rocksdb::{DBPinnableSlice, ReadOptions};

use crate::error::EngineError;
use crate::keys::{self, Chunk, Kind, NamespaceNumber, Ordinal};
use crate::partition::{META_APPLIED, Shared};
use crate::postings::{Row, Term, View};
use crate::rows::Malformed;
use crate::rows::document::{self, Header};
use crate::rows::id::IdRow;
use crate::rows::namespace::NamespaceRow;
use crate::search::ScopeEntry;

/// A view of the partition at one moment, from one RocksDB snapshot.
pub struct Searcher<'a> {
    pub(crate) shared: &'a Shared,
    /// Of single reads: made once, since making them costs as much as a tenth of a read.
    options: ReadOptions,
    pub(crate) snapshot: rocksdb::Snapshot<'a>,
    /// What changed since lists were written.
    recent: View,
    /// Once it is known.
    label: OnceLock<Offset>,
}

/// A document as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// Its id within the namespace.
    pub document_id: DocumentId,
    /// Of the last mutation that applied to it.
    pub version: Option<u64>,
    /// As that mutation said.
    pub content_hash: [u8; 16],
    /// Its title.
    pub title: String,
    /// Its path.
    pub path: String,
    /// Its text, where asked for.
    pub body: Option<String>,
    /// Opaque.
    pub metadata: Vec<u8>,
}

/// A document's id row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDocument {
    /// Its id within the namespace.
    pub document_id: DocumentId,
    /// Of the last mutation that applied to it.
    pub version: Option<u64>,
    /// As that mutation said.
    pub content_hash: [u8; 16],
}

impl<'a> Searcher<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        let (snapshot, recent) = shared.buffers.snapshot(&shared.db);
        let mut options = ReadOptions::default();
        options.set_snapshot(&snapshot);
        Self { shared, options, snapshot, recent, label: OnceLock::new() }
    }

    /// Every record below this offset is visible here, none at or above it.
    pub fn next_offset(&self) -> Result<Offset, EngineError> {
        if let Some(label) = self.label.get() {
            return Ok(*label);
        }
        let label = self.read_label()?;
        Ok(*self.label.get_or_init(|| label))
    }

    fn read_label(&self) -> Result<Offset, EngineError> {
        let labels = &self.shared.labels;
        if let Some(offset) = labels.next_offset(self.snapshot.sequence_number()) {
            return Ok(offset);
        }
        let Some(bytes) = self.get_pinned(&keys::meta(META_APPLIED))? else {
            return Ok(Offset(0));
        };
        let bytes = (*bytes).try_into().map_err(|_| Malformed { row: "meta" })?;
        Ok(Offset(u64::from_be_bytes(bytes)))
    }

    /// The document, if it exists in this incarnation of the namespace.
    pub fn fetch(
        &self,
        entry: &ScopeEntry,
        document_id: &DocumentId,
        include_body: bool,
    ) -> Result<Option<StoredDocument>, EngineError> {
        let Some(ns) = self.namespace(entry)? else { return Ok(None) };
        let Some(row) = self.get(&keys::id(ns.number, document_id.as_bytes()))? else {
            return Ok(None);
        };
        let row = IdRow::decode(&row)?;
        let Some(live) = row.live else { return Ok(None) };
        let header = self.header(ns.number, live.ordinal)?;
        let body = if include_body { Some(self.body(ns.number, live.ordinal)?) } else { None };
        Ok(Some(StoredDocument {
            document_id: document_id.clone(),
            version: row.version,
            content_hash: live.content_hash,
            title: header.title,
            path: header.path,
            body,
            metadata: header.metadata,
        }))
    }

    /// Up to `limit` live documents with ids above `after`, in the order of their ids.
    pub fn list(
        &self,
        entry: &ScopeEntry,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<ListedDocument>, EngineError> {
        let Some(ns) = self.namespace(entry)? else { return Ok(Vec::new()) };
        let start = match after {
            // The smallest key above the id's own.
            Some(after) => [keys::id(ns.number, after), vec![0]].concat(),
            None => keys::of_namespace(Kind::Id, ns.number),
        };
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(keys::after_namespace(Kind::Id, ns.number));
        let mut rows = self.snapshot.raw_iterator_opt(options);
        rows.seek(&start);
        let mut documents = Vec::new();
        while documents.len() < limit {
            let Some((key, value)) = rows.item() else { break };
            let row = IdRow::decode(value)?;
            if let Some(live) = row.live {
                let document_id = keys::document_id_of(key).unwrap_or_default();
                documents.push(ListedDocument {
                    document_id: DocumentId::new(document_id)
                        .map_err(|_| Malformed { row: "id" })?,
                    version: row.version,
                    content_hash: live.content_hash,
                });
            }
            rows.next();
        }
        rows.status().map_err(EngineError::read)?;
        Ok(documents)
    }

    /// The namespace's row, if this is its current, live incarnation.
    pub(crate) fn namespace(
        &self,
        entry: &ScopeEntry,
    ) -> Result<Option<NamespaceRow>, EngineError> {
        let row = self.namespace_row(entry.namespace.as_bytes())?;
        Ok(row.filter(|row| row.is_live && row.incarnation == entry.incarnation.0))
    }

    fn namespace_row(&self, name: &[u8]) -> Result<Option<NamespaceRow>, EngineError> {
        let (labels, label) = (&self.shared.labels, self.next_offset()?);
        if let Some(row) = labels.row(name, label) {
            return Ok(Some(row));
        }
        let Some(bytes) = self.get_pinned(&keys::namespace(name))? else { return Ok(None) };
        let row = NamespaceRow::decode(&bytes)?;
        labels.insert(name, label, row);
        Ok(Some(row))
    }

    pub(crate) fn header(
        &self,
        ns: NamespaceNumber,
        ordinal: Ordinal,
    ) -> Result<Header, EngineError> {
        let bytes = self.get(&keys::header(ns, ordinal))?;
        Ok(Header::decode(&bytes.ok_or(EngineError::Missing { row: "header" })?)?)
    }

    pub(crate) fn body(
        &self,
        ns: NamespaceNumber,
        ordinal: Ordinal,
    ) -> Result<String, EngineError> {
        let bytes = self.get(&keys::body(ns, ordinal))?;
        let bytes = bytes.ok_or(EngineError::Missing { row: "body" })?;
        Ok(document::decode_body(&bytes)?.to_owned())
    }

    /// Whether any posting of the namespace changed since lists were written.
    pub(crate) fn has_recent(&self, ns: NamespaceNumber) -> bool {
        self.recent.has(ns)
    }

    /// The changes of a term's postings since lists were written, by chunk, ascending.
    pub(crate) fn recent_chunks(
        &self,
        ns: NamespaceNumber,
        term: Term<'_>,
    ) -> Result<Vec<(Chunk, Vec<u8>)>, EngineError> {
        Ok(self.recent.chunks(ns, term, self.next_offset()?))
    }

    /// Those of all terms that begin with `prefix`, in the order of keys.
    pub(crate) fn recent_rows(
        &self,
        kind: Kind,
        ns: NamespaceNumber,
        prefix: &[u8],
    ) -> Result<Vec<Row>, EngineError> {
        Ok(self.recent.rows(kind, ns, prefix, self.next_offset()?))
    }

    /// The value where it stands in RocksDB's memory.
    pub(crate) fn get_pinned(
        &self,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, EngineError> {
        self.shared.db.get_pinned_opt(key, &self.options).map_err(EngineError::read)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.get_pinned(key)?.map(|value| value.to_vec()))
    }
}
