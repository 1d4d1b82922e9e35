//! The namespaces a feed writes to, and what they hold already.

use std::collections::HashMap;

use anyhow::Context as _;
use futures::{StreamExt, TryStreamExt, stream};
use nautilus_proto::admin::v1::{CreateNamespaceRequest, CreateUserRequest};
use nautilus_proto::search::v1::{ListDocumentsRequest, ListDocumentsResponse};
use nautilus_service::class_of;
use nautilus_types::Class;
use serde_json::json;
use tonic::Status;

use super::backoff::{self, Patience};
use crate::cli::Global;
use crate::client::Client;
use crate::credentials::Caller;

/// Documents in one page of a listing, the most there are.
const PAGE_SIZE: i32 = 1_000;

/// Namespaces listed at once.
const LISTINGS_AT_ONCE: usize = 4;

/// What a namespace holds: content hash by document id.
pub(super) type Known = HashMap<String, Vec<u8>>;

/// One namespace, or several that share the documents.
#[derive(Debug, Clone)]
pub(super) struct Target {
    names: Vec<String>,
}

impl Target {
    /// `name` alone, or `spread` namespaces `name-000`, `name-001`, ….
    pub(super) fn new(name: &str, spread: Option<u32>) -> Self {
        let names = match spread {
            None => vec![name.to_owned()],
            Some(count) => (0..count).map(|number| format!("{name}-{number:03}")).collect(),
        };
        Self { names }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of the namespace a document belongs to: always the same for the same id.
    pub(super) fn of(&self, id: &str) -> usize {
        let count = u64::try_from(self.names.len()).unwrap_or(1).max(1);
        let number = xxhash_rust::xxh3::xxh3_64(id.as_bytes()) % count;
        usize::try_from(number).unwrap_or(0)
    }

    /// Its name.
    pub(super) fn name(&self, number: usize) -> &str {
        self.names.get(number).map_or("", String::as_str)
    }

    /// Makes the user and the namespaces where they are not there yet.
    pub(super) async fn create(&self, client: &Client, global: &Global) -> anyhow::Result<()> {
        // With a given token there is no saying who the user is, nor the right to make one.
        if client.makes_tokens() {
            let user = global.user.clone();
            let request = CreateUserRequest { id: user.clone(), display_name: user };
            let request = client.request(request, Caller::Operator)?;
            unless_there(client.catalog().create_user(request).await).context("create the user")?;
        }
        for name in &self.names {
            let request = CreateNamespaceRequest { name: name.clone(), owner: String::new() };
            let request = client.request(request, Caller::User)?;
            unless_there(client.catalog().create_namespace(request).await)
                .with_context(|| format!("create namespace {name}"))?;
        }
        Ok(())
    }

    /// What each namespace holds, everything acknowledged so far included.
    pub(super) async fn known(
        &self,
        client: &Client,
        patience: Patience,
    ) -> anyhow::Result<Vec<Known>> {
        let shown = json!({ "namespace": self.name(0), "page_size": PAGE_SIZE, "latest": true });
        client.explain("nautilus.search.v1.SearchService/ListDocuments", Caller::User, &shown);
        stream::iter(&self.names)
            .map(|name| list(client, name, patience))
            .buffered(LISTINGS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Waits until what has been acknowledged in these namespaces is searchable.
    pub(super) async fn await_searchable(
        &self,
        client: &Client,
        touched: impl IntoIterator<Item = usize>,
        patience: Patience,
    ) -> anyhow::Result<()> {
        stream::iter(touched)
            .map(|number| page(client, self.name(number), 1, "", patience))
            .buffered(LISTINGS_AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await
            .context("wait until everything is searchable")
    }
}

/// Something that is there already is as good as made.
fn unless_there<T>(made: Result<T, Status>) -> Result<(), Status> {
    match made {
        Ok(_) => Ok(()),
        Err(status) if class_of(&status) == Class::Conflict => Ok(()),
        Err(status) => Err(status),
    }
}

async fn list(client: &Client, name: &str, patience: Patience) -> anyhow::Result<Known> {
    let mut known = Known::new();
    let mut token = String::new();
    loop {
        let page = page(client, name, PAGE_SIZE, &token, patience)
            .await
            .with_context(|| format!("list the documents of namespace {name}"))?;
        known.extend(page.documents.into_iter().map(|one| (one.document_id, one.content_hash)));
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(known);
        }
    }
}

/// One page that shows everything acknowledged before, asked for again while the cluster catches up.
async fn page(
    client: &Client,
    name: &str,
    page_size: i32,
    token: &str,
    patience: Patience,
) -> anyhow::Result<ListDocumentsResponse> {
    let start = client.clock.now();
    let mut attempt = 0;
    loop {
        let request = ListDocumentsRequest {
            namespace: name.to_owned(),
            page_size,
            page_token: token.to_owned(),
            latest: true,
            ..ListDocumentsRequest::default()
        };
        let request = client.request(request, Caller::User)?;
        let status = match client.search().list_documents(request).await {
            Ok(page) => return Ok(page.into_inner()),
            Err(status) => status,
        };
        let waited = client.clock.now().duration_since(start);
        if !backoff::may_pass(&status) || waited >= patience.with_read(&status) {
            return Err(status.into());
        }
        tokio::time::sleep(backoff::pause(attempt, backoff::hint(&status))).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_spread_evenly_and_stay_where_they_are() {
        let target = Target::new("docs", Some(10));
        assert_eq!((target.name(0), target.name(9)), ("docs-000", "docs-009"));
        let mut counts = [0_u32; 10];
        for number in 0..1_000 {
            let id = format!("folder/{number}.txt");
            assert_eq!(target.of(&id), target.of(&id));
            counts[target.of(&id)] += 1;
        }
        assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
        assert_eq!(Target::new("docs", None).of("anything"), 0);
    }
}
