//! Bounds that more than one part must agree on.

/// Hard bounds of ids, documents and queries. Configuration may go below, never above.
#[derive(Debug, Clone, Copy)]
pub struct Limits;

impl Limits {
    /// A namespace name, in bytes.
    pub const NAMESPACE_BYTES_MAX: usize = 256;
    /// A document id, in bytes.
    pub const DOCUMENT_ID_BYTES_MAX: usize = 1024;
    /// Title of a document, in bytes.
    pub const TITLE_BYTES_MAX: usize = 4 * 1024;
    /// Path of a document, in bytes (Linux `PATH_MAX`).
    pub const PATH_BYTES_MAX: usize = 4 * 1024;
    /// Body text of a document, in bytes.
    pub const BODY_BYTES_MAX: usize = 256 * 1024;
    /// Attributes per document.
    pub const ATTRIBUTES_MAX: usize = 256;
    /// All attribute keys and values of a document together, in bytes.
    pub const ATTRIBUTE_BYTES_MAX: usize = 64 * 1024;
    /// One encoded mutation record, in bytes: Kafka's default message bound is 1 MiB.
    pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
    /// Query text, in bytes.
    pub const QUERY_BYTES_MAX: usize = 8 * 1024;
    /// Namespaces in one grant.
    pub const GRANT_NAMESPACES_MAX: usize = 1024;
}
