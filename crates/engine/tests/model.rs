//! The engine against the naive reference engine: random histories, searched while they are applied.
//!
//! One thread applies a random history (all operations, restarts in between, with or without a flush) while
//! others search, follow listings page by page, ask for words, list, fetch and take checkpoints, and note the label
//! of each answer. Afterwards the reference engine replays the same history and every answer must equal its own at
//! that label.
//!
//! `NAUTILUS_SEED` replays one seed; `NAUTILUS_MODEL_STEPS` sets the steps of a run.

#[path = "model/ask.rs"]
mod ask;
#[path = "model/check.rs"]
mod check;
#[path = "model/convert.rs"]
mod convert;
#[path = "model/digests.rs"]
mod digests;
#[path = "model/history.rs"]
mod history;
#[path = "model/queries.rs"]
mod queries;
#[path = "model/run.rs"]
mod run;
#[path = "model/tally.rs"]
mod tally;

use run::run;
use tally::Tally;

/// Steps of one seed, and seeds of one test run.
const STEPS: usize = 1_800;
const SEEDS: u64 = 8;

#[test]
fn answers_equal_the_reference_engine_at_their_label() {
    let (seeds, steps) = parameters();
    let mut total = Tally::default();
    for seed in seeds {
        println!("seed {seed}: NAUTILUS_SEED={seed} replays it");
        total.add(&run(seed, steps));
    }
    println!("{total}");
    total.assert_covered();
}

#[test]
fn the_same_content_has_the_same_digests_whatever_its_history() {
    let (seeds, steps) = parameters();
    for seed in seeds {
        println!("seed {seed}: NAUTILUS_SEED={seed} replays it");
        // Compactions, which make up most of the time, come with the steps.
        digests::run(seed, steps / 6);
    }
}

#[allow(clippy::disallowed_methods, reason = "a test's parameters are its only configuration")]
fn parameters() -> (Vec<u64>, usize) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let steps = number("NAUTILUS_MODEL_STEPS").and_then(|steps| usize::try_from(steps).ok());
    match number("NAUTILUS_SEED") {
        Some(seed) => (vec![seed], steps.unwrap_or(STEPS)),
        None => ((1..=SEEDS).collect(), steps.unwrap_or(STEPS)),
    }
}
