//! The hash by which a feeder, the gateway and a listing agree that a document is unchanged.
//!
//! It is over a canonical encoding of its own, not over protobuf bytes: those may differ between
//! encoders and versions of them. The encoding is laid out in `docs/formats/mutation-record.md`.

use xxhash_rust::xxh3::Xxh3;

use crate::common::v1::{DocumentMetadata, attribute_value::Value};

/// Begins the encoding, so that another one gets other hashes.
const MAGIC: &[u8] = b"nautilus-content-1";

/// xxh3-128 (seed 0) of a document's content, big endian. Metadata that is not given counts as
/// default metadata; annotations do not count, since the gateway makes them after the hash.
#[must_use]
pub fn content_hash(
    title: &str,
    path: &str,
    body: &str,
    metadata: Option<&DocumentMetadata>,
) -> [u8; 16] {
    let absent = DocumentMetadata::default();
    let metadata = metadata.unwrap_or(&absent);
    let mut encoding = Encoding(Xxh3::new());
    encoding.0.update(MAGIC);
    encoding.text(title);
    encoding.text(path);
    encoding.text(body);
    encoding.number(metadata.created_unix_ms.to_be_bytes());
    encoding.number(metadata.modified_unix_ms.to_be_bytes());
    encoding.number(metadata.size_bytes.to_be_bytes());
    encoding.text(&metadata.media_type);
    encoding.length(metadata.attributes.len());
    for (key, value) in &metadata.attributes {
        encoding.text(key);
        encoding.value(value.value.as_ref());
    }
    encoding.0.digest128().to_be_bytes()
}

/// What has been encoded goes straight into the hash.
struct Encoding(Xxh3);

impl Encoding {
    fn number(&mut self, bytes: [u8; 8]) {
        self.0.update(&bytes);
    }

    fn length(&mut self, length: usize) {
        // No length in memory is beyond 64 bits.
        self.number(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text.as_bytes());
    }

    fn value(&mut self, value: Option<&Value>) {
        match value {
            None => self.0.update(&[0]),
            Some(Value::Text(text)) => {
                self.0.update(&[1]);
                self.text(text);
            }
            Some(Value::Integer(integer)) => {
                self.0.update(&[2]);
                self.number(integer.to_be_bytes());
            }
            Some(Value::Number(number)) => {
                self.0.update(&[3]);
                self.number(number.to_bits().to_be_bytes());
            }
            Some(Value::Flag(flag)) => self.0.update(&[4, u8::from(*flag)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::v1::AttributeValue;

    fn metadata(attributes: &[(&str, Value)]) -> DocumentMetadata {
        let attributes = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), AttributeValue { value: Some(value.clone()) }));
        DocumentMetadata {
            created_unix_ms: 1_700_000_000_000,
            modified_unix_ms: -1,
            size_bytes: 42,
            media_type: "text/plain".to_owned(),
            attributes: attributes.collect(),
            ..DocumentMetadata::default()
        }
    }

    fn full() -> DocumentMetadata {
        metadata(&[
            ("flag", Value::Flag(true)),
            ("integer", Value::Integer(-7)),
            ("number", Value::Number(1.5)),
            ("text", Value::Text("blue".to_owned())),
        ])
    }

    #[test]
    fn annotations_do_not_count() {
        let mut annotated = full();
        annotated.annotations.insert("title".to_owned(), crate::common::v1::Annotation::default());
        let hash = |metadata: &DocumentMetadata| content_hash("t", "p", "b", Some(metadata));
        assert_eq!(hash(&annotated), hash(&full()));
    }

    /// Golden: stored hashes are compared with new ones, so these never change.
    #[test]
    fn vectors_hold() {
        let hex = |hash: [u8; 16]| format!("{:032x}", u128::from_be_bytes(hash));
        assert_eq!(hex(content_hash("", "", "", None)), "b5868f6e37b17c0d01c797c416ffc673");
        assert_eq!(
            hex(content_hash("Tide", "notes/tide.md", "low at noon", None)),
            "baf86deefe3f365e9de88dbb30528ad1"
        );
        let full = full();
        assert_eq!(
            hex(content_hash("Tide", "notes/tide.md", "low at noon", Some(&full))),
            "a132e5a336590b3c3168a6ad2964cc5a"
        );
    }

    #[test]
    fn absent_metadata_is_default_metadata() {
        let default = DocumentMetadata::default();
        assert_eq!(content_hash("a", "b", "c", None), content_hash("a", "b", "c", Some(&default)));
    }

    #[test]
    fn every_part_and_every_border_counts() {
        let full = full();
        let mut seen = std::collections::BTreeSet::new();
        let mut differs = |hash: [u8; 16]| assert!(seen.insert(hash));
        differs(content_hash("ab", "c", "d", None));
        differs(content_hash("a", "bc", "d", None));
        differs(content_hash("a", "b", "cd", None));
        differs(content_hash("", "abc", "d", None));
        differs(content_hash("ab", "c", "d", Some(&full)));
        let changes: [fn(&mut DocumentMetadata); 6] = [
            |m| m.created_unix_ms += 1,
            |m| m.modified_unix_ms += 1,
            |m| m.size_bytes += 1,
            |m| m.media_type.push('x'),
            |m| drop(m.attributes.remove("flag")),
            |m| {
                m.attributes.insert("flag".to_owned(), AttributeValue { value: None });
            },
        ];
        for change in changes {
            let mut changed = full.clone();
            change(&mut changed);
            differs(content_hash("ab", "c", "d", Some(&changed)));
        }
        for value in [Value::Text("1".to_owned()), Value::Integer(1), Value::Number(1.0)] {
            differs(content_hash("ab", "c", "d", Some(&metadata(&[("a", value)]))));
        }
    }
}
