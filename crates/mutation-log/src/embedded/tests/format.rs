//! The bytes on disk are fixed: a log of format version 1 reads back, and is written the same again.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use nautilus_types::{LogGeneration, Offset, PartitionId};

use super::{config, contents};
use crate::embedded::files::{self, Mark};
use crate::embedded::frame;
use crate::{EmbeddedLog, LogIdentity, MutationLog};

const P0: PartitionId = PartitionId(0);
const P1: PartitionId = PartitionId(1);

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/v1").join(name)
}

fn identity() -> LogIdentity {
    let cluster_id = std::array::from_fn(|i| u8::try_from(i * 16 + 1).expect("small"));
    LogIdentity { cluster_id, generation: LogGeneration(1), partitions: 2 }
}

/// Every file of the golden log: partition 0 holds an empty record, then a batch of two.
fn files_of_version_1() -> Vec<(&'static str, Vec<u8>)> {
    let seed = files::frame_seed(&identity(), P0, Offset(0));
    let mut segment = files::encode_segment_header(&identity(), P0, Offset(0));
    frame::encode(&mut segment, seed, Offset(0), 1_700_000_000_000, 0, b"");
    frame::encode(&mut segment, seed, Offset(1), 1_700_000_000_001, 0, b"first of a batch");
    frame::encode(&mut segment, seed, Offset(2), 1_700_000_000_001, 1, &[0, 0xff, b'|']);
    vec![
        ("identity", files::encode_identity(&identity())),
        ("partition-00000/00000000000000000000.segment", segment),
        ("partition-00000/durable", Mark::Durable.encode(Offset(3))),
        ("partition-00000/low", Mark::Low.encode(Offset(0))),
        (
            "partition-00001/00000000000000000000.segment",
            files::encode_segment_header(&identity(), P1, Offset(0)),
        ),
    ]
}

#[test]
fn version_1_is_written_as_it_was() {
    for (name, bytes) in files_of_version_1() {
        let path = golden(name);
        let stored = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(stored, bytes, "{name}");
    }
}

#[tokio::test]
async fn version_1_is_read() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, _) in files_of_version_1() {
        let to = dir.path().join(name);
        std::fs::create_dir_all(to.parent().expect("in a folder")).expect("made");
        std::fs::copy(golden(name), to).expect("copied");
    }
    let log = EmbeddedLog::open(config(dir.path(), 1 << 20)).await.expect("opened");
    assert_eq!(*log.identity(), identity());
    let texts: Vec<_> = contents(&log, P0).await.expect("readable").into_values().collect();
    assert_eq!(texts, [&b""[..], b"first of a batch", &[0, 0xff, b'|']]);
    let second = &log.read(P0, Offset(1), 1).await.expect("read")[0];
    assert_eq!(second.appended_at_unix_ms, 1_700_000_000_001);
    assert_eq!(log.append(P0, Bytes::from_static(b"next")).await.expect("appended"), Offset(3));
    assert!(contents(&log, P1).await.expect("readable").is_empty());
}
