//! `nautilus feed` as a process of its own, whose acknowledgements outlive the server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::acks::{self, Hashes};
use crate::machine::Machine;
use crate::process::Process;

/// A whole feed, at most.
const FEED_TIME_MAX: Duration = Duration::from_secs(300);

/// Where documents go: one namespace, or several that share them.
#[derive(Debug, Clone)]
pub struct Target {
    name: String,
    spread: Option<u32>,
    /// All namespaces.
    pub namespaces: Vec<String>,
}

impl Target {
    /// One namespace.
    #[must_use]
    pub fn one(name: &str) -> Self {
        Self { name: name.to_owned(), spread: None, namespaces: vec![name.to_owned()] }
    }

    /// Namespaces `name-000` and so on, as `feed --spread` names them: several partitions.
    #[must_use]
    pub fn spread(name: &str, count: u32) -> Self {
        let namespaces = (0..count).map(|number| format!("{name}-{number:03}")).collect();
        Self { name: name.to_owned(), spread: Some(count), namespaces }
    }

    /// Makes the namespaces.
    pub fn create(&self, machine: &Machine) -> anyhow::Result<()> {
        for name in &self.namespaces {
            machine.command(&["namespace", "create", name])?;
        }
        Ok(())
    }
}

/// What a feed says of itself at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Summary {
    /// Documents that were not there and are now.
    pub new: u64,
    /// Documents that were there with other content.
    pub changed: u64,
    /// Documents that were there as they are.
    pub unchanged: u64,
    /// Deleted documents.
    pub deleted: u64,
    /// Documents that were refused.
    pub failed: u64,
}

/// A feed under way.
#[derive(Debug)]
pub struct Feed {
    process: Process,
    ack_log: PathBuf,
}

impl Feed {
    /// Starts to feed `source`. `retry_for`: how long it puts up with a server that is not there.
    pub fn start(
        machine: &Machine,
        target: &Target,
        source: &Path,
        name: &str,
        retry_for: Duration,
    ) -> anyhow::Result<Self> {
        let ack_log = machine.dir().join(format!("{name}.acks"));
        let mut command = machine.nautilus();
        command.args(["--output", "json", "feed", "--namespace", &target.name]);
        if let Some(count) = target.spread {
            command.args(["--spread", &count.to_string()]);
        }
        command.args(["--retry-for", &format!("{}ms", retry_for.as_millis())]);
        command.arg("--ack-log").arg(&ack_log).arg(source);
        let process = Process::start(command, machine.dir(), name)?;
        Ok(Self { process, ack_log })
    }

    /// Whether it ended within the time.
    pub fn ends_within(&mut self, time: Duration) -> anyhow::Result<bool> {
        self.process.ends_within(time)
    }

    /// What was acknowledged until now.
    pub fn acknowledged_so_far(&self) -> anyhow::Result<Hashes> {
        acks::read(&self.ack_log)
    }

    /// Waits for its end, whatever that is, and returns what was acknowledged.
    pub fn acknowledged(mut self) -> anyhow::Result<Hashes> {
        self.process.wait(FEED_TIME_MAX)?;
        acks::read(&self.ack_log)
    }

    /// Waits for its end, which must be success, and returns its summary and what was acknowledged.
    pub fn finish(mut self) -> anyhow::Result<(Summary, Hashes)> {
        let status = self.process.wait(FEED_TIME_MAX)?;
        let said = self.process.stdout()?;
        ensure!(
            status.success(),
            "the feed failed: {status}\n{said}{}",
            self.process.complaints()?
        );
        let summary = serde_json::from_str(&said).context("read the feed's summary")?;
        Ok((summary, acks::read(&self.ack_log)?))
    }
}
