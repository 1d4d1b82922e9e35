//! Histories that end in the same content end in the same digests, whatever lies between.

use nautilus_engine::{
    Attributes, Depth, Digests, Partition, PartitionIdentity, Resources, Writer,
};
use nautilus_types::{LogGeneration, Offset, PartitionId};
use rand::prelude::*;

use super::convert::to_engine;
use super::history::{Change, Document, Extra, Record, Source, Text};

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"digest-test-0000",
    log_generation: LogGeneration(1),
    partition: PartitionId(0),
};

/// A partition that is fed, flushed and compacted at moments of its own.
struct Fed {
    _folder: tempfile::TempDir,
    partition: Partition,
    writer: Writer,
    rng: StdRng,
}

impl Fed {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let resources = Resources::new(8 << 20, 8 << 20);
        let opened =
            Partition::open(folder.path(), &IDENTITY, &resources, |_| Attributes::default());
        let (partition, writer) = opened.expect("opens");
        Self { _folder: folder, partition, writer, rng: StdRng::seed_from_u64(seed) }
    }

    fn apply(&mut self, offset: Offset, record: &Record) {
        self.writer.apply(offset, &to_engine(record)).expect("applies");
        match self.rng.random_range(0..100) {
            0..3 => drop(self.partition.flush().expect("flushes")),
            3 => self.partition.compact().expect("compacts"),
            4 => self.partition.write_lists().expect("writes"),
            _ => {}
        }
    }

    fn digests(&self, depth: Depth) -> Digests {
        let digests = self.partition.searcher().digests(depth, &mut |_| true);
        digests.expect("sound").expect("goes on")
    }
}

/// What may stand before a record that applies in any case, and leaves no trace behind it.
fn detour(rng: &mut StdRng, record: &Record) -> Option<Record> {
    let Change::Upsert { id, version: None, condition: None, .. } = &record.change else {
        return None;
    };
    let (id, version, condition) = (id.clone(), None, None);
    let change = match rng.random_range(0..3) {
        0 => Change::Delete { id, version, condition },
        1 => {
            let word = |text: &str| text.to_owned();
            let (title, path, body) = (word("detour"), word("x/y"), word("of the zebra of the x"));
            let text = Text { title, path, body };
            let extra = Extra { metadata: vec![9], numbers: [Some(1), None, Some(-4)] };
            let document = Document { text, extra };
            Change::Upsert { id, version, condition, document }
        }
        _ => return None,
    };
    Some(Record { change, ..record.clone() })
}

pub(crate) fn run(seed: u64, steps: usize) {
    let (mut straight, mut winding) = (Fed::new(seed), Fed::new(!seed));
    let mut source = Source::new(seed);
    let mut last = None;
    for _ in 0..steps {
        let step = source.step();
        for record in source.records(step) {
            let offset = Offset(record.offset);
            if offset < straight.writer.next_offset() {
                continue;
            }
            straight.apply(offset, &record);
            if let Some(detour) = detour(&mut winding.rng, &record) {
                winding.apply(winding.writer.next_offset(), &detour);
            }
            winding.apply(winding.writer.next_offset(), &record);
            last = Some(record);
        }
    }
    for depth in [Depth::Read, Depth::Derive] {
        let (one, other) = (straight.digests(depth), winding.digests(depth));
        assert!(one.document_count > 0);
        assert_eq!(Digests { next_offset: other.next_offset, ..one }, other, "seed {seed}");
    }
    // One more document shows in both.
    let change = Change::Upsert {
        id: nautilus_types::DocumentId::new("one more").expect("valid"),
        version: None,
        condition: None,
        document: Document {
            text: Text { title: "zen".to_owned(), path: String::new(), body: String::new() },
            extra: Extra { metadata: Vec::new(), numbers: [None; 3] },
        },
    };
    let mut more = last.expect("records");
    let before = straight.digests(Depth::Read);
    more.incarnation.0 = source.incarnation(more.namespace.as_bytes()) + 1;
    more.change = change;
    straight.apply(straight.writer.next_offset(), &more);
    let after = straight.digests(Depth::Derive);
    assert_ne!(after.documents, before.documents);
    assert_ne!(after.postings, before.postings);
}
