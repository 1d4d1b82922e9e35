//! `Fetch` and `List`: stored documents, and ids in order.

use futures::future::join_all;
use nautilus_identity::Purpose;
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::{FetchRequest, FetchResponse, ListRequest};
use nautilus_service::Deadline;

use crate::answer::{check_fetch, check_list};
use crate::call::call;
use crate::dispatch::{Ask, Dispatched, Operation};
use crate::fingerprint::Fingerprint;
use crate::gather::failed;
use crate::plan::{Part, split};
use crate::request::{self, FETCH_KEYS_MAX, LIST_MAX};
use crate::router::Leaf;
use crate::search::picked;
use crate::{Root, RootError};

impl Root {
    /// Fetches documents from the partitions of their namespaces.
    pub async fn fetch(
        &self,
        request: FetchRequest,
        deadline: Deadline,
    ) -> Result<FetchResponse, RootError> {
        let _work = self.metrics.requests.begin();
        let (began, now_ms) = (self.clock.now(), self.clock.unix_ms());
        let grant = request::grant(&self.verifier, &request.grant, now_ms, Purpose::Fetch, None)?;
        request::check_map(&self.map, request.map_version)?;
        request::check_count("keys", request.keys.len(), FETCH_KEYS_MAX)?;
        let named = request.keys.iter().map(|key| key.namespace.as_ref());
        let named = named.collect::<Option<Vec<_>>>().ok_or_else(|| RootError::Field {
            field: "keys",
            problem: "has one without a namespace".into(),
        })?;
        let namespaces = request::namespaces(&grant, named)?;
        let group = self.group(&request.replica_group)?;

        let names = namespaces.iter().map(|(name, _)| name);
        let parts = split(&self.map, names, &request.min_offsets);
        let fingerprint = fetch_fingerprint(&request);
        let asked = parts.iter().map(|part| {
            let (operation, group) = (Operation::Fetch, group.as_ref());
            // Any other has the same texts.
            let build = request.build.as_deref().filter(|build| {
                let served = self.dispatcher.builds(std::slice::from_ref(part), group);
                served.iter().any(|it| it == build)
            });
            let ask = Ask { operation, fingerprint, part, group, build, deadline, began };
            self.fetch_part(ask, &request)
        });
        let dispatched = join_all(asked).await.into_iter().collect::<Result<Vec<_>, _>>();
        let mut response = FetchResponse {
            documents: vec![leaf::FetchedDocument::default(); request.keys.len()],
            failures: Vec::new(),
        };
        for (part, outcome) in parts.iter().zip(dispatched.map_err(RootError::Refused)?) {
            match outcome {
                Ok(answered) => put_back(&mut response.documents, part, answered.answer.documents),
                Err(failure) => response.failures.push(failed(part, failure)),
            }
        }
        Ok(response)
    }

    async fn fetch_part(
        &self,
        ask: Ask<'_>,
        request: &FetchRequest,
    ) -> Dispatched<leaf::FetchResponse> {
        let (part, deadline) = (ask.part, ask.deadline);
        let send = |mut leaf: Leaf| {
            let message = leaf::FetchRequest {
                context: Some(self.context(part, &request.grant)),
                keys: picked(&request.keys, part),
                include_body: request.include_body,
                highlight: request.highlight.clone(),
            };
            async move { call(&self.clock, deadline, message, |message| leaf.fetch(message)).await }
        };
        let check = |answer: &leaf::FetchResponse| check_fetch(part, answer);
        self.dispatcher.ask(ask, send, check).await
    }

    /// Lists the ids of one namespace.
    pub async fn list(
        &self,
        request: ListRequest,
        deadline: Deadline,
    ) -> Result<leaf::ListResponse, RootError> {
        let _work = self.metrics.requests.begin();
        let (began, now_ms) = (self.clock.now(), self.clock.unix_ms());
        let grant = request::grant(&self.verifier, &request.grant, now_ms, Purpose::List, None)?;
        request::check_map(&self.map, request.map_version)?;
        request::check_limit(request.limit, LIST_MAX)?;
        let namespaces = request::namespaces(&grant, &request.namespace)?;
        let names = namespaces.iter().map(|(name, _)| name);
        let parts = split(&self.map, names, &request.min_offsets);
        let Some(part) = parts.first() else {
            return Err(RootError::Field { field: "namespace", problem: "is missing".into() });
        };

        let send = |mut leaf: Leaf| {
            let mut context = self.context(part, &request.grant);
            context.latest = request.latest;
            let message = leaf::ListRequest {
                context: Some(context),
                namespace: request.namespace.clone(),
                after_document_id: request.after_document_id.clone(),
                limit: request.limit,
                with_failures: request.with_failures,
            };
            async move { call(&self.clock, deadline, message, |message| leaf.list(message)).await }
        };
        let check = |answer: &leaf::ListResponse| {
            check_list(part, &request.after_document_id, request.limit, answer)
        };
        let namespace = request.namespace.as_ref().map(prost::Message::encode_to_vec);
        let after = request.after_document_id.as_slice();
        let fingerprint = Fingerprint::of("list", &[&namespace.unwrap_or_default(), after]);
        let operation = Operation::List;
        let (group, build) = (None, None);
        let ask = Ask { operation, fingerprint, part, group, build, deadline, began };
        let dispatched = self.dispatcher.ask(ask, send, check).await.map_err(RootError::Refused)?;
        dispatched.map(|answered| answered.answer).map_err(RootError::Partition)
    }
}

fn fetch_fingerprint(request: &FetchRequest) -> Fingerprint {
    let mut parts: Vec<Vec<u8>> = request.keys.iter().map(prost::Message::encode_to_vec).collect();
    parts.extend(request.highlight.as_ref().map(prost::Message::encode_to_vec));
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Fingerprint::of("fetch", &parts)
}

/// The inverse of [`picked`].
fn put_back<T>(all: &mut [T], part: &Part, entries: Vec<T>) {
    let indexes = part.indexes.iter().filter_map(|&index| usize::try_from(index).ok());
    for (index, entry) in indexes.zip(entries) {
        if let Some(slot) = all.get_mut(index) {
            *slot = entry;
        }
    }
}
