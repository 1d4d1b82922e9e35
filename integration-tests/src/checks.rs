//! What must hold after a crash, whatever was in flight.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};

use crate::acks::Hashes;
use crate::client::{Client, Found};
use crate::corpus::{COMMON_WORD, Corpus};
use crate::feed::{Summary, Target};
use crate::rng::Rng;

/// Documents looked for by their own word, in each check.
const SAMPLE: usize = 40;

/// Acknowledged documents that are not stored, or not with the content that was acknowledged.
#[must_use]
pub fn lost(acknowledged: &Hashes, stored: &Hashes) -> Vec<String> {
    let is_lost = |(id, hash): &(&String, &String)| stored.get(*id) != Some(*hash);
    acknowledged.iter().filter(is_lost).map(|(id, _)| id.clone()).collect()
}

/// Nothing is stored that was not fed.
pub fn is_part_of(stored: &Hashes, corpus: &Hashes) -> anyhow::Result<()> {
    for (id, hash) in stored {
        match corpus.get(id) {
            Some(fed) if fed == hash => {}
            Some(fed) => bail!("{id} is stored with hash {hash}; fed was {fed}"),
            None => bail!("{id} is stored and was never fed"),
        }
    }
    Ok(())
}

/// Searches agree with what is listed: each stored document is found once by its own word, one that
/// is not stored is not found, and the word of all documents finds as many as there are.
pub fn searches_agree(
    client: &Client,
    target: &Target,
    corpus: &Corpus,
    stored: &Hashes,
    rng: &mut Rng,
) -> anyhow::Result<()> {
    let numbers: BTreeSet<usize> = stored.keys().filter_map(|id| Corpus::number(id)).collect();
    let all = client.search(&target.namespaces, COMMON_WORD)?;
    let generated = u64::try_from(numbers.len())?;
    ensure!(all.total == generated, "{} documents found, {generated} are listed", all.total);
    let of_generation = client.search(&target.namespaces, corpus.generation())?;
    ensure!(of_generation.total == generated, "documents of another generation are stored");
    for _ in 0..SAMPLE {
        let number = rng.index(corpus.generated);
        let found = client.search(&target.namespaces, &corpus.own_word(number))?;
        let expected = if numbers.contains(&number) {
            Found { total: 1, ids: vec![Corpus::id(number)] }
        } else {
            Found { total: 0, ids: Vec::new() }
        };
        ensure!(found == expected, "looked for document {number}: {found:?}, not {expected:?}");
    }
    Ok(())
}

/// A second feed sent what was missing and nothing else.
pub fn sent_the_rest(summary: &Summary, stored: usize, corpus: usize) -> anyhow::Result<()> {
    let expected = Summary {
        new: u64::try_from(corpus - stored)?,
        unchanged: u64::try_from(stored)?,
        ..Summary::default()
    };
    ensure!(*summary == expected, "feeding again: {summary:?}, not {expected:?}");
    Ok(())
}
