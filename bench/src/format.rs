//! Row formats under measurement: keys and values of one column family.
//!
//! ```text
//! P | ns u32 BE | token (00 → 00 FF) 00 01 | ordinal u32 BE   mask+tf per field, 1 to 4 bytes
//! F | ns | ordinal                            forward row: sorted tokens, tf, positions (variant)
//! H | ns | ordinal                            docid, version, title, path, times, length per field
//! B | ns | ordinal                            body text
//! N | ns | ordinal / 256                      256 norm bytes
//! I | ns | docid                              ordinal
//! S | ns                                      documents, total length
//! O                                           applied offset
//! ```

use crate::corpus::Document;
use crate::tokens::{FIELDS, Frequencies, Tokens};

/// Parts of the column family, by prefix byte, with the name the tables use.
pub const PARTS: [(u8, &str); 8] = [
    (b'P', "postings"),
    (b'F', "forward"),
    (b'H', "header"),
    (b'B', "body text"),
    (b'N', "norms"),
    (b'I', "ids"),
    (b'S', "statistics"),
    (b'O', "offset"),
];

/// Ordinals whose norms share one row.
pub const NORM_CHUNK: u32 = 256;

/// Tokens between two entries of a forward row's offset table.
const FORWARD_GROUP: usize = 8;

/// LEB128.
pub fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7F) as u8);
}

/// Reads one LEB128 and moves `input` past it; `None` where the bytes end or it exceeds 64 bits.
pub fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// `part | ns | number`.
pub fn row_key(part: u8, ns: u32, number: u32) -> Vec<u8> {
    let mut key = vec![part];
    key.extend_from_slice(&ns.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Everything before the ordinal of a token's postings.
pub fn posting_prefix(ns: u32, token: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(token.len() + 11);
    key.push(b'P');
    key.extend_from_slice(&ns.to_be_bytes());
    for &byte in token.as_bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(0xFF);
        }
    }
    key.extend_from_slice(&[0, 1]);
    key
}

/// Field mask in the low three bits. One field with tf below 31: tf in the high five, one byte in all.
/// Otherwise the high five are 0 and a varint per set field follows.
pub fn put_frequencies(frequencies: Frequencies, out: &mut Vec<u8>) {
    let mut mask = 0u8;
    let (mut set, mut last) = (0, 0);
    for (field, &tf) in frequencies.iter().enumerate() {
        if tf > 0 {
            mask |= 1 << field;
            set += 1;
            last = tf;
        }
    }
    match u8::try_from(last) {
        Ok(tf) if set == 1 && tf < 31 => out.push(mask | tf << 3),
        _ => {
            out.push(mask);
            frequencies.iter().filter(|tf| **tf > 0).for_each(|tf| put_varint((*tf).into(), out));
        }
    }
}

/// Reads what [`put_frequencies`] wrote.
pub fn take_frequencies(input: &mut &[u8]) -> Option<Frequencies> {
    let (&head, rest) = input.split_first()?;
    *input = rest;
    let mut out = [0; FIELDS];
    for (field, tf) in out.iter_mut().enumerate() {
        if head & (1 << field) != 0 {
            *tf = match head >> 3 {
                0 => u32::try_from(take_varint(input)?).ok()?,
                short => short.into(),
            };
        }
    }
    Some(out)
}

/// Fields a posting's value names, without reading frequencies.
pub fn field_mask(value: &[u8]) -> u8 {
    value.first().map_or(0, |b| b & 7)
}

/// Forward row: `groups u32 LE | offset u32 LE per group of 8 | entries`; an entry is
/// `varint token length, token, frequencies, varint bytes of positions, delta-coded positions`.
pub fn forward_row(tokens: &Tokens) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut offsets: Vec<u32> = Vec::new();
    let mut positions = Vec::new();
    for (index, token) in tokens.list.iter().enumerate() {
        if index % FORWARD_GROUP == 0 {
            offsets.push(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        }
        put_varint(token.text.len() as u64, &mut entries);
        entries.extend_from_slice(token.text.as_bytes());
        put_frequencies(token.frequencies, &mut entries);
        positions.clear();
        let mut rest = &token.positions[..];
        for tf in token.frequencies {
            let (field, others) = rest.split_at(usize::try_from(tf).unwrap_or(0).min(rest.len()));
            rest = others;
            let mut previous = 0;
            for &position in field {
                put_varint((position - previous).into(), &mut positions);
                previous = position;
            }
        }
        put_varint(positions.len() as u64, &mut entries);
        entries.extend_from_slice(&positions);
    }
    let mut out = u32::try_from(offsets.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    offsets.iter().for_each(|o| out.extend_from_slice(&o.to_le_bytes()));
    out.extend_from_slice(&entries);
    out
}

/// One entry of a forward row; positions still encoded.
pub type ForwardEntry<'a> = (&'a [u8], Frequencies, &'a [u8]);

/// Reads one forward entry and moves `input` past it.
pub fn take_forward<'a>(input: &mut &'a [u8]) -> Option<ForwardEntry<'a>> {
    let length = usize::try_from(take_varint(input)?).ok()?;
    let (token, rest) = input.split_at_checked(length)?;
    *input = rest;
    let frequencies = take_frequencies(input)?;
    let length = usize::try_from(take_varint(input)?).ok()?;
    let (positions, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some((token, frequencies, positions))
}

/// Splits a forward row into its offset table and its entries.
pub fn forward_parts(row: &[u8]) -> Option<(&[[u8; 4]], &[u8])> {
    let (groups, rest) = row.split_first_chunk::<4>()?;
    let groups = usize::try_from(u32::from_le_bytes(*groups)).ok()?;
    let (offsets, entries) = rest.split_at_checked(groups.checked_mul(4)?)?;
    Some((offsets.as_chunks::<4>().0, entries))
}

/// Finds a token in a forward row: binary search over the groups, then at most eight entries.
pub fn find_forward<'a>(row: &'a [u8], token: &[u8]) -> Option<ForwardEntry<'a>> {
    let (offsets, entries) = forward_parts(row)?;
    let group = |offset: &[u8; 4]| {
        entries.get(usize::try_from(u32::from_le_bytes(*offset)).unwrap_or(usize::MAX)..)
    };
    let at = offsets.partition_point(|offset| {
        group(offset).and_then(|mut e| take_forward(&mut e)).is_some_and(|e| e.0 <= token)
    });
    let mut rest = group(offsets.get(at.checked_sub(1)?)?)?;
    for _ in 0..FORWARD_GROUP {
        let entry = take_forward(&mut rest)?;
        if entry.0 == token {
            return Some(entry);
        }
    }
    None
}

/// Header row: what a hit shows without its text, and the lengths a later diff needs.
pub fn header_row(document: &Document, version: u64, lengths: Frequencies) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(version, &mut out);
    lengths.iter().for_each(|l| put_varint((*l).into(), &mut out));
    // Three times as the product stores them (created, modified, indexed), in milliseconds.
    (0..3).for_each(|i| put_varint(1_700_000_000_000 + version * 1_000 + i, &mut out));
    for text in [&document.id, &document.title, &document.path] {
        put_varint(text.len() as u64, &mut out);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Lengths, title and path out of a header row.
pub fn read_header(mut row: &[u8]) -> Option<(Frequencies, &str, &str)> {
    take_varint(&mut row)?;
    let mut lengths = [0; FIELDS];
    for length in &mut lengths {
        *length = u32::try_from(take_varint(&mut row)?).ok()?;
    }
    (0..3).try_for_each(|_| take_varint(&mut row).map(drop))?;
    let mut texts = [""; 3];
    for text in &mut texts {
        let length = usize::try_from(take_varint(&mut row)?).ok()?;
        let (bytes, rest) = row.split_at_checked(length)?;
        *text = std::str::from_utf8(bytes).ok()?;
        row = rest;
    }
    Some((lengths, texts[1], texts[2]))
}

/// Length as one byte: exact to 7, then eight steps an octave.
pub fn norm(length: u32) -> u8 {
    let octave = 32 - length.leading_zeros();
    if octave <= 3 {
        return u8::try_from(length).unwrap_or(u8::MAX);
    }
    let step = (length >> (octave - 4)) & 7;
    u8::try_from((octave - 3) * 8 + step).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_round_trip() {
        for frequencies in [[0, 0, 1], [30, 0, 0], [0, 0, 31], [1, 2, 3], [0, 9, 70_000]] {
            let mut bytes = Vec::new();
            put_frequencies(frequencies, &mut bytes);
            assert_eq!(take_frequencies(&mut &bytes[..]), Some(frequencies));
            let fields = (0..FIELDS).filter(|f| frequencies[*f] > 0).map(|f| 1u8 << f).sum::<u8>();
            assert_eq!(field_mask(&bytes), fields);
        }
    }

    #[test]
    fn forward_row_finds_every_token() {
        let text: String = (0..100).map(|n| format!("w{n} w{} ", n / 3)).collect();
        let tokens = Tokens::analyse(["w5 title", "", &text], true);
        let row = forward_row(&tokens);
        for token in &tokens.list {
            let found = find_forward(&row, token.text.as_bytes());
            assert_eq!(found.map(|f| f.1), Some(token.frequencies), "{}", token.text);
        }
        assert!(find_forward(&row, b"absent").is_none());
        assert!(find_forward(&row, b"").is_none());
    }

    #[test]
    fn norm_grows_with_length() {
        let norms: Vec<u8> = (0..=u16::MAX).map(|l| norm(l.into())).collect();
        assert!(norms.is_sorted());
        assert!(norm(u32::MAX) < u8::MAX);
    }
}
