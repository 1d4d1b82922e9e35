//! `nautilus-bench`: measures a running cluster through its public API.

use clap::{Parser, Subcommand};
use nautilus_bench::cluster::{
    BudgetArgs, SearchArgs, WriteArgs, measure_budgets, measure_search, measure_writes,
};

/// Measures a running `nautilus dev`.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  nautilus-bench search --queries queries.jsonl --namespace docs
  nautilus-bench writes --hold-seconds 300
  nautilus-bench budgets --namespace docs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Also print the figures as one line of JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Latency of real queries, one after the other
    Search(SearchArgs),
    /// Highest write rate, freshness and back-pressure
    Writes(WriteArgs),
    /// Costly queries under small time budgets
    Budgets(BudgetArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let figures = match cli.command {
        Command::Search(args) => measure_search(args).await?,
        Command::Writes(args) => measure_writes(args).await?,
        Command::Budgets(args) => measure_budgets(args).await?,
    };
    if cli.json {
        println!("{figures}");
    }
    Ok(())
}
