//! The bytes of manifests and their names: written and read the same for ever.

use proptest::prelude::*;

use super::*;

/// Kept from each version; a file here is never changed.
fn golden(version: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/{version}/manifest"))
}

fn golden_manifest() -> Manifest {
    let file = |name: &str, size_bytes, byte| SnapshotFile {
        name: FileName::new(name).expect("allowed"),
        size_bytes,
        sha256: [byte; 32],
        stored_in: None,
    };
    Manifest {
        cluster_id: CLUSTER,
        draft: draft(12_345),
        files: vec![file("000012.sst", 4096, 3), file("CURRENT", 16, 4)],
        upload: UploadId(std::array::from_fn(|i| u8::try_from(i).expect("below 16"))),
    }
}

#[test]
fn version_1_keeps_its_bytes_and_its_name() {
    let manifest = golden_manifest();
    let bytes = envelope::encode(&manifest).expect("encoded");
    let kept = fs::read(golden("v1")).expect("read");
    assert_eq!(envelope::decode(&kept), Ok(manifest.clone()));
    assert_eq!(bytes, kept);
    assert_eq!(
        manifest.name().as_str(),
        "00000000000000000002-00000000000000012345-00000000000000000005-\
         45c07f4097f07f54a2edf3959e250fde"
    );
}

#[test]
fn version_2_names_earlier_uploads_and_keeps_its_bytes() {
    let mut manifest = golden_manifest();
    manifest.files[0].stored_in = Some(StoredIn {
        snapshot: SnapshotName::of(CLUSTER, &draft(12_000)),
        upload: UploadId([6; 16]),
    });
    assert_eq!(manifest.uploaded_bytes(), 16);
    let bytes = envelope::encode(&manifest).expect("encoded");
    let kept = fs::read(golden("v2")).expect("read");
    assert_eq!(envelope::decode(&kept), Ok(manifest));
    assert_eq!(bytes, kept);
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let names = "[0-9]{6,12}\\.(sst|blob)|CURRENT|(MANIFEST|OPTIONS)-[0-9]{6,12}";
    let files = proptest::collection::btree_map(names, (0..=1_u64 << 31, any::<[u8; 32]>()), 1..20);
    let numbers = any::<(u64, u32, u64, u64, u32, u32, u64, u64)>();
    let texts = ("\\PC{1,30}", "\\PC{1,60}", proptest::option::of(any::<[u8; 16]>()));
    let digests = any::<(Vec<u8>, [u8; 16], [u8; 16])>();
    (files, numbers, texts, digests).prop_map(|(files, n, (build, uploader, print), digests)| {
        let files = files.into_iter().map(|(name, (size_bytes, sha256))| SnapshotFile {
            name: FileName::new(name).expect("allowed"),
            size_bytes,
            sha256,
            stored_in: (size_bytes % 3 > 0).then(|| StoredIn {
                snapshot: SnapshotName::of(CLUSTER, &draft(size_bytes % 5)),
                upload: UploadId([u8::try_from(size_bytes % 7).expect("below 7"); 16]),
            }),
        });
        let (mut document_digest, cluster_id, upload) = digests;
        document_digest.truncate(DIGEST_BYTES_MAX);
        let draft = SnapshotDraft {
            log_generation: LogGeneration(n.0),
            partition: PartitionId(n.1),
            slots: slots(),
            map_version: n.2,
            build,
            epoch: Epoch(n.3),
            uploader,
            created_unix_ms: n.7 >> 1,
            next_offset: Offset(n.6),
            last_record_fingerprint: print,
            format_version: n.4,
            analyzer_version: n.5,
            documents: n.7,
            document_digest,
            posting_digest: Vec::new(),
        };
        Manifest { cluster_id, draft, files: files.collect(), upload: UploadId(upload) }
    })
}

proptest! {
    #[test]
    fn manifests_come_back(manifest in manifests()) {
        let bytes = envelope::encode(&manifest).expect("encoded");
        prop_assert!(bytes.len() <= envelope::ENVELOPE_BYTES_MAX);
        prop_assert_eq!(envelope::decode(&bytes), Ok(manifest));
    }

    #[test]
    fn any_bytes_are_refused_quietly(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(envelope::decode(&bytes).is_err());
        let framed = [&b"NAUTSNAP\x01\0\0\0"[..], &bytes].concat();
        prop_assert!(envelope::decode(&framed).is_err());
        // With everything around it in order, the protobuf inside may still be anything.
        if let Ok(manifest) = envelope::decode(&sealed(&bytes)) {
            prop_assert!(!manifest.files.is_empty());
        }
    }

    #[test]
    fn no_changed_byte_goes_unnoticed(
        manifest in manifests(), position in any::<prop::sample::Index>(), change in 1..=255_u8,
    ) {
        let mut bytes = envelope::encode(&manifest).expect("encoded").to_vec();
        let position = position.index(bytes.len());
        bytes[position] ^= change;
        prop_assert!(envelope::decode(&bytes).is_err());
    }
}

/// Any payload in a sound envelope.
pub(super) fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"NAUTSNAP\x01\0\0\0".to_vec();
    bytes.extend_from_slice(&[5; 16]);
    bytes.extend_from_slice(&u32::try_from(payload.len()).expect("short").to_le_bytes());
    bytes.extend_from_slice(payload);
    let checksum = crate::source::sha256(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

#[test]
fn the_largest_manifest_fits_its_bound() {
    let file = |i| SnapshotFile {
        name: FileName::new(format!("MANIFEST-{i:012}")).expect("allowed"),
        size_bytes: crate::OBJECT_BYTES_MAX,
        sha256: [0xff; 32],
        stored_in: Some(StoredIn {
            snapshot: SnapshotName::of(CLUSTER, &draft(i % 64)),
            upload: UploadId([0xff; 16]),
        }),
    };
    let slots = (0..8192).map(|i| SlotRange { first: Slot(2 * i), last: Slot(2 * i) });
    let draft = SnapshotDraft {
        slots: slots.collect(),
        build: "b".repeat(BUILD_BYTES_MAX),
        uploader: "u".repeat(UPLOADER_BYTES_MAX),
        ..draft(u64::MAX)
    };
    let files = (0..10_000_u64).map(file).collect();
    let manifest = Manifest { cluster_id: CLUSTER, draft, files, upload: UploadId([0; 16]) };
    let bytes = envelope::encode(&manifest).expect("encoded");
    assert!(bytes.len() <= envelope::ENVELOPE_BYTES_MAX, "{}", bytes.len());
    assert_eq!(envelope::decode(&bytes), Ok(manifest));
}
