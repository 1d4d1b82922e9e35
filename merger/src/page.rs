//! From a page's hits to the answer: their texts, highlights, coverage, token.

use nautilus_proto::leaf::v1::FetchedDocument;
use nautilus_proto::search::v1::{Highlight, Hit as ShownHit, SearchResponse};
use nautilus_query::Node;
use nautilus_service::server::MessageLimits;
use prost::Message as _;

use crate::MergerError;
use crate::coverage::Coverage;
use crate::fetch::{Fetched, Key};
use crate::highlights::highlights;
use crate::rank::{Hit, Namespace};
use crate::search::Run;
use crate::wish::Shows;

/// The best hits, and what is said beside them.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) hits: Vec<Hit>,
    /// What was searched for; none where nothing was.
    pub(crate) tree: Option<Node>,
    pub(crate) total_hits: u64,
    pub(crate) is_relaxed: bool,
    pub(crate) is_truncated: bool,
    pub(crate) coverage: Coverage,
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
        let response = SearchResponse {
            hits: shown,
            total_hits: page.total_hits,
            relaxed: page.is_relaxed,
            truncated: page.is_truncated,
            coverage: Some(page.coverage.to_proto()),
            timing: self.wish.include_timing.then(|| self.watch.to_proto()),
            consistency_token: self.core.served_token(&self.min, &page.coverage)?,
        };
        let (bytes, bytes_max) = (response.encoded_len(), MessageLimits::CLIENT.encode_bytes_max);
        if bytes > bytes_max {
            return Err(MergerError::PageTooLarge { bytes, bytes_max });
        }
        Ok(response)
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
        // At least what the search saw, so that no text is older than its hit.
        let min = &page.coverage.served;
        let fetched = self.core.fetch(&self.caller, &keys, min, self.deadline).await?;
        let mut found = Vec::with_capacity(hits.len());
        for ((_, hit), fetched) in hits.into_iter().zip(fetched) {
            match fetched {
                Fetched::Found(document) => found.push((hit, *document)),
                // Deleted since the search saw it.
                Fetched::Absent => {}
                Fetched::Missing(partition, reason) => page.coverage.lose(partition, &reason),
            }
        }
        self.watch.lap("fetch");
        self.require_usable(&page.coverage)?;
        let documents = self.with_highlights(found, page.tree.clone()).await?;
        self.watch.lap("highlight");
        let shows = self.wish.shows;
        let shown = |(hit, document, highlights)| {
            Some(decorated(shown_hit(scope, &hit)?, document, highlights, shows))
        };
        Ok(documents.into_iter().filter_map(shown).collect())
    }

    async fn with_highlights(
        &self,
        found: Vec<(Hit, FetchedDocument)>,
        tree: Option<Node>,
    ) -> Result<Vec<(Hit, FetchedDocument, Vec<Highlight>)>, MergerError> {
        let analyzer = self.core.analyzer;
        let Some(tree) = tree.filter(|_| !found.is_empty()) else { return Ok(Vec::new()) };
        let highlighted = move |(hit, document): (Hit, FetchedDocument)| {
            let highlights = highlights(&document, &tree, &analyzer);
            (hit, document, highlights)
        };
        let job = move || found.into_iter().map(highlighted).collect();
        self.core.highlighters.run(job).await.map_err(MergerError::Highlight)
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

fn decorated(
    hit: ShownHit,
    document: FetchedDocument,
    highlights: Vec<Highlight>,
    shows: Shows,
) -> ShownHit {
    ShownHit {
        title: document.title,
        path: document.path,
        metadata: document.metadata,
        version: document.version,
        highlights,
        body: if shows == Shows::Full { document.body } else { String::new() },
        ..hit
    }
}
