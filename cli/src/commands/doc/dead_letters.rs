//! `nautilus doc dead-letters`: what of a namespace was not wholly understood, and why.

use std::collections::BTreeMap;

use clap::Args;
use nautilus_proto::common::v1::DocumentFailure;
use nautilus_proto::search::v1::{DocumentSummary, ListDocumentsRequest};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::credentials::Caller;
use crate::format::{self, Align};
use crate::output;

/// Of one request.
const PAGE_SIZE: i32 = 1_000;

/// Of which namespace.
#[derive(Debug, Args)]
#[command(after_help = "\
Such a document is there and can be found, by what was understood of it. What failed is kept with it,
the same in every replica group. Files that became no document are only in the list of the feed that
met them (`nautilus feed --dead-letters FILE`).

Example:
  nautilus doc dead-letters --namespace mail --limit 20")]
pub(crate) struct DeadLettersArgs {
    /// Namespace to look through
    #[arg(long, short)]
    namespace: String,
    /// Show at most so many documents; all of them are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Documents with failures, and how many of each kind there are.
#[derive(Debug, Default)]
struct List {
    shown: Vec<DocumentSummary>,
    documents: u64,
    looked_at: u64,
    kinds: BTreeMap<(String, String), u64>,
}

/// Prints the list.
pub(super) async fn run(
    global: &Global,
    client: &Client,
    args: DeadLettersArgs,
) -> anyhow::Result<()> {
    let shown =
        json!({ "namespace": args.namespace, "page_size": PAGE_SIZE, "with_failures": true });
    client.explain("nautilus.search.v1.SearchService/ListDocuments", Caller::User, &shown);
    let mut list = List::default();
    let mut page_token = String::new();
    loop {
        let request = ListDocumentsRequest {
            namespace: args.namespace.clone(),
            page_size: PAGE_SIZE,
            page_token,
            with_failures: true,
            ..ListDocumentsRequest::default()
        };
        let page = client.search().list_documents(client.request(request, Caller::User)?).await?;
        let page = page.into_inner();
        for document in page.documents {
            list.take(document, args.limit);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(output::print(global, || list.text(), || list.json())?)
}

impl List {
    fn take(&mut self, document: DocumentSummary, limit: usize) {
        self.looked_at += 1;
        if document.failures.is_empty() {
            return;
        }
        self.documents += 1;
        for DocumentFailure { stage, reason, .. } in &document.failures {
            *self.kinds.entry((stage.clone(), reason.clone())).or_default() += 1;
        }
        if self.shown.len() < limit {
            self.shown.push(document);
        }
    }

    fn text(&self) -> String {
        let looked_at = format::counted(self.looked_at, "document");
        if self.documents == 0 {
            return format!("nothing went wrong with {looked_at}");
        }
        let columns = [
            ("document", Align::Left),
            ("stage", Align::Left),
            ("reason", Align::Left),
            ("detail", Align::Left),
        ];
        let rows = self.shown.iter().flat_map(|document| {
            document.failures.iter().map(|failure| {
                let fields =
                    [&document.document_id, &failure.stage, &failure.reason, &failure.detail];
                fields.map(|field| output::clean_line(field)).to_vec()
            })
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let mut text = format::table(&columns, &rows);
        let more = self.documents - u64::try_from(self.shown.len()).unwrap_or(0);
        text.push('\n');
        if more > 0 {
            text.push_str(&format!("and {} more (--limit)\n", format::counted(more, "document")));
        }
        text.push_str(&format!("\n{} of {looked_at}:\n", format::count(self.documents)));
        for ((stage, reason), count) in &self.kinds {
            let (stage, reason) = (output::clean_line(stage), output::clean_line(reason));
            text.push_str(&format!("{:>8} {stage} {reason}\n", format::count(*count)));
        }
        text
    }

    fn json(&self) -> Value {
        let failure = |one: &DocumentFailure| json!({ "stage": one.stage, "reason": one.reason, "detail": one.detail });
        let documents = self.shown.iter().map(|document| {
            json!({
                "document_id": document.document_id,
                "failures": document.failures.iter().map(failure).collect::<Vec<_>>(),
            })
        });
        let kinds = self.kinds.iter().map(|((stage, reason), count)| {
            json!({ "stage": stage, "reason": reason, "failures": count })
        });
        json!({
            "documents": documents.collect::<Vec<_>>(),
            "documents_with_failures": self.documents,
            "documents_looked_at": self.looked_at,
            "kinds": kinds.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(id: &str, failures: &[(&str, &str)]) -> DocumentSummary {
        let failure = |(stage, reason): &(&str, &str)| DocumentFailure {
            stage: (*stage).to_owned(),
            reason: (*reason).to_owned(),
            detail: "so\n".to_owned(),
        };
        DocumentSummary {
            document_id: id.to_owned(),
            failures: failures.iter().map(failure).collect(),
            ..DocumentSummary::default()
        }
    }

    #[test]
    fn all_are_counted_and_some_are_shown() {
        let mut list = List::default();
        assert_eq!(list.text(), "nothing went wrong with 0 documents");
        list.take(document("a", &[]), 1);
        list.take(document("b", &[("extract", "NO_PARTS"), ("annotate/dates", "PANICKED")]), 1);
        list.take(document("c", &[("extract", "NO_PARTS")]), 1);
        let text = list.text();
        assert!(text.contains("and 1 document more (--limit)"), "{text}");
        assert!(text.contains("2 of 3 documents:"), "{text}");
        assert!(text.contains("       2 extract NO_PARTS\n"), "{text}");
        let json = list.json();
        assert_eq!(json["documents"][0]["failures"][1]["stage"], "annotate/dates");
        assert_eq!(json["documents_with_failures"], 2);
    }
}
