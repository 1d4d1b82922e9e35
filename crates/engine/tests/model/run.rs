//! One run: applies a history with restarts while other threads ask and take checkpoints, then checks every answer.

use std::path::{Path, PathBuf};

use nautilus_analysis::Analyzer;
use nautilus_engine::{
    Attributes, Checkpoint, EngineError, Outcome, Partition, PartitionIdentity, Resources, Writer,
};
use nautilus_types::{LogGeneration, Offset, PartitionId};

use super::ask::{Answer, Asker, DoneOnDrop, Now};
use super::check::check;
use super::convert::to_engine;
use super::history::{Record, Source, Step};
use super::tally::{Count, Tally};

const SEARCHERS: u64 = 2;
/// Of which each seed has one.
const ANALYZERS: u64 = 2;
/// One life of the partition in so many has a checkpoint taken.
const LIVES_PER_CHECKPOINT: u64 = 5;
const ANSWERS_PER_CHECKPOINT: usize = 12;
const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"model-test-00000",
    log_generation: LogGeneration(1),
    partition: PartitionId(0),
};

/// A checkpoint as it was taken.
struct Taken {
    dir: PathBuf,
    checkpoint: Checkpoint,
    /// Where the partition was when it began.
    begun_at: Offset,
}

pub(crate) fn run(seed: u64, steps: usize) -> Tally {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dir = folder.path().join("life-0");
    let resources = Resources::new(8 << 20, 8 << 20);
    let analyzer = u32::try_from(1 + seed % ANALYZERS).expect("small");
    let analyzer = Analyzer::of(analyzer).expect("there is one");
    let mut source = Source::new(seed);
    let mut tally = Tally::default();
    let mut log: Vec<Record> = Vec::new();
    let mut askers: Vec<_> = (0..SEARCHERS).map(|number| Asker::new(seed, number)).collect();
    let mut answers = Vec::new();
    let mut left = steps;
    let mut life = 0_u64;
    while left > 0 {
        let (partition, mut writer) = open(&dir, analyzer, &resources).expect("opens");
        assert_eq!(partition.durable_offset(), writer.next_offset());
        let durable = writer.next_offset();
        for record in log.iter().filter(|record| record.offset >= durable.0) {
            writer.apply(Offset(record.offset), &to_engine(record)).expect("replays");
        }
        life += 1;
        let now = Now::default();
        let taken = std::thread::scope(|scope| {
            let searchers: Vec<_> = askers
                .iter_mut()
                .map(|asker| {
                    let (partition, now) = (&partition, &now);
                    scope.spawn(move || asker.ask(partition, now))
                })
                .collect();
            let checkpoint = life.is_multiple_of(LIVES_PER_CHECKPOINT).then(|| {
                let (partition, now) = (&partition, &now);
                let dir = folder.path().join(format!("checkpoint-{life}"));
                scope.spawn(move || take(partition, dir, now))
            });
            // Also when applying panics: those who ask would wait for ever.
            let done = DoneOnDrop(&now);
            while left > 0 {
                left -= 1;
                let step = source.step();
                *tally.steps.entry(step).or_default() += 1;
                if step == Step::Restart {
                    break;
                }
                if step == Step::WriteLists {
                    // Records go on meanwhile.
                    let partition = &partition;
                    scope.spawn(move || partition.write_lists().expect("writes lists"));
                    continue;
                }
                apply(&mut writer, source.records(step), &mut log, &mut tally);
                now.publish(&source, &writer);
                if source.flips() {
                    now.wait_for_answer();
                }
            }
            drop(done);
            for searcher in searchers {
                answers.extend(searcher.join().expect("no panic"));
            }
            checkpoint.map(|taking| taking.join().expect("no panic"))
        });
        if let Some(taken) = taken {
            assert!(partition.durable_offset() >= taken.checkpoint.next_offset);
            let asker = &mut Asker::new(seed, SEARCHERS + life);
            answers.extend(ask_checkpoint(&taken, asker, &source, &resources, &mut tally));
        }
        if source.flips() {
            assert_eq!(partition.flush().expect("flushes"), writer.next_offset());
        } else {
            tally.count(Count::Crashes, true);
            let next = folder.path().join(format!("life-{life}"));
            crash(partition, writer, &dir, &next, &|dir| open(dir, analyzer, &resources).is_ok());
            dir = next;
        }
    }
    check(&log, analyzer.version(), answers, &mut tally);
    tally
}

fn open(
    dir: &Path,
    analyzer: Analyzer,
    resources: &Resources,
) -> Result<(Partition, Writer), EngineError> {
    Partition::open_with(dir, &IDENTITY, analyzer, resources, |_| Attributes::default())
}

/// Takes a checkpoint once another record was applied.
fn take(partition: &Partition, dir: PathBuf, now: &Now) -> Taken {
    now.moves_beyond(partition.searcher().next_offset().expect("a label"));
    let begun_at = partition.searcher().next_offset().expect("a label");
    let checkpoint = partition.checkpoint(&dir).expect("takes a checkpoint");
    assert!(checkpoint.next_offset >= begun_at, "{checkpoint:?} begun at {begun_at}");
    assert!(partition.checkpoint(&dir).is_err(), "an existing folder");
    Taken { dir, checkpoint, begun_at }
}

/// What the checkpoint answers, as a partition of its own, at the offset it says.
fn ask_checkpoint(
    taken: &Taken,
    asker: &mut Asker,
    source: &Source,
    resources: &Resources,
    tally: &mut Tally,
) -> Vec<Answer> {
    let Taken { dir, checkpoint, begun_at } = taken;
    // As it is: with the analyzer it was made with.
    let opened = Partition::open(dir, &IDENTITY, resources, |_| Attributes::default());
    let (partition, writer) = opened.expect("opens a checkpoint");
    let offsets = [writer.next_offset(), partition.durable_offset()];
    assert_eq!(offsets, [checkpoint.next_offset; 2]);
    assert_eq!(partition.statistics().expect("counts").documents, checkpoint.documents);
    tally.count(Count::Checkpoints, true);
    tally.count(Count::CheckpointsWithLater, checkpoint.next_offset > *begun_at);
    let now = Now::default();
    now.publish(source, &writer);
    let searcher = partition.searcher();
    (0..ANSWERS_PER_CHECKPOINT).map(|_| asker.ask_once(&searcher, &now)).collect()
}

/// Leaves in `next` what a killed process would find in `dir`: closing would write what is in memory.
fn crash(
    partition: Partition,
    writer: Writer,
    dir: &Path,
    next: &Path,
    opens: &dyn Fn(&Path) -> bool,
) {
    std::mem::forget((partition, writer));
    // Flushes and compactions go on meanwhile, so a copy may miss a file; a whole one opens.
    for _ in 0..100 {
        let copied = copy_folder(dir, next);
        if copied.is_ok() && opens(next) {
            return;
        }
        std::fs::remove_dir_all(next).expect("removes the torn copy");
    }
    panic!("no whole copy of {}", dir.display());
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut names: Vec<_> =
        std::fs::read_dir(from)?.flatten().map(|file| file.file_name()).collect();
    // The manifest last: it names table files that are there by then.
    names.sort_by_key(|name| name.to_string_lossy().starts_with("MANIFEST"));
    // Lists in the making come and go, and are no part of it.
    let is_copied =
        |name: &std::ffi::OsString| name != "LOCK" && !name.to_string_lossy().starts_with("lists-");
    for name in names.into_iter().filter(is_copied) {
        std::fs::copy(from.join(&name), to.join(&name))?;
    }
    Ok(())
}

fn apply(writer: &mut Writer, records: Vec<Record>, log: &mut Vec<Record>, tally: &mut Tally) {
    for record in records {
        let expected_redelivery = Offset(record.offset) < writer.next_offset();
        let outcome = writer.apply(Offset(record.offset), &to_engine(&record)).expect("applies");
        *tally.outcomes.entry(outcome).or_default() += 1;
        assert_eq!(outcome == Outcome::Redelivered, expected_redelivery);
        if !expected_redelivery {
            log.push(record);
        }
    }
}
