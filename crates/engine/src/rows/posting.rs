//! The posting: how often each field holds the token, in 1 byte for most.
//!
//! ```text
//! bit 0..3  fields that hold the token (title, path, body), at least one
//! bit 3..8  1..=31: the frequency, where one field holds it; 0: a LEB128 frequency per field follows
//! ```
//!
//! No positions and no length: an edit that moves words or changes the length writes no posting.

#[cfg(test)]
use super::Malformed;
use super::varint;

/// Frequencies of one token in one document, indexed by `Field::index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub(crate) struct Frequencies(pub(crate) [u32; 3]);

#[cfg(test)]
const MALFORMED: Malformed = Malformed { row: "posting" };
const INLINE_MAX: u32 = 31;
/// The bits of a first byte that say which fields hold the token.
pub(crate) const FIELDS: u8 = 0b111;

/// Whether a posting's first byte says all of it.
pub(crate) fn is_whole(first: u8) -> bool {
    first > FIELDS
}

impl Frequencies {
    /// Whether no field holds the token: such a posting is not stored.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == [0; 3]
    }

    /// The first byte of its encoding.
    pub(crate) fn first_byte(self) -> u8 {
        let mut mask = 0_u8;
        let mut fields = 0;
        let mut sum = 0_u64;
        for (bit, &frequency) in self.0.iter().enumerate() {
            if frequency > 0 {
                mask |= 1 << bit;
                fields += 1;
                sum += u64::from(frequency);
            }
        }
        match u8::try_from(sum) {
            Ok(inline) if fields == 1 && sum <= u64::from(INLINE_MAX) => mask | (inline << 3),
            Ok(_) | Err(_) => mask,
        }
    }

    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        let first = self.first_byte();
        out.push(first);
        if !is_whole(first) {
            self.encode_rest(out);
        }
    }

    /// Appends what follows a first byte that is not whole.
    pub(crate) fn encode_rest(self, out: &mut Vec<u8>) {
        for frequency in self.0.into_iter().filter(|&frequency| frequency > 0) {
            varint::put(out, u64::from(frequency));
        }
    }

    /// Reads one posting: its first byte, and what follows it from `rest`.
    pub(crate) fn read(first: u8, rest: &mut varint::Reader<'_>) -> Option<Self> {
        let (mask, inline) = (first & FIELDS, u32::from(first >> 3));
        if mask == 0 || (inline > 0 && mask.count_ones() != 1) {
            return None;
        }
        let mut frequencies = [0; 3];
        for (bit, frequency) in frequencies.iter_mut().enumerate() {
            if mask & (1 << bit) != 0 {
                *frequency = if inline > 0 { inline } else { rest.u32()? };
                if *frequency == 0 {
                    return None;
                }
            }
        }
        Some(Self(frequencies))
    }

    /// The frequencies a first byte says by itself; none where more bytes follow it or it makes no sense.
    pub(crate) fn of_first_byte(first: u8) -> Self {
        if is_whole(first) {
            Self::read(first, &mut varint::Reader(&[])).unwrap_or_default()
        } else {
            Self::default()
        }
    }

    /// Reads a row that holds one posting and nothing else.
    #[cfg(test)]
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = varint::Reader(bytes);
        let first = reader.byte().ok_or(MALFORMED)?;
        let frequencies = Self::read(first, &mut reader).ok_or(MALFORMED)?;
        if reader.is_empty() { Ok(frequencies) } else { Err(MALFORMED) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Often none, so that one field alone holds the token; around the bound of the first byte; any.
    fn frequency() -> impl Strategy<Value = u32> {
        prop_oneof![3 => Just(0), 2 => 1..300_u32, 1 => any::<u32>()]
    }

    proptest! {
        #[test]
        fn decodes_what_it_encodes(title in frequency(), path in frequency(), body in frequency()) {
            let frequencies = Frequencies([title, path, body]);
            prop_assume!(!frequencies.is_empty());
            let mut bytes = Vec::new();
            frequencies.encode(&mut bytes);
            prop_assert_eq!(Frequencies::decode(&bytes), Ok(frequencies));
        }

        #[test]
        fn any_bytes_are_survived_and_mean_one_thing(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(frequencies) = Frequencies::decode(&bytes) {
                prop_assert!(!frequencies.is_empty());
            }
        }
    }

    #[test]
    fn most_postings_are_one_byte() {
        for frequency in 1..=INLINE_MAX {
            let mut bytes = Vec::new();
            Frequencies([0, 0, frequency]).encode(&mut bytes);
            assert_eq!(bytes.len(), 1);
        }
    }
}
