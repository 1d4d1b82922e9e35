//! What a partition of a build stands on: the newest sound snapshot, or an empty partition before the log's first record.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nautilus_analysis::ANALYZER_VERSION;
use nautilus_engine::FORMAT_VERSION;
use nautilus_index_repository::{SlotRange, Wanted};
use nautilus_mutation_log::Watermarks;
use nautilus_types::{Offset, PartitionId};

use super::{OfflineError, OfflineParts, OfflineSettings};

/// A snapshot in a folder, or none.
pub(super) struct Base {
    pub(super) folder: Option<PathBuf>,
    pub(super) next_offset: Offset,
    pub(super) documents: u64,
}

/// Downloads what the partition stands on.
pub(super) async fn restore(
    settings: &OfflineSettings,
    parts: &OfflineParts,
    partition: PartitionId,
) -> Result<Base, OfflineError> {
    let marks = parts.log.watermarks(partition).await?;
    let wanted = wanted(settings, parts, partition, marks).await?;
    let folder = base_folder(&settings.folder, partition);
    remove(&folder)?;
    let found = parts.snapshots.restore(partition, &wanted, &folder, &|_, _| {}).await?;
    for passed_over in &found.passed_over {
        let (name, reason) = (passed_over.name.to_string(), passed_over.reason.to_string());
        tracing::warn!(partition = partition.0, snapshot = name, reason, "snapshot not used");
    }
    match found.manifest {
        Some(manifest) => Ok(Base {
            folder: Some(folder),
            next_offset: manifest.draft.next_offset,
            documents: manifest.draft.documents,
        }),
        None if marks.low == Offset(0) => {
            Ok(Base { folder: None, next_offset: Offset(0), documents: 0 })
        }
        None => Err(OfflineError::NothingToBuildOn { partition, log_low: marks.low }),
    }
}

/// A snapshot of the build before that the log as it is goes on from, whatever its analyzer.
async fn wanted(
    settings: &OfflineSettings,
    parts: &OfflineParts,
    partition: PartitionId,
    marks: Watermarks,
) -> Result<Wanted, OfflineError> {
    let manifests = parts.snapshots.manifests(partition).await?;
    let mut drafts = manifests.iter().map(|manifest| &manifest.draft);
    let newest = drafts.find(|draft| draft.build == settings.onto);
    Ok(Wanted {
        log_generation: parts.log.identity().generation,
        slots: SlotRange::all_of(&settings.map, partition),
        format_version_max: FORMAT_VERSION,
        analyzer_version: newest.map_or(ANALYZER_VERSION, |draft| draft.analyzer_version),
        build: Some(settings.onto.clone()),
        log_low: marks.low,
        log_high: marks.high,
        except: BTreeSet::new(),
    })
}

pub(super) fn base_folder(folder: &Path, partition: PartitionId) -> PathBuf {
    folder.join(format!("base-{:05}", partition.0))
}

pub(super) fn remove(dir: &Path) -> Result<(), OfflineError> {
    match std::fs::remove_dir_all(dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(OfflineError::Folder { path: dir.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
