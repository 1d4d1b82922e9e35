//! The writer's view of namespace rows: read once, then kept in bounded memory.

use std::collections::HashMap;

use rocksdb::{DB, WriteBatch};

use crate::error::EngineError;
use crate::keys::{self, NamespaceNumber};
use crate::partition::{META_NEXT_NUMBER, META_TOTALS, Shared};
use crate::rows::Malformed;
use crate::rows::namespace::NamespaceRow;

/// Rows kept before all are dropped and read again when needed: about 10 MiB with usual names.
const CACHED_ROWS_MAX: usize = 65_536;

/// Live namespaces and documents of the partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) namespaces: u64,
    pub(crate) documents: u64,
}

impl Totals {
    pub(crate) fn read(db: &DB) -> Result<Self, EngineError> {
        let Some(bytes) = db.get(keys::meta(META_TOTALS)).map_err(EngineError::read)? else {
            return Ok(Self::default());
        };
        let (namespaces, documents) = bytes
            .split_first_chunk::<8>()
            .and_then(|(head, rest)| Some((*head, <[u8; 8]>::try_from(rest).ok()?)))
            .ok_or(Malformed { row: "meta" })?;
        Ok(Self {
            namespaces: u64::from_be_bytes(namespaces),
            documents: u64::from_be_bytes(documents),
        })
    }

    pub(crate) fn put(self, batch: &mut WriteBatch) {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&self.namespaces.to_be_bytes());
        value[8..].copy_from_slice(&self.documents.to_be_bytes());
        batch.put(keys::meta(META_TOTALS), value);
    }
}

/// What the writer knows of all namespaces, as of the last batch written.
pub(crate) struct Namespaces {
    rows: HashMap<Box<[u8]>, Option<NamespaceRow>>,
    next_number: u32,
    totals: Totals,
}

/// A change of one namespace's row, to be put in a batch and kept once the batch is written.
pub(crate) struct Change<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) before: Option<NamespaceRow>,
    pub(crate) after: NamespaceRow,
}

impl Namespaces {
    pub(crate) fn load(shared: &Shared) -> Result<Self, EngineError> {
        let next = shared.meta_u64(META_NEXT_NUMBER)?.unwrap_or(0);
        let next_number = u32::try_from(next).map_err(|_| Malformed { row: "meta" })?;
        Ok(Self { rows: HashMap::new(), next_number, totals: Totals::read(&shared.db)? })
    }

    /// The row of `name` as of the last batch written.
    pub(crate) fn get(
        &mut self,
        shared: &Shared,
        name: &[u8],
    ) -> Result<Option<NamespaceRow>, EngineError> {
        if let Some(row) = self.rows.get(name) {
            return Ok(*row);
        }
        let row = match shared.db.get(keys::namespace(name)).map_err(EngineError::read)? {
            Some(bytes) => Some(NamespaceRow::decode(&bytes)?),
            None => None,
        };
        self.keep(name, row);
        Ok(row)
    }

    /// An empty row with a number of its own; `number` is only taken once [`Self::put`] and [`Self::written`] have run.
    pub(crate) fn fresh(&self, incarnation: u64) -> Result<NamespaceRow, EngineError> {
        if self.next_number == u32::MAX {
            return Err(EngineError::NumbersExhausted { what: "namespace" });
        }
        Ok(NamespaceRow::empty(incarnation, NamespaceNumber(self.next_number)))
    }

    /// Puts the changed row, the totals, and the next number if it moved.
    pub(crate) fn put(&self, batch: &mut WriteBatch, change: &Change<'_>) {
        batch.put(keys::namespace(change.name), change.after.encode());
        self.totals_after(change).put(batch);
        let next = self.number_after(change);
        if next != self.next_number {
            batch.put(keys::meta(META_NEXT_NUMBER), u64::from(next).to_be_bytes());
        }
    }

    /// The batch with this change is written.
    pub(crate) fn written(&mut self, change: &Change<'_>) {
        self.totals = self.totals_after(change);
        self.next_number = self.number_after(change);
        self.keep(change.name, Some(change.after));
    }

    fn number_after(&self, change: &Change<'_>) -> u32 {
        self.next_number.max(change.after.number.0.saturating_add(1))
    }

    fn totals_after(&self, change: &Change<'_>) -> Totals {
        let count = |row: Option<NamespaceRow>| match row {
            Some(row) if row.is_live => (1, row.documents),
            Some(_) | None => (0, 0),
        };
        let (namespaces_before, documents_before) = count(change.before);
        let (namespaces_after, documents_after) = count(Some(change.after));
        Totals {
            namespaces: (self.totals.namespaces + namespaces_after)
                .saturating_sub(namespaces_before),
            documents: (self.totals.documents + documents_after).saturating_sub(documents_before),
        }
    }

    fn keep(&mut self, name: &[u8], row: Option<NamespaceRow>) {
        if self.rows.len() >= CACHED_ROWS_MAX {
            self.rows.clear();
        }
        self.rows.insert(name.into(), row);
    }
}
