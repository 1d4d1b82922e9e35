//! A scan over lists: rows of the database, with the changes that memory holds laid on them.

use rocksdb::{DB, DBRawIteratorWithThreadMode};

use super::merge;
use crate::error::EngineError;

/// Key and changes of a chunk in memory.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Goes through both in the order of keys.
pub(crate) struct Cursor<'a> {
    rows: DBRawIteratorWithThreadMode<'a, DB>,
    /// Ascending, none before the first key asked for.
    recent: Vec<Row>,
    next: usize,
    at: At,
}

/// What the cursor stands on.
enum At {
    /// The row of the iterator.
    Stored,
    /// What memory alone has.
    Recent,
    /// A row of both.
    Both(Vec<u8>),
    End,
}

impl<'a> Cursor<'a> {
    /// At the first row that `rows` has, from `start` on if that is given.
    pub(crate) fn new(
        mut rows: DBRawIteratorWithThreadMode<'a, DB>,
        start: Option<&[u8]>,
        recent: Vec<Row>,
    ) -> Self {
        merge::this_thread_reads();
        match start {
            Some(start) => rows.seek(start),
            None => rows.seek_to_first(),
        }
        let mut cursor = Self { rows, recent, next: 0, at: At::End };
        cursor.look();
        cursor
    }

    /// Key and value; none at the end, and where the database fails.
    pub(crate) fn item(&self) -> Option<(&[u8], &[u8])> {
        match &self.at {
            At::Stored => self.rows.item(),
            At::Recent => self.recent().map(|(key, value)| (key.as_slice(), value.as_slice())),
            At::Both(value) => self.rows.key().map(|key| (key, value.as_slice())),
            At::End => None,
        }
    }

    /// Goes on to the next row.
    pub(crate) fn advance(&mut self) {
        match &self.at {
            At::Stored => self.rows.next(),
            At::Recent => self.next += 1,
            At::Both(_) => {
                self.rows.next();
                self.next += 1;
            }
            At::End => return,
        }
        self.look();
    }

    /// Whether the end is the end.
    pub(crate) fn status(&self) -> Result<(), EngineError> {
        self.rows.status().map_err(EngineError::read)
    }

    fn recent(&self) -> Option<&Row> {
        self.recent.get(self.next)
    }

    fn look(&mut self) {
        self.at = match (self.rows.item(), self.recent()) {
            (Some((key, value)), Some((changed, changes))) => match key.cmp(changed.as_slice()) {
                std::cmp::Ordering::Less => At::Stored,
                std::cmp::Ordering::Equal => At::Both(merge::lay(value, changes)),
                std::cmp::Ordering::Greater => At::Recent,
            },
            (Some(_), None) => At::Stored,
            // After a failure nothing more is to be shown.
            (None, Some(_)) if self.rows.status().is_ok() => At::Recent,
            (None, Some(_) | None) => At::End,
        };
    }
}
