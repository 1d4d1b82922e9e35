//! One machine with a `nautilus dev` on it, which can be killed, deprived of power, and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::client::Client;
use crate::power_cut::{CutReport, CutStyle, Recorder, Recording, SyncCounts};
use crate::process::{Process, run};
use crate::rng::Rng;
use crate::wait::{poll_for, wait_until};

/// A start with recovery, at most.
const START_TIME_MAX: Duration = Duration::from_secs(120);

/// A short command, at most.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);

/// The user all of this is done for.
pub const USER: &str = "crash";

/// A data folder, and the server on it while it runs.
#[derive(Debug)]
pub struct Machine {
    dir: PathBuf,
    binary: PathBuf,
    recorder: Option<Recorder>,
    running: Option<Running>,
    /// Numbers the files of processes.
    started: u32,
}

#[derive(Debug)]
struct Running {
    process: Process,
    recording: Option<Recording>,
}

impl Machine {
    /// A machine in `dir` that runs `binary`. Only with a recorder its power can be cut.
    pub fn new(dir: &Path, binary: &Path, recorder: Option<Recorder>) -> anyhow::Result<Self> {
        let machine = Self {
            dir: dir.to_owned(),
            binary: binary.to_owned(),
            recorder,
            running: None,
            started: 0,
        };
        fs::create_dir_all(machine.data_dir()).context("make the data folder")?;
        Ok(machine)
    }

    /// Where the server keeps everything.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Where the files of this machine's processes go.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts the server and waits until it serves everything in its log.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.begin_start()?;
        let endpoint = self.endpoint();
        wait_until("the server's endpoint", START_TIME_MAX, || {
            self.still_runs()?;
            Ok(endpoint.exists().then_some(()))
        })?;
        let status = ["status", "--wait", &format!("{}s", START_TIME_MAX.as_secs())];
        let mut command = self.nautilus();
        command.args(status);
        let served = run(command, &self.dir, "status", START_TIME_MAX + COMMAND_TIME_MAX);
        // Why it ended says more than that nothing answers.
        self.still_runs()?;
        served.map(|_| ())
    }

    /// Starts the server and returns after this time, whatever it is at.
    pub fn start_for(&mut self, time: Duration) -> anyhow::Result<()> {
        self.begin_start()?;
        poll_for(time, || self.still_runs().map(|()| None::<()>)).map(|_| ())
    }

    fn begin_start(&mut self) -> anyhow::Result<()> {
        self.started += 1;
        match fs::remove_file(self.endpoint()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("remove the endpoint of the last server");
            }
            Ok(()) | Err(_) => {}
        }
        let mut command = self.nautilus();
        command.args(["dev", "--listen", "127.0.0.1:0"]);
        let recording = match &self.recorder {
            None => None,
            Some(recorder) => {
                let out = self.dir.join(format!("recording-{}", self.started));
                Some(recorder.start(&self.data_dir(), &out, &mut command)?)
            }
        };
        let name = format!("server-{}", self.started);
        let process = Process::start(command, &self.dir, &name)?;
        self.running = Some(Running { process, recording });
        Ok(())
    }

    fn still_runs(&mut self) -> anyhow::Result<()> {
        let Some(running) = &mut self.running else { bail!("no server runs") };
        match running.process.ended()? {
            None => Ok(()),
            Some(status) => bail!("the server ended: {status}\n{}", running.process.complaints()?),
        }
    }

    fn endpoint(&self) -> PathBuf {
        self.data_dir().join("endpoint")
    }

    /// `kill -9`. That the server had logged an error before is an error.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut running) = self.running.take() else { bail!("no server runs") };
        running.kill()
    }

    /// `kill -9`, then takes from the files what was not synced. Also says which syncs there were.
    pub fn cut_power(
        &mut self,
        style: CutStyle,
        rng: &mut Rng,
    ) -> anyhow::Result<(CutReport, SyncCounts)> {
        let Some(mut running) = self.running.take() else { bail!("no server runs") };
        running.kill()?;
        match running.recording {
            Some(recording) => recording.cut(style, rng),
            None => bail!("nothing was recorded"),
        }
    }

    /// A `nautilus` command on this machine's data folder.
    #[must_use]
    pub fn nautilus(&self) -> Command {
        let mut command = Command::new(&self.binary);
        // Nothing a person has set shall change what is tested.
        command.env_clear().env("RUST_BACKTRACE", "1");
        command.arg("--data-dir").arg(self.data_dir()).args(["--as", USER]);
        command
    }

    /// Runs a short command to its end and returns what it printed.
    pub fn run(&self, command: Command) -> anyhow::Result<String> {
        run(command, &self.dir, "command", COMMAND_TIME_MAX)
    }

    /// Runs a short `nautilus` command.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.nautilus();
        command.args(arguments);
        self.run(command)
    }

    /// A new connection on behalf of [`USER`].
    pub fn connect(&self) -> anyhow::Result<Client> {
        let address = fs::read_to_string(self.endpoint()).context("read the endpoint")?;
        let token = self.command(&["user", "token", USER])?;
        Client::connect(address.trim(), token.trim())
    }
}

impl Running {
    fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        let complaints = self.process.complaints()?;
        let error = complaints.lines().find(|line| line.contains("ERROR"));
        error.map_or(Ok(()), |error| Err(anyhow::anyhow!("the server had logged: {error}")))
    }
}
