//! The public API, called as a client does, from code that is not asynchronous.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nautilus_proto::search::v1::search_service_client::SearchServiceClient;
use nautilus_proto::search::v1::{
    ListDocumentsRequest, MatchMode, QuerySyntax, SearchRequest, View,
};
use nautilus_service::class_of;
use nautilus_types::Class;
use tokio::runtime::Runtime;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::acks::Hashes;
use crate::wait::wait_until;

/// One call.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// A cluster that has just started may say for this long that it is not there yet.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(60);

/// The most a search may take before it says `truncated`.
const SEARCH_BUDGET_MS: u32 = 5_000;

const PAGE_SIZE: i32 = 1_000;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Documents that match.
    pub total: u64,
    /// Ids of the first of them.
    pub ids: Vec<String>,
}

/// A connection on behalf of one user.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    channel: Channel,
    bearer: MetadataValue<Ascii>,
}

impl Client {
    /// Connects to `address`, such as `127.0.0.1:7700`, with this token.
    pub fn connect(address: &str, token: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start a runtime")?;
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).context("read the address")?;
        let endpoint = endpoint.connect_timeout(CALL_TIME_MAX);
        let channel = runtime.block_on(endpoint.connect()).context("connect")?;
        let bearer = format!("Bearer {token}").parse().context("make a header of the token")?;
        Ok(Self { runtime, channel, bearer })
    }

    /// All documents of the namespaces, with everything that was acknowledged before. That one is
    /// there twice is an error.
    pub fn list(&self, namespaces: &[String]) -> anyhow::Result<Hashes> {
        let mut all = Hashes::new();
        for namespace in namespaces {
            let listed = self.list_if_there(namespace)?;
            let listed = listed.with_context(|| format!("namespace {namespace} is not there"))?;
            for (id, hash) in listed {
                ensure!(all.insert(id.clone(), hash).is_none(), "{id} is in two namespaces");
            }
        }
        Ok(all)
    }

    /// As [`list`](Self::list) for one namespace, or none where there is no such namespace.
    pub fn list_if_there(&self, namespace: &str) -> anyhow::Result<Option<Hashes>> {
        let mut listed = Hashes::new();
        let mut token = String::new();
        loop {
            let page = self.retrying("a page of documents", || {
                let request = ListDocumentsRequest {
                    namespace: namespace.to_owned(),
                    page_size: PAGE_SIZE,
                    page_token: token.clone(),
                    latest: true,
                    ..ListDocumentsRequest::default()
                };
                let mut client = SearchServiceClient::new(self.channel.clone());
                let outcome = self.runtime.block_on(client.list_documents(self.request(request)));
                unless_absent(outcome)
            })?;
            let Some(page) = page else { return Ok(None) };
            for document in page.documents {
                let id = document.document_id;
                let before = listed.insert(id.clone(), hex(&document.content_hash));
                ensure!(before.is_none(), "{id} is listed twice");
            }
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(Some(listed));
            }
        }
    }

    /// Searches for documents with this one word, in all that the user may read where no namespace is
    /// named. An incomplete or truncated answer is an error.
    pub fn search(&self, namespaces: &[String], word: &str) -> anyhow::Result<Found> {
        let answer = self.retrying("an answer to a search", || {
            let request = SearchRequest {
                query: word.to_owned(),
                syntax: QuerySyntax::Literal.into(),
                match_mode: MatchMode::All.into(),
                namespaces: namespaces.to_vec(),
                page_size: 10,
                view: View::Ids.into(),
                budget_ms: SEARCH_BUDGET_MS,
                ..SearchRequest::default()
            };
            let mut client = SearchServiceClient::new(self.channel.clone());
            self.runtime.block_on(client.search(self.request(request))).map(Response::into_inner)
        })?;
        let coverage = answer.coverage.unwrap_or_default();
        ensure!(coverage.complete && !answer.truncated, "the answer for {word} is not whole");
        let ids = answer.hits.into_iter().map(|hit| hit.document_id).collect();
        Ok(Found { total: answer.total_hits, ids })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request.set_timeout(CALL_TIME_MAX);
        request
    }

    /// Calls again while the cluster says that it is not there yet.
    fn retrying<T>(
        &self,
        what: &str,
        mut call: impl FnMut() -> Result<T, Status>,
    ) -> anyhow::Result<T> {
        wait_until(what, CATCH_UP_TIME_MAX, || match call() {
            Ok(answer) => Ok(Some(answer)),
            Err(status) if class_of(&status).is_retryable() => Ok(None),
            Err(status) => bail!("{what}: {status}"),
        })
    }
}

/// None for an answer that a namespace that does not exist gets: nobody may learn which do.
fn unless_absent<T>(outcome: Result<Response<T>, Status>) -> Result<Option<T>, Status> {
    match outcome {
        Ok(response) => Ok(Some(response.into_inner())),
        Err(status) if matches!(class_of(&status), Class::NotFound | Class::Denied) => Ok(None),
        Err(status) => Err(status),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
