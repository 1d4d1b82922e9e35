//! What a source hands to the pipeline.

use nautilus_proto::ingest::v1::DocumentContent;
use nautilus_types::Limits;

/// What happened to a document's body on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// All of it is there.
    Whole,
    /// Only its beginning is there.
    Cut,
    /// The file is no text.
    Binary,
    /// The file could not be read.
    Unreadable,
}

/// A document that is ready to be compared and sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prepared {
    pub(super) id: String,
    pub(super) content: DocumentContent,
    pub(super) version: Option<u64>,
    pub(super) note: Note,
    /// What could not be read of it, and why.
    pub(super) problems: Vec<Problem>,
    /// Read for it, in bytes.
    pub(super) source_bytes: u64,
}

/// Something that could not be read as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// UPPER_SNAKE, for programs.
    pub(super) reason: &'static str,
    /// For people.
    pub(super) detail: String,
}

impl Prepared {
    /// The hash by which the index says whether it has this content already.
    pub(super) fn hash(&self) -> [u8; 16] {
        let DocumentContent { title, path, body, metadata } = &self.content;
        nautilus_proto::content_hash(title, path, body, metadata.as_ref())
    }
}

/// One step of a feed.
#[derive(Debug)]
pub(super) enum Item {
    /// This document, with its content hash.
    Upsert(Box<Prepared>, [u8; 16]),
    /// No document of this id.
    Delete {
        /// Of the document.
        id: String,
        /// Of the deletion, where the source counts versions.
        version: Option<u64>,
    },
    /// Something that cannot become a document.
    Bad(Refusal),
    /// A symbolic link, which is not followed.
    Link,
    /// A part of the source that could not be looked at: what is in it is not known to be gone.
    Blocked(Refusal),
}

/// Why one document was not indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Its id, or where it came from.
    pub(super) id: String,
    /// What is wrong with it.
    pub(super) message: String,
}

impl Item {
    /// The document as an item; one whose id is too long or empty cannot be sent at all.
    pub(super) fn of(document: Prepared) -> Self {
        match id_problem(&document.id) {
            Some(message) => Self::Bad(Refusal { id: document.id, message }),
            None => {
                let hash = document.hash();
                Self::Upsert(Box::new(document), hash)
            }
        }
    }
}

/// What is wrong with a document id, if anything.
pub(super) fn id_problem(id: &str) -> Option<String> {
    let bytes_max = Limits::DOCUMENT_ID_BYTES_MAX;
    if id.is_empty() {
        Some("the id is empty".to_owned())
    } else if id.len() > bytes_max {
        Some(format!("the id is {} bytes long, at most {bytes_max} are allowed", id.len()))
    } else {
        None
    }
}
