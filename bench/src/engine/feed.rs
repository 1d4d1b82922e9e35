//! Edits of a corpus as people make them, seeded, and what each document has become.

use std::collections::HashMap;

use super::data::{Corpus, Id, Namespace, Word};
use crate::measure::Random;

/// Words of a paragraph that is put in or taken out.
const PARAGRAPH: usize = 30;

/// What an edit does to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One word becomes another.
    Replace,
    /// A word is put at the very start: every other one moves.
    InsertAtStart,
    /// Thirty words go; of a document too short for it, none: it gets them.
    DeleteParagraph,
    InsertParagraph,
    /// The document goes. The next edit of it makes it anew.
    Delete,
}

/// Of a hundred edits: as people save files, most change a word.
const MIX: [(Kind, usize); 5] = [
    (Kind::Replace, 60),
    (Kind::InsertAtStart, 20),
    (Kind::DeleteParagraph, 9),
    (Kind::InsertParagraph, 9),
    (Kind::Delete, 2),
];

/// A document's new state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) id: Id,
    pub(crate) namespace: Namespace,
    /// `None`: deleted.
    pub(crate) words: Option<Vec<Word>>,
}

/// An endless feed of edits.
pub(crate) struct Feed<'a> {
    pub(crate) corpus: &'a Corpus,
    changed: HashMap<Id, Option<Vec<Word>>>,
    random: Random,
    /// Every second edit is of one of these, if there are any.
    favoured: Vec<Id>,
}

impl<'a> Feed<'a> {
    /// Half of the edits in these namespaces; all anywhere if none is named.
    pub(crate) fn new(corpus: &'a Corpus, favoured: &[Namespace], seed: u64) -> Self {
        let is_favoured = |id: &Id| favoured.contains(&corpus.owner(*id));
        let favoured = match favoured {
            [] => Vec::new(),
            _ => (0..corpus.len()).filter(is_favoured).collect(),
        };
        Self { corpus, changed: HashMap::new(), random: Random::new(seed), favoured }
    }

    /// Keeps every document in memory at once, instead of each with its first edit.
    pub(crate) fn remember_all(&mut self) {
        let corpus = self.corpus;
        self.changed = (0..corpus.len()).map(|id| (id, Some(corpus.document(id)))).collect();
    }

    /// What a document is now.
    pub(crate) fn words(&self, id: Id) -> Option<Vec<Word>> {
        match self.changed.get(&id) {
            Some(words) => words.clone(),
            None => Some(self.corpus.document(id)),
        }
    }

    /// The next edit of the mix.
    pub(crate) fn next(&mut self) -> Edit {
        let mut drawn = self.random.below(100);
        let mut kind = Kind::Replace;
        for (of_mix, percent) in MIX {
            kind = of_mix;
            if drawn < percent {
                break;
            }
            drawn -= percent;
        }
        let id = self.any_id();
        self.edit(id, kind)
    }

    /// A document to edit.
    pub(crate) fn any_id(&mut self) -> Id {
        if !self.favoured.is_empty() && self.random.below(2) == 0 {
            return self.favoured[self.random.below(self.favoured.len())];
        }
        Id::try_from(self.random.below(self.corpus.len() as usize)).unwrap_or_default()
    }

    /// An edit of this kind.
    pub(crate) fn edit(&mut self, id: Id, kind: Kind) -> Edit {
        let words = match self.words(id) {
            Some(words) => self.edited(words, kind),
            None => Some(self.corpus.document(id)),
        };
        self.changed.insert(id, words.clone());
        Edit { id, namespace: self.corpus.owner(id), words }
    }

    fn edited(&mut self, mut words: Vec<Word>, kind: Kind) -> Option<Vec<Word>> {
        let place = self.random.below(words.len());
        match kind {
            Kind::Replace => {
                let new = self.other_words(1);
                if let (Some(word), Some(&new)) = (words.get_mut(place), new.first()) {
                    *word = new;
                }
            }
            Kind::InsertAtStart => {
                let new = self.other_words(1);
                words.splice(0..0, new);
            }
            Kind::DeleteParagraph if words.len() >= 2 * PARAGRAPH => {
                let start = place.min(words.len() - PARAGRAPH);
                words.drain(start..start + PARAGRAPH);
            }
            Kind::DeleteParagraph | Kind::InsertParagraph => {
                let new = self.other_words(PARAGRAPH);
                words.splice(place..place, new);
            }
            Kind::Delete => return None,
        }
        Some(words)
    }

    /// Words one after the other from some document.
    fn other_words(&mut self, count: usize) -> Vec<Word> {
        let id = self.random.below(self.corpus.len() as usize);
        let words = self.corpus.document(Id::try_from(id).unwrap_or_default());
        let start = self.random.below(words.len());
        words.into_iter().skip(start).take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::data::{Group, LENGTH_MEDIAN, Shape};

    #[test]
    fn the_same_seed_gives_the_same_edits() {
        let groups = vec![Group { namespaces: 3, documents: 50 }];
        let corpus = Corpus::generate(&Shape { groups, length_median: LENGTH_MEDIAN, seed: 5 });
        let (mut one, mut two) = (Feed::new(&corpus, &[1], 9), Feed::new(&corpus, &[1], 9));
        let (mut deleted, mut favoured) = (0, 0);
        for _ in 0..2_000 {
            let edit = one.next();
            assert_eq!(edit, two.next());
            assert_eq!(one.words(edit.id), edit.words);
            assert_eq!(corpus.owner(edit.id), edit.namespace);
            deleted += usize::from(edit.words.is_none());
            favoured += usize::from(edit.namespace == 1);
        }
        assert!((15..70).contains(&deleted), "{deleted}");
        // Half, and a third of the rest.
        assert!((1_200..1_470).contains(&favoured), "{favoured}");
    }

    #[test]
    fn edits_change_what_they_say() {
        let groups = vec![Group { namespaces: 1, documents: 50 }];
        let corpus = Corpus::generate(&Shape { groups, length_median: 400.0, seed: 5 });
        let id = (0..50).find(|&id| corpus.document(id).len() > 100).unwrap();
        let mut feed = Feed::new(&corpus, &[], 9);
        let before = corpus.document(id);
        let inserted = feed.edit(id, Kind::InsertAtStart).words.unwrap();
        assert_eq!(inserted[1..], before);
        let shorter = feed.edit(id, Kind::DeleteParagraph).words.unwrap();
        assert_eq!(shorter.len(), inserted.len() - PARAGRAPH);
        assert_eq!(feed.edit(id, Kind::Delete).words, None);
        assert_eq!(feed.edit(id, Kind::Replace).words, Some(before));
    }
}
