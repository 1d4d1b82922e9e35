//! Which faults a leaf has at the moment: a file that the test writes and the leaf's process reads again and again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Names the file to the leaf's process.
pub const FILE_VARIABLE: &str = "LEAF_FAULTS_FILE";
/// How often the file is read.
const READ_EVERY: Duration = Duration::from_millis(50);

/// The faults of one leaf; the default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Of a thousand answers, how many are late.
    pub delayed_per_mille: u32,
    /// By how much.
    pub delay_ms: u64,
    /// The process dies of searches that have it.
    pub lethal_word: Option<String>,
}

/// Gives the leaf that watches `file` these faults. [`is_taken`] says when it has them.
pub fn write(file: &Path, faults: &Faults) -> io::Result<()> {
    let text = serde_json::to_string(faults).map_err(io::Error::other)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    // Whole or not at all: the leaf may read at any time.
    let fresh = file.with_extension("fresh");
    fs::write(&fresh, text)?;
    fs::rename(&fresh, file)
}

/// Whether the leaf that watches `file` has these faults.
#[must_use]
pub fn is_taken(file: &Path, faults: &Faults) -> bool {
    read(&file.with_extension("taken")).as_ref() == Some(faults)
}

fn read(file: &Path) -> Option<Faults> {
    serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
}

/// The faults in force in this process.
#[derive(Debug)]
pub(super) struct Watched {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    rng: Rng,
}

impl Watched {
    /// Those of the file that the environment names, followed from now on by a thread that ends with the process.
    pub(super) fn of_environment() -> Option<Self> {
        #[allow(
            clippy::disallowed_methods,
            reason = "the test that starts this process says so where the configuration is no place for it"
        )]
        let file = PathBuf::from(std::env::var_os(FILE_VARIABLE)?);
        let state =
            State { faults: Faults::default(), rng: Rng::new(u64::from(std::process::id())) };
        let state = Arc::new(Mutex::new(state));
        let kept = Arc::clone(&state);
        let follow = move || {
            loop {
                take(&file, &kept);
                std::thread::park_timeout(READ_EVERY);
            }
        };
        std::thread::Builder::new().name("read-faults".to_owned()).spawn(follow).ok()?;
        Some(Self { state })
    }

    pub(super) fn now(&self) -> Faults {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).faults.clone()
    }

    /// How late this answer is to be, if it is one of those.
    pub(super) fn delay(&self) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let per_mille = u64::from(state.faults.delayed_per_mille);
        let is_late = per_mille > 0 && state.rng.below(1_000) < per_mille;
        is_late.then(|| Duration::from_millis(state.faults.delay_ms))
    }
}

fn take(file: &Path, state: &Mutex<State>) {
    let Some(faults) = read(file) else { return };
    {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.faults == faults && is_taken(file, &faults) {
            return;
        }
        state.faults = faults.clone();
    }
    let told = serde_json::to_string(&faults).map_err(io::Error::other);
    if let Err(error) = told.and_then(|text| fs::write(file.with_extension("taken"), text)) {
        eprintln!("faults: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_taken_from_the_file_while_the_leaf_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("faults").join("leaf-a-1.json");
        let state = Mutex::new(State { faults: Faults::default(), rng: Rng::new(1) });
        take(&file, &state);
        let faults = Faults { delayed_per_mille: 1_000, delay_ms: 7, lethal_word: None };
        write(&file, &faults).expect("written");
        assert!(!is_taken(&file, &faults));
        take(&file, &state);
        assert!(is_taken(&file, &faults));
        let watched = Watched { state: Arc::new(state) };
        assert_eq!(watched.delay(), Some(Duration::from_millis(7)));
        write(&file, &Faults::default()).expect("written");
        take(&file, &watched.state);
        assert_eq!((watched.delay(), is_taken(&file, &faults)), (None, false));
    }
}
