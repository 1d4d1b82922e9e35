//! How many documents a CPU-second indexes, all threads, both engines cutting texts into words.

use std::path::Path;

use anyhow::Result;
use nautilus_query::{FieldSet, Node};

use crate::engine::data::Corpus;
use crate::engine::ours::{self, Ours};
use crate::engine::peer::{Holds, Layout, Peer, Text};
use crate::engine::report::{Line, Target};
use crate::engine::rounds::whole_cpu;
use crate::measure::Samples;

/// Documents between two searches of a live feed.
const SEARCHED_EVERY: usize = 100;

/// Bulk: everything, then on disk, packed. Applied: the same as records of the log. Live: that with a search after each
/// hundred documents, which finds what came before; the peer's is its bulk rate.
pub(crate) fn build(dir: &Path, corpus: &Corpus, rounds: usize) -> Result<Vec<Line>> {
    let texts: Vec<String> =
        (0..corpus.len()).map(|id| corpus.text(&corpus.document(id))).collect();
    let (mut bulk, mut applied) = (Samples::default(), Samples::default());
    let mut live = Samples::default();
    let mut peers = [(Layout::Filter, Samples::default()), (Layout::Terms, Samples::default())];
    let per_second = |cpu: f64| texts.len() as f64 / cpu;
    for _ in 0..rounds {
        bulk.push(per_second(bulk_cpu(dir, corpus, &texts)?));
        for (layout, samples) in &mut peers {
            samples.push(per_second(peer_cpu(dir, corpus, &texts, *layout)?));
        }
        applied.push(per_second(ours_cpu(dir, corpus, &texts, false)?));
        live.push(per_second(ours_cpu(dir, corpus, &texts, true)?));
    }
    let line = |name: &str, ours: &Samples, peer: &Samples, target| {
        Line::of_rounds(name, "documents/CPU-s", ours, peer, target)
    };
    let [(_, filter), (_, terms)] = &peers;
    Ok(vec![
        line("build/bulk/vs-filter", &bulk, filter, Target::RatioAtLeast(1.0)),
        line("build/bulk/vs-terms", &bulk, terms, Target::None),
        line("build/bulk/vs-own-apply", &bulk, &applied, Target::RatioAtLeast(3.0)),
        line("build/live-feed/vs-filter", &live, filter, Target::RatioAtLeast(0.5)),
    ])
}

fn bulk_cpu(dir: &Path, corpus: &Corpus, texts: &[String]) -> Result<f64> {
    let dir = dir.join("bulk");
    let (cpu, _) = whole_cpu(|| {
        let documents = (0..).zip(texts).map(|(id, text)| (corpus.owner(id), id, text.clone()));
        ours::build(&dir, documents)
    })?;
    std::fs::remove_dir_all(dir)?;
    Ok(cpu)
}

fn ours_cpu(dir: &Path, corpus: &Corpus, texts: &[String], is_live: bool) -> Result<f64> {
    let dir = dir.join("ours");
    let mut ours = Ours::open(&dir)?;
    let node = Node::Term { fields: FieldSet::ALL, token: corpus.words[0].clone() };
    let (cpu, _) = whole_cpu(|| {
        for (id, text) in (0..).zip(texts) {
            ours.put(corpus.owner(id), id, text.clone())?;
            if is_live && (id as usize + 1).is_multiple_of(SEARCHED_EVERY) {
                ours.top10(&[ours::scope(corpus.owner(id))?], &node)?;
            }
        }
        ours.write()
    })?;
    drop(ours);
    std::fs::remove_dir_all(dir)?;
    Ok(cpu)
}

fn peer_cpu(dir: &Path, corpus: &Corpus, texts: &[String], layout: Layout) -> Result<f64> {
    let dir = dir.join("peer");
    let mut peer = Peer::new(layout, Holds::ALL, Some(&dir));
    // Spelling words with their namespace is not the peer's work.
    let spelled: Vec<Text<'_>> =
        (0..).zip(texts).map(|(id, text)| peer.spelled(corpus.owner(id), text)).collect();
    let (cpu, _) = whole_cpu(|| {
        for (id, text) in (0..).zip(&spelled) {
            peer.add(corpus.owner(id), id, text)?;
        }
        peer.commit()?;
        peer.finish()
    })?;
    std::fs::remove_dir_all(dir)?;
    Ok(cpu)
}
