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
    Delete,
    DeleteNamespace,
    Recreate,
    Versioned,
    Conditional,
    Redeliver,
    Gap,
    Restart,
}

impl Step {
    /// Every step with how often it is drawn.
    pub(crate) const WEIGHTED: [(Self, u32); 14] = [
        (Self::Insert, 34),
        (Self::ReplaceWord, 12),
        (Self::InsertAtStart, 10),
        (Self::DeleteParagraph, 10),
        (Self::Rename, 9),
        (Self::Touch, 8),
        (Self::Delete, 10),
        (Self::DeleteNamespace, 6),
        (Self::Recreate, 6),
        (Self::Versioned, 10),
        (Self::Conditional, 9),
        (Self::Redeliver, 8),
        (Self::Gap, 8),
        (Self::Restart, 8),
    ];
}

/// A document as the history remembers it.
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
        text: Text,
        metadata: Vec<u8>,
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

/// Words that share prefixes, fold together, or need care; `ze*` of them are rare.
pub(crate) const WORDS: [&str; 26] = [
    "alpha",
    "alphabet",
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
    documents: BTreeMap<(NamespaceName, DocumentId), Text>,
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
            Step::Insert => self.upsert(|source, _| source.text()),
            Step::ReplaceWord => self.upsert(|source, text| source.replace_word(text)),
            Step::InsertAtStart => self.upsert(|source, mut text| {
                text.body = format!("{} {}", source.word(), text.body);
                text
            }),
            Step::DeleteParagraph => self.upsert(|_, mut text| {
                let words: Vec<&str> = text.body.split(' ').collect();
                let (from, to) = (words.len() / 3, words.len() * 2 / 3);
                text.body = [&words[..from], &words[to..]].concat().join(" ");
                text
            }),
            Step::Rename => self.upsert(|source, mut text| {
                text.path = format!("{}/{}.md", source.word(), source.word());
                text.title = source.word().to_owned();
                text
            }),
            Step::Touch => self.upsert(|_, text| text),
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
                let (id, text) = (self.id(), self.text());
                self.documents.insert((namespace.clone(), id.clone()), text.clone());
                let change = Change::Upsert {
                    id,
                    version: None,
                    condition: None,
                    text,
                    metadata: Vec::new(),
                };
                self.record(namespace, change)
            }
            Step::Redeliver => {
                let from = self.rng.random_range(0..=self.recent.len());
                return self.recent.iter().skip(from).cloned().collect();
            }
            Step::Gap => {
                self.next_offset += self.rng.random_range(1..5);
                self.upsert(|source, _| source.text())
            }
            Step::Restart => return Vec::new(),
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
                    Change::Upsert { id, version, condition, text: self.text(), metadata: vec![2] }
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
            let (text, version) = (self.text(), self.rng.random_range(0..30));
            let version = self.flips().then_some(version);
            Change::Upsert { id, version, condition: Some(condition), text, metadata: vec![1] }
        };
        self.record(namespace, change)
    }

    fn upsert(&mut self, edit: impl FnOnce(&mut Self, Text) -> Text) -> Record {
        let (namespace, id) = self.target();
        let key = (namespace.clone(), id.clone());
        let text = match self.documents.get(&key) {
            Some(text) => text.clone(),
            None => self.text(),
        };
        let text = edit(self, text);
        self.documents.insert(key, text.clone());
        let metadata = vec![self.rng.random_range(0..3)];
        let (version, condition) = (None, None);
        self.record(namespace, Change::Upsert { id, version, condition, text, metadata })
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

    fn text(&mut self) -> Text {
        if self.rng.random_bool(0.05) {
            // One word more often than a posting keeps in its first byte.
            let body = vec![self.word(); 45].join(" ");
            return Text { title: self.words(0..4), path: self.words(0..3), body };
        }
        Text { title: self.words(0..4), path: self.words(0..3), body: self.words(0..40) }
    }

    fn replace_word(&mut self, mut text: Text) -> Text {
        let mut words: Vec<&str> = text.body.split(' ').collect();
        let at = self.rng.random_range(0..words.len());
        words[at] = self.word();
        text.body = words.join(" ");
        text
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
