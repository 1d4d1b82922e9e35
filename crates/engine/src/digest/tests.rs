use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, PartitionId};
use rocksdb::WriteBatch;

use super::*;
use crate::keys::{self, NamespaceNumber};
use crate::mutation::{Attributes, Delete, Mutation, Operation, Upsert};
use crate::postings::{ChunkWriter, PostingWriter, Term};
use crate::rows::document;
use crate::rows::posting::Frequencies;
use crate::{Partition, PartitionIdentity, Resources, Writer};

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: [3; 16],
    log_generation: LogGeneration(1),
    partition: PartitionId(7),
};
/// The only namespace's.
const NS: NamespaceNumber = NamespaceNumber(0);

struct World {
    _folder: tempfile::TempDir,
    partition: Partition,
    writer: Writer,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let resources = Resources::new(1 << 20, 1 << 20);
        let opened =
            Partition::open(folder.path(), &IDENTITY, &resources, |_| Attributes::default());
        let (partition, writer) = opened.expect("opens");
        Self { _folder: folder, partition, writer }
    }

    fn apply(&mut self, operation: Operation) {
        let namespace = NamespaceName::new("team").expect("valid");
        let mutation = Mutation { namespace, incarnation: Incarnation(2), operation };
        self.writer.apply(self.writer.next_offset(), &mutation).expect("applies");
    }

    fn upsert(&mut self, id: &str, body: &str) {
        self.apply(Operation::Upsert(Upsert {
            document_id: DocumentId::new(id).expect("valid"),
            version: Some(self.writer.next_offset().0 % 2 + 100 * u64::from(id == "v")),
            condition: None,
            content_hash: [1; 16],
            title: id.to_owned(),
            path: String::new(),
            body: body.to_owned(),
            metadata: vec![5],
            attributes: Attributes { size_bytes: Some(7), ..Attributes::default() },
        }));
    }

    fn delete(&mut self, id: &str, version: Option<u64>) {
        let document_id = DocumentId::new(id).expect("valid");
        self.apply(Operation::Delete(Delete { document_id, version, condition: None }));
    }

    fn digests(&self, depth: Depth) -> Result<Digests, EngineError> {
        let digests = self.partition.searcher().digests(depth, &mut |_| true);
        Ok(digests?.expect("goes on"))
    }

    /// Both sums of a sound partition, at any offset.
    fn sums(&self) -> (Digest, Digest) {
        let [read, derived] =
            [Depth::Read, Depth::Derive].map(|depth| self.digests(depth).expect("sound"));
        assert_eq!(read, derived);
        (read.documents, read.postings)
    }

    /// Changes rows behind the writer's back.
    fn spoil(&self, change: impl FnOnce(&mut WriteBatch)) {
        // What memory knows better would be laid on it.
        self.partition.write_lists().expect("writes lists");
        let mut batch = WriteBatch::default();
        change(&mut batch);
        self.partition.shared.write(batch).expect("writes");
        self.partition.flush().expect("flushes");
        self.partition.compact().expect("compacts");
    }

    fn contradiction(&self, depth: Depth) -> &'static str {
        match self.digests(depth) {
            Err(EngineError::Inconsistent { what }) => what,
            other => panic!("{other:?}"),
        }
    }
}

/// What happens to rows behind the writer's back.
type Change = fn(&mut WriteBatch);

/// Three documents, of which one was edited and one deleted.
fn fed() -> World {
    let mut world = World::new();
    for (id, body) in [("a", "red fox of the sea"), ("b", "red wolf"), ("c", "grey wolf")] {
        world.upsert(id, body);
    }
    world.delete("c", Some(9));
    world
}

#[test]
fn content_counts_and_not_how_it_came_about() {
    let one = fed();
    let mut two = World::new();
    two.partition.flush().expect("flushes");
    // Other ordinals, other offsets, other texts in between, other files.
    two.upsert("x", "not for long");
    two.delete("x", None);
    two.upsert("b", "wolf");
    two.delete("c", Some(9));
    two.partition.flush().expect("flushes");
    two.delete("b", None);
    two.upsert("b", "red wolf");
    two.delete("nowhere", None);
    two.upsert("a", "red fox of the sea");
    two.partition.compact().expect("compacts");
    // Versions are content: bring them to those of the other.
    assert_ne!(one.sums().0, two.sums().0);
    assert_eq!(one.sums().1, two.sums().1);
    let mut three = World::new();
    three.partition.flush().expect("flushes");
    three.upsert("a", "red fox of the sea");
    three.upsert("b", "red wolf");
    three.upsert("c", "another");
    three.delete("c", Some(9));
    three.partition.flush().expect("flushes");
    three.partition.compact().expect("compacts");
    assert_eq!(one.sums(), three.sums());
}

#[test]
fn a_lost_posting_shows() {
    let sound = fed().sums();
    let world = fed();
    world.spoil(|batch| {
        ChunkWriter::new().put(batch, NS, Term::Token("wolf"), 1, Frequencies::default());
    });
    let read = world.digests(Depth::Read).expect("reads");
    assert_eq!(read.documents, sound.0);
    assert_ne!(read.postings, sound.1);
    assert!(world.contradiction(Depth::Derive).contains("postings"));
}

#[test]
fn a_phantom_posting_shows() {
    let world = fed();
    world.spoil(|batch| {
        // Of the deleted document.
        ChunkWriter::new().put(batch, NS, Term::Token("grey"), 2, Frequencies([0, 0, 1]));
    });
    assert!(world.contradiction(Depth::Read).contains("posting belongs to no document"));
}

#[test]
fn a_lost_delete_shows() {
    let mut kept = World::new();
    for (id, body) in [("a", "red fox of the sea"), ("b", "red wolf"), ("c", "grey wolf")] {
        kept.upsert(id, body);
    }
    let (documents, postings) = kept.sums();
    assert_ne!(documents, fed().sums().0);
    assert_ne!(postings, fed().sums().1);
    // Only its version forgotten.
    let forgotten = fed();
    forgotten.spoil(|batch| batch.delete(keys::id(NS, b"c")));
    assert_ne!(forgotten.sums().0, fed().sums().0);
}

#[test]
fn an_altered_body_shows() {
    let world = fed();
    world.spoil(|batch| batch.put(keys::body(NS, 1), document::encode_body("red wolves")));
    let read = world.digests(Depth::Read).expect("reads");
    assert_ne!(read.documents, fed().sums().0);
    assert_eq!(read.postings, fed().sums().1, "the lists are as they were");
    assert!(!world.contradiction(Depth::Derive).is_empty());
    // One that says the same to a search is still another text.
    let world = fed();
    world.spoil(|batch| batch.put(keys::body(NS, 1), document::encode_body("Red wolf!")));
    assert_ne!(world.sums().0, fed().sums().0);
    assert_eq!(world.sums().1, fed().sums().1);
}

#[test]
fn rows_that_contradict_each_other_are_found() {
    let cases: [(&str, Change); 5] = [
        ("no id", |batch| batch.delete(keys::id(NS, b"a"))),
        ("two documents", |batch| batch.delete(keys::body(NS, 0))),
        ("no header", |batch| batch.put(keys::body(NS, 9), document::encode_body("x"))),
        ("length code", |batch| batch.put(keys::lengths(NS, 0), [200, 200, 200])),
        ("statistics", |batch| batch.delete(keys::header(NS, 1))),
    ];
    for (problem, change) in cases {
        let world = fed();
        world.spoil(change);
        let error = world.digests(Depth::Derive).expect_err(problem);
        assert_eq!(error.class(), nautilus_types::Class::Corrupt, "{problem}: {error}");
    }
}

#[test]
fn the_pace_can_end_it() {
    let mut world = World::new();
    for number in 0..80 {
        world.upsert(&format!("d{number}"), &"tide ".repeat(2_000));
    }
    let mut slices = 0;
    let searcher = world.partition.searcher();
    let ended = searcher.digests(Depth::Read, &mut |bytes| {
        assert!(bytes >= 256 << 10);
        slices += 1;
        slices < 2
    });
    assert_eq!(ended.expect("reads"), None);
    assert_eq!(slices, 2);
    assert_eq!(world.digests(Depth::Derive).expect("sound").document_count, 80);
}
