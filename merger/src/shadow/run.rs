//! One shadow search: the search of an answer once more, on the candidate, up to the ranked page.
//!
//! The second access check is left out, as nothing is shown; so are texts, highlights and tokens.

use std::time::Duration;

use nautilus_service::Deadline;

use super::{Answered, Job, Outcome, compare};
use crate::MergerError;
use crate::merger::Core;
use crate::page::Page;
use crate::rank::Namespace;
use crate::search::Run;
use crate::track::Track;
use crate::wish::Wish;

/// The longest time for one. Clients wait about as long; the time budget of the search holds too.
const TIME_MAX: Duration = Duration::from_secs(5);

impl Core {
    pub(super) async fn shadow(&self, job: Job) -> Outcome {
        let shown = job.shown.clone();
        match Box::pin(self.candidate(job)).await {
            Ok(candidate) => Outcome::Answered(compare(&shown, &candidate)),
            Err(error) => {
                tracing::debug!(%error, "a shadow search failed");
                Outcome::Failed
            }
        }
    }

    async fn candidate(&self, job: Job) -> Result<Answered, MergerError> {
        let Job { target, caller, wish, binding, min, scope, understood, shown: _ } = job;
        let mut track = Track::start(&self.clock);
        let mut run = Run {
            core: self,
            caller,
            // What is missing is compared as well.
            wish: Wish { allow_partial: true, explains: false, include_timing: false, ..wish },
            binding,
            progress: None,
            min,
            deadline: Deadline::after(self.clock.now(), TIME_MAX),
            shadow_on: Some(target),
            track: &mut track,
        };
        let began = self.clock.now();
        let found = run.find(&scope, &understood).await?;
        let page = run.page(&scope, found)?;
        let took = self.clock.now().saturating_duration_since(began);
        Ok(Answered::of(&scope, &page, took))
    }
}

impl Answered {
    /// What is compared of a ranked page.
    pub(crate) fn of(scope: &[Namespace], page: &Page, took: Duration) -> Self {
        let documents = page.hits.iter().filter_map(|hit| {
            Some((scope.get(hit.namespace_index)?.clone(), hit.document_id.clone()))
        });
        Self {
            documents: documents.collect(),
            total_hits: page.total_hits,
            is_partial: !page.coverage.is_complete(),
            is_truncated: page.is_truncated,
            took,
        }
    }
}
