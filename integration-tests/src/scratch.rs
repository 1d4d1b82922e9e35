//! A folder for one test, which stays where the test failed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

/// A temporary folder. Kept, and named on stdout, unless [`finish`](Self::finish) says that all went
/// well.
#[derive(Debug)]
pub struct Scratch {
    dir: Option<TempDir>,
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder.
    pub fn new(test: &str) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("nautilus-{test}-"))
            .tempdir()
            .context("make a temporary folder")?;
        let path = dir.path().canonicalize().context("resolve the temporary folder")?;
        Ok(Self { dir: Some(dir), path })
    }

    /// Without symbolic links in it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder.
    pub fn finish(mut self) -> anyhow::Result<()> {
        match self.dir.take() {
            Some(dir) => dir.close().context("remove the temporary folder"),
            None => Ok(()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take() {
            println!("everything is kept in {}", dir.keep().display());
        }
    }
}
