//! A query that leaves die of: how many it costs, and what becomes of everybody else's searches.

use std::time::Duration;

use super::leaves::CALM;
use super::run::Run;
use super::verify;
use crate::faulty_leaf::Faults;
use crate::load::{USER, namespace};

/// No document has it.
const WORD: &str = "zzqxzz";
/// How often somebody tries it, before the leaves are back and after.
const TRIES: u32 = 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// What roots say to it when they know it.
const REFUSAL: &str = "requests like this one are refused";

/// Somebody tries such a query again and again, through both roots.
pub(super) fn lethal_query(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let leaves = run.cluster.leaves();
    let replicas = run.cluster.serving()?;
    run.cluster.inject(&leaves, &Faults { lethal_word: Some(WORD.into()), ..Faults::default() })?;
    let refused = tries(run)?;
    let dead: Vec<String> =
        leaves.iter().filter(|leaf| !run.cluster.is_running(leaf)).cloned().collect();
    run.check(
        "an unknown lethal query costs at most two replicas of its partition",
        (1..=2).contains(&dead.len()),
        format!("{TRIES} tries; lost: {}", dead.join(", ")),
    );
    run.check("then roots refuse it", refused > 0, format!("{refused} of {TRIES} refused"));
    for leaf in &dead {
        run.cluster.launch(leaf)?;
        run.cluster.wait_started(leaf)?;
    }
    run.cluster.wait_serving(replicas, Duration::from_secs(60))?;
    let refused = tries(run)?;
    let died_again = leaves.iter().filter(|leaf| !run.cluster.is_running(leaf)).count();
    run.check(
        "once known it costs none",
        died_again == 0 && refused == TRIES,
        format!("{refused} of {TRIES} refused, {died_again} leaves lost"),
    );
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// How many were refused as what leaves die of.
fn tries(run: &mut Run) -> anyhow::Result<u32> {
    let mut refused = 0;
    let namespace = namespace(0);
    for _ in 0..TRIES {
        let search = ["search", "--as", USER, "--namespace", &namespace, WORD];
        run.injected("a lethal query is sent");
        if let Err(error) = run.cluster.run(&search)
            && error.to_string().contains(REFUSAL)
        {
            refused += 1;
        }
        let now = run.now();
        run.until(now + PAUSE)?;
    }
    Ok(refused)
}
