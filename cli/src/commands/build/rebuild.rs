//! `nautilus indexbuilder rebuild`: a build of another analyzer out of what snapshots hold.

use std::path::PathBuf;

use clap::Args;
use nautilus_index_repository::LOG_BUILD;
use nautilus_indexbuilder::rebuild::{Rebuild, RebuildSettings, Rebuilt};
use nautilus_types::{Class, PartitionId};
use serde_json::json;

use super::repository::Repository;
use crate::cli::Global;
use crate::exit::Failure;
use crate::format;
use crate::output;
use crate::serve::ConfigArgs;

/// Bytes between two lines of progress.
const TOLD_EVERY_BYTES: u64 = 1 << 30;

/// What is made of what.
#[derive(Debug, Args)]
#[command(after_help = "\
Each partition's newest snapshot is downloaded, rebuilt with the analyzer, checked and published under the new name.
Leaves notice nothing; `nautilus build promote` has them serve it. Run again after an interruption it goes on where
it was, and machines may share it: --partitions 0-15 here, 16-31 there.

Examples:
  nautilus indexbuilder rebuild --name stems --analyzer 2 --config cluster.toml --folder /var/tmp/stems
  nautilus indexbuilder rebuild --name stems-2 --of stems --analyzer 2 --partitions 0-15 --config cluster.toml \\
      --folder /var/tmp/stems-2")]
pub(crate) struct RebuildArgs {
    /// Of the new build
    #[arg(long, value_name = "NAME")]
    name: String,

    /// The analyzer's version, from 1
    #[arg(long, value_name = "VERSION")]
    analyzer: u32,

    /// The build whose documents are taken
    #[arg(long = "of", value_name = "NAME", default_value = LOG_BUILD)]
    source: String,

    /// Only these, such as 0-15 or 3
    #[arg(long, value_name = "FIRST-LAST", value_parser = range)]
    partitions: Option<(u32, u32)>,

    /// A folder with room for one partition twice; what is made there goes again
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,

    #[command(flatten)]
    config: ConfigArgs,
}

/// `0-15`, or `3`.
pub(crate) fn range(text: &str) -> Result<(u32, u32), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u32>().map_err(|error| format!("{text:?}: {error}"));
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok((first, last)) } else { Err("the last is before the first".to_owned()) }
}

/// Does it.
pub(crate) async fn run(global: &Global, args: &RebuildArgs) -> anyhow::Result<()> {
    let repository = Repository::open(&args.config).await?;
    let made = make(&repository, args).await;
    let clock = repository.parts.clock.clone();
    repository.close().await?;
    let Made { published, there, documents, bytes, began } = made?;
    let took = clock.now().saturating_duration_since(began);
    let text = || {
        format!(
            "build {} has {}: {} made in {}, {} there before; {}, {}",
            args.name,
            format::counted(published + there, "partition"),
            format::count(published),
            format::took(took),
            format::count(there),
            format::counted(documents, "document"),
            format::size(bytes),
        )
    };
    let json = || {
        json!({
            "name": args.name,
            "analyzer_version": args.analyzer,
            "published": published,
            "there_before": there,
            "documents": documents,
            "size_bytes": bytes,
            "seconds": took.as_secs_f64(),
        })
    };
    output::print(global, text, json)?;
    Ok(())
}

/// What came of it.
struct Made {
    published: u64,
    there: u64,
    documents: u64,
    bytes: u64,
    began: std::time::Instant,
}

async fn make(repository: &Repository, args: &RebuildArgs) -> anyhow::Result<Made> {
    let (first, last) = args.partitions.unwrap_or((0, repository.map.partitions.saturating_sub(1)));
    if last >= repository.map.partitions {
        let message = format!("there are {} partitions", repository.map.partitions);
        return Err(Failure::new(Class::Invalid, message).into());
    }
    let settings = RebuildSettings {
        build: args.name.clone(),
        source: args.source.clone(),
        analyzer_version: args.analyzer,
        map: repository.map,
        folder: args.folder.clone(),
    };
    let rebuild = Rebuild::new(settings, repository.parts.clone(), nautilus_leaf::attributes_of)?;
    let began = repository.parts.clock.now();
    let mut made = Made { published: 0, there: 0, documents: 0, bytes: 0, began };
    for partition in (first..=last).map(PartitionId) {
        let told = std::sync::atomic::AtomicU64::new(0);
        let progress = |bytes: u64, of: u64| {
            let step = bytes / TOLD_EVERY_BYTES;
            if told.swap(step, std::sync::atomic::Ordering::Relaxed) < step {
                let (bytes, of) = (format::size(bytes), format::size(of));
                output::complain(&format!("partition {partition}: {bytes} of {of} downloaded"));
            }
        };
        let (manifest, what) = match rebuild.partition(partition, &progress).await? {
            Rebuilt::Published(manifest) => {
                made.published += 1;
                (manifest, "made")
            }
            Rebuilt::There(manifest) => {
                made.there += 1;
                (manifest, "is there already")
            }
        };
        let draft = &manifest.draft;
        made.documents = made.documents.saturating_add(draft.documents);
        made.bytes = made.bytes.saturating_add(manifest.size_bytes());
        output::complain(&format!(
            "partition {partition} {what}, at offset {}: {}, {}",
            format::count(draft.next_offset.0),
            format::counted(draft.documents, "document"),
            format::size(manifest.size_bytes()),
        ));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_one_or_a_run() {
        assert_eq!(range("0-15"), Ok((0, 15)));
        assert_eq!(range("3"), Ok((3, 3)));
        for wrong in ["", "3-", "5-4", "a", "-1", "1-2-3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
