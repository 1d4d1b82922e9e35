//! Three kinds of edit, and three ways to find which postings they change.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use nautilus_analysis::Analyzer;

use crate::corpus::Document;
use crate::format::{
    forward_parts, forward_row, posting_prefix, read_header, row_key, take_forward,
    take_frequencies, take_varint,
};
use crate::measure::{CpuWatch, Random, Samples, Watch};
use crate::store::{Store, Version, place};
use crate::tokens::{BODY, Change, FIELDS, Frequencies, Token, Tokens, diff};

/// What the client does to the body.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One word becomes a word of another document.
    Replace,
    /// A word of another document goes in at the very start.
    InsertAtStart,
    /// One paragraph (between blank lines), or 30 words of a text without paragraphs, goes.
    DeleteParagraph,
}

/// Where the tokens of the version being replaced come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldSide {
    /// The stored text, analysed whole.
    Text,
    /// The forward row.
    Forward,
    /// The stored text, analysed only between the longest common start and end; old frequencies of the
    /// tokens found there are read from their postings.
    CommonEnds,
}

/// Samples of one run of edits.
#[derive(Debug, Default)]
pub struct Report {
    /// Tokens whose frequency changed.
    pub changed: Samples,
    /// Tokens whose frequency or positions changed: the rows, if postings held positions.
    pub moved: Samples,
    /// Posting rows written.
    pub postings: Samples,
    /// Largest `postings - 1.2 × changed`; the limit is 6.
    pub over_limit_max: f64,
    /// All rows of the batch.
    pub rows: Samples,
    /// Bytes of the batch.
    pub batch_bytes: Samples,
    /// CPU microseconds from the new text in hand until the write returned.
    pub written: Samples,
    /// The same in wall time.
    pub written_wall: Samples,
    /// Of these, reading the old version and getting its tokens (all of the diff for common ends).
    pub old_side: Samples,
    /// CPU microseconds until a new snapshot shows offset and posting.
    pub visible: Samples,
    /// Flushed and compacted bytes per edit.
    pub disk_bytes: f64,
}

/// Makes `count` edits of one kind; `documents` follow, so that the store can be verified afterwards.
///
/// # Errors
/// When RocksDB fails, or a diff differs from one made from the two texts.
pub fn run(
    store: &mut Store,
    documents: &mut [Document],
    namespaces: u32,
    (kind, side, count): (Kind, OldSide, usize),
    random: &mut Random,
) -> Result<Report> {
    let mut report = Report { over_limit_max: f64::MIN, ..Report::default() };
    store.settle()?;
    let disk_before = store.bytes_to_disk();
    let mut tries = 0;
    while report.changed.count() < count && tries < count * 50 {
        tries += 1;
        let index = random.below(documents.len());
        let other = random.below(documents.len());
        let Some(body) = edited(&documents[index].body, &documents[other].body, kind, random)
        else {
            continue;
        };
        let old = Tokens::of(&documents[index]);
        if old.lengths[BODY] < 60 {
            continue;
        }
        documents[index].body = body;
        let document = &documents[index];
        let after = Tokens::of(document);
        let expected = diff(&old.frequencies(), &after.frequencies());
        let (ns, _) = place(index, namespaces)?;

        let (watch, wall) = (CpuWatch::start(), Watch::start());
        let ordinal = ordinal(store, ns, &document.id)?;
        let header = get(store, &row_key(b'H', ns, ordinal))?;
        let (old_lengths, title, path) = read_header(&header).context("header row")?;
        let mut version = Version {
            ns,
            ordinal,
            document,
            lengths: old_lengths,
            old_lengths: Some(old_lengths),
            forward: None,
        };
        let old_side;
        let changes = if side == OldSide::CommonEnds {
            let begin = watch.micros();
            let stored = get(store, &row_key(b'B', ns, ordinal))?;
            let stored = std::str::from_utf8(&stored)?;
            let changes = changes_between_ends(store, &mut version, stored)?;
            old_side = watch.micros() - begin;
            changes
        } else {
            let new = Tokens::analyse(crate::tokens::fields(document), side == OldSide::Forward);
            version.lengths = new.lengths;
            version.forward = (side == OldSide::Forward).then(|| forward_row(&new));
            let begin = watch.micros();
            let part = if side == OldSide::Forward { b'F' } else { b'B' };
            let stored = get(store, &row_key(part, ns, ordinal))?;
            let tokens;
            let list = if side == OldSide::Forward {
                forward_list(&stored)?
            } else {
                tokens = Tokens::analyse([title, path, std::str::from_utf8(&stored)?], false);
                tokens.frequencies()
            };
            old_side = watch.micros() - begin;
            diff(&list, &new.frequencies())
        };
        let written = store.write(&version, &changes)?;
        report.written.push(watch.micros());
        report.written_wall.push(wall.micros());
        let touched = changes.first().map(|c| posting_prefix(ns, &c.0));
        let snapshot = store.db.snapshot();
        snapshot.get(b"O").context("read offset")?;
        if let Some(mut key) = touched {
            key.extend_from_slice(&ordinal.to_be_bytes());
            let mut seek = snapshot.raw_iterator();
            seek.seek(&key);
            ensure!(seek.valid(), "no row at or after the changed posting");
        }
        report.visible.push(watch.micros());
        drop(snapshot);

        ensure!(changes == expected, "diff of {:?} differs for {}", side, document.id);
        report.old_side.push(old_side);
        report.changed.push(expected.len() as f64);
        report.moved.push(moved(&old, &after) as f64);
        report.postings.push(written.postings as f64);
        report.rows.push(written.rows as f64);
        report.batch_bytes.push(written.bytes as f64);
        let over = written.postings as f64 - 1.2 * expected.len() as f64;
        report.over_limit_max = report.over_limit_max.max(over);
    }
    store.settle()?;
    report.disk_bytes =
        (store.bytes_to_disk() - disk_before) as f64 / report.changed.count().max(1) as f64;
    Ok(report)
}

/// Tokens of either version that are not in the other with the same positions.
fn moved(old: &Tokens, new: &Tokens) -> usize {
    let is_same = |t: &&Token| {
        old.find(&t.text)
            .is_some_and(|o| o.frequencies == t.frequencies && o.positions == t.positions)
    };
    let gone = old.list.iter().filter(|o| new.find(&o.text).is_none()).count();
    gone + new.list.len() - new.list.iter().filter(is_same).count()
}

fn get(store: &Store, key: &[u8]) -> Result<Vec<u8>> {
    store.db.get(key).context("read row")?.context("row is missing")
}

fn ordinal(store: &Store, ns: u32, id: &str) -> Result<u32> {
    let mut key = vec![b'I'];
    key.extend_from_slice(&ns.to_be_bytes());
    key.extend_from_slice(id.as_bytes());
    let row = get(store, &key)?;
    Ok(u32::try_from(take_varint(&mut &row[..]).context("id row")?)?)
}

/// Tokens and frequencies of a forward row.
fn forward_list(row: &[u8]) -> Result<Vec<(&str, Frequencies)>> {
    let (_, mut entries) = forward_parts(row).context("forward row")?;
    let mut out = Vec::new();
    while !entries.is_empty() {
        let (token, frequencies, _) = take_forward(&mut entries).context("forward entry")?;
        out.push((std::str::from_utf8(token)?, frequencies));
    }
    Ok(out)
}

/// Analyses what lies between the common ends of both bodies and adjusts the postings read back.
///
/// Title and path are taken as unchanged, as in all edits here. Both cuts are moved to ASCII white space, at
/// which every word ends, so the words outside are the same words in both versions.
fn changes_between_ends(
    store: &Store,
    version: &mut Version<'_>,
    old: &str,
) -> Result<Vec<Change>> {
    let new = version.document.body.as_str();
    let (start, end) = common_ends(old.as_bytes(), new.as_bytes());
    let mut deltas: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let (mut removed, mut added) = (0, 0);
    Analyzer::new().for_each_token(&old[start..old.len() - end], |t| {
        deltas.entry(t.text.to_owned()).or_default().0 += 1;
        removed += 1;
    });
    Analyzer::new().for_each_token(&new[start..new.len() - end], |t| {
        deltas.entry(t.text.to_owned()).or_default().1 += 1;
        added += 1;
    });
    version.lengths[BODY] = version.lengths[BODY] - removed + added;
    let mut changes = Vec::new();
    for (token, (removed, added)) in deltas.into_iter().filter(|(_, (r, a))| r != a) {
        let mut key = posting_prefix(version.ns, &token);
        key.extend_from_slice(&version.ordinal.to_be_bytes());
        let row = store.db.get_pinned(&key).context("read posting")?;
        let mut frequencies = match &row {
            Some(row) => take_frequencies(&mut &row[..]).context("posting")?,
            None => [0; FIELDS],
        };
        frequencies[BODY] =
            (frequencies[BODY] + added).checked_sub(removed).context("frequency")?;
        let any = frequencies.iter().any(|tf| *tf > 0);
        changes.push((token, any.then_some(frequencies)));
    }
    Ok(changes)
}

/// Lengths of the common start and end, not overlapping, each cut back to ASCII white space or the text's end.
fn common_ends(old: &[u8], new: &[u8]) -> (usize, usize) {
    let shorter = old.len().min(new.len());
    let mut start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    while start > 0 && !old[start - 1].is_ascii_whitespace() {
        start -= 1;
    }
    let (from_old, from_new) = (old.iter().rev(), new.iter().rev());
    let mut end = from_old.zip(from_new).take(shorter - start).take_while(|(a, b)| a == b).count();
    while end > 0 && !old[old.len() - end].is_ascii_whitespace() {
        end -= 1;
    }
    (start, end)
}

fn edited(body: &str, other: &str, kind: Kind, random: &mut Random) -> Option<String> {
    match kind {
        Kind::Replace => {
            let (at, word) = (random_word(body, random)?, random_word(other, random)?);
            Some([&body[..at.start], &other[word], &body[at.end..]].concat())
        }
        Kind::InsertAtStart => Some(format!("{} {body}", &other[random_word(other, random)?])),
        Kind::DeleteParagraph => {
            let paragraphs: Vec<&str> = body.split_inclusive("\n\n").collect();
            let dropped = random.below(paragraphs.len());
            if paragraphs.len() > 1 {
                let keep = paragraphs.iter().enumerate().filter(|(i, _)| *i != dropped);
                return Some(keep.map(|(_, p)| *p).collect());
            }
            let from = random_word(body, random)?.start;
            let words = body[from..].split_inclusive(|c: char| c.is_ascii_whitespace()).take(30);
            let length: usize = words.map(str::len).sum();
            Some([&body[..from], &body[from + length..]].concat())
        }
    }
}

/// Byte range of a word near a random place.
pub fn random_word(text: &str, random: &mut Random) -> Option<std::ops::Range<usize>> {
    let near = text.floor_char_boundary(random.below(text.len()));
    let from = near + text[near..].find(|c: char| c.is_ascii_whitespace())?;
    let to = text.floor_char_boundary(from + 400);
    let mut found = None;
    Analyzer::new().for_each_token(&text[from..to], |t| {
        found.get_or_insert(from + t.start..from + t.end);
    });
    found
}
