//! `nautilus dev`: all roles in one process, on the embedded parts, with real gRPC between them.
//!
//! ```text
//!           ┌────────────── one process ──────────────────────────────────────────────────────┐
//! client ─► │ public port: merger (search, status) ─► root ─┬► leaves of group a ─► partitions │
//!           │                                               └► leaves of group b ─► partitions │
//!           │              index builder (ingest, accounts) ─► mutation log ──┘                │
//!           │ coordinator of each group ─► registry; snapshots ─► index repository             │
//!           └────────────────────────────────────────────────────────────────────── data dir ──┘
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use nautilus_service::logging::{self, LogFormat, LogSettings};
use nautilus_service::signals::Signals;
use nautilus_service::traces::{TraceSettings, Traces};
use nautilus_service::{CancellationToken, TaskGroup};
use nautilus_types::Class;
use serde_json::json;

use crate::cli::Global;
use crate::cluster::{Cluster, DataDir, Ports, Settings};
use crate::exit::Failure;
use crate::output;
use crate::serve::ConfigArgs;

/// The most partitions a consistency token can name.
const PARTITIONS_MAX: i64 = 256;
/// How long clients are kept waiting for partitions at the start. One that replays for longer is reported
/// to them as not ready.
const READY_WAIT_MAX: Duration = Duration::from_secs(20);
const SIGNALS_DRAIN: Duration = Duration::from_secs(5);

/// Where and how.
#[derive(Debug, Args)]
#[command(after_help = "\
Everything is kept in the data directory (--data-dir, default .nautilus). The other commands find
the address and the keys there. Ctrl-C stops it cleanly.

Examples:
  nautilus dev
  nautilus dev --data-dir /var/tmp/try --listen 127.0.0.1:0
  nautilus dev --groups 3 --leaves 2 --otlp-endpoint http://127.0.0.1:4317")]
pub(crate) struct DevArgs {
    /// Where clients connect; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = crate::cli::ENDPOINT_DEFAULT)]
    listen: SocketAddr,

    /// Where metrics and health are, over HTTP [default: the port after that of --listen]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,

    /// How many partitions a new data directory gets [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=PARTITIONS_MAX))]
    partitions: Option<u32>,

    /// How many replica groups there are; each serves everything on its own
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    groups: u32,

    /// How many leaves each replica group has
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    leaves: u32,

    #[command(flatten)]
    config: ConfigArgs,

    /// Listen on an address that other machines reach, without encryption
    #[arg(long)]
    insecure_i_know: bool,

    /// Send traces to this OTLP collector, over gRPC
    #[arg(long, value_name = "URI", env = "NAUTILUS_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,

    /// What is logged to stderr, such as `warn` or `info,nautilus_leaf=debug`
    #[arg(long, value_name = "FILTER", env = "NAUTILUS_LOG", default_value = "info")]
    log: String,
}

/// Serves until it is told to stop.
pub(crate) async fn run(global: &Global, args: DevArgs) -> anyhow::Result<()> {
    let admin_listen = args.admin_listen.unwrap_or_else(|| admin_listen(args.listen));
    for address in [args.listen, admin_listen] {
        if !address.ip().is_loopback() && !args.insecure_i_know {
            return Err(Failure::new(
                Class::Invalid,
                format!(
                    "{} can be reached from other machines, and nothing here is encrypted: tokens \
                     and documents would be readable on the way\nListen on 127.0.0.1, or say \
                     --insecure-i-know.",
                    address.ip()
                ),
            )
            .into());
        }
    }
    let traces = args.otlp_endpoint.as_deref().map(TraceSettings::new);
    let traces = traces.as_ref().map(Traces::open).transpose().context("set up traces")?;
    let log = LogSettings { format: LogFormat::Auto, filter: args.log.clone() };
    logging::init(&log, traces.as_ref())?;
    let ended = serve(global, &args, admin_listen).await;
    if let Some(traces) = traces {
        // It blocks, and the exporter needs the runtime's threads.
        tokio::task::spawn_blocking(move || traces.close()).await?;
    }
    ended
}

async fn serve(global: &Global, args: &DevArgs, admin_listen: SocketAddr) -> anyhow::Result<()> {
    let data_dir = DataDir::open(&global.data_dir)?;
    let config = args.config.load().context("read the configuration")?;
    let backends = config.backends();
    let (ports, grant_signer) =
        Ports::open_on(&data_dir, args.partitions, &backends, &config.cluster).await?;
    // From here on a signal asks to stop rather than kills.
    let shutdown = CancellationToken::new();
    let mut signals = TaskGroup::new(&shutdown);
    let handlers = Signals::install().context("handle signals")?;
    let stopped = shutdown.clone();
    signals.spawn("watch-signals", |stop| handlers.watch(shutdown, stop));
    let settings = Settings {
        listen: args.listen,
        admin_listen,
        groups: args.groups,
        leaves_per_group: args.leaves,
        roles: config.roles(),
    };
    let mut cluster = Cluster::start(data_dir, ports, grant_signer, settings).await?;
    tokio::select! {
        () = stopped.cancelled() => {}
        waited = tokio::time::timeout(READY_WAIT_MAX, cluster.until_ready()) => if waited.is_err() {
            tracing::warn!("some partitions are not ready yet; they answer when they are");
        },
    }
    cluster.data_dir().announce(cluster.address())?;
    announce(global, &cluster)?;
    let outcome = tokio::select! {
        biased;
        outcome = signals.wait_or_signal() => outcome,
        outcome = cluster.wait() => outcome,
    };
    cluster.data_dir().forget_endpoint()?;
    let ended = cluster.stop().await;
    signals.drain(SIGNALS_DRAIN).await.log_laggards();
    outcome.into_result()?;
    ended
}

/// The port after the public one; any free one beside any free one.
fn admin_listen(listen: SocketAddr) -> SocketAddr {
    let port = match listen.port() {
        0 => 0,
        port => port.saturating_add(1),
    };
    SocketAddr::new(listen.ip(), port)
}

fn announce(global: &Global, cluster: &Cluster) -> anyhow::Result<()> {
    let (address, admin) = (cluster.address(), cluster.admin_address());
    let (partitions, groups) = (cluster.ports().partitions(), cluster.groups().len());
    let data_dir = global.data_dir.display();
    let human = || {
        let options = match global.data_dir.to_str() {
            Some(".nautilus") => String::new(),
            _ => format!(" --data-dir {}", crate::grpcurl::quote(&data_dir.to_string())),
        };
        format!(
            "nautilus {version} serves on {address} (data in {data_dir}, {partitions} partitions, {groups} replica groups)\n\n\
             In another terminal:\n  \
             nautilus feed{options} --create --namespace docs ~/Documents\n  \
             nautilus search{options} your words\n  \
             nautilus status{options}\n  \
             grpcurl -plaintext {address} list\n  \
             curl http://{admin}/metrics\n\n\
             Ctrl-C stops it.\n",
            version = env!("CARGO_PKG_VERSION"),
        )
    };
    let json = || {
        json!({
            "endpoint": address.to_string(),
            "admin_endpoint": admin.to_string(),
            "data_dir": global.data_dir,
            "partitions": partitions,
            "replica_groups": groups,
        })
    };
    output::print(global, human, json)?;
    Ok(())
}
