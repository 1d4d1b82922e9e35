//! Whether two groups answer alike: the same searches, asked of each.
//!
//! Documents come while one asks. Two answers must be equal where both show the log up to the same offsets; where
//! they differ at different offsets nothing is known, and both are asked again.

use std::collections::BTreeMap;
use std::time::Duration;

use nautilus_proto::admin::v1::ListNamespacesRequest;
use nautilus_proto::search::v1::{
    GetDocumentRequest, ListDocumentsRequest, MatchMode, SearchRequest, SearchResponse, View,
};
use nautilus_registry::layout::GroupName;

use crate::cli::Global;
use crate::client::Client;
use crate::credentials::Caller;
use crate::output;

const NAMESPACES_MAX: usize = 12;
const NAMESPACES_LISTED: i32 = 1_000;
const DOCUMENTS_OF_NAMESPACE: usize = 3;
const DOCUMENTS_LISTED: i32 = 100;
const WORDS_OF_DOCUMENT: usize = 3;
const HITS: i32 = 50;
/// Enough for answers to meet at the same offsets while writes come.
const TRIES_MAX: u32 = 40;
const TRY_AGAIN: Duration = Duration::from_millis(25);

/// A search that both are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct Question {
    namespace: String,
    word: String,
}

/// What came of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::commands) struct Verdict {
    /// Answered alike.
    pub(in crate::commands) equal: u64,
    /// Never both at the same offsets, nor alike.
    pub(in crate::commands) undecided: u64,
    /// Answered differently at the same offsets: each in a line.
    pub(in crate::commands) different: Vec<String>,
}

/// What must be equal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    total: u64,
    /// Namespace and id, in order.
    hits: Vec<(String, String)>,
}

struct Answer {
    found: Found,
    /// What it shows of each partition; not enough of one that was cut short.
    offsets: BTreeMap<u32, u64>,
    is_whole: bool,
}

/// Words out of documents that the user of `--as` may read, spread over namespaces.
pub(in crate::commands) async fn questions(global: &Global) -> anyhow::Result<Vec<Question>> {
    let client = Client::connect(global).await?;
    let message = ListNamespacesRequest { page_size: NAMESPACES_LISTED, page_token: String::new() };
    let request = client.request(message, Caller::User)?;
    let listed = client.catalog().list_namespaces(request).await?.into_inner().namespaces;
    let mut questions = Vec::new();
    for namespace in spread(&listed, NAMESPACES_MAX) {
        let message = ListDocumentsRequest {
            namespace: namespace.name.clone(),
            page_size: DOCUMENTS_LISTED,
            ..ListDocumentsRequest::default()
        };
        let request = client.request(message, Caller::User)?;
        let documents = client.search().list_documents(request).await?.into_inner().documents;
        for document in spread(&documents, DOCUMENTS_OF_NAMESPACE) {
            let message = GetDocumentRequest {
                namespace: namespace.name.clone(),
                document_id: document.document_id.clone(),
                ..GetDocumentRequest::default()
            };
            let request = client.request(message, Caller::User)?;
            // It may have been deleted meanwhile.
            let Ok(got) = client.search().get_document(request).await else { continue };
            let document = got.into_inner().document.unwrap_or_default();
            let words = words(&format!("{} {}", document.title, document.body));
            questions.extend(
                spread(&words, WORDS_OF_DOCUMENT)
                    .map(|word| Question { namespace: namespace.name.clone(), word: word.clone() }),
            );
        }
    }
    Ok(questions)
}

/// At most so many of them, evenly.
fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(count.max(1)).max(1))
}

/// In lower case: none of them is an operator of the query language.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2);
    words.map(str::to_lowercase).collect()
}

/// Asks both groups everything.
pub(in crate::commands) async fn compare(
    global: &Global,
    group: &GroupName,
    other: &GroupName,
    questions: &[Question],
) -> anyhow::Result<Verdict> {
    let client = Client::connect(global).await?;
    let mut verdict = Verdict::default();
    for question in questions {
        match one(&client, group, other, question).await? {
            Some(None) => verdict.equal += 1,
            Some(Some(difference)) => verdict.different.push(difference),
            None => verdict.undecided += 1,
        }
    }
    Ok(verdict)
}

/// `None` = undecided; `Some(None)` = equal.
async fn one(
    client: &Client,
    group: &GroupName,
    other: &GroupName,
    question: &Question,
) -> anyhow::Result<Option<Option<String>>> {
    for _ in 0..TRIES_MAX {
        let (ours, theirs) =
            tokio::try_join!(ask(client, group, question), ask(client, other, question))?;
        if ours.is_whole && theirs.is_whole {
            if ours.found == theirs.found {
                return Ok(Some(None));
            }
            if ours.offsets == theirs.offsets && !ours.offsets.is_empty() {
                let difference = difference(question, (group, &ours.found), (other, &theirs.found));
                return Ok(Some(Some(difference)));
            }
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    Ok(None)
}

async fn ask(client: &Client, group: &GroupName, question: &Question) -> anyhow::Result<Answer> {
    let message = SearchRequest {
        query: question.word.clone(),
        match_mode: MatchMode::All.into(),
        namespaces: vec![question.namespace.clone()],
        page_size: HITS,
        view: View::Ids.into(),
        replica_group: group.to_string(),
        explain: true,
        ..SearchRequest::default()
    };
    let request = client.request(message, Caller::OperatingUser)?;
    Ok(answer(client.search().search(request).await?.into_inner()))
}

fn answer(response: SearchResponse) -> Answer {
    let is_complete = response.coverage.as_ref().is_some_and(|it| it.complete);
    let explained = response.explanation.unwrap_or_default().partitions;
    Answer {
        found: Found {
            total: response.total_hits,
            hits: response.hits.into_iter().map(|hit| (hit.namespace, hit.document_id)).collect(),
        },
        offsets: explained.iter().map(|it| (it.partition, it.next_offset)).collect(),
        is_whole: is_complete && !response.truncated,
    }
}

fn difference(
    question: &Question,
    (group, ours): (&GroupName, &Found),
    (other, theirs): (&GroupName, &Found),
) -> String {
    let at = ours.hits.iter().zip(&theirs.hits).take_while(|(one, two)| one == two).count();
    output::clean_line(&format!(
        "{:?} in {}: {group} finds {}, {other} finds {}; alike in the first {at} hits",
        question.word, question.namespace, ours.total, theirs.total
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_and_bounded() {
        let all: Vec<u32> = (0..10).collect();
        assert_eq!(spread(&all, 3).copied().collect::<Vec<_>>(), [0, 4, 8]);
        assert_eq!(spread(&all, 100).count(), 10);
        assert_eq!(spread::<u32>(&[], 3).count(), 0);
    }

    #[test]
    fn words_are_no_operators() {
        assert_eq!(words("The tide AND (the reef), a-b"), ["the", "tide", "and", "the", "reef"]);
    }
}
