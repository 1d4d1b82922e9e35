//! Writes on their way, and batches of them.

use nautilus_proto::ingest::v1::{DeleteDocument, Write, WriteRequest, write};

use super::item::Prepared;

/// Writes in one request.
const WRITES_MAX: usize = 200;

/// Bytes in one request; a single document may be larger than what is left.
const BYTES_MAX: usize = 1024 * 1024;

/// What a write does to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The document was not there.
    New,
    /// It was there with other content.
    Changed,
    /// It was there and goes.
    Deleted,
}

/// One write with what is to be said about it when it is acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    /// Number of the namespace.
    pub(super) namespace: usize,
    pub(super) effect: Effect,
    /// Of the content sent; none for a deletion.
    pub(super) hash: Option<[u8; 16]>,
    pub(super) write: Write,
}

impl Outgoing {
    pub(super) fn upsert(
        namespace: (usize, &str),
        effect: Effect,
        document: Prepared,
        hash: [u8; 16],
    ) -> Self {
        Self {
            namespace: namespace.0,
            effect,
            hash: Some(hash),
            write: Write {
                namespace: namespace.1.to_owned(),
                document_id: document.id,
                version: document.version,
                condition: None,
                operation: Some(write::Operation::Upsert(document.content)),
            },
        }
    }

    pub(super) fn delete(namespace: (usize, &str), id: String, version: Option<u64>) -> Self {
        Self {
            namespace: namespace.0,
            effect: Effect::Deleted,
            hash: None,
            write: Write {
                namespace: namespace.1.to_owned(),
                document_id: id,
                version,
                condition: None,
                operation: Some(write::Operation::Delete(DeleteDocument {})),
            },
        }
    }

    /// About what it takes on the wire, in bytes.
    pub(super) fn bytes(&self) -> usize {
        /// Numbers, lengths and what attributes there are.
        const OVERHEAD: usize = 256;
        let content = match &self.write.operation {
            Some(write::Operation::Upsert(content)) => {
                content.title.len() + content.path.len() + content.body.len()
            }
            Some(write::Operation::Delete(_)) | None => 0,
        };
        self.write.namespace.len() + self.write.document_id.len() + content + OVERHEAD
    }
}

/// Writes that go out together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) writes: Vec<Outgoing>,
    bytes: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Whether another write of this size still fits.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.is_empty() || (self.writes.len() < WRITES_MAX && self.bytes + bytes <= BYTES_MAX)
    }

    pub(super) fn push(&mut self, write: Outgoing) {
        self.bytes += write.bytes();
        self.writes.push(write);
    }

    /// The request for these writes; they stay here in case it has to be made again.
    pub(super) fn request(&self) -> WriteRequest {
        WriteRequest { writes: self.writes.iter().map(|one| one.write.clone()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_at_its_count_or_its_bytes() {
        let write = || Outgoing::delete((0, "n"), "id".to_owned(), None);
        let mut batch = Batch::default();
        assert!(batch.has_room_for(10 * BYTES_MAX), "an empty batch takes anything");
        for _ in 0..WRITES_MAX {
            assert!(batch.has_room_for(write().bytes()));
            batch.push(write());
        }
        assert!(!batch.has_room_for(write().bytes()));
        assert_eq!(batch.request().writes.len(), WRITES_MAX);
        let mut batch = Batch::default();
        batch.push(write());
        assert!(!batch.has_room_for(BYTES_MAX));
        assert!(batch.has_room_for(BYTES_MAX / 2));
    }
}
