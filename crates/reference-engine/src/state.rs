//! What a partition holds after a prefix of its log: the rules of mutations.

use std::collections::BTreeMap;

use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset};

use crate::tokens::tokens_of;

/// The searchable text of a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// Its title.
    pub title: String,
    /// Its path.
    pub path: String,
    /// Its body.
    pub body: String,
}

/// Numbers of a document that searches filter and sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Its size in bytes.
    pub size_bytes: Option<i64>,
    /// When it was made, in milliseconds since 1970.
    pub created_unix_ms: Option<i64>,
    /// When it was changed, in milliseconds since 1970.
    pub modified_unix_ms: Option<i64>,
}

/// What goes with a document's text and is not searched by words: opaque bytes, and numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Opaque.
    pub bytes: Vec<u8>,
    /// What searches filter and sort by.
    pub attributes: Attributes,
}

/// Parts of a document; `None` leaves a part as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// New title.
    pub title: Option<String>,
    /// New path.
    pub path: Option<String>,
    /// New body.
    pub body: Option<String>,
    /// New metadata, as a whole.
    pub metadata: Option<Metadata>,
}

/// What a writer requires of the document as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// There is none, or it is deleted.
    Absent,
    /// There is one, with this version.
    Exactly(u64),
}

/// One record of the log, as far as search is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// Stores a document in place of what was there.
    Upsert {
        /// Its namespace.
        namespace: NamespaceName,
        /// The life of the namespace it belongs to.
        incarnation: Incarnation,
        /// Its id.
        id: DocumentId,
        /// Its version; without one it always applies.
        version: Option<u64>,
        /// The writer's condition.
        expected: Option<ExpectedVersion>,
        /// Its text.
        text: Text,
        /// What goes with it.
        metadata: Metadata,
    },
    /// Changes parts of a document that exists.
    Patch {
        /// Its namespace.
        namespace: NamespaceName,
        /// The life of the namespace it belongs to.
        incarnation: Incarnation,
        /// Its id.
        id: DocumentId,
        /// Its new version; without one it always applies.
        version: Option<u64>,
        /// The writer's condition.
        expected: Option<ExpectedVersion>,
        /// What is new.
        parts: Parts,
    },
    /// Deletes a document, remembering the version.
    Delete {
        /// Its namespace.
        namespace: NamespaceName,
        /// The life of the namespace it belongs to.
        incarnation: Incarnation,
        /// Its id.
        id: DocumentId,
        /// The version of the deletion; without one it always applies.
        version: Option<u64>,
        /// The writer's condition.
        expected: Option<ExpectedVersion>,
    },
    /// Deletes a namespace with all its documents, for this incarnation and all before.
    DeleteNamespace {
        /// The namespace.
        namespace: NamespaceName,
        /// The life that ends.
        incarnation: Incarnation,
    },
    /// Nothing: takes the place of a record that no replica can apply.
    Skip,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It changed the state, or had nothing to change (`Skip`).
    Applied,
    /// Its offset is below the next expected one: it was seen before.
    Redelivered,
    /// Its namespace has a later incarnation, or this one is deleted.
    StaleIncarnation,
    /// Its version is not above the stored one.
    StaleVersion,
    /// The stored document is not what the writer expected.
    ConditionFailed,
    /// There is no document to patch.
    NotFound,
}

/// What is stored under a document id: a document, or the trace of a deleted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// The version of the last applied upsert or delete.
    pub version: Option<u64>,
    /// `None` once deleted.
    pub text: Option<Text>,
    /// What goes with it; nothing once deleted.
    pub metadata: Metadata,
    /// Offset of the record that last changed text or metadata; one that says the same again does not.
    pub changed_at: Offset,
    /// Of title, path and body, so that a search need not cut them again.
    pub(crate) tokens: [Vec<String>; 3],
}

#[derive(Debug, Clone)]
pub(crate) struct Namespace {
    pub(crate) incarnation: Incarnation,
    is_deleted: bool,
    pub(crate) documents: BTreeMap<DocumentId, StoredDocument>,
}

/// One partition.
#[derive(Debug, Clone)]
pub struct ReferenceEngine {
    /// The version that makes its tokens.
    pub(crate) analyzer: u32,
    next: Offset,
    pub(crate) namespaces: BTreeMap<NamespaceName, Namespace>,
}

impl Default for ReferenceEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl ReferenceEngine {
    /// An empty partition that expects offset 0, of analyzer version 1.
    #[must_use]
    pub fn new() -> Self {
        Self::with_analyzer(1)
    }

    /// As [`Self::new`], of this analyzer version.
    #[must_use]
    pub fn with_analyzer(analyzer: u32) -> Self {
        Self { analyzer, next: Offset(0), namespaces: BTreeMap::new() }
    }

    fn document(
        &self,
        version: Option<u64>,
        text: Option<Text>,
        metadata: Metadata,
        changed_at: Offset,
    ) -> StoredDocument {
        let tokens = match &text {
            Some(Text { title, path, body }) => {
                [title, path, body].map(|text| tokens_of(self.analyzer, text))
            }
            None => [vec![], vec![], vec![]],
        };
        StoredDocument { version, text, metadata, changed_at, tokens }
    }

    /// One past the last offset applied.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// The document, or its tombstone, if `incarnation` is the namespace's current one.
    #[must_use]
    pub fn get(
        &self,
        namespace: &NamespaceName,
        incarnation: Incarnation,
        id: &DocumentId,
    ) -> Option<&StoredDocument> {
        let stored = self.namespaces.get(namespace).filter(|n| n.incarnation == incarnation)?;
        stored.documents.get(id)
    }

    /// Ids of the live documents of this incarnation of the namespace, ascending.
    #[must_use]
    pub fn document_ids(
        &self,
        namespace: &NamespaceName,
        incarnation: Incarnation,
    ) -> Vec<DocumentId> {
        match self.namespaces.get(namespace) {
            Some(stored) if stored.incarnation == incarnation => stored
                .documents
                .iter()
                .filter(|(_, document)| document.text.is_some())
                .map(|(id, _)| id.clone())
                .collect(),
            Some(_) | None => Vec::new(),
        }
    }

    /// Applies one record. Offsets may leave gaps; one that was passed changes nothing.
    pub fn apply(&mut self, offset: Offset, mutation: &Mutation) -> Outcome {
        if offset < self.next {
            return Outcome::Redelivered;
        }
        self.next = offset.next();
        match mutation {
            Mutation::Skip => Outcome::Applied,
            Mutation::DeleteNamespace { namespace, incarnation } => {
                let Some(stored) = self.enter(namespace, *incarnation) else {
                    return Outcome::StaleIncarnation;
                };
                stored.is_deleted = true;
                stored.documents.clear();
                Outcome::Applied
            }
            Mutation::Upsert { namespace, incarnation, id, version, expected, text, metadata } => {
                let (text, metadata) = (Some(text.clone()), metadata.clone());
                let document = self.document(*version, text, metadata, offset);
                self.put(namespace, *incarnation, id, *expected, document)
            }
            Mutation::Patch { namespace, incarnation, id, version, expected, parts } => {
                let stored = self.get(namespace, *incarnation, id);
                let is_present = stored.is_some_and(|stored| stored.text.is_some());
                let (text, metadata) = match stored {
                    Some(stored) => parts.over(stored),
                    None => (Text::default(), Metadata::default()),
                };
                let document = self.document(*version, Some(text), metadata, offset);
                let refusal = self.refusal(namespace, *incarnation, id, *expected, &document);
                match refusal {
                    Some(refusal) => refusal,
                    None if !is_present => Outcome::NotFound,
                    None => self.put(namespace, *incarnation, id, *expected, document),
                }
            }
            Mutation::Delete { namespace, incarnation, id, version, expected } => {
                let document = self.document(*version, None, Metadata::default(), offset);
                self.put(namespace, *incarnation, id, *expected, document)
            }
        }
    }

    /// The namespace in this incarnation, made empty if it is a later one; `None` if it is over.
    fn enter(&mut self, name: &NamespaceName, incarnation: Incarnation) -> Option<&mut Namespace> {
        let new = Namespace { incarnation, is_deleted: false, documents: BTreeMap::new() };
        let stored = self.namespaces.entry(name.clone()).or_insert_with(|| new.clone());
        if incarnation > stored.incarnation {
            *stored = new;
        }
        (incarnation == stored.incarnation && !stored.is_deleted).then_some(stored)
    }

    fn put(
        &mut self,
        name: &NamespaceName,
        incarnation: Incarnation,
        id: &DocumentId,
        expected: Option<ExpectedVersion>,
        mut document: StoredDocument,
    ) -> Outcome {
        if let Some(refusal) = self.refusal(name, incarnation, id, expected, &document) {
            return refusal;
        }
        let Some(namespace) = self.enter(name, incarnation) else {
            return Outcome::StaleIncarnation;
        };
        if let Some(stored) = namespace.documents.get(id)
            && (&stored.text, &stored.metadata) == (&document.text, &document.metadata)
        {
            document.changed_at = stored.changed_at;
        }
        namespace.documents.insert(id.clone(), document);
        Outcome::Applied
    }

    /// Why the document cannot take the place of what is stored.
    fn refusal(
        &mut self,
        name: &NamespaceName,
        incarnation: Incarnation,
        id: &DocumentId,
        expected: Option<ExpectedVersion>,
        document: &StoredDocument,
    ) -> Option<Outcome> {
        let Some(namespace) = self.enter(name, incarnation) else {
            return Some(Outcome::StaleIncarnation);
        };
        let stored = namespace.documents.get(id);
        let stored_version = stored.and_then(|stored| stored.version);
        let is_present = stored.is_some_and(|stored| stored.text.is_some());
        if let (Some(version), Some(stored)) = (document.version, stored_version)
            && version <= stored
        {
            return Some(Outcome::StaleVersion);
        }
        let holds = match expected {
            None => true,
            Some(ExpectedVersion::Absent) => !is_present,
            Some(ExpectedVersion::Exactly(version)) => {
                is_present && stored_version == Some(version)
            }
        };
        (!holds).then_some(Outcome::ConditionFailed)
    }
}

impl Parts {
    /// The document with these parts in place of its own.
    fn over(&self, stored: &StoredDocument) -> (Text, Metadata) {
        let old = stored.text.clone().unwrap_or_default();
        let text = Text {
            title: self.title.clone().unwrap_or(old.title),
            path: self.path.clone().unwrap_or(old.path),
            body: self.body.clone().unwrap_or(old.body),
        };
        (text, self.metadata.clone().unwrap_or_else(|| stored.metadata.clone()))
    }
}
