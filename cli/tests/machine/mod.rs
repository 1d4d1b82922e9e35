//! A folder with a `nautilus dev` in it, and commands that run there.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Ends with the test, whatever becomes of it.
pub(crate) struct Machine {
    dir: TempDir,
    server: Option<Child>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("folder"), server: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, content).expect("write");
    }

    /// Starts the server and waits until it serves.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// As [`Self::start`], with more arguments.
    pub(crate) fn start_with(&mut self, more: &[&str]) {
        let log = File::create(self.path("dev.log")).expect("log file");
        let server = self
            .command(&[&["dev", "--listen", "127.0.0.1:0", "--log", "warn"], more].concat())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.server = Some(server.expect("starts"));
        let waited = self.run(&["status", "--wait", "60s"]);
        assert!(waited.status.success(), "{}\n{}", said(&waited), self.log());
    }

    /// Asks the server to stop, which it does cleanly and without a complaint.
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().expect("runs");
        let kill = Command::new("kill").args(["-TERM", &server.id().to_string()]).status();
        assert!(kill.expect("kill runs").success());
        let ended = server.wait().expect("ends");
        assert!(ended.success(), "{ended}\n{}", self.log());
        assert_eq!(self.log(), "", "no warning was expected");
        assert!(!self.path("data/endpoint").exists());
    }

    /// What the command printed to stdout; it must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}\n{}", said(&output), self.log());
        String::from_utf8(output.stdout).expect("text")
    }

    /// What the command printed with `--output json`; it must succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(&[&["--output", "json"], arguments].concat());
        serde_json::from_str(&text).expect("JSON")
    }

    /// All the command printed; it must end with this code.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().expect("runs")
    }

    /// A command to start.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nautilus"));
        // Nothing a person has set shall change what is tested.
        command.env_clear().current_dir(self.dir.path());
        command.args(["--data-dir", "data"]).args(arguments);
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("dev.log")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // The test has failed already; what matters is that nothing is left behind.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
