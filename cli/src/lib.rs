//! The `nautilus` command: what people type, and all roles in one process.
//!
//! ```text
//! arguments ─► cli ─┬► dev       opens the data directory and starts a cluster: all roles
//!                   ├► leaf, root, … one role as a process of its own, on services
//!                   ├► feed      folder ─► text ─► batches ─► ingest.v1
//!                   ├► commands  search, doc, namespace, user, status ─► client ─► gRPC
//!                   ├► commands  partition, leaf, group ─► placement ─► registry
//!                   └► commands  repo ─► index repository
//! ```
//!
//! Not here: anything a role decides. `init` and `config` read the configuration of processes; `partition`, `leaf` and
//! `group` write wishes into the registry; `repo` tidies up the index repository; every other command that starts no
//! role only speaks the public API, with a token it was given or mints with the development issuer's key of the data
//! directory.

pub mod backends;
mod cli;
mod client;
pub mod cluster;
mod commands;
pub mod config;
mod credentials;
mod dev;
mod exit;
mod feed;
mod format;
mod grpcurl;
mod location;
mod output;
mod placement;
mod private_leaf;
mod registry_socket;
mod serve;
mod wire_json;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use nautilus_annotate::Annotator;

use crate::cli::Cli;
pub use crate::serve::seam::LeafServer;

/// As [`run`]; leaves are served by what `make` makes of them. Tests put faults there.
#[must_use]
pub fn run_with_leaves(make: LeafServer) -> ExitCode {
    serve::seam::serve_leaves_by(make);
    run()
}

/// As [`run`]; index builders of this process run these annotators after those of their configuration. This is how an
/// application adds its own: a binary of a few lines.
#[must_use]
pub fn run_with_annotators(annotators: Vec<Arc<dyn Annotator>>) -> ExitCode {
    serve::seam::annotate_by(annotators);
    run()
}

/// Parses the arguments of this process, does what they say and answers with the exit code:
/// 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied or unauthenticated, 5 unavailable or
/// out of time.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Also `--help` and `--version`, which are no failures and go to stdout.
        Err(error) => {
            let is_failure = error.use_stderr();
            // A closed pipe is nobody to tell.
            let _ = error.print();
            return if is_failure { exit::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let format = cli.global.output;
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(commands::dispatch(cli)));
    match ended {
        Ok(code) => code,
        Err(error) => exit::report(&error, format),
    }
}
