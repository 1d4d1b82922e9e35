//! The redo row: the postings that one record changed, until they stand in lists on disk.
//!
//! ```text
//! R │ offset  →  ns │ ordinal │ (2 · length of text + is pair │ text │ posting, or 0 = removed)…
//! ```
//!
//! Numbers are LEB128. It is written in the batch of the record's other rows, so what a memory held is found again
//! wherever those are: the database's own order of flushes does not matter.

use super::Term;
use crate::keys::{NamespaceNumber, Ordinal};
use crate::rows::posting::Frequencies;
use crate::rows::{Malformed, varint};

const MALFORMED: Malformed = Malformed { row: "redo" };

/// The row of a document whose postings change like this; none where none does.
pub(crate) fn encode<'t>(
    ns: NamespaceNumber,
    ordinal: Ordinal,
    changes: impl Iterator<Item = (Term<'t>, Frequencies)>,
) -> Option<Vec<u8>> {
    let mut row = Vec::new();
    varint::put(&mut row, u64::from(ns.0));
    varint::put(&mut row, u64::from(ordinal));
    let start = row.len();
    for (term, after) in changes {
        let (text, is_pair) = match term {
            Term::Token(text) => (text, 0),
            Term::Pair(text) => (text, 1),
        };
        varint::put(&mut row, (text.len() as u64) << 1 | is_pair);
        row.extend_from_slice(text.as_bytes());
        if after.is_empty() { row.push(0) } else { after.encode(&mut row) }
    }
    (row.len() > start).then_some(row)
}

/// A row that is being read.
pub(crate) struct Redo<'a> {
    pub(super) ns: NamespaceNumber,
    pub(super) ordinal: Ordinal,
    changes: varint::Reader<'a>,
}

impl<'a> Redo<'a> {
    pub(crate) fn read(row: &'a [u8]) -> Result<Self, Malformed> {
        let mut changes = varint::Reader(row);
        let (ns, ordinal) = (changes.u32().ok_or(MALFORMED)?, changes.u32().ok_or(MALFORMED)?);
        Ok(Self { ns: NamespaceNumber(ns), ordinal, changes })
    }

    /// Appends all changes; what follows one that makes no sense is not read.
    pub(super) fn changes(
        mut self,
        out: &mut Vec<(Term<'a>, Frequencies)>,
    ) -> Result<(), Malformed> {
        while !self.changes.is_empty() {
            out.push(self.next().ok_or(MALFORMED)?);
        }
        Ok(())
    }

    fn next(&mut self) -> Option<(Term<'a>, Frequencies)> {
        let head = self.changes.u64()?;
        let len = usize::try_from(head >> 1).ok()?;
        let (text, rest) = self.changes.0.split_at_checked(len)?;
        self.changes.0 = rest;
        let text = std::str::from_utf8(text).ok()?;
        let term = if head & 1 == 0 { Term::Token(text) } else { Term::Pair(text) };
        let frequencies = match self.changes.byte()? {
            0 => Frequencies::default(),
            code => Frequencies::read(code, &mut self.changes)?,
        };
        Some((term, frequencies))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let changes = [
            (Term::Token("fox"), Frequencies([0, 0, 2])),
            (Term::Pair("of the"), Frequencies([1, 0, 300])),
            (Term::Token("gone"), Frequencies::default()),
        ];
        let row = encode(NamespaceNumber(5), 300, changes.into_iter()).expect("changes");
        assert_eq!(row, b"\x05\xAC\x02\x06fox\x14\x0Dof the\x05\x01\xAC\x02\x08gone\x00");
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(
            ns: u32, ordinal: u32,
            changes in prop::collection::vec(("[a-z ]{0,200}", any::<bool>(), any::<[u32; 3]>(), 0..3_u32), 0..9),
        ) {
            let changes: Vec<_> = changes
                .iter()
                .map(|(text, is_pair, many, few)| {
                    let frequencies = if *few == 2 { *many } else { [0, 0, *few] };
                    let term = if *is_pair { Term::Pair(text) } else { Term::Token(text) };
                    (term, Frequencies(frequencies))
                })
                .collect();
            let row = encode(NamespaceNumber(ns), ordinal, changes.iter().copied());
            prop_assert_eq!(row.is_none(), changes.is_empty());
            let Some(row) = row else { return Ok(()) };
            let redo = Redo::read(&row).expect("makes sense");
            prop_assert_eq!((redo.ns, redo.ordinal), (NamespaceNumber(ns), ordinal));
            let mut found = Vec::new();
            redo.changes(&mut found).expect("makes sense");
            prop_assert_eq!(found, changes);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(redo) = Redo::read(&bytes) {
                let _: bool = redo.changes(&mut Vec::new()).is_ok();
            }
        }
    }
}
