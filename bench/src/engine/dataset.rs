//! One corpus in our engine and in all of the peer's layouts, for the lines about searches.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::data::{Corpus, Namespace};
use super::feed::{Edit, Feed};
use super::ours::Ours;
use super::peer::{Holds, Layout, Peer};

/// Queried namespaces of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) documents: u32,
    pub(crate) namespaces: Vec<Namespace>,
}

/// The engines with all documents in them, at rest.
pub(crate) struct Dataset<'a> {
    pub(crate) corpus: &'a Corpus,
    pub(crate) ours: Ours,
    /// In the order of [`Layout::ALL`].
    pub(crate) peers: Vec<Peer>,
}

/// Written when a folder holds everything.
const COMPLETE: &str = "complete";
/// Documents between two lines of progress.
const PROGRESS: u32 = 100_000;

impl<'a> Dataset<'a> {
    /// Fills `dir`, or opens what is there.
    pub(crate) fn open(dir: &Path, corpus: &'a Corpus, sizes: &[Size]) -> Result<Self> {
        let queried: Vec<Namespace> =
            sizes.iter().flat_map(|size| size.namespaces.iter().copied()).collect();
        if !dir.join(COMPLETE).exists() {
            if dir.exists() {
                std::fs::remove_dir_all(dir).with_context(|| format!("empty {}", dir.display()))?;
            }
            fill(dir, corpus, &queried)?;
            std::fs::write(dir.join(COMPLETE), "")?;
        }
        let peers = Layout::ALL
            .into_iter()
            .map(|layout| Peer::open(layout, dir, indexed(layout, &queried)))
            .collect::<Result<_>>()?;
        Ok(Self { corpus, ours: Ours::open(&dir.join("ours"))?, peers })
    }

    /// Makes an edit in every engine; the peer's are not visible before it commits.
    pub(crate) fn edit(&mut self, edit: &Edit) -> Result<()> {
        let Edit { id, namespace, words } = edit;
        match words {
            Some(words) => {
                let text = self.corpus.text(words);
                for peer in self.peers.iter_mut().filter(|peer| peer.has(*namespace)) {
                    let spelled = peer.spelled(*namespace, &text);
                    peer.replace(*namespace, *id, &spelled)?;
                }
                self.ours.put(*namespace, *id, text)?;
            }
            None => {
                self.ours.delete(*namespace, *id)?;
                for peer in self.peers.iter_mut().filter(|peer| peer.has(*namespace)) {
                    peer.delete(*namespace, *id)?;
                }
            }
        }
        Ok(())
    }

    /// Edits from the feed, a commit of the peer's after each hundred.
    pub(crate) fn edit_from(&mut self, feed: &mut Feed<'_>, edits: usize) -> Result<()> {
        for number in 1..=edits {
            self.edit(&feed.next())?;
            if number % 100 == 0 || number == edits {
                self.peers.iter_mut().try_for_each(Peer::commit)?;
            }
        }
        Ok(())
    }
}

/// Namespaces that have an index of their own where each would: building one for all would only cost time.
fn indexed(layout: Layout, queried: &[Namespace]) -> &[Namespace] {
    match layout {
        Layout::Filter | Layout::Sorted | Layout::Terms => &[0],
        Layout::Own => queried,
    }
}

fn fill(dir: &Path, corpus: &Corpus, queried: &[Namespace]) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let mut ours = Ours::open(&dir.join("ours"))?;
    let mut peers: Vec<Peer> =
        Layout::ALL.into_iter().map(|layout| Peer::new(layout, Holds::ALL, Some(dir))).collect();
    for id in 0..corpus.len() {
        let (namespace, words) = (corpus.owner(id), corpus.document(id));
        let text = corpus.text(&words);
        for peer in &mut peers {
            if peer.layout != Layout::Own || queried.contains(&namespace) {
                let spelled = peer.spelled(namespace, &text);
                peer.add(namespace, id, &spelled)?;
            }
        }
        ours.put(namespace, id, text)?;
        if (id + 1) % PROGRESS == 0 {
            eprintln!("{} of {} documents in", id + 1, corpus.len());
        }
    }
    ours.settle()?;
    peers.iter_mut().try_for_each(Peer::merge)
}

/// A copy that can be changed while the original stays as it is: files that are never written again are linked.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to).with_context(|| format!("empty {}", to.display()))?;
    }
    let mut folders: Vec<PathBuf> = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        std::fs::create_dir_all(to.join(&folder))?;
        for entry in std::fs::read_dir(from.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if is_final(&path) {
                std::fs::hard_link(from.join(&path), to.join(&path))?;
            } else {
                std::fs::copy(from.join(&path), to.join(&path))?;
            }
        }
    }
    Ok(())
}

/// Table files of RocksDB and the files of Tantivy's segments.
fn is_final(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["sst", "term", "idx", "pos", "store", "fast", "fieldnorm"].contains(&extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_leaves_the_original_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir_all(from.join("a")).unwrap();
        std::fs::write(from.join("a/CURRENT"), "one").unwrap();
        std::fs::write(from.join("a/1.sst"), "rows").unwrap();
        copy_folder(&from, &to).unwrap();
        std::fs::write(to.join("a/CURRENT"), "two").unwrap();
        std::fs::remove_file(to.join("a/1.sst")).unwrap();
        assert_eq!(std::fs::read_to_string(from.join("a/CURRENT")).unwrap(), "one");
        assert_eq!(std::fs::read_to_string(from.join("a/1.sst")).unwrap(), "rows");
    }
}
