//! PostgreSQL: one server with its own data in a temporary folder.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::daemon::wait_until;
use crate::folder::Folder;
use crate::missing::variable;
use crate::{Daemon, Launch, Missing, free_port};

/// Name and password of the server's only role, a superuser.
const ROLE: &str = "nautilus";
const PASSWORD: &str = "only for tests";
/// Where Debian puts the programs, by major version; they are not on the path there.
const DEBIAN: &str = "/usr/lib/postgresql";
/// How long a server may take to answer after its start.
const START_MAX: Duration = Duration::from_secs(60);
/// Starts with another port each, in case the one that was free has been taken meanwhile.
const PORTS_TRIED: usize = 3;

/// A running server. Dropping it kills it and removes its data.
///
/// It takes passwords (SCRAM) over TCP on loopback, and does not sync its files: what it acknowledged survives
/// [`Postgres::kill`], not a power cut.
#[derive(Debug)]
pub struct Postgres {
    daemon: Daemon,
    programs: Programs,
    folder: Folder,
    port: u16,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// Where the programs are there and do not work.
    pub fn start() -> Result<Self, Missing> {
        Self::start_with(&[], &[])
    }

    /// [`Postgres::start`] with `settings` as in `postgresql.conf`, and `files`, by name and contents, in the
    /// data folder, private to the server.
    ///
    /// # Panics
    /// Where the programs are there and do not work.
    pub fn start_with(settings: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Self, Missing> {
        let programs = Programs::find()?;
        match launch(programs, settings, files) {
            Ok(server) => Ok(server),
            Err(error) => panic!("PostgreSQL does not start: {error}"),
        }
    }

    /// Where it listens, on `127.0.0.1`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The role to connect as.
    #[must_use]
    pub fn role(&self) -> &'static str {
        ROLE
    }

    /// A file (mode 600) with the role's password.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// Makes an empty database with a name of its own.
    ///
    /// # Panics
    /// Where the server does not make one.
    #[must_use]
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs statements as the superuser and answers with what they print, one row a line, columns apart by `|`.
    ///
    /// # Panics
    /// Where a statement fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let ran = Command::new(self.programs.path("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
            .args(["-p", &self.port.to_string(), "-U", ROLE, "-d", database, "-c", statements])
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .output();
        match ran {
            Ok(ran) if ran.status.success() => {
                String::from_utf8_lossy(&ran.stdout).trim_end().to_owned()
            }
            other => panic!("{statements}: {other:?}"),
        }
    }

    /// SIGKILL to the server and all its processes, and returns once they are gone.
    pub fn kill(&mut self) -> io::Result<()> {
        self.stop_server()?;
        let children = self.children();
        for child in &children {
            // One that is gone already is what was wanted.
            let _ = kill_process(*child, Signal::KILL);
        }
        self.daemon.kill()?;
        // One that is still ending holds the shared memory, and the next server would refuse to start.
        wait_for("PostgreSQL's end", || {
            children.iter().all(|child| matches!(state(*child), None | Some('Z')))
        })
    }

    /// Starts it again on the same data and port, and waits until it answers.
    pub fn restart(&mut self) -> io::Result<()> {
        if self.daemon.is_running() {
            self.kill()?;
        }
        self.daemon.restart()?;
        self.wait_ready()
    }

    /// SIGSTOP to the server and all its processes: connections stay, and nothing is answered.
    pub fn freeze(&self) -> io::Result<()> {
        self.stop_server()?;
        let children = self.children();
        for child in &children {
            let _ = kill_process(*child, Signal::STOP);
        }
        wait_for("PostgreSQL to freeze", || {
            children.iter().all(|child| matches!(state(*child), None | Some('T' | 'Z')))
        })
    }

    /// Stops the process that starts the others, so that a list of them is complete.
    fn stop_server(&self) -> io::Result<()> {
        self.daemon.freeze()?;
        // The signal takes effect when the process next leaves the kernel.
        wait_for("PostgreSQL to stop", || state(self.daemon.pid()) == Some('T'))
    }

    /// SIGCONT.
    pub fn thaw(&self) -> io::Result<()> {
        for child in self.children() {
            let _ = kill_process(child, Signal::CONT);
        }
        self.daemon.thaw()
    }

    /// Processes the server has started; each leads a process group of its own, so no signal reaches all.
    fn children(&self) -> Vec<Pid> {
        let server = self.daemon.pid().as_raw_nonzero();
        let listed = fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
        let listed = listed.unwrap_or_default();
        listed
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok().and_then(Pid::from_raw))
            .collect()
    }

    fn wait_ready(&self) -> io::Result<()> {
        self.programs.wait_ready(&self.daemon, self.port)
    }
}

fn launch(
    programs: Programs,
    settings: &[(&str, &str)],
    files: &[(&str, &str)],
) -> io::Result<Postgres> {
    let folder = Folder::new()?;
    let data = programs.make_data(folder.path())?;
    for (name, contents) in files {
        private_file(&data.join(name), contents)?;
        programs.give(&data.join(name))?;
    }
    let mut last = io::Error::other("no port was tried");
    for _ in 0..PORTS_TRIED {
        let port = free_port()?;
        let port_text = port.to_string();
        let own = [
            ("port", port_text.as_str()),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("shared_buffers", "32MB"),
            // In its own folder: a server that is killed leaves nothing in /dev/shm.
            ("dynamic_shared_memory_type", "mmap"),
        ];
        let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
        for (name, value) in own.iter().chain(settings) {
            arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let (program, arguments) = programs.as_owner("postgres", arguments);
        let log = folder.path().join("log");
        let daemon = Daemon::start(Launch { program, arguments, environment: Vec::new(), log })?;
        match programs.wait_ready(&daemon, port) {
            Ok(()) => {
                let databases = AtomicU32::new(0);
                return Ok(Postgres { daemon, programs, folder, port, databases });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// PostgreSQL's programs, and as whom the server runs.
#[derive(Debug)]
struct Programs {
    folder: PathBuf,
    /// PostgreSQL refuses to run as root: then this user and group.
    owner: Option<(u32, u32)>,
}

impl Programs {
    fn find() -> Result<Self, Missing> {
        let missing = |why| Missing::new("PostgreSQL", why);
        let folder = newest_of_debian().or_else(on_path);
        let folder =
            folder.ok_or_else(|| missing("install `postgresql` (scripts/test-deps.sh does)"))?;
        let owner =
            if geteuid().is_root() {
                let owner = user("postgres").or_else(|| user("nobody"));
                Some(owner.ok_or_else(|| {
                    missing("root needs a user `postgres` or `nobody` to run it as")
                })?)
            } else {
                None
            };
        Ok(Self { folder, owner })
    }

    fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// A program of the server with its arguments, as the owner of the data.
    fn as_owner(&self, program: &str, arguments: Vec<String>) -> (PathBuf, Vec<String>) {
        let program = self.path(program);
        let Some((user, group)) = self.owner else { return (program, arguments) };
        // It replaces itself by the program, which so keeps the process id.
        let mut all = vec![format!("--reuid={user}"), format!("--regid={group}")];
        all.extend(["--clear-groups".to_owned(), "--".to_owned(), program.display().to_string()]);
        all.extend(arguments);
        ("setpriv".into(), all)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        self.owner.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)))
    }

    /// The data folder of a new server, and the file with its password beside it.
    fn make_data(&self, folder: &Path) -> io::Result<PathBuf> {
        private_file(&folder.join("password"), PASSWORD)?;
        let data = folder.join("data");
        fs::create_dir(&data)?;
        let password = folder.join("initial-password");
        private_file(&password, PASSWORD)?;
        self.give(&data)?;
        self.give(&password)?;
        let arguments = [
            format!("--pgdata={}", data.display()),
            format!("--username={ROLE}"),
            format!("--pwfile={}", password.display()),
        ];
        let fixed = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"];
        let arguments = arguments.into_iter().chain(fixed.map(str::to_owned)).collect();
        let (program, arguments) = self.as_owner("initdb", arguments);
        let made =
            Command::new(program).args(arguments).current_dir("/").stdin(Stdio::null()).output()?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            return Err(io::Error::other(format!("initdb failed: {said}")));
        }
        Ok(data)
    }

    fn wait_ready(&self, daemon: &Daemon, port: u16) -> io::Result<()> {
        daemon.wait_ready(START_MAX, || {
            Command::new(self.path("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
                .status()
                .is_ok_and(|status| status.success())
        })
    }
}

fn wait_for(what: &str, holds: impl FnMut() -> bool) -> io::Result<()> {
    if wait_until(START_MAX, holds) {
        Ok(())
    } else {
        Err(io::Error::other(format!("waited for {what}")))
    }
}

/// The letter of `proc(5)` for what a process is doing; none where there is no such process.
fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // It follows the name, which is in brackets and may hold anything.
    stat.rsplit(')').next()?.trim_start().chars().next()
}

fn newest_of_debian() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let folder = path.join("bin");
        has_all(&folder).then_some((version, folder))
    });
    versions.max().map(|(_, folder)| folder)
}

fn on_path() -> Option<PathBuf> {
    let path = variable("PATH")?;
    path.split(':').map(PathBuf::from).find(|folder| has_all(folder))
}

fn has_all(folder: &Path) -> bool {
    ["initdb", "postgres", "pg_isready", "psql"].iter().all(|name| folder.join(name).is_file())
}

/// Ids of a user of this machine and of their group.
fn user(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut ids = line.split(':').skip(2);
    Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
}

fn private_file(path: &Path, contents: &str) -> io::Result<()> {
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(contents.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::or_skip;

    #[test]
    fn keeps_what_it_acknowledged_and_freezes_as_a_whole() {
        let Some(mut server) = or_skip("test-services::postgres", Postgres::start()) else {
            return;
        };
        let (one, other) = (server.create_database(), server.create_database());
        assert_ne!(one, other);
        server.sql(&one, "CREATE TABLE t AS SELECT 7 AS n");
        server.restart().unwrap();
        assert_eq!(server.sql(&one, "SELECT n, n FROM t"), "7|7");
        assert!(!server.children().is_empty());
        server.freeze().unwrap();
        // A session that had just ended cannot be buried before the thaw.
        let states: Vec<_> = server.children().into_iter().filter_map(state).collect();
        assert!(states.contains(&'T'), "{states:?}");
        assert!(states.iter().all(|state| matches!(state, 'T' | 'Z')), "{states:?}");
        server.thaw().unwrap();
        assert_eq!(server.sql(&one, "SELECT n FROM t"), "7");
        let processes = [server.children(), vec![server.daemon.pid()]].concat();
        server.kill().unwrap();
        assert!(processes.into_iter().all(|pid| matches!(state(pid), None | Some('Z'))));
    }
}
