//! `nautilus explain`: how a search goes, instead of what it finds.

mod costs;

use std::fmt::Write as _;

use clap::Args;
use nautilus_proto::search::v1::{Explanation, QuerySyntax, SearchRequest, SearchResponse, View};
use serde_json::{Value, json};

use self::costs::Costs;
use super::search::render;
use super::search::render::explain::{attempts, partitions, short, waterfall};
use crate::cli::{Global, OutputFormat};
use crate::client::Client;
use crate::credentials::Caller;
use crate::format::{self, Align};
use crate::output::{self, clean_line};
use crate::wire_json;

/// Which search.
#[derive(Debug, Args)]
#[command(after_help = "\
The search is made, with one hit to a page: which replicas are asked depends on the moment.

Examples:
  nautilus explain --as ada 'borrow checker'             namespaces, partitions, replicas and why
  nautilus explain --as ada --analyze 'borrow checker'   also what took the time
  nautilus explain --as ada --analyze --json tides")]
pub(crate) struct ExplainArgs {
    /// Search only these [default: all the user may read]
    #[arg(long, short, value_name = "NAME")]
    namespace: Vec<String>,

    /// Take the query as plain words, without operators
    #[arg(long)]
    literal: bool,

    /// Also show what took the time, stage by stage
    #[arg(long)]
    analyze: bool,

    /// Let only this replica group answer; needs operator rights
    #[arg(long, value_name = "GROUP", default_value = "", hide_default_value = true)]
    group: String,

    /// As --output json
    #[arg(long)]
    json: bool,

    /// The query; several words need no quotes
    #[arg(required = true, value_name = "QUERY")]
    query: Vec<String>,
}

impl ExplainArgs {
    fn request(&self) -> SearchRequest {
        let syntax = if self.literal { QuerySyntax::Literal } else { QuerySyntax::Language };
        SearchRequest {
            query: self.query.join(" "),
            syntax: syntax.into(),
            namespaces: self.namespace.clone(),
            page_size: 1,
            view: View::Ids.into(),
            replica_group: self.group.clone(),
            // What is missing is what somebody may want to see.
            allow_partial: true,
            explain: true,
            include_timing: true,
            ..SearchRequest::default()
        }
    }
}

/// Searches and shows how that went.
pub(crate) async fn run(global: &Global, args: ExplainArgs) -> anyhow::Result<()> {
    let mut global = global.clone();
    if args.json {
        global.output = OutputFormat::Json;
    }
    let client = Client::connect(&global).await?;
    let caller = if args.group.is_empty() { Caller::User } else { Caller::OperatingUser };
    let request = args.request();
    let shown = json!({ "query": request.query, "page_size": 1, "explain": true });
    client.explain("nautilus.search.v1.SearchService/Search", caller, &shown);
    let sent = client.request(request.clone(), caller)?;
    let answered = client.search().search(sent).await;
    let answer =
        answered.map_err(|status| render::with_caret(status, &request.query))?.into_inner();
    output::print(&global, || human(&answer, args.analyze), || machine(&answer, args.analyze))?;
    Ok(())
}

fn human(answer: &SearchResponse, analyze: bool) -> String {
    let Some(explanation) = &answer.explanation else { return "nothing was searched\n".to_owned() };
    let mut text = String::new();
    let names: Vec<_> = explanation.namespaces.iter().map(|name| clean_line(name)).collect();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "searched for  {}", clean_line(&explanation.query));
    let _ = writeln!(text, "in            {}", names.join(", "));
    let _ = writeln!(text, "found         {}", format::counted(answer.total_hits, "hit"));
    text.push('\n');
    text.push_str(&replicas(explanation));
    for missing in answer.coverage.iter().flat_map(|coverage| &coverage.missing) {
        let reason = clean_line(&missing.reason);
        let _ = writeln!(text, "partition {} did not answer: {reason}", missing.partition);
    }
    let Some(timing) = explanation.timing.as_ref().filter(|_| analyze) else { return text };
    text.push('\n');
    text.push_str(&Costs::of(timing).to_table());
    text.push('\n');
    text.push_str(&waterfall(timing));
    text.push('\n');
    text.push_str(&partitions(&explanation.partitions));
    text.push('\n');
    text.push_str(&attempts(&explanation.partitions));
    text
}

/// Who answered for each partition, and why that one was asked.
fn replicas(explanation: &Explanation) -> String {
    let columns = [
        ("partition", Align::Right),
        ("group", Align::Left),
        ("leaf", Align::Left),
        ("epoch", Align::Right),
        ("asked because", Align::Left),
        ("others asked", Align::Left),
    ];
    let rows = explanation.partitions.iter().map(|one| {
        let answered = one.attempts.iter().find(|attempt| attempt.outcome == "OK");
        let others = one.attempts.iter().filter(|attempt| attempt.outcome != "OK");
        let other = |attempt: &nautilus_proto::search::v1::AttemptExplanation| {
            let (leaf, outcome) = (clean_line(&attempt.leaf), clean_line(&attempt.outcome));
            format!("{leaf} ({outcome} after {})", short(attempt.duration_us))
        };
        vec![
            one.partition.to_string(),
            clean_line(&one.replica_group),
            clean_line(&one.leaf),
            one.epoch.to_string(),
            answered.map_or("", |attempt| because(&attempt.reason)).to_owned(),
            others.map(other).collect::<Vec<_>>().join(", "),
        ]
    });
    format::table(&columns, &rows.collect::<Vec<_>>())
}

/// A root's reason in words.
fn because(reason: &str) -> &'static str {
    match reason {
        "ONLY" => "no other is as fit",
        "FASTEST" => "expected to answer sooner",
        "EXPLORE" => "to see how it does",
        "ASKED" => "the request names its group",
        "RETRY" => "another one failed",
        "HEDGE" => "another one was slow, or all were asked",
        _ => "for a reason this version does not know",
    }
}

fn machine(answer: &SearchResponse, analyze: bool) -> Value {
    let mut whole = wire_json::search_response(answer);
    let mut shown = json!({
        "total_hits": answer.total_hits,
        "coverage": whole["coverage"].take(),
        "explanation": whole["explanation"].take(),
    });
    let timing = answer.explanation.as_ref().and_then(|explanation| explanation.timing.as_ref());
    match timing.filter(|_| analyze) {
        Some(timing) => shown["costs"] = Costs::of(timing).to_json(),
        None => {
            if let Some(explanation) = shown["explanation"].as_object_mut() {
                explanation.remove("timing");
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use nautilus_proto::common::v1::Stage;
    use nautilus_proto::search::v1::{AttemptExplanation, PartitionExplanation, Timing};

    use super::*;

    fn answer() -> SearchResponse {
        let attempt = |leaf: &str, reason: &str, outcome: &str| AttemptExplanation {
            leaf: leaf.into(),
            replica_group: "a".into(),
            reason: reason.into(),
            outcome: outcome.into(),
            start_us: 0,
            duration_us: 700,
        };
        let partition = PartitionExplanation {
            partition: 2,
            replica_group: "b".into(),
            leaf: "leaf-b-1".into(),
            epoch: 4,
            attempts: vec![
                attempt("leaf-a-1", "FASTEST", "CANCELLED"),
                attempt("leaf-b-1", "HEDGE", "OK"),
            ],
            ..PartitionExplanation::default()
        };
        let stage =
            |name: &str, duration_us, children| Stage { name: name.into(), duration_us, children };
        let timing =
            Timing { stages: vec![stage("rank", 60, vec![])], total_us: 100, unaccounted_us: 40 };
        let explanation = Explanation {
            query: "fox".into(),
            namespaces: vec!["notes".into()],
            partitions: vec![partition],
            timing: Some(timing),
            ..Explanation::default()
        };
        SearchResponse { explanation: Some(explanation), ..SearchResponse::default() }
    }

    #[test]
    fn the_replica_stands_with_the_reason_it_was_asked_for() {
        let text = human(&answer(), false);
        let line = text.lines().find(|line| line.contains("leaf-b-1")).expect("a line");
        assert!(line.contains("another one was slow"), "{text}");
        assert!(line.contains("leaf-a-1 (CANCELLED after 700 µs)"), "{text}");
        assert!(text.contains("notes") && !text.contains("not accounted for"), "{text}");
    }

    #[test]
    fn times_are_shown_where_they_are_asked_for() {
        let text = human(&answer(), true);
        assert!(text.contains("rank") && text.contains("60 µs"), "{text}");
        let (without, with) = (machine(&answer(), false), machine(&answer(), true));
        assert!(without["costs"].is_null() && without["explanation"]["timing"].is_null());
        assert_eq!(with["costs"]["unaccounted_us"], 40);
        assert_eq!(with["explanation"]["partitions"][0]["leaf"], "leaf-b-1");
    }
}
