//! A power cut, acted out: the files of a killed process with what it had not synced taken away.
//!
//! ```text
//! server with shim.c ─► journal of syncs ─┐
//! files as they were at its start ────────┴► what the disk must hold ─┐
//! files as they are ──────────────────────────────────────────────────┴► what it may hold: drawn
//! ```
//!
//! **Model.** A file that was synced holds what it held when its last sync began, under the name it
//! then had; names in a folder are those of the folder's last sync. Of everything later any part may
//! have reached the disk: names made, lost or changed since; sectors overwritten since, in files that
//! are overwritten (the small ones and SQLite's, kept whole at each sync); some bytes appended since.
//! Appended bytes may also be zeros or garbage in files whose readers promise to notice: the log's
//! segments and SQLite's journal. Folders stay where anything in them does, as on ext4, XFS and btrfs.
//!
//! **Left out.** Overwriting within large files, which nothing here does; folders renamed or removed.

mod durable;
mod journal;
mod remains;
mod shim;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use self::durable::Durable;
pub use self::journal::SyncCounts;
pub use self::remains::{CutReport, CutStyle};
use crate::rng::Rng;

/// Records the syncs of the servers it is given.
#[derive(Debug, Clone)]
pub struct Recorder {
    shim: PathBuf,
    lies: Option<&'static str>,
}

/// The recording of one server's life.
#[derive(Debug)]
pub struct Recording {
    data_dir: PathBuf,
    out: PathBuf,
    at_start: Durable,
}

impl Recorder {
    /// Compiles the shim into `dir`.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        Ok(Self { shim: shim::compile(dir)?, lies: None })
    }

    /// A disk that says "done" when a file with this suffix is synced, and does nothing.
    #[must_use]
    pub fn lying_about(self, suffix: &'static str) -> Self {
        Self { lies: Some(suffix), ..self }
    }

    /// Makes the command record what it syncs in `data_dir` from now on; all that is there now is
    /// taken to be on the disk. The recording goes to `out`, on the same file system.
    pub fn start(
        &self,
        data_dir: &Path,
        out: &Path,
        command: &mut Command,
    ) -> anyhow::Result<Recording> {
        for part in ["copy", "grave", "start"] {
            fs::create_dir_all(out.join(part)).context("make the recording's folder")?;
        }
        let at_start = Durable::of_folder(data_dir, &out.join("start"))?;
        command.env("LD_PRELOAD", &self.shim);
        command.env("POWER_CUT_DATA", data_dir).env("POWER_CUT_OUT", out);
        if let Some(suffix) = self.lies {
            command.env("POWER_CUT_LIES", suffix);
        }
        Ok(Recording { data_dir: data_dir.to_owned(), out: out.to_owned(), at_start })
    }
}

impl Recording {
    /// Leaves in the data folder what a disk may hold after a power cut at this moment. The process
    /// must be gone. Says what was taken, and which syncs there were.
    pub fn cut(
        mut self,
        style: CutStyle,
        rng: &mut Rng,
    ) -> anyhow::Result<(CutReport, SyncCounts)> {
        let events = journal::read(&self.out.join("journal"), &self.data_dir)?;
        let counts = SyncCounts::of(&events);
        for event in &events {
            self.at_start.apply(event, &self.out.join("copy"))?;
        }
        let report =
            remains::leave(&self.data_dir, &self.out.join("grave"), &self.at_start, style, rng)?;
        fs::remove_dir_all(&self.out).context("remove the recording")?;
        Ok((report, counts))
    }
}
