//! `Suggest`: words of the scope's own vocabulary that begin with a prefix.

use futures::future::join_all;
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::{SuggestRequest, SuggestResponse};
use nautilus_service::Deadline;

use crate::answer::check_suggest;
use crate::call::call;
use crate::dispatch::{Ask, Dispatched, Operation};
use crate::fingerprint::Fingerprint;
use crate::gather::suggest::gather;
use crate::plan::split;
use crate::request::{self, SUGGESTIONS_MAX};
use crate::router::Leaf;
use crate::search::{outcome, picked};
use crate::{Root, RootError};

impl Root {
    /// Asks every partition of the request's scope and sums what answers within `deadline`.
    pub async fn suggest(
        &self,
        request: SuggestRequest,
        deadline: Deadline,
    ) -> Result<SuggestResponse, RootError> {
        let _work = self.metrics.requests.begin();
        let (began, now_ms) = (self.clock.now(), self.clock.unix_ms());
        let grant =
            request::suggest_grant(&self.verifier, &request.grant, now_ms, &request.prefix)?;
        request::check_map(&self.map, request.map_version)?;
        request::check_limit(request.limit, SUGGESTIONS_MAX)?;
        if request.prefix.is_empty() {
            return Err(RootError::Field { field: "prefix", problem: "is empty".into() });
        }
        let scope = request::scope(&grant, &request.namespaces)?;
        let group = self.group(&request.replica_group)?;

        let parts = split(&self.map, scope.iter().map(|(name, _)| name), &[]);
        let fields = request.fields.to_be_bytes();
        let fingerprint = Fingerprint::of("suggest", &[request.prefix.as_bytes(), &fields]);
        // Words of different builds are not the same words.
        let build = self.dispatcher.builds(&parts, group.as_ref()).into_iter().next();
        let build = build.as_deref();
        let asked = parts.iter().map(|part| {
            let (operation, group) = (Operation::Suggest, group.as_ref());
            self.suggest_part(
                Ask { operation, fingerprint, part, group, build, deadline, began },
                &request,
            )
        });
        let dispatched = join_all(asked).await.into_iter().collect::<Result<Vec<_>, _>>();
        let dispatched = dispatched.map_err(RootError::Refused)?;
        let outcomes = dispatched.into_iter().map(|part| outcome(part, false));
        Ok(gather(&parts, outcomes.collect(), request.limit))
    }

    async fn suggest_part(
        &self,
        ask: Ask<'_>,
        request: &SuggestRequest,
    ) -> Dispatched<leaf::SuggestResponse> {
        let (part, deadline) = (ask.part, ask.deadline);
        let send = |mut leaf: Leaf| {
            let message = leaf::SuggestRequest {
                context: Some(self.context(part, &request.grant)),
                namespaces: picked(&request.namespaces, part),
                prefix: request.prefix.clone(),
                fields: request.fields,
                limit: request.limit,
                budget_us: self.leaf_budget_us(request.budget_us, deadline),
            };
            async move { call(&self.clock, deadline, message, |message| leaf.suggest(message)).await }
        };
        let check = |answer: &leaf::SuggestResponse| {
            check_suggest(part, &request.prefix, request.limit, answer)
        };
        self.dispatcher.ask(ask, send, check).await
    }
}
