//! Snapshots over a folder: what is published is found and comes back; what is damaged does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nautilus_types::{Epoch, LogGeneration, Offset, PartitionId, Slot};
use tempfile::TempDir;

use super::*;
use crate::{FaultPlan, Faulty, FolderRepository};

mod damage;
mod download;
mod faults;
mod find;
mod format;
mod hostile;
mod killed;
mod prune;
mod publish;
mod resume;
mod reuse;
mod schedules;

const CLUSTER: [u8; 16] = [7; 16];
const P: PartitionId = PartitionId(3);

/// What a case does to something sound.
type Change<T> = fn(&mut T);

/// A repository in a folder, and local folders beside it.
struct Scene {
    dir: TempDir,
    folder: Arc<FolderRepository>,
    snapshots: Snapshots,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let folder = FolderRepository::open(&dir.path().join("repository")).await.expect("opened");
        let folder = Arc::new(folder);
        let snapshots = Snapshots::new(folder.clone(), CLUSTER);
        Self { dir, folder, snapshots }
    }

    fn faulty(&self, plan: FaultPlan) -> (Arc<Faulty>, Snapshots) {
        let faulty = Arc::new(Faulty::new(self.folder.clone(), plan));
        (faulty.clone(), Snapshots::new(faulty, CLUSTER))
    }

    /// A local folder with the files of a small checkpoint, its contents made from `tag`.
    fn checkpoint(&self, tag: &str) -> PathBuf {
        let dir = self.dir.path().join(format!("checkpoint-{tag}"));
        let _ = fs::create_dir(&dir);
        for name in ["CURRENT", "MANIFEST-000004", "OPTIONS-000007", "000012.sst"] {
            fs::write(dir.join(name), format!("{name} of {tag}")).expect("written");
        }
        dir
    }

    async fn publish(&self, draft: SnapshotDraft) -> Manifest {
        let dir = self.checkpoint(&draft.next_offset.to_string());
        self.snapshots.publish(draft, &dir, &|_| ()).await.expect("published")
    }

    async fn newest(&self, wanted: &Wanted) -> Found {
        self.snapshots.newest(P, wanted).await.expect("asked")
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("restored")
    }

    /// Restores, checks that what came back is what was found, and cleans up.
    async fn restore(&self, wanted: &Wanted) -> Found {
        let into = self.target();
        let found = self.snapshots.restore(P, wanted, &into, &|_, _| ()).await.expect("asked");
        match &found.manifest {
            Some(manifest) => {
                let tag = manifest.draft.next_offset.to_string();
                assert_eq!(files_of(&into), files_of(&self.checkpoint(&tag)));
                fs::remove_dir_all(&into).expect("removed");
            }
            None => assert!(!into.exists()),
        }
        assert_eq!(self.leftovers(), [""; 0]);
        found
    }

    /// What downloads left beside their target.
    fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("listed").map(|e| e.expect("entry"));
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains("downloading")).collect()
    }

    fn objects(&self) -> PathBuf {
        self.dir.path().join("repository/objects")
    }

    fn manifest_path(&self, manifest: &Manifest) -> PathBuf {
        let folder = self.snapshots.folder(manifest.draft.partition).expect("a folder");
        self.objects().join(folder.manifest(&manifest.name()).expect("a name").as_str())
    }

    fn file_path(&self, manifest: &Manifest, file: &str) -> PathBuf {
        let folder = self.snapshots.folder(manifest.draft.partition).expect("a folder");
        let objects = folder.objects(manifest).expect("names");
        let of_name = objects.into_iter().find(|(_, of)| of.name.as_str() == file);
        self.objects().join(of_name.expect("such a file").0.as_str())
    }

    /// How many objects there are in all.
    fn count(&self) -> usize {
        fn count(dir: &Path) -> usize {
            let entries =
                fs::read_dir(dir).expect("listed").map(|entry| entry.expect("entry").path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(&self.objects())
    }
}

fn draft(next_offset: u64) -> SnapshotDraft {
    SnapshotDraft {
        log_generation: LogGeneration(2),
        partition: P,
        slots: slots(),
        map_version: 1,
        build: "build-a".to_owned(),
        epoch: Epoch(5),
        uploader: "leaf-1".to_owned(),
        created_unix_ms: 1_700_000_000_000,
        next_offset: Offset(next_offset),
        last_record_fingerprint: (next_offset > 0).then_some([9; 16]),
        format_version: 4,
        analyzer_version: 6,
        documents: 11,
        document_digest: vec![1; 16],
        posting_digest: vec![2; 32],
    }
}

fn slots() -> Vec<SlotRange> {
    let range = |first, last| SlotRange { first: Slot(first), last: Slot(last) };
    vec![range(0, 99), range(12_288, 16_383)]
}

fn wanted() -> Wanted {
    Wanted {
        log_generation: LogGeneration(2),
        slots: slots(),
        format_version_max: 4,
        analyzer_version: 6,
        build: None,
        log_low: Offset(0),
        log_high: Offset(1000),
        except: BTreeSet::new(),
    }
}

fn files_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("listed").map(|entry| entry.expect("entry"));
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a plain name");
            (name, fs::read(entry.path()).expect("read"))
        })
        .collect()
}

fn offset_of(found: &Found) -> Option<u64> {
    found.manifest.as_ref().map(|manifest| manifest.draft.next_offset.0)
}

fn reasons(found: &Found) -> Vec<&Unusable> {
    found.passed_over.iter().map(|passed_over| &passed_over.reason).collect()
}
