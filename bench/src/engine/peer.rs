//! Tantivy, in the four ways its users keep the documents of many namespaces.

mod one;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tantivy::query::{
    BooleanQuery, ConstScoreQuery, InvertedIndexRangeQuery, Occur, PhraseQuery, Query, TermQuery,
};
use tantivy::schema::IndexRecordOption;
use tantivy::{Score, Term};

pub(crate) use one::{Index, Place};

use super::data::{Corpus, Id, Namespace, Word};
use super::exhaustive::Definition;
use super::queries::{self, Question};

/// How namespaces are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layout {
    /// One index; every query holds the namespace as a term that does not score.
    Filter,
    /// The same, its segments sorted by namespace (`IndexSettings::sort_by_field`).
    Sorted,
    /// One index; every word is preceded by its namespace.
    Terms,
    /// An index for each namespace.
    Own,
}

impl Layout {
    pub(crate) const ALL: [Self; 4] = [Self::Filter, Self::Sorted, Self::Terms, Self::Own];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Sorted => "sorted",
            Self::Terms => "terms",
            Self::Own => "own",
        }
    }

    /// How its scores are defined.
    pub(crate) fn definition(self) -> Definition {
        match self {
            Self::Filter | Self::Sorted => Definition::PeerShared,
            Self::Terms => Definition::PeerTerms,
            Self::Own => Definition::PeerOwn,
        }
    }
}

/// What an index holds beside words and frequencies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holds {
    pub(crate) positions: bool,
    pub(crate) texts: bool,
    /// Postings of ids and namespaces, without which nothing can be replaced or filtered.
    pub(crate) keys: bool,
}

impl Holds {
    /// What our partition holds too.
    pub(crate) const ALL: Self = Self { positions: true, texts: true, keys: true };
}

/// What is indexed and what is stored of a document.
pub(crate) struct Text<'t> {
    indexed: Cow<'t, str>,
    stored: &'t str,
}

impl<'t> Text<'t> {
    /// The same for both.
    pub(crate) fn plain(text: &'t str) -> Self {
        Self { indexed: Cow::Borrowed(text), stored: text }
    }
}

/// Tantivy with all documents in one layout.
pub(crate) struct Peer {
    pub(crate) layout: Layout,
    holds: Holds,
    /// `None`: in memory.
    dir: Option<PathBuf>,
    /// All namespaces in one under 0, but for [`Layout::Own`].
    indexes: BTreeMap<Namespace, Index>,
}

impl Peer {
    /// In a folder, or in memory.
    pub(crate) fn new(layout: Layout, holds: Holds, dir: Option<&Path>) -> Self {
        Self { layout, holds, dir: dir.map(Path::to_owned), indexes: BTreeMap::new() }
    }

    /// Opens what an earlier run made, with these namespaces.
    pub(crate) fn open(layout: Layout, dir: &Path, namespaces: &[Namespace]) -> Result<Self> {
        let mut peer = Self::new(layout, Holds::ALL, Some(dir));
        for &namespace in namespaces {
            peer.index(namespace)?;
        }
        Ok(peer)
    }

    fn key(&self, namespace: Namespace) -> Namespace {
        match self.layout {
            Layout::Filter | Layout::Sorted | Layout::Terms => 0,
            Layout::Own => namespace,
        }
    }

    fn index(&mut self, namespace: Namespace) -> Result<&mut Index> {
        let key = self.key(namespace);
        if !self.indexes.contains_key(&key) {
            let place = match &self.dir {
                Some(dir) => Place::Folder(dir.join(format!("{}-{key}", self.layout.name()))),
                None => Place::Memory,
            };
            self.indexes.insert(key, Index::open(&place, self.layout, self.holds)?);
        }
        self.indexes.get_mut(&key).context("the index just opened")
    }

    /// A text as this layout indexes and stores it.
    pub(crate) fn spelled<'t>(&self, namespace: Namespace, text: &'t str) -> Text<'t> {
        let indexed = match self.layout {
            Layout::Filter | Layout::Sorted | Layout::Own => return Text::plain(text),
            Layout::Terms => {
                let mut spelled = String::with_capacity(text.len() * 2);
                for word in text.split_ascii_whitespace() {
                    spelled.push_str(&term_text(namespace, word));
                    spelled.push(' ');
                }
                spelled
            }
        };
        Text { indexed: Cow::Owned(indexed), stored: text }
    }

    /// Adds a document that is not there yet.
    pub(crate) fn add(&mut self, namespace: Namespace, id: Id, text: &Text<'_>) -> Result<()> {
        self.index(namespace)?.add(namespace, id, text)
    }

    /// Replaces a document.
    pub(crate) fn replace(&mut self, namespace: Namespace, id: Id, text: &Text<'_>) -> Result<()> {
        let index = self.index(namespace)?;
        index.delete(id)?;
        index.add(namespace, id, text)
    }

    pub(crate) fn delete(&mut self, namespace: Namespace, id: Id) -> Result<()> {
        self.index(namespace)?.delete(id)
    }

    /// Commits what was changed and shows it to searches.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.indexes.values_mut().try_for_each(Index::commit)
    }

    /// One segment per index, its best case.
    pub(crate) fn merge(&mut self) -> Result<()> {
        self.indexes.values_mut().try_for_each(Index::merge)
    }

    /// Ends the writers, and with them merges under way.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.indexes.values_mut().try_for_each(Index::finish)
    }

    pub(crate) fn query(&self, corpus: &Corpus, query: &queries::Query) -> Result<Box<dyn Query>> {
        let namespace = query.namespace;
        let index = self.of(namespace)?;
        let word = |text: &str| {
            let spelled = match self.layout {
                Layout::Filter | Layout::Sorted | Layout::Own => text.to_owned(),
                Layout::Terms => term_text(namespace, text),
            };
            Term::from_field_text(index.fields.body, &spelled)
        };
        let numbered = |number: &Word| word(&corpus.words[*number as usize]);
        let term = |term| -> Box<dyn Query> {
            Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
        };
        let mut must: Vec<(Occur, Box<dyn Query>)> = match &query.question {
            Question::All(words) => {
                words.iter().map(|number| (Occur::Must, term(numbered(number)))).collect()
            }
            Question::Any(words) => {
                let any = words.iter().map(|number| (Occur::Should, term(numbered(number))));
                vec![(Occur::Must, Box::new(BooleanQuery::new(any.collect())))]
            }
            Question::Phrase(words) => {
                let terms = words.iter().map(numbered).collect();
                vec![(Occur::Must, Box::new(PhraseQuery::new(terms)))]
            }
            Question::Prefix(prefix) => {
                // Prefixes are of ASCII: the next last character is the bound of all that begin so.
                let after: String = match prefix.as_bytes().split_last() {
                    Some((last, head)) => {
                        head.iter().chain([&(last + 1)]).map(|&byte| char::from(byte)).collect()
                    }
                    None => anyhow::bail!("an empty prefix"),
                };
                let (from, to) = (word(prefix), word(&after));
                let range = InvertedIndexRangeQuery::new(
                    std::ops::Bound::Included(from),
                    std::ops::Bound::Excluded(to),
                );
                vec![(Occur::Must, Box::new(range))]
            }
        };
        if matches!(self.layout, Layout::Filter | Layout::Sorted) {
            let of_namespace = TermQuery::new(
                Term::from_field_u64(index.fields.namespace, u64::from(namespace)),
                IndexRecordOption::Basic,
            );
            let filter = ConstScoreQuery::new(Box::new(of_namespace), 0.0);
            must.push((Occur::Must, Box::new(filter)));
        }
        match must.pop() {
            Some((_, only)) if must.is_empty() => Ok(only),
            Some(last) => {
                must.push(last);
                Ok(Box::new(BooleanQuery::new(must)))
            }
            None => anyhow::bail!("a query without words"),
        }
    }

    /// Whether it holds the namespace's documents.
    pub(crate) fn has(&self, namespace: Namespace) -> bool {
        self.indexes.contains_key(&self.key(namespace))
    }

    pub(crate) fn of(&self, namespace: Namespace) -> Result<&Index> {
        self.indexes.get(&self.key(namespace)).context("the namespace has no index")
    }

    /// The best ten with their ids.
    pub(crate) fn top10(
        &self,
        namespace: Namespace,
        query: &dyn Query,
    ) -> Result<Vec<(Score, Id)>> {
        self.of(namespace)?.top10(query)
    }

    /// The best ten with their ids, and how many hits there are, in one pass as its users ask for both.
    pub(crate) fn top10_and_count(
        &self,
        namespace: Namespace,
        query: &dyn Query,
    ) -> Result<(Vec<(Score, Id)>, usize)> {
        self.of(namespace)?.top10_and_count(query)
    }

    /// Bytes of files by their extension.
    pub(crate) fn bytes(&self, extensions: &[&str]) -> Result<f64> {
        let mut bytes = 0.0;
        for index in self.indexes.values() {
            bytes += index.bytes(extensions)?;
        }
        Ok(bytes)
    }
}

fn term_text(namespace: Namespace, word: &str) -> String {
    format!("{namespace}|{word}")
}
