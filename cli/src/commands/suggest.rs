//! `nautilus suggest`: complete the last word of a text.

use clap::Args;
use nautilus_proto::search::v1::{SuggestRequest, SuggestResponse};
use serde_json::json;

use crate::cli::Global;
use crate::client::Client;
use crate::credentials::Caller;
use crate::format::{self, Align};
use crate::{output, wire_json};

/// What to complete, and from which words.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nautilus suggest kern                     words of your documents that begin with kern
  nautilus suggest 'linux kern'             the last word is completed
  nautilus suggest --namespace notes --limit 3 ti")]
pub(crate) struct SuggestArgs {
    /// Only words of these [default: of all the user may read]
    #[arg(long, short, value_name = "NAME")]
    namespace: Vec<String>,

    /// How many, 1 to 100
    #[arg(long, short, default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=100))]
    limit: i32,

    /// Take an answer although a part of the index is missing
    #[arg(long)]
    allow_partial: bool,

    /// The text; several words need no quotes
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
}

/// Asks and shows.
pub(crate) async fn run(global: &Global, args: SuggestArgs) -> anyhow::Result<()> {
    let client = Client::connect(global).await?;
    let request = SuggestRequest {
        text: args.text.join(" "),
        namespaces: args.namespace,
        page_size: args.limit,
        allow_partial: args.allow_partial,
    };
    let mut shown = json!({ "text": request.text, "page_size": request.page_size });
    if !request.namespaces.is_empty() {
        shown["namespaces"] = json!(request.namespaces);
    }
    if request.allow_partial {
        shown["allow_partial"] = json!(true);
    }
    client.explain("nautilus.search.v1.SearchService/Suggest", Caller::User, &shown);
    let answer = client.search().suggest(client.request(request, Caller::User)?).await?;
    let answer = answer.into_inner();
    output::print(global, || text_of(&answer), || wire_json::suggest_response(&answer))?;
    Ok(())
}

fn text_of(answer: &SuggestResponse) -> String {
    let mut text = String::new();
    if answer.suggestions.is_empty() {
        text.push_str("no word begins so\n");
    } else {
        let rows: Vec<_> = answer
            .suggestions
            .iter()
            .map(|one| vec![output::clean_line(&one.text), format::count(one.documents)])
            .collect();
        let columns = [("suggestion", Align::Left), ("documents", Align::Right)];
        text.push_str(&format::table(&columns, &rows));
    }
    if answer.truncated {
        text.push_str("truncated: the time budget ended the search early; there may be more\n");
    }
    if let Some(coverage) = answer.coverage.as_ref().filter(|coverage| !coverage.complete) {
        text.push_str(&format!(
            "partial: {} of {} partitions answered\n",
            coverage.partitions_answered, coverage.partitions_asked
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use nautilus_proto::search::v1::Suggestion;

    #[test]
    fn suggestions_stand_below_each_other() {
        let suggestion = |text: &str, documents| Suggestion {
            text: text.into(),
            word: "kernel".into(),
            documents,
        };
        let answer = SuggestResponse {
            suggestions: vec![suggestion("linux kernel", 1_200), suggestion("linux kern", 3)],
            ..SuggestResponse::default()
        };
        let expected =
            "suggestion    documents\nlinux kernel      1,200\nlinux kern            3\n";
        assert_eq!(text_of(&answer), expected);
        assert_eq!(text_of(&SuggestResponse::default()), "no word begins so\n");
    }
}
