//! The queries of the classes, drawn from the documents so that each finds something.

use nautilus_query::{FieldSet, Node};

use super::data::{Corpus, Id, Namespace, Word};
use crate::measure::Random;

/// What a query looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Term,
    And2,
    And3,
    Or,
    Phrase,
    Prefix,
}

impl Class {
    pub(crate) const ALL: [Self; 6] =
        [Self::Term, Self::And2, Self::And3, Self::Or, Self::Phrase, Self::Prefix];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Term => "term",
            Self::And2 => "and2",
            Self::And3 => "and3",
            Self::Or => "or",
            Self::Phrase => "phrase",
            Self::Prefix => "prefix",
        }
    }
}

/// How many of a namespace's documents have a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Band {
    /// At most one in two hundred.
    Low,
    /// One to ten in a hundred.
    Middle,
    /// A tenth and more.
    High,
}

impl Band {
    pub(crate) const ALL: [Self; 3] = [Self::Low, Self::Middle, Self::High];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Middle => "middle",
            Self::High => "high",
        }
    }

    /// Of a word that so many of so many documents have. What lies between low and middle has none.
    pub(crate) fn of(frequency: u32, documents: u32) -> Option<Self> {
        if frequency == 0 {
            return None;
        }
        let share = f64::from(frequency) / f64::from(documents);
        if share >= 0.1 {
            Some(Self::High)
        } else if share >= 0.01 && frequency > 1 {
            Some(Self::Middle)
        } else if share <= 0.005 || frequency == 1 {
            Some(Self::Low)
        } else {
            None
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// All of the words.
    All(Vec<Word>),
    /// Any of the words.
    Any(Vec<Word>),
    /// The words one after the other.
    Phrase(Vec<Word>),
    /// Words that begin so.
    Prefix(String),
}

/// One query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) namespace: Namespace,
    pub(crate) class: Class,
    pub(crate) band: Band,
    pub(crate) question: Question,
}

impl Query {
    /// As our engine takes it.
    pub(crate) fn node(&self, corpus: &Corpus) -> Node {
        let text = |word: &Word| corpus.words[*word as usize].clone();
        let term = |word: &Word| Node::Term { fields: FieldSet::ALL, token: text(word) };
        match &self.question {
            Question::All(words) | Question::Any(words) if words.len() == 1 => term(&words[0]),
            Question::All(words) => Node::And(words.iter().map(term).collect()),
            Question::Any(words) => Node::Or(words.iter().map(term).collect()),
            Question::Phrase(words) => {
                Node::Phrase { fields: FieldSet::ALL, tokens: words.iter().map(text).collect() }
            }
            Question::Prefix(prefix) => {
                Node::Prefix { fields: FieldSet::ALL, prefix: prefix.clone() }
            }
        }
    }
}

/// A namespace that is queried: its documents, and how many of them have each word.
pub(crate) struct Profile {
    namespace: Namespace,
    ids: Vec<Id>,
    frequencies: Vec<u32>,
}

impl Profile {
    /// Reads all documents of these namespaces once.
    pub(crate) fn of(corpus: &Corpus, namespaces: &[Namespace]) -> Vec<Self> {
        let mut place = vec![None; corpus.namespaces() as usize];
        let mut profiles: Vec<Self> = Vec::new();
        for &namespace in namespaces {
            place[namespace as usize] = Some(profiles.len());
            let frequencies = vec![0; corpus.words.len()];
            profiles.push(Self { namespace, ids: Vec::new(), frequencies });
        }
        for id in 0..corpus.len() {
            let Some(at) = place[corpus.owner(id) as usize] else { continue };
            let profile = &mut profiles[at];
            profile.ids.push(id);
            let mut words = corpus.document(id);
            words.sort_unstable();
            words.dedup();
            for word in words {
                profile.frequencies[word as usize] += 1;
            }
        }
        profiles
    }

    fn band(&self, word: Word) -> Option<Band> {
        let documents = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        Band::of(self.frequencies[word as usize], documents)
    }

    /// Of all words that begin so, as if no two stood in one document.
    fn band_of_prefix(&self, corpus: &Corpus, prefix: &str) -> Option<Band> {
        let documents = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        let with_prefix = corpus.words.iter().zip(&self.frequencies);
        let sum = with_prefix.filter(|(word, _)| word.starts_with(prefix)).map(|(_, f)| f).sum();
        Band::of(sum, documents)
    }
}

/// Times a query is looked for before its class goes without.
const TRIES: usize = 400;

/// Up to `count` queries of a class and band, in turn from the namespaces.
pub(crate) fn draw(
    corpus: &Corpus,
    profiles: &[Profile],
    (class, band): (Class, Band),
    count: usize,
    random: &mut Random,
) -> Vec<Query> {
    let mut queries: Vec<Query> = Vec::new();
    for try_number in 0..TRIES.max(count * 20) {
        if queries.len() == count {
            break;
        }
        let profile = &profiles[try_number % profiles.len()];
        let id = profile.ids[random.below(profile.ids.len())];
        let words = corpus.document(id);
        let Some(question) = question(corpus, profile, &words, (class, band), random) else {
            continue;
        };
        let query = Query { namespace: profile.namespace, class, band, question };
        if !queries.contains(&query) {
            queries.push(query);
        }
    }
    queries
}

/// A question that the document with these words answers.
fn question(
    corpus: &Corpus,
    profile: &Profile,
    words: &[Word],
    (class, band): (Class, Band),
    random: &mut Random,
) -> Option<Question> {
    let mut of_bands = |bands: &[Band]| {
        let mut chosen: Vec<Word> = Vec::new();
        for &band in bands {
            let word = (0..40).find_map(|_| {
                let word = words[random.below(words.len())];
                (profile.band(word) == Some(band) && !chosen.contains(&word)).then_some(word)
            })?;
            chosen.push(word);
        }
        Some(chosen)
    };
    match class {
        Class::Term => of_bands(&[band]).map(Question::All),
        // The rarest word decides: low is "a rare word with a common one".
        Class::And2 => of_bands(&[band, Band::High]).map(Question::All),
        Class::And3 => of_bands(&[band, band.max(Band::Middle), Band::High]).map(Question::All),
        Class::Or => of_bands(&[band, band, band]).map(Question::Any),
        Class::Phrase => {
            let at = random.below(words.len().checked_sub(1)?);
            let pair = &words[at..at + 2];
            let rarest = pair.iter().map(|&word| profile.band(word)).min().flatten();
            (pair[0] != pair[1] && rarest == Some(band)).then(|| Question::Phrase(pair.to_vec()))
        }
        Class::Prefix => {
            let word = &corpus.words[words[random.below(words.len())] as usize];
            let prefix = word.get(..random.below(word.len().min(5)) + 1)?;
            let is_of_band = profile.band_of_prefix(corpus, prefix) == Some(band);
            (is_of_band && prefix.is_ascii()).then(|| Question::Prefix(prefix.to_owned()))
        }
    }
}
