//! Phrases of two words: conjunction of postings, then four ways to check the survivors.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use nautilus_analysis::Analyzer;
use rocksdb::DBRawIterator;

use crate::corpus::Document;
use crate::format::{field_mask, find_forward, posting_prefix, read_header, row_key, take_varint};
use crate::store::Store;
use crate::tokens::{BODY, FIELDS, Frequencies, Tokens, fields};

/// How a survivor is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Positions out of the forward row.
    Forward,
    /// All tokens with positions derived from the stored text.
    Derive,
    /// One pass of the analyzer over the stored text, comparing neighbours.
    TokenScan,
    /// Search of the rarest byte of the two words; the analyzer sees only the words around a candidate,
    /// and those beyond ASCII.
    ByteScan,
}

/// A document that holds both words in the fields of `mask`.
#[derive(Clone, Copy, Debug)]
pub struct Survivor {
    /// The document.
    pub ordinal: u32,
    /// Fields that hold both words.
    pub mask: u8,
}

/// Documents of `ns` with both words in one field, by leapfrog over the two lists.
///
/// # Errors
/// When RocksDB fails.
pub fn conjunction(store: &Store, ns: u32, words: &[String; 2]) -> Result<Vec<Survivor>> {
    let prefixes = words.each_ref().map(|w| posting_prefix(ns, w));
    let [mut a, mut b] = prefixes.each_ref().map(|p| store.scan(p));
    let mut out = Vec::new();
    while let (Some(x), Some(y)) = (posting(&a), posting(&b)) {
        match x.0.cmp(&y.0) {
            Ordering::Less => advance(&mut a, &prefixes[0], y.0),
            Ordering::Greater => advance(&mut b, &prefixes[1], x.0),
            Ordering::Equal => {
                if x.1 & y.1 != 0 {
                    out.push(Survivor { ordinal: x.0, mask: x.1 & y.1 });
                }
                a.next();
                b.next();
            }
        }
    }
    a.status().and_then(|()| b.status()).context("scan postings")?;
    Ok(out)
}

fn posting(list: &DBRawIterator<'_>) -> Option<(u32, u8)> {
    let (key, value) = list.item()?;
    Some((u32::from_be_bytes(*key.last_chunk()?), field_mask(value)))
}

/// Moves to the first posting at or after `ordinal`: a few steps, then a seek.
fn advance(list: &mut DBRawIterator<'_>, prefix: &[u8], ordinal: u32) {
    for _ in 0..8 {
        list.next();
        if posting(list).is_none_or(|p| p.0 >= ordinal) {
            return;
        }
    }
    list.seek([prefix, &ordinal.to_be_bytes()].concat());
}

/// How often the survivor holds the words as neighbours, over its fields. Scoring needs the number, so no
/// check may stop at the first.
///
/// # Errors
/// When RocksDB fails or a row is damaged.
pub fn occurrences(
    store: &Store,
    ns: u32,
    survivor: Survivor,
    words: &[String; 2],
    check: Check,
) -> Result<usize> {
    let row = |part| {
        let key = row_key(part, ns, survivor.ordinal);
        store.db.get_pinned(key).context("read row")?.context("row is missing")
    };
    if check == Check::Forward {
        let row = row(b'F')?;
        let [a, b] = words.each_ref().map(|w| find_forward(&row, w.as_bytes()));
        let (a, b) = (a.context("token in forward row")?, b.context("token in forward row")?);
        return adjacent_encoded((a.1, a.2), (b.1, b.2)).context("positions");
    }
    let mut count = 0;
    if survivor.mask & !(1 << BODY) != 0 {
        let header = row(b'H')?;
        let (_, title, path) = read_header(&header).context("header row")?;
        count += in_text(title, words, check) + in_text(path, words, check);
    }
    if survivor.mask & (1 << BODY) != 0 {
        let body = row(b'B')?;
        count += in_text(std::str::from_utf8(&body)?, words, check);
    }
    Ok(count)
}

fn in_text(text: &str, words: &[String; 2], check: Check) -> usize {
    match check {
        Check::ByteScan => byte_scan(text, words),
        Check::Forward | Check::TokenScan => token_scan(text, words, |_, _| true),
        Check::Derive => {
            let tokens = Tokens::analyse([text, "", ""], true);
            match words.each_ref().map(|w| tokens.find(w)) {
                [Some(a), Some(b)] => {
                    let is_next = |p: &&u32| b.positions.binary_search(&(**p + 1)).is_ok();
                    a.positions.iter().filter(is_next).count()
                }
                _ => 0,
            }
        }
    }
}

/// Counts neighbours whose byte offsets `counts` accepts.
fn token_scan(text: &str, words: &[String; 2], counts: impl Fn(usize, usize) -> bool) -> usize {
    let (mut first, mut found) = (None, 0);
    Analyzer::new().for_each_token(text, |token| {
        if let Some(start) = first.filter(|_| token.text == words[1]) {
            found += usize::from(counts(start, token.start));
        }
        first = (token.text == words[0]).then_some(token.start);
    });
    found
}

/// Bytes of tokens from rare to common in English and source text; bytes beyond ASCII count as rarest.
const RARE_FIRST: &[u8] = b"zqxjkvwybghpumfdclnsoairte9876543210";

/// Bytes of which words are made, and more: any other ASCII byte ends a word for the analyzer.
fn in_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_special(byte)
}

/// Bytes that fold away or into others, so that a word holding one must be analysed to be known.
fn is_special(byte: u8) -> bool {
    byte == b'\'' || !byte.is_ascii()
}

/// The rarest byte of both words: index of its word, place in it, and the byte.
fn rarest(words: &[String; 2]) -> Option<(usize, usize, u8)> {
    let rank = |b: u8| RARE_FIRST.iter().position(|r| *r == b);
    let bytes = |(i, w): (usize, &'_ String)| -> Vec<(usize, usize, u8)> {
        w.bytes().enumerate().map(|(at, b)| (i, at, b)).collect()
    };
    words.iter().enumerate().flat_map(bytes).min_by_key(|c| rank(c.2))
}

fn byte_scan(text: &str, words: &[String; 2]) -> usize {
    let bytes = text.as_bytes();
    let Some((index, at, byte)) = rarest(words) else { return 0 };
    let (word, other) = (words[index].as_bytes(), words[1 - index].as_bytes());
    let (mut from, mut found, mut special) = (0, 0, next_special(bytes, 0));
    while from < bytes.len() {
        let plain = memchr::memchr2(byte, byte.to_ascii_uppercase(), &bytes[from..special]);
        let hit = plain.map_or(special, |p| from + p);
        if hit == bytes.len() {
            break;
        }
        let is_word = hit
            .checked_sub(at)
            .and_then(|start| bytes.get(start..start + word.len()))
            .is_some_and(|b| b.eq_ignore_ascii_case(word));
        if !is_word && hit < special {
            from = hit + 1;
            continue;
        }
        let start = hit - bytes[..hit].iter().rev().take_while(|b| in_run(**b)).count();
        let end = hit + bytes[hit..].iter().take_while(|b| in_run(**b)).count();
        let beside = if index == 0 { run_after(bytes, end) } else { run_before(bytes, start) };
        from = end;
        if is_plain(&bytes[start..end]) && (end - start != word.len() || is_plain(beside)) {
            let is_whole = end - start == word.len();
            found += usize::from(is_whole && beside.eq_ignore_ascii_case(other));
            continue;
        }
        let (left, right) = (previous_word(text, start), next_word(text, end));
        // An occurrence counts where its rarer word is in this run; its neighbour may be beside it.
        found += token_scan(&text[left..right], words, |first, second| {
            (start..end).contains(&(left + [first, second][index]))
        });
        if special < end {
            special = next_special(bytes, end);
        }
    }
    found
}

/// A run that is one token, itself but for case.
fn is_plain(run: &[u8]) -> bool {
    run.len() <= nautilus_analysis::TOKEN_BYTES_MAX && !run.iter().any(|b| is_special(*b))
}

fn next_special(bytes: &[u8], from: usize) -> usize {
    let rest = &bytes[from..];
    // Without an early exit inside a chunk the compiler looks at many bytes at once.
    let has_special = |chunk: &[u8]| chunk.iter().fold(false, |any, b| any | is_special(*b));
    let clean: usize =
        rest.chunks(64).take_while(|chunk| !has_special(chunk)).map(<[u8]>::len).sum();
    from + clean + rest[clean..].iter().take_while(|b| !is_special(**b)).count()
}

fn run_after(bytes: &[u8], end: usize) -> &[u8] {
    let gap = bytes[end..].iter().take_while(|b| !in_run(**b)).count();
    let rest = &bytes[end + gap..];
    &rest[..rest.iter().take_while(|b| in_run(**b)).count()]
}

fn run_before(bytes: &[u8], start: usize) -> &[u8] {
    let gap = bytes[..start].iter().rev().take_while(|b| !in_run(**b)).count();
    let rest = &bytes[..start - gap];
    &rest[rest.len() - rest.iter().rev().take_while(|b| in_run(**b)).count()..]
}

/// Start of the nearest run before `end` that has a word, or 0.
fn previous_word(text: &str, end: usize) -> usize {
    let bytes = &text.as_bytes()[..end];
    let gap = bytes.iter().rev().take_while(|b| !in_run(**b)).count();
    let run = bytes.iter().rev().skip(gap).take_while(|b| in_run(**b)).count();
    let start = end - gap - run;
    if start == 0 || has_word(&text[start..end]) { start } else { previous_word(text, start) }
}

/// End of the nearest run from `start` that has a word, or the text's end.
fn next_word(text: &str, start: usize) -> usize {
    let bytes = &text.as_bytes()[start..];
    let gap = bytes.iter().take_while(|b| !in_run(**b)).count();
    let run = bytes.iter().skip(gap).take_while(|b| in_run(**b)).count();
    let end = start + gap + run;
    if end == text.len() || has_word(&text[start..end]) { end } else { next_word(text, end) }
}

fn has_word(run: &str) -> bool {
    let mut any = run.bytes().any(|b| b.is_ascii_alphanumeric());
    if !any {
        Analyzer::new().for_each_token(run, |_| any = true);
    }
    any
}

/// Neighbours in two delta-coded position lists, field by field.
fn adjacent_encoded(a: (Frequencies, &[u8]), b: (Frequencies, &[u8])) -> Option<usize> {
    let (mut x, mut y) = (a.1, b.1);
    let mut found = 0;
    for field in 0..FIELDS {
        let [first, second] = [(&mut x, a.0[field]), (&mut y, b.0[field])].map(|(input, count)| {
            let mut at = 0;
            (0..count)
                .map(|_| {
                    at += take_varint(input)?;
                    Some(at)
                })
                .collect::<Option<Vec<u64>>>()
        });
        let (first, second) = (first?, second?);
        let mut rest = second.iter().peekable();
        for position in first {
            while rest.next_if(|p| **p <= position).is_some() {}
            found += usize::from(rest.peek() == Some(&&(position + 1)));
        }
    }
    Some(found)
}

/// Documents that hold each phrase and its occurrences in them, by analysing every `namespaces`-th document.
pub fn brute_force(
    documents: &[Document],
    namespaces: usize,
    phrases: &[[String; 2]],
) -> Vec<(usize, usize)> {
    let mut by_first: HashMap<&str, Vec<(usize, &str)>> = HashMap::new();
    for (index, [first, second]) in phrases.iter().enumerate() {
        by_first.entry(first).or_default().push((index, second));
    }
    let mut hits = vec![(0, 0); phrases.len()];
    for document in documents.iter().step_by(namespaces) {
        let mut found: BTreeMap<usize, usize> = BTreeMap::new();
        for text in fields(document) {
            let mut waiting: &[(usize, &str)] = &[];
            Analyzer::new().for_each_token(text, |token| {
                for (index, _) in waiting.iter().filter(|w| w.1 == token.text) {
                    *found.entry(*index).or_default() += 1;
                }
                waiting = by_first.get(token.text).map_or(&[], Vec::as_slice);
            });
        }
        for (index, count) in found {
            hits[index] = (hits[index].0 + 1, hits[index].1 + count);
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::forward_row;
    use crate::measure::Random;

    /// All checks agree on texts drawn from pieces that meet the analyzer's rules.
    #[test]
    fn checks_agree() {
        let pieces = ["don", "t", "s", "Dont", "zoo", "Zoo", "x_y", "9", "ü", "ﬁ", "東京", "tu"];
        let gaps = ["", " ", "\n-- ", "'", "'s ", " '' ", "’", " § "];
        let words = ["dont", "zoo", "s", "t", "9", "x", "y", "don", "tu", "fi"].map(str::to_owned);
        let mut random = Random::new(7);
        let mut hits = 0;
        for _ in 0..20_000 {
            let mut piece = || [pieces[random.below(pieces.len())], gaps[random.below(gaps.len())]];
            let text: String = (0..8).flat_map(|_| piece()).collect();
            let pair = [(); 2].map(|()| words[random.below(words.len())].clone());
            let expected = token_scan(&text, &pair, |_, _| true);
            hits += usize::from(expected > 0);
            assert_eq!(byte_scan(&text, &pair), expected, "{text:?} {pair:?}");
            assert_eq!(in_text(&text, &pair, Check::Derive), expected, "{text:?} {pair:?}");
            let row = forward_row(&Tokens::analyse([&text, "", ""], true));
            let [a, b] = pair.each_ref().map(|w| find_forward(&row, w.as_bytes()));
            let stored = match (a, b) {
                (Some(a), Some(b)) => adjacent_encoded((a.1, a.2), (b.1, b.2)),
                _ => Some(0),
            };
            assert_eq!(stored, Some(expected), "{text:?} {pair:?}");
        }
        assert!(hits > 300, "only {hits} texts held their phrase");
    }
}
