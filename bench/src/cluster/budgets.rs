//! Costly queries under small time budgets: how far beyond the budget the answer comes.

use std::time::Duration;

use clap::Args;
use nautilus_proto::search::v1::{MatchMode, SearchRequest, View};
use serde_json::{Value, json};

use super::connection::{Connection, Target};
use super::samples::Samples;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Where, and how often.
#[derive(Debug, Args)]
pub struct BudgetArgs {
    #[command(flatten)]
    target: Target,
    /// Namespaces to search; none = all of the user
    #[arg(long)]
    namespace: Vec<String>,
    /// Times each query is asked under each budget
    #[arg(long, default_value_t = 100)]
    repeat: usize,
    /// Words of the query of many words; the server's limit is 64 unless configured
    #[arg(long, default_value_t = 64)]
    words: usize,
    /// Budgets, in milliseconds
    #[arg(long, value_delimiter = ',', default_values_t = [5, 50, 500])]
    budgets: Vec<u32>,
}

/// Asks each costly query under each budget. Overshoot is the partition's own time beyond the budget; the
/// caller's whole time is shown beside it.
pub async fn measure_budgets(args: BudgetArgs) -> anyhow::Result<Value> {
    let connection = Connection::open(&args.target).await?;
    let mut lines = Vec::new();
    for (name, text) in costly(args.words) {
        for &budget_ms in &args.budgets {
            let budget = Duration::from_millis(budget_ms.into());
            let (mut over, mut whole) = (Samples::default(), Samples::default());
            let mut truncated = 0;
            for _ in 0..args.repeat {
                let message = SearchRequest {
                    query: text.clone(),
                    match_mode: MatchMode::Any.into(),
                    namespaces: args.namespace.clone(),
                    view: View::Ids.into(),
                    budget_ms,
                    explain: true,
                    ..SearchRequest::default()
                };
                let request = connection.request(message, TIMEOUT)?;
                let sent = connection.clock.now();
                let answer = connection.search().search(request).await?.into_inner();
                let took = connection.clock.now().saturating_duration_since(sent);
                let searched = answer.explanation.unwrap_or_default().partitions;
                let searched = searched.iter().map(|p| p.queue_us + p.search_us).max();
                let searched = Duration::from_micros(searched.unwrap_or(0));
                over.add(searched.saturating_sub(budget));
                whole.add(took.saturating_sub(budget));
                truncated += usize::from(answer.truncated);
            }
            println!(
                "{name:10} {budget_ms:4} ms  leaf over: p50 {:6.2} p99 {:6.2} max {:6.2} ms   whole answer over: p50 {:6.2} p99 {:6.2} ms   truncated {truncated} of {}",
                over.percentile(0.5),
                over.percentile(0.99),
                over.percentile(1.0),
                whole.percentile(0.5),
                whole.percentile(0.99),
                args.repeat
            );
            lines.push(json!({
                "query": name,
                "budget_ms": budget_ms,
                "leaf_overshoot": over.to_json(),
                "whole_overshoot": whole.to_json(),
                "truncated": truncated,
                "asked": args.repeat,
            }));
        }
    }
    Ok(json!({ "lines": lines }))
}

fn costly(words: usize) -> Vec<(String, String)> {
    // Common enough in any English or source text that their lists are long.
    const COMMON: [&str; 16] = [
        "the", "a", "of", "to", "in", "is", "and", "for", "it", "this", "if", "be", "not", "on",
        "with", "return",
    ];
    let many: Vec<String> = (0..words)
        .map(|n| match COMMON.get(n) {
            Some(word) => (*word).to_owned(),
            None => format!("{}{}", COMMON[n % COMMON.len()], n / COMMON.len()),
        })
        .collect();
    // Parentheses nest as deep as the limits allow; the words make each level different.
    let mut deep = "the".to_owned();
    for level in 0..14 {
        let word = COMMON[level % COMMON.len()];
        deep = if level % 2 == 0 {
            format!("({deep} OR {word}*)")
        } else {
            format!("({deep} AND {word})")
        };
    }
    vec![
        (format!("{words} words"), many.join(" ")),
        ("a*".to_owned(), "a*".to_owned()),
        ("deepest".to_owned(), deep),
        ("phrase".to_owned(), "\"of the\"".to_owned()),
    ]
}
