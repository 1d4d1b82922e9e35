//! `nautilus search`: ask, and show what was found.

mod render;

use std::time::Duration;

use clap::{Args, ValueEnum};
use nautilus_proto::search::v1::{MatchMode, QuerySyntax, SearchRequest, View};
use nautilus_service::clock::saturating_ms;
use serde_json::json;

use crate::cli::{Global, duration};
use crate::client::Client;
use crate::credentials::Caller;
use crate::output::{self, Emphasis};
use crate::wire_json;

/// What to search for, and how.
#[derive(Debug, Args)]
#[command(after_help = "\
Words, \"phrases\", prefix*, title:word, path:word, body:word, AND, OR, NOT, -word, parentheses.

Examples:
  nautilus search borrow checker
  nautilus search '\"page cache\" AND (title:memory OR path:mm) -test'
  nautilus search --literal 'a AND (b'          every word is just a word
  nautilus search --as ada --namespace notes --limit 3 --timing tides")]
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

    /// How many results, 1 to 100
    #[arg(long, short, default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=100))]
    limit: i32,

    /// How much of each document
    #[arg(long, value_enum, default_value_t = Show::Basic)]
    view: Show,

    /// Show how long each stage took
    #[arg(long)]
    timing: bool,

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
    fn request(&self) -> SearchRequest {
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
            page_size: self.limit,
            view: view.into(),
            include_timing: self.timing,
            consistency_token: self.after.clone(),
            replica_group: String::new(),
            budget_ms: u32::try_from(budget_ms).unwrap_or(u32::MAX),
            allow_partial: self.allow_partial,
        }
    }
}

/// Searches and shows.
pub(crate) async fn run(global: &Global, args: SearchArgs) -> anyhow::Result<()> {
    let client = Client::connect(global).await?;
    let request = args.request();
    explain(&client, &request);
    let query = request.query.clone();
    let start = client.clock.now();
    let answered = client.search().search(client.request(request, Caller::User)?).await;
    let took = client.clock.now().duration_since(start);
    let answer = answered.map_err(|status| render::with_caret(status, &query))?.into_inner();
    let emphasis = Emphasis::of_stdout(global);
    output::print(
        global,
        || render::answer(&answer, took, client.clock.unix_ms(), emphasis),
        || wire_json::search_response(&answer),
    )?;
    Ok(())
}

fn explain(client: &Client, request: &SearchRequest) {
    let mut shown = json!({ "query": request.query });
    if request.syntax() != QuerySyntax::Language {
        shown["syntax"] = json!(request.syntax().as_str_name());
    }
    if request.match_mode() != MatchMode::Auto {
        shown["match_mode"] = json!(request.match_mode().as_str_name());
    }
    if !request.namespaces.is_empty() {
        shown["namespaces"] = json!(request.namespaces);
    }
    shown["page_size"] = json!(request.page_size);
    if request.view() != View::Basic {
        shown["view"] = json!(request.view().as_str_name());
    }
    if request.include_timing {
        shown["include_timing"] = json!(true);
    }
    if request.budget_ms > 0 {
        shown["budget_ms"] = json!(request.budget_ms);
    }
    if request.allow_partial {
        shown["allow_partial"] = json!(true);
    }
    if !request.consistency_token.is_empty() {
        shown["consistency_token"] = json!(request.consistency_token);
    }
    client.explain("nautilus.search.v1.SearchService/Search", Caller::User, &shown);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn words_become_one_query_with_the_options_asked_for() {
        let line = ["nautilus", "search", "-n", "a", "-n", "b", "--match", "any", "big", "fox"];
        let Command::Search(args) = Cli::try_parse_from(line).expect("parses").command else {
            panic!("not a search");
        };
        let request = args.request();
        assert_eq!(request.query, "big fox");
        assert_eq!(request.namespaces, ["a", "b"]);
        assert_eq!(request.match_mode(), MatchMode::Any);
        assert_eq!(request.view(), View::Basic);
        assert_eq!(request.budget_ms, 0);
    }
}
