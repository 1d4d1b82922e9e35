//! `kill -9` of a real `nautilus dev`: no acknowledged write is lost, and feeding again sends only
//! the rest.

use std::sync::Mutex;

use anyhow::Context as _;
use nautilus_integration_tests::machine::Machine;
use nautilus_integration_tests::namespaces::Phoenix;
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
fn a_kill_during_a_feed_loses_no_acknowledged_write() -> anyhow::Result<()> {
    let _alone = ALONE.lock();
    let settings = settings("kill")?;
    let scratch = Scratch::new("kill")?;
    let rng = Rng::new(settings.seed);
    let machine = Machine::new(scratch.path(), &settings.binary, None)?;
    let mut rounds = Rounds::prepare(machine, scratch.path(), Disaster::Kill, rng.part(1_000))?;
    rounds.run(settings.rounds, &rng)?;
    drop(rounds);
    scratch.finish()
}

#[test]
fn a_kill_during_a_deletion_brings_nothing_back() -> anyhow::Result<()> {
    let _alone = ALONE.lock();
    let settings = settings("kill-deletion")?;
    let scratch = Scratch::new("kill-deletion")?;
    let rng = Rng::new(settings.seed);
    let machine = Machine::new(scratch.path(), &settings.binary, None)?;
    let mut phoenix = Phoenix::prepare(machine, scratch.path(), Disaster::Kill, rng.part(1_000))?;
    for number in 0..settings.rounds {
        phoenix.round(number).with_context(|| format!("round {number}"))?;
    }
    drop(phoenix);
    scratch.finish()
}
