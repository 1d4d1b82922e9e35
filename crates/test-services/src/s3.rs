//! A real S3 server: versitygw over a temporary folder. Its conditional create is atomic, also at the end of a
//! multipart upload, which `docs/adr/2026-11-22-object-store.md` has measured.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::folder::Folder;
use crate::missing::variable;
use crate::{Daemon, Launch, Missing, free_port};

/// As `scripts/test-deps.sh` installs it.
const VERSION: &str = "1.8.0";
const READY_MAX: Duration = Duration::from_secs(30);
/// Another process may take a free port first.
const PORTS_MAX: usize = 3;

/// A running S3 server with folders for its data and its log.
#[derive(Debug)]
pub struct S3 {
    daemon: Daemon,
    folder: Folder,
    port: u16,
    has_tls: bool,
}

impl S3 {
    /// Of the one account there is.
    pub const KEY_ID: &str = "nautilus";
    /// Its secret.
    pub const SECRET_KEY: &str = "of-the-tests-only";
    /// Of all buckets.
    pub const REGION: &str = "us-east-1";

    /// Starts a server without buckets and waits until it answers.
    ///
    /// # Panics
    /// Where the program is there and does not come up.
    pub fn start() -> Result<Self, Missing> {
        Self::launch(false)
    }

    /// The same behind TLS, with a certificate for 127.0.0.1 that [`ca_file`](Self::ca_file) vouches for.
    ///
    /// # Panics
    /// Where the programs are there and do not work.
    pub fn start_tls() -> Result<Self, Missing> {
        Self::launch(true)
    }

    fn launch(has_tls: bool) -> Result<Self, Missing> {
        let program = program()?;
        if has_tls && Command::new("openssl").arg("version").output().is_err() {
            return Err(Missing::new("openssl", "install the package openssl"));
        }
        let folder = must("make a folder", Folder::new());
        must("make a folder", fs::create_dir(folder.path().join("data")));
        if has_tls {
            must("make certificates", certificates(folder.path()));
        }
        let mut last = None;
        for _ in 0..PORTS_MAX {
            let port = must("find a port", free_port());
            let mut daemon = must(
                "start versitygw",
                Daemon::start(launch(&program, folder.path(), port, has_tls)),
            );
            match daemon.wait_ready(READY_MAX, || answers(port, has_tls)) {
                Ok(()) => return Ok(Self { daemon, folder, port, has_tls }),
                Err(error) => last = Some(error),
            }
            must("end versitygw", daemon.kill());
        }
        panic!("versitygw does not come up: {last:?}");
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.has_tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The certificate authority of a server behind TLS.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Makes an empty bucket: a folder, as this server keeps them.
    ///
    /// # Panics
    /// Where it is there or cannot be made.
    pub fn make_bucket(&self, name: &str) {
        must("make a bucket", fs::create_dir(self.bucket_dir(name)));
    }

    /// Where the objects of a bucket are, as files.
    #[must_use]
    pub fn bucket_dir(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// Where it cannot be killed.
    pub fn kill(&mut self) {
        must("kill versitygw", self.daemon.kill());
    }

    /// Starts it again on the same data and port, and waits until it answers.
    ///
    /// # Panics
    /// Where it does not come up.
    pub fn restart(&mut self) {
        must("restart versitygw", self.daemon.restart());
        let (port, has_tls) = (self.port, self.has_tls);
        must("wait for versitygw", self.daemon.wait_ready(READY_MAX, || answers(port, has_tls)));
    }

    /// SIGSTOP: connections stay, nothing is answered.
    ///
    /// # Panics
    /// Where the signal cannot be sent.
    pub fn freeze(&self) {
        must("freeze versitygw", self.daemon.freeze());
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// Where the signal cannot be sent.
    pub fn thaw(&self) {
        must("thaw versitygw", self.daemon.thaw());
    }
}

fn launch(program: &Path, folder: &Path, port: u16, has_tls: bool) -> Launch {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut arguments =
        vec!["--port".to_owned(), format!("127.0.0.1:{port}"), "--keep-alive".to_owned()];
    if has_tls {
        arguments.extend([
            "--cert".to_owned(),
            path("server.pem"),
            "--key".to_owned(),
            path("server.key"),
        ]);
    }
    arguments.extend(["posix".to_owned(), path("data")]);
    let environment = [
        ("ROOT_ACCESS_KEY_ID", S3::KEY_ID),
        ("ROOT_SECRET_ACCESS_KEY", S3::SECRET_KEY),
        ("VGW_REGION", S3::REGION),
        ("VGW_QUIET", "true"),
    ];
    Launch {
        program: program.to_owned(),
        arguments,
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        log: folder.join("log"),
    }
}

fn program() -> Result<PathBuf, Missing> {
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
    let program = cache.map(|cache| cache.join(format!("nautilus/versitygw-{VERSION}/versitygw")));
    program
        .filter(|program| program.is_file())
        .ok_or_else(|| Missing::new("an S3 server (versitygw)", "run scripts/test-deps.sh"))
}

/// Whether it answers a request, be it with a refusal.
fn answers(port: u16, has_tls: bool) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    if has_tls {
        // It listens; what it says then is the certificates' affair.
        return true;
    }
    let mut answer = [0; 5];
    connection.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && connection.write_all(b"GET / HTTP/1.0\r\n\r\n").is_ok()
        && connection.read_exact(&mut answer).is_ok()
        && &answer == b"HTTP/"
}

/// An authority and a certificate for 127.0.0.1, both for two days.
fn certificates(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("server.ext"), "subjectAltName=IP:127.0.0.1\n")?;
    let authority = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj /CN=nautilus-tests -keyout ca.key -out ca.pem";
    let request = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 \
        -keyout server.key -out server.csr";
    let sign = "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
        -extfile server.ext -out server.pem";
    for arguments in [authority, request, sign] {
        let output = Command::new("openssl")
            .args(arguments.split_ascii_whitespace())
            .current_dir(folder)
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
    }
    Ok(())
}

#[track_caller]
fn must<T>(what: &str, outcome: io::Result<T>) -> T {
    outcome.unwrap_or_else(|error| panic!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::or_skip;

    #[test]
    fn answers_until_killed_and_again_after_a_restart() {
        let Some(mut s3) = or_skip("nautilus-test-services::s3", S3::start()) else { return };
        assert!(answers(s3.port, false));
        s3.kill();
        assert!(!answers(s3.port, false));
        s3.restart();
        assert!(answers(s3.port, false));
        s3.freeze();
        assert!(!answers(s3.port, false));
        s3.thaw();
    }
}
