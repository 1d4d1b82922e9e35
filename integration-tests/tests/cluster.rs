//! The binary as a real cluster of processes on real services, the short form of what `nautilus-chaos` does.

use std::path::PathBuf;
use std::time::Duration;

use nautilus_integration_tests::chaos::{Options, Run, Scenario};
use nautilus_integration_tests::cluster::Layout;

/// Two leaves of a cluster under load die and are replaced from the idle pool; no search suffers and no
/// acknowledged document is lost.
#[test]
fn a_killed_leaf_is_not_missed() {
    let name = "kill-leaves";
    let options = Options {
        seed: 1,
        duration: Duration::from_secs(30),
        nautilus: PathBuf::from(env!("CARGO_BIN_EXE_nautilus-under-test")),
        rounds: 2,
        checks_latency: false,
        searches_per_second: 20,
        writes_per_second: 100,
        answers_max: 1_000,
    };
    let started = Run::start(name, &options, &Layout::default()).expect("starts");
    let Some(mut run) = started else { return };
    Scenario::named(name).expect("there is such a scenario").play(&mut run).expect("plays");
    let (injected, has_held) = run.verdict();
    assert!(!injected.is_empty());
    if !has_held {
        panic!("something did not hold; everything is kept in {}", run.keep().display());
    }
}
