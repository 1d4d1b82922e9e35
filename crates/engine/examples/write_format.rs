//! Writes the folder of the present format that later programs must read, unless it is there:
//! `cargo run -p nautilus-engine --example write_format`. Its content is that of `tests/formats/v1`, rebuilt.

use std::fs;
use std::path::{Path, PathBuf};

use nautilus_engine::{Attributes, FORMAT_VERSION, Partition, PartitionIdentity, Resources};
use nautilus_types::{LogGeneration, PartitionId};

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"folder-of-format",
    log_generation: LogGeneration(4),
    partition: PartitionId(7),
};

type Error = Box<dyn std::error::Error>;

/// As in the test that reads it.
fn attributes_of(metadata: &[u8]) -> Attributes {
    let number = std::str::from_utf8(metadata).ok().and_then(|text| text.strip_prefix("size "));
    Attributes { size_bytes: number.and_then(|it| it.parse().ok()), ..Attributes::default() }
}

fn copy(from: &Path, into: &Path) -> Result<(), Error> {
    fs::create_dir(into)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        // RocksDB's options and messages are no part of the format.
        let name = file.file_name().to_string_lossy().into_owned();
        if !name.starts_with("OPTIONS") && !name.starts_with("LO") {
            fs::copy(file.path(), into.join(name))?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let formats = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let kept = formats.join(format!("v{FORMAT_VERSION}"));
    if kept.exists() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (dir, checkpoint) = (folder.path().join("p7"), folder.path().join("checkpoint"));
    copy(&formats.join("v1"), &dir)?;
    let resources = Resources::new(1 << 20, 1 << 20);
    let (partition, _writer) = Partition::open(&dir, &IDENTITY, &resources, attributes_of)?;
    partition.checkpoint(&checkpoint)?;
    copy(&checkpoint, &kept)
}
