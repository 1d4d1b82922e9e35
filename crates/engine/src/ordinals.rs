//! Rows of one kind of a namespace by their number, read in ascending order.

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber};
use crate::rows::Malformed;

/// Rows stepped over before a seek is worth its price.
const STEPS_MAX: u32 = 8;

/// Reads rows `kind │ ns │ number` of one snapshot: neighbours by stepping, others by seeking.
pub(crate) struct NumberedRows<'a> {
    kind: Kind,
    ns: NamespaceNumber,
    rows: DBRawIteratorWithThreadMode<'a, DB>,
    is_placed: bool,
}

impl<'a> NumberedRows<'a> {
    pub(crate) fn new(
        snapshot: &'a rocksdb::Snapshot<'a>,
        kind: Kind,
        ns: NamespaceNumber,
    ) -> Self {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(keys::of_namespace(kind, ns));
        options.set_iterate_upper_bound(keys::after_namespace(kind, ns));
        Self { kind, ns, rows: snapshot.raw_iterator_opt(options), is_placed: false }
    }

    /// The value of the row, if there is one; numbers must not descend from call to call.
    pub(crate) fn get(&mut self, number: u32) -> Result<Option<&[u8]>, EngineError> {
        let mut steps = 0;
        loop {
            if !self.is_placed || steps > STEPS_MAX {
                self.rows.seek(keys::numbered(self.kind, self.ns, number));
                (self.is_placed, steps) = (true, 0);
            }
            let Some(key) = self.rows.key() else {
                self.rows.status().map_err(EngineError::read)?;
                return Ok(None);
            };
            let at = keys::last_ordinal(key).ok_or(Malformed { row: "numbered" })?;
            if at >= number {
                return Ok(self.rows.value().filter(|_| at == number));
            }
            self.rows.next();
            steps += 1;
        }
    }
}
