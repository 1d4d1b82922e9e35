//! Attributes of the documents that may match: the filter, and the number they are sorted by.

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use super::Budget;
use super::request::{Filter, SortKey};
use super::window::Window;
use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::mutation::Attributes;
use crate::postings::Scan;
use crate::read::Searcher;
use crate::rows::{Malformed, attributes};

/// Rows stepped over before a seek is worth its price.
const STEPS_MAX: u32 = 8;
/// Documents between two looks at the budget.
const DOCUMENTS_PER_BUDGET_CHECK: usize = 256;

/// Leaves out of each window of one namespace what the filter does not accept, and notes what is sorted by.
pub(super) struct AttributeReader<'a> {
    filter: Filter,
    key: SortKey,
    column: Option<Column<'a>>,
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
        let column = is_needed.then(|| Column::new(searcher, ns));
        Self { filter, key, column, values: Vec::new() }
    }

    /// Applies the filter to the window: before phrases are looked for, which costs more.
    pub(super) fn filter(
        &mut self,
        window: &mut Window,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let Some(column) = &mut self.column else { return Ok(Scan::Complete) };
        self.values.clear();
        let possible: Vec<Ordinal> = window.matched().collect();
        for (count, ordinal) in possible.into_iter().enumerate() {
            if count.is_multiple_of(DOCUMENTS_PER_BUDGET_CHECK) && budget.is_exhausted() {
                return Ok(Scan::Exhausted);
            }
            let attributes = column.get(ordinal)?;
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

/// The attribute rows of one namespace, read in ascending order.
struct Column<'a> {
    ns: NamespaceNumber,
    rows: DBRawIteratorWithThreadMode<'a, DB>,
    is_placed: bool,
}

impl<'a> Column<'a> {
    fn new(searcher: &'a Searcher<'_>, ns: NamespaceNumber) -> Self {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(keys::of_namespace(Kind::Attributes, ns));
        options.set_iterate_upper_bound(keys::after_namespace(Kind::Attributes, ns));
        Self { ns, rows: searcher.snapshot.raw_iterator_opt(options), is_placed: false }
    }

    /// The document's attributes; ordinals must ascend from call to call.
    fn get(&mut self, ordinal: Ordinal) -> Result<Attributes, EngineError> {
        let mut steps = 0;
        loop {
            if !self.is_placed || steps > STEPS_MAX {
                self.rows.seek(keys::attributes(self.ns, ordinal));
                (self.is_placed, steps) = (true, 0);
            }
            let Some((key, value)) = self.rows.item() else {
                self.rows.status().map_err(EngineError::read)?;
                return Ok(Attributes::default());
            };
            let at = keys::last_ordinal(key).ok_or(Malformed { row: "attribute" })?;
            match at.cmp(&ordinal) {
                std::cmp::Ordering::Equal => return Ok(attributes::decode(value)?),
                std::cmp::Ordering::Greater => return Ok(Attributes::default()),
                std::cmp::Ordering::Less => {
                    self.rows.next();
                    steps += 1;
                }
            }
        }
    }
}
