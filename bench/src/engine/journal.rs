//! A recorded feed: what was written, in its real order and with its timing. One line of JSON for each record:
//!
//! ```text
//! {"at_ms": 1795384070984, "namespace": "docs", "id": "a/b.md", "text": "…"}     no text: deleted
//! ```

mod record;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nautilus_analysis::Analyzer;
use nautilus_query::{FieldSet, Node};
use serde_json::Value;

pub use record::{RecordArgs, record};

use super::data::{Id, Namespace};
use super::ours::{self, Ours};
use super::peer::{Holds, Layout, Peer, Text};
use super::report::{Line, Target};
use super::rounds::whole_cpu;
use crate::measure::{Samples, Watch};

/// One record.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    /// Since the first.
    at_ms: f64,
    namespace: Namespace,
    id: Id,
    /// Tokens and spaces, the same for both engines; `None`: deleted.
    text: Option<String>,
}

/// A whole journal.
pub(crate) struct Journal {
    events: Vec<Event>,
}

/// Edits of the peer's before it commits.
const BATCH: usize = 100;
/// A journal that took longer is replayed faster: its gaps shrink alike.
const PACED_MS_MAX: f64 = 20_000.0;

impl Journal {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let opened =
            std::fs::File::open(file).with_context(|| format!("open {}", file.display()))?;
        let (mut namespaces, mut ids) = (HashMap::new(), HashMap::new());
        let mut events = Vec::new();
        let mut first = None;
        for line in BufReader::new(opened).lines() {
            let value: Value =
                serde_json::from_str(&line?).context("parse a line of the journal")?;
            let name = |field: &str| -> Result<String> {
                Ok(value[field].as_str().with_context(|| format!("a {field}"))?.to_owned())
            };
            let at_ms = value["at_ms"].as_f64().context("at_ms")?;
            let first = *first.get_or_insert(at_ms);
            let namespace = number_of(&mut namespaces, name("namespace")?);
            let id = number_of(&mut ids, (namespace, name("id")?));
            let text = value["text"].as_str().map(tokens);
            events.push(Event { at_ms: at_ms - first, namespace, id, text });
        }
        ensure!(!events.is_empty(), "{} holds no records", file.display());
        Ok(Self { events })
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// In its order as fast as it goes, in rounds; then at its pace.
    pub(crate) fn replay(&self, dir: &Path, rounds: usize) -> Result<Vec<Line>> {
        let (mut of_ours, mut of_peer) = (Samples::default(), Samples::default());
        let per_second = |cpu: f64| self.events.len() as f64 / cpu;
        for _ in 0..rounds {
            let mut engine = Ours::open(&dir.join("ours"))?;
            let (cpu, _) = whole_cpu(|| {
                self.events.iter().try_for_each(|event| apply(&mut engine, event))?;
                engine.flush()
            })?;
            of_ours.push(per_second(cpu));
            drop(engine);
            std::fs::remove_dir_all(dir.join("ours"))?;
            let folder = dir.join("peer");
            let mut peer = Peer::new(Layout::Filter, Holds::ALL, Some(&folder));
            let (cpu, _) = whole_cpu(|| {
                for events in self.events.chunks(BATCH) {
                    events.iter().try_for_each(|event| apply_to_peer(&mut peer, event))?;
                    peer.commit()?;
                }
                peer.finish()
            })?;
            of_peer.push(per_second(cpu));
            std::fs::remove_dir_all(folder)?;
        }
        let name = "journal/replay (peer: 100 a commit)";
        let target = Target::None;
        let mut lines = vec![Line::of_rounds(name, "records/CPU-s", &of_ours, &of_peer, target)];
        lines.extend(self.paced(dir)?);
        Ok(lines)
    }

    /// From the moment a record is due until a search shows it.
    fn paced(&self, dir: &Path) -> Result<Vec<Line>> {
        let took = self.events.iter().map(|event| event.at_ms).fold(0.0, f64::max);
        let speed = (took / PACED_MS_MAX).max(1.0);
        let mut engine = Ours::open(&dir.join("paced"))?;
        let mut samples = Samples::default();
        let watch = Watch::start();
        for event in &self.events {
            let due = event.at_ms / speed / 1e3;
            let ahead = due - watch.seconds();
            if ahead > 0.0 {
                std::thread::sleep(Duration::from_secs_f64(ahead));
            }
            apply(&mut engine, event)?;
            let word = event.text.as_deref().and_then(|text| text.split(' ').next());
            let token = word.unwrap_or_default().to_owned();
            let node = Node::Term { fields: FieldSet::ALL, token };
            std::hint::black_box(engine.top10(&[ours::scope(event.namespace)?], &node)?);
            samples.push((watch.seconds() - due) * 1e3);
        }
        let line = |name: &str, share| {
            let sample: Samples = [samples.quantile(share)].into_iter().collect();
            let name = format!("journal/due-to-visible-{name}, {speed:.0} times its speed");
            Line::alone(name, "ms", &sample, Target::None)
        };
        Ok(vec![line("p50", 0.5), line("p99", 0.99)])
    }
}

fn number_of<K: std::hash::Hash + Eq>(numbers: &mut HashMap<K, u32>, key: K) -> u32 {
    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    *numbers.entry(key).or_insert(next)
}

fn tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    Analyzer::new().for_each_token(text, |token| {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(token.text);
    });
    out
}

fn apply(engine: &mut Ours, event: &Event) -> Result<()> {
    match &event.text {
        Some(text) => engine.put(event.namespace, event.id, text.clone()),
        None => engine.delete(event.namespace, event.id),
    }
}

fn apply_to_peer(peer: &mut Peer, event: &Event) -> Result<()> {
    match &event.text {
        Some(text) => peer.replace(event.namespace, event.id, &Text::plain(text)),
        None => peer.delete(event.namespace, event.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_keeps_order_and_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("journal.jsonl");
        let text = r#"{"at_ms": 1000, "namespace": "a", "id": "x", "text": "Red Fox!"}
{"at_ms": 1001, "namespace": "b", "id": "x", "text": "wolf"}
{"at_ms": 1002, "namespace": "a", "id": "x"}
"#;
        std::fs::write(&file, text).unwrap();
        let journal = Journal::read(&file).unwrap();
        let event = |at_ms, namespace, id, text: Option<&str>| Event {
            at_ms,
            namespace,
            id,
            text: text.map(str::to_owned),
        };
        let expected = [
            event(0.0, 0, 0, Some("red fox")),
            event(1.0, 1, 1, Some("wolf")),
            event(2.0, 0, 0, None),
        ];
        assert_eq!(journal.events, expected);
        let lines = journal.replay(dir.path(), 1).unwrap();
        assert_eq!(lines.len(), 3);
        std::fs::write(&file, "").unwrap();
        assert!(Journal::read(&file).is_err());
    }
}
