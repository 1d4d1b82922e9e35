//! The recorded history of a run against the log it left behind.

use std::sync::Arc;

use anyhow::Context as _;
use nautilus_mutation_log::MutationLog;
use nautilus_mutation_log_kafka::{KafkaConfig, KafkaLog};

use super::run::Run;
use crate::cluster::Cluster;
use crate::history::{Answer, LogCopy, Verdict, check_acknowledged, check_answers, check_labels};

/// Reads what the log has beyond what was read before.
pub(super) fn read_log(cluster: &Cluster, copy: &mut LogCopy) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("start a runtime")?;
    runtime.block_on(async {
        let log = open_log(cluster).await?;
        let read = copy.read_on(&*log).await;
        log.close().await.context("close the mutation log")?;
        read
    })
}

/// The mutation log as a role would open it.
pub(super) async fn open_log(cluster: &Cluster) -> anyhow::Result<Arc<dyn MutationLog>> {
    let servers = vec![cluster.services.kafka.bootstrap_server()];
    let config = KafkaConfig::new(servers, Cluster::TOPIC, cluster.log_identity());
    Ok(Arc::new(KafkaLog::open(config).await.context("open the mutation log")?))
}

/// Replays the log and holds every recorded answer, or as many as the options say, against it.
pub(super) fn check(run: &mut Run) -> anyhow::Result<()> {
    let report = run.report.clone().context("the load was never ended")?;
    let began = run.clock.now();
    read_log(&run.cluster, &mut run.log)?;
    let answers = sample(&report.answers, run.options.answers_max);
    let verdict = check_answers(&run.log, &answers);
    let took = run.clock.now().saturating_duration_since(began);
    let (checked, differ) = (verdict.checked, verdict.differences.len());
    println!("  checked {checked} answers against the replayed log: {differ} differ");
    println!(
        "    of {} recorded, {} truncated or incomplete, {} of several partitions ranked by figures of another \
         moment; {} log records; {:.1} s",
        report.answers.len(),
        verdict.passed_over,
        verdict.by_other_figures,
        run.log.len(),
        took.as_secs_f64()
    );
    told(run, "answers equal the replayed log at their labels", &verdict, checked > 0);
    let all: Vec<&Answer> = report.answers.iter().collect();
    let labels = check_labels(&all);
    told(run, "no leaf's answers go back", &labels, labels.checked > 0);
    let writes = check_acknowledged(&run.log, &report.acknowledged);
    told(run, "acknowledged writes are in the log once, below their tokens", &writes, true);
    Ok(())
}

fn told(run: &mut Run, what: &str, verdict: &Verdict, is_anything: bool) {
    let mut figures = format!("{} checked, {} wrong", verdict.checked, verdict.differences.len());
    if let Some(smallest) = verdict.smallest() {
        figures.push_str(&format!("; the smallest: {smallest}"));
    }
    run.check(what, verdict.differences.is_empty() && is_anything, figures);
}

/// Evenly over the run.
fn sample(answers: &[Answer], at_most: usize) -> Vec<&Answer> {
    let step = answers.len().div_ceil(at_most.max(1)).max(1);
    answers.iter().step_by(step).collect()
}
