//! The files of the folders given, in a fixed order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ignore::{DirEntry, WalkBuilder};

use super::identify;
use super::item::Refusal;
use crate::exit::Failure;

/// Folders of version control, which hold no documents.
const VERSION_CONTROL: &[&str] = &[".git", ".hg", ".svn", ".jj"];

/// A file that is to become a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its document id.
    pub(super) id: String,
    /// Its path as people see it: relative to its folder.
    pub(super) shown_path: String,
}

/// What to walk, checked.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    roots: Vec<Root>,
    rules: Rules,
}

/// Which files of a folder count.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// Also those whose name begins with a dot.
    pub(super) with_hidden: bool,
    /// Leave out what `.gitignore` files leave out.
    pub(super) heed_gitignore: bool,
    /// A folder that is left out: our own data.
    pub(super) without: Option<PathBuf>,
}

#[derive(Debug, Clone)]
struct Root {
    path: PathBuf,
    /// Stands in front of the ids; empty where this is the only root.
    prefix: PathBuf,
}

/// What one step of a walk found.
#[derive(Debug)]
pub(super) enum Found {
    /// A file.
    File(SourceFile),
    /// A symbolic link; links are not followed, neither out of the folder nor within it.
    Link,
    /// A folder that cannot be looked into.
    Blocked(Refusal),
}

impl Walk {
    /// Checks that all paths exist and that their ids cannot be mixed up.
    pub(super) fn new(paths: &[PathBuf], rules: Rules) -> anyhow::Result<Self> {
        let mut names = BTreeSet::new();
        let mut roots = Vec::new();
        for given in paths {
            let path = given.canonicalize().with_context(|| format!("open {}", given.display()))?;
            let name = path.file_name().map_or_else(|| PathBuf::from("root"), PathBuf::from);
            if !names.insert(name.clone()) {
                return Err(Failure::usage(format!(
                    "two of the paths are called {}: give a folder that holds both, or feed them \
                     into different namespaces",
                    name.display()
                ))
                .into());
            }
            // Of a single file only the name is left, with or without other roots.
            let prefix = if paths.len() > 1 || path.is_file() { name } else { PathBuf::new() };
            roots.push(Root { path, prefix });
        }
        let without = rules.without.and_then(|path| path.canonicalize().ok());
        Ok(Self { roots, rules: Rules { without, ..rules } })
    }

    /// Everything there is, root after root, each folder in the order of its names' bytes.
    pub(super) fn run(&self) -> impl Iterator<Item = Found> + '_ {
        self.roots.iter().flat_map(|root| {
            let entries = self.builder(root).build();
            entries.filter_map(move |entry| match entry {
                Ok(entry) => found(root, &entry),
                Err(error) => {
                    let id = root.path.display().to_string();
                    Some(Found::Blocked(Refusal { id, message: error.to_string() }))
                }
            })
        })
    }

    fn builder(&self, root: &Root) -> WalkBuilder {
        let Rules { with_hidden, heed_gitignore, without } = self.rules.clone();
        let mut builder = WalkBuilder::new(&root.path);
        builder
            .standard_filters(false)
            .hidden(!with_hidden)
            .git_ignore(heed_gitignore)
            .git_exclude(heed_gitignore)
            .parents(heed_gitignore)
            // A folder unpacked from an archive has its `.gitignore` without a `.git`.
            .require_git(false)
            .follow_links(false)
            .sort_by_file_name(|a, b| a.cmp(b))
            .filter_entry(move |entry| {
                let is_repository = entry.depth() > 0
                    && VERSION_CONTROL.iter().any(|name| entry.file_name() == *name);
                !is_repository && without.as_deref() != Some(entry.path())
            });
        builder
    }
}

fn found(root: &Root, entry: &DirEntry) -> Option<Found> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        return Some(Found::Link);
    }
    // Neither folders nor sockets, pipes and devices.
    if !kind.is_file() {
        return None;
    }
    let below = entry.path().strip_prefix(&root.path).unwrap_or(Path::new(""));
    let relative = match (root.prefix.as_os_str().is_empty(), below.as_os_str().is_empty()) {
        (true, _) => below.to_owned(),
        (false, true) => root.prefix.clone(),
        (false, false) => root.prefix.join(below),
    };
    Some(Found::File(SourceFile {
        id: identify::document_id(&relative),
        shown_path: relative.to_string_lossy().into_owned(),
        path: entry.path().to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("folder");
        for name in ["b/2.txt", "b/10.txt", "a.txt", ".hidden", ".git/config", "out/x", "data/log"]
        {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("folders");
            fs::write(path, "x").expect("write");
        }
        fs::write(dir.path().join(".gitignore"), "out/\n").expect("write");
        symlink("/etc/passwd", dir.path().join("link")).expect("link");
        symlink("..", dir.path().join("b/up")).expect("link");
        dir
    }

    fn ids(paths: &[PathBuf], rules: Rules) -> Vec<String> {
        let walk = Walk::new(paths, rules).expect("paths exist");
        let ids = walk.run().map(|found| match found {
            Found::File(file) => file.id,
            Found::Link => "->".to_owned(),
            Found::Blocked(refusal) => panic!("{refusal:?}"),
        });
        ids.collect()
    }

    #[test]
    fn a_folder_is_walked_in_order_without_links_and_repositories() {
        let dir = tree();
        let root = [dir.path().to_owned()];
        assert_eq!(
            ids(&root, Rules::default()),
            ["a.txt", "b/10.txt", "b/2.txt", "->", "data/log", "->", "out/x"]
        );
        let rules = Rules {
            with_hidden: true,
            heed_gitignore: true,
            without: Some(dir.path().join("data")),
        };
        assert_eq!(
            ids(&root, rules),
            [".gitignore", ".hidden", "a.txt", "b/10.txt", "b/2.txt", "->", "->"]
        );
    }

    #[test]
    fn several_roots_carry_their_names() {
        let dir = tree();
        let paths = [dir.path().join("b"), dir.path().join("a.txt")];
        assert_eq!(ids(&paths, Rules::default()), ["b/10.txt", "b/2.txt", "->", "a.txt"]);
        assert_eq!(ids(&paths[1..], Rules::default()), ["a.txt"]);
        fs::create_dir_all(dir.path().join("c/b")).expect("folder");
        let twins = [dir.path().join("b"), dir.path().join("c/b")];
        assert!(Walk::new(&twins, Rules::default()).is_err());
    }
}
