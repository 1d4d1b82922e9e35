//! `nautilus completion`: the script that makes a shell complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output;

/// Which shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  nautilus completion bash > /etc/bash_completion.d/nautilus")]
pub(crate) struct CompletionArgs {
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nautilus", &mut script);
    output::say(&String::from_utf8(script)?)?;
    Ok(())
}
