//! The namespace row: which life of the namespace this is, its number, and its statistics.
//!
//! ```text
//! state (0 deleted, 1 live) │ incarnation │ number │ next ordinal │ documents │ total length      all LEB128
//! ```
//!
//! Statistics are plain puts from the single writer's memory, in the batch of the change they count.

use super::{Malformed, varint};
use crate::keys::NamespaceNumber;

const MALFORMED: Malformed = Malformed { row: "namespace" };

/// State of one namespace name in this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamespaceRow {
    /// False: this incarnation was deleted, and it and older ones stay ignored.
    pub(crate) is_live: bool,
    pub(crate) incarnation: u64,
    pub(crate) number: NamespaceNumber,
    pub(crate) next_ordinal: u32,
    /// Live documents.
    pub(crate) documents: u64,
    /// Tokens of all fields of all live documents.
    pub(crate) total_length: u64,
}

impl NamespaceRow {
    /// A new, empty life.
    pub(crate) fn empty(incarnation: u64, number: NamespaceNumber) -> Self {
        Self { is_live: true, incarnation, number, next_ordinal: 0, documents: 0, total_length: 0 }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        out.push(u8::from(self.is_live));
        varint::put(&mut out, self.incarnation);
        varint::put(&mut out, u64::from(self.number.0));
        varint::put(&mut out, u64::from(self.next_ordinal));
        varint::put(&mut out, self.documents);
        varint::put(&mut out, self.total_length);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::read(&mut varint::Reader(bytes)).ok_or(MALFORMED)
    }

    fn read(reader: &mut varint::Reader<'_>) -> Option<Self> {
        let is_live = match reader.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let row = Self {
            is_live,
            incarnation: reader.u64()?,
            number: NamespaceNumber(reader.u32()?),
            next_ordinal: reader.u32()?,
            documents: reader.u64()?,
            total_length: reader.u64()?,
        };
        reader.is_empty().then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decodes_what_it_encodes(
            is_live in any::<bool>(), incarnation in any::<u64>(), number in any::<u32>(),
            next_ordinal in any::<u32>(), documents in any::<u64>(), total_length in any::<u64>(),
        ) {
            let number = NamespaceNumber(number);
            let row = NamespaceRow { is_live, incarnation, number, next_ordinal, documents, total_length };
            prop_assert_eq!(NamespaceRow::decode(&row.encode()), Ok(row));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _: Result<NamespaceRow, Malformed> = NamespaceRow::decode(&bytes);
        }
    }
}
