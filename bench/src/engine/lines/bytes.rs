//! Bytes on disk: the reverse index with and without what phrases need, and beside it what documents take.

use std::path::Path;

use anyhow::Result;

use crate::engine::data::{Corpus, Group, LENGTH_MEDIAN, Shape};
use crate::engine::ours::Ours;
use crate::engine::peer::{Holds, Layout, Peer};
use crate::engine::report::{Line, Target};
use crate::engine::rows;
use crate::measure::{Samples, whole};

/// Namespaces, and the bound of ours against the peer's.
const REGIMES: [(u32, f64); 3] = [(1_000, 0.75), (30, 0.75), (2, 0.90)];

/// A corpus of so many namespaces, whose sizes fall off as 1 / rank.
pub(crate) fn zipf(namespaces: u32, documents: u32, seed: u64) -> Shape {
    let sum: f64 = (1..=namespaces).map(|rank| 1.0 / f64::from(rank)).sum();
    let groups = (1..=namespaces).map(|rank| {
        let share = f64::from(documents) / f64::from(rank) / sum;
        let documents = u32::try_from(whole(share)).unwrap_or(u32::MAX).max(1);
        Group { namespaces: 1, documents }
    });
    Shape { groups: groups.collect(), length_median: LENGTH_MEDIAN, seed }
}

/// The peer's files of one corpus.
struct PeerBytes {
    index: f64,
    positions: f64,
    texts: f64,
    documents: f64,
}

/// Of each number of namespaces. Sizes are exact, so there is one round.
pub(crate) fn bytes(dir: &Path, documents: u32, seed: u64) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (namespaces, bound) in REGIMES {
        let corpus = Corpus::generate(&zipf(namespaces, documents, seed));
        let dir = dir.join(namespaces.to_string());
        let ours = feed_ours(&dir.join("ours"), &corpus)?;
        let without = feed_peer(&dir.join("without"), &corpus, false)?;
        let with = feed_peer(&dir.join("with"), &corpus, true)?;
        let forms = rows::write(&dir.join("rows"), &corpus)?;
        let line = |name: &str, ours: f64, peer: f64, target: Target| {
            let of = |bytes: f64| -> Samples { [bytes / forms.postings].into_iter().collect() };
            let name = format!("bytes/{namespaces}-namespaces/{name}");
            Line::of_rounds(name, "B a posting", &of(ours), &of(peer), target)
        };
        let of = |kinds: &[&str]| ours.bytes(kinds);
        let plain = of(&["postings", "lengths"])?;
        let phrases = of(&["pair postings", "pairs"])?;
        let target = Target::RatioAtMost(bound);
        lines.push(line("reverse-index/positions-off", plain, without.index, target));
        let full = with.index + with.positions;
        lines.push(line("reverse-index/positions-on", plain + phrases, full, target));
        lines.push(line("texts", of(&["bodies"])?, with.texts, Target::None));
        let rows = of(&["headers", "ids", "attributes", "namespaces", "meta"])?;
        let rows = line("document-rows", rows, with.documents, Target::None);
        lines.push(rows.noted("ids, paths, versions, statistics; peer: a column of numbers"));
        let exploded = line("row-a-posting", forms.exploded, forms.lists, Target::None);
        lines.push(exploded.noted("plain RocksDB; peer: lists of 8-byte ids in the same"));
        drop(ours);
        std::fs::remove_dir_all(dir)?;
    }
    Ok(lines)
}

fn feed_ours(dir: &Path, corpus: &Corpus) -> Result<Ours> {
    let mut ours = Ours::open(dir)?;
    for id in 0..corpus.len() {
        ours.put(corpus.owner(id), id, corpus.text(&corpus.document(id)))?;
    }
    ours.settle()?;
    Ok(ours)
}

/// With namespaces in its terms, without a posting for a document's id or namespace: words alone are compared.
fn feed_peer(dir: &Path, corpus: &Corpus, with_all: bool) -> Result<PeerBytes> {
    let holds = Holds { positions: with_all, texts: with_all, keys: false };
    let mut peer = Peer::new(Layout::Terms, holds, Some(dir));
    for id in 0..corpus.len() {
        let namespace = corpus.owner(id);
        let text = corpus.text(&corpus.document(id));
        let spelled = peer.spelled(namespace, &text);
        peer.add(namespace, id, &spelled)?;
    }
    peer.merge()?;
    Ok(PeerBytes {
        index: peer.bytes(&["term", "idx", "fieldnorm"])?,
        positions: peer.bytes(&["pos"])?,
        texts: peer.bytes(&["store"])?,
        documents: peer.bytes(&["fast"])?,
    })
}
