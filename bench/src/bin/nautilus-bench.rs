//! `nautilus-bench`: measures one partition against Tantivy, or a running cluster through its public API.

use clap::{Parser, Subcommand};
use nautilus_bench::cluster::{
    BudgetArgs, SearchArgs, WriteArgs, measure_budgets, measure_search, measure_writes,
};
use nautilus_bench::engine::{EngineArgs, ProbeArgs, RecordArgs, measure_engine, probe, record};

/// Measures the engine, or a running `nautilus dev`.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  nautilus-bench engine --quick --output json
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
    /// One partition against Tantivy over the same documents, in the same run
    Engine(EngineArgs),
    /// Make a journal of what was fed to a `nautilus dev`, for `engine --journal`
    Journal(RecordArgs),
    /// A part of `engine` that it starts as a process of its own
    #[command(hide = true)]
    EngineProbe(ProbeArgs),
    /// Latency of real queries, one after the other
    Search(SearchArgs),
    /// Highest write rate, freshness and back-pressure
    Writes(WriteArgs),
    /// Costly queries under small time budgets
    Budgets(BudgetArgs),
}

/// As the product runs, so that memory is measured with its allocator; the peer has the same.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let figures = match cli.command {
        Command::Engine(args) => return measure_engine(&args),
        Command::EngineProbe(args) => return probe(&args),
        Command::Journal(args) => return runtime()?.block_on(record(&args)),
        Command::Search(args) => runtime()?.block_on(measure_search(args))?,
        Command::Writes(args) => runtime()?.block_on(measure_writes(args))?,
        Command::Budgets(args) => runtime()?.block_on(measure_budgets(args))?,
    };
    if cli.json {
        println!("{figures}");
    }
    Ok(())
}
