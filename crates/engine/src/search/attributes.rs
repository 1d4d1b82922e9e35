//! Attributes of the documents that may match: the filter, and the number they are sorted by.

use super::Budget;
use super::request::{Filter, SortKey};
use super::window::Window;
use crate::error::EngineError;
use crate::keys::{Kind, NamespaceNumber, Ordinal};
use crate::mutation::Attributes;
use crate::ordinals::NumberedRows;
use crate::postings::Scan;
use crate::read::Searcher;
use crate::rows::attributes;

/// Documents between two looks at the budget.
const DOCUMENTS_PER_BUDGET_CHECK: usize = 256;

/// Leaves out of each window of one namespace what the filter does not accept, and notes what is sorted by.
pub(super) struct AttributeReader<'a> {
    filter: Filter,
    key: SortKey,
    rows: Option<NumberedRows<'a>>,
    /// Of the window's documents that are left, ascending.
    values: Vec<(Ordinal, Option<i64>)>,
}

impl<'a> AttributeReader<'a> {
    /// Reads nothing where neither the filter nor the order asks for attributes.
    pub(super) fn new(
        searcher: &'a Searcher<'_>,
        ns: NamespaceNumber,
        filter: Filter,
        key: SortKey,
    ) -> Self {
        let is_needed = !filter.is_open() || key != SortKey::Relevance;
        let rows = is_needed.then(|| NumberedRows::new(searcher, Kind::Attributes, ns));
        Self { filter, key, rows, values: Vec::new() }
    }

    /// Applies the filter to the window: before phrases are looked for, which costs more.
    pub(super) fn filter(
        &mut self,
        window: &mut Window,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let Some(rows) = &mut self.rows else { return Ok(Scan::Complete) };
        self.values.clear();
        let possible: Vec<Ordinal> = window.matched().collect();
        for (count, ordinal) in possible.into_iter().enumerate() {
            if count.is_multiple_of(DOCUMENTS_PER_BUDGET_CHECK) && budget.is_exhausted() {
                return Ok(Scan::Exhausted);
            }
            let attributes =
                rows.get(ordinal)?.map_or(Ok(Attributes::default()), attributes::decode)?;
            if self.filter.accepts(&attributes) {
                self.values.push((ordinal, self.key.value(&attributes)));
            } else {
                window.exclude(ordinal);
            }
        }
        Ok(Scan::Complete)
    }

    /// The number the document is sorted by; of a document that the last [`Self::filter`] accepted.
    pub(super) fn sort_value(&self, ordinal: Ordinal) -> Option<i64> {
        let at = self.values.binary_search_by_key(&ordinal, |(ordinal, _)| *ordinal).ok()?;
        self.values[at].1
    }
}
