//! `SearchShadow`: a search of one group and build that nobody waits for.
//!
//! It goes past the dispatcher on purpose: no hedge, no retry, no budget earned or spent, and neither the records of
//! replicas nor the times that hedges go by learn of it.

use std::sync::Arc;

use futures::future::join_all;
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::{SearchRequest, SearchResponse};
use nautilus_registry::layout::GroupName;
use nautilus_service::Deadline;
use nautilus_types::Class;

use super::offer::shadow_fingerprint;
use crate::answer::{SearchRules, check_search};
use crate::call::{CallError, Timed, call};
use crate::failure::{ANSWER_INVALID, ANSWER_OF_OTHER_BUILD, BUILD_NOT_SERVED, Failure};
use crate::fingerprint::Fingerprint;
use crate::gather::{Outcome, Rules, Source, gather};
use crate::plan::Part;
use crate::router::Routed;
use crate::search::{Checked, search_fingerprint};
use crate::suspects::Loss;
use crate::{Root, RootError};

/// What a query that leaves may die of is told; nobody sees it.
const SUSPECT: &str = "QUERY_SUSPECT";

impl Root {
    /// Searches the partitions of the request's scope in the group and build it names.
    pub async fn search_shadow(
        &self,
        request: SearchRequest,
        deadline: Deadline,
    ) -> Result<SearchResponse, RootError> {
        let _work = self.metrics.requests.begin();
        let missing = |field| RootError::Field { field, problem: "is missing".into() };
        let Checked { scope, scoring_leaves, group } = self.check_search(&request)?;
        let group = group.ok_or_else(|| missing("replica_group"))?;
        let build = request.build.clone().ok_or_else(|| missing("build"))?;
        let rules = SearchRules {
            limit: request.limit,
            scoring_leaves,
            are_statistics_given: request.statistics.is_some(),
        };
        let parts = self.parts_of(&scope, &request);
        let fingerprint = search_fingerprint(&request);
        let outcomes: Vec<Outcome> = if self.may_be_lethal(fingerprint, &parts) {
            // It became so since it was offered.
            parts.iter().map(|_| Err(Failure::new(Class::Precondition, SUSPECT))).collect()
        } else {
            let shadow = Shadow {
                root: self,
                request: &request,
                rules,
                group: &group,
                build: &build,
                fingerprint: shadow_fingerprint(fingerprint),
                deadline,
            };
            let asked = parts.iter().map(|part| shadow.ask(part));
            let outcomes = join_all(asked).await.into_iter().collect::<Result<_, RootError>>();
            outcomes?
        };
        let (namespaces, sort) = (request.namespaces.as_slice(), request.sort.as_ref());
        Ok(gather(&parts, outcomes, Rules { namespaces, scoring_leaves, sort }))
    }
}

/// What all parts have in common.
struct Shadow<'a> {
    root: &'a Root,
    request: &'a SearchRequest,
    rules: SearchRules,
    group: &'a GroupName,
    build: &'a str,
    /// Of a shadow.
    fingerprint: Fingerprint,
    deadline: Deadline,
}

impl Shadow<'_> {
    async fn ask(&self, part: &Part) -> Result<Outcome, RootError> {
        let root = self.root;
        let Some(routed) = self.replica(part) else {
            return Ok(Err(Failure::new(Class::Unavailable, BUILD_NOT_SERVED)));
        };
        let message = root.leaf_request(part, self.request, self.deadline);
        let mut client = routed.leaf.client.clone();
        let sent = call(&root.clock, self.deadline, message, |message| client.search(message));
        match sent.await {
            Ok(timed) => Ok(self.accepted(part, &routed, timed)),
            Err(CallError::Refused(status)) => Err(RootError::Refused(status)),
            Err(CallError::Failed(failure)) => {
                if failure.was_under_way {
                    self.note_lost(part, &routed);
                }
                Ok(Err(failure))
            }
        }
    }

    /// The best of the group's replicas of the build.
    fn replica(&self, part: &Part) -> Option<Routed> {
        let is_live = self.root.router.is_registry_live();
        let routes = self.root.router.routes();
        // By standing, so the first is the best.
        routes.routable(part.partition, is_live).find(|routed| {
            routed.replica.at.group == *self.group && routed.replica.build == self.build
        })
    }

    fn accepted(
        &self,
        part: &Part,
        routed: &Routed,
        timed: Timed<leaf::SearchResponse>,
    ) -> Outcome {
        let Timed { mut answer, round_trip } = timed;
        if let Err(problem) = check_search(part, &self.rules, &answer) {
            let (group, leaf) = (self.group, &routed.replica.at.leaf);
            tracing::warn!(partition = %part.partition, %group, %leaf, %problem, "a shadow's answer was not taken");
            return Err(Failure::new(Class::Bug, ANSWER_INVALID));
        }
        if let Some(label) = answer.label.as_mut() {
            if label.build != self.build {
                return Err(Failure::new(Class::Unavailable, ANSWER_OF_OTHER_BUILD));
            }
            self.root.dispatcher.fence(routed, label)?;
        }
        let leaf = Arc::clone(&routed.replica.at);
        Ok((answer, Source { leaf, round_trip, attempts: Vec::new() }))
    }

    /// The leaf was lost while it had the shadow: no root shadows the like for a while.
    fn note_lost(&self, part: &Part, routed: &Routed) {
        let at = &routed.replica.at;
        let (fingerprint, partition) = (self.fingerprint, part.partition);
        tracing::warn!(%fingerprint, %partition, group = %at.group, leaf = %at.leaf, "a leaf was lost while it had a shadow search");
        self.root.dispatcher.suspects.lost(Loss {
            fingerprint,
            partition,
            group: at.group.clone(),
            leaf: at.leaf.clone(),
            unix_ms: self.root.clock.unix_ms(),
        });
    }
}
