//! The document's rows: a header that ranking and display need, and the body text by itself.
//!
//! ```text
//! header  row version 1 │ id │ title │ path │ metadata │ length      bytes are length-prefixed, numbers LEB128
//! body    row version 1 │ UTF-8 text to the end
//! ```
//!
//! The body stands alone so that a rename or a new modification time does not write the text again,
//! and reading a hit's title does not read its text. Version, content hash and offset are in the id row.

use super::{Malformed, varint};

const MALFORMED_HEADER: Malformed = Malformed { row: "header" };
const MALFORMED_BODY: Malformed = Malformed { row: "body" };
const ROW_VERSION: u8 = 1;

/// What is stored of a document beside its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) document_id: Vec<u8>,
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
        out.push(ROW_VERSION);
        varint::put_bytes(&mut out, &self.document_id);
        varint::put_bytes(&mut out, self.title.as_bytes());
        varint::put_bytes(&mut out, self.path.as_bytes());
        varint::put_bytes(&mut out, &self.metadata);
        varint::put(&mut out, u64::from(self.length));
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::read(&mut varint::Reader(bytes)).ok_or(MALFORMED_HEADER)
    }

    /// Only the document id, without copying the rest.
    pub(crate) fn decode_document_id(bytes: &[u8]) -> Result<&[u8], Malformed> {
        let mut reader = varint::Reader(bytes);
        if reader.byte() != Some(ROW_VERSION) {
            return Err(MALFORMED_HEADER);
        }
        reader.bytes().ok_or(MALFORMED_HEADER)
    }

    fn read(reader: &mut varint::Reader<'_>) -> Option<Self> {
        if reader.byte()? != ROW_VERSION {
            return None;
        }
        let header = Self {
            document_id: reader.bytes()?.to_vec(),
            title: reader.str()?.to_owned(),
            path: reader.str()?.to_owned(),
            metadata: reader.bytes()?.to_vec(),
            length: reader.u32()?,
        };
        reader.is_empty().then_some(header)
    }
}

/// The body row of `text`.
pub(crate) fn encode_body(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + text.len());
    out.push(ROW_VERSION);
    out.extend_from_slice(text.as_bytes());
    out
}

/// The text in a body row.
pub(crate) fn decode_body(bytes: &[u8]) -> Result<&str, Malformed> {
    match bytes.split_first() {
        Some((&ROW_VERSION, text)) => std::str::from_utf8(text).map_err(|_| MALFORMED_BODY),
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
        ) {
            let header = Header { document_id, title, path, metadata, length };
            let bytes = header.encode();
            prop_assert_eq!(Header::decode_document_id(&bytes), Ok(header.document_id.as_slice()));
            prop_assert_eq!(Header::decode(&bytes), Ok(header));
            let row = encode_body(&body);
            prop_assert_eq!(decode_body(&row), Ok(body.as_str()));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _: Result<Header, Malformed> = Header::decode(&bytes);
            let _: Result<&[u8], Malformed> = Header::decode_document_id(&bytes);
            let _: Result<&str, Malformed> = decode_body(&bytes);
        }
    }
}
