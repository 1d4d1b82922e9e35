//! A build with another analyzer, made, promoted and rolled back under load.

use std::collections::BTreeMap;
use std::time::Duration;

use super::leaves::{CALM, recovered_all};
use super::run::Run;
use super::verify;
use crate::load::{Report, USER};
use crate::wait::poll_for;

const NAME: &str = "stems";
const ANALYZER: u32 = 2;
/// Every leaf publishes snapshots within this time.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(120);
/// How long both groups may take to exchange their partitions.
const PROMOTE_TIME_MAX: Duration = Duration::from_secs(600);
/// How long the load goes on once a step is done.
const AFTER: Duration = Duration::from_secs(5);
/// How long what is announced may be behind.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(180);

/// The story.
pub(super) fn promote(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let replicas = run.cluster.serving()?;
    run.log.note_build(NAME, ANALYZER);
    let folder = run.cluster.folder().join("rebuild").display().to_string();
    let analyzer = ANALYZER.to_string();
    let rebuild =
        ["indexbuilder", "rebuild", "--name", NAME, "--analyzer", &analyzer, "--folder", &folder];
    // Only once each partition has a snapshot; what was made before an error is passed over.
    let mut error = None;
    let made = poll_for(SNAPSHOT_TIME_MAX, || match run.cluster.run(&rebuild) {
        Ok(said) => Ok(Some(said)),
        Err(failed) => {
            error = Some(failed);
            Ok(None)
        }
    })?;
    run.injected("a build is made of snapshots");
    let figures = made.clone().or_else(|| error.map(|error| format!("{error:#}")));
    let figures = figures.unwrap_or_default().trim().to_owned();
    run.check("a build of another analyzer is made of snapshots", made.is_some(), figures);
    let verified = run.cluster.run(&["build", "verify", NAME]);
    run.check("every partition of it is sound", verified.is_ok(), said(&verified));

    hand_over(run, &["build", "promote", NAME], "promote")?;
    let is_back = recovered_all(run, replicas, SETTLE_TIME_MAX)?;
    run.check("both groups serve the build", is_back, served(run)?);
    run.until(run.now() + AFTER)?;
    hand_over(run, &["build", "rollback"], "rollback")?;
    let is_back = recovered_all(run, replicas, SETTLE_TIME_MAX)?;
    run.check("both groups serve what they did before", is_back, served(run)?);
    let least = run.options.duration.max(run.now() + AFTER);
    run.until(least)?;
    let report = run.finish_load()?;
    labels(run, &report);
    verify::everything_acknowledged_is_found(run, &report)
}

fn hand_over(run: &mut Run, command: &[&str], name: &str) -> anyhow::Result<()> {
    let mut arguments = command.to_vec();
    arguments.extend(["--as", USER, "--wait", "300s"]);
    let began = run.now();
    let mut process = run.cluster.begin(&arguments, name)?;
    let status = process.wait(PROMOTE_TIME_MAX)?;
    let said = if status.success() { process.stdout()? } else { process.complaints()? };
    run.injected("groups are handed over to another build");
    let took = run.now().saturating_sub(began).as_secs_f64();
    run.check(
        format!("{name} ends well"),
        status.success(),
        format!("{} ({took:.1} s)", said.trim()),
    );
    Ok(())
}

fn said(outcome: &anyhow::Result<String>) -> String {
    match outcome {
        Ok(said) => said.trim().to_owned(),
        Err(error) => format!("{error:#}"),
    }
}

/// What each group is to serve.
fn served(run: &Run) -> anyhow::Result<String> {
    let text = run.cluster.run(&["group", "list", "--output", "json"])?;
    let groups: serde_json::Value = serde_json::from_str(&text)?;
    let one = |group: &serde_json::Value| format!("{}: {}", group["name"], group["build"]);
    Ok(groups
        .as_array()
        .map_or_else(String::new, |all| all.iter().map(one).collect::<Vec<_>>().join(", ")))
}

/// Answers before, of the build, and after are there, each of one build alone.
fn labels(run: &mut Run, report: &Report) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut mixed = 0_u64;
    let mut last = None;
    for answer in &report.answers {
        let mut builds = answer.labels.iter().map(|label| label.build.as_str());
        let Some(build) = builds.next() else { continue };
        if builds.any(|other| other != build) {
            mixed += 1;
        }
        *counts.entry(build).or_default() += 1;
        last = last.max(Some((answer.sent, build)));
    }
    let of_build = counts.get(NAME).copied().unwrap_or(0);
    let of_log = counts.get("").copied().unwrap_or(0);
    run.check(
        "answers say which build they are of",
        of_build > 0 && of_log > 0 && mixed == 0 && last.is_some_and(|(_, build)| build.is_empty()),
        format!("{of_log} of the log, {of_build} of the build, {mixed} of both"),
    );
}
