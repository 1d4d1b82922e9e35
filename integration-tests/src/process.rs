//! Processes that end with their guard, and commands that end in time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::wait::{poll_for, wait_until};

/// Last part of a log that goes into an error.
const LOG_SHOWN_BYTES: usize = 4_000;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts the command with its output in `dir/name.out` and `dir/name.err`.
    pub fn start(mut command: Command, dir: &Path, name: &str) -> anyhow::Result<Self> {
        let stdout = dir.join(format!("{name}.out"));
        let stderr = dir.join(format!("{name}.err"));
        let open =
            |path: &Path| File::create(path).with_context(|| format!("make {}", path.display()));
        let child = command
            .stdin(Stdio::null())
            .stdout(open(&stdout)?)
            .stderr(open(&stderr)?)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self { child, name: name.to_owned(), stdout, stderr })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look after {}", self.name))
    }

    /// Waits for its end.
    pub fn wait(&mut self, at_most: Duration) -> anyhow::Result<ExitStatus> {
        let name = self.name.clone();
        wait_until(&format!("the end of {name}"), at_most, || self.ended())
    }

    /// Whether it ended within the time.
    pub fn ends_within(&mut self, time: Duration) -> anyhow::Result<bool> {
        Ok(poll_for(time, || self.ended())?.is_some())
    }

    /// SIGKILL, and waits until nothing of the process is left. No error where it ended before.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        self.child.wait().with_context(|| format!("wait for {}", self.name))?;
        Ok(())
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> anyhow::Result<String> {
        read_text(&self.stdout)
    }

    /// The end of what it wrote to stderr so far.
    pub fn complaints(&self) -> anyhow::Result<String> {
        let text = read_text(&self.stderr)?;
        let from = text.ceil_char_boundary(text.len().saturating_sub(LOG_SHOWN_BYTES));
        Ok(text[from..].to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The test is over or failing for a reason of its own.
        let _ = self.kill();
    }
}

/// Runs a command to its end and returns its stdout; anything but success is an error with what it
/// wrote to stderr.
pub fn run(command: Command, dir: &Path, name: &str, at_most: Duration) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let mut process = Process::start(command, dir, name)?;
    let status = process.wait(at_most)?;
    if !status.success() {
        bail!("{shown}: {status}\n{}", process.complaints()?);
    }
    process.stdout()
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
