//! `nautilus partition`: what concerns single partitions.

mod skipped;

use clap::Subcommand;

use crate::cli::Global;

/// What to do with partitions.
#[derive(Debug, Subcommand)]
pub(crate) enum PartitionCommand {
    /// List the records that every replica passes over
    Skipped(skipped::SkippedArgs),
}

/// Does what was asked for.
pub(crate) async fn run(global: &Global, command: PartitionCommand) -> anyhow::Result<()> {
    match command {
        PartitionCommand::Skipped(args) => skipped::run(global, &args).await,
    }
}
