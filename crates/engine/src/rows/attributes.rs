//! The attribute row: the numbers of a document that searches filter and sort by.
//!
//! ```text
//! bits 0..3 of one byte: which follow, at least one │ size │ created │ modified      LEB128, sign in the lowest bit
//! ```
//!
//! A document without any has no row, so that a partition that keeps none pays nothing.

use super::{Malformed, varint};
use crate::mutation::Attributes;

const MALFORMED: Malformed = Malformed { row: "attribute" };

/// The row; `None` where there is nothing to keep.
pub(crate) fn encode(attributes: &Attributes) -> Option<Vec<u8>> {
    let Attributes { size_bytes, created_unix_ms, modified_unix_ms } = *attributes;
    let mut out = vec![0];
    for (bit, number) in [size_bytes, created_unix_ms, modified_unix_ms].into_iter().enumerate() {
        if let Some(number) = number {
            out[0] |= 1 << bit;
            varint::put_signed(&mut out, number);
        }
    }
    (out[0] != 0).then_some(out)
}

/// What [`encode`] wrote.
pub(crate) fn decode(bytes: &[u8]) -> Result<Attributes, Malformed> {
    read(&mut varint::Reader(bytes)).ok_or(MALFORMED)
}

fn read(reader: &mut varint::Reader<'_>) -> Option<Attributes> {
    let mask = reader.byte()?;
    if !(1..8).contains(&mask) {
        return None;
    }
    let mut numbers = [None; 3];
    for (bit, number) in numbers.iter_mut().enumerate() {
        if mask & (1 << bit) != 0 {
            *number = Some(reader.i64()?);
        }
    }
    let [size_bytes, created_unix_ms, modified_unix_ms] = numbers;
    reader.is_empty().then_some(Attributes { size_bytes, created_unix_ms, modified_unix_ms })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = Option<i64>> {
        let edges = vec![i64::MIN, -1, 0, 1, i64::MAX];
        prop::option::of(prop_oneof![any::<i64>(), prop::sample::select(edges)])
    }

    proptest! {
        #[test]
        fn decodes_what_it_encodes(size_bytes in number(), created in number(), modified in number()) {
            let attributes =
                Attributes { size_bytes, created_unix_ms: created, modified_unix_ms: modified };
            match encode(&attributes) {
                Some(bytes) => prop_assert_eq!(decode(&bytes), Ok(attributes)),
                None => prop_assert_eq!(attributes, Attributes::default()),
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _: Result<Attributes, Malformed> = decode(&bytes);
        }
    }
}
