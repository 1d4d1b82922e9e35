//! `nautilus config`: what a process would be told.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::output;
use crate::serve::ConfigArgs;

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether a configuration is valid, without starting anything
    #[command(after_help = "Example:\n  nautilus config check --config cluster.toml")]
    Check(ConfigArgs),
    /// Print every setting as it is in force: file, variables and flags over the defaults
    #[command(after_help = "Secrets stand in files that settings name, so none is shown.\n\n\
        Example:\n  nautilus config show --config cluster.toml --set leaf.name=a-1")]
    Show(ConfigArgs),
}

pub(crate) fn run(global: &Global, command: &ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check(args) => {
            let config = args.load()?;
            config.check()?;
            output::print(global, || "valid".to_owned(), || json!({ "valid": true }))?;
        }
        ConfigCommand::Show(args) => {
            let config = args.load()?;
            let text = toml::to_string(&config)?;
            let value: Value = serde_json::to_value(&config)?;
            output::print(global, || text.trim_end().to_owned(), || value)?;
        }
    }
    Ok(())
}
