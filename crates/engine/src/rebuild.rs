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

use nautilus_analysis::Analyzer;
use rocksdb::{IteratorMode, WriteBatch};

use crate::diff::Diff;
use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::mutation::Attributes;
use crate::partition::{
    FORMAT_VERSION, META_ANALYZER, META_APPLIED, META_BUILD, META_FORMAT, META_NEXT_NUMBER,
    META_TOTALS, PartitionIdentity, Shared,
};
use crate::postings::{ChunkWriter, PostingWriter, Term};
use crate::resources::Resources;
use crate::rows::document::{self, Header};
use crate::rows::id::IdRow;
use crate::rows::namespace::NamespaceRow;
use crate::rows::{Malformed, attributes};
use crate::skipped;
use nautilus_query::scoring::encode_length;

/// The format whose documents had neither attribute rows nor the offset of their last change in the header.
const FORMAT_WITHOUT_ATTRIBUTES: u32 = 1;

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
/// Numbers, ordinals, ids, versions, deletions and the applied offset stay; headers' lengths, length
/// codes, statistics and postings are derived again from the stored texts.
pub(crate) fn rebuild(
    old: Old,
    identity: &PartitionIdentity,
    analyzer: Analyzer,
    resources: &Resources,
) -> Result<Shared, EngineError> {
    let dir = old.shared.dir().to_owned();
    let (unfinished, whole, _) = beside(&dir);
    let new = Shared::open(&unfinished, identity, analyzer, resources)?;
    copy(&old, &new)?;
    new.flush()?;
    drop(new);
    drop(old);
    rename(&unfinished, &whole)?;
    finish_interrupted(&dir)?;
    Shared::open(&dir, identity, analyzer, resources)
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
        postings.put(&new.db, &mut batch, ns, Term::Token(token), ordinal, pair.after)?;
    }
    for (words, pair) in diff.changed_pairs() {
        postings.put(&new.db, &mut batch, ns, Term::Pair(&words), ordinal, pair.after)?;
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
mod tests {
    use nautilus_query::{FieldSet, Node};
    use nautilus_types::{
        DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId,
    };

    use super::*;
    use crate::mutation::{Delete, Mutation, Operation, Upsert};
    use crate::search::{ScopeEntry, SearchRequest, Unlimited};
    use crate::{Depth, Digests, Partition, Writer};

    const IDENTITY: PartitionIdentity = PartitionIdentity {
        cluster_id: [3; 16],
        log_generation: LogGeneration(1),
        partition: PartitionId(7),
    };

    fn no_attributes(_: &[u8]) -> Attributes {
        Attributes::default()
    }

    fn open(dir: &Path, resources: &Resources) -> Result<(Partition, Writer), EngineError> {
        Partition::open(dir, &IDENTITY, resources, no_attributes)
    }

    fn name() -> NamespaceName {
        NamespaceName::new("team").expect("valid")
    }

    fn id(id: &str) -> DocumentId {
        DocumentId::new(id).expect("valid")
    }

    fn feed(writer: &mut Writer) {
        let operations = [
            upsert("1", "red fox"),
            upsert("2", "red wolf"),
            upsert("3", "grey wolf"),
            Operation::Delete(Delete { document_id: id("3"), version: Some(9), condition: None }),
        ];
        for (offset, operation) in (10..).zip(operations) {
            let (namespace, incarnation) = (name(), Incarnation(2));
            let mutation = Mutation { namespace, incarnation, operation };
            writer.apply(Offset(offset), &mutation).expect("applies");
        }
        writer.flush().expect("flushes");
    }

    fn upsert(document_id: &str, body: &str) -> Operation {
        Operation::Upsert(Upsert {
            document_id: id(document_id),
            version: None,
            condition: None,
            content_hash: [1; 16],
            title: String::new(),
            path: String::new(),
            body: body.to_owned(),
            metadata: vec![5],
            attributes: Attributes { size_bytes: Some(7), ..Attributes::default() },
        })
    }

    fn hits(partition: &Partition, token: &str) -> Vec<String> {
        let scope = [ScopeEntry { namespace: name(), incarnation: Incarnation(2) }];
        let query = Node::Term { fields: FieldSet::ALL, token: token.to_owned() };
        let request = SearchRequest::new(&scope, &query, 10);
        let found = partition.searcher().search(&request, &mut Unlimited).expect("finds");
        assert_eq!(found.statistics.documents, 2);
        assert_eq!(found.statistics.total_length, 4);
        found.candidates.iter().map(|hit| hit.document_id.to_lossy()).collect()
    }

    /// Makes the folder look as an older analyzer left it: other postings, other lengths.
    fn age(dir: &Path, resources: &Resources) {
        let shared = Shared::open(dir, &IDENTITY, Analyzer::new(), resources).expect("opens");
        let mut batch = WriteBatch::default();
        batch.put(keys::meta(META_ANALYZER), 0_u64.to_be_bytes());
        let ns = NamespaceNumber(0);
        batch.delete_range([Kind::Posting as u8], [Kind::Posting as u8 + 1]);
        batch.put(keys::posting_chunk(Kind::Posting, ns, b"stale", 0), [0, 0, 0b0000_1100]);
        shared.write(batch).expect("writes");
        shared.flush().expect("flushes");
    }

    #[test]
    fn an_old_partition_is_rebuilt_from_its_stored_fields() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("p7");
        let resources = Resources::new(1 << 20, 1 << 20);
        {
            let (_, mut writer) = open(&dir, &resources).expect("opens");
            feed(&mut writer);
        }
        age(&dir, &resources);
        let (partition, mut writer) = open(&dir, &resources).expect("rebuilds");
        assert_eq!(hits(&partition, "red"), ["1", "2"]);
        assert_eq!(hits(&partition, "stale"), [""; 0]);
        // Attributes are kept, and not read from the metadata again.
        let stored =
            |ordinal| partition.shared.db.get(keys::attributes(NamespaceNumber(0), ordinal));
        let seven = Attributes { size_bytes: Some(7), ..Attributes::default() };
        assert_eq!(stored(0).expect("reads"), attributes::encode(&seven));
        assert_eq!(stored(2).expect("reads"), None);
        assert_eq!(writer.next_offset(), Offset(14));
        // The deleted document's version is still known.
        let operation =
            Operation::Delete(Delete { document_id: id("3"), version: Some(9), condition: None });
        let mutation = Mutation { namespace: name(), incarnation: Incarnation(2), operation };
        let outcome = writer.apply(writer.next_offset(), &mutation).expect("applies");
        assert_eq!(outcome, crate::Outcome::StaleVersion);
    }

    #[test]
    fn another_analyzer_is_taken_when_asked_for_and_kept_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("p7");
        let resources = Resources::new(1 << 20, 1 << 20);
        assert_eq!(Partition::build_of_folder(&dir).expect("readable"), None);
        {
            let (partition, mut writer) = open(&dir, &resources).expect("opens");
            feed(&mut writer);
            partition.set_build("b2").expect("written");
        }
        let digests = |partition: &Partition| {
            let searcher = partition.searcher();
            searcher.digests(Depth::Derive, &mut |_| true).expect("sound").expect("goes on")
        };
        let first = {
            let (partition, _) = open(&dir, &resources).expect("opens");
            assert_eq!(hits(&partition, "foxes"), [""; 0]);
            digests(&partition)
        };
        let singular = Analyzer::of(2).expect("there is one");
        let open_with =
            |analyzer| Partition::open_with(&dir, &IDENTITY, analyzer, &resources, no_attributes);
        {
            let (partition, mut writer) = open_with(singular).expect("rebuilds");
            assert_eq!(hits(&partition, "foxes"), ["1"]);
            let more = |body| {
                let operation = upsert("1", body);
                Mutation { namespace: name(), incarnation: Incarnation(2), operation }
            };
            writer.apply(Offset(14), &more("red foxes")).expect("applies");
            assert_eq!(hits(&partition, "fox"), ["1"]);
            writer.apply(Offset(15), &more("red fox")).expect("applies");
            let second = digests(&partition);
            assert_eq!((first.analyzer_version, second.analyzer_version), (1, 2));
            assert_eq!(first.documents, second.documents);
            writer.flush().expect("flushes");
        }
        {
            // Nobody says which: it stays.
            let (partition, _) = open(&dir, &resources).expect("opens");
            assert_eq!((partition.analyzer().version(), hits(&partition, "foxes").len()), (2, 1));
        }
        let (partition, _) = open_with(Analyzer::new()).expect("rebuilds");
        assert_eq!(Digests { next_offset: first.next_offset, ..digests(&partition) }, first);
        assert_eq!(partition.build().expect("readable"), "b2");
        drop(partition);
        assert_eq!(Partition::build_of_folder(&dir).expect("readable").as_deref(), Some("b2"));
    }

    #[test]
    fn a_rebuild_interrupted_anywhere_loses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let resources = Resources::new(1 << 20, 1 << 20);
        let made = folder.path().join("made");
        {
            let (_, mut writer) = open(&made, &resources).expect("opens");
            feed(&mut writer);
        }
        // What a crash leaves: (folders with the partition, folders with rubbish).
        let states: [(&[&str], &[&str]); 5] = [
            (&["p7"], &["p7.rebuild"]),
            (&["p7", "p7.rebuilt"], &[]),
            (&["p7.old", "p7.rebuilt"], &[]),
            (&["p7", "p7.old"], &[]),
            (&["p7"], &[]),
        ];
        for (whole, rubbish) in states {
            let root = tempfile::tempdir().expect("a folder");
            for folder in whole {
                let to = root.path().join(folder);
                fs::create_dir(&to).expect("creates");
                for file in fs::read_dir(&made).expect("lists").flatten() {
                    fs::copy(file.path(), to.join(file.file_name())).expect("copies");
                }
            }
            for folder in rubbish {
                fs::create_dir(root.path().join(folder)).expect("creates");
                fs::write(root.path().join(folder).join("CURRENT"), "rubbish").expect("writes");
            }
            let dir = root.path().join("p7");
            let (partition, _) = open(&dir, &resources).expect("opens");
            assert_eq!(hits(&partition, "wolf"), ["2"], "{whole:?} {rubbish:?}");
            let left = fs::read_dir(root.path()).expect("lists").count();
            assert_eq!(left, 1, "{whole:?} {rubbish:?}");
        }
    }

    #[test]
    fn another_identity_and_a_newer_format_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("p7");
        let resources = Resources::new(1 << 20, 1 << 20);
        drop(open(&dir, &resources).expect("opens"));
        let other = PartitionIdentity { partition: PartitionId(8), ..IDENTITY };
        let refused =
            Partition::open(&dir, &other, &resources, no_attributes).err().expect("refused");
        assert!(matches!(refused, EngineError::OtherIdentity { .. }), "{refused}");
        {
            let shared = Shared::open(&dir, &IDENTITY, Analyzer::new(), &resources).expect("opens");
            let mut batch = WriteBatch::default();
            batch.put(keys::meta(META_FORMAT), 99_u64.to_be_bytes());
            shared.write(batch).expect("writes");
            shared.flush().expect("flushes");
        }
        let refused = open(&dir, &resources).err().expect("refused");
        assert!(matches!(refused, EngineError::NewerFormat { .. }), "{refused}");
    }
}
