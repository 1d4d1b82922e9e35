//! Rebuilding a partition whose format is old, or whose analyzer is another than wanted, from its stored fields, in a
//! folder beside it.
//!
//! ```text
//! p0007            old, untouched until the new one is whole
//! p0007.rebuild    being written; thrown away if found unfinished
//! p0007.rebuilt    whole; takes the old one's place
//! p0007.old        the old one, between the two renames; then removed
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nautilus_analysis::Analyzer;
use rocksdb::{IteratorMode, WriteBatch};

use crate::bulk::BulkBuilder;
use crate::diff::Diff;
use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::mutation::Attributes;
use crate::partition::{
    FORMAT_VERSION, META_ANALYZER, META_APPLIED, META_BUILD, META_FORMAT, META_NEXT_NUMBER,
    META_TOTALS, Partition, PartitionIdentity, Shared,
};
use crate::postings::{ChunkWriter, PostingWriter, Term};
use crate::resources::Resources;
use crate::rows::document::{self, Header};
use crate::rows::id::IdRow;
use crate::rows::namespace::NamespaceRow;
use crate::rows::{Malformed, attributes};
use crate::skipped;
use nautilus_query::scoring::encode_length;

/// Memory of a rebuild: what a leaf has beside its searches.
const BUILD_BYTES: usize = 128 << 20;
/// The format whose documents had neither attribute rows nor the offset of their last change in the header.
const FORMAT_WITHOUT_ATTRIBUTES: u32 = 1;

/// Puts the folder into a state that can be opened, after a crash in the middle of a rebuild.
pub(crate) fn finish_interrupted(dir: &Path) -> Result<(), EngineError> {
    let (unfinished, whole, old) = beside(dir);
    remove(&unfinished)?;
    BulkBuilder::discard(&unfinished)?;
    if whole.exists() {
        if dir.exists() {
            rename(dir, &old)?;
        }
        rename(&whole, dir)?;
    }
    remove(&old)
}

/// A folder of an older format, or of another analyzer.
pub(crate) struct Old {
    pub(crate) shared: Shared,
    pub(crate) format: u32,
    /// Decodes stored metadata, for formats that kept no attributes.
    pub(crate) attributes_of: fn(&[u8]) -> Attributes,
}

impl Old {
    /// The header as it is now; of format 1 its last change is that of its id row, which may be later but never earlier.
    fn header(&self, ns: NamespaceNumber, row: &[u8]) -> Result<Header, EngineError> {
        if self.format > FORMAT_WITHOUT_ATTRIBUTES {
            return Ok(Header::decode(row)?);
        }
        let mut header = Header::decode_format_1(row, 0)?;
        let id = self.get(&keys::id(ns, &header.document_id))?;
        let id = id.ok_or(EngineError::Missing { row: "id" })?;
        header.changed_at = IdRow::decode(&id)?.offset;
        Ok(header)
    }

    /// The attribute row, if the document has one.
    fn attributes(
        &self,
        ns: NamespaceNumber,
        ordinal: Ordinal,
        header: &Header,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        if self.format > FORMAT_WITHOUT_ATTRIBUTES {
            return self.get(&keys::attributes(ns, ordinal));
        }
        Ok(attributes::encode(&(self.attributes_of)(&header.metadata)))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.shared.db.get(key).map_err(EngineError::read)
    }
}

/// Writes the current format with `analyzer` beside the old one and puts it in its place.
///
/// Ids, versions, deletions and the applied offset stay; headers' lengths, length codes, statistics and postings are
/// derived again from the stored texts.
pub(crate) fn rebuild(
    old: Old,
    identity: &PartitionIdentity,
    analyzer: Analyzer,
    resources: &Resources,
) -> Result<Shared, EngineError> {
    let dir = old.shared.dir().to_owned();
    let (unfinished, whole, _) = beside(&dir);
    if old.format > FORMAT_WITHOUT_ATTRIBUTES {
        build(old.shared, &unfinished, identity, analyzer, resources)?;
    } else {
        let new = Shared::open(&unfinished, identity, analyzer, resources)?;
        copy(&old, &new)?;
        new.flush()?;
        drop(old);
    }
    rename(&unfinished, &whole)?;
    finish_interrupted(&dir)?;
    Shared::open(&dir, identity, analyzer, resources)
}

/// Of documents that are stored as they are now only the tokens change: they are built at once.
fn build(
    old: Shared,
    dir: &Path,
    identity: &PartitionIdentity,
    analyzer: Analyzer,
    resources: &Resources,
) -> Result<(), EngineError> {
    let old = Partition { shared: Arc::new(old) };
    let mut builder = BulkBuilder::create(dir, identity, analyzer, resources, BUILD_BYTES)?;
    let next_offset = builder.add_partition(&old)?;
    builder.finish(next_offset)?;
    let new = Shared::open(dir, identity, analyzer, resources)?;
    if let Some(build) = old.shared.db.get(keys::meta(META_BUILD)).map_err(EngineError::read)? {
        let mut batch = WriteBatch::default();
        batch.put(keys::meta(META_BUILD), build);
        new.write(batch)?;
    }
    new.flush()?;
    Ok(())
}

fn copy(old: &Old, new: &Shared) -> Result<(), EngineError> {
    let mut postings = ChunkWriter::new();
    for item in old
        .shared
        .db
        .iterator(IteratorMode::From(&[Kind::Namespace as u8], rocksdb::Direction::Forward))
    {
        let (key, value) = item.map_err(EngineError::read)?;
        if key.first() != Some(&(Kind::Namespace as u8)) {
            break;
        }
        let mut row = NamespaceRow::decode(&value)?;
        if row.is_live {
            copy_namespace(old, new, &mut postings, &mut row)?;
        }
        let mut batch = WriteBatch::default();
        batch.put(&key, row.encode());
        new.write(batch)?;
    }
    let mut batch = WriteBatch::default();
    for name in [META_APPLIED, META_NEXT_NUMBER, META_TOTALS, META_BUILD] {
        if let Some(value) = old.get(&keys::meta(name))? {
            batch.put(keys::meta(name), value);
        }
    }
    for skipped in skipped::rows(&old.shared.db, usize::MAX)? {
        batch.put(keys::skipped(skipped.offset), skipped.reason);
    }
    batch.put(keys::meta(META_FORMAT), u64::from(FORMAT_VERSION).to_be_bytes());
    let analyzer = u64::from(new.analyzer.version());
    batch.put(keys::meta(META_ANALYZER), analyzer.to_be_bytes());
    new.write(batch)
}

fn copy_namespace(
    old: &Old,
    new: &Shared,
    postings: &mut ChunkWriter,
    row: &mut NamespaceRow,
) -> Result<(), EngineError> {
    for_each_row(&old.shared, Kind::Id, row.number, |key, value| {
        let mut batch = WriteBatch::default();
        batch.put(key, value);
        new.write(batch)
    })?;
    row.total_length = 0;
    row.documents = 0;
    let ns = row.number;
    for_each_row(&old.shared, Kind::Header, ns, |key, value| {
        let ordinal = keys::last_ordinal(key).ok_or(Malformed { row: "header" })?;
        let header = old.header(ns, value)?;
        let length = copy_document(old, new, postings, (ns, ordinal), header)?;
        row.total_length += u64::from(length);
        row.documents += 1;
        Ok(())
    })
}

/// Writes the document's rows anew; returns its length.
fn copy_document(
    old: &Old,
    new: &Shared,
    postings: &mut ChunkWriter,
    (ns, ordinal): (NamespaceNumber, Ordinal),
    mut header: Header,
) -> Result<u32, EngineError> {
    let body = old.get(&keys::body(ns, ordinal))?;
    let body = body.ok_or(EngineError::Missing { row: "body" })?;
    let text = document::decode_body(&body)?;
    let texts = [header.title.as_str(), header.path.as_str(), text];
    let mut diff = Diff::between(&new.analyzer, ["", "", ""], texts);
    let mut batch = WriteBatch::default();
    for (token, pair) in diff.changed() {
        postings.put(&mut batch, ns, Term::Token(token), ordinal, pair.after);
    }
    for (words, pair) in diff.changed_pairs() {
        postings.put(&mut batch, ns, Term::Pair(&words), ordinal, pair.after);
    }
    batch.put(keys::body(ns, ordinal), document::encode_body(text));
    if let Some(row) = diff.pairs_row() {
        batch.put(keys::pairs(ns, ordinal), row);
    }
    if let Some(row) = old.attributes(ns, ordinal, &header)? {
        batch.put(keys::attributes(ns, ordinal), row);
    }
    header.length = diff.length_after;
    batch.put(keys::header(ns, ordinal), header.encode());
    let lengths = keys::lengths(ns, ordinal);
    let row = new.db.get(&lengths).map_err(EngineError::read)?.unwrap_or_default();
    batch.put(lengths, keys::with_length_code(row, ordinal, encode_length(header.length)));
    new.write(batch)?;
    Ok(header.length)
}

fn for_each_row(
    shared: &Shared,
    kind: Kind,
    ns: NamespaceNumber,
    mut f: impl FnMut(&[u8], &[u8]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut options = rocksdb::ReadOptions::default();
    options.set_iterate_upper_bound(keys::after_namespace(kind, ns));
    let mut rows = shared.db.raw_iterator_opt(options);
    rows.seek(keys::of_namespace(kind, ns));
    while let Some((key, value)) = rows.item() {
        f(key, value)?;
        rows.next();
    }
    rows.status().map_err(EngineError::read)
}

/// The folders of a rebuild: unfinished, whole, old.
fn beside(dir: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let with = |suffix: &str| {
        let mut name = dir.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    (with(".rebuild"), with(".rebuilt"), with(".old"))
}

fn rename(from: &Path, to: &Path) -> Result<(), EngineError> {
    let failed =
        |source| EngineError::Folder { operation: "rename", path: from.to_owned(), source };
    fs::rename(from, to).map_err(failed)?;
    // The rename itself must survive a loss of power before anything that relies on it.
    match to.parent() {
        Some(parent) => fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed),
        None => Ok(()),
    }
}

fn remove(dir: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::Folder { operation: "remove", path: dir.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
