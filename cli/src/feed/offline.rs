//! `nautilus indexbuilder build`: the documents of a feed made into whole partitions, beside the log and the leaves.

mod tally;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nautilus_analysis::{ANALYZER_VERSION, ANALYZER_VERSION_MAX, Analyzer};
use nautilus_catalog::{Catalog, CatalogError, UserId};
use nautilus_index_repository::{LOG_BUILD, Snapshots};
use nautilus_indexbuilder::offline::{Begun, Built, OfflineBuild, OfflineParts, OfflineSettings};
use nautilus_service::Clock;
use nautilus_types::{NamespaceName, PartitionId, PartitionMap};
use serde_json::json;

use self::tally::Tally;
use super::dead_letters::DeadLetters;
use super::source::Source;
use super::target::Target;
use super::walk::{Rules, Walk};
use crate::cli::Global;
use crate::config::ProcessConfig;
use crate::exit::Failure;
use crate::serve::{ConfigArgs, Opened, seam};
use crate::{format, output};

/// Files of the working folder.
const NEW_NAMESPACES: &str = "new-namespaces";
/// Documents between two looks at the progress line.
const SHOWN_EVERY: u64 = 256;

/// Arguments of `nautilus indexbuilder build`.
#[derive(Debug, Args)]
#[command(after_help = "\
A partition of the build holds what its newest snapshot holds, and these documents. Leaves that start from it apply
every record since: nothing that was written is lost. Documents need `version`s (lines of JSON have them), or a
namespace that --create makes. What was published is not built again: run the same command after an interruption.
Several machines share a build when each is given other --partitions, or its --share.

Examples:
  nautilus indexbuilder build --config cluster.toml --name 2026-11 --namespace docs --create ~/docs
  nautilus indexbuilder build --config cluster.toml --name 2026-11 --namespace mail --jsonl mail.jsonl --partitions 0-15")]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Name of the build: letters, digits, `-`, `_` and `.`
    #[arg(long, value_name = "BUILD")]
    name: String,

    /// The build whose newest snapshots it stands on: `log` is what was fed from the log alone
    #[arg(long, value_name = "BUILD", default_value = LOG_BUILD)]
    onto: String,

    /// Version of the analyzer that makes its tokens
    #[arg(long, value_name = "VERSION", default_value_t = ANALYZER_VERSION)]
    analyzer: u32,

    /// Where the documents go
    #[arg(long, short)]
    namespace: String,

    /// Folders and files
    #[arg(required_unless_present = "jsonl", conflicts_with = "jsonl", value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Lines of JSON instead, `-` for stdin
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,

    /// Make the namespaces that are not there
    #[arg(long)]
    create: bool,

    /// Spread the documents over this many namespaces, NAMESPACE-000 and so on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    spread: Option<u32>,

    /// Which partitions, such as 0-15 or 3,7 [default: all]
    #[arg(long, value_name = "RANGE", conflicts_with = "share")]
    partitions: Option<String>,

    /// The share of one of several machines, such as 0/4 to 3/4
    #[arg(long, value_name = "I/N")]
    share: Option<String>,

    /// Memory for all partitions together, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: usize,

    /// Threads that analyse documents [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Write what could not be read, or was refused, and why, as lines of JSON; the file is made anew
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,

    /// Folder for what is being built; the same after an interruption
    #[arg(long, value_name = "DIR", default_value = ".nautilus-build")]
    work: PathBuf,
}

/// Runs the command.
pub(crate) async fn run(global: &Global, args: BuildArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load().context("read the configuration")?;
    let map = PartitionMap::divided(config.cluster.partitions);
    let partitions = match (&args.partitions, &args.share) {
        (Some(text), _) => parse_partitions(text, map.partitions)?,
        (None, Some(text)) => parse_share(text, map.partitions)?,
        (None, None) => (0..map.partitions).map(PartitionId).collect(),
    };
    check_name(&args.name)?;
    let walk = match &args.jsonl {
        Some(_) => None,
        None => Some(Walk::new(&args.paths, Rules::default())?),
    };
    std::fs::create_dir_all(&args.work)
        .with_context(|| format!("create {}", args.work.display()))?;
    let mut opened = Opened::default();
    let built = build(global, &args, &config, (map, partitions), walk, &mut opened).await;
    opened.close().await?;
    built
}

async fn build(
    global: &Global,
    args: &BuildArgs,
    config: &ProcessConfig,
    (map, partitions): (PartitionMap, BTreeSet<PartitionId>),
    walk: Option<Walk>,
    opened: &mut Opened,
) -> anyhow::Result<ExitCode> {
    let clock = Clock::system();
    let (cluster_id, _) = config.cluster.identity()?;
    let repository = config.index_repository.open(None).await?;
    let parts = OfflineParts {
        catalog: opened.catalog(config).await?,
        log: opened.log(config, &clock).await?,
        snapshots: Snapshots::new(repository, cluster_id),
        annotators: seam::annotators(),
        clock: clock.clone(),
    };
    let target = Target::new(&args.namespace, args.spread);
    let user = &global.user;
    let new_namespaces = namespaces(args, &target, parts.catalog.as_ref(), user, &clock).await?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = OfflineSettings {
        build: args.name.clone(),
        onto: args.onto.clone(),
        analyzer: analyzer(args.analyzer)?,
        map,
        partitions,
        folder: args.work.clone(),
        memory_bytes: args.memory.saturating_mul(1 << 20),
        threads: args.threads.unwrap_or(cores),
        new_namespaces,
        annotators: config.indexbuilder.clone().validate()?.annotators,
    };
    let start = clock.now();
    let line = Line::start();
    let mut tally = Tally::new(DeadLetters::create(args.dead_letters.as_deref())?);
    let mut begun = Vec::new();
    let mut build = OfflineBuild::begin(settings, parts, &mut |one: Begun| {
        line.say(&format!("partition {}: {} documents before", one.partition.0, one.documents));
        begun.push(one);
    })
    .await?;
    if begun.is_empty() {
        line.clear();
        output::print(
            global,
            || format!("build {}: everything is published already", args.name),
            || json!({ "build": args.name, "partitions": [] }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut source = match (walk, &args.jsonl) {
        (Some(walk), _) => Source::walk(walk)?,
        (None, Some(path)) => Source::lines(path)?,
        (None, None) => return Err(Failure::usage("nothing to build").into()),
    };
    while let Some(item) = source.items.recv().await {
        tally.take(&mut build, &target, item).await?;
        if tally.seen.is_multiple_of(SHOWN_EVERY) {
            let ms = clock.now().duration_since(start).as_millis().max(1);
            let rate = u128::from(tally.seen) * 1_000 / ms;
            line.say(&format!("{} documents  {rate}/s", format::count(tally.seen)));
        }
    }
    source.finish()?;
    anyhow::ensure!(
        !tally.is_blocked,
        "not all of the source could be read: nothing was published"
    );
    line.say("writing and checking partitions");
    let mut done = Vec::new();
    tally.failed_on = build
        .finish(&mut |one: Built| {
            line.say(&format!("{} of {} partitions published", done.len() + 1, begun.len()));
            done.push(one);
        })
        .await?;
    line.clear();
    let seconds = clock.now().duration_since(start).as_secs_f64();
    output::print(
        global,
        || tally.text(&args.name, &done, seconds),
        || tally.json(&args.name, &done, seconds),
    )?;
    Ok(if tally.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The namespaces that were made for this build, now or by an earlier run of it.
async fn namespaces(
    args: &BuildArgs,
    target: &Target,
    catalog: &dyn Catalog,
    user: &str,
    clock: &Clock,
) -> anyhow::Result<BTreeSet<NamespaceName>> {
    let path = args.work.join(NEW_NAMESPACES);
    let mut made = read_namespaces(&path)?;
    if !args.create {
        return Ok(made);
    }
    let owner = UserId::new(user)?;
    for name in target.names() {
        let name = NamespaceName::new(name.as_str())?;
        if catalog.get_namespace(&name).await?.is_some() {
            continue;
        }
        // Noted first: a run that ends in between makes it again, and may.
        made.insert(name.clone());
        write_namespaces(&path, &made)?;
        match catalog.create_namespace(&name, &owner, clock.unix_ms()).await {
            Ok(_) => {}
            Err(CatalogError::NamespaceExists { .. }) => {
                made.remove(&name);
                write_namespaces(&path, &made)?;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("create namespace {}", name.to_lossy()));
            }
        }
    }
    Ok(made)
}

fn read_namespaces(path: &Path) -> anyhow::Result<BTreeSet<NamespaceName>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    text.lines().map(|line| Ok(NamespaceName::new(line)?)).collect()
}

fn write_namespaces(path: &Path, names: &BTreeSet<NamespaceName>) -> anyhow::Result<()> {
    let text: String = names.iter().map(|name| format!("{}\n", name.to_lossy())).collect();
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// `0-15` or `3,7`.
fn parse_partitions(text: &str, count: u32) -> anyhow::Result<BTreeSet<PartitionId>> {
    let wrong = || {
        let last = count.saturating_sub(1);
        Failure::usage(format!("--partitions {text}: such as 0-{last} or 0,{last}"))
    };
    let mut partitions = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.trim().parse().map_err(|_| wrong())?;
        let last: u32 = last.trim().parse().map_err(|_| wrong())?;
        if first > last || last >= count {
            return Err(wrong().into());
        }
        partitions.extend((first..=last).map(PartitionId));
    }
    Ok(partitions)
}

/// `0/4`: a run of partitions, as long as those of the others or one shorter.
fn parse_share(text: &str, count: u32) -> anyhow::Result<BTreeSet<PartitionId>> {
    let numbers = text.split_once('/');
    let numbers = numbers.and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
    match numbers {
        Some((share, shares)) if share < shares => {
            let (share, shares, count) = (u64::from(share), u64::from(shares), u64::from(count));
            let bounds = [share * count / shares, (share + 1) * count / shares];
            let [first, end] = bounds.map(|bound| u32::try_from(bound).unwrap_or(u32::MAX));
            Ok((first..end).map(PartitionId).collect())
        }
        Some::<(u32, u32)>(_) | None => {
            Err(Failure::usage(format!("--share {text}: such as 0/4, 1/4, 2/4 and 3/4")).into())
        }
    }
}

fn analyzer(version: u32) -> anyhow::Result<Analyzer> {
    let unknown =
        || format!("--analyzer {version}: there are versions 1 to {ANALYZER_VERSION_MAX}");
    Ok(Analyzer::of(version).ok_or_else(|| Failure::usage(unknown()))?)
}

/// A build's name is part of what people type.
fn check_name(name: &str) -> anyhow::Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes_max = nautilus_index_repository::BUILD_BYTES_MAX;
    if name.is_empty() || name.len() > bytes_max || !name.bytes().all(is_plain) || name == LOG_BUILD
    {
        let message = format!(
            "--name {name}: 1 to {bytes_max} letters, digits, `-`, `_` or `.`, and not `log`"
        );
        return Err(Failure::usage(message).into());
    }
    Ok(())
}

/// The line on stderr; nothing where that is no terminal.
struct Line(ProgressBar);

impl Line {
    fn start() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        Self(bar)
    }

    fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_numbers_and_ranges() {
        let of = |text: &str| parse_partitions(text, 8).map(|set| set.len()).ok();
        assert_eq!(of("0-3,7"), Some(5));
        assert_eq!(of("3"), Some(1));
        for wrong in ["", "8", "3-1", "a", "1-", "-"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn shares_are_all_partitions_and_none_twice() {
        for (count, shares) in [(8, 1), (8, 3), (2, 5), (100, 7)] {
            let of = |share: u32| parse_share(&format!("{share}/{shares}"), count).expect("valid");
            let all: Vec<PartitionId> = (0..shares).flat_map(of).collect();
            assert_eq!(all, (0..count).map(PartitionId).collect::<Vec<_>>());
        }
        for wrong in ["", "1", "4/4", "-1/4", "0/0", "a/b"] {
            assert!(parse_share(wrong, 8).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_builds_are_plain() {
        assert!(check_name("2026-11_a.b").is_ok());
        for wrong in ["", "log", "a b", "a/b", "ä"] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }
}
