//! Every posting of a namespace, list by list: for digests and for checking lists against documents.

use super::{Cursor, value};
use crate::error::EngineError;
use crate::keys::{self, Ordinal};
use crate::rows::Malformed;
use crate::rows::posting::Frequencies;

const MALFORMED: Malformed = Malformed { row: "postings" };

/// The postings of one token in one chunk of ordinals.
pub(crate) struct List<'a> {
    /// The token, or two common words with a space between.
    pub(crate) token: &'a [u8],
    /// Bytes of key and value.
    pub(crate) bytes: u64,
    pub(crate) postings: &'a [(Ordinal, Frequencies)],
}

/// Calls `each` with every list that the cursor meets, until it says that it has enough.
pub(crate) fn walk(
    rows: &mut Cursor<'_>,
    each: &mut dyn FnMut(&List<'_>) -> Result<bool, EngineError>,
) -> Result<bool, EngineError> {
    let mut postings = Vec::new();
    while let Some((key, value)) = rows.item() {
        let start = keys::without_chunk(key).ok_or(MALFORMED)?;
        let token = keys::token_of(start).ok_or(MALFORMED)?;
        let first = keys::first_ordinal(keys::last_chunk(key).ok_or(MALFORMED)?);
        postings.clear();
        value::for_each(value, |entry| {
            postings.push((first.saturating_add(u32::from(entry.index)), entry.frequencies()));
        })?;
        let bytes = u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX);
        if !each(&List { token: &token, bytes, postings: &postings })? {
            return Ok(false);
        }
        rows.advance();
    }
    rows.status()?;
    Ok(true)
}
