//! The document's rows: a header that ranking and display need, and the body text by itself.
//!
//! ```text
//! header  row version 2 │ id │ changed at │ title │ path │ metadata │ length    bytes are length-prefixed, numbers LEB128
//! body    row version 1 │ UTF-8 text to the end
//! ```
//!
//! `changed at` is the offset of the record that last changed a text, the metadata or the attributes; a record
//! that only moved the version is in the id row. It stands near the front, where a search looks for it.
//! Row version 1, of partition format 1, had no `changed at`.
//!
//! The body stands alone so that a rename or a new modification time does not write the text again,
//! and reading a hit's title does not read its text. Version, content hash and offset are in the id row.

use super::{Malformed, varint};

const MALFORMED_HEADER: Malformed = Malformed { row: "header" };
const MALFORMED_BODY: Malformed = Malformed { row: "body" };
const HEADER_VERSION: u8 = 2;
const HEADER_VERSION_OF_FORMAT_1: u8 = 1;
const BODY_VERSION: u8 = 1;

/// What is stored of a document beside its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) document_id: Vec<u8>,
    /// Offset of the record that last changed the document's content.
    pub(crate) changed_at: u64,
    pub(crate) title: String,
    pub(crate) path: String,
    /// Opaque to the engine.
    pub(crate) metadata: Vec<u8>,
    /// Tokens of all fields, exact.
    pub(crate) length: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            16 + self.document_id.len() + self.title.len() + self.path.len() + self.metadata.len(),
        );
        let texts = [self.title.as_str(), self.path.as_str()];
        put_header(
            &mut out,
            (&self.document_id, self.changed_at),
            texts,
            &self.metadata,
            self.length,
        );
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = varint::Reader(bytes);
        let header = Self::decode_start(&mut reader)
            .and_then(|(id, changed_at)| Self::decode_rest(reader, id, changed_at));
        header.ok_or(MALFORMED_HEADER)
    }

    /// A row of partition format 1, whose documents' last change only their id rows know.
    pub(crate) fn decode_format_1(bytes: &[u8], changed_at: u64) -> Result<Self, Malformed> {
        let mut reader = varint::Reader(bytes);
        let header = match reader.byte() {
            Some(HEADER_VERSION_OF_FORMAT_1) => reader.bytes(),
            Some(_) | None => None,
        };
        header.and_then(|id| Self::decode_rest(reader, id, changed_at)).ok_or(MALFORMED_HEADER)
    }

    /// Only the document id and the offset of the last change, without copying the rest.
    pub(crate) fn decode_id_and_change(bytes: &[u8]) -> Result<(&[u8], u64), Malformed> {
        Self::decode_start(&mut varint::Reader(bytes)).ok_or(MALFORMED_HEADER)
    }

    fn decode_start<'a>(reader: &mut varint::Reader<'a>) -> Option<(&'a [u8], u64)> {
        if reader.byte()? != HEADER_VERSION {
            return None;
        }
        Some((reader.bytes()?, reader.u64()?))
    }

    fn decode_rest(mut reader: varint::Reader<'_>, id: &[u8], changed_at: u64) -> Option<Self> {
        let header = Self {
            document_id: id.to_vec(),
            changed_at,
            title: reader.str()?.to_owned(),
            path: reader.str()?.to_owned(),
            metadata: reader.bytes()?.to_vec(),
            length: reader.u32()?,
        };
        reader.is_empty().then_some(header)
    }
}

/// Appends the header row of a document: its id and the offset of its last change, title and path, metadata, length.
pub(crate) fn put_header(
    out: &mut Vec<u8>,
    (document_id, changed_at): (&[u8], u64),
    [title, path]: [&str; 2],
    metadata: &[u8],
    length: u32,
) {
    out.push(HEADER_VERSION);
    varint::put_bytes(out, document_id);
    varint::put(out, changed_at);
    varint::put_bytes(out, title.as_bytes());
    varint::put_bytes(out, path.as_bytes());
    varint::put_bytes(out, metadata);
    varint::put(out, u64::from(length));
}

/// The body row of `text`.
pub(crate) fn encode_body(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + text.len());
    put_body(&mut out, text);
    out
}

/// Appends the body row of `text`.
pub(crate) fn put_body(out: &mut Vec<u8>, text: &str) {
    out.push(BODY_VERSION);
    out.extend_from_slice(text.as_bytes());
}

/// The text in a body row.
pub(crate) fn decode_body(bytes: &[u8]) -> Result<&str, Malformed> {
    match bytes.split_first() {
        Some((&BODY_VERSION, text)) => std::str::from_utf8(text).map_err(|_| MALFORMED_BODY),
        Some(_) | None => Err(MALFORMED_BODY),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decodes_what_it_encodes(
            document_id in prop::collection::vec(any::<u8>(), 1..20), title in ".{0,20}", path in ".{0,20}",
            metadata in prop::collection::vec(any::<u8>(), 0..20), length in any::<u32>(), body in ".{0,50}",
            changed_at in any::<u64>(),
        ) {
            let header = Header { document_id, changed_at, title, path, metadata, length };
            let bytes = header.encode();
            let start = (header.document_id.as_slice(), changed_at);
            prop_assert_eq!(Header::decode_id_and_change(&bytes), Ok(start));
            prop_assert_eq!(Header::decode(&bytes), Ok(header));
            let row = encode_body(&body);
            prop_assert_eq!(decode_body(&row), Ok(body.as_str()));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _: Result<Header, Malformed> = Header::decode(&bytes);
            let _: Result<(&[u8], u64), Malformed> = Header::decode_id_and_change(&bytes);
            let _: Result<Header, Malformed> = Header::decode_format_1(&bytes, 0);
            let _: Result<&str, Malformed> = decode_body(&bytes);
        }
    }
}
