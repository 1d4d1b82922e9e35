//! Faults inside leaves, and settings of single members.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::Cluster;
use super::layout::Kind;
use crate::faulty_leaf::{FILE_VARIABLE, Faults, is_taken, write};
use crate::wait::wait_until;

/// How long a leaf may take to have its faults.
const TAKEN_TIME_MAX: Duration = Duration::from_secs(10);

impl Cluster {
    /// Gives these leaves faults, instead of those they had, and waits until they have them: the binary must be
    /// `nautilus-under-test`. What they have outlives their process.
    pub fn inject(&self, leaves: &[String], faults: &Faults) -> anyhow::Result<()> {
        for leaf in leaves {
            write(&self.faults_file(leaf), faults)
                .with_context(|| format!("write the faults of {leaf}"))?;
        }
        for leaf in leaves.iter().filter(|leaf| self.is_running(leaf)) {
            let file = self.faults_file(leaf);
            let taken = || Ok(is_taken(&file, faults).then_some(()));
            wait_until("a leaf to have its faults", TAKEN_TIME_MAX, taken).with_context(|| {
                format!("{leaf}: only leaves of nautilus-under-test have faults; see --nautilus")
            })?;
        }
        Ok(())
    }

    /// The names of all leaves.
    #[must_use]
    pub fn leaves(&self) -> Vec<String> {
        self.of_kind(Kind::Leaf).map(|member| member.name.clone()).collect()
    }

    /// From its next start on the member has these settings, beside those of all.
    pub fn set(&mut self, name: &str, settings: &[&str]) {
        let settings = settings.iter().map(|one| (*one).to_owned()).collect();
        self.settings.insert(name.to_owned(), settings);
    }

    pub(super) fn environment(&self, name: &str) -> anyhow::Result<Vec<(String, String)>> {
        let is_leaf = self.member(name)?.kind == Kind::Leaf;
        let file = || (FILE_VARIABLE.to_owned(), self.faults_file(name).display().to_string());
        Ok(is_leaf.then(file).into_iter().collect())
    }

    fn faults_file(&self, leaf: &str) -> PathBuf {
        self.folder.join("faults").join(format!("{leaf}.json"))
    }
}
