//! One record in a segment.
//!
//! ```text
//!  0  4  payload length, at most 16 MiB
//!  4  4  checksum: CRC-32C of bytes 0..4 and 8.. of the frame, continuing the segment header's checksum
//!  8  8  offset of the record
//! 16  8  append time, milliseconds since the Unix epoch
//! 24  4  place in its commit group, from 0
//! 28  …  payload
//! ```
//!
//! All records of a commit group are written together and synced once, after everything before
//! them was synced. So a frame says which records were durable before it was written: all below its
//! offset minus its place. Recovery tells by that whether damage is a torn tail or corruption.

use nautilus_types::Offset;

pub(super) const FRAME_HEADER_BYTES: usize = 28;
/// Bound of the format, above any bound of records: a larger length is damage.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What stands in front of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) payload_bytes: usize,
    pub(super) checksum: u32,
    pub(super) offset: Offset,
    pub(super) appended_at_unix_ms: u64,
    pub(super) place_in_group: u32,
}

impl FrameHeader {
    /// Header and payload together.
    pub(super) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload_bytes
    }

    /// All records below this offset were durable before this frame was written. `None` where the
    /// place is impossible.
    pub(super) fn durable_before(&self) -> Option<Offset> {
        self.offset.0.checked_sub(u64::from(self.place_in_group)).map(Offset)
    }

    /// The header at the start of `bytes`; `None` where these are too few. Checks nothing.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (appended_at, rest) = rest.split_first_chunk()?;
        let (place, _) = rest.split_first_chunk()?;
        Some(Self {
            payload_bytes: usize::try_from(u32::from_le_bytes(*length)).ok()?,
            checksum: u32::from_le_bytes(*checksum),
            offset: Offset(u64::from_le_bytes(*offset)),
            appended_at_unix_ms: u64::from_le_bytes(*appended_at),
            place_in_group: u32::from_le_bytes(*place),
        })
    }
}

/// Appends a frame to `out`. The payload's length is within [`PAYLOAD_BYTES_MAX`].
pub(super) fn encode(
    out: &mut Vec<u8>,
    seed: u32,
    offset: Offset,
    appended_at_unix_ms: u64,
    place_in_group: u32,
    payload: &[u8],
) {
    let start = out.len();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    debug_assert!(payload.len() <= PAYLOAD_BYTES_MAX);
    out.extend(length.to_le_bytes());
    out.extend([0; 4]);
    out.extend(offset.0.to_le_bytes());
    out.extend(appended_at_unix_ms.to_le_bytes());
    out.extend(place_in_group.to_le_bytes());
    out.extend_from_slice(payload);
    let checksum = checksum(seed, &out[start..]);
    out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Whether `frame`, which is as long as `header` says, is what was written.
pub(super) fn is_sound(header: &FrameHeader, seed: u32, frame: &[u8]) -> bool {
    header.payload_bytes <= PAYLOAD_BYTES_MAX
        && header.durable_before().is_some()
        && header.checksum == checksum(seed, frame)
}

fn checksum(seed: u32, frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &frame[..4]), &frame[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_any_changed_bit_shows() {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, Offset(9), 1_700_000_000_123, 2, b"payload");
        let header = FrameHeader::decode(&bytes).expect("long enough");
        assert!(is_sound(&header, 7, &bytes));
        assert_eq!(header.frame_bytes(), bytes.len());
        assert_eq!((header.offset, header.durable_before()), (Offset(9), Some(Offset(7))));
        assert_eq!(header.appended_at_unix_ms, 1_700_000_000_123);
        assert!(!is_sound(&header, 8, &bytes), "of another segment");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let header = FrameHeader::decode(&damaged).expect("long enough");
            let whole = header.frame_bytes() == damaged.len();
            assert!(!(whole && is_sound(&header, 7, &damaged)), "bit {bit}");
        }
    }

    #[test]
    fn short_and_empty_input_is_no_frame() {
        assert_eq!(FrameHeader::decode(&[0; FRAME_HEADER_BYTES - 1]), None);
        let zeros = [0; FRAME_HEADER_BYTES];
        let header = FrameHeader::decode(&zeros).expect("long enough");
        assert!(!is_sound(&header, 7, &zeros));
    }
}
