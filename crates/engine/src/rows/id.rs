//! The id row: what is known of a document id without reading the document.
//!
//! ```text
//! 0 │ version │ offset                           deleted: remembered so that an older version cannot return
//! 1 │ version │ offset │ ordinal │ content hash   live
//! ```
//!
//! Numbers are LEB128; a version is 0 for none, or 1 and the number. The hash is 16 bytes.

use super::{Malformed, varint};
use crate::keys::Ordinal;

const MALFORMED: Malformed = Malformed { row: "id" };

/// State of a document id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdRow {
    pub(crate) version: Option<u64>,
    /// Offset of the mutation that made this state.
    pub(crate) offset: u64,
    /// `None`: deleted.
    pub(crate) live: Option<LiveId>,
}

/// Where a live document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LiveId {
    pub(crate) ordinal: Ordinal,
    pub(crate) content_hash: [u8; 16],
}

impl IdRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        out.push(u8::from(self.live.is_some()));
        match self.version {
            None => out.push(0),
            Some(version) => {
                out.push(1);
                varint::put(&mut out, version);
            }
        }
        varint::put(&mut out, self.offset);
        if let Some(live) = &self.live {
            varint::put(&mut out, u64::from(live.ordinal));
            out.extend_from_slice(&live.content_hash);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::read(&mut varint::Reader(bytes)).ok_or(MALFORMED)
    }

    fn read(reader: &mut varint::Reader<'_>) -> Option<Self> {
        let state = reader.byte()?;
        let version = match reader.byte()? {
            0 => None,
            1 => Some(reader.u64()?),
            _ => return None,
        };
        let offset = reader.u64()?;
        let live = match state {
            0 => None,
            1 => Some(LiveId { ordinal: reader.u32()?, content_hash: reader.array()? }),
            _ => return None,
        };
        reader.is_empty().then_some(Self { version, offset, live })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decodes_what_it_encodes(
            version in any::<Option<u64>>(), offset in any::<u64>(), live in any::<Option<(u32, [u8; 16])>>(),
        ) {
            let live = live.map(|(ordinal, content_hash)| LiveId { ordinal, content_hash });
            let row = IdRow { version, offset, live };
            prop_assert_eq!(IdRow::decode(&row.encode()), Ok(row));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _: Result<IdRow, Malformed> = IdRow::decode(&bytes);
        }
    }
}
