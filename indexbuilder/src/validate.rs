//! What a write must be before anything is done with it. Pure.

use nautilus_proto::common::v1::{DocumentMetadata, attribute_value::Value};
use nautilus_proto::content_hash;
use nautilus_proto::ingest::v1::{
    Condition, DocumentContent, Write, condition::Condition as Holds, write::Operation,
};
use nautilus_types::{DocumentId, InvalidId, Limits, NamespaceName};

/// A media type, in bytes: RFC 6838 section 4.2 allows 127 for each side of the slash.
pub const MEDIA_TYPE_BYTES_MAX: usize = 255;

/// A write that is within every limit.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidWrite {
    /// Whose document.
    pub namespace: NamespaceName,
    /// Its id.
    pub document_id: DocumentId,
    /// Applies iff above the stored one.
    pub version: Option<u64>,
    /// Applies iff this holds.
    pub condition: Option<ValidCondition>,
    /// What to do.
    pub operation: ValidOperation,
}

/// What must hold of the stored document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidCondition {
    /// There is none.
    Absent,
    /// It has this version.
    Version(u64),
}

/// What a write does.
#[derive(Debug, Clone, PartialEq)]
pub enum ValidOperation {
    /// Stores the document.
    Upsert {
        /// Title, path, text and metadata.
        content: DocumentContent,
        /// Of that content.
        content_hash: [u8; 16],
    },
    /// Removes it.
    Delete,
}

/// What is wrong with a write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Violation {
    /// The field, as a path in the message.
    pub field: &'static str,
    /// What is wrong with it. Repeats nothing of its content.
    pub problem: String,
    /// Stable name for programs.
    pub reason: &'static str,
}

impl Violation {
    fn new(field: &'static str, reason: &'static str, problem: impl Into<String>) -> Self {
        Self { field, reason, problem: problem.into() }
    }

    fn malformed(field: &'static str, problem: &'static str) -> Self {
        Self::new(field, "FIELD_INVALID", problem)
    }
}

/// Checks every limit and computes the content hash.
pub fn validate(write: Write) -> Result<ValidWrite, Violation> {
    let id = |field, error: InvalidId| match error {
        InvalidId::Empty { .. } => Violation::malformed(field, "is empty"),
        InvalidId::TooLong { bytes, bytes_max, .. } => too_long(field, bytes, bytes_max),
    };
    let namespace = NamespaceName::new(&write.namespace).map_err(|e| id("namespace", e))?;
    let document_id = DocumentId::new(&write.document_id).map_err(|e| id("document_id", e))?;
    let condition = write.condition.map(condition).transpose()?;
    let operation = match write.operation {
        None => return Err(Violation::malformed("operation", "is missing")),
        Some(Operation::Delete(_)) => ValidOperation::Delete,
        Some(Operation::Upsert(mut content)) => {
            check_content(&content)?;
            // Only given out (AIP-203): who sends back what it read need not take them away.
            if let Some(metadata) = &mut content.metadata {
                metadata.annotations.clear();
            }
            let content_hash = content_hash(
                &content.title,
                &content.path,
                &content.body,
                content.metadata.as_ref(),
            );
            ValidOperation::Upsert { content, content_hash }
        }
    };
    Ok(ValidWrite { namespace, document_id, version: write.version, condition, operation })
}

fn condition(condition: Condition) -> Result<ValidCondition, Violation> {
    match condition.condition {
        None => Err(Violation::malformed("condition", "is empty")),
        Some(Holds::Absent(false)) => {
            Err(Violation::malformed("condition.absent", "can only be true"))
        }
        Some(Holds::Absent(true)) => Ok(ValidCondition::Absent),
        Some(Holds::Version(version)) => Ok(ValidCondition::Version(version)),
    }
}

fn check_content(content: &DocumentContent) -> Result<(), Violation> {
    check_length("upsert.title", content.title.len(), Limits::TITLE_BYTES_MAX)?;
    check_length("upsert.path", content.path.len(), Limits::PATH_BYTES_MAX)?;
    check_length("upsert.body", content.body.len(), Limits::BODY_BYTES_MAX)?;
    content.metadata.as_ref().map_or(Ok(()), check_metadata)
}

fn check_metadata(metadata: &DocumentMetadata) -> Result<(), Violation> {
    const ATTRIBUTES: &str = "upsert.metadata.attributes";
    let media_type = metadata.media_type.len();
    check_length("upsert.metadata.media_type", media_type, MEDIA_TYPE_BYTES_MAX)?;
    let count = metadata.attributes.len();
    if count > Limits::ATTRIBUTES_MAX {
        let problem =
            format!("has {count} entries, at most {} are allowed", Limits::ATTRIBUTES_MAX);
        return Err(Violation::new(ATTRIBUTES, "FIELD_TOO_LARGE", problem));
    }
    let mut bytes = 0;
    for (key, value) in &metadata.attributes {
        if key.is_empty() {
            return Err(Violation::malformed(ATTRIBUTES, "has an empty key"));
        }
        bytes += key.len();
        bytes += match &value.value {
            None => return Err(Violation::malformed(ATTRIBUTES, "has an entry without value")),
            Some(Value::Text(text)) => text.len(),
            // NaN is not equal to itself, so a document that has it could never be unchanged.
            Some(Value::Number(number)) if !number.is_finite() => {
                return Err(Violation::malformed(ATTRIBUTES, "has a number that is not finite"));
            }
            Some(Value::Integer(_) | Value::Number(_)) => 8,
            Some(Value::Flag(_)) => 1,
        };
    }
    check_length(ATTRIBUTES, bytes, Limits::ATTRIBUTE_BYTES_MAX)
}

fn check_length(field: &'static str, bytes: usize, bytes_max: usize) -> Result<(), Violation> {
    if bytes > bytes_max { Err(too_long(field, bytes, bytes_max)) } else { Ok(()) }
}

fn too_long(field: &'static str, bytes: usize, bytes_max: usize) -> Violation {
    let problem = format!("is {bytes} bytes long, at most {bytes_max} are allowed");
    Violation::new(field, "FIELD_TOO_LARGE", problem)
}

#[cfg(test)]
mod tests;
