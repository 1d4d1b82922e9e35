//! etcd: one node, or several of one cluster.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::daemon::wait_until;
use crate::folder::Folder;
use crate::{Daemon, Launch, Missing, free_port};

/// No start takes this long, also on a machine that compiles beside it.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// Starts with other ports when those chosen were taken meanwhile.
const STARTS_MAX: usize = 5;

/// A single node on loopback, without TLS unless asked for, in a temporary folder. Dropping it kills it.
#[derive(Debug)]
pub struct Etcd {
    cluster: EtcdCluster,
}

impl Etcd {
    /// Starts a node and waits until it takes writes.
    ///
    /// # Panics
    /// Where etcd is installed and does not come up.
    pub fn start() -> Result<Self, Missing> {
        Self::start_with(&[])
    }

    /// Like [`start`](Self::start), with further arguments of etcd.
    ///
    /// # Panics
    /// Where etcd is installed and does not come up.
    pub fn start_with(arguments: &[&str]) -> Result<Self, Missing> {
        Ok(Self { cluster: EtcdCluster::start_with(1, "http", arguments)? })
    }

    /// Like [`start_with`](Self::start_with), its clients speaking TLS as `arguments` say.
    ///
    /// # Panics
    /// Where etcd is installed and does not come up.
    pub fn start_with_tls(arguments: &[&str]) -> Result<Self, Missing> {
        Ok(Self { cluster: EtcdCluster::start_with(1, "https", arguments)? })
    }

    /// Such as `http://127.0.0.1:2379`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.cluster.members[0].client_url.clone()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.cluster.kill(0);
    }

    /// Kills it where it runs, starts it again on the same data and waits until it takes writes.
    pub fn restart(&mut self) {
        self.cluster.restart(0);
        self.cluster.wait_ready();
    }

    /// Stops it, deletes all it knew and starts it again on the same ports.
    pub fn wipe(&mut self) {
        self.cluster.wipe();
    }

    /// SIGSTOP.
    pub fn freeze(&self) {
        self.cluster.freeze(0);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.cluster.thaw(0);
    }
}

/// Several nodes of one cluster. Dropping it kills them.
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<Member>,
    folder: Folder,
}

#[derive(Debug)]
struct Member {
    daemon: Daemon,
    client_url: String,
    /// Health and metrics over plain HTTP, whatever clients speak.
    metrics_port: u16,
}

impl EtcdCluster {
    /// Starts a cluster of so many nodes and waits until all of them take writes.
    ///
    /// # Panics
    /// Where etcd is installed and does not come up.
    pub fn start(members: usize) -> Result<Self, Missing> {
        Self::start_with(members, "http", &[])
    }

    fn start_with(members: usize, scheme: &str, arguments: &[&str]) -> Result<Self, Missing> {
        check_installed()?;
        let mut failed = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start(members, scheme, arguments) {
                Ok(cluster) => return Ok(cluster),
                Err(error) => failed = error.to_string(),
            }
        }
        panic!("etcd does not start: {failed}")
    }

    fn try_start(members: usize, scheme: &str, arguments: &[&str]) -> io::Result<Self> {
        let folder = Folder::new()?;
        let plans: Vec<_> = (0..members).map(|_| Ports::choose()).collect::<io::Result<_>>()?;
        let peers: Vec<_> = plans
            .iter()
            .enumerate()
            .map(|(i, ports)| format!("n{i}={}", ports.peer_url()))
            .collect();
        let peers = peers.join(",");
        let mut cluster = Self { members: Vec::new(), folder };
        for (i, ports) in plans.iter().enumerate() {
            let client_url = format!("{scheme}://127.0.0.1:{}", ports.client);
            let launch = ports.launch(cluster.folder.path(), i, members, &client_url, &peers);
            let mut launch = launch;
            launch.arguments.extend(arguments.iter().map(ToString::to_string));
            let daemon = Daemon::start(launch)?;
            cluster.members.push(Member { daemon, client_url, metrics_port: ports.metrics });
        }
        for member in &cluster.members {
            member.daemon.wait_ready(READY_PATIENCE, || member.is_healthy())?;
        }
        Ok(cluster)
    }

    /// Of all members, in their order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.client_url.clone()).collect()
    }

    /// Which of the running members leads; waits for an election.
    ///
    /// # Panics
    /// Where none leads in time.
    #[must_use]
    pub fn leader(&self) -> usize {
        let mut leader = None;
        wait_until(READY_PATIENCE, || {
            leader = self.members.iter().position(Member::is_leader);
            leader.is_some()
        });
        let Some(leader) = leader else {
            panic!("no member of etcd leads:\n{}", self.members[0].daemon.last_lines());
        };
        leader
    }

    /// SIGKILL.
    pub fn kill(&mut self, member: usize) {
        self.members[member].daemon.kill().expect("etcd is killed");
    }

    /// Kills it where it runs and starts it again on the same data. Does not wait, since one alone may
    /// have no majority: see [`wait_ready`](Self::wait_ready).
    pub fn restart(&mut self, member: usize) {
        self.members[member].daemon.restart().expect("etcd starts again");
    }

    /// Stops all members, deletes all they knew and starts them again on the same ports.
    ///
    /// # Panics
    /// Where they do not come up.
    pub fn wipe(&mut self) {
        for member in 0..self.members.len() {
            self.kill(member);
            let data = self.folder.path().join(format!("n{member}"));
            fs::remove_dir_all(data).expect("etcd's data are deleted");
        }
        for member in 0..self.members.len() {
            self.restart(member);
        }
        self.wait_ready();
    }

    /// Waits until all members that run take writes.
    ///
    /// # Panics
    /// Where one does not in time.
    pub fn wait_ready(&self) {
        for member in self.members.iter().filter(|member| member.daemon.is_running()) {
            member
                .daemon
                .wait_ready(READY_PATIENCE, || member.is_healthy())
                .expect("etcd is ready");
        }
    }

    /// SIGSTOP.
    pub fn freeze(&self, member: usize) {
        self.members[member].daemon.freeze().expect("etcd is stopped");
    }

    /// SIGCONT.
    pub fn thaw(&self, member: usize) {
        self.members[member].daemon.thaw().expect("etcd goes on");
    }
}

impl Member {
    /// Whether it takes writes: etcd reads by majority to answer this.
    fn is_healthy(&self) -> bool {
        self.read("/health").is_some_and(|body| body.contains(r#""health":"true""#))
    }

    fn is_leader(&self) -> bool {
        self.daemon.is_running()
            && self
                .read("/metrics")
                .is_some_and(|body| body.lines().any(|line| line == "etcd_server_is_leader 1"))
    }

    fn read(&self, path: &str) -> Option<String> {
        let address = ("127.0.0.1".parse::<std::net::IpAddr>().ok()?, self.metrics_port).into();
        let patience = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        stream.set_write_timeout(Some(patience)).ok()?;
        stream
            .write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

struct Ports {
    client: u16,
    peer: u16,
    metrics: u16,
}

impl Ports {
    fn choose() -> io::Result<Self> {
        Ok(Self { client: free_port()?, peer: free_port()?, metrics: free_port()? })
    }

    fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer)
    }

    fn launch(
        &self,
        folder: &Path,
        number: usize,
        members: usize,
        client_url: &str,
        peers: &str,
    ) -> Launch {
        let name = format!("n{number}");
        // A single node has nobody to wait for; several must not lose their leader on a loaded machine.
        let (heartbeat, election) = if members == 1 { ("20", "200") } else { ("50", "500") };
        let data = folder.join(&name).display().to_string();
        let (peer_url, metrics_url) =
            (self.peer_url(), format!("http://127.0.0.1:{}", self.metrics));
        let arguments = [
            ("--name", &*name),
            ("--data-dir", &data),
            ("--listen-client-urls", client_url),
            ("--advertise-client-urls", client_url),
            ("--listen-peer-urls", &peer_url),
            ("--initial-advertise-peer-urls", &peer_url),
            ("--initial-cluster", peers),
            ("--listen-metrics-urls", &metrics_url),
            ("--heartbeat-interval", heartbeat),
            ("--election-timeout", election),
            ("--logger", "zap"),
            ("--log-level", "warn"),
        ];
        let arguments = arguments.iter().flat_map(|(name, value)| [*name, *value]);
        Launch {
            program: "etcd".into(),
            arguments: arguments.map(str::to_owned).collect(),
            environment: Vec::new(),
            log: folder.join(format!("{name}.log")),
        }
    }
}

fn check_installed() -> Result<(), Missing> {
    let mut version = Command::new("etcd");
    version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match version.status() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Missing::new(
            "etcd",
            "install it (Debian: etcd-server), or run scripts/test-deps.sh",
        )),
        status => {
            assert!(
                status.as_ref().is_ok_and(|status| status.success()),
                "etcd --version: {status:?}"
            );
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::or_skip;

    #[test]
    fn starts_restarts_and_says_who_leads() {
        let Some(mut cluster) = or_skip("test-services::etcd", EtcdCluster::start(3)) else {
            return;
        };
        assert_eq!(cluster.endpoints().len(), 3);
        let leader = cluster.leader();
        cluster.kill(leader);
        assert_ne!(cluster.leader(), leader);
        cluster.restart(leader);
        cluster.wait_ready();
    }

    #[test]
    fn a_single_node_is_frozen_thawed_and_wiped() {
        let Some(mut etcd) = or_skip("test-services::etcd", Etcd::start()) else { return };
        let endpoint = etcd.endpoint();
        assert!(endpoint.starts_with("http://127.0.0.1:"), "{endpoint}");
        let member = &etcd.cluster.members[0];
        etcd.freeze();
        assert!(!member.is_healthy());
        etcd.thaw();
        member.daemon.wait_ready(READY_PATIENCE, || member.is_healthy()).unwrap();
        etcd.wipe();
        assert_eq!(etcd.endpoint(), endpoint);
    }
}
