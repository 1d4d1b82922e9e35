//! A power cut under a real `nautilus dev`: what it had not synced is taken away, and no acknowledged
//! write is lost. On a disk that lies about syncs the same harness finds the loss.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nautilus_integration_tests::checks;
use nautilus_integration_tests::corpus::Corpus;
use nautilus_integration_tests::feed::{Feed, Target};
use nautilus_integration_tests::machine::{Machine, USER};
use nautilus_integration_tests::namespaces::Phoenix;
use nautilus_integration_tests::power_cut::{CutStyle, Recorder};
use nautilus_integration_tests::rng::Rng;
use nautilus_integration_tests::rounds::{Disaster, Rounds};
use nautilus_integration_tests::scratch::Scratch;
use nautilus_integration_tests::settings::Settings;

/// One test at a time: their moments are parts of a measured time.
static ALONE: Mutex<()> = Mutex::new(());

fn settings(test: &str) -> anyhow::Result<Settings> {
    Settings::from_environment(test, env!("CARGO_BIN_EXE_nautilus-under-test"))
}

#[test]
fn a_power_cut_during_a_feed_loses_no_acknowledged_write() -> anyhow::Result<()> {
    let _alone = ALONE.lock();
    let settings = settings("power-cut")?;
    let scratch = Scratch::new("power-cut")?;
    let rng = Rng::new(settings.seed);
    let recorder = Recorder::new(scratch.path())?;
    let machine = Machine::new(scratch.path(), &settings.binary, Some(recorder))?;
    let mut rounds = Rounds::prepare(machine, scratch.path(), Disaster::PowerCut, rng.part(1_000))?;
    rounds.run(settings.rounds, &rng)?;
    let syncs = rounds.totals.syncs;
    for (what, count) in [
        ("the log's segments", syncs.segments),
        ("RocksDB's tables", syncs.tables),
        ("RocksDB's manifests", syncs.manifests),
        ("SQLite's files", syncs.sqlite),
        ("folders", syncs.folders),
    ] {
        ensure!(count > 0, "the shim saw no sync of {what}: {syncs}");
    }
    drop(rounds);
    scratch.finish()
}

#[test]
fn a_power_cut_during_a_deletion_brings_nothing_back() -> anyhow::Result<()> {
    let _alone = ALONE.lock();
    let settings = settings("power-cut-deletion")?;
    let scratch = Scratch::new("power-cut-deletion")?;
    let rng = Rng::new(settings.seed);
    let recorder = Recorder::new(scratch.path())?;
    let machine = Machine::new(scratch.path(), &settings.binary, Some(recorder))?;
    let mut phoenix =
        Phoenix::prepare(machine, scratch.path(), Disaster::PowerCut, rng.part(1_000))?;
    for number in 0..settings.rounds {
        phoenix.round(number).with_context(|| format!("round {number}"))?;
    }
    drop(phoenix);
    scratch.finish()
}

/// The test above can fail: without the log's syncs the same checks report the loss.
#[test]
fn a_disk_that_lies_about_the_log_is_found_out() -> anyhow::Result<()> {
    const DOCUMENTS: usize = 200;
    let _alone = ALONE.lock();
    let settings = settings("lying-disk")?;
    let scratch = Scratch::new("lying-disk")?;
    let mut rng = Rng::new(settings.seed);
    let recorder = Recorder::new(scratch.path())?.lying_about(".segment");
    let mut machine = Machine::new(scratch.path(), &settings.binary, Some(recorder))?;
    machine.start()?;
    machine.command(&["user", "create", USER])?;
    let target = Target::one("doomed");
    target.create(&machine)?;
    let corpus =
        Corpus::generate(&scratch.path().join("corpus"), "doomed", DOCUMENTS, rng.part(1))?;
    let feed = Feed::start(&machine, &target, &corpus.dir, "doomed", Duration::from_secs(60))?;
    let (_, acknowledged) = feed.finish()?;
    ensure!(acknowledged.len() == DOCUMENTS, "{} acknowledged", acknowledged.len());
    let (report, syncs) = machine.cut_power(CutStyle::SyncedOnly, &mut rng)?;
    ensure!(syncs.segments == 0, "the lie was not told: {syncs}");
    machine.start().context("start again")?;
    let stored = machine.connect()?.list(&target.namespaces)?;
    let lost = checks::lost(&acknowledged, &stored);
    println!("lying disk: {report}; {} of {DOCUMENTS} acknowledged writes lost", lost.len());
    ensure!(!lost.is_empty(), "the harness did not notice that the log was never synced");
    drop(machine);
    scratch.finish()
}
