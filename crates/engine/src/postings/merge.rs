//! How RocksDB combines the values of a chunk: writes stay single and blind, and become packed lists as
//! the files that hold them are compacted.
//!
//! Changes merge to changes. On a packed list they are only laid (`changed`), until they come to an
//! eighth of its bytes; then both are packed anew, and removals vanish. A reader never packs. Every
//! function here is total: what it does not understand it keeps, and whoever reads that gets an error.

use std::cell::Cell;

use rocksdb::compaction_filter::Decision;
use rocksdb::{MergeOperands, Options};

use super::value::{
    EMPTY, Entry, Parts, encode_broken, encode_changed, encode_changes, encode_laid, encode_live,
    overlay, parts, read_changes, read_live,
};
use crate::keys::Kind;

/// Written into every table file: another meaning of the values needs another name and format version.
const NAME: &str = "nautilus-postings-2";

/// Changes are folded into a packed list once they have this part of its bytes.
const FOLD_PART: usize = 8;

thread_local! {
    static IS_READER: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread's merges lay changes on lists and never pack: what it makes is used once.
pub(super) fn this_thread_reads() {
    IS_READER.set(true);
}

/// Makes a database merge postings and drop emptied lists.
pub(crate) fn configure(options: &mut Options) {
    options.set_merge_operator(
        NAME,
        |_: &[u8], existing: Option<&[u8]>, operands: &MergeOperands| {
            let operands: Vec<&[u8]> = operands.iter().collect();
            Some(full(existing, &operands, IS_READER.get()))
        },
        |_: &[u8], _: Option<&[u8]>, operands: &MergeOperands| {
            let operands: Vec<&[u8]> = operands.iter().collect();
            Some(partial(&operands))
        },
    );
    options.set_compaction_filter(c"nautilus-emptied-postings", |_, key: &[u8], value: &[u8]| {
        if is_emptied(key, value) { Decision::Remove } else { Decision::Keep }
    });
}

fn is_emptied(key: &[u8], value: &[u8]) -> bool {
    let is_posting = Kind::POSTINGS.iter().any(|kind| key.first() == Some(&(*kind as u8)));
    is_posting && value == EMPTY
}

/// What is stored with changes on top, for a reader; `changes` is a value of changes.
pub(super) fn lay(existing: &[u8], changes: &[u8]) -> Vec<u8> {
    match (parts(existing), parts(changes)) {
        // What nothing changed since it was packed, as most is that rests, needs no look at what is laid on it.
        (Some(Parts { packed: Some(packed), changes: [] }), Some(above)) => {
            encode_laid(packed, above.changes)
        }
        _ => full(Some(existing), &[changes], true),
    }
}

/// Changes, oldest first, as one value of changes.
pub(super) fn partial(operands: &[&[u8]]) -> Vec<u8> {
    let changes = operands.iter().map(|operand| match parts(operand) {
        Some(Parts { packed: None, changes }) => Some(changes),
        Some(Parts { packed: Some(_), .. }) | None => None,
    });
    let Some(entries) = merged(changes) else {
        return encode_broken(operands.iter().copied());
    };
    encode_changes(&entries)
}

/// The value of a key whose history ends with `existing`, and changes above it, oldest first.
fn full(existing: Option<&[u8]>, operands: &[&[u8]], is_reader: bool) -> Vec<u8> {
    try_full(existing, operands, is_reader)
        .unwrap_or_else(|| encode_broken(existing.into_iter().chain(operands.iter().copied())))
}

fn try_full(existing: Option<&[u8]>, operands: &[&[u8]], is_reader: bool) -> Option<Vec<u8>> {
    let base = parts(existing.unwrap_or(EMPTY))?;
    let above = operands.iter().map(|operand| match parts(operand) {
        Some(Parts { packed: None, changes }) => Some(changes),
        Some(Parts { packed: Some(_), .. }) | None => None,
    });
    let mut entries = merged(std::iter::once(Some(base.changes)).chain(above))?;
    let Some(packed) = base.packed else {
        entries.retain(|entry| entry.code != 0);
        return Some(if is_reader { encode_changes(&entries) } else { encode_live(&entries) });
    };
    let bytes: usize = entries.iter().map(|entry| 2 + entry.rest.len()).sum();
    if is_reader || bytes * FOLD_PART <= packed.len() {
        return Some(encode_changed(packed, &entries));
    }
    let mut below = Vec::new();
    read_live(Parts { packed: Some(packed), changes: &[] }, &mut below)?;
    let mut all = Vec::new();
    overlay(&below, &entries, &mut all);
    all.retain(|entry| entry.code != 0);
    Some(encode_live(&all))
}

/// Runs of changes, oldest first, as one ascending run: the newest of each index.
fn merged<'a>(runs: impl Iterator<Item = Option<&'a [u8]>>) -> Option<Vec<Entry<'a>>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut is_ascending = true;
    for run in runs {
        let first = entries.len();
        read_changes(run?, &mut entries)?;
        is_ascending &=
            first == 0 || first == entries.len() || entries[first - 1].index < entries[first].index;
    }
    if !is_ascending {
        // Stable: of equal indexes the newest comes last.
        entries.sort_by_key(|entry| entry.index);
        let mut kept: Vec<Entry<'a>> = Vec::with_capacity(entries.len());
        for entry in entries {
            match kept.last_mut() {
                Some(last) if last.index == entry.index => *last = entry,
                Some(_) | None => kept.push(entry),
            }
        }
        entries = kept;
    }
    Some(entries)
}

#[cfg(test)]
mod tests;
