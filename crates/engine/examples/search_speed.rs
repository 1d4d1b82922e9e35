//! Times top-10 searches by class of query and size of namespace, on generated documents.
//!
//! `cargo run --release -p nautilus-engine --example search_speed -- FOLDER [documents,…] [rounds]` loads the
//! folder where it is empty, and prints CPU µs of the searching thread: the median round of each class's mean.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a generator, all of them small")]

use std::collections::BTreeMap;
use std::path::Path;

use nautilus_engine::{
    Attributes, Mutation, Operation, Partition, PartitionIdentity, Resources, ScopeEntry,
    SearchRequest, Unlimited, Upsert, Writer,
};
use nautilus_query::{FieldSet, Node};
use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId};
use rand::prelude::*;

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"search-speed-000",
    log_generation: LogGeneration(1),
    partition: PartitionId(0),
};
/// Words, by falling frequency.
const WORDS: usize = 50_000;
/// Queries of a class.
const QUERIES: usize = 12;
/// Small namespaces searched together.
const MANY: usize = 1_000;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("a folder is missing")?;
    let sizes = args.next().unwrap_or_else(|| "100,10000,1000000".to_owned());
    let sizes = sizes.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let rounds = args.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let only = args.next().unwrap_or_default();

    let resources = Resources::new(2 << 30, 256 << 20);
    let open = |_: &[u8]| Attributes::default();
    let (partition, mut writer) = Partition::open(Path::new(&dir), &IDENTITY, &resources, open)?;
    let mut corpora = Vec::new();
    let is_empty = writer.next_offset() == Offset(0);
    for &documents in &sizes {
        let corpus = Corpus::new(documents);
        if is_empty {
            corpus.load(&mut writer, &format!("of-{documents}"))?;
        }
        corpora.push(corpus);
    }
    if is_empty {
        for number in 0..MANY {
            Corpus { documents: 20, seed: number as u64 }
                .load(&mut writer, &format!("n{number}"))?;
        }
        writer.flush()?;
        partition.compact().expect("compacts");
    }
    println!("| documents | class | hits | CPU µs |\n|---|---|---|---|");
    for corpus in &corpora {
        let scope = [entry(&format!("of-{}", corpus.documents))?];
        for (class, queries) in corpus.queries() {
            if class.contains(&only) {
                time(&partition, &scope, corpus.documents, class, &queries, rounds)?;
            }
        }
    }
    if "scope".contains(&only) {
        let scope: Vec<_> =
            (0..MANY).map(|number| entry(&format!("n{number}"))).collect::<Result<_, _>>()?;
        for (class, words) in [("scope, 1 term", &[30][..]), ("scope, AND 2", &[30, 12])] {
            let query = Node::And(words.iter().map(|word| term(*word)).collect());
            time(&partition, &scope, MANY, class, &[query], rounds)?;
        }
    }
    Ok(())
}

fn entry(name: &str) -> Result<ScopeEntry, Error> {
    Ok(ScopeEntry { namespace: NamespaceName::new(name)?, incarnation: Incarnation(1) })
}

fn time(
    partition: &Partition,
    scope: &[ScopeEntry],
    documents: usize,
    class: &str,
    queries: &[Node],
    rounds: usize,
) -> Result<(), Error> {
    let search = |query: &Node| {
        partition.searcher().search(&SearchRequest::new(scope, query, 10), &mut Unlimited)
    };
    let mut hits = Vec::new();
    let before = cpu_nanos()?;
    for query in queries {
        hits.push(search(query)?.total_hits);
    }
    let once = (cpu_nanos()? - before).max(1);
    // Some 40 ms a round.
    let repeats = (40_000_000 / once).clamp(1, 2_000);
    let mut means = Vec::new();
    for _ in 0..rounds {
        let before = cpu_nanos()?;
        for _ in 0..repeats {
            for query in queries {
                std::hint::black_box(search(query)?);
            }
        }
        let nanos = cpu_nanos()? - before;
        means.push(nanos as f64 / 1e3 / (repeats as f64 * queries.len() as f64));
    }
    means.sort_by(f64::total_cmp);
    hits.sort_unstable();
    println!(
        "| {documents} | {class} | {} | {:.2} |",
        hits[hits.len() / 2],
        means[means.len() / 2]
    );
    Ok(())
}

/// CPU time of this thread.
fn cpu_nanos() -> Result<u64, Error> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(stat.split_whitespace().next().ok_or("an empty schedstat")?.parse()?)
}

fn word(rank: usize) -> String {
    // Two letters first, so that prefixes have several words.
    let letters = [rank % 23, rank / 23 % 23].map(|n| char::from(b'a' + n as u8));
    format!("{}{}{rank}", letters[0], letters[1])
}

fn term(rank: usize) -> Node {
    Node::Term { fields: FieldSet::ALL, token: word(rank) }
}

/// Documents of one namespace, the same at every call.
struct Corpus {
    documents: usize,
    seed: u64,
}

impl Corpus {
    fn new(documents: usize) -> Self {
        Self { documents, seed: documents as u64 }
    }

    /// The words of each document, by rank.
    fn bodies(&self) -> impl Iterator<Item = Vec<usize>> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        (0..self.documents).map(move |_| {
            let log = rng.random::<f64>() + rng.random::<f64>() + rng.random::<f64>() - 1.5;
            let len = (60.0 * (1.2 * log).exp()) as usize;
            let rank = |rng: &mut StdRng| {
                // Inverse of Zipf's distribution function with exponent 1, nearly.
                ((WORDS as f64 + 8.0).ln() * rng.random::<f64>()
                    + (1.0 - rng.random::<f64>()) * 2.1)
                    .exp()
                    .max(8.0) as usize
                    - 8
            };
            (0..len.max(3)).map(|_| rank(&mut rng) % WORDS).collect()
        })
    }

    fn load(&self, writer: &mut Writer, namespace: &str) -> Result<(), Error> {
        let entry = entry(namespace)?;
        for (number, ranks) in self.bodies().enumerate() {
            let words: Vec<String> = ranks.iter().map(|rank| word(*rank)).collect();
            let upsert = Upsert {
                document_id: DocumentId::new(format!("folder/document-{number:07}").as_str())?,
                version: None,
                condition: None,
                content_hash: [0; 16],
                title: words[0].clone(),
                path: format!("folder/{}", words[1]),
                body: words.join(" "),
                metadata: Vec::new(),
                attributes: Attributes::default(),
            };
            let mutation = Mutation {
                namespace: entry.namespace.clone(),
                incarnation: entry.incarnation,
                operation: Operation::Upsert(upsert),
            };
            writer.apply(writer.next_offset(), &mutation)?;
        }
        Ok(())
    }

    fn queries(&self) -> Vec<(&'static str, Vec<Node>)> {
        let mut frequencies = BTreeMap::<usize, usize>::new();
        let mut neighbours = Vec::new();
        for (number, body) in self.bodies().take(20_000).enumerate() {
            if number % 8 == 0 {
                neighbours.push((body[1], body[2]));
            }
            let mut words = body;
            words.sort_unstable();
            words.dedup();
            words.into_iter().for_each(|word| *frequencies.entry(word).or_default() += 1);
        }
        let seen = self.documents.min(20_000) as f64;
        let between = |min: f64, max: f64| -> Vec<usize> {
            let of = frequencies.iter().filter(|(_, df)| {
                let part = **df as f64 / seen;
                min <= part && part < max
            });
            let words: Vec<usize> = of.map(|(word, _)| *word).collect();
            assert!(!words.is_empty(), "no word between {min} and {max}");
            words
        };
        let parts: [(f64, f64); 3] = [(0.1, 1.0), (0.01, 0.1), (0.0003, 0.01)];
        let [high, mid, low] = parts.map(|(a, b)| between(a, b.max(a + 1.5 / seen)));
        let pick = |words: &[usize], n: usize| words[n * 7 % words.len()];
        let make = |f: &dyn Fn(usize) -> Node| (0..QUERIES).map(f).collect::<Vec<_>>();
        let and = |a: usize, b: usize| Node::And(vec![term(a), term(b)]);
        let or = |a: usize, b: usize| Node::Or(vec![term(a), term(b)]);
        let phrase = |a: usize, b: usize| Node::Phrase {
            fields: FieldSet::ALL,
            tokens: vec![word(a), word(b)],
        };
        let prefix = |text: &str| Node::Prefix { fields: FieldSet::ALL, prefix: text.to_owned() };
        let rare: Vec<_> =
            neighbours.iter().filter(|(a, b)| *a > 200 && *b > 200).copied().collect();
        let usual: Vec<_> =
            neighbours.iter().filter(|(a, b)| *a < 40 && *b < 40).copied().collect();
        vec![
            ("term high", make(&|n| term(pick(&high, n)))),
            ("term mid", make(&|n| term(pick(&mid, n)))),
            ("term low", make(&|n| term(pick(&low, n)))),
            ("AND high high", make(&|n| and(pick(&high, n), pick(&high, n + 1)))),
            ("AND high mid", make(&|n| and(pick(&high, n), pick(&mid, n)))),
            ("AND mid mid", make(&|n| and(pick(&mid, n), pick(&mid, n + 1)))),
            ("AND low high", make(&|n| and(pick(&low, n), pick(&high, n)))),
            (
                "AND 3 high",
                make(&|n| {
                    Node::And(vec![
                        term(pick(&high, n)),
                        term(pick(&high, n + 1)),
                        term(pick(&high, n + 2)),
                    ])
                }),
            ),
            (
                "AND 3 mixed",
                make(&|n| {
                    Node::And(vec![
                        term(pick(&high, n)),
                        term(pick(&mid, n)),
                        term(pick(&mid, n + 1)),
                    ])
                }),
            ),
            ("OR high high", make(&|n| or(pick(&high, n), pick(&high, n + 1)))),
            ("OR mid mid", make(&|n| or(pick(&mid, n), pick(&mid, n + 1)))),
            ("OR low low", make(&|n| or(pick(&low, n), pick(&low, n + 1)))),
            ("OR low high", make(&|n| or(pick(&low, n), pick(&high, n)))),
            (
                "phrase usual",
                make(&|n| {
                    let (a, b) = usual[n % usual.len()];
                    phrase(a, b)
                }),
            ),
            (
                "phrase rare",
                make(&|n| {
                    let (a, b) = rare[n % rare.len()];
                    phrase(a, b)
                }),
            ),
            ("prefix long", make(&|n| prefix(&word(pick(&mid, n))))),
            ("prefix short", make(&|n| prefix(&word(pick(&mid, n))[..3]))),
        ]
    }
}
