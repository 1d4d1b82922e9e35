//! Slow leaves: what searches take with each way of hedging, and what the extra requests cost.

mod counts;

use std::time::Duration;

use anyhow::Context as _;

use self::counts::Counts;
use super::leaves::serving_leaf;
use super::run::Run;
use super::verify;
use crate::cluster::Kind;
use crate::faulty_leaf::{Faults, late};
use crate::load::{Percentiles, Report};

/// After roots were restarted or leaves got other faults, before anything is measured: the roots learn who is slow.
const SETTLE: Duration = Duration::from_secs(10);
/// Shortest stretch that is measured.
const LINE_MIN: Duration = Duration::from_secs(10);
/// How many there are.
const LINES: u32 = 6;
/// Searches without which a line says nothing of its slowest thousandth.
const SEARCHES_MIN: usize = 20_000;
/// One answer in a hundred is late by this much.
const HICCUP: Duration = Duration::from_millis(100);
/// All answers of one leaf are.
const SLOWNESS: Duration = Duration::from_millis(200);
/// All answers of all leaves are: a search takes two of them, and has 500 ms.
const SLOWNESS_OF_ALL: Duration = Duration::from_millis(50);

/// What was measured in one stretch.
struct Line {
    name: &'static str,
    from: Duration,
    to: Duration,
    counts: Counts,
}

impl Line {
    fn latency(&self, report: &Report) -> Percentiles {
        report.latency(self.from, self.to)
    }
}

/// A hundredth of the answers late under each mode, one slow leaf, all slow.
pub(super) fn tail(run: &mut Run) -> anyhow::Result<()> {
    let leaves = run.cluster.leaves();
    let (none, hiccups) = (Faults::default(), late(10, HICCUP));
    hedge(run, "off")?;
    run.cluster.inject(&leaves, &hiccups)?;
    run.injected("1 % of the answers late");
    let off = measured(run, "1 % late, off")?;
    hedge(run, "all")?;
    let all = measured(run, "1 % late, all")?;
    hedge(run, "after-percentile")?;
    let percentile = measured(run, "1 % late, after-percentile")?;
    run.cluster.inject(&leaves, &none)?;
    let calm = measured(run, "undisturbed")?;
    let victim = serving_leaf(run, "a")?;
    run.cluster.inject(&[victim], &late(1_000, SLOWNESS))?;
    run.injected("one leaf slow for good");
    let one_slow = measured(run, "one leaf slow")?;
    run.cluster.inject(&leaves, &late(1_000, SLOWNESS_OF_ALL))?;
    run.injected("all leaves slow");
    let all_slow = measured(run, "all leaves slow")?;
    run.cluster.inject(&leaves, &none)?;

    let report = run.finish_load()?;
    let lines = [&off, &percentile, &all, &calm, &one_slow, &all_slow];
    for line in lines {
        let (name, latency, counts) = (line.name, line.latency(&report), line.counts);
        run.say(&format!("{name:28} {latency}; {counts}"));
    }
    let few = lines.iter().map(|line| line.latency(&report).count).min().unwrap_or(0);
    if few < SEARCHES_MIN {
        run.say(&format!(
            "{few} searches in the shortest line: too few for the slowest thousandth"
        ));
    }
    if run.options.checks_latency {
        check_latency(run, &report, [&off, &percentile, &calm, &one_slow]);
    }
    for line in [&percentile, &one_slow, &all_slow] {
        let Counts { parts, hedges, .. } = line.counts;
        run.check(
            format!("{}: at most 5 % of extra requests", line.name),
            parts > 0 && hedges * 100 <= parts * 5,
            line.counts.to_string(),
        );
    }
    run.check("off: no extra requests", off.counts.hedges == 0, off.counts.to_string());
    verify::everything_acknowledged_is_found(run, &report)
}

fn check_latency(run: &mut Run, report: &Report, lines: [&Line; 4]) {
    let [off, percentile, calm, slow] = lines.map(|line| line.latency(report));
    run.check(
        "1 % late: p99.9 is 5 times better after the percentile than without hedging",
        percentile.p999 * 5 <= off.p999,
        format!("off: {off}; after-percentile: {percentile}"),
    );
    run.check(
        "one leaf slow: p99 is at most 1.3 times that undisturbed",
        slow.p99 * 10 <= calm.p99 * 13,
        format!("undisturbed: {calm}; one slow: {slow}"),
    );
}

/// Restarts the roots, one after the other, with this mode.
fn hedge(run: &mut Run, mode: &str) -> anyhow::Result<()> {
    let roots: Vec<String> =
        run.cluster.of_kind(Kind::Root).map(|member| member.name.clone()).collect();
    for root in roots {
        run.cluster.set(&root, &[&format!("root.hedge_mode={mode}")]);
        run.cluster.stop(&root)?;
        run.cluster.launch(&root)?;
        run.cluster.wait_started(&root)?;
        let back = run.now();
        run.until(back + Duration::from_secs(2))?;
    }
    Ok(())
}

fn measured(run: &mut Run, name: &'static str) -> anyhow::Result<Line> {
    let now = run.now();
    run.until(now + SETTLE)?;
    let before = Counts::of(&run.cluster).context("read the roots' metrics")?;
    let from = run.now();
    run.until(from + (run.options.duration / LINES).max(LINE_MIN))?;
    let to = run.now();
    let after = Counts::of(&run.cluster).context("read the roots' metrics")?;
    let line = Line { name, from, to, counts: after.since(before) };
    run.say(&format!("{name}: {}", line.counts));
    Ok(line)
}
