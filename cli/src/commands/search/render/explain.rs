//! How an answer was made, as text: the query as understood, a waterfall of stages, and what every
//! partition did.

use std::fmt::Write as _;

use nautilus_proto::common::v1::Stage;
use nautilus_proto::search::v1::{Explanation, PartitionExplanation, Timing};

use crate::format::{self, Align};
use crate::output::clean_line;

/// Columns of the longest bar.
const BAR: u64 = 40;
/// Columns of names with what they are indented by.
const NAMES: usize = 24;

/// All of it.
pub(super) fn explanation(explanation: &Explanation) -> String {
    let mut text = String::new();
    let namespaces: Vec<_> = explanation.namespaces.iter().map(|name| clean_line(name)).collect();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "searched for  {}", clean_line(&explanation.query));
    let _ = writeln!(text, "in            {}", namespaces.join(", "));
    let _ = writeln!(
        text,
        "which hold    {}, {}",
        format::counted(explanation.documents, "document"),
        format::counted(explanation.total_length, "token"),
    );
    if !explanation.terms.is_empty() {
        let terms = explanation.terms.iter();
        let rows: Vec<_> =
            terms.map(|one| vec![clean_line(&one.term), format::count(one.documents)]).collect();
        text.push('\n');
        text.push_str(&format::table(&[("term", Align::Left), ("documents", Align::Right)], &rows));
    }
    if let Some(timing) = &explanation.timing {
        text.push('\n');
        text.push_str(&waterfall(timing));
    }
    if !explanation.partitions.is_empty() {
        text.push('\n');
        text.push_str(&partitions(&explanation.partitions));
    }
    if explanation.partitions.iter().any(|one| !one.attempts.is_empty()) {
        text.push('\n');
        text.push_str(&attempts(&explanation.partitions));
    }
    text
}

/// Stages one below the other, each with a bar from where it began to where it ended.
pub(in crate::commands) fn waterfall(timing: &Timing) -> String {
    let mut text = String::new();
    push_stages(&mut text, &timing.stages, 0, 0, timing.total_us);
    push_line(&mut text, "not accounted for", timing.unaccounted_us, "");
    push_line(&mut text, "total", timing.total_us, "");
    text
}

/// Stages follow each other, from `start_us` after the beginning of the whole.
fn push_stages(text: &mut String, stages: &[Stage], depth: usize, start_us: u64, total_us: u64) {
    let mut start_us = start_us;
    for stage in stages {
        let name = format!("{}{}", "  ".repeat(depth), clean_line(&stage.name));
        push_line(text, &name, stage.duration_us, &bar(start_us, stage.duration_us, total_us));
        push_stages(text, &stage.children, depth + 1, start_us, total_us);
        start_us = start_us.saturating_add(stage.duration_us);
    }
}

fn push_line(text: &mut String, name: &str, duration_us: u64, bar: &str) {
    let line = format!("  {name:<NAMES$}{:>10}  {bar}", short(duration_us));
    let _ = writeln!(text, "{}", line.trim_end());
}

fn bar(start_us: u64, duration_us: u64, total_us: u64) -> String {
    let column = |us: u64| {
        let column = u128::from(us) * u128::from(BAR) / u128::from(total_us.max(1));
        usize::try_from(column).unwrap_or(0)
    };
    let (start, end) = (column(start_us), column(start_us.saturating_add(duration_us)));
    let length = end.saturating_sub(start);
    let shape = if length == 0 { "|".to_owned() } else { "█".repeat(length) };
    format!("{}{shape}", " ".repeat(start))
}

/// A short time in microseconds, a longer one as elsewhere.
pub(in crate::commands) fn short(us: u64) -> String {
    if us < 1_000 {
        format!("{us} µs")
    } else {
        format::took(std::time::Duration::from_micros(us))
    }
}

pub(in crate::commands) fn partitions(partitions: &[PartitionExplanation]) -> String {
    let columns = [
        ("partition", Align::Right),
        ("group", Align::Left),
        ("leaf", Align::Left),
        ("epoch", Align::Right),
        ("rows", Align::Right),
        ("hits", Align::Right),
        ("queue", Align::Right),
        ("search", Align::Right),
        ("round trip", Align::Right),
        ("", Align::Left),
    ];
    let row = |one: &PartitionExplanation| {
        let build = if one.build.is_empty() { None } else { Some(format!("build {}", one.build)) };
        let truncated = one.truncated.then(|| "truncated".to_owned());
        let note: Vec<String> = build.into_iter().chain(truncated).collect();
        let note = clean_line(&note.join(", "));
        vec![
            one.partition.to_string(),
            clean_line(&one.replica_group),
            clean_line(&one.leaf),
            one.epoch.to_string(),
            format::count(one.rows_scanned),
            format::count(one.total_hits),
            short(one.queue_us),
            short(one.search_us),
            short(one.round_trip_us),
            note,
        ]
    };
    format::table(&columns, &partitions.iter().map(row).collect::<Vec<_>>())
}

pub(in crate::commands) fn attempts(partitions: &[PartitionExplanation]) -> String {
    let columns = [
        ("partition", Align::Right),
        ("attempt", Align::Right),
        ("group", Align::Left),
        ("leaf", Align::Left),
        ("why", Align::Left),
        ("outcome", Align::Left),
        ("began", Align::Right),
        ("took", Align::Right),
    ];
    let rows = partitions.iter().flat_map(|partition| {
        partition.attempts.iter().enumerate().map(|(index, one)| {
            vec![
                partition.partition.to_string(),
                (index + 1).to_string(),
                clean_line(&one.replica_group),
                clean_line(&one.leaf),
                clean_line(&one.reason),
                clean_line(&one.outcome),
                short(one.start_us),
                short(one.duration_us),
            ]
        })
    });
    format::table(&columns, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nautilus_proto::search::v1::{AttemptExplanation, TermExplanation};

    fn stage(name: &str, duration_us: u64, children: Vec<Stage>) -> Stage {
        Stage { name: name.to_owned(), duration_us, children }
    }

    #[test]
    fn bars_stand_where_their_stage_ran() {
        let inside = vec![stage("route", 100, vec![]), stage("fan_out", 1_900, vec![])];
        let timing = Timing {
            stages: vec![
                stage("scope", 1_000, vec![]),
                stage("root", 2_000, inside),
                stage("rank", 900, vec![]),
            ],
            total_us: 4_000,
            unaccounted_us: 100,
        };
        let text = waterfall(&timing);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], format!("  {:<24}{:>10}  {}", "scope", "1.0 ms", "█".repeat(10)));
        let bar = format!("{}{}", " ".repeat(10), "█".repeat(20));
        assert_eq!(lines[1], format!("  {:<24}{:>10}  {bar}", "root", "2.0 ms"));
        let bar = format!("{}█", " ".repeat(10));
        assert_eq!(lines[2], format!("  {:<24}{:>10}  {bar}", "  route", "100 µs"));
        assert_eq!(lines[5], format!("  {:<24}{:>10}", "not accounted for", "100 µs"));
        assert_eq!(lines[6], format!("  {:<24}{:>10}", "total", "4.0 ms"));
    }

    #[test]
    fn partitions_and_attempts_have_a_line_each() {
        let attempt = |reason: &str, outcome: &str| AttemptExplanation {
            leaf: "leaf-1".into(),
            reason: reason.into(),
            outcome: outcome.into(),
            ..Default::default()
        };
        let partition = PartitionExplanation {
            partition: 3,
            leaf: "leaf-2".into(),
            rows_scanned: 1_234,
            truncated: true,
            build: "b-2".into(),
            attempts: vec![attempt("FASTEST", "CANCELLED"), attempt("HEDGE", "OK")],
            ..Default::default()
        };
        let explained = Explanation {
            query: "fox\x1b[2J".into(),
            namespaces: vec!["notes".into()],
            partitions: vec![partition],
            documents: 1,
            terms: vec![TermExplanation { term: "fox".into(), documents: 1 }],
            ..Default::default()
        };
        let text = explanation(&explained);
        for part in [
            "fox [2J",
            "1 document, 0 tokens",
            "1,234",
            "build b-2, truncated",
            "CANCELLED",
            "HEDGE",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains('\x1b'));
    }
}
