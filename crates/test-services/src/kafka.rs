//! Apache Kafka: one node that is broker and controller (KRaft), on loopback.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::folder::Folder;
use crate::missing::variable;
use crate::{Daemon, Launch, Missing, free_port};

/// What `scripts/test-deps.sh` downloads: checksum and path of each jar.
const JARS: &str = include_str!("../kafka-jars.sha256");
/// No start takes this long, also on a machine that compiles beside it.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// Starts with other ports when those chosen were taken meanwhile.
const STARTS_MAX: usize = 5;
/// Any 22 characters of base64 do; every node is a cluster of its own.
const CLUSTER_ID: &str = "bmF1dGlsdXMtdGVzdHMtMQ";

/// A node in a temporary folder, without topics and without topics that make themselves. Dropping it kills it.
///
/// Its client listener is called `CLIENT` and speaks plain text unless a property says otherwise.
#[derive(Debug)]
pub struct Kafka {
    daemon: Daemon,
    port: u16,
    _folder: Folder,
}

impl Kafka {
    /// Starts a node and waits until it answers.
    ///
    /// # Panics
    /// Where Kafka is installed and does not come up.
    pub fn start() -> Result<Self, Missing> {
        Self::start_with(&[])
    }

    /// Like [`start`](Self::start), with further properties of the broker, which stand above its own.
    ///
    /// # Panics
    /// Where Kafka is installed and does not come up.
    pub fn start_with(properties: &[(&str, &str)]) -> Result<Self, Missing> {
        let class_path = class_path()?;
        let mut failed = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start(&class_path, properties) {
                Ok(kafka) => return Ok(kafka),
                Err(error) => failed = error.to_string(),
            }
        }
        panic!("Kafka does not start: {failed}")
    }

    fn try_start(class_path: &str, properties: &[(&str, &str)]) -> io::Result<Self> {
        let folder = Folder::new()?;
        let (port, controller_port) = (free_port()?, free_port()?);
        let settings = settings(folder.path(), port, controller_port, properties);
        let file = folder.path().join("server.properties");
        fs::write(&file, settings)?;
        let file = file.display().to_string();

        let format = Command::new("java")
            .args(JVM)
            .args([QUICK, "-cp", class_path, "kafka.tools.StorageTool", "format"])
            .args(["--cluster-id", CLUSTER_ID, "--config", &file])
            .stdin(Stdio::null())
            .output()?;
        if !format.status.success() {
            let said = String::from_utf8_lossy(&format.stderr);
            return Err(io::Error::other(format!("the folder was not formatted: {said}")));
        }

        let mut arguments: Vec<_> = JVM.iter().map(|&argument| argument.to_owned()).collect();
        arguments.extend(["-cp".into(), class_path.into(), "kafka.Kafka".into(), file]);
        let launch = Launch {
            program: "java".into(),
            arguments,
            environment: Vec::new(),
            log: folder.path().join("log"),
        };
        let kafka = Self { daemon: Daemon::start(launch)?, port, _folder: folder };
        kafka.wait_ready()?;
        Ok(kafka)
    }

    /// Such as `127.0.0.1:9092`.
    #[must_use]
    pub fn bootstrap_server(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.daemon.kill().expect("Kafka is killed");
    }

    /// Kills it where it runs, starts it again on the same data and ports and waits until it answers.
    ///
    /// # Panics
    /// Where it does not come up.
    pub fn restart(&mut self) {
        self.daemon.restart().expect("Kafka is started again");
        self.wait_ready().expect("Kafka comes up again");
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.daemon.freeze().expect("Kafka is frozen");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.daemon.thaw().expect("Kafka is thawed");
    }

    fn wait_ready(&self) -> io::Result<()> {
        self.daemon.wait_ready(READY_PATIENCE, || answers(self.port).unwrap_or(false))
    }
}

/// For a program that ends at once. The node's own compiler may do all it can: with this one it took 15 % of a machine
/// that a cluster was measured on.
const QUICK: &str = "-XX:TieredStopAtLevel=1";

/// A small heap matters here, peak speed does not. Warnings go to the node's log.
const JVM: &[&str] = &[
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

fn settings(folder: &Path, port: u16, controller_port: u16, properties: &[(&str, &str)]) -> String {
    let data = folder.join("data");
    let mut settings = format!(
        "process.roles=broker,controller
node.id=1
listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENT://127.0.0.1:{port}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs={}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.enable=false
num.network.threads=2
num.io.threads=4
",
        data.display()
    );
    for (name, value) in properties {
        let _ = writeln!(settings, "{name}={value}");
    }
    settings
}

/// The jars: those of `NAUTILUS_KAFKA_HOME` (an unpacked Kafka, or a folder of jars) where it is set, else those
/// that `scripts/test-deps.sh` puts into the user's cache.
fn class_path() -> Result<String, Missing> {
    let java = Command::new("java").arg("-version").stdin(Stdio::null()).output();
    if !java.is_ok_and(|said| said.status.success()) {
        return Err(Missing::new("Kafka", "no Java; `scripts/test-deps.sh` installs it"));
    }
    if let Some(home) = variable("NAUTILUS_KAFKA_HOME") {
        return Ok(format!("{home}/libs/*:{home}/*"));
    }
    let cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")));
    let jars: Vec<&str> = JARS.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let version = jars.iter().find_map(|jar| {
        let (_, rest) = jar.split_once("/kafka_2.13/")?;
        rest.split('/').next()
    });
    let folder = cache.zip(version);
    let folder = folder.map(|(cache, version)| cache.join(format!("nautilus/kafka-{version}")));
    match folder {
        Some(folder) if folder.is_dir() => {
            let jars: Vec<_> =
                jars.iter().map(|jar| folder.join(jar).display().to_string()).collect();
            Ok(jars.join(":"))
        }
        _ => Err(Missing::new("Kafka", "its jars are not there; `scripts/test-deps.sh` gets them")),
    }
}

/// Whether the node answers a request for the versions it speaks. One that wants TLS first closes the
/// connection instead, which only a node that is up does.
fn answers(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // Length; API 18 (versions) in version 0; correlation id; no client id.
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])?;
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => Ok(true),
        Err(error) => Ok(error.kind() == io::ErrorKind::UnexpectedEof),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::or_skip;

    #[test]
    fn comes_up_again_on_the_same_port() {
        let Some(mut kafka) = or_skip("test-services::kafka", Kafka::start()) else { return };
        let port = kafka.port;
        kafka.restart();
        assert!(answers(port).unwrap());
        kafka.kill();
        assert!(answers(port).is_err());
    }
}
