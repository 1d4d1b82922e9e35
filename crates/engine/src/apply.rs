//! The single writer: applies mutations in log order, each as one batch with its applied offset.

use std::sync::Arc;

use nautilus_query::Field;
use nautilus_query::scoring::encode_length;
use nautilus_types::Offset;
use rocksdb::WriteBatch;

use crate::diff::{Diff, Texts};
use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::mutation::{Attributes, Condition, Delete, Mutation, Operation, Outcome, Patch, Upsert};
use crate::namespaces::{Change, Namespaces};
use crate::partition::{META_APPLIED, Shared};
use crate::postings::{Term, drain, redo};
use crate::rows::attributes;
use crate::rows::document::{self, Header};
use crate::rows::id::{IdRow, LiveId};
use crate::rows::namespace::NamespaceRow;

/// The only writer of a partition. Not shared: the one thread that owns it applies the log.
pub struct Writer {
    pub(crate) shared: Arc<Shared>,
    namespaces: Namespaces,
    next_offset: Offset,
    /// Of the record that is being applied, as the next: told to who holds it in memory right before it is written,
    /// since a record that panics before that is passed over.
    redo: Option<Vec<u8>>,
    new_length: Option<NewLength>,
    stopped_at: Option<Offset>,
}

/// A document's length code is to be another.
#[derive(Debug, Clone, Copy)]
struct NewLength {
    ns: NamespaceNumber,
    ordinal: Ordinal,
    code: u8,
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What fails is found again: redo rows stay.
        let _: Result<(), EngineError> = drain::finish(&self.shared);
    }
}

/// A document as it is stored, read to be changed.
pub(crate) struct Stored {
    pub(crate) ordinal: Ordinal,
    pub(crate) header: Header,
    pub(crate) body: String,
    pub(crate) attributes: Attributes,
}

/// What a document is to become.
struct Target<'a> {
    document_id: &'a [u8],
    id_row: IdRow,
    texts: Texts<'a>,
    metadata: &'a [u8],
    attributes: Attributes,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Self, EngineError> {
        let namespaces = Namespaces::load(&shared)?;
        let next_offset = shared.applied()?;
        shared.buffers.forget_from(next_offset);
        let (redo, new_length, stopped_at) = (None, None, None);
        let mut writer = Self { shared, namespaces, next_offset, redo, new_length, stopped_at };
        writer.applied(next_offset);
        Ok(writer)
    }

    /// The offset the next record must not be below.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Writes everything applied so far to disk, synced, and returns the durable offset.
    pub fn flush(&self) -> Result<Offset, EngineError> {
        self.shared.flush()
    }

    /// Applies the record at `offset`; searchers taken after it returns see it.
    ///
    /// An offset below [`Self::next_offset`] changes nothing; gaps are allowed. After an error the writer
    /// refuses to go on: open the partition again and replay from its durable offset.
    pub fn apply(&mut self, offset: Offset, mutation: &Mutation) -> Result<Outcome, EngineError> {
        self.guarded(offset, |writer| writer.apply_next(offset, mutation))
    }

    /// Moves past the record at `offset`, which changes nothing that is stored.
    pub fn pass_over(&mut self, offset: Offset) -> Result<Outcome, EngineError> {
        self.guarded(offset, |writer| {
            writer.shared.write(batch_of(offset))?;
            Ok(Outcome::PassedOver)
        })
    }

    pub(crate) fn guarded(
        &mut self,
        offset: Offset,
        apply: impl FnOnce(&mut Self) -> Result<Outcome, EngineError>,
    ) -> Result<Outcome, EngineError> {
        if let Some(at) = self.stopped_at {
            return Err(EngineError::WriterStopped { at });
        }
        if offset < self.next_offset {
            return Ok(Outcome::Redelivered);
        }
        let shared = Arc::clone(&self.shared);
        let result = drain::tend(&shared, offset).and_then(|()| {
            let _record = shared.buffers.between_records();
            let result = apply(self).inspect(|_| self.applied(offset.next()));
            // What was not written must not come to lists.
            result.inspect_err(|_| shared.buffers.forget_from(offset))
        });
        if result.is_err() {
            self.stopped_at = Some(offset);
        }
        result
    }

    fn applied(&mut self, next_offset: Offset) {
        self.next_offset = next_offset;
        // Nobody else writes.
        let sequence = self.shared.db.latest_sequence_number();
        self.shared.labels.applied(sequence, next_offset);
    }

    fn apply_next(&mut self, offset: Offset, mutation: &Mutation) -> Result<Outcome, EngineError> {
        let mut batch = batch_of(offset);
        let name = mutation.namespace.as_bytes();
        let before = self.namespaces.get(&self.shared, name)?;
        let ends_namespace = matches!(mutation.operation, Operation::DeleteNamespace);
        let mut ended = None;
        let after = match before {
            Some(row) if row.incarnation > mutation.incarnation.0 => None,
            Some(row) if row.incarnation == mutation.incarnation.0 => row.is_live.then_some(row),
            Some(row) => {
                // A newer life of the name: the old one's documents go with the first record of the new.
                if row.is_live {
                    delete_rows(&mut batch, row.number);
                    ended = Some(row.number);
                }
                Some(self.namespaces.fresh(mutation.incarnation.0)?)
            }
            None => Some(self.namespaces.fresh(mutation.incarnation.0)?),
        };
        let Some(mut after) = after else {
            self.shared.write(batch)?;
            return Ok(Outcome::StaleIncarnation);
        };

        let outcome = match &mutation.operation {
            Operation::Upsert(upsert) => self.upsert(&mut batch, &mut after, offset, upsert)?,
            Operation::Patch(patch) => self.patch(&mut batch, &mut after, offset, patch)?,
            Operation::Delete(delete) => self.delete(&mut batch, &mut after, offset, delete)?,
            Operation::DeleteNamespace => {
                delete_rows(&mut batch, after.number);
                ended = Some(after.number);
                Outcome::NamespaceDeleted
            }
        };
        if ends_namespace {
            after = NamespaceRow {
                is_live: false,
                ..NamespaceRow::empty(after.incarnation, after.number)
            };
        }
        let change = Change { name, before, after };
        if before != Some(after) {
            self.namespaces.put(&mut batch, &change);
            self.shared.labels.change(name, offset, after);
        }
        if let Some(NewLength { ns, ordinal, code }) = self.new_length.take() {
            self.shared.lengths.change(ns, keys::chunk_of(ordinal), offset, code);
        }
        if let Some(redo) = self.redo.take() {
            batch.put(keys::redo(offset), &redo);
            self.shared.buffers.insert(offset, &redo)?;
        }
        self.shared.write(batch)?;
        if let Some(ended) = ended {
            self.shared.buffers.end(ended);
        }
        self.namespaces.written(&change);
        Ok(outcome)
    }

    fn upsert(
        &mut self,
        batch: &mut WriteBatch,
        ns: &mut NamespaceRow,
        offset: Offset,
        upsert: &Upsert,
    ) -> Result<Outcome, EngineError> {
        let id = upsert.document_id.as_bytes();
        let current = self.id_row(ns.number, id)?;
        if let Some(refusal) = refusal(current.as_ref(), upsert.version, upsert.condition) {
            return Ok(refusal);
        }
        let stored = self.stored(ns.number, current.as_ref())?;
        let target = Target {
            document_id: id,
            id_row: next_id_row(offset, upsert.version, upsert.content_hash),
            texts: [&upsert.title, &upsert.path, &upsert.body],
            metadata: &upsert.metadata,
            attributes: upsert.attributes,
        };
        self.store(batch, ns, stored, target)
    }

    fn patch(
        &mut self,
        batch: &mut WriteBatch,
        ns: &mut NamespaceRow,
        offset: Offset,
        patch: &Patch,
    ) -> Result<Outcome, EngineError> {
        let id = patch.document_id.as_bytes();
        let current = self.id_row(ns.number, id)?;
        if let Some(refusal) = refusal(current.as_ref(), patch.version, patch.condition) {
            return Ok(refusal);
        }
        let Some(stored) = self.stored(ns.number, current.as_ref())? else {
            return Ok(Outcome::NotFound);
        };
        let old = (stored.header.clone(), stored.body.clone());
        let target = Target {
            document_id: id,
            id_row: next_id_row(offset, patch.version, patch.content_hash),
            texts: [
                patch.title.as_deref().unwrap_or(&old.0.title),
                patch.path.as_deref().unwrap_or(&old.0.path),
                patch.body.as_deref().unwrap_or(&old.1),
            ],
            metadata: patch.metadata.as_deref().unwrap_or(&old.0.metadata),
            attributes: match patch.metadata {
                Some(_) => patch.attributes,
                None => stored.attributes,
            },
        };
        self.store(batch, ns, Some(stored), target)
    }

    fn delete(
        &mut self,
        batch: &mut WriteBatch,
        ns: &mut NamespaceRow,
        offset: Offset,
        delete: &Delete,
    ) -> Result<Outcome, EngineError> {
        let id = delete.document_id.as_bytes();
        let current = self.id_row(ns.number, id)?;
        if let Some(refusal) = refusal(current.as_ref(), delete.version, delete.condition) {
            return Ok(refusal);
        }
        let tombstone = IdRow { version: delete.version, offset: offset.0, live: None };
        batch.put(keys::id(ns.number, id), tombstone.encode());
        let Some(stored) = self.stored(ns.number, current.as_ref())? else {
            return Ok(Outcome::Deleted);
        };
        let diff = Diff::between(&self.shared.analyzer, texts_of(&stored), ["", "", ""]);
        self.redo = redo_of(ns.number, stored.ordinal, &diff);
        batch.delete(keys::header(ns.number, stored.ordinal));
        batch.delete(keys::body(ns.number, stored.ordinal));
        batch.delete(keys::pairs(ns.number, stored.ordinal));
        put_attributes(batch, ns.number, stored.ordinal, stored.attributes, Attributes::default());
        ns.documents = ns.documents.saturating_sub(1);
        ns.total_length = ns.total_length.saturating_sub(u64::from(stored.header.length));
        Ok(Outcome::Deleted)
    }

    /// Brings `stored` (or nothing) to `target`, writing only what differs.
    fn store(
        &mut self,
        batch: &mut WriteBatch,
        ns: &mut NamespaceRow,
        stored: Option<Stored>,
        mut target: Target<'_>,
    ) -> Result<Outcome, EngineError> {
        let ordinal = match &stored {
            Some(stored) => stored.ordinal,
            None => {
                let next = ns.next_ordinal.checked_add(1);
                let next = next.ok_or(EngineError::NumbersExhausted { what: "document" })?;
                std::mem::replace(&mut ns.next_ordinal, next)
            }
        };
        if let Some(live) = &mut target.id_row.live {
            live.ordinal = ordinal;
        }
        batch.put(keys::id(ns.number, target.document_id), target.id_row.encode());

        let before = stored.as_ref().map_or(["", "", ""], texts_of);
        if let Some(stored) = &stored
            && before == target.texts
        {
            return Ok(store_metadata(batch, ns.number, stored, &target));
        }
        let mut diff = Diff::between(&self.shared.analyzer, before, target.texts);
        self.redo = redo_of(ns.number, ordinal, &diff);

        let header = Header {
            document_id: target.document_id.to_vec(),
            changed_at: target.id_row.offset,
            title: target.texts[Field::Title.index()].to_owned(),
            path: target.texts[Field::Path.index()].to_owned(),
            metadata: target.metadata.to_vec(),
            length: diff.length_after,
        };
        batch.put(keys::header(ns.number, ordinal), header.encode());
        let attributes = stored.as_ref().map_or_else(Attributes::default, |old| old.attributes);
        put_attributes(batch, ns.number, ordinal, attributes, target.attributes);
        let body = Field::Body.index();
        if stored.is_none() || before[body] != target.texts[body] {
            let row = document::encode_body(target.texts[body]);
            batch.put(keys::body(ns.number, ordinal), row);
            match diff.pairs_row() {
                Some(row) => batch.put(keys::pairs(ns.number, ordinal), row),
                None if stored.is_some() => batch.delete(keys::pairs(ns.number, ordinal)),
                None => {}
            }
        }
        let code = encode_length(diff.length_after);
        let old_code = stored.as_ref().map(|stored| encode_length(stored.header.length));
        if old_code != Some(code) {
            self.put_length(batch, ns.number, ordinal, code)?;
            self.new_length = Some(NewLength { ns: ns.number, ordinal, code });
        }
        ns.total_length += u64::from(diff.length_after);
        match &stored {
            Some(stored) => {
                ns.total_length = ns.total_length.saturating_sub(u64::from(stored.header.length));
                Ok(Outcome::Replaced)
            }
            None => {
                ns.documents += 1;
                Ok(Outcome::Inserted)
            }
        }
    }

    fn put_length(
        &self,
        batch: &mut WriteBatch,
        ns: NamespaceNumber,
        ordinal: Ordinal,
        code: u8,
    ) -> Result<(), EngineError> {
        let key = keys::lengths(ns, ordinal);
        let row = self.shared.db.get(&key).map_err(EngineError::read)?.unwrap_or_default();
        batch.put(key, keys::with_length_code(row, ordinal, code));
        Ok(())
    }

    fn id_row(&self, ns: NamespaceNumber, id: &[u8]) -> Result<Option<IdRow>, EngineError> {
        match self.shared.db.get_pinned(keys::id(ns, id)).map_err(EngineError::read)? {
            Some(bytes) => Ok(Some(IdRow::decode(&bytes)?)),
            None => Ok(None),
        }
    }

    fn stored(
        &self,
        ns: NamespaceNumber,
        id_row: Option<&IdRow>,
    ) -> Result<Option<Stored>, EngineError> {
        let Some(LiveId { ordinal, .. }) = id_row.and_then(|row| row.live) else { return Ok(None) };
        let db = &self.shared.db;
        let header = db.get_pinned(keys::header(ns, ordinal)).map_err(EngineError::read)?;
        let header = Header::decode(&header.ok_or(EngineError::Missing { row: "header" })?)?;
        let body = db.get_pinned(keys::body(ns, ordinal)).map_err(EngineError::read)?;
        let body = body.ok_or(EngineError::Missing { row: "body" })?;
        let body = document::decode_body(&body)?.to_owned();
        let attributes = match db.get_pinned(keys::attributes(ns, ordinal)) {
            Ok(Some(row)) => attributes::decode(&row)?,
            Ok(None) => Attributes::default(),
            Err(source) => return Err(EngineError::read(source)),
        };
        Ok(Some(Stored { ordinal, header, body, attributes }))
    }
}

/// The row of a document whose postings change like this.
fn redo_of(ns: NamespaceNumber, ordinal: Ordinal, diff: &Diff) -> Option<Vec<u8>> {
    let tokens = diff.changed().map(|(token, pair)| (Term::Token(token), pair.after));
    let pairs: Vec<_> = diff.changed_pairs().collect();
    let pairs = pairs.iter().map(|(words, pair)| (Term::Pair(words), pair.after));
    redo::encode(ns, ordinal, tokens.chain(pairs))
}

/// A batch that moves the applied offset past `offset`; the record's rows go into the same.
pub(crate) fn batch_of(offset: Offset) -> WriteBatch {
    let mut batch = WriteBatch::default();
    batch.put(keys::meta(META_APPLIED), offset.next().0.to_be_bytes());
    batch
}

/// The texts are the same: at most the header and the attributes change.
fn store_metadata(
    batch: &mut WriteBatch,
    ns: NamespaceNumber,
    stored: &Stored,
    target: &Target<'_>,
) -> Outcome {
    let Stored { ordinal, header, attributes, .. } = stored;
    if header.metadata == target.metadata && *attributes == target.attributes {
        return Outcome::Unchanged;
    }
    let metadata = target.metadata.to_vec();
    let header = Header { metadata, changed_at: target.id_row.offset, ..header.clone() };
    batch.put(keys::header(ns, *ordinal), header.encode());
    put_attributes(batch, ns, *ordinal, *attributes, target.attributes);
    Outcome::Replaced
}

fn put_attributes(
    batch: &mut WriteBatch,
    ns: NamespaceNumber,
    ordinal: Ordinal,
    before: Attributes,
    after: Attributes,
) {
    if before == after {
        return;
    }
    let key = keys::attributes(ns, ordinal);
    match attributes::encode(&after) {
        Some(row) => batch.put(key, row),
        None => batch.delete(key),
    }
}

fn texts_of(stored: &Stored) -> Texts<'_> {
    [&stored.header.title, &stored.header.path, &stored.body]
}

/// The id row of a live document; its ordinal is filled in once known.
fn next_id_row(offset: Offset, version: Option<u64>, content_hash: [u8; 16]) -> IdRow {
    IdRow { version, offset: offset.0, live: Some(LiveId { ordinal: 0, content_hash }) }
}

/// Why a mutation does not apply to what is stored, if it does not. The reference engine has the same rule.
fn refusal(
    current: Option<&IdRow>,
    version: Option<u64>,
    condition: Option<Condition>,
) -> Option<Outcome> {
    let stored_version = current.and_then(|row| row.version);
    let is_live = current.is_some_and(|row| row.live.is_some());
    if let (Some(new), Some(old)) = (version, stored_version)
        && new <= old
    {
        return Some(Outcome::StaleVersion);
    }
    let holds = match condition {
        None => true,
        Some(Condition::Absent) => !is_live,
        Some(Condition::Version(expected)) => is_live && stored_version == Some(expected),
    };
    (!holds).then_some(Outcome::ConditionFailed)
}

/// Removes every row that carries the number, which is never used again.
fn delete_rows(batch: &mut WriteBatch, ns: NamespaceNumber) {
    for kind in Kind::PER_NAMESPACE {
        batch.delete_range(keys::of_namespace(kind, ns), keys::after_namespace(kind, ns));
    }
}
