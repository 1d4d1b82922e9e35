//! Rebuilding a partition whose format or analyzer is old, from its stored fields, in a folder beside it.
//!
//! ```text
//! p0007            old, untouched until the new one is whole
//! p0007.rebuild    being written; thrown away if found unfinished
//! p0007.rebuilt    whole; takes the old one's place
//! p0007.old        the old one, between the two renames; then removed
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use nautilus_analysis::ANALYZER_VERSION;
use rocksdb::{IteratorMode, WriteBatch};

use crate::diff::Diff;
use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::partition::{
    FORMAT_VERSION, META_ANALYZER, META_APPLIED, META_FORMAT, META_NEXT_NUMBER, META_TOTALS,
    PartitionIdentity, Shared,
};
use crate::postings::{PostingWriter, RowWriter};
use crate::resources::Resources;
use crate::rows::Malformed;
use crate::rows::document::{self, Header};
use crate::rows::namespace::NamespaceRow;
use nautilus_query::scoring::encode_length;

/// Puts the folder into a state that can be opened, after a crash in the middle of a rebuild.
pub(crate) fn finish_interrupted(dir: &Path) -> Result<(), EngineError> {
    let (unfinished, whole, old) = beside(dir);
    remove(&unfinished)?;
    if whole.exists() {
        if dir.exists() {
            rename(dir, &old)?;
        }
        rename(&whole, dir)?;
    }
    remove(&old)
}

/// Writes the current format beside the old one and puts it in its place.
///
/// Numbers, ordinals, ids, versions, deletions and the applied offset stay; headers' lengths, length
/// codes, statistics and postings are derived again from the stored texts.
pub(crate) fn rebuild(
    old: Shared,
    identity: &PartitionIdentity,
    resources: &Resources,
) -> Result<Shared, EngineError> {
    let dir = old.dir().to_owned();
    let (unfinished, whole, _) = beside(&dir);
    let new = Shared::open(&unfinished, identity, resources)?;
    copy(&old, &new)?;
    new.flush()?;
    drop(new);
    drop(old);
    rename(&unfinished, &whole)?;
    finish_interrupted(&dir)?;
    Shared::open(&dir, identity, resources)
}

fn copy(old: &Shared, new: &Shared) -> Result<(), EngineError> {
    for item in old.db.iterator(IteratorMode::From(&[Kind::Namespace as u8], rocksdb::Direction::Forward)) {
        let (key, value) = item.map_err(EngineError::read)?;
        if key.first() != Some(&(Kind::Namespace as u8)) {
            break;
        }
        let mut row = NamespaceRow::decode(&value)?;
        if row.is_live {
            copy_namespace(old, new, &mut row)?;
        }
        let mut batch = WriteBatch::default();
        batch.put(&key, row.encode());
        new.write(batch)?;
    }
    let mut batch = WriteBatch::default();
    for name in [META_APPLIED, META_NEXT_NUMBER, META_TOTALS] {
        if let Some(value) = old.db.get(keys::meta(name)).map_err(EngineError::read)? {
            batch.put(keys::meta(name), value);
        }
    }
    batch.put(keys::meta(META_FORMAT), u64::from(FORMAT_VERSION).to_be_bytes());
    batch.put(keys::meta(META_ANALYZER), u64::from(ANALYZER_VERSION).to_be_bytes());
    new.write(batch)
}

fn copy_namespace(old: &Shared, new: &Shared, row: &mut NamespaceRow) -> Result<(), EngineError> {
    for_each_row(old, Kind::Id, row.number, |key, value| {
        let mut batch = WriteBatch::default();
        batch.put(key, value);
        new.write(batch)
    })?;
    row.total_length = 0;
    row.documents = 0;
    let ns = row.number;
    for_each_row(old, Kind::Header, ns, |key, value| {
        let ordinal = keys::last_ordinal(key).ok_or(Malformed { row: "header" })?;
        let header = Header::decode(value)?;
        let length = copy_document(old, new, ns, ordinal, header)?;
        row.total_length += u64::from(length);
        row.documents += 1;
        Ok(())
    })
}

/// Writes the document's rows anew; returns its length.
fn copy_document(
    old: &Shared,
    new: &Shared,
    ns: NamespaceNumber,
    ordinal: Ordinal,
    mut header: Header,
) -> Result<u32, EngineError> {
    let body = old.db.get(keys::body(ns, ordinal)).map_err(EngineError::read)?;
    let body = body.ok_or(EngineError::Missing { row: "body" })?;
    let text = document::decode_body(&body)?;
    let texts = [header.title.as_str(), header.path.as_str(), text];
    let diff = Diff::between(&new.analyzer, ["", "", ""], texts);
    let mut batch = WriteBatch::default();
    let mut postings = RowWriter::new();
    for (token, pair) in diff.changed() {
        postings.put(&mut batch, ns, token, ordinal, pair.after);
    }
    batch.put(keys::body(ns, ordinal), document::encode_body(text));
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
    let failed = |source| EngineError::Folder {
        operation: "rename",
        path: from.to_owned(),
        source,
    };
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
