//! What can be done to a partition, and what became of it.

use nautilus_types::{DocumentId, Incarnation, NamespaceName};

/// One record of the mutation log, as the engine understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// Whose document.
    pub namespace: NamespaceName,
    /// Which life of that name.
    pub incarnation: Incarnation,
    /// What to do.
    pub operation: Operation,
}

/// What a mutation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Creates or replaces a document.
    Upsert(Upsert),
    /// Changes parts of an existing document.
    Patch(Patch),
    /// Removes a document and remembers its version.
    Delete(Delete),
    /// Ends this incarnation of the namespace.
    DeleteNamespace,
}

/// What must hold of the stored document for a mutation to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// No such document is stored.
    Absent,
    /// It is stored with this version.
    Version(u64),
}

/// Numbers of a document that searches filter and sort by; the caller says what they count.
///
/// For the engine they stand beside the metadata: neither is derived from the other here, except when a folder
/// older than these numbers is rebuilt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Size of the source, in bytes.
    pub size_bytes: Option<i64>,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub created_unix_ms: Option<i64>,
    /// When it was last changed, in milliseconds since 1970 (UTC).
    pub modified_unix_ms: Option<i64>,
}

/// A whole document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upsert {
    /// Its id within the namespace.
    pub document_id: DocumentId,
    /// Applies iff absent or above the stored one.
    pub version: Option<u64>,
    /// Applies iff this holds.
    pub condition: Option<Condition>,
    /// Kept and listed; the engine compares texts, not hashes.
    pub content_hash: [u8; 16],
    /// Searchable title.
    pub title: String,
    /// Searchable path.
    pub path: String,
    /// Searchable text.
    pub body: String,
    /// Kept and returned, opaque.
    pub metadata: Vec<u8>,
    /// What searches filter and sort by.
    pub attributes: Attributes,
}

/// Parts of a document; `None` leaves a part as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its id within the namespace.
    pub document_id: DocumentId,
    /// Applies iff absent or above the stored one.
    pub version: Option<u64>,
    /// Applies iff this holds.
    pub condition: Option<Condition>,
    /// Of the patched document.
    pub content_hash: [u8; 16],
    /// New title.
    pub title: Option<String>,
    /// New path.
    pub path: Option<String>,
    /// New text.
    pub body: Option<String>,
    /// New metadata, replacing the old as a whole.
    pub metadata: Option<Vec<u8>>,
    /// Replaces the old as a whole, together with `metadata`; where that stays, so do the attributes, whatever is here.
    pub attributes: Attributes,
}

/// Removal of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Its id within the namespace.
    pub document_id: DocumentId,
    /// Applies iff absent or above the stored one.
    pub version: Option<u64>,
    /// Applies iff this holds.
    pub condition: Option<Condition>,
}

/// What became of a mutation. Each moves the applied offset, except `Redelivered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A new document.
    Inserted,
    /// The document had other content.
    Replaced,
    /// The document had this content; its version is updated.
    Unchanged,
    /// The document is gone, or its absence is now recorded with a version.
    Deleted,
    /// All documents of the namespace are gone.
    NamespaceDeleted,
    /// Below the next expected offset: already applied, nothing written.
    Redelivered,
    /// Of an incarnation that has ended.
    StaleIncarnation,
    /// Not above the stored version.
    StaleVersion,
    /// Its condition did not hold.
    ConditionFailed,
    /// A patch of an absent document.
    NotFound,
    /// A record that changes nothing stored: only the offset moved.
    PassedOver,
}
