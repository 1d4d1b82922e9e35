//! What a document becomes: its tokens in the inversion, and its rows in spools by kind.

use std::path::Path;

use nautilus_analysis::Analyzer;
use nautilus_query::Field;
use nautilus_types::Offset;

use super::inversion::{Inversion, Tokens};
use super::namespaces::Namespaces;
use super::spool::Spool;
use super::tables::Tables;
use crate::common;
use crate::diff::Texts;
use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::mutation::Attributes;
use crate::rows::document;
use crate::rows::id::{IdRow, LiveId};
use crate::rows::{Malformed, attributes, pairs, varint};

/// A document on its way into the partition.
pub(super) struct NewDocument<'a> {
    pub(super) id: &'a [u8],
    pub(super) version: Option<u64>,
    pub(super) content_hash: [u8; 16],
    /// Of the record that it is as if from.
    pub(super) offset: Offset,
    /// Of the record that last changed its content.
    pub(super) changed_at: Offset,
    pub(super) texts: Texts<'a>,
    pub(super) metadata: &'a [u8],
    pub(super) attributes: Attributes,
}

/// Buffers of one document after the other.
#[derive(Default)]
pub(super) struct Buffers {
    /// Tokens of a field.
    tokens: Tokens,
    /// Hashes of the body's tokens that follow each other.
    pair_hashes: Vec<u64>,
}

/// Counts the tokens of the texts, and leaves the hashes of the body's pairs in the buffers; returns the document's
/// length.
///
/// The same tokens, pairs and length as [`Diff`](crate::diff::Diff) finds in a document that is new.
pub(super) fn invert(
    analyzer: &Analyzer,
    inversion: &mut Inversion,
    document: (NamespaceNumber, Ordinal),
    texts: Texts<'_>,
    buffers: &mut Buffers,
) -> u32 {
    let Buffers { tokens, pair_hashes } = buffers;
    pair_hashes.clear();
    let mut length = 0_u32;
    for field in Field::ALL {
        let (mut last, mut last_common) = (None, None);
        tokens.clear();
        analyzer.for_each_token(texts[field.index()], |token| {
            length = length.saturating_add(1);
            let hash = pairs::token_hash(token.text);
            tokens.push(token.text, hash);
            let common = common::number(token.text);
            if let (Some(first), Some(second)) = (last_common, common) {
                inversion.add_pair(document, [first, second], field);
            }
            last_common = common;
            if field == Field::Body {
                pair_hashes.extend(last.map(|last| pairs::pair_hash(last, hash)));
                last = Some(hash);
            }
        });
        inversion.add_tokens(document, field, tokens);
    }
    length
}

/// The rows of all documents, by kind: each nearly in order where documents come by namespace.
pub(super) struct DocumentSpools {
    ids: Spool,
    numbered: [Spool; 4],
    memory_bytes_max: usize,
}

/// Kinds of the spools whose keys end with an ordinal.
const NUMBERED: [Kind; 4] = [Kind::Attributes, Kind::Header, Kind::Pairs, Kind::Body];

impl DocumentSpools {
    pub(super) fn new(runs: &Path, memory_bytes_max: usize) -> Self {
        let names = ["attributes", "headers", "pairs", "bodies"];
        Self {
            ids: Spool::new(runs, "ids"),
            numbered: names.map(|name| Spool::new(runs, name)),
            memory_bytes_max,
        }
    }

    /// Adds the rows of a document; the body's pairs are reordered.
    pub(super) fn put(
        &mut self,
        (ns, ordinal): (NamespaceNumber, Ordinal),
        document: &NewDocument<'_>,
        length: u32,
        buffers: &mut Buffers,
    ) -> Result<(), EngineError> {
        let live = Some(LiveId { ordinal, content_hash: document.content_hash });
        let row = IdRow { version: document.version, offset: document.offset.0, live };
        self.ids.put(|key| put_id_key(key, ns, document.id), |out| put_id(out, &row, length));
        let [title, path, body] = document.texts;
        let key = |kind| move |key: &mut Vec<u8>| keys::put_numbered(key, kind, ns, ordinal);
        let [numbers, headers, filters, bodies] = &mut self.numbered;
        if let Some(row) = attributes::encode(&document.attributes) {
            numbers.put(key(Kind::Attributes), |out| out.extend_from_slice(&row));
        }
        headers.put(key(Kind::Header), |out| {
            let id = (document.id, document.changed_at.0);
            document::put_header(out, id, [title, path], document.metadata, length);
        });
        if !buffers.pair_hashes.is_empty() {
            filters.put(key(Kind::Pairs), |out| {
                pairs::put(out, &mut buffers.pair_hashes);
            });
        }
        bodies.put(key(Kind::Body), |out| document::put_body(out, body));
        self.make_room()
    }

    /// Adds what is remembered of a deleted document.
    pub(super) fn put_deleted(
        &mut self,
        ns: NamespaceNumber,
        id: &[u8],
        row: &IdRow,
    ) -> Result<(), EngineError> {
        self.ids.put(|key| put_id_key(key, ns, id), |out| put_id(out, row, 0));
        self.make_room()
    }

    fn make_room(&mut self) -> Result<(), EngineError> {
        let spools = || std::iter::once(&self.ids).chain(&self.numbered);
        if spools().map(Spool::memory_bytes).sum::<usize>() >= self.memory_bytes_max {
            self.ids.spill()?;
            self.numbered.iter_mut().try_for_each(Spool::spill)?;
        }
        Ok(())
    }

    /// Sorted runs written so far.
    pub(super) fn runs(&self) -> usize {
        std::iter::once(&self.ids).chain(&self.numbered).map(Spool::runs).sum()
    }

    /// Writes all rows. Which documents are replaced only their ids tell: they come first.
    pub(super) fn finish(
        self,
        namespaces: &mut Namespaces,
        tables: &mut Tables<'_>,
    ) -> Result<u64, EngineError> {
        let replaced = finish_ids(self.ids, namespaces, tables)?;
        namespaces.sort_replaced();
        for (kind, spool) in NUMBERED.into_iter().zip(self.numbered) {
            spool.drain(|key, row| {
                debug_assert_eq!(key.first(), Some(&(kind as u8)), "a spool holds one kind");
                let (ns, ordinal) = keys::document_of(key).ok_or(Malformed { row: "numbered" })?;
                if namespaces.is_replaced(ns, ordinal) {
                    return Ok(());
                }
                tables.put(key, row)
            })?;
        }
        Ok(replaced)
    }
}

/// Of the rows with one id that follow each other, in the order in which they came, the one that the log would have
/// left; returns how many others there were.
fn finish_ids(
    ids: Spool,
    namespaces: &mut Namespaces,
    tables: &mut Tables<'_>,
) -> Result<u64, EngineError> {
    let mut replaced = 0_u64;
    let mut replace = |namespaces: &mut Namespaces, key: &[u8], (row, length): (IdRow, u32)| {
        let ns = keys::namespace_of(key).ok_or(Malformed { row: "id" })?;
        if let Some(live) = row.live {
            namespaces.replace(ns, live.ordinal, length);
            replaced += 1;
        }
        Ok::<_, EngineError>(())
    };
    let mut kept: Option<(Vec<u8>, (IdRow, u32))> = None;
    ids.drain(|key, value| {
        let new = decode_id(value)?;
        match &mut kept {
            Some((kept_key, kept)) if kept_key == key => {
                let is_stale = matches!(
                    (new.0.version, kept.0.version),
                    (Some(new), Some(old)) if new <= old
                );
                let loser = if is_stale { new } else { std::mem::replace(kept, new) };
                replace(namespaces, key, loser)
            }
            Some((kept_key, kept)) => {
                tables.put(kept_key, &kept.0.encode())?;
                kept_key.clear();
                kept_key.extend_from_slice(key);
                *kept = new;
                Ok(())
            }
            None => {
                kept = Some((key.to_vec(), new));
                Ok(())
            }
        }
    })?;
    if let Some((key, (row, _))) = kept {
        tables.put(&key, &row.encode())?;
    }
    Ok(replaced)
}

fn put_id_key(key: &mut Vec<u8>, ns: NamespaceNumber, id: &[u8]) {
    keys::put_namespace(key, Kind::Id, ns);
    key.extend_from_slice(id);
}

/// Appends an id row with the document's length before it, by which the namespace's statistics are set right.
fn put_id(out: &mut Vec<u8>, row: &IdRow, length: u32) {
    varint::put(out, u64::from(length));
    out.extend_from_slice(&row.encode());
}

fn decode_id(bytes: &[u8]) -> Result<(IdRow, u32), EngineError> {
    let mut reader = varint::Reader(bytes);
    let length = reader.u32().ok_or(Malformed { row: "id" })?;
    Ok((IdRow::decode(reader.0)?, length))
}
