//! Real queries, one after the other: latency as the caller sees it, by class, and where the time goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use nautilus_proto::search::v1::SearchResponse;
use serde_json::{Value, json};

use super::connection::{Connection, Target};
use super::queries::{Query, read};
use super::samples::Samples;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What to search for, and how often.
#[derive(Debug, Args)]
pub struct SearchArgs {
    #[command(flatten)]
    target: Target,
    /// Lines of JSON, each with a `query` and `tags`
    #[arg(long)]
    queries: PathBuf,
    /// Namespaces to search; none = all of the user
    #[arg(long)]
    namespace: Vec<String>,
    /// Take this many of the queries that find something
    #[arg(long, default_value_t = 500)]
    count: usize,
    /// Rounds over them that are measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Leave it to the server whether all words or any must match
    #[arg(long)]
    auto: bool,
    /// Show this many of the slowest
    #[arg(long, default_value_t = 10)]
    slowest: usize,
}

/// Runs the queries once unmeasured, which also finds those with hits, then in rounds.
pub async fn measure_search(args: SearchArgs) -> anyhow::Result<Value> {
    let connection = Connection::open(&args.target).await?;
    let mut queries = Vec::new();
    let (mut without_hits, mut hits) = (0, 0);
    for query in read(&args.queries, args.auto)? {
        if queries.len() == args.count {
            break;
        }
        let (answer, _) = ask(&connection, &query, &args.namespace).await?;
        if answer.total_hits > 0 {
            hits += answer.total_hits;
            queries.push(query);
        } else {
            without_hits += 1;
        }
    }
    if queries.is_empty() {
        bail!("no query finds anything");
    }
    println!("{} queries with hits ({hits} in all), {without_hits} without", queries.len());

    let mut classes = BTreeMap::<String, Samples>::new();
    let mut stages = BTreeMap::<String, u64>::new();
    let (mut total_us, mut truncated, mut incomplete) = (0, 0, 0);
    let mut accounted_min = 1.0_f64;
    let mut rounds = Vec::new();
    let mut slowest = Vec::new();
    for round in 1..=args.rounds {
        let mut all = Samples::default();
        for query in &queries {
            let (answer, took) = ask(&connection, query, &args.namespace).await?;
            all.add(took);
            classes.entry(query.class.clone()).or_default().add(took);
            slowest.push((took, query.text.clone(), answer.total_hits));
            truncated += usize::from(answer.truncated);
            incomplete += usize::from(!answer.coverage.is_some_and(|c| c.complete));
            let timing = answer.timing.unwrap_or_default();
            let mut accounted = 0;
            for stage in &timing.stages {
                *stages.entry(stage.name.clone()).or_default() += stage.duration_us;
                accounted += stage.duration_us;
            }
            total_us += timing.total_us;
            if timing.total_us > 0 {
                accounted_min = accounted_min.min(accounted as f64 / timing.total_us as f64);
            }
        }
        println!("round {round}:      {}", all.line());
        rounds.push(all);
    }
    let mut all = Samples::default();
    rounds.iter().for_each(|round| all.extend(round));
    println!("all rounds:   {}", all.line());
    for (class, samples) in &classes {
        println!("{class:13} {}", samples.line());
    }
    println!("truncated {truncated}, incomplete {incomplete}");
    println!("stages add up to at least {:.1} % of each search's time:", accounted_min * 100.0);
    for (stage, us) in &stages {
        println!("  {stage:14} {:5.1} %", *us as f64 * 100.0 / total_us.max(1) as f64);
    }
    slowest.sort_unstable_by_key(|(took, _, _)| std::cmp::Reverse(*took));
    slowest.dedup_by(|a, b| a.1 == b.1);
    for (took, text, hits) in slowest.iter().take(args.slowest) {
        println!("  slow: {:8.2} ms  {hits:7} hits  {text}", took.as_secs_f64() * 1e3);
    }
    Ok(json!({
        "queries": queries.len(),
        "rounds": rounds.iter().map(Samples::to_json).collect::<Vec<_>>(),
        "all": all.to_json(),
        "classes": classes.iter().map(|(c, s)| (c.clone(), s.to_json())).collect::<BTreeMap<_, _>>(),
        "truncated": truncated,
        "incomplete": incomplete,
        "stages_accounted_min": accounted_min,
    }))
}

async fn ask(
    connection: &Connection,
    query: &Query,
    namespaces: &[String],
) -> anyhow::Result<(SearchResponse, Duration)> {
    let request = connection.request(query.request(namespaces), TIMEOUT)?;
    let sent = connection.clock.now();
    let answer = connection.search().search(request).await?.into_inner();
    Ok((answer, connection.clock.now().saturating_duration_since(sent)))
}
