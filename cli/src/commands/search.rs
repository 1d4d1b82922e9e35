//! `nautilus search`: ask, and show what was found.

mod limits;
mod pages;
pub(super) mod render;

use std::time::Duration;

use clap::{Args, ValueEnum};
use nautilus_proto::common::v1::Range;
use nautilus_proto::search::v1::{MatchMode, QuerySyntax, SearchRequest, View};
use nautilus_service::clock::saturating_ms;
use serde_json::{Value, json};

use self::limits::Limits;
use crate::cli::{Global, duration};
use crate::client::Client;
use crate::credentials::Caller;

/// What to search for, and how.
#[derive(Debug, Args)]
#[command(after_help = "\
Words, \"phrases\", prefix*, title:word, path:word, body:word, AND, OR, NOT, -word, parentheses.

Examples:
  nautilus search borrow checker
  nautilus search '\"page cache\" AND (title:memory OR path:mm) -test'
  nautilus search --literal 'a AND (b'          every word is just a word
  nautilus search --as ada --namespace notes --limit 3 --timing tides
  nautilus search --limit 250 kernel            as many pages as that takes
  nautilus search --all --view ids kernel       every hit there is
  nautilus search --modified-after 7d --size-max 1MB --sort modified report
  nautilus search --created-after 2024-01-31 --sort created --ascending report
  nautilus search --explain kernel module       what was done, where, and how long it took")]
pub(crate) struct SearchArgs {
    /// Search only these [default: all the user may read]
    #[arg(long, short, value_name = "NAME")]
    namespace: Vec<String>,

    /// Take the query as plain words, without operators
    #[arg(long)]
    literal: bool,

    /// What words side by side mean
    #[arg(long = "match", value_enum, default_value_t = Match::Auto)]
    match_mode: Match,

    /// How many results; more than 100 come in several pages
    #[arg(long, short, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,

    /// All results, however many there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,

    /// Go on after the page that gave this `next_page_token` (see --output json); query,
    /// namespaces, conditions and order must be the same
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,

    #[command(flatten)]
    limits: Limits,

    /// How much of each document
    #[arg(long, value_enum, default_value_t = Show::Basic)]
    view: Show,

    /// Show how long each stage took
    #[arg(long)]
    timing: bool,

    /// Show what was done, where, and what each step took
    #[arg(long)]
    explain: bool,

    /// Let only this replica group answer; needs operator rights
    #[arg(
        long,
        value_name = "GROUP",
        visible_alias = "replica-group",
        default_value = "",
        hide_default_value = true
    )]
    group: String,

    /// Stop fetching candidates after this time and say so [default: 500ms]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    budget: Option<Duration>,

    /// Take an answer although a part of the index is missing
    #[arg(long)]
    allow_partial: bool,

    /// Show at least what this consistency token of a write or search stands for
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    after: String,

    /// The query; several words need no quotes
    #[arg(required = true, value_name = "QUERY")]
    query: Vec<String>,
}

/// What words side by side mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Match {
    /// Every word must be in the document
    All,
    /// At least one must be
    Any,
    /// All, and where that finds nothing, any
    Auto,
}

/// How much of each document is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// Ids and scores
    Ids,
    /// Also title, path, size, age and the places that match
    Basic,
    /// Also the whole text
    Full,
}

impl SearchArgs {
    /// How many results are wanted.
    fn wanted(&self) -> u64 {
        if self.all { u64::MAX } else { self.limit }
    }

    fn request(&self, now_unix_ms: u64) -> SearchRequest {
        let syntax = if self.literal { QuerySyntax::Literal } else { QuerySyntax::Language };
        let match_mode = match self.match_mode {
            Match::All => MatchMode::All,
            Match::Any => MatchMode::Any,
            Match::Auto => MatchMode::Auto,
        };
        let view = match self.view {
            Show::Ids => View::Ids,
            Show::Basic => View::Basic,
            Show::Full => View::Full,
        };
        let budget_ms = self.budget.map_or(0, |budget| saturating_ms(budget).max(1));
        SearchRequest {
            query: self.query.join(" "),
            syntax: syntax.into(),
            match_mode: match_mode.into(),
            namespaces: self.namespace.clone(),
            page_size: pages::size(self.wanted()),
            view: view.into(),
            include_timing: self.timing,
            consistency_token: self.after.clone(),
            replica_group: self.group.clone(),
            budget_ms: u32::try_from(budget_ms).unwrap_or(u32::MAX),
            allow_partial: self.allow_partial,
            page_token: self.page_token.clone(),
            filter: self.limits.filter(now_unix_ms),
            sort: self.limits.sort(),
            explain: self.explain,
        }
    }
}

/// Searches and shows.
pub(crate) async fn run(global: &Global, args: SearchArgs) -> anyhow::Result<()> {
    let client = Client::connect(global).await?;
    let request = args.request(client.clock.unix_ms());
    let caller = if args.group.is_empty() { Caller::User } else { Caller::OperatingUser };
    client.explain("nautilus.search.v1.SearchService/Search", caller, &shown(&request));
    pages::run(global, &client, caller, request, args.wanted()).await
}

/// The request as JSON, without what is the default.
fn shown(request: &SearchRequest) -> Value {
    let mut shown = json!({ "query": request.query, "page_size": request.page_size });
    let mut set = |field: &str, value: Value, is_said: bool| {
        if is_said {
            shown[field] = value;
        }
    };
    let (syntax, mode, view) = (request.syntax(), request.match_mode(), request.view());
    set("syntax", json!(syntax.as_str_name()), syntax != QuerySyntax::Language);
    set("match_mode", json!(mode.as_str_name()), mode != MatchMode::Auto);
    set("namespaces", json!(request.namespaces), !request.namespaces.is_empty());
    set("view", json!(view.as_str_name()), view != View::Basic);
    set("include_timing", json!(true), request.include_timing);
    set("explain", json!(true), request.explain);
    set("budget_ms", json!(request.budget_ms), request.budget_ms > 0);
    set("allow_partial", json!(true), request.allow_partial);
    for (field, text) in [
        ("consistency_token", &request.consistency_token),
        ("page_token", &request.page_token),
        ("replica_group", &request.replica_group),
    ] {
        set(field, json!(text), !text.is_empty());
    }
    if let Some(filter) = &request.filter {
        let mut ranges = json!({});
        for (field, range) in [
            ("size_bytes", filter.size_bytes),
            ("created_unix_ms", filter.created_unix_ms),
            ("modified_unix_ms", filter.modified_unix_ms),
        ] {
            if let Some(range) = range {
                ranges[field] = shown_range(range);
            }
        }
        set("filter", ranges, true);
    }
    if let Some(sort) = &request.sort {
        let order = json!({ "key": sort.key().as_str_name(), "ascending": sort.ascending });
        set("sort", order, true);
    }
    shown
}

fn shown_range(range: Range) -> Value {
    let mut shown = json!({});
    for (bound, value) in [("min", range.min), ("max", range.max)] {
        if let Some(value) = value {
            shown[bound] = json!(value);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn args(line: &[&str]) -> SearchArgs {
        let line = ["nautilus", "search"].iter().chain(line);
        let Command::Search(args) = Cli::try_parse_from(line).expect("parses").command else {
            panic!("not a search");
        };
        args
    }

    #[test]
    fn words_become_one_query_with_the_options_asked_for() {
        let request = args(&["-n", "a", "-n", "b", "--match", "any", "big", "fox"]).request(0);
        assert_eq!(request.query, "big fox");
        assert_eq!(request.namespaces, ["a", "b"]);
        assert_eq!(request.match_mode(), MatchMode::Any);
        assert_eq!(request.view(), View::Basic);
        assert_eq!((request.budget_ms, request.page_size), (0, 10));
        assert!(request.filter.is_none() && request.sort.is_none());
    }

    #[test]
    fn pages_are_no_larger_than_they_may_be() {
        let size = |line: &[&str]| args(line).request(0).page_size;
        assert_eq!(size(&["--limit", "100", "x"]), 100);
        assert_eq!(size(&["--limit", "5000", "x"]), 100);
        assert_eq!(size(&["--all", "x"]), 100);
        let both = ["nautilus", "search", "--all", "--limit", "3", "x"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn the_request_is_shown_as_it_is_said() {
        let line = ["--size-min", "10kB", "--sort", "size", "--ascending", "--group", "b", "x"];
        assert_eq!(
            shown(&args(&line).request(0)),
            json!({
                "query": "x",
                "page_size": 10,
                "replica_group": "b",
                "filter": { "size_bytes": { "min": 10_000 } },
                "sort": { "key": "SORT_KEY_SIZE", "ascending": true },
            })
        );
    }
}
