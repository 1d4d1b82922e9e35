//! A real cluster on one machine: etcd, Kafka, S3 and PostgreSQL, and every role as processes of its own, which
//! know each other by certificates.
//!
//! ```text
//! services ─► cluster.toml ─► nautilus init ─► coordinators, leaves, roots, mergers, index builder
//! ```

mod certificates;
mod config;
mod faults;
mod layout;
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nautilus_test_services::{Daemon, Launch};
use nautilus_types::LogGeneration;

use crate::process::Process;

pub use self::layout::{Kind, Layout, Member};
pub use self::services::Services;

/// How long the first start of everything may take.
const READY_TIME_MAX: Duration = Duration::from_secs(120);
/// How long one process may take to answer its admin port.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a process may take to stop when it is asked to.
const STOP_TIME_MAX: Duration = Duration::from_secs(90);

/// The cluster. Dropping it kills every process of it.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    nautilus: PathBuf,
    partitions: u32,
    members: BTreeMap<String, Member>,
    /// Of groups that are not there yet, or no more.
    others: BTreeMap<String, Member>,
    processes: BTreeMap<String, Daemon>,
    /// Settings beside those of all, by member.
    settings: BTreeMap<String, Vec<String>>,
    /// What all of it stands on; last, so that it outlives the roles.
    pub services: Services,
}

impl Cluster {
    /// The topic of the mutation log.
    pub const TOPIC: &str = "nautilus-mutations";
    const ID: [u8; 16] = *b"nautilus-cluster";
    const LOG_GENERATION: LogGeneration = LogGeneration(1);

    /// Which log the cluster writes.
    #[must_use]
    pub fn log_identity(&self) -> nautilus_mutation_log::LogIdentity {
        nautilus_mutation_log::LogIdentity {
            cluster_id: Self::ID,
            generation: Self::LOG_GENERATION,
            partitions: self.partitions,
        }
    }

    /// The same, as consistency tokens name it.
    #[must_use]
    pub fn token_log(&self) -> nautilus_identity::LogIdentity {
        let (cluster_id, generation) = (Self::ID, Self::LOG_GENERATION);
        nautilus_identity::LogIdentity { cluster_id, generation }
    }

    /// Starts services and roles in `folder`, which must be empty, with this `nautilus` binary, and waits
    /// until both groups serve every partition. None where a service is missing here, which is said aloud.
    pub fn start(
        test: &str,
        folder: &Path,
        nautilus: &Path,
        layout: &Layout,
    ) -> anyhow::Result<Option<Self>> {
        let Some(services) = Services::start(test, layout.etcd_members) else { return Ok(None) };
        let members = layout.members().context("find free ports")?;
        let text = config::text(folder, layout, &members, &services);
        let file = folder.join("cluster.toml");
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        config::write_endpoints(folder, &members)?;
        certificates::write(folder, &members)?;
        let is_later = |member: &Member| {
            member.group.as_ref().is_some_and(|group| layout.later_groups.contains(group))
        };
        let members = members.into_iter().map(|member| (member.name.clone(), member));
        let (others, members) = members.partition(|(_, member)| is_later(member));
        let mut cluster = Self {
            folder: folder.to_owned(),
            nautilus: nautilus.to_owned(),
            partitions: layout.partitions,
            members,
            others,
            processes: BTreeMap::new(),
            settings: BTreeMap::new(),
            services,
        };
        cluster.run(&["init"]).context("make what a new cluster needs")?;
        let names: Vec<String> = cluster.members.keys().cloned().collect();
        for name in &names {
            cluster.launch(name)?;
        }
        for name in &names {
            cluster.wait_started(name)?;
        }
        cluster.wait_serving(layout.replicas(), READY_TIME_MAX)?;
        Ok(Some(cluster))
    }

    /// Its folder: `cluster.toml`, keys, logs, and the disks of the leaves.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything that may run, by name.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// Members of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Member> {
        self.members.values().filter(move |member| member.kind == kind)
    }

    /// The replica groups whose processes may run, by name.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<String> {
        self.members.values().filter_map(|member| member.group.clone()).collect()
    }

    /// Makes the processes of a group that was laid out for later members; none of them runs yet.
    pub fn add_group(&mut self, group: &str) -> anyhow::Result<Vec<String>> {
        move_group(group, &mut self.others, &mut self.members)
    }

    /// Takes the processes of a group, which must not run, out of the members.
    pub fn remove_group(&mut self, group: &str) -> anyhow::Result<()> {
        move_group(group, &mut self.members, &mut self.others).map(|_| ())
    }

    /// Runs a command of `nautilus` to its end and returns its stdout.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output =
            self.command(arguments).stdin(Stdio::null()).output().context("start nautilus")?;
        if !output.status.success() {
            bail!("nautilus {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a command of `nautilus`; what it says is kept under this name among the logs.
    pub fn begin(&self, arguments: &[&str], name: &str) -> anyhow::Result<Process> {
        Process::start(self.command(arguments), &self.folder.join("logs"), name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.nautilus);
        command.args(arguments).arg("--data-dir").arg(&self.folder);
        let with_config = ["init", "config", "partition", "leaf", "group", "build", "indexbuilder"];
        if arguments.first().is_some_and(|first| with_config.contains(first)) {
            command.arg("--config").arg(self.folder.join("cluster.toml"));
        }
        command
    }

    /// Starts a member that does not run, and returns before it is ready.
    pub fn launch(&mut self, name: &str) -> anyhow::Result<()> {
        self.launch_as(name, name, &[])
    }

    /// Starts the program of member `name` as the process `process`, with settings that stand above the member's.
    pub fn launch_as(
        &mut self,
        name: &str,
        process: &str,
        settings: &[String],
    ) -> anyhow::Result<()> {
        let member = self.member(name)?;
        let mut arguments: Vec<String> = member.command();
        arguments.extend([
            "--config".to_owned(),
            self.folder.join("cluster.toml").display().to_string(),
        ]);
        let more = self.settings.get(name).cloned().unwrap_or_default();
        for setting in member.settings(&self.folder).iter().chain(&more).chain(settings) {
            arguments.extend(["--set".to_owned(), setting.clone()]);
        }
        let launch = Launch {
            program: self.nautilus.clone(),
            arguments,
            environment: self.environment(name)?,
            log: self.folder.join("logs").join(format!("{process}.log")),
        };
        let daemon = Daemon::start(launch).with_context(|| format!("start {process}"))?;
        self.processes.insert(process.to_owned(), daemon);
        Ok(())
    }

    /// Waits until a member answers its admin port.
    pub fn wait_started(&self, name: &str) -> anyhow::Result<()> {
        let (member, daemon) = (self.member(name)?, self.process(name)?);
        let address = member.admin_address();
        let is_there = || std::net::TcpStream::connect(address).is_ok();
        daemon.wait_ready(START_TIME_MAX, is_there).with_context(|| format!("wait for {name}"))
    }

    /// SIGKILL. Its disk stays.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let mut daemon =
            self.processes.remove(name).with_context(|| format!("{name} does not run"))?;
        daemon.kill().with_context(|| format!("kill {name}"))
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        let mut daemon =
            self.processes.remove(name).with_context(|| format!("{name} does not run"))?;
        let ended = daemon.terminate(STOP_TIME_MAX).with_context(|| format!("stop {name}"))?;
        anyhow::ensure!(ended, "{name} did not stop in time");
        Ok(())
    }

    /// SIGSTOP.
    pub fn freeze(&self, name: &str) -> anyhow::Result<()> {
        self.process(name)?.freeze().with_context(|| format!("freeze {name}"))
    }

    /// SIGCONT.
    pub fn thaw(&self, name: &str) -> anyhow::Result<()> {
        self.process(name)?.thaw().with_context(|| format!("thaw {name}"))
    }

    /// Takes away what a leaf that does not run has on its disk.
    pub fn wipe(&self, name: &str) -> anyhow::Result<()> {
        anyhow::ensure!(!self.processes.contains_key(name), "{name} runs");
        let folder = self.member(name)?.data_dir(&self.folder);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", folder.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self, name: &str) -> bool {
        self.processes.get(name).is_some_and(Daemon::is_running)
    }

    /// Processor time a member has used so far, user and system.
    pub fn processor_time(&self, name: &str) -> anyhow::Result<Duration> {
        let pid = self.process(name)?.pid();
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
        // After the name in brackets: state is field 3, utime and stime are 14 and 15.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let ticks =
            rest.split_whitespace().skip(11).take(2).filter_map(|one| one.parse::<u64>().ok());
        // Linux counts them in hundredths of a second for programs, whatever its timer does.
        Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
    }

    /// Waits until as many replicas as `replicas` serve.
    pub fn wait_serving(&self, replicas: usize, at_most: Duration) -> anyhow::Result<()> {
        crate::wait::wait_until("every replica to serve", at_most, || {
            let serving = self.serving().unwrap_or(0);
            Ok((serving >= replicas).then_some(()))
        })
        .with_context(|| self.run(&["status"]).unwrap_or_default())
    }

    /// Replicas that serve, as `nautilus status` counts them.
    pub fn serving(&self) -> anyhow::Result<usize> {
        let status = self.run(&["status", "--output", "json"])?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        let replicas = status["partitions"].as_array().context("no partitions in the status")?;
        Ok(replicas.iter().filter(|one| one["state"] == "SERVING").count())
    }

    fn member(&self, name: &str) -> anyhow::Result<&Member> {
        self.members.get(name).with_context(|| format!("there is no {name}"))
    }

    fn process(&self, name: &str) -> anyhow::Result<&Daemon> {
        self.processes.get(name).with_context(|| format!("{name} does not run"))
    }
}

/// Moves what is of a group from one to the other; its names.
fn move_group(
    group: &str,
    from: &mut BTreeMap<String, Member>,
    to: &mut BTreeMap<String, Member>,
) -> anyhow::Result<Vec<String>> {
    let is_its = |member: &Member| member.group.as_deref() == Some(group);
    let (moved, kept) = std::mem::take(from).into_iter().partition(|(_, it)| is_its(it));
    *from = kept;
    let moved: BTreeMap<String, Member> = moved;
    anyhow::ensure!(!moved.is_empty(), "there is no group {group}");
    let names = moved.keys().cloned().collect();
    to.extend(moved);
    Ok(names)
}
