//! A folder of documents: generated ones, each with a word of its own, and this project's sources.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::rng::Rng;

/// Distinct words of the generated texts.
const VOCABULARY: usize = 4_000;

/// Words in a generated text, at least and up to this many more.
const WORDS_MIN: u64 = 120;
const WORDS_SPREAD: u64 = 340;

/// In every generated document and nowhere else.
pub const COMMON_WORD: &str = "everydocumenthasthis";

/// Files to be fed.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// The folder.
    pub dir: PathBuf,
    /// How many files were generated.
    pub generated: usize,
    /// Marks this corpus among others with the same ids.
    generation: String,
}

impl Corpus {
    /// Writes `generated` documents to `dir`. `generation` is a word in all of them: two corpora with
    /// the same ids differ in it, and so in every content.
    pub fn generate(
        dir: &Path,
        generation: &str,
        generated: usize,
        mut rng: Rng,
    ) -> anyhow::Result<Self> {
        let corpus = Self { dir: dir.to_owned(), generated, generation: generation.to_owned() };
        let vocabulary: Vec<String> = (0..VOCABULARY).map(|_| word(&mut rng)).collect();
        for number in 0..generated {
            let path = dir.join(Self::id(number));
            if number.is_multiple_of(100) {
                fs::create_dir_all(path.parent().unwrap_or(dir)).context("make a folder")?;
            }
            let mut text = format!("{COMMON_WORD} {generation} {}\n", corpus.own_word(number));
            for place in 0..WORDS_MIN + rng.below(WORDS_SPREAD) {
                // The square of a fraction makes words at the front common ones.
                let rank = rng.index(VOCABULARY).min(rng.index(VOCABULARY));
                let end = if place % 12 == 11 { ".\n" } else { " " };
                // Writing to a string cannot fail.
                let _ = write!(text, "{}{end}", vocabulary[rank]);
            }
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(corpus)
    }

    /// Adds the Rust, Markdown and proto files of this workspace under `project/`.
    pub fn add_project(&self) -> anyhow::Result<()> {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for part in ["crates", "proto", "docs", "cli", "leaf", "root", "merger", "indexbuilder"] {
            copy_texts(&project.join(part), &self.dir.join("project").join(part))?;
        }
        Ok(())
    }

    /// Id of generated document `number`: its path.
    #[must_use]
    pub fn id(number: usize) -> String {
        format!("generated/{:03}/{number:05}.txt", number / 100)
    }

    /// Number of a generated document.
    #[must_use]
    pub fn number(id: &str) -> Option<usize> {
        id.strip_prefix("generated/")?.get(4..)?.strip_suffix(".txt")?.parse().ok()
    }

    /// A word that only generated document `number` of this generation has.
    #[must_use]
    pub fn own_word(&self, number: usize) -> String {
        format!("own{}x{number:05}", self.generation)
    }

    /// The word in all generated documents of this generation.
    #[must_use]
    pub fn generation(&self) -> &str {
        &self.generation
    }
}

fn word(rng: &mut Rng) -> String {
    const ONSETS: &[u8] = b"bcdfghjklmnprstvwz";
    const VOWELS: &[u8] = b"aeiou";
    (0..2 + rng.below(3))
        .flat_map(|_| [ONSETS[rng.index(ONSETS.len())], VOWELS[rng.index(VOWELS.len())]])
        .map(char::from)
        .collect()
}

fn copy_texts(from: &Path, to: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("list {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_texts(&path, &to.join(&name))?;
        } else if path
            .extension()
            .is_some_and(|end| ["rs", "md", "proto"].iter().any(|one| end == *one))
        {
            fs::create_dir_all(to).context("make a folder")?;
            fs::copy(&path, to.join(&name)).with_context(|| format!("copy {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_texts_and_ids_name_them() {
        let (one, two) =
            (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        let corpus = Corpus::generate(one.path(), "g", 3, Rng::new(7)).expect("writes");
        Corpus::generate(two.path(), "g", 3, Rng::new(7)).expect("writes");
        let id = Corpus::id(2);
        let text = fs::read_to_string(one.path().join(&id)).expect("reads");
        assert_eq!(text, fs::read_to_string(two.path().join(&id)).expect("reads"));
        assert!(text.contains(&corpus.own_word(2)) && text.contains(COMMON_WORD));
        assert_eq!(Corpus::number(&id), Some(2));
        assert_eq!(Corpus::number(&Corpus::id(12_345)), Some(12_345));
        assert_eq!(Corpus::number("project/crates/x.rs"), None);
    }
}
