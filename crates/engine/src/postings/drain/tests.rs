use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, PartitionId};

use super::*;
use crate::mutation::{Attributes, Mutation, Operation, Upsert};
use crate::partition::{Partition, PartitionIdentity};
use crate::{Depth, Digests, Writer};

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"drain-of-buffers",
    log_generation: LogGeneration(1),
    partition: PartitionId(3),
};

fn open(dir: &Path, write_buffers: usize) -> (Partition, Writer) {
    let resources = Resources::new(1 << 20, write_buffers);
    Partition::open(dir, &IDENTITY, &resources, |_| Attributes::default()).expect("opens")
}

fn apply(
    writer: &mut Writer,
    namespace: &str,
    operation: Operation,
) -> Result<Offset, EngineError> {
    let namespace = NamespaceName::new(namespace).expect("valid");
    let mutation = Mutation { namespace, incarnation: Incarnation(1), operation };
    let offset = writer.next_offset();
    writer.apply(offset, &mutation).map(|_| offset)
}

fn put(writer: &mut Writer, namespace: &str, id: u32, body: &str) -> Result<Offset, EngineError> {
    let upsert = Upsert {
        document_id: DocumentId::new(id.to_be_bytes()).expect("valid"),
        version: None,
        condition: None,
        content_hash: [0; 16],
        title: String::new(),
        path: String::new(),
        body: body.to_owned(),
        metadata: Vec::new(),
        attributes: Attributes::default(),
    };
    apply(writer, namespace, Operation::Upsert(upsert))
}

fn feed(writer: &mut Writer) {
    for id in 0..40 {
        let namespace = if id % 3 == 0 { "a" } else { "b" };
        let body = format!("of the fox {} and all of the {}", id % 5, id % 7);
        put(writer, namespace, id % 11, &body).expect("applies");
    }
}

/// As texts and lists agree on.
fn digests(partition: &Partition) -> Digests {
    let digests = partition.searcher().digests(Depth::Derive, &mut |_| true);
    digests.expect("sound").expect("goes on")
}

fn rows(partition: &Partition, kind: Kind) -> usize {
    let mut options = rocksdb::ReadOptions::default();
    options.set_iterate_lower_bound([kind as u8]);
    options.set_iterate_upper_bound([kind as u8 + 1]);
    let db = &partition.shared.db;
    let rows = db.iterator_opt(rocksdb::IteratorMode::Start, options);
    rows.inspect(|row| assert!(row.is_ok(), "reads")).count()
}

#[test]
fn lists_take_the_place_of_redo_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (partition, mut writer) = open(folder.path(), 1 << 20);
    feed(&mut writer);
    let fed = digests(&partition);
    assert_eq!(rows(&partition, Kind::Posting), 0);
    let redo = rows(&partition, Kind::Redo);
    assert!((20..=40).contains(&redo), "{redo}: a record that changes nothing has none");
    partition.write_lists().expect("writes");
    assert_eq!(rows(&partition, Kind::Redo), 0);
    assert!(rows(&partition, Kind::Posting) > 0 && rows(&partition, Kind::PairPosting) > 0);
    assert_eq!(digests(&partition), fed);
    drop((partition, writer));
    assert_eq!(digests(&open(folder.path(), 1 << 20).0), fed);
}

#[test]
fn lists_on_disk_are_not_ahead_of_other_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (killed, copied) = (folder.path().join("killed"), folder.path().join("copied"));
    let (partition, mut writer) = open(&killed, 1 << 20);
    feed(&mut writer);
    let fed = digests(&partition);
    partition.write_lists().expect("writes");
    // Nothing is written by closing.
    std::fs::create_dir(&copied).expect("creates");
    for file in std::fs::read_dir(&killed).expect("lists").flatten() {
        if file.file_name() != "LOCK" {
            std::fs::copy(file.path(), copied.join(file.file_name())).expect("copies");
        }
    }
    let (partition, writer) = open(&copied, 1 << 20);
    assert_eq!((digests(&partition), writer.next_offset()), (fed, fed.next_offset));
}

#[test]
fn an_end_between_lists_and_redo_rows_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (partition, mut writer) = open(folder.path(), 1 << 20);
    feed(&mut writer);
    let fed = digests(&partition);
    let frozen = partition.shared.buffers.freeze(writer.next_offset()).expect("changes");
    ingest(&partition.shared, &frozen).expect("ingests");
    assert_eq!(digests(&partition), fed, "laid on itself");
    drop((partition, writer, frozen));
    let (partition, mut writer) = open(folder.path(), 1 << 20);
    assert_eq!(digests(&partition), fed);
    put(&mut writer, "a", 0, "another fox").expect("applies");
    let later = digests(&partition);
    partition.compact().expect("compacts");
    assert_eq!(digests(&partition), later);
}

#[test]
fn a_namespace_that_ends_meanwhile_gets_no_rows_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (partition, mut writer) = open(folder.path(), 1 << 20);
    feed(&mut writer);
    let frozen = partition.shared.buffers.freeze(writer.next_offset()).expect("changes");
    put(&mut writer, "b", 50, "late fox").expect("applies");
    for namespace in ["a", "b"] {
        apply(&mut writer, namespace, Operation::DeleteNamespace).expect("applies");
    }
    run(&partition.shared, frozen).expect("writes");
    assert_eq!([Kind::Posting, Kind::PairPosting].map(|kind| rows(&partition, kind)), [0, 0]);
    // What filled meanwhile is of namespaces that are gone too.
    partition.write_lists().expect("writes");
    assert_eq!([Kind::Posting, Kind::Redo].map(|kind| rows(&partition, kind)), [0, 0]);
}

#[test]
fn a_namespace_that_ended_before_a_restart_gets_no_rows_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (partition, mut writer) = open(folder.path(), 1 << 20);
    feed(&mut writer);
    apply(&mut writer, "b", Operation::DeleteNamespace).expect("applies");
    let fed = digests(&partition);
    drop((partition, writer));
    let (partition, _writer) = open(folder.path(), 1 << 20);
    partition.write_lists().expect("writes");
    assert_eq!(digests(&partition), fed);
    let mut options = rocksdb::ReadOptions::default();
    // Whose number is the second.
    let ended = crate::keys::NamespaceNumber(1);
    options.set_iterate_lower_bound(keys::of_namespace(Kind::Posting, ended));
    options.set_iterate_upper_bound(keys::after_namespace(Kind::Posting, ended));
    let db = &partition.shared.db;
    assert_eq!(db.iterator_opt(rocksdb::IteratorMode::Start, options).count(), 0);
    assert!(rows(&partition, Kind::Posting) > 0);
}

#[test]
fn a_full_buffer_is_written_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let (partition, mut writer) = open(folder.path(), 64 << 10);
    let mut id = 0;
    while rows(&partition, Kind::Posting) == 0 {
        assert!(id < 10_000, "never written");
        put(&mut writer, "a", id, &format!("fox {id} and {}", id * 7)).expect("applies");
        id += 1;
    }
    digests(&partition);
}

#[test]
fn what_cannot_be_written_stops_the_writer_and_is_not_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (partition, mut writer) = open(folder.path(), 64 << 10);
    // Where files of lists would be made.
    let in_the_way = folder.path().join(FILES[0].1);
    std::fs::create_dir(&in_the_way).expect("creates");
    let mut applied = 0;
    let error = loop {
        assert!(applied < 100_000, "never stops");
        match put(&mut writer, "a", applied, &format!("fox {applied} and {}", applied * 7)) {
            Ok(_) => applied += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, EngineError::Storage { .. }), "{error:?}");
    let next = put(&mut writer, "a", 0, "later");
    assert!(matches!(next, Err(EngineError::WriterStopped { .. })));
    let fed = digests(&partition);
    assert_eq!(fed.document_count, u64::from(applied));
    assert!(partition.write_lists().is_err());
    drop((partition, writer));
    std::fs::remove_dir(&in_the_way).expect("removes");
    let (partition, mut writer) = open(folder.path(), 64 << 10);
    assert_eq!(digests(&partition), fed);
    put(&mut writer, "a", 0, "later").expect("goes on");
    partition.write_lists().expect("writes");
    digests(&partition);
}
