//! The value of one chunk of a token's postings, in each of its forms. Drawn in `docs/formats/partition.md`.
//!
//! ```text
//! changes    0 │ (gap, posting or 0 = removed)…        single writes, and what merges of them make
//! gaps       1 │ count │ gap… │ first bytes │ frequencies of those that need more
//! bitmap     2 │ count │ len │ bits │ first bytes │ frequencies of those that need more
//! changed    3 │ len │ gaps or bitmap │ (gap, posting or 0 = removed)…      not yet folded
//! broken     4 │ (len │ bytes)…                        what was not understood, kept as it was
//! ```
//!
//! Numbers are LEB128. A gap is an index less the one before it, the first one the index itself.

use super::column::{CHUNK_BITS, Column};
use crate::rows::posting::{Frequencies, is_whole};
use crate::rows::{Malformed, varint};

const CHANGES: u8 = 0;
const GAPS: u8 = 1;
const BITMAP: u8 = 2;
const CHANGED: u8 = 3;
const BROKEN: u8 = 4;

/// An emptied list: as good as none.
pub(super) const EMPTY: &[u8] = &[CHANGES];

const MALFORMED: Malformed = Malformed { row: "postings" };

/// Lists up to this long stay changes: their packed form is longer.
const CHANGES_MAX: usize = 3;

/// One posting, or the removal of one, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) index: u16,
    /// First byte of the posting; 0 removes it.
    pub(super) code: u8,
    /// What follows the first byte.
    pub(super) rest: &'a [u8],
}

impl Entry<'_> {
    /// The frequencies of a posting; none of a removal.
    pub(super) fn frequencies(&self) -> Frequencies {
        Frequencies::read(self.code, &mut varint::Reader(self.rest)).unwrap_or_default()
    }
}

/// The change of one posting; `posting` empty removes it.
#[cfg(test)]
pub(super) fn encode_change(out: &mut Vec<u8>, index: u16, posting: Frequencies) {
    out.push(CHANGES);
    varint::put(out, u64::from(index));
    if posting.is_empty() { out.push(0) } else { posting.encode(out) }
}

/// Appends further changes of one chunk, ascending by index, to a value that [`EMPTY`] begins.
pub(super) struct Appender<'a> {
    out: &'a mut Vec<u8>,
    before: u16,
}

impl<'a> Appender<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(EMPTY);
        Self { out, before: 0 }
    }

    /// `posting` empty removes it.
    pub(super) fn push(&mut self, index: u16, posting: Frequencies) {
        self.gap(index);
        if posting.is_empty() { self.out.push(0) } else { posting.encode(self.out) }
    }

    /// A posting whose first byte says all of it, or 0 for its removal.
    #[inline]
    pub(super) fn push_code(&mut self, index: u16, code: u8) {
        self.gap(index);
        self.out.push(code);
    }

    /// Whether nothing was appended.
    pub(super) fn is_empty(&self) -> bool {
        self.out.len() == EMPTY.len()
    }

    #[inline]
    fn gap(&mut self, index: u16) {
        varint::put(self.out, u64::from(index.saturating_sub(self.before)));
        self.before = index;
    }
}

/// The parts of a value: a packed list, and changes on top of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// Gaps or a bitmap.
    pub(super) packed: Option<&'a [u8]>,
    /// Entries without their leading byte.
    pub(super) changes: &'a [u8],
}

/// Takes a value apart; None where it is broken or unknown.
pub(super) fn parts(value: &[u8]) -> Option<Parts<'_>> {
    let (&form, rest) = value.split_first()?;
    match form {
        CHANGES => Some(Parts { packed: None, changes: rest }),
        GAPS | BITMAP => Some(Parts { packed: Some(value), changes: &[] }),
        CHANGED => {
            let mut reader = varint::Reader(rest);
            let packed = reader.bytes()?;
            matches!(packed.first(), Some(&(GAPS | BITMAP)))
                .then_some(Parts { packed: Some(packed), changes: reader.0 })
        }
        _ => None,
    }
}

/// Appends the changes of `bytes`, ascending by index. None where they make no sense.
pub(super) fn read_changes<'a>(bytes: &'a [u8], out: &mut Vec<Entry<'a>>) -> Option<()> {
    for_each_change(bytes, |entry| out.push(entry))
}

pub(super) fn for_each_change<'a>(bytes: &'a [u8], mut f: impl FnMut(Entry<'a>)) -> Option<()> {
    let mut reader = varint::Reader(bytes);
    let mut next_min = 0_u64;
    while !reader.is_empty() {
        let gap = reader.u64()?;
        let index = if next_min == 0 { gap } else { (next_min - 1).checked_add(gap)? };
        if index < next_min || index >= CHUNK_BITS as u64 {
            return None;
        }
        next_min = index + 1;
        let code = reader.byte()?;
        let before = reader.0;
        if code != 0 {
            Frequencies::read(code, &mut reader)?;
        }
        let rest = &before[..before.len() - reader.0.len()];
        f(Entry { index: u16::try_from(index).ok()?, code, rest });
    }
    Some(())
}

/// A packed list taken apart.
pub(super) struct Packed<'a> {
    pub(super) count: usize,
    /// Gaps up to the list's first bytes, which follow them; None for a bitmap.
    pub(super) bitmap: Option<&'a [u8]>,
    pub(super) rest: &'a [u8],
}

pub(super) fn packed(value: &[u8]) -> Option<Packed<'_>> {
    let mut reader = varint::Reader(value);
    let form = reader.byte()?;
    let count = usize::try_from(reader.u64()?).ok()?;
    let bitmap = match form {
        GAPS => None,
        BITMAP => Some(reader.bytes()?),
        _ => return None,
    };
    (count <= CHUNK_BITS).then_some(Packed { count, bitmap, rest: reader.0 })
}

/// Appends the postings of a packed list. None where it makes no sense.
fn read_packed<'a>(value: &'a [u8], out: &mut Vec<Entry<'a>>) -> Option<()> {
    let Packed { count, bitmap, rest } = packed(value)?;
    let first = out.len();
    let add = |out: &mut Vec<Entry<'a>>, index: u64| {
        let index = u16::try_from(index).ok().filter(|i| usize::from(*i) < CHUNK_BITS)?;
        out.push(Entry { index, code: 0, rest: &[] });
        Some(())
    };
    let rest = match bitmap {
        Some(bitmap) => {
            for (at, byte) in (0_u64..).zip(bitmap) {
                (0..8)
                    .filter(|bit| byte & (1 << bit) != 0)
                    .try_for_each(|b| add(out, at * 8 + b))?;
            }
            rest
        }
        None => {
            let mut reader = varint::Reader(rest);
            let mut index = 0_u64;
            for at in 0..count {
                let gap = reader.u64()?;
                if at > 0 && gap == 0 {
                    return None;
                }
                index = index.checked_add(gap)?;
                add(out, index)?;
            }
            reader.0
        }
    };
    let entries = out.get_mut(first..).filter(|entries| entries.len() == count)?;
    let (codes, rest) = rest.split_at_checked(count)?;
    let mut long = varint::Reader(rest);
    for (entry, &code) in entries.iter_mut().zip(codes) {
        entry.code = code;
        let before = long.0;
        Frequencies::read(code, &mut long)?;
        entry.rest = &before[..before.len() - long.0.len()];
    }
    long.is_empty().then_some(())
}

/// The postings of a value, without removals. None where it makes no sense.
pub(super) fn read_live<'a>(parts: Parts<'a>, out: &mut Vec<Entry<'a>>) -> Option<()> {
    match parts.packed {
        None => read_changes(parts.changes, out)?,
        Some(packed) if parts.changes.is_empty() => read_packed(packed, out)?,
        Some(packed) => {
            let (mut below, mut above) = (Vec::new(), Vec::new());
            read_packed(packed, &mut below)?;
            read_changes(parts.changes, &mut above)?;
            overlay(&below, &above, out);
        }
    }
    out.retain(|entry| entry.code != 0);
    Some(())
}

/// Both ascending; where both have an index, `above` holds.
pub(super) fn overlay<'a>(below: &[Entry<'a>], above: &[Entry<'a>], out: &mut Vec<Entry<'a>>) {
    out.reserve(below.len() + above.len());
    let mut below = below.iter().peekable();
    for change in above {
        while let Some(entry) = below.next_if(|entry| entry.index < change.index) {
            out.push(*entry);
        }
        below.next_if(|entry| entry.index == change.index);
        out.push(*change);
    }
    out.extend(below);
}

/// Decodes a value into `column`, in place of what that holds.
pub(crate) fn read_column(value: &[u8], column: &mut Column) -> Result<(), Malformed> {
    column.clear();
    try_read_column(value, column).ok_or(MALFORMED)?;
    column.seal();
    Ok(())
}

fn try_read_column(value: &[u8], column: &mut Column) -> Option<()> {
    let parts = parts(value)?;
    let Some(packed) = parts.packed else {
        let mut has_room = true;
        for_each_change(parts.changes, |entry| {
            if entry.code != 0 {
                has_room &= column.has_room(entry.index);
                column.push(entry.index, entry.code, || entry.frequencies());
            }
        })?;
        return has_room.then_some(());
    };
    read_packed_column(packed, column)?;
    if !parts.changes.is_empty() {
        let mut changes = Vec::new();
        read_changes(parts.changes, &mut changes)?;
        if !changes.iter().all(|change| column.has_room(change.index)) {
            return None;
        }
        column.seal();
        column.lay(&changes);
    }
    Some(())
}

/// Decodes a packed list without taking its postings apart.
fn read_packed_column(value: &[u8], column: &mut Column) -> Option<()> {
    let Packed { count, bitmap, rest } = packed(value)?;
    let rest = match bitmap {
        Some(bitmap) => {
            let (codes, rest) = rest.split_at_checked(count)?;
            column.fill(bitmap, codes)?;
            rest
        }
        None => {
            let mut reader = varint::Reader(rest);
            let mut index = 0;
            for at in 0..count {
                let gap = match *reader.0 {
                    [gap, ref rest @ ..] if gap < 0x80 => {
                        reader.0 = rest;
                        usize::from(gap)
                    }
                    _ => usize::try_from(reader.u64()?).ok()?,
                };
                if at > 0 && gap == 0 {
                    return None;
                }
                index = gap.checked_add(index)?;
                column.set(index)?;
            }
            let (codes, rest) = reader.0.split_at_checked(count)?;
            column.fill(&[], codes)?;
            rest
        }
    };
    let mut long = varint::Reader(rest);
    if !long.is_empty() || column.needs_more() {
        column.fill_long(|code| Frequencies::read(code, &mut long))?;
    }
    long.is_empty().then_some(())
}

/// How many postings a value says to have, where it says so: a packed list that nothing changes.
pub(crate) fn count(value: &[u8]) -> Option<u64> {
    let parts = parts(value)?;
    let whole = parts.packed.filter(|_| parts.changes.is_empty())?;
    u64::try_from(packed(whole)?.count).ok()
}

/// Calls `f` for each posting of a value: for sums over many small lists.
pub(super) fn for_each(value: &[u8], mut f: impl FnMut(&Entry<'_>)) -> Result<(), Malformed> {
    let parts = parts(value).ok_or(MALFORMED)?;
    if parts.packed.is_none() {
        let live = |entry: Entry<'_>| {
            if entry.code != 0 {
                f(&entry);
            }
        };
        return for_each_change(parts.changes, live).ok_or(MALFORMED);
    }
    let mut entries = Vec::new();
    read_live(parts, &mut entries).ok_or(MALFORMED)?;
    entries.iter().for_each(f);
    Ok(())
}

/// Changes as one value.
pub(super) fn encode_changes(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + entries.len() * 4);
    out.push(CHANGES);
    put_changes(&mut out, entries);
    out
}

fn put_changes(out: &mut Vec<u8>, entries: &[Entry<'_>]) {
    let mut before = 0;
    for entry in entries {
        varint::put(out, u64::from(entry.index.saturating_sub(before)));
        before = entry.index;
        out.push(entry.code);
        out.extend_from_slice(entry.rest);
    }
}

/// A packed list with changes on top.
pub(super) fn encode_changed(packed: &[u8], entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + packed.len() + entries.len() * 4);
    out.push(CHANGED);
    varint::put_bytes(&mut out, packed);
    put_changes(&mut out, entries);
    out
}

/// As [`encode_changed`], of changes that are encoded.
pub(super) fn encode_laid(packed: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + packed.len() + changes.len());
    out.push(CHANGED);
    varint::put_bytes(&mut out, packed);
    out.extend_from_slice(changes);
    out
}

/// Postings, none of them a removal, in the shortest form.
pub(super) fn encode_live(entries: &[Entry<'_>]) -> Vec<u8> {
    if entries.len() <= CHANGES_MAX {
        return encode_changes(entries);
    }
    let mut gaps = Vec::with_capacity(entries.len() * 2);
    let mut before = 0;
    for entry in entries {
        varint::put(&mut gaps, u64::from(entry.index.saturating_sub(before)));
        before = entry.index;
    }
    let bitmap_len = usize::from(before) / 8 + 1;
    let mut out = Vec::with_capacity(8 + gaps.len().min(bitmap_len) + entries.len());
    if bitmap_len <= gaps.len() {
        let mut bitmap = vec![0_u8; bitmap_len];
        for entry in entries {
            bitmap[usize::from(entry.index) / 8] |= 1 << (entry.index % 8);
        }
        out.push(BITMAP);
        varint::put(&mut out, entries.len() as u64);
        varint::put_bytes(&mut out, &bitmap);
    } else {
        out.push(GAPS);
        varint::put(&mut out, entries.len() as u64);
        out.extend_from_slice(&gaps);
    }
    out.extend(entries.iter().map(|entry| entry.code));
    for entry in entries.iter().filter(|entry| !is_whole(entry.code)) {
        out.extend_from_slice(entry.rest);
    }
    out
}

/// Appends the postings of a chunk, ascending and none of them empty, as a list that nothing changed since: what
/// [`encode_live`] makes of them, without taking them apart first.
pub(crate) fn encode_list(out: &mut Vec<u8>, postings: &[(u16, Frequencies)]) {
    let gaps = || {
        let mut before = 0;
        postings.iter().map(move |(index, _)| {
            u64::from(index.saturating_sub(std::mem::replace(&mut before, *index)))
        })
    };
    if postings.len() <= CHANGES_MAX {
        out.push(CHANGES);
        for (gap, (_, frequencies)) in gaps().zip(postings) {
            varint::put(out, gap);
            frequencies.encode(out);
        }
        return;
    }
    let last = postings.last().map_or(0, |(index, _)| *index);
    let bitmap_len = usize::from(last) / 8 + 1;
    // An index has at most 14 bits.
    let gaps_len: usize = gaps().map(|gap| if gap < 0x80 { 1 } else { 2 }).sum();
    if bitmap_len <= gaps_len {
        out.push(BITMAP);
        varint::put(out, postings.len() as u64);
        varint::put(out, bitmap_len as u64);
        let start = out.len();
        out.resize(start + bitmap_len, 0);
        for (index, _) in postings {
            out[start + usize::from(*index) / 8] |= 1 << (index % 8);
        }
    } else {
        out.push(GAPS);
        varint::put(out, postings.len() as u64);
        gaps().for_each(|gap| varint::put(out, gap));
    }
    out.extend(postings.iter().map(|(_, frequencies)| frequencies.first_byte()));
    for (_, frequencies) in postings {
        if !is_whole(frequencies.first_byte()) {
            frequencies.encode_rest(out);
        }
    }
}

/// Appends the postings of what [`encode_list`] made.
pub(crate) fn decode_list(
    value: &[u8],
    out: &mut Vec<(u16, Frequencies)>,
) -> Result<(), Malformed> {
    for_each(value, |entry| out.push((entry.index, entry.frequencies())))
}

/// What cannot be understood, kept so that the partition stops as corrupt where it is read.
pub(super) fn encode_broken<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = vec![BROKEN];
    pieces.for_each(|piece| varint::put_bytes(&mut out, piece));
    out
}
