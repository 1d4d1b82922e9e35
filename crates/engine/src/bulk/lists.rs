//! Lists of postings between memory, runs and tables: packed as they will rest.

use super::inversion::Posting;
use super::namespaces::Namespaces;
use super::run::Runs;
use super::tables::Tables;
use crate::error::EngineError;
use crate::keys;
use crate::postings;
use crate::rows::Malformed;

/// Writes the lists of all runs. Documents have ordinals in the order in which they came, and runs are that old:
/// so the parts of a list follow each other.
pub(super) fn merge(
    runs: Runs,
    namespaces: &Namespaces,
    tables: &mut Tables<'_>,
) -> Result<(), EngineError> {
    let (mut waiting, mut value_of) = (Waiting::default(), Vec::new());
    runs.merge(|key, value| {
        if waiting.key == key {
            return waiting.append(value);
        }
        waiting.write(&mut value_of, namespaces, tables)?;
        waiting.begin(key, value);
        Ok(())
    })?;
    waiting.write(&mut value_of, namespaces, tables)
}

/// Writes one list, without replaced documents; `value` is a buffer.
pub(super) fn put(
    key: &[u8],
    postings: &mut Vec<Posting>,
    value: &mut Vec<u8>,
    namespaces: &Namespaces,
    tables: &mut Tables<'_>,
) -> Result<(), EngineError> {
    let ns = keys::namespace_of(key).ok_or(Malformed { row: "postings" })?;
    if namespaces.has_replaced(ns) {
        let chunk = keys::last_chunk(key).ok_or(Malformed { row: "postings" })?;
        let first = keys::first_ordinal(chunk);
        postings.retain(|(index, _)| !namespaces.is_replaced(ns, first + u32::from(*index)));
        if postings.is_empty() {
            return Ok(());
        }
    }
    value.clear();
    postings::encode_list(value, postings);
    tables.put(key, value)
}

/// A list that the next row may go on with.
#[derive(Default)]
struct Waiting {
    key: Vec<u8>,
    /// As it was read, as long as it is the only part.
    value: Vec<u8>,
    /// All parts together.
    postings: Vec<Posting>,
}

impl Waiting {
    fn begin(&mut self, key: &[u8], value: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.value.clear();
        self.value.extend_from_slice(value);
        self.postings.clear();
    }

    fn append(&mut self, value: &[u8]) -> Result<(), EngineError> {
        self.take_apart()?;
        Ok(postings::decode_list(value, &mut self.postings)?)
    }

    fn take_apart(&mut self) -> Result<(), EngineError> {
        if !self.value.is_empty() {
            postings::decode_list(&self.value, &mut self.postings)?;
            self.value.clear();
        }
        Ok(())
    }

    fn write(
        &mut self,
        value: &mut Vec<u8>,
        namespaces: &Namespaces,
        tables: &mut Tables<'_>,
    ) -> Result<(), EngineError> {
        if self.key.is_empty() {
            return Ok(());
        }
        let ns = keys::namespace_of(&self.key).ok_or(Malformed { row: "postings" })?;
        if !self.value.is_empty() && !namespaces.has_replaced(ns) {
            return tables.put(&self.key, &self.value);
        }
        self.take_apart()?;
        put(&self.key, &mut self.postings, value, namespaces, tables)
    }
}
