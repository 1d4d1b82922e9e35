//! `nautilus dev`: all roles in one process, on the embedded parts, with real gRPC between them.
//!
//! ```text
//!           ┌────────────── one process ──────────────────────────────────────────────┐
//! client ─► │ public port: merger (search, status) ─► root ─► leaf ─► partitions      │
//!           │              index builder (ingest, accounts) ─► mutation log ──┘       │
//!           └──────────────────────────────────────────────────────────── data dir ───┘
//! ```

mod data_dir;
mod ports;
mod roles;

use std::net::SocketAddr;

use clap::Args;
use nautilus_service::logging::{self, LogFormat, LogSettings};
use nautilus_types::Class;
use serde_json::json;

use crate::cli::Global;
use crate::exit::Failure;
use crate::output;

use self::data_dir::DataDir;
use self::ports::Ports;
use self::roles::Roles;

/// The most partitions a consistency token can name.
const PARTITIONS_MAX: i64 = 256;

/// Where and how.
#[derive(Debug, Args)]
#[command(after_help = "\
Everything is kept in the data directory (--data-dir, default .nautilus). The other commands find
the address and the keys there. Ctrl-C stops it cleanly.

Examples:
  nautilus dev
  nautilus dev --data-dir /var/tmp/try --listen 127.0.0.1:0")]
pub(crate) struct DevArgs {
    /// Where clients connect; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = crate::cli::ENDPOINT_DEFAULT)]
    listen: SocketAddr,

    /// How many partitions a new data directory gets [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=PARTITIONS_MAX))]
    partitions: Option<u32>,

    /// Listen on an address that other machines reach, without encryption
    #[arg(long)]
    insecure_i_know: bool,

    /// What is logged to stderr, such as `warn` or `info,nautilus_leaf=debug`
    #[arg(long, value_name = "FILTER", env = "NAUTILUS_LOG", default_value = "info")]
    log: String,
}

/// Serves until it is told to stop.
pub(crate) async fn run(global: &Global, args: DevArgs) -> anyhow::Result<()> {
    if !args.listen.ip().is_loopback() && !args.insecure_i_know {
        return Err(Failure::new(
            Class::Invalid,
            format!(
                "{} can be reached from other machines, and nothing here is encrypted: tokens \
                 and documents would be readable on the way\nListen on 127.0.0.1, or say \
                 --insecure-i-know.",
                args.listen.ip()
            ),
        )
        .into());
    }
    logging::init(&LogSettings { format: LogFormat::Auto, filter: args.log.clone() })?;
    let data_dir = DataDir::open(&global.data_dir)?;
    let (ports, grant_signer) = Ports::open(&data_dir, args.partitions).await?;
    let started = Roles::start(&data_dir, &ports, grant_signer, args.listen).await;
    let ended = match started {
        Ok(roles) => {
            data_dir.announce(roles.address())?;
            announce(global, &roles, ports.partitions())?;
            let ended = roles.until_stopped().await;
            data_dir.forget_endpoint()?;
            ended
        }
        Err(error) => Err(error),
    };
    let closed = ports.close().await;
    ended.and(closed)
}

fn announce(global: &Global, roles: &Roles, partitions: u32) -> anyhow::Result<()> {
    let address = roles.address();
    let data_dir = global.data_dir.display();
    let human = || {
        let options = match global.data_dir.to_str() {
            Some(".nautilus") => String::new(),
            _ => format!(" --data-dir {}", crate::grpcurl::quote(&data_dir.to_string())),
        };
        format!(
            "nautilus {version} serves on {address} (data in {data_dir}, {partitions} partitions)\n\n\
             In another terminal:\n  \
             nautilus feed{options} --create --namespace docs ~/Documents\n  \
             nautilus search{options} your words\n  \
             nautilus status{options}\n  \
             grpcurl -plaintext {address} list\n\n\
             Ctrl-C stops it.\n",
            version = env!("CARGO_PKG_VERSION"),
        )
    };
    let json = || {
        json!({
            "endpoint": address.to_string(),
            "data_dir": global.data_dir,
            "partitions": partitions,
        })
    };
    output::print(global, human, json)?;
    Ok(())
}
