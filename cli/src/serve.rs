//! One role as a process of its own: configuration ─► ports ─► role ─► servers ─► drain.

mod ports;
mod roles;
pub(crate) mod seam;
mod transport;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use futures::future::select_all;
use nautilus_service::admin_http::{AdminHttp, Readiness};
use nautilus_service::logging::{self, LogFormat, LogSettings};
use nautilus_service::signals::Signals;
use nautilus_service::traces::Traces;
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use serde_json::json;

pub(crate) use self::ports::{Opened, grant_verifier};

use crate::cli::Global;
use crate::commands::build::RebuildArgs;
use crate::commands::snapshot::SnapshotArgs;
use crate::config::ProcessConfig;
use crate::feed::BuildArgs;
use crate::output;

const SIGNALS_DRAIN: Duration = Duration::from_secs(5);
const ADMIN_DRAIN: Duration = Duration::from_secs(5);

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// A TOML file; one may serve all processes of a cluster
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// One setting over those of the file, such as leaf.name=a-1; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}

impl ConfigArgs {
    /// Whether anything was said.
    pub(crate) fn is_given(&self) -> bool {
        self.config.is_some() || !self.settings.is_empty()
    }

    /// Reads it.
    pub(crate) fn load(&self) -> anyhow::Result<ProcessConfig> {
        ProcessConfig::load(self.config.as_deref(), &self.settings)
    }
}

/// What an index builder does.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexBuilderCommand {
    /// Take documents, and change users and namespaces
    #[command(after_help = "Example:\n  nautilus indexbuilder serve --config cluster.toml")]
    Serve(ConfigArgs),
    /// Make whole partitions of documents at once, and publish them as a build
    Build(Box<BuildArgs>),
    /// Keep snapshots fresh without the leaves: the newest one and the log make the next
    Snapshot(SnapshotArgs),
    /// Make a build of another analyzer out of what snapshots hold
    Rebuild(RebuildArgs),
}

/// Which role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Leaf,
    Root,
    Coordinator,
    Merger,
    IndexBuilder,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Leaf => "leaf",
            Self::Root => "root",
            Self::Coordinator => "coordinator",
            Self::Merger => "merger",
            Self::IndexBuilder => "indexbuilder",
        }
    }
}

/// A role that runs.
struct Running {
    /// Where its gRPC server listens; none where it has none.
    address: Option<SocketAddr>,
    /// Its tasks with their time to stop, in the order to stop them.
    parts: Vec<(TaskGroup, Duration)>,
    readiness: Readiness,
    /// What it holds open until its tasks have ended.
    opened: Opened,
}

/// Serves until it is told to stop.
pub(crate) async fn run(global: &Global, role: Role, args: &ConfigArgs) -> anyhow::Result<()> {
    let config = args.load().context("read the configuration")?;
    let traces = config.traces.as_ref().map(Traces::open).transpose().context("set up traces")?;
    let log = LogSettings { format: LogFormat::Auto, filter: config.logging.filter.clone() };
    logging::init(&log, traces.as_ref())?;
    let ended = serve(global, role, &config).await;
    if let Some(traces) = traces {
        // It blocks, and the exporter needs the runtime's threads.
        tokio::task::spawn_blocking(move || traces.close()).await?;
    }
    ended
}

async fn serve(global: &Global, role: Role, config: &ProcessConfig) -> anyhow::Result<()> {
    // From here on a signal asks to stop rather than kills.
    let shutdown = CancellationToken::new();
    let mut signals = TaskGroup::new(&shutdown);
    let handlers = Signals::install().context("handle signals")?;
    let stopped = shutdown.clone();
    signals.spawn("watch-signals", |stop| handlers.watch(shutdown, stop));

    let mut registry = Registry::default();
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("nautilus_build", "What is running", Info::new(version));
    nautilus_service::server::metrics::register(&mut registry);
    nautilus_service::tls::register(&mut registry);
    let clock = Clock::system();
    let name = role.name();
    // Probes get an answer, and metrics a port, while the process waits for the services it stands on.
    let admin = AdminHttp::bind(config.server.admin_listen_address).await?;
    let (admin_address, shown) = (admin.local_addr(), admin.shown());
    let mut admin_tasks = TaskGroup::new(&CancellationToken::new());
    admin_tasks.spawn("admin-http", |stop| admin.serve(stop));
    // Services that are away hold a start up; a signal ends that too.
    let started = tokio::select! {
        () = stopped.cancelled() => None,
        started = roles::start(role, config, clock, &mut registry) => Some(started),
    };
    let mut running = match started {
        Some(Ok(running)) => running,
        ended => {
            admin_tasks.drain(ADMIN_DRAIN).await.log_laggards();
            return match ended {
                Some(Err(error)) => Err(error.context(format!("start the {name}"))),
                Some(Ok(_)) | None => Ok(()),
            };
        }
    };
    shown.show(registry, Arc::clone(&running.readiness));
    announce(global, name, running.address, admin_address)?;
    running.parts.push((admin_tasks, ADMIN_DRAIN));

    let parts = running.parts.iter_mut().map(|(tasks, _)| Box::pin(tasks.wait_or_signal()));
    let outcome = tokio::select! {
        biased;
        outcome = signals.wait_or_signal() => outcome,
        (outcome, _, _) = select_all(parts) => outcome,
    };
    let ended = stop(running).await;
    signals.drain(SIGNALS_DRAIN).await.log_laggards();
    outcome.into_result()?;
    ended
}

async fn stop(running: Running) -> anyhow::Result<()> {
    let mut unclean = Vec::new();
    for (tasks, budget) in running.parts {
        let report = tasks.drain(budget).await;
        report.log_laggards();
        unclean.extend(report.laggards);
        unclean.extend(report.failures.into_iter().map(|failure| failure.name));
    }
    let closed = running.opened.close().await;
    if !unclean.is_empty() {
        bail!("did not stop cleanly: {}", unclean.join(", "));
    }
    closed
}

fn announce(
    global: &Global,
    name: &str,
    address: Option<SocketAddr>,
    admin: SocketAddr,
) -> anyhow::Result<()> {
    let human = || match address {
        Some(address) => format!("{name} serves on {address}, metrics on {admin}"),
        None => format!("{name} runs, metrics on {admin}"),
    };
    let json = || {
        json!({
            "role": name,
            "endpoint": address.map(|address| address.to_string()),
            "admin_endpoint": admin.to_string(),
        })
    };
    output::print(global, human, json)?;
    Ok(())
}
