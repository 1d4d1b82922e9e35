//! Random histories: every kind of mutation on documents of few words, so that lists overlap and queries hit.

use std::collections::{BTreeMap, VecDeque};

use nautilus_types::{DocumentId, Incarnation, NamespaceName};
use rand::prelude::*;

/// What a step does; each must occur often enough over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    Insert,
    ReplaceWord,
    InsertAtStart,
    DeleteParagraph,
    Rename,
    Touch,
    Renumber,
    Patch,
    Delete,
    DeleteNamespace,
    Recreate,
    Versioned,
    Conditional,
    Redeliver,
    Gap,
    WriteLists,
    Restart,
}

impl Step {
    /// Every step with how often it is drawn.
    pub(crate) const WEIGHTED: [(Self, u32); 17] = [
        (Self::Insert, 34),
        (Self::ReplaceWord, 12),
        (Self::InsertAtStart, 10),
        (Self::DeleteParagraph, 10),
        (Self::Rename, 9),
        (Self::Touch, 8),
        (Self::Renumber, 9),
        (Self::Patch, 14),
        (Self::Delete, 10),
        (Self::DeleteNamespace, 6),
        (Self::Recreate, 6),
        (Self::Versioned, 10),
        (Self::Conditional, 9),
        (Self::Redeliver, 8),
        (Self::Gap, 8),
        (Self::WriteLists, 8),
        (Self::Restart, 8),
    ];
}

/// Size, time of creation, time of the last change.
pub(crate) type Numbers = [Option<i64>; 3];

/// What goes with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) metadata: Vec<u8>,
    pub(crate) numbers: Numbers,
}

/// A document as the history remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) text: Text,
    pub(crate) extra: Extra,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) title: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// One mutation, independent of both engines.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Upsert {
        id: DocumentId,
        version: Option<u64>,
        condition: Option<Condition>,
        document: Document,
    },
    Patch {
        id: DocumentId,
        version: Option<u64>,
        condition: Option<Condition>,
        title: Option<String>,
        path: Option<String>,
        body: Option<String>,
        extra: Option<Extra>,
    },
    Delete {
        id: DocumentId,
        version: Option<u64>,
        condition: Option<Condition>,
    },
    DeleteNamespace,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Condition {
    Absent,
    Version(u64),
}

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) offset: u64,
    pub(crate) namespace: NamespaceName,
    pub(crate) incarnation: Incarnation,
    pub(crate) change: Change,
}

/// Words that share prefixes, fold together, or need care, two common ones among them; `ze*` of them are rare.
pub(crate) const WORDS: [&str; 31] = [
    "alpha",
    "of",
    "The",
    "alphabet",
    "alphas",
    "al",
    "beta",
    "Béta",
    "BETA",
    "gamma",
    "gam",
    "delta",
    "don't",
    "kernel's",
    "main.rs",
    "foo_bar",
    "Straße",
    "naïve",
    "東京都",
    "สวัสดี",
    "हिन्दी",
    "x",
    "2026",
    "3.14",
    "zebra",
    "zebras",
    "queries",
    "zeal",
    "zeta",
    "zed",
    "zen",
];

/// Adversarial names: prefixes of each other, separators, NUL, 0xFF.
pub(crate) const NAMES: [&[u8]; 10] =
    [b"a", b"a\0", b"a\0\xFF", b"a\0\x01", b"|", b"a|b", b"\0", b"\xFF", b"\xFF\xFF", b"team"];

/// Draws histories.
pub(crate) struct Source {
    rng: StdRng,
    next_offset: u64,
    documents: BTreeMap<(NamespaceName, DocumentId), Document>,
    incarnations: BTreeMap<NamespaceName, u64>,
    recent: VecDeque<Record>,
}

impl Source {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            next_offset: 0,
            documents: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            recent: VecDeque::new(),
        }
    }

    pub(crate) fn step(&mut self) -> Step {
        let step = Step::WEIGHTED.choose_weighted(&mut self.rng, |(_, weight)| *weight);
        step.expect("weights are positive").0
    }

    pub(crate) fn flips(&mut self) -> bool {
        self.rng.random_bool(0.5)
    }

    /// The records of a step; a redelivered one has an old offset.
    pub(crate) fn records(&mut self, step: Step) -> Vec<Record> {
        let record = match step {
            Step::Insert => self.upsert(|source, _| source.document()),
            Step::ReplaceWord => self.upsert(|source, document| source.replace_word(document)),
            Step::InsertAtStart => self.upsert(|source, mut document| {
                document.text.body = format!("{} {}", source.word(), document.text.body);
                document
            }),
            Step::DeleteParagraph => self.upsert(|_, mut document| {
                let words: Vec<&str> = document.text.body.split(' ').collect();
                let (from, to) = (words.len() / 3, words.len() * 2 / 3);
                document.text.body = [&words[..from], &words[to..]].concat().join(" ");
                document
            }),
            Step::Rename => self.upsert(|source, mut document| {
                document.text.path = format!("{}/{}.md", source.word(), source.word());
                document.text.title = source.word().to_owned();
                document
            }),
            Step::Touch => self.upsert(|_, document| document),
            Step::Renumber => self.upsert(|source, mut document| {
                let at = source.rng.random_range(0..3);
                document.extra.numbers[at] = source.number();
                document
            }),
            Step::Patch => self.patch(),
            Step::Versioned => return self.versioned(),
            Step::Conditional => self.conditional(),
            Step::Delete => {
                let (namespace, id) = self.target();
                self.documents.remove(&(namespace.clone(), id.clone()));
                self.record(namespace, Change::Delete { id, version: None, condition: None })
            }
            Step::DeleteNamespace => {
                let namespace = self.namespace();
                let record = self.record(namespace.clone(), Change::DeleteNamespace);
                // A straggler of the ended life now and then; otherwise the next life begins.
                if self.rng.random_bool(0.8) {
                    self.renew(&namespace);
                }
                record
            }
            Step::Recreate => {
                let namespace = self.namespace();
                self.renew(&namespace);
                let (id, document) = (self.id(), self.document());
                self.documents.insert((namespace.clone(), id.clone()), document.clone());
                let change = Change::Upsert { id, version: None, condition: None, document };
                self.record(namespace, change)
            }
            Step::Redeliver => {
                let from = self.rng.random_range(0..=self.recent.len());
                return self.recent.iter().skip(from).cloned().collect();
            }
            Step::Gap => {
                self.next_offset += self.rng.random_range(1..5);
                self.upsert(|source, _| source.document())
            }
            Step::WriteLists | Step::Restart => return Vec::new(),
        };
        vec![record]
    }

    /// Several versions of one document, in any order.
    fn versioned(&mut self) -> Vec<Record> {
        let (namespace, id) = self.target();
        let count = self.rng.random_range(1..4);
        (0..count)
            .map(|_| {
                let version = Some(self.rng.random_range(0..30));
                let (id, condition) = (id.clone(), None);
                let change = if self.rng.random_bool(0.3) {
                    Change::Delete { id, version, condition }
                } else {
                    Change::Upsert { id, version, condition, document: self.document() }
                };
                self.record(namespace.clone(), change)
            })
            .collect()
    }

    /// The current incarnation of a name.
    pub(crate) fn incarnation(&self, name: &[u8]) -> u64 {
        let name = NamespaceName::new(name).expect("valid");
        self.incarnations.get(&name).copied().unwrap_or(1)
    }

    fn conditional(&mut self) -> Record {
        let condition = if self.flips() {
            Condition::Absent
        } else {
            Condition::Version(self.rng.random_range(0..30))
        };
        let (namespace, id) = self.target();
        let change = if self.rng.random_bool(0.2) {
            Change::Delete { id, version: None, condition: Some(condition) }
        } else {
            let (document, version) = (self.document(), self.rng.random_range(0..30));
            let version = self.flips().then_some(version);
            Change::Upsert { id, version, condition: Some(condition), document }
        };
        self.record(namespace, change)
    }

    fn upsert(&mut self, edit: impl FnOnce(&mut Self, Document) -> Document) -> Record {
        let (namespace, id) = self.target();
        let key = (namespace.clone(), id.clone());
        let document = match self.documents.get(&key) {
            Some(document) => document.clone(),
            None => self.document(),
        };
        let document = edit(self, document);
        self.documents.insert(key, document.clone());
        let (version, condition) = (None, None);
        self.record(namespace, Change::Upsert { id, version, condition, document })
    }

    /// Any parts of a document, some of them as they are; now and then under a version or a condition.
    fn patch(&mut self) -> Record {
        let (namespace, id) = self.target();
        let mut document = self.document();
        if let Some(old) = self.documents.get(&(namespace.clone(), id.clone()))
            && self.rng.random_bool(0.4)
        {
            document = old.clone();
        }
        let Document { text, extra } = document;
        let version = self.rng.random_bool(0.2).then(|| self.rng.random_range(0..30));
        let condition = self.rng.random_bool(0.1).then_some(Condition::Absent);
        let change = Change::Patch {
            id,
            version,
            condition,
            title: self.rng.random_bool(0.3).then_some(text.title),
            path: self.rng.random_bool(0.3).then_some(text.path),
            body: self.rng.random_bool(0.3).then_some(text.body),
            extra: self.flips().then_some(extra),
        };
        self.record(namespace, change)
    }

    fn record(&mut self, namespace: NamespaceName, change: Change) -> Record {
        let incarnation = Incarnation(*self.incarnations.entry(namespace.clone()).or_insert(1));
        let record = Record { offset: self.next_offset, namespace, incarnation, change };
        self.next_offset += 1;
        self.recent.push_back(record.clone());
        if self.recent.len() > 12 {
            self.recent.pop_front();
        }
        record
    }

    fn renew(&mut self, namespace: &NamespaceName) {
        *self.incarnations.entry(namespace.clone()).or_insert(1) += 1;
        self.documents.retain(|(name, _), _| name != namespace);
    }

    /// Mostly a document that exists.
    fn target(&mut self) -> (NamespaceName, DocumentId) {
        if self.rng.random_bool(0.6)
            && let Some((namespace, id)) = self.documents.keys().choose(&mut self.rng)
        {
            return (namespace.clone(), id.clone());
        }
        (self.namespace(), self.id())
    }

    fn namespace(&mut self) -> NamespaceName {
        let name = NAMES.choose(&mut self.rng).expect("not empty");
        NamespaceName::new(name).expect("valid")
    }

    fn id(&mut self) -> DocumentId {
        let base = NAMES.choose(&mut self.rng).expect("not empty");
        let mut id = base.to_vec();
        if self.rng.random_bool(0.7) {
            id.push(self.rng.random_range(0..12));
        }
        DocumentId::new(id).expect("valid")
    }

    fn document(&mut self) -> Document {
        let metadata = vec![self.rng.random_range(0..3)];
        let numbers = [self.number(), self.number(), self.number()];
        Document { text: self.text(), extra: Extra { metadata, numbers } }
    }

    /// Few different ones, so that many tie; sometimes none, sometimes the ends.
    fn number(&mut self) -> Option<i64> {
        match self.rng.random_range(0..10) {
            0..3 => None,
            3..9 => Some(self.rng.random_range(0..6)),
            _ => [i64::MIN, -1, i64::MAX].choose(&mut self.rng).copied(),
        }
    }

    fn text(&mut self) -> Text {
        if self.rng.random_bool(0.05) {
            // One word more often than a posting keeps in its first byte.
            let body = vec![self.word(); 45].join(" ");
            return Text { title: self.words(0..4), path: self.words(0..3), body };
        }
        Text { title: self.words(0..4), path: self.words(0..3), body: self.words(0..40) }
    }

    fn replace_word(&mut self, mut document: Document) -> Document {
        let mut words: Vec<&str> = document.text.body.split(' ').collect();
        let at = self.rng.random_range(0..words.len());
        words[at] = self.word();
        document.text.body = words.join(" ");
        document
    }

    fn words(&mut self, count: std::ops::Range<usize>) -> String {
        let count = self.rng.random_range(count);
        let words: Vec<&str> = (0..count).map(|_| self.word()).collect();
        words.join(" ")
    }

    fn word(&mut self) -> &'static str {
        // Squaring favours the first words: some are common, some rare.
        let x: f64 = self.rng.random();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below the length"
        )]
        let at = (x * x * WORDS.len() as f64) as usize;
        WORDS[at.min(WORDS.len() - 1)]
    }
}
