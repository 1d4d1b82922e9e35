//! `nautilus feed`: a folder, files or lines of JSON into a namespace, and only what changed.
//!
//! ```text
//! walk ─► extract ─┐
//! jsonl ───────────┴► items ─► compare with what is listed ─► batches ─► several requests ─► tally, dead letters
//! ```

mod backoff;
mod batch;
mod dead_letters;
mod decode;
mod extract;
mod html;
mod identify;
mod item;
mod jsonl;
mod mail;
mod markdown;
mod offline;
mod pipeline;
mod progress;
mod send;
mod source;
mod tally;
mod target;
mod walk;

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use nautilus_service::class_of;
use nautilus_types::Class;
use serde_json::json;

use crate::cli::{Global, duration};
use crate::client::Client;
use crate::credentials::Caller;
use crate::exit::{Failure, Hinted};
use crate::output;

pub(crate) use self::offline::{BuildArgs, run as build};

use self::backoff::Patience;
use self::dead_letters::DeadLetters;
use self::pipeline::Pipeline;
use self::progress::Progress;
use self::source::Source;
use self::target::{Known, Target};
use self::walk::{Rules, Walk};

/// The most namespaces documents are spread over.
const SPREAD_MAX: i64 = 1_000;

/// What to index, and where.
#[derive(Debug, Args)]
#[command(after_help = "\
A document's id is its path below PATH (with several PATHs: with the name of its PATH in front).
Of a text the first 256 KiB are indexed; binary and unreadable files by name only. Messages (.eml, and
files of no telling name that begin like one) by subject, people and text. Feeding again sends only
what has changed.

The list of dead letters has a line of JSON for each thing that went wrong: `source`, `stage` (read,
extract, send), `reason`, `detail`, `bytes`, and `fed`: whether the document was sent all the same.

Lines of JSON have `id` and any of `title`, `path`, `body`, `version`, `created_unix_ms`,
`modified_unix_ms`, `size_bytes`, `media_type`, `attributes`, or `\"delete\": true`.

Examples:
  nautilus feed --create --namespace docs ~/docs
  nautilus feed --namespace docs --prune ~/docs        also delete what is gone
  nautilus feed --namespace code --gitignore src tests
  nautilus feed --namespace mail --dead-letters dead.jsonl ~/Maildir
  producer | nautilus feed --namespace events --jsonl -")]
pub(crate) struct FeedArgs {
    /// Where the documents go
    #[arg(long, short)]
    namespace: String,

    /// Folders and files
    #[arg(required_unless_present = "jsonl", conflicts_with = "jsonl", value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Lines of JSON, one document each; `-` is stdin
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,

    /// Make the user and the namespace where they are not there yet
    #[arg(long)]
    create: bool,

    /// Delete documents of the namespace that the source does not have
    #[arg(long)]
    prune: bool,

    /// Leave out what .gitignore files leave out
    #[arg(long)]
    gitignore: bool,

    /// Also files and folders whose name begins with a dot
    #[arg(long)]
    hidden: bool,

    /// Do not wait until everything is searchable
    #[arg(long)]
    no_wait: bool,

    /// Wait at most this long for the index to catch up, at the start and at the end
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    wait: Duration,

    /// Keep trying this long while the cluster is busy or away
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    retry_for: Duration,

    /// Append a line `id<TAB>hash` for each acknowledged document (`-` as the hash of a deletion)
    #[arg(long, value_name = "FILE")]
    ack_log: Option<PathBuf>,

    /// Write what could not be read, or was refused, and why, as lines of JSON; the file is made anew
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,

    /// Spread the documents over N namespaces NAME-000, NAME-001, … by the hash of their id
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=SPREAD_MAX))]
    spread: Option<u32>,
}

impl FeedArgs {
    fn patience(&self) -> Patience {
        Patience { retry_for: self.retry_for, wait: self.wait }
    }
}

/// Feeds, says what came of it, and fails where a document did.
pub(crate) async fn run(global: &Global, args: FeedArgs) -> anyhow::Result<ExitCode> {
    // Everything that can be wrong on this side, before anything is done on the other.
    let walk = match &args.jsonl {
        Some(_) => None,
        None => Some(Walk::new(&args.paths, rules(global, &args))?),
    };
    let ack_log = args.ack_log.as_deref().map(open_ack_log).transpose()?;
    let dead_letters = DeadLetters::create(args.dead_letters.as_deref())?;
    let client = Client::connect(global).await?;
    let target = Target::new(&args.namespace, args.spread);
    let clock = client.clock.clone();
    let start = clock.now();
    let progress = Progress::start(clock.clone(), "looking at what is there");
    if args.create {
        target.create(&client, global).await?;
    }
    let known = known(&client, &target, &args).await?;
    client.explain(
        "nautilus.ingest.v1.IngestService/Write",
        Caller::User,
        &json!({ "writes": [{
            "namespace": target.name(0), "document_id": "…",
            "upsert": { "title": "…", "path": "…", "body": "…" },
        }] }),
    );

    let mut source = match (walk, &args.jsonl) {
        (Some(walk), _) => Source::walk(walk)?,
        (None, Some(path)) => Source::lines(path)?,
        (None, None) => return Err(Failure::usage("nothing to feed").into()),
    };
    let mut pipeline = Pipeline::new(
        client.clone(),
        target.clone(),
        known,
        args.retry_for,
        ack_log,
        dead_letters,
        progress,
    );
    let fed = feed(&mut pipeline, &mut source, args.prune).await;
    let fed = match fed {
        Ok(()) => settle(&client, &target, &pipeline, source, &args).await,
        Err(error) => Err(error.context("the feed ended early; feed again to send the rest")),
    };
    pipeline.clear_progress();
    let took = clock.now().duration_since(start);
    let into = match target.names() {
        [name] => name.clone(),
        names => format!("{} namespaces {}-…", names.len(), args.namespace),
    };
    output::print(global, || pipeline.tally.text(&into, took), || pipeline.tally.json(took))?;
    fed?;
    Ok(if pipeline.tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn feed(pipeline: &mut Pipeline, source: &mut Source, prune: bool) -> anyhow::Result<()> {
    pipeline.run(&mut source.items).await?;
    if prune && !pipeline.saw_all {
        // What could not be looked at is not known to be gone.
        anyhow::bail!("nothing was pruned: not all of the source could be read");
    }
    if prune {
        pipeline.prune().await?;
    }
    Ok(())
}

/// What comes after the last acknowledgement.
async fn settle(
    client: &Client,
    target: &Target,
    pipeline: &Pipeline,
    source: Source,
    args: &FeedArgs,
) -> anyhow::Result<()> {
    source.finish()?;
    if args.no_wait {
        return Ok(());
    }
    pipeline.say("waiting until everything is searchable");
    let touched = pipeline.touched.iter().copied();
    target.await_searchable(client, touched, args.patience()).await
}

fn rules(global: &Global, args: &FeedArgs) -> Rules {
    Rules {
        with_hidden: args.hidden,
        heed_gitignore: args.gitignore,
        without: Some(global.data_dir.clone()),
    }
}

fn open_ack_log(path: &Path) -> anyhow::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("open {}", path.display()))
}

async fn known(client: &Client, target: &Target, args: &FeedArgs) -> anyhow::Result<Vec<Known>> {
    target.known(client, args.patience()).await.map_err(|error| {
        match error.downcast::<tonic::Status>() {
            Ok(status) if !args.create && class_of(&status) == Class::Denied => {
                let hint = "  --create makes the namespace where it is not there yet".to_owned();
                Hinted { hint, status }.into()
            }
            Ok(status) => status.into(),
            Err(other) => other,
        }
    })
}
