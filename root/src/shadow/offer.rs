//! Whether a search that was answered may be asked of the candidate as well.

use nautilus_proto::root::v1::{SearchRequest, SearchResponse, ShadowTarget};

use super::{BuildReplica, Offer, is_drawn, target};
use crate::Root;
use crate::fingerprint::Fingerprint;
use crate::plan::Part;
use crate::router::Routed;
use crate::search::search_fingerprint;

/// As leaves die of it in a shadow: under a name of its own, so that no search is refused for what only a candidate
/// dies of.
pub(super) fn shadow_fingerprint(of_search: Fingerprint) -> Fingerprint {
    Fingerprint::of("shadow", &[&of_search.0.to_be_bytes()])
}

/// Later pages go on with the first one's build, second questions with the statistics of the first, and who names a
/// group wants to see that group.
fn is_first_question(request: &SearchRequest) -> bool {
    request.build.is_none()
        && request.statistics.is_none()
        && request.after.is_none()
        && request.replica_group.is_empty()
}

impl Root {
    /// Where a search that was drawn may be asked again.
    pub(crate) fn shadow_of(
        &self,
        request: &SearchRequest,
        parts: &[Part],
        response: &SearchResponse,
    ) -> Option<ShadowTarget> {
        let setting = self.shadow.get()?;
        // Away, it could not say that the wish has ended.
        if !is_first_question(request)
            || !self.router.is_registry_live()
            || !is_drawn(setting.share_per_million, rand::random())
        {
            return None;
        }
        let candidate = setting.label();
        let mut labels = response.answers.iter().filter_map(|answer| answer.label.as_ref());
        let (offer, group) = if labels.any(|label| label.build == candidate) {
            (Offer::SameBuild, None)
        } else if self.may_be_lethal(search_fingerprint(request), parts) {
            (Offer::Suspect, None)
        } else {
            match self.serves_all(parts, candidate) {
                Some(group) => (Offer::Offered, Some(group)),
                None => (Offer::NotServed, None),
            }
        };
        self.metrics.shadow_offer(offer);
        group.map(|replica_group| ShadowTarget { build: candidate.to_owned(), replica_group })
    }

    /// Whether leaves were lost while they had it, as a search or as a shadow.
    pub(super) fn may_be_lethal(&self, of_search: Fingerprint, parts: &[Part]) -> bool {
        let suspects = &self.dispatcher.suspects;
        let both = [of_search, shadow_fingerprint(of_search)];
        both.iter().any(|fingerprint| {
            suspects.refused_for(*fingerprint).is_some()
                || parts.iter().any(|part| suspects.is_suspect(*fingerprint, part.partition))
        })
    }

    fn serves_all(&self, parts: &[Part], candidate: &str) -> Option<String> {
        let routes = self.router.routes();
        let replicas: Vec<Vec<Routed>> =
            parts.iter().map(|part| routes.routable(part.partition, true).collect()).collect();
        let parts: Vec<Vec<BuildReplica<'_>>> =
            replicas.iter().map(|all| all.iter().map(build_replica).collect()).collect();
        target(&parts, candidate).map(ToString::to_string)
    }
}

fn build_replica(routed: &Routed) -> BuildReplica<'_> {
    let replica = &routed.replica;
    BuildReplica { group: &replica.at.group, standing: replica.standing, build: &replica.build }
}
