//! `nautilus doc`: one document, and those with which something went wrong.

mod dead_letters;

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use nautilus_proto::ingest::v1::{DeleteDocument, Write, WriteRequest, write};
use nautilus_proto::search::v1::{Document, GetDocumentRequest};
use nautilus_types::Class;
use serde_json::json;

use crate::cli::Global;
use crate::client::Client;
use crate::credentials::Caller;
use crate::exit::Failure;
use crate::{format, output, wire_json};

use self::dead_letters::DeadLettersArgs;

/// What to do with the document.
#[derive(Debug, Subcommand)]
pub(crate) enum DocCommand {
    /// Show a document as stored
    #[command(after_help = "Example:\n  nautilus doc get --namespace docs guide/start.md")]
    Get(DocArgs),
    /// Delete a document
    #[command(after_help = "Example:\n  nautilus doc delete --namespace docs guide/start.md")]
    Delete(DocArgs),
    /// List the documents that were not wholly understood, and why
    #[command(name = "dead-letters")]
    DeadLetters(DeadLettersArgs),
}

/// Which document.
#[derive(Debug, Args)]
pub(crate) struct DocArgs {
    /// Namespace the document is in
    #[arg(long, short)]
    namespace: String,
    /// Its id, as search results show it
    id: String,
}

/// Shows or deletes it.
pub(crate) async fn run(global: &Global, command: DocCommand) -> anyhow::Result<()> {
    let client = Client::connect(global).await?;
    match command {
        DocCommand::Get(args) => get(global, &client, args).await,
        DocCommand::Delete(args) => delete(global, &client, args).await,
        DocCommand::DeadLetters(args) => dead_letters::run(global, &client, args).await,
    }
}

async fn get(global: &Global, client: &Client, args: DocArgs) -> anyhow::Result<()> {
    let shown = json!({ "namespace": args.namespace, "document_id": args.id });
    client.explain("nautilus.search.v1.SearchService/GetDocument", Caller::User, &shown);
    let request = GetDocumentRequest {
        namespace: args.namespace,
        document_id: args.id,
        consistency_token: String::new(),
    };
    let answer = client.search().get_document(client.request(request, Caller::User)?).await?;
    let document = answer.into_inner().document.unwrap_or_default();
    output::print(global, || text_of(&document), || wire_json::document(&document))?;
    Ok(())
}

fn text_of(document: &Document) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<12}{}", output::clean_line(value));
        }
    };
    line("namespace", &document.namespace);
    line("id", &document.document_id);
    line("title", &document.title);
    line("path", &document.path);
    if let Some(version) = document.version {
        line("version", &version.to_string());
    }
    if let Some(metadata) = &document.metadata {
        line("type", &metadata.media_type);
        line("size", &format::size(metadata.size_bytes));
        line("created", &format::time(metadata.created_unix_ms));
        line("modified", &format::time(metadata.modified_unix_ms));
        for (key, value) in &metadata.attributes {
            line("attribute", &format!("{key} = {}", wire_json::attribute(value)));
        }
        for (name, annotation) in &metadata.annotations {
            let version = annotation.version;
            for (key, value) in &annotation.values {
                let value = wire_json::attribute(value);
                line("annotation", &format!("{name}/{version} {key} = {value}"));
            }
            if let Some(failure) = &annotation.failure {
                let told =
                    format!("{name}/{version} failed: {} ({})", failure.detail, failure.reason);
                line("annotation", &told);
            }
        }
    }
    line("hash", &wire_json::hex(&document.content_hash));
    if !document.body.is_empty() {
        let _ = write!(text, "\n{}", output::clean_text(&document.body));
    }
    text
}

async fn delete(global: &Global, client: &Client, args: DocArgs) -> anyhow::Result<()> {
    let shown = json!({ "writes": [
        { "namespace": args.namespace, "document_id": args.id, "delete": {} }
    ] });
    client.explain("nautilus.ingest.v1.IngestService/Write", Caller::User, &shown);
    let write = Write {
        namespace: args.namespace.clone(),
        document_id: args.id.clone(),
        version: None,
        condition: None,
        operation: Some(write::Operation::Delete(DeleteDocument {})),
    };
    let request = client.request(WriteRequest { writes: vec![write] }, Caller::User)?;
    let answer = client.ingest().write(request).await?.into_inner();
    if let Some(error) = answer.results.into_iter().find_map(|result| result.error) {
        let status = tonic::Status::new(tonic::Code::from(error.code), "");
        let class = nautilus_service::class_of(&status);
        // The server refused: nothing was wrong with the usage.
        let class = if class == Class::Invalid { Class::Conflict } else { class };
        return Err(Failure::new(class, format!("{} ({})", error.message, error.reason)).into());
    }
    output::print(
        global,
        || format!("deleted {} from {}", output::clean_line(&args.id), args.namespace),
        || json!({ "deleted": args.id, "consistency_token": answer.consistency_token }),
    )?;
    Ok(())
}
