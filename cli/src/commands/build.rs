//! `nautilus build`: builds in the repository, and which of them replica groups serve.

mod promote;
mod rebuild;
mod repository;
mod shadow;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::{Args, Subcommand};
use nautilus_analysis::ANALYZER_VERSION;
use nautilus_coordinator::operate::GroupSnapshot;
use nautilus_index_repository::{LOG_BUILD, Manifest};
use nautilus_indexbuilder::rebuild::newest_of;
use nautilus_registry::layout::BuildRef;
use nautilus_types::{Class, PartitionId};
use serde_json::{Value, json};

use self::repository::{Build, Repository};
use crate::cli::{Global, duration};
use crate::exit::Failure;
use crate::format::{self, Align};
use crate::output;
use crate::placement::{Placement, listed};
use crate::serve::ConfigArgs;

pub(crate) use rebuild::{RebuildArgs, range, run as rebuild};

/// What to do with builds.
#[derive(Debug, Subcommand)]
pub(crate) enum BuildCommand {
    /// List builds: partitions, offsets, analyzer, age, and who serves them
    #[command(after_help = "Example:\n  nautilus build list --config cluster.toml")]
    List(ConfigArgs),
    /// Show the newest snapshot of each partition of a build
    #[command(after_help = "Example:\n  nautilus build show stems --config cluster.toml")]
    Show(WhichArgs),
    /// Check that every partition has a sound snapshot that the log goes on from
    #[command(after_help = "\
Fails where one has none. What leaves publish who were fed from the log alone is called \"log\".

Example:
  nautilus build verify stems --config cluster.toml")]
    Verify(WhichArgs),
    /// Have one replica group after the other serve a build, without a search noticing
    #[command(after_help = "\
Others complete? Searches away. The leaves exchange their partitions. Caught up? Searches back; then the next group.
Where something is not as it should be, it stops and says why, and the group stays drained; the same command goes on.
While groups serve different builds, a search has fewer replicas to fall back on.

Examples:
  nautilus build promote stems --config cluster.toml --dry-run
  nautilus build promote stems --config cluster.toml --as ada
  nautilus build promote log --config cluster.toml       what is fed from the log alone")]
    Promote(promote::PromoteArgs),
    /// Go back to what each replica group served before, one after the other
    #[command(after_help = "Example:\n  nautilus build rollback --config cluster.toml")]
    Rollback(promote::RollbackArgs),
    /// Run a share of searches on a candidate build as well, and compare what it would have shown
    #[command(after_help = "\
A drawn search is answered as ever. Then it is asked once more, of a replica group that serves the candidate: best of
one that is drained, so that users never meet it. Only sums of how the answers differ are kept.

Examples:
  nautilus build promote stems --group b --keep-drained --config cluster.toml --as ada
  nautilus build shadow stems --share 1% --for 1h --config cluster.toml
  nautilus build shadow --config cluster.toml                       what is asked for now
  nautilus build shadow --report --merger 10.0.0.7:7700 --merger 10.0.0.8:7700
  nautilus build shadow --off --config cluster.toml")]
    Shadow(shadow::ShadowArgs),
    /// Remove builds that nobody serves or could go back to
    #[command(after_help = "\
What is fed from the log alone stays, and so does what is younger than --older-than.

Examples:
  nautilus build gc --config cluster.toml --dry-run
  nautilus build gc --config cluster.toml --yes")]
    Gc(GcArgs),
}

/// Which build.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Which builds go.
#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Of which nothing younger is there
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "7d")]
    older_than: Duration,
    /// Show what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Does it.
pub(crate) async fn run(global: &Global, command: BuildCommand) -> anyhow::Result<()> {
    match command {
        BuildCommand::List(config) => list(global, &config).await,
        BuildCommand::Show(which) => show(global, &which).await,
        BuildCommand::Verify(which) => verify(global, &which).await,
        BuildCommand::Promote(args) => promote::promote(global, &args).await,
        BuildCommand::Rollback(args) => promote::rollback(global, &args).await,
        BuildCommand::Shadow(args) => shadow::run(global, &args).await,
        BuildCommand::Gc(args) => gc(global, &args).await,
    }
}

/// As manifests name it.
fn in_manifests(build: &BuildRef) -> &str {
    build.name.as_deref().unwrap_or(LOG_BUILD)
}

/// Groups that are to serve each build, by the name manifests have for it.
fn served_by(groups: &[GroupSnapshot]) -> BTreeMap<String, Vec<String>> {
    let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for group in groups {
        let name = in_manifests(&group.build()).to_owned();
        by.entry(name).or_default().push(group.group().to_string());
    }
    by
}

async fn list(global: &Global, config: &ConfigArgs) -> anyhow::Result<()> {
    let repository = Repository::open(config).await?;
    let builds = repository.builds().await;
    let (now_ms, partitions) = (repository.parts.clock.unix_ms(), repository.map.partitions);
    repository.close().await?;
    let groups = Placement::open(global, config).await?.groups().await?;
    let (builds, served) = (builds?, served_by(&groups));
    let by = |name: &str| served.get(name).cloned().unwrap_or_default();
    let text = || {
        let columns = [
            ("build", Align::Left),
            ("partitions", Align::Right),
            ("documents", Align::Right),
            ("size", Align::Right),
            ("analyzer", Align::Right),
            ("newest", Align::Left),
            ("served by", Align::Left),
        ];
        let row = |(name, build): (&String, &Build)| {
            vec![
                output::clean_line(name),
                format!("{}/{partitions}", build.newest.len()),
                format::count(build.documents()),
                format::size(build.size_bytes()),
                build.analyzers_text(),
                format::age(build.created_unix_ms(), now_ms),
                by(name).join(", "),
            ]
        };
        format::table(&columns, &builds.iter().map(row).collect::<Vec<_>>())
    };
    let json = || {
        let one = |(name, build): (&String, &Build)| {
            json!({
                "name": name,
                "partitions": build.newest.keys().map(|it| it.0).collect::<Vec<_>>(),
                "documents": build.documents(),
                "size_bytes": build.size_bytes(),
                "analyzer_versions": build.analyzers,
                "created_unix_ms": build.created_unix_ms(),
                "served_by": by(name),
            })
        };
        builds.iter().map(one).collect::<Value>()
    };
    output::print(global, text, json)?;
    Ok(())
}

async fn show(global: &Global, which: &WhichArgs) -> anyhow::Result<()> {
    let repository = Repository::open(&which.config).await?;
    let builds = repository.builds().await;
    let now_ms = repository.parts.clock.unix_ms();
    repository.close().await?;
    let mut builds = builds?;
    let build = builds.remove(&which.name).ok_or_else(|| unknown(&which.name))?;
    let text = || {
        let columns = [
            ("partition", Align::Right),
            ("offset", Align::Right),
            ("documents", Align::Right),
            ("size", Align::Right),
            ("analyzer", Align::Right),
            ("made", Align::Left),
            ("by", Align::Left),
        ];
        let row = |manifest: &Manifest| {
            let draft = &manifest.draft;
            let made = i64::try_from(draft.created_unix_ms).unwrap_or(i64::MAX);
            vec![
                draft.partition.0.to_string(),
                format::count(draft.next_offset.0),
                format::count(draft.documents),
                format::size(manifest.size_bytes()),
                draft.analyzer_version.to_string(),
                format::age(made, now_ms),
                output::clean_line(&draft.uploader),
            ]
        };
        format::table(&columns, &build.newest.values().map(row).collect::<Vec<_>>())
    };
    output::print(global, text, || build.newest.values().map(manifest_json).collect())?;
    Ok(())
}

fn manifest_json(manifest: &Manifest) -> Value {
    let draft = &manifest.draft;
    json!({
        "partition": draft.partition.0,
        "next_offset": draft.next_offset.0,
        "documents": draft.documents,
        "size_bytes": manifest.size_bytes(),
        "format_version": draft.format_version,
        "analyzer_version": draft.analyzer_version,
        "created_unix_ms": draft.created_unix_ms,
        "uploader": draft.uploader,
    })
}

fn unknown(name: &str) -> Failure {
    Failure::new(Class::NotFound, format!("the repository has no snapshot of build {name}"))
}

async fn verify(global: &Global, which: &WhichArgs) -> anyhow::Result<()> {
    let repository = Repository::open(&which.config).await?;
    let checked = check(&repository, &which.name).await;
    repository.close().await?;
    let Checked { build, behind, problems } = checked?;
    let text =
        || {
            let mut lines = vec![format!(
                "build {} (analyzer {}): {} sound, the log goes on for at most {}",
                which.name,
                build.analyzer_version,
                format::counted(u64::try_from(behind.len()).unwrap_or(u64::MAX), "partition"),
                format::counted(behind.values().copied().max().unwrap_or(0), "record"),
            )];
            lines.extend(problems.iter().map(|(partition, why)| {
                format!("partition {partition}: {}", output::clean_line(why))
            }));
            lines.join("\n")
        };
    let json = || {
        let problem = |(it, why): (&PartitionId, &String)| json!({ "partition": it.0, "why": why });
        json!({
            "name": which.name,
            "analyzer_version": build.analyzer_version,
            "sound": behind.keys().map(|it| it.0).collect::<Vec<_>>(),
            "problems": problems.iter().map(problem).collect::<Vec<_>>(),
        })
    };
    output::print(global, text, json)?;
    if problems.is_empty() { Ok(()) } else { Err(incomplete(&which.name, &problems).into()) }
}

/// What was found of a build.
struct Checked {
    build: BuildRef,
    /// Records of the log since its snapshot, of each partition that has a sound one.
    behind: BTreeMap<PartitionId, u64>,
    problems: BTreeMap<PartitionId, String>,
}

/// Whether every partition has a sound snapshot that the log goes on from, all of one analyzer; of what is fed from the
/// log alone, or all of the log.
async fn check(repository: &Repository, name: &str) -> anyhow::Result<Checked> {
    let mut builds = repository.builds().await?;
    let mut found = match builds.remove(name) {
        Some(found) => found,
        // Where the log is whole nothing else is needed.
        None if name == LOG_BUILD => Build::default(),
        None => return Err(unknown(name).into()),
    };
    if name == LOG_BUILD {
        found.analyzers.insert(ANALYZER_VERSION);
    }
    let analyzer_version = match found.analyzers.iter().copied().collect::<Vec<_>>().as_slice() {
        [one] => *one,
        others => {
            let message = format!("build {name} has snapshots of several analyzers: {others:?}");
            return Err(Failure::new(Class::Precondition, message).into());
        }
    };
    let (mut behind, mut problems) = (BTreeMap::new(), BTreeMap::new());
    for partition in repository.partitions() {
        let build = (name, analyzer_version);
        match newest_of(&repository.parts, &repository.map, partition, build).await? {
            Ok((manifest, log_high)) => {
                let records = log_high.0.saturating_sub(manifest.draft.next_offset.0);
                behind.insert(partition, records);
            }
            Err(why) => {
                let marks = repository.parts.log.watermarks(partition).await?;
                // Leaves apply all of the log where there is no snapshot.
                if name == LOG_BUILD && marks.low.0 == 0 {
                    behind.insert(partition, marks.high.0);
                } else {
                    problems.insert(partition, why);
                }
            }
        }
    }
    let name = Some(name.to_owned()).filter(|name| name != LOG_BUILD);
    Ok(Checked { build: BuildRef { name, analyzer_version }, behind, problems })
}

fn incomplete(name: &str, problems: &BTreeMap<PartitionId, String>) -> Failure {
    let partitions = listed(problems.keys());
    let message = format!("build {name} has no sound snapshot of partition {partitions}");
    Failure::new(Class::Precondition, message)
}

async fn gc(global: &Global, args: &GcArgs) -> anyhow::Result<()> {
    let groups = Placement::open(global, &args.config).await?.groups().await?;
    let needed: BTreeSet<String> = groups
        .iter()
        .flat_map(|group| {
            let previous = group.group_build().and_then(|it| it.previous.clone());
            std::iter::once(group.build()).chain(previous)
        })
        .map(|build| in_manifests(&build).to_owned())
        .chain([LOG_BUILD.to_owned()])
        .collect();
    let repository = Repository::open(&args.config).await?;
    let collected = collect(&repository, args, &needed).await;
    repository.close().await?;
    let (names, snapshots) = collected?;
    let is_done = args.yes && !args.dry_run;
    let text = || match (names.as_slice(), is_done) {
        ([], _) => "there is no build that nobody needs".to_owned(),
        (_, true) => format!(
            "removed {} of {}",
            format::counted(snapshots, "snapshot"),
            output::clean_line(&names.join(", "))
        ),
        (_, false) => {
            format!(
                "nothing is changed; would be removed: {}",
                output::clean_line(&names.join(", "))
            )
        }
    };
    let json = || json!({ "builds": names, "snapshots_removed": snapshots, "dry_run": !is_done });
    output::print(global, text, json)?;
    if !args.yes && !args.dry_run && !names.is_empty() {
        return Err(Failure::new(Class::Invalid, "not removed; --yes removes them").into());
    }
    Ok(())
}

/// The builds that go, and how many of their snapshots went.
async fn collect(
    repository: &Repository,
    args: &GcArgs,
    needed: &BTreeSet<String>,
) -> anyhow::Result<(Vec<String>, u64)> {
    let older_ms = u64::try_from(args.older_than.as_millis()).unwrap_or(u64::MAX);
    let before = repository.parts.clock.unix_ms().saturating_sub(older_ms);
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let builds = repository.builds().await?;
    let is_unneeded = |(name, build): &(&String, &Build)| {
        !needed.contains(*name) && build.created_unix_ms() < before
    };
    let names: Vec<String> =
        builds.iter().filter(is_unneeded).map(|(name, _)| name.clone()).collect();
    let mut removed = 0_u64;
    if args.yes && !args.dry_run && !names.is_empty() {
        for partition in repository.partitions() {
            let goes =
                |draft: &nautilus_index_repository::SnapshotDraft| names.contains(&draft.build);
            let gone = repository.parts.snapshots.withdraw(partition, goes).await?;
            removed = removed.saturating_add(u64::try_from(gone.len()).unwrap_or(u64::MAX));
        }
    }
    Ok((names, removed))
}
