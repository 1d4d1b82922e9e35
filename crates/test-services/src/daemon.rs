//! One process of a service: started, stopped, frozen, killed and started again by a test.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Keeps one program and ends it when its own input ends, which is when the process that started it is gone,
/// be it by SIGKILL. Its children go too: those that stand still would not notice. Prints the program's process id
/// first.
const KEEPER: &str = r#"
exec 3<&0
"$@" </dev/null >>"$NAUTILUS_DAEMON_LOG" 2>&1 3<&- &
pid=$!
echo "$pid"
exec >/dev/null
read -r _ <&3
children=
read -r children <"/proc/$pid/task/$pid/children"
kill -KILL "$pid" $children 2>/dev/null
wait "$pid" 2>/dev/null
"#;

/// How a program is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What is run.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables beside the inherited ones.
    pub environment: Vec<(String, String)>,
    /// Where its output goes, appended.
    pub log: PathBuf,
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    launch: Launch,
    keeper: Child,
    pid: Pid,
}

impl Daemon {
    /// Starts the program and returns at once, before it is ready.
    pub fn start(launch: Launch) -> io::Result<Self> {
        let mut keeper = Command::new("sh")
            .arg("-c")
            .arg(KEEPER)
            .arg("keeper")
            .arg(&launch.program)
            .args(&launch.arguments)
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .env("NAUTILUS_DAEMON_LOG", &launch.log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = keeper.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid =
            pid.ok_or_else(|| io::Error::other("the keeper of a daemon said no process id"))?;
        Ok(Self { launch, keeper, pid })
    }

    /// Of the program itself.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// The last lines of its output, for the message of a test that fails.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let Ok(file) = File::open(&self.launch.log) else { return String::new() };
        let lines: Vec<_> = BufReader::new(file).lines().map_while(Result::ok).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// SIGKILL, and returns once it is gone.
    pub fn kill(&mut self) -> io::Result<()> {
        // The end of its input makes the keeper do it and wait.
        drop(self.keeper.stdin.take());
        self.keeper.wait().map(|_| ())
    }

    /// SIGTERM; whether it ended within `patience`.
    pub fn terminate(&mut self, patience: Duration) -> io::Result<bool> {
        kill_process(self.pid, Signal::TERM)?;
        let ended = wait_until(patience, || !self.is_running());
        self.kill()?;
        Ok(ended)
    }

    /// SIGSTOP, and returns once all its threads have stopped: it keeps its connections and answers nothing.
    pub fn freeze(&self) -> io::Result<()> {
        kill_process(self.pid, Signal::STOP)?;
        if wait_until(Duration::from_secs(10), || self.is_frozen()) {
            return Ok(());
        }
        Err(io::Error::other("a stopped daemon runs on"))
    }

    fn is_frozen(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid.as_raw_nonzero()));
        let stats = tasks.into_iter().flatten().flatten().map(|task| task.path().join("stat"));
        // A thread that ends meanwhile is no longer there to read.
        stats.filter_map(|stat| fs::read_to_string(stat).ok()).all(|stat| state(&stat) == Some('T'))
    }

    /// SIGCONT.
    pub fn thaw(&self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// Whether the program is there and not a zombie.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid.as_raw_nonzero()));
        stat.is_ok_and(|stat| state(&stat).is_some_and(|state| state != 'Z'))
    }

    /// Kills it where it runs and starts it again with the same arguments.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        *self = Self::start(self.launch.clone())?;
        Ok(())
    }

    /// Waits until `is_ready`, looking every few milliseconds; fails early where the program ended.
    pub fn wait_ready(
        &self,
        patience: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> io::Result<()> {
        let mut ended = false;
        let ready = wait_until(patience, || {
            ended = !self.is_running();
            ended || is_ready()
        });
        if ready && !ended {
            return Ok(());
        }
        let what = if ended { "ended" } else { "was not ready in time" };
        let program = self.launch.program.display();
        Err(io::Error::other(format!("{program} {what}:\n{}", self.last_lines())))
    }
}

/// The state in a process's or thread's `stat`: it follows the name, which is in brackets and may hold anything.
fn state(stat: &str) -> Option<char> {
    stat.rsplit(')').next()?.trim_start().chars().next()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Looks every few milliseconds; whether `holds` came true within `patience`.
#[allow(
    clippy::disallowed_methods,
    reason = "the one bounded wait for a process that cannot call back"
)]
pub(crate) fn wait_until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> Daemon {
        let launch = Launch {
            program: "sleep".into(),
            arguments: vec!["600".into()],
            environment: Vec::new(),
            log: folder.join("log"),
        };
        Daemon::start(launch).unwrap()
    }

    fn exists(pid: Pid) -> bool {
        Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists()
    }

    #[test]
    fn is_gone_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let daemon = sleeper(folder.path());
        let pid = daemon.pid();
        assert!(daemon.is_running());
        drop(daemon);
        assert!(wait_until(Duration::from_secs(10), || !exists(pid)));
    }

    #[test]
    fn is_gone_when_whoever_started_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = sleeper(folder.path());
        let pid = daemon.pid();
        // What the end of a process does to its pipes.
        drop(daemon.keeper.stdin.take());
        assert!(wait_until(Duration::from_secs(10), || !exists(pid)));
    }

    #[test]
    fn starts_again_as_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = sleeper(folder.path());
        let before = daemon.pid();
        daemon.restart().unwrap();
        assert_ne!(daemon.pid(), before);
        assert!(daemon.is_running());
        assert!(!exists(before));
    }

    #[test]
    fn ends_on_a_polite_signal() {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = sleeper(folder.path());
        assert!(daemon.terminate(Duration::from_secs(10)).unwrap());
    }

    #[test]
    fn an_early_end_is_told_with_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch {
            program: "sh".into(),
            arguments: vec!["-c".into(), "echo no such disk; exit 3".into()],
            environment: Vec::new(),
            log: folder.path().join("log"),
        };
        let daemon = Daemon::start(launch).unwrap();
        let error = daemon.wait_ready(Duration::from_secs(10), || false).unwrap_err();
        assert!(error.to_string().contains("no such disk"), "{error}");
    }
}
