//! The driver of suggestions: the last word of a text completed from the words of the scope's own
//! documents.

use nautilus_analysis::Analyzer;
use nautilus_identity::{Purpose, query_hash};
use nautilus_proto::leaf::v1::Suggestion as Word;
use nautilus_proto::root::v1 as root;
use nautilus_proto::search::v1::{SuggestRequest, SuggestResponse, Suggestion};
use nautilus_query::FieldSet;
use nautilus_service::Deadline;
use tonic::metadata::MetadataMap;

use crate::MergerError;
use crate::caller::Caller;
use crate::consistency::MinOffsets;
use crate::coverage::Coverage;
use crate::merger::Core;
use crate::rank::{CandidateInvalid, Namespace};
use crate::root_client::{Root, RootError};
use crate::scope::{asked, to_ref};
use crate::stopwatch::{Stopwatch, micros};
use crate::wish::{BUDGET_DEFAULT, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, page_size};

/// Questions of one request at most. A namespace that was withdrawn meanwhile must not have
/// contributed, so each further one is without those.
const ATTEMPTS_MAX: usize = 3;

/// A text whose last word is to be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unfinished<'t> {
    /// What stands before the word.
    before: &'t str,
    /// The beginning of the word, as analysed; not empty.
    prefix: String,
}

impl<'t> Unfinished<'t> {
    /// None where the text ends with no word: after white space, say.
    fn of(text: &'t str, analyzer: &Analyzer) -> Option<Self> {
        let word_start = text.rfind(char::is_whitespace);
        let word_start =
            word_start.map_or(0, |at| at + text[at..].chars().next().map_or(0, char::len_utf8));
        // In `title:kern` or `main.r` the last of several words is the unfinished one.
        let last = analyzer.tokens(text.get(word_start..)?).pop()?;
        let before = text.get(..word_start + last.start)?;
        Some(Self { before, prefix: last.text })
    }

    fn completed(&self, word: Word) -> Suggestion {
        let text = format!("{}{}", self.before, word.token);
        Suggestion { text, word: word.token, documents: word.documents }
    }
}

impl Core {
    pub(crate) async fn suggest(
        &self,
        metadata: &MetadataMap,
        request: SuggestRequest,
        deadline: Deadline,
    ) -> Result<SuggestResponse, MergerError> {
        let watch = Stopwatch::start(&self.clock);
        let answer = Box::pin(self.suggestions(metadata, &request, deadline)).await;
        self.metrics.suggested(answer.as_ref().err().map(MergerError::class), watch.total());
        answer
    }

    async fn suggestions(
        &self,
        metadata: &MetadataMap,
        request: &SuggestRequest,
        deadline: Deadline,
    ) -> Result<SuggestResponse, MergerError> {
        let caller = self.identify(metadata).await?;
        let bytes_max = self.config.query_limits.text_bytes_max;
        if request.text.len() > bytes_max {
            let problem = format!("is longer than {bytes_max} bytes");
            return Err(MergerError::field("text", problem));
        }
        let limit = page_size(request.page_size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)?;
        let mut scope = self.scope(&caller, &request.namespaces).await?;
        let Some(unfinished) = Unfinished::of(&request.text, &self.analyzer) else {
            return Ok(nothing());
        };
        for _ in 0..ATTEMPTS_MAX {
            if scope.is_empty() {
                return Ok(nothing());
            }
            let (response, coverage) =
                self.ask_words(&caller, &scope, &unfinished.prefix, limit, deadline).await?;
            coverage.require_usable(request.allow_partial)?;
            // Every namespace of the scope may have contributed to every count.
            let denied = self.denied(&caller.user, &scope).await?;
            if denied.is_empty() {
                let words = response.suggestions.into_iter().take(limit);
                return Ok(SuggestResponse {
                    suggestions: words.map(|word| unfinished.completed(word)).collect(),
                    truncated: response.truncated,
                    coverage: Some(coverage.to_proto()),
                });
            }
            scope.retain(|(name, _)| !denied.contains(name));
        }
        Err(MergerError::ScopeUnsettled)
    }

    async fn ask_words(
        &self,
        caller: &Caller,
        scope: &[Namespace],
        prefix: &str,
        limit: usize,
        deadline: Deadline,
    ) -> Result<(root::SuggestResponse, Coverage), MergerError> {
        let asked = asked(&self.config.map, scope, &MinOffsets::default());
        // Each partition counts its own documents: of several, more words than are shown.
        let wide = usize::try_from(self.config.candidates_per_partition).unwrap_or(limit);
        let limit = if asked.len() > 1 { limit.max(wide) } else { limit };
        let hash = query_hash(prefix.as_bytes());
        let message = root::SuggestRequest {
            grant: self.grant(caller, scope, Purpose::Search, hash)?,
            map_version: self.config.map.version,
            namespaces: scope.iter().map(to_ref).collect(),
            prefix: prefix.to_owned(),
            fields: FieldSet::ALL.bits().into(),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            budget_us: micros(BUDGET_DEFAULT),
            replica_group: String::new(),
        };
        let send = |mut root: Root, message| async move { root.suggest(message).await };
        let sent = self.roots.call(&self.clock, deadline, message, send).await;
        let response = sent.map_err(MergerError::Root)?;
        let labels = response.answers.iter().map(|answer| answer.label.as_ref());
        let coverage =
            Coverage::of(&asked, labels, &response.failures).map_err(RootError::Coverage)?;
        if response.suggestions.iter().any(|word| !word.token.starts_with(prefix)) {
            return Err(RootError::Candidate(CandidateInvalid).into());
        }
        Ok((response, coverage))
    }
}

/// No words, and nothing missing.
fn nothing() -> SuggestResponse {
    let coverage = Some(Coverage::default().to_proto());
    SuggestResponse { coverage, ..SuggestResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfinished(text: &str) -> Option<(&str, String)> {
        Unfinished::of(text, &Analyzer::new()).map(|u| (u.before, u.prefix))
    }

    #[test]
    fn the_last_word_is_the_unfinished_one() {
        let found = |before, prefix: &str| Some((before, prefix.to_owned()));
        assert_eq!(unfinished("kern"), found("", "kern"));
        assert_eq!(unfinished("linux KÉRN"), found("linux ", "kern"));
        assert_eq!(unfinished("linux\u{3000}kern"), found("linux\u{3000}", "kern"));
        assert_eq!(unfinished("a title:kern"), found("a title:", "kern"));
        assert_eq!(unfinished("see main.r"), found("see main.", "r"));
        assert_eq!(unfinished("-\"page ca"), found("-\"page ", "ca"));
        for nothing in ["", "kern ", "kern\u{a0}", "kern --", "*"] {
            assert_eq!(unfinished(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn what_stands_before_stays_as_it_was() {
        let unfinished = Unfinished::of("Linux title:KER", &Analyzer::new()).expect("a word");
        let done = unfinished.completed(Word { token: "kernel".into(), documents: 3 });
        assert_eq!(done.text, "Linux title:kernel");
        assert_eq!((done.word.as_str(), done.documents), ("kernel", 3));
    }
}
