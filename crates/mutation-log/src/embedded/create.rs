//! Making a log, and finding out which log a directory holds.

use nautilus_types::{LogGeneration, Offset, PartitionId};

use super::config::EmbeddedConfig;
use super::files;
use super::storage::LogStorage;
use crate::{LogError, LogIdentity};

/// The identity of the log in the configured directory, which is made where there is none.
///
/// The identity file is written last. Without it the log is not finished and starts again; but
/// where any segment then holds records, the identity was lost, and that is for a person to judge.
pub(super) fn open_or_create(
    storage: &dyn LogStorage,
    config: &EmbeddedConfig,
) -> Result<LogIdentity, LogError> {
    if let Some(identity) = files::read_identity(storage, &config.dir)? {
        if identity.partitions != config.partitions {
            return Err(LogError::OtherPartitions {
                found: identity.partitions,
                wanted: config.partitions,
            });
        }
        return Ok(identity);
    }
    let mut cluster_id = [0; 16];
    getrandom::fill(&mut cluster_id)
        .map_err(|error| LogError::io("draw a cluster id", std::io::Error::other(error)))?;
    let identity =
        LogIdentity { cluster_id, generation: LogGeneration(1), partitions: config.partitions };
    refuse_orphaned_records(storage, config)?;
    for partition in (0..config.partitions).map(PartitionId) {
        let dir = files::partition_dir(&config.dir, partition);
        storage
            .create_dir(&dir)
            .map_err(|error| LogError::io(format!("make {}", dir.display()), error))?;
        let header = files::encode_segment_header(&identity, partition, Offset(0));
        files::publish(storage, &files::segment_path(&dir, Offset(0)), &header)?;
    }
    files::publish(
        storage,
        &files::identity_path(&config.dir),
        &files::encode_identity(&identity),
    )?;
    Ok(identity)
}

fn refuse_orphaned_records(
    storage: &dyn LogStorage,
    config: &EmbeddedConfig,
) -> Result<(), LogError> {
    for partition in (0..EmbeddedConfig::PARTITIONS_MAX).map(PartitionId) {
        let dir = files::partition_dir(&config.dir, partition);
        let failed = |error| LogError::io(format!("look into {}", dir.display()), error);
        let names = match storage.list(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(failed)?,
        };
        for base in names.iter().filter_map(|name| files::segment_base(name)) {
            let path = files::segment_path(&dir, base);
            let size = storage.open(&path, false).and_then(|file| file.size()).map_err(failed)?;
            if base > Offset(0) || size > files::SEGMENT_HEADER_END {
                let reason = "it holds records, but the log's identity file is missing";
                return Err(LogError::corrupt(path.display().to_string(), reason));
            }
        }
    }
    Ok(())
}
