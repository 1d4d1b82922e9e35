//! `nautilus-chaos`: a real cluster on one machine, and faults against it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use nautilus_integration_tests::chaos::{Options, Run, SCENARIOS, Scenario};
use nautilus_integration_tests::cluster::{Cluster, Kind, Layout};
use nautilus_service::Clock;

/// Faults against a real cluster of processes
#[derive(Debug, Parser)]
#[command(after_help = "\
Everything runs on this machine: etcd, Kafka, an S3 server, PostgreSQL, and every role as processes
of its own. `scripts/test-deps.sh` fetches the services.

Examples:
  nautilus-chaos list
  nautilus-chaos run kill-leaves --seconds 240
  nautilus-chaos all
  nautilus-chaos up --folder /var/tmp/try")]
struct Cli {
    /// The nautilus binary [default: the one beside this program]
    #[arg(long, global = true, value_name = "FILE", env = "NAUTILUS_BIN")]
    nautilus: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the scenarios
    List,
    /// Play one scenario; exit code 0 = everything held
    Run {
        /// Its name
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// Play the scenarios that fit CI
    All {
        #[command(flatten)]
        how: How,
    },
    /// Start a cluster and keep it until Ctrl-C
    Up {
        /// An empty folder for it
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Debug, Clone, clap::Args)]
struct How {
    /// Draws victims and moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the load goes on at least
    #[arg(long, default_value_t = 60, value_name = "S")]
    seconds: u64,
    /// How often a fault that is repeated happens
    #[arg(long, default_value_t = 10, value_name = "N")]
    rounds: u64,
    /// Searches sent each second
    #[arg(long, default_value_t = 100, value_name = "N")]
    searches: u32,
    /// Documents sent each second
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    writes: u32,
    /// Answers held against the replayed log at most, evenly over the run
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    answers: usize,
    /// Keep disks and logs of what held too; those of what did not are always kept
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("nautilus-chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<bool> {
    let given = cli.nautilus;
    match cli.command {
        Command::List => {
            for Scenario { name, about, faults, is_in_ci, .. } in SCENARIOS {
                let ci = if *is_in_ci { "in CI" } else { "" };
                println!("{name:18} {:10} {ci:6} {about}", faults.join(" "));
            }
            Ok(true)
        }
        Command::Run { name, how } => {
            let scenario = Scenario::named(&name).with_context(|| {
                format!("there is no scenario {name}; see `nautilus-chaos list`")
            })?;
            play(scenario, &how, given.as_deref())
        }
        Command::All { how } => all(&how, given.as_deref()),
        Command::Up { folder } => up(&folder, &program(given.as_deref(), "nautilus")?),
    }
}

fn all(how: &How, given: Option<&Path>) -> anyhow::Result<bool> {
    let (mut passed, mut failed) = (0, 0);
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.is_in_ci) {
        match play(scenario, how, given) {
            Ok(true) => passed += 1,
            Ok(false) => failed += 1,
            Err(error) => {
                println!("{}: {error:#}", scenario.name);
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0 && passed > 0)
}

fn play(scenario: &Scenario, how: &How, given: Option<&Path>) -> anyhow::Result<bool> {
    println!("{}: {} (seed {})", scenario.name, scenario.about, how.seed);
    let clock = Clock::system();
    let began = clock.now();
    let options = Options {
        seed: how.seed,
        duration: Duration::from_secs(how.seconds),
        nautilus: program(given, scenario.program())?,
        rounds: how.rounds,
        checks_latency: true,
        searches_per_second: how.searches,
        writes_per_second: how.writes,
        answers_max: how.answers,
    };
    let Some(mut run) = Run::start(scenario.name, &options, &scenario.layout())? else {
        bail!("a service is missing here");
    };
    let played = scenario.play(&mut run);
    let (injected, has_held) = run.verdict();
    for (fault, count) in &injected {
        println!("  injected {count} times: {fault}");
    }
    let has_held = has_held && played.is_ok() && !injected.is_empty();
    let took = clock.now().saturating_duration_since(began).as_secs();
    println!("{}: {} after {took} s", scenario.name, if has_held { "passed" } else { "FAILED" });
    if !has_held || how.keep {
        println!("  everything is kept in {}", run.keep().display());
    }
    played.map(|()| has_held)
}

fn up(folder: &Path, nautilus: &Path) -> anyhow::Result<bool> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    println!("starting services and processes in {} …", folder.display());
    let Some(cluster) = Cluster::start("cluster", &folder, nautilus, &Layout::default())? else {
        bail!("a service is missing here");
    };
    for member in cluster.members().values() {
        let what = if member.kind == Kind::Coordinator {
            "-".to_owned()
        } else {
            member.address().to_string()
        };
        println!("  {:16} {what:22} metrics {}", member.name, member.admin_address());
    }
    println!("\nready. In another terminal:\n  export NAUTILUS_DATA_DIR={}", folder.display());
    println!("  nautilus status\n\nCtrl-C stops it.");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            ended = tokio::signal::ctrl_c() => ended,
            _ = terminate.recv() => Ok(()),
        }
    });
    ended.context("wait for a signal")?;
    println!("stopping …");
    drop(cluster);
    Ok(true)
}

/// The given binary, or the one of this name in the folder of this program.
fn program(given: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let this = std::env::current_exe().context("find this program")?;
    let beside = this.with_file_name(name);
    anyhow::ensure!(beside.exists(), "{} is not there; say --nautilus FILE", beside.display());
    Ok(beside)
}
