//! One index of Tantivy.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tantivy::collector::{Count, TopDocs};
use tantivy::columnar::Column;
use tantivy::query::Query;
use tantivy::schema::{
    Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{
    DocAddress, IndexReader, IndexSettings, IndexSortByField, IndexWriter, Order, ReloadPolicy,
    Score, Searcher, TantivyDocument, Term,
};

use super::{Holds, Layout, Text};
use crate::engine::data::{Id, Namespace};
use crate::engine::exhaustive::PAGE;

/// Memory of its one indexing thread.
const WRITER_BYTES: usize = 256 << 20;

/// Where an index lies.
pub(crate) enum Place {
    Memory,
    Folder(PathBuf),
}

/// Its fields.
#[derive(Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) body: Field,
    pub(crate) namespace: Field,
    id: Field,
    text: Option<Field>,
}

/// An index, its writer once there is something to write, and what is visible now.
pub(crate) struct Index {
    index: tantivy::Index,
    pub(crate) fields: Fields,
    place: Place,
    writer: Option<IndexWriter>,
    has_changes: bool,
    reader: IndexReader,
    view: View,
}

/// What was last shown to searches, with the column of ids of each segment open.
struct View {
    searcher: Searcher,
    ids: Vec<Column<u64>>,
}

impl View {
    fn of(reader: &IndexReader) -> Result<Self> {
        let searcher = reader.searcher();
        let segments = searcher.segment_readers().iter();
        let ids =
            segments.map(|segment| segment.fast_fields().u64("id")).collect::<Result<_, _>>()?;
        Ok(Self { searcher, ids })
    }
}

impl Index {
    /// Opens or makes it.
    pub(crate) fn open(place: &Place, layout: Layout, holds: Holds) -> Result<Self> {
        let mut schema = Schema::builder();
        let record = match holds.positions {
            true => IndexRecordOption::WithFreqsAndPositions,
            false => IndexRecordOption::WithFreqs,
        };
        // Texts are words and white space already, so its quickest tokenizer finds what our analyzer finds.
        let indexing =
            TextFieldIndexing::default().set_tokenizer("whitespace").set_index_option(record);
        let mut body = TextOptions::default().set_indexing_options(indexing);
        // Words with their namespace are not what anybody wants to see: the text is a field of its own.
        let is_apart = layout == Layout::Terms;
        if holds.texts && !is_apart {
            body = body.set_stored();
        }
        let text = (holds.texts && is_apart).then(|| TextOptions::default().set_stored());
        let keyed =
            |options: NumericOptions| if holds.keys { options.set_indexed() } else { options };
        let id = keyed(NumericOptions::default().set_fast());
        let namespace = keyed(match layout {
            Layout::Sorted => NumericOptions::default().set_fast(),
            Layout::Filter | Layout::Terms | Layout::Own => NumericOptions::default(),
        });
        let fields = Fields {
            body: schema.add_text_field("body", body),
            namespace: schema.add_u64_field("namespace", namespace),
            id: schema.add_u64_field("id", id),
            text: text.map(|text| schema.add_text_field("text", text)),
        };
        let sort_by_field = (layout == Layout::Sorted)
            .then(|| IndexSortByField { field: "namespace".to_owned(), order: Order::Asc });
        let settings = IndexSettings { sort_by_field, ..IndexSettings::default() };
        let builder = tantivy::Index::builder().schema(schema.build()).settings(settings);
        let (index, place) = match place {
            Place::Memory => (builder.create_in_ram()?, Place::Memory),
            Place::Folder(folder) => {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("make {}", folder.display()))?;
                let index = match folder.join("meta.json").exists() {
                    true => tantivy::Index::open_in_dir(folder)?,
                    false => builder.create_in_dir(folder)?,
                };
                (index, Place::Folder(folder.clone()))
            }
        };
        let reader: IndexReader =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let view = View::of(&reader)?;
        Ok(Self { index, fields, place, writer: None, has_changes: false, reader, view })
    }

    fn writer(&mut self) -> Result<&mut IndexWriter> {
        self.has_changes = true;
        if self.writer.is_none() {
            self.writer = Some(self.index.writer_with_num_threads(1, WRITER_BYTES)?);
        }
        self.writer.as_mut().context("the writer just made")
    }

    pub(crate) fn add(&mut self, namespace: Namespace, id: Id, text: &Text<'_>) -> Result<()> {
        let fields = self.fields;
        let mut document = TantivyDocument::default();
        document.add_text(fields.body, &text.indexed);
        if let Some(field) = fields.text {
            document.add_text(field, text.stored);
        }
        document.add_u64(fields.namespace, u64::from(namespace));
        document.add_u64(fields.id, u64::from(id));
        self.writer()?.add_document(document)?;
        Ok(())
    }

    pub(crate) fn delete(&mut self, id: Id) -> Result<()> {
        let term = Term::from_field_u64(self.fields.id, u64::from(id));
        self.writer()?.delete_term(term);
        Ok(())
    }

    /// Nothing where nothing changed.
    pub(crate) fn commit(&mut self) -> Result<()> {
        if self.has_changes {
            self.writer()?.commit()?;
            self.has_changes = false;
            self.show()?;
        }
        Ok(())
    }

    fn show(&mut self) -> Result<()> {
        self.reader.reload()?;
        self.view = View::of(&self.reader)?;
        Ok(())
    }

    pub(crate) fn merge(&mut self) -> Result<()> {
        self.commit()?;
        self.finish()?;
        let segments = self.index.searchable_segment_ids()?;
        if segments.len() > 1 {
            self.writer()?.merge(&segments).wait()?;
        }
        self.finish()?;
        self.show()
    }

    pub(crate) fn finish(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writer.garbage_collect_files().wait()?;
            writer.wait_merging_threads()?;
        }
        self.has_changes = false;
        Ok(())
    }

    pub(crate) fn top10(&self, query: &dyn Query) -> Result<Vec<(Score, Id)>> {
        let best = TopDocs::with_limit(PAGE).order_by_score();
        self.with_ids(self.view.searcher.search(query, &best)?)
    }

    pub(crate) fn top10_and_count(&self, query: &dyn Query) -> Result<(Vec<(Score, Id)>, usize)> {
        let best = TopDocs::with_limit(PAGE).order_by_score();
        let (best, count) = self.view.searcher.search(query, &(best, Count))?;
        Ok((self.with_ids(best)?, count))
    }

    fn with_ids(&self, best: Vec<(Score, DocAddress)>) -> Result<Vec<(Score, Id)>> {
        let id = |address: DocAddress| -> Option<Id> {
            let column = self.view.ids.get(address.segment_ord as usize)?;
            Id::try_from(column.first(address.doc_id)?).ok()
        };
        let with_id = |(score, address)| Ok((score, id(address).context("a hit without id")?));
        best.into_iter().map(with_id).collect()
    }

    /// Documents a query finds.
    pub(crate) fn count(&self, query: &dyn Query) -> Result<usize> {
        Ok(self.view.searcher.search(query, &Count)?)
    }

    pub(crate) fn bytes(&self, extensions: &[&str]) -> Result<f64> {
        let Place::Folder(folder) = &self.place else { return Ok(0.0) };
        let segments = self.index.searchable_segment_ids()?;
        let mut bytes = 0;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((segment, extension)) = name.to_str().and_then(|name| name.split_once('.'))
            else {
                continue;
            };
            let is_live = segments.iter().any(|id| id.uuid_string() == segment);
            if is_live && extensions.contains(&extension) {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes as f64)
    }
}
