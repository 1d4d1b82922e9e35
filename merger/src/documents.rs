//! The drivers for single documents and lists of ids.

use nautilus_identity::Purpose;
use nautilus_proto::leaf::v1::FetchedDocument;
use nautilus_proto::root::v1 as root;
use nautilus_proto::search::v1::{
    Document, DocumentSummary, GetDocumentRequest, GetDocumentResponse, ListDocumentsRequest,
    ListDocumentsResponse,
};
use nautilus_service::Deadline;
use nautilus_types::{DocumentId, Offset};
use tonic::metadata::MetadataMap;

use crate::MergerError;
use crate::caller::Caller;
use crate::consistency::to_proto;
use crate::coverage::{Coverage, CoverageProblem};
use crate::error::PageTokenProblem;
use crate::fetch::{Fetched, Parts, RootOrGrant, Source};
use crate::merger::Core;
use crate::page_token::{self, PageEnd};
use crate::rank::Namespace;
use crate::root_client::{Root, RootError};
use crate::scope::{asked, parse_name, to_ref};
use crate::wish::page_size;

/// Ids of a page where the caller asks for none in particular.
const LIST_DEFAULT: usize = 100;
/// More is quietly this.
const LIST_MAX: usize = 1_000;

impl Core {
    pub(crate) async fn get_document(
        &self,
        metadata: &MetadataMap,
        request: GetDocumentRequest,
        deadline: Deadline,
    ) -> Result<GetDocumentResponse, MergerError> {
        let caller = self.identify(metadata).await?;
        let namespace = self.readable(&caller, &request.namespace).await?;
        let document_id = DocumentId::new(&request.document_id)
            .map_err(|error| MergerError::field("document_id", error.to_string()))?;
        let min = self.min_offsets(&request.consistency_token)?;
        let asked = asked(&self.config.map, std::slice::from_ref(&namespace), &min);
        let keys = [(namespace, document_id)];
        let from = Source { min: &asked, replica_group: "", build: None };
        let parts = Parts { body: true, highlight: None };
        let fetched = self.fetch(&caller, &keys, parts, from, deadline).await;
        let fetched = fetched.map_err(|error| match error {
            RootOrGrant::Root(error) => min.blame(error),
            RootOrGrant::Grant(error) => error,
        })?;
        let [(namespace, _)] = keys;
        self.check_again(&caller, &namespace).await?;
        match fetched.into_iter().next() {
            Some(Fetched::Found(document)) => {
                Ok(GetDocumentResponse { document: Some(shown(request, *document)) })
            }
            Some(Fetched::Absent) => {
                Err(MergerError::DocumentNotFound { document_id: request.document_id })
            }
            Some(Fetched::Missing(partition, reason)) => {
                let mut coverage = Coverage { asked: 1, ..Coverage::default() };
                coverage.lose(partition, &reason);
                Err(MergerError::not_covered(coverage))
            }
            None => Err(RootError::DocumentCount { found: 0, asked: 1 }.into()),
        }
    }

    pub(crate) async fn list_documents(
        &self,
        metadata: &MetadataMap,
        request: ListDocumentsRequest,
        deadline: Deadline,
    ) -> Result<ListDocumentsResponse, MergerError> {
        let caller = self.identify(metadata).await?;
        let limit = page_size(request.page_size, LIST_DEFAULT, LIST_MAX)?;
        let namespace = self.readable(&caller, &request.namespace).await?;
        let partition = self.config.map.partition_of(&namespace.0);
        let mut min = self.min_offsets(&request.consistency_token)?;
        let mut after = Vec::new();
        if !request.page_token.is_empty() {
            let (key, log) = (&self.token_key, &self.config.log);
            let end = page_token::open(key, log, &namespace, &request.page_token);
            let end = end.ok_or(MergerError::PageToken(PageTokenProblem::Forged))?;
            after = end.document_id.as_bytes().to_vec();
            if end.next_offset > min.of(partition) {
                min.require(partition, end.next_offset, "page_token");
            }
        }
        let asked = asked(&self.config.map, std::slice::from_ref(&namespace), &min);
        let message = root::ListRequest {
            grant: self.grant(&caller, std::slice::from_ref(&namespace), Purpose::List, 0)?,
            map_version: self.config.map.version,
            namespace: Some(to_ref(&namespace)),
            after_document_id: after,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            latest: request.latest,
            min_offsets: to_proto(&asked),
            with_failures: request.with_failures,
        };
        let send = |mut root: Root, message| async move { root.list(message).await };
        let sent = self.roots.call(&self.clock, deadline, message, send).await;
        let answer = sent.map_err(|error| min.blame(error))?;
        let coverage = Coverage::of(&asked, [answer.label.as_ref()], &[]);
        let coverage = coverage.map_err(RootError::Coverage)?;
        self.check_again(&caller, &namespace).await?;

        let last = answer.documents.last().filter(|_| !answer.is_last);
        let next_page_token = match last {
            None => String::new(),
            Some(last) => {
                let next_offset = coverage.served.get(&partition).copied().unwrap_or(Offset(0));
                let document_id = DocumentId::new(&last.document_id)
                    .map_err(|_| RootError::Coverage(CoverageProblem::NotOnce(partition)))?;
                let end = PageEnd { document_id, next_offset };
                page_token::seal(&self.token_key, &self.config.log, &namespace, &end)
                    .map_err(MergerError::Seal)?
            }
        };
        let summary = |document: nautilus_proto::leaf::v1::ListedDocument| DocumentSummary {
            document_id: String::from_utf8_lossy(&document.document_id).into_owned(),
            version: document.version,
            content_hash: document.content_hash,
            failures: document.failures,
        };
        let documents = answer.documents.into_iter().map(summary).collect();
        Ok(ListDocumentsResponse { documents, next_page_token })
    }

    /// The namespace of that name, which the caller must be able to read.
    async fn readable(&self, caller: &Caller, name: &str) -> Result<Namespace, MergerError> {
        parse_name("namespace", name)?;
        let scope = self.scope(caller, &[name.to_owned()]).await?;
        scope.into_iter().next().ok_or(MergerError::NamespaceDenied)
    }

    /// The second check, right before something is shown.
    async fn check_again(&self, caller: &Caller, namespace: &Namespace) -> Result<(), MergerError> {
        if self.denied(&caller.user, [namespace]).await?.is_empty() {
            Ok(())
        } else {
            self.metrics.acl_dropped_hits.inc();
            Err(MergerError::NamespaceDenied)
        }
    }
}

fn shown(request: GetDocumentRequest, document: FetchedDocument) -> Document {
    Document {
        namespace: request.namespace,
        document_id: request.document_id,
        version: document.version,
        title: document.title,
        path: document.path,
        body: document.body,
        metadata: document.metadata,
        content_hash: document.content_hash,
    }
}
