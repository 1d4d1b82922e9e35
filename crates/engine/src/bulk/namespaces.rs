//! The namespaces of a build: their numbers, ordinals, lengths and statistics, all in memory.

use hashbrown::HashMap;
use nautilus_query::scoring::encode_length;

use crate::error::EngineError;
use crate::keys::{NamespaceNumber, Ordinal};
use crate::rows::namespace::NamespaceRow;

/// All namespaces met so far, numbered as they came.
#[derive(Default)]
pub(super) struct Namespaces {
    numbers: HashMap<Box<[u8]>, usize>,
    states: Vec<State>,
}

/// One of them.
pub(super) struct State {
    pub(super) row: NamespaceRow,
    /// Length codes by ordinal.
    pub(super) lengths: Vec<u8>,
    /// Ordinals of documents that others replaced, ascending once [`Namespaces::sort_replaced`] has run.
    replaced: Vec<Ordinal>,
}

impl Namespaces {
    /// Where the namespace is here, and the ordinal that [`Self::add`] will give to its next document.
    pub(super) fn next_ordinal(
        &mut self,
        name: &[u8],
        incarnation: u64,
    ) -> Result<(usize, Ordinal), EngineError> {
        let at = match self.numbers.get(name) {
            // A newer life of a name whose last one ended.
            Some(&at)
                if !self.states[at].row.is_live
                    && self.states[at].row.incarnation < incarnation =>
            {
                self.begin(name, incarnation)?
            }
            Some(&at) => at,
            None => self.begin(name, incarnation)?,
        };
        let row = &self.states[at].row;
        if row.incarnation != incarnation {
            return Err(EngineError::BulkInput("documents of two incarnations of a namespace"));
        }
        if !row.is_live {
            return Err(EngineError::BulkInput("documents of a namespace that has ended"));
        }
        if row.next_ordinal == Ordinal::MAX {
            return Err(EngineError::NumbersExhausted { what: "document" });
        }
        Ok((at, row.next_ordinal))
    }

    /// Remembers that this life of the name has ended.
    pub(super) fn end(&mut self, name: &[u8], incarnation: u64) -> Result<(), EngineError> {
        let at = self.begin(name, incarnation)?;
        self.states[at].row.is_live = false;
        Ok(())
    }

    /// Gives the life of a name a number; returns where it is here.
    pub(super) fn begin(&mut self, name: &[u8], incarnation: u64) -> Result<usize, EngineError> {
        let at = self.states.len();
        let number = u32::try_from(at)
            .ok()
            .filter(|number| *number < u32::MAX)
            .ok_or(EngineError::NumbersExhausted { what: "namespace" })?;
        let row = NamespaceRow::empty(incarnation, NamespaceNumber(number));
        self.states.push(State { row, lengths: Vec::new(), replaced: Vec::new() });
        self.numbers.insert(name.into(), at);
        Ok(at)
    }

    pub(super) fn number(&self, at: usize) -> NamespaceNumber {
        self.states[at].row.number
    }

    /// Counts the document that got the next ordinal.
    pub(super) fn add(&mut self, at: usize, length: u32) {
        let State { row, lengths, .. } = &mut self.states[at];
        row.next_ordinal += 1;
        row.documents += 1;
        row.total_length += u64::from(length);
        lengths.push(encode_length(length));
    }

    /// Another document has the id of this one and is kept.
    pub(super) fn replace(&mut self, number: NamespaceNumber, ordinal: Ordinal, length: u32) {
        if let Some(State { row, replaced, .. }) = self.state_mut(number) {
            row.documents = row.documents.saturating_sub(1);
            row.total_length = row.total_length.saturating_sub(u64::from(length));
            replaced.push(ordinal);
        }
    }

    /// Makes [`Self::is_replaced`] right.
    pub(super) fn sort_replaced(&mut self) {
        self.states.iter_mut().for_each(|state| state.replaced.sort_unstable());
    }

    pub(super) fn has_replaced(&self, number: NamespaceNumber) -> bool {
        self.state(number).is_some_and(|state| !state.replaced.is_empty())
    }

    pub(super) fn is_replaced(&self, number: NamespaceNumber, ordinal: Ordinal) -> bool {
        self.state(number).is_some_and(|state| state.replaced.binary_search(&ordinal).is_ok())
    }

    /// By number.
    pub(super) fn states(&self) -> &[State] {
        &self.states
    }

    /// Names and rows, ascending by name.
    pub(super) fn by_name(&self) -> Vec<(&[u8], &NamespaceRow)> {
        let rows = self.numbers.iter().map(|(name, &at)| (&**name, &self.states[at].row));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable_by_key(|(name, _)| *name);
        rows
    }

    fn state(&self, number: NamespaceNumber) -> Option<&State> {
        self.states.get(usize::try_from(number.0).ok()?)
    }

    fn state_mut(&mut self, number: NamespaceNumber) -> Option<&mut State> {
        self.states.get_mut(usize::try_from(number.0).ok()?)
    }
}
