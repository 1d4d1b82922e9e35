//! Rows of one kind of a namespace by their number, read in ascending order.

use rocksdb::{DB, DBPinnableSlice, DBRawIteratorWithThreadMode, ReadOptions};

use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber};
use crate::read::Searcher;
use crate::rows::Malformed;

/// Numbers that are near: rows stepped over before a seek is worth its price.
const STEPS_MAX: u32 = 8;

/// Reads rows `kind │ ns │ number` of one snapshot: neighbours by stepping, others one by one, which filters spare the
/// files that do not have them.
pub(crate) struct NumberedRows<'a> {
    kind: Kind,
    ns: NamespaceNumber,
    searcher: &'a Searcher<'a>,
    last: Option<u32>,
    got: Option<DBPinnableSlice<'a>>,
    /// Opened for the first neighbour; on the row at or after the last one asked for.
    rows: Option<DBRawIteratorWithThreadMode<'a, DB>>,
}

impl<'a> NumberedRows<'a> {
    pub(crate) fn new(searcher: &'a Searcher<'a>, kind: Kind, ns: NamespaceNumber) -> Self {
        Self { kind, ns, searcher, last: None, got: None, rows: None }
    }

    /// The value of the row, if there is one; numbers must not descend from call to call.
    pub(crate) fn get(&mut self, number: u32) -> Result<Option<&[u8]>, EngineError> {
        let last = self.last.replace(number);
        if last.is_some_and(|last| number.saturating_sub(last) <= STEPS_MAX) {
            return self.neighbour(number);
        }
        self.got = self.searcher.get_pinned(&keys::numbered(self.kind, self.ns, number))?;
        Ok(self.got.as_deref())
    }

    fn neighbour(&mut self, number: u32) -> Result<Option<&[u8]>, EngineError> {
        let Self { kind, ns, searcher, rows, .. } = self;
        let mut steps = if rows.is_none() { STEPS_MAX + 1 } else { 0 };
        let rows = rows.get_or_insert_with(|| {
            let mut options = ReadOptions::default();
            options.set_iterate_lower_bound(keys::of_namespace(*kind, *ns));
            options.set_iterate_upper_bound(keys::after_namespace(*kind, *ns));
            searcher.snapshot.raw_iterator_opt(options)
        });
        loop {
            if steps > STEPS_MAX {
                rows.seek(keys::numbered(*kind, *ns, number));
                steps = 0;
            }
            let Some(key) = rows.key() else {
                rows.status().map_err(EngineError::read)?;
                return Ok(None);
            };
            let at = keys::last_ordinal(key).ok_or(Malformed { row: "numbered" })?;
            if at >= number {
                return Ok(rows.value().filter(|_| at == number));
            }
            rows.next();
            steps += 1;
        }
    }
}
