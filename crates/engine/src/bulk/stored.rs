//! What another partition holds, as the beginning of a build: documents, what is remembered of deleted ones, and
//! namespaces that ended. Its postings are not read: they are derived from the texts again.

use nautilus_types::{Incarnation, Offset};
use rocksdb::DBRawIteratorWithThreadMode;

use super::BulkBuilder;
use super::documents::NewDocument;
use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::mutation::Attributes;
use crate::partition::Partition;
use crate::read::Searcher;
use crate::rows::document::{self, Header};
use crate::rows::id::IdRow;
use crate::rows::namespace::NamespaceRow;
use crate::rows::{Malformed, attributes};

type Rows<'a> = DBRawIteratorWithThreadMode<'a, rocksdb::DB>;

impl BulkBuilder {
    /// Adds all of `from` at one moment, before any other document; returns that moment's offset, at which
    /// [`Self::finish`] lets the log go on.
    pub fn add_partition(&mut self, from: &Partition) -> Result<Offset, EngineError> {
        let searcher = from.searcher();
        let mut rows = rows(&searcher, &[Kind::Namespace as u8], &[Kind::Namespace as u8 + 1]);
        while let Some((key, value)) = rows.item() {
            let name = key.get(1..).unwrap_or_default();
            let row = NamespaceRow::decode(value)?;
            if row.is_live {
                self.add_namespace(&searcher, name, &row)?;
            } else {
                self.namespaces.end(name, row.incarnation)?;
            }
            rows.next();
        }
        rows.status().map_err(EngineError::read)?;
        self.skipped.extend(from.skipped(usize::MAX)?);
        searcher.next_offset()
    }

    fn add_namespace(
        &mut self,
        from: &Searcher<'_>,
        name: &[u8],
        row: &NamespaceRow,
    ) -> Result<(), EngineError> {
        // Also where it holds no documents.
        let at = self.namespaces.begin(name, row.incarnation)?;
        let number = self.namespaces.number(at);
        let mut ids: Vec<(Ordinal, IdRow)> = Vec::new();
        for_each(from, Kind::Id, row.number, |key, value| {
            let id = IdRow::decode(value)?;
            match id.live {
                Some(live) => ids.push((live.ordinal, id)),
                None => {
                    let name = keys::document_id_of(key).ok_or(Malformed { row: "id" })?;
                    self.spools.put_deleted(number, name, &id)?;
                }
            }
            Ok(())
        })?;
        ids.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        let mut bodies = namespace_rows(from, Kind::Body, row.number);
        let mut ids = ids.into_iter();
        for_each(from, Kind::Header, row.number, |key, value| {
            let ordinal = keys::last_ordinal(key).ok_or(Malformed { row: "header" })?;
            let header = Header::decode(value)?;
            let id = ids.next().filter(|(of, _)| *of == ordinal);
            let (_, id) = id.ok_or(EngineError::Missing { row: "id" })?;
            let body = bodies.item().filter(|(key, _)| keys::last_ordinal(key) == Some(ordinal));
            let (_, body) = body.ok_or(EngineError::Missing { row: "body" })?;
            let attributes = match from.get_pinned(&keys::attributes(row.number, ordinal))? {
                Some(row) => attributes::decode(&row)?,
                None => Attributes::default(),
            };
            let document = NewDocument {
                id: &header.document_id,
                version: id.version,
                content_hash: id.live.map_or([0; 16], |live| live.content_hash),
                offset: Offset(id.offset),
                changed_at: Offset(header.changed_at),
                texts: [&header.title, &header.path, document::decode_body(body)?],
                metadata: &header.metadata,
                attributes,
            };
            self.add_document(name, Incarnation(row.incarnation), &document)?;
            bodies.next();
            Ok(())
        })?;
        bodies.status().map_err(EngineError::read)
    }
}

fn for_each(
    from: &Searcher<'_>,
    kind: Kind,
    ns: NamespaceNumber,
    mut f: impl FnMut(&[u8], &[u8]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut rows = namespace_rows(from, kind, ns);
    while let Some((key, value)) = rows.item() {
        f(key, value)?;
        rows.next();
    }
    rows.status().map_err(EngineError::read)
}

fn namespace_rows<'a>(from: &'a Searcher<'_>, kind: Kind, ns: NamespaceNumber) -> Rows<'a> {
    rows(from, &keys::of_namespace(kind, ns), &keys::after_namespace(kind, ns))
}

/// An iterator on the first of the rows from `start` to `end`.
fn rows<'a>(from: &'a Searcher<'_>, start: &[u8], end: &[u8]) -> Rows<'a> {
    let mut options = rocksdb::ReadOptions::default();
    options.set_iterate_upper_bound(end);
    // Read once: what searches need stays.
    options.fill_cache(false);
    let mut rows = from.snapshot.raw_iterator_opt(options);
    rows.seek(start);
    rows
}
