//! From a page's hits to the answer: their texts, highlights, coverage, tokens, explanation.

use std::collections::BTreeMap;

use futures::future::join;
use nautilus_proto::leaf::v1::{FetchedDocument, Statistics};
use nautilus_proto::root::v1::PartitionAnswer;
use nautilus_proto::search::v1::{self as search, Hit as ShownHit, SearchResponse};
use nautilus_query::Node;
use nautilus_service::server::MessageLimits;
use prost::Message as _;

use crate::MergerError;
use crate::coverage::Coverage;
use crate::explain::{Explained, explanation, timing};
use crate::fetch::{Fetched, Key, Parts, Source};
use crate::rank::{Hit, Namespace};
use crate::search::Run;
use crate::search_token::{self, Progress};
use crate::wish::Shows;

/// The best hits, and what is said beside them.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) hits: Vec<Hit>,
    /// What was searched for; none where nothing was.
    pub(crate) tree: Option<Node>,
    /// What hits were ranked by.
    pub(crate) statistics: Statistics,
    pub(crate) answers: Vec<PartitionAnswer>,
    pub(crate) total_hits: u64,
    pub(crate) is_relaxed: bool,
    pub(crate) is_truncated: bool,
    pub(crate) coverage: Coverage,
    /// Which build all answers are of.
    pub(crate) build: String,
    /// Where the next page begins; none where there is none.
    pub(crate) next: Option<Progress>,
}

impl Run<'_> {
    /// The answer. Every hit of the page has passed the access check.
    pub(crate) async fn show(
        mut self,
        scope: &[Namespace],
        mut page: Page,
    ) -> Result<SearchResponse, MergerError> {
        let hits = std::mem::take(&mut page.hits);
        let shown = match self.wish.shows {
            Shows::Ids => hits.iter().filter_map(|hit| shown_hit(scope, hit)).collect(),
            Shows::Basic | Shows::Full => self.with_texts(scope, hits, &mut page).await?,
        };
        let consistency_token = self.core.served_token(&self.min, &page.coverage)?;
        let next_page_token = self.next_page_token(page.next.as_ref())?;
        self.track.watch.lap("seal_tokens");
        let mut response = SearchResponse {
            hits: shown,
            total_hits: page.total_hits,
            relaxed: page.is_relaxed,
            truncated: page.is_truncated,
            coverage: Some(search::Coverage {
                build: page.build.clone(),
                ..page.coverage.to_proto()
            }),
            consistency_token,
            next_page_token,
            ..SearchResponse::default()
        };
        let (bytes, bytes_max) = (response.encoded_len(), MessageLimits::CLIENT.encode_bytes_max);
        if bytes > bytes_max {
            return Err(MergerError::PageTooLarge { bytes, bytes_max });
        }
        self.track.watch.lap("assemble");
        // Last, so that it tells of everything else.
        if self.wish.include_timing || self.wish.explains {
            self.explain(scope, &page, &mut response);
        }
        Ok(response)
    }

    fn explain(&self, scope: &[Namespace], page: &Page, response: &mut SearchResponse) {
        let timing = timing(self.track, &page.answers);
        if self.wish.explains {
            let explained = Explained {
                tree: page.tree.as_ref(),
                scope,
                statistics: &page.statistics,
                answers: &page.answers,
                is_operator: self.caller.is_operator,
            };
            response.explanation = Some(explanation(&explained, timing.clone()));
        }
        response.timing = self.wish.include_timing.then_some(timing);
    }

    /// Empty where there is no next page, or no token for it could hold what it must.
    fn next_page_token(&self, next: Option<&Progress>) -> Result<String, MergerError> {
        let Some(next) = next else { return Ok(String::new()) };
        let (key, log) = (&self.core.token_key, &self.core.config.log);
        let token = search_token::seal(key, log, &self.binding, next).map_err(MergerError::Seal)?;
        Ok(token.unwrap_or_default())
    }

    async fn with_texts(
        &mut self,
        scope: &[Namespace],
        hits: Vec<Hit>,
        page: &mut Page,
    ) -> Result<Vec<ShownHit>, MergerError> {
        let key = |hit: Hit| Some((scope.get(hit.namespace_index)?.clone(), hit));
        let hits: Vec<(Namespace, Hit)> = hits.into_iter().filter_map(key).collect();
        let keys: Vec<Key> = hits
            .iter()
            .map(|(namespace, hit)| (namespace.clone(), hit.document_id.clone()))
            .collect();
        // At least what the search saw, from any replica, so that no text is older than its hit.
        let from = Source {
            min: &page.coverage.served,
            replica_group: &self.wish.replica_group,
            build: Some(&page.build),
        };
        let shows = self.wish.shows;
        let parts = Parts { body: shows == Shows::Full, highlight: page.tree.as_ref() };
        let fetch = self.core.fetch(&self.caller, &keys, parts, from, self.deadline);
        // Neither needs the other.
        let (fetched, mounts) = join(fetch, self.mounts(!keys.is_empty())).await;
        let (fetched, mounts) = (fetched?, mounts?);
        let mut shown = Vec::with_capacity(hits.len());
        for ((namespace, hit), fetched) in hits.iter().zip(fetched) {
            match fetched {
                Fetched::Found(document) => {
                    let Some(hit) = shown_hit(scope, hit) else { continue };
                    let mount_path = mounts.get(namespace).cloned().unwrap_or_default();
                    shown.push(ShownHit { mount_path, ..decorated(hit, *document, shows) });
                }
                // Deleted since the search saw it.
                Fetched::Absent => {}
                Fetched::Missing(partition, reason) => page.coverage.lose(partition, &reason),
            }
        }
        self.track.watch.lap("fetch");
        self.require_usable(&page.coverage)?;
        Ok(shown)
    }

    /// Where the caller sees which namespace; of several places the first by path.
    async fn mounts(&self, are_wanted: bool) -> Result<BTreeMap<Namespace, String>, MergerError> {
        if !are_wanted {
            return Ok(BTreeMap::new());
        }
        let mounts = self.core.catalog.list_mounts(&self.caller.user).await;
        let mounts = mounts?;
        let mut places = BTreeMap::new();
        for mount in mounts {
            let namespace = (mount.namespace, mount.incarnation);
            places.entry(namespace).or_insert_with(|| mount.path.as_str().to_owned());
        }
        Ok(places)
    }
}

fn shown_hit(scope: &[Namespace], hit: &Hit) -> Option<ShownHit> {
    let (name, _) = scope.get(hit.namespace_index)?;
    Some(ShownHit {
        namespace: name.to_lossy(),
        document_id: hit.document_id.to_lossy(),
        score: hit.score,
        ..ShownHit::default()
    })
}

fn decorated(hit: ShownHit, document: FetchedDocument, shows: Shows) -> ShownHit {
    ShownHit {
        title: document.title,
        path: document.path,
        metadata: document.metadata,
        version: document.version,
        highlights: document.highlights,
        body: if shows == Shows::Full { document.body } else { String::new() },
        ..hit
    }
}
