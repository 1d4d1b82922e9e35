//! A full disk, and one that reports errors. Each test runs again in a process of its own, under `disk/shim.c`, which
//! makes calls on chosen files fail while a file says so.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nautilus_leaf::RawConfig;
use nautilus_service::config::HumanDuration;
use tonic::Code;

use crate::world::{LEAF, Running, Setup, World, holder, ids, refusal, until};

/// Where a process under the shim finds what fails.
const CONTROL: &str = "DISK_FAULTS";

/// What of the disk fails.
struct Disk(PathBuf);

impl Disk {
    /// No space in files whose path holds this.
    fn fill(&self, path: &str) {
        self.say(&format!("full {path}"));
    }

    /// Syncs of such files fail.
    fn fail_syncs(&self, path: &str) {
        self.say(&format!("sync {path}"));
    }

    /// These cannot be read, whatever they are called later.
    fn fail_reads(&self, files: &[PathBuf]) {
        let inode = |path: &PathBuf| std::fs::metadata(path).map(|file| file.ino().to_string());
        let inodes: Vec<String> = files.iter().filter_map(|path| inode(path).ok()).collect();
        self.say(&format!("read {} end", inodes.join(" ")));
    }

    fn mend(&self) {
        std::fs::remove_file(&self.0).expect("removed");
    }

    /// At once: half a line would be another one.
    fn say(&self, line: &str) {
        let draft = self.0.with_extension("draft");
        std::fs::write(&draft, line).expect("written");
        std::fs::rename(draft, &self.0).expect("renamed");
    }
}

/// Runs `test` under the shim: here, if this process is, or in another one.
#[allow(clippy::disallowed_methods, reason = "how a test tells its own second run from the first")]
fn under_shim(name: &str, test: impl AsyncFnOnce(Disk)) {
    if let Some(control) = std::env::var_os(CONTROL) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        return runtime.expect("runtime").block_on(test(Disk(PathBuf::from(control))));
    }
    let dir = tempfile::tempdir().expect("temporary folder");
    let library = compile(dir.path());
    let mut again = Command::new(std::env::current_exe().expect("this program"));
    again.args(["--exact", &format!("disk::{name}"), "--nocapture"]);
    again.env("LD_PRELOAD", library).env(CONTROL, dir.path().join("control"));
    let ended = again.output().expect("runs");
    let (out, error) = (text(&ended.stdout), text(&ended.stderr));
    assert!(ended.status.success() && out.contains("1 passed"), "{out}{error}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `make deps` installs the compiler.
fn compile(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/disk/shim.c");
    let library = dir.join("disk.so");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
    let ended = cc.arg(&library).arg(&source).arg("-ldl").output().expect("a C compiler");
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    library
}

/// What is applied goes to disk at once.
fn flushing(raw: &mut RawConfig) {
    raw.flush_records = 1;
    raw.snapshot_interval = HumanDuration(Duration::from_secs(3_600));
}

async fn start(world: &World, change: fn(&mut RawConfig)) -> Running {
    world.assign_all(LEAF).await;
    world.start_as(Setup { change, ..world.setup(LEAF) }).await.serving().await
}

async fn found(world: &World, leaf: &Running) -> Vec<String> {
    let answer = leaf.search(world.search(world.first(), "tide")).await.expect("answered");
    let mut ids = ids(&answer);
    ids.sort();
    ids
}

async fn append(world: &World, id: &str) {
    world.append(world.upsert(world.first(), id, "tide")).await;
}

/// A partition whose files can no longer be written stops alone, says why, and goes on under a new epoch.
async fn stops_and_goes_on(disk: &Disk, fail: fn(&Disk), problem: &str) {
    let world = World::new().await;
    let leaf = start(&world, flushing).await;
    append(&world, "a").await;
    assert_eq!(found(&world, &leaf).await, ["a"]);
    fail(disk);
    append(&world, "b").await;
    let status = leaf.until(0, "FAILED").await;
    assert!(status.detail.contains(problem), "{}", status.detail);
    let refused = refusal(leaf.search(world.search(world.first(), "tide")).await);
    assert_eq!(refused, (Code::Unavailable, "PARTITION_FAILED".to_owned()));
    assert_eq!(leaf.status(1).await.state, "SERVING", "the other goes on");
    append(&world, "c").await;
    // Tried again before it is mended, it stops again.
    world.assign(0, holder(LEAF, 2), None).await;
    until(async || {
        let status = leaf.status(0).await;
        (status.label.expect("labelled").epoch == 2 && status.state == "FAILED").then_some(())
    })
    .await;
    disk.mend();
    world.assign(0, holder(LEAF, 3), None).await;
    leaf.until(0, "SERVING").await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c"]);
    leaf.stop().await;
    // All of it is on the disk.
    let leaf = start(&world, flushing).await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c"]);
    leaf.stop().await;
}

#[test]
fn a_full_disk_stops_a_partition_until_there_is_room() {
    under_shim("a_full_disk_stops_a_partition_until_there_is_room", async |disk| {
        stops_and_goes_on(&disk, |disk| disk.fill("/leaf/p0000-e"), "No space left").await;
    });
}

#[test]
fn a_sync_that_fails_stops_a_partition() {
    under_shim("a_sync_that_fails_stops_a_partition", async |disk| {
        stops_and_goes_on(&disk, |disk| disk.fail_syncs("/leaf/p0000-e"), "Input/output error")
            .await;
    });
}

#[test]
fn a_disk_too_full_for_a_snapshot_stops_nothing() {
    under_shim("a_disk_too_full_for_a_snapshot_stops_nothing", async |disk| {
        let change = |raw: &mut RawConfig| {
            raw.flush_records = 1;
            raw.snapshot_interval = HumanDuration(Duration::from_millis(500));
        };
        let world = World::new().await;
        disk.fill(".snapshot");
        let leaf = start(&world, change).await;
        append(&world, "a").await;
        until(async || (failures(&leaf) >= 2).then_some(())).await;
        assert_eq!(found(&world, &leaf).await, ["a"]);
        assert_eq!(leaf.status(0).await.snapshot_offset, 0);
        disk.mend();
        until(async || (leaf.status(0).await.snapshot_offset == 1).then_some(())).await;
        leaf.stop().await;
    });
}

/// Snapshots that were not published.
fn failures(leaf: &Running) -> u64 {
    let mut registry = prometheus_client::registry::Registry::default();
    leaf.leaf.metrics().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    let is_it = |line: &&str| line.starts_with("nautilus_leaf_snapshot_failures_total{");
    let count = text.lines().find(is_it).and_then(|line| line.rsplit(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[test]
fn files_that_cannot_be_read_are_set_aside_and_replaced() {
    under_shim("files_that_cannot_be_read_are_set_aside_and_replaced", async |disk| {
        let world = World::new().await;
        let leaf = start(&world, flushing).await;
        // Longer than a block, so that opening the folder does not read them already.
        let long = "moon and stars ".repeat(4_000);
        let others: Vec<String> = (0..20).map(|n| format!("x{n}")).collect();
        for id in &others {
            world.append(world.upsert(world.first(), id, &long)).await;
        }
        append(&world, "a").await;
        assert_eq!(found(&world, &leaf).await, ["a"]);
        leaf.stop().await;

        let leaf = start(&world, flushing).await;
        let label = leaf.status(0).await.label.expect("labelled");
        let folder = world.dir.path().join("leaf");
        let tables = || -> Vec<PathBuf> {
            let entries = folder.join("p0000-e1").read_dir().expect("folder");
            let paths = entries.map(|entry| entry.expect("entry").path());
            paths.filter(|path| path.extension().is_some_and(|is| is == "sst")).collect()
        };
        // Each time another document, for what was read once is in memory; a compaction may write new files.
        let mut unread = others.iter();
        let refused = until(async || {
            disk.fail_reads(&tables());
            let id = unread.next().expect("met before all documents are read");
            leaf.fetch(world.fetch(world.first(), &[id])).await.err()
        })
        .await;
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        until(async || folder.join("p0000.damaged").exists().then_some(())).await;
        leaf.until(0, "SERVING").await;
        assert_eq!(found(&world, &leaf).await, ["a"]);
        assert_eq!(leaf.status(0).await.label, Some(label));
        disk.mend();
        leaf.stop().await;
    });
}
