//! What must be true of the documents at the end.

use std::time::Duration;

use anyhow::Context as _;
use nautilus_identity::DevelopmentIssuer;
use nautilus_proto::search::v1::search_service_client::SearchServiceClient;
use nautilus_proto::search::v1::{ListDocumentsRequest, MatchMode, SearchRequest, View};
use nautilus_service::Clock;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use super::run::Run;
use crate::cluster::Kind;
use crate::load::{Report, USER, is_deletion, mark, namespace};
use crate::rng::Rng;

/// Documents that are searched for in each group.
const SAMPLE: usize = 200;
const CALL_TIME_MAX: Duration = Duration::from_secs(20);
const PAGE_SIZE: i32 = 1_000;

/// Every acknowledged document is listed in its latest version, or a later one whose outcome was unknown, and a
/// sample of them is found by each group.
pub(super) fn everything_acknowledged_is_found(
    run: &mut Run,
    report: &Report,
) -> anyhow::Result<()> {
    let merger = run.cluster.of_kind(Kind::Merger).next().context("no merger")?.address();
    let issuer = DevelopmentIssuer::open(&run.cluster.folder().join("identity"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let clock = Clock::system();
    let token = || issuer.issue_operator(USER, clock.unix_ms() / 1_000, Duration::from_secs(600));
    let bearer = format!("Bearer {}", token()?);
    let endpoint = Endpoint::from_shared(format!("http://{merger}"))?;
    let client = SearchServiceClient::new(endpoint.connect_lazy());
    let reader = Reader { client, bearer };
    let (wrong, listed) = runtime.block_on(reader.wrong_versions(report))?;
    run.check(
        "every acknowledged document is listed in its latest version",
        wrong.is_empty() && listed > 0,
        format!("{listed} listed, wrong: {:?}", wrong.iter().take(5).collect::<Vec<_>>()),
    );
    let mut settled: Vec<_> = report
        .documents
        .iter()
        .filter(|((_, document), stored)| {
            stored.possible.is_empty() && !is_deletion(*document, stored.acknowledged)
        })
        .map(|(key, stored)| (*key, stored.acknowledged))
        .collect();
    let mut rng = Rng::new(run.options.seed).part(7);
    for group in run.cluster.groups() {
        let mut missing = Vec::new();
        for _ in 0..SAMPLE.min(settled.len()) {
            let drawn = rng.index(settled.len());
            let ((place, document), version) = settled.swap_remove(drawn);
            let found = runtime.block_on(reader.finds(&group, place, document, version))?;
            if !found {
                missing.push((place, document, version));
            }
        }
        run.check(
            format!("a sample of them is found by group {group}"),
            missing.is_empty(),
            format!("{SAMPLE} looked for, missing: {missing:?}"),
        );
    }
    Ok(())
}

struct Reader {
    client: SearchServiceClient<Channel>,
    bearer: String,
}

impl Reader {
    fn request<T>(&self, message: T) -> anyhow::Result<Request<T>> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.parse()?);
        request.set_timeout(CALL_TIME_MAX);
        Ok(request)
    }

    /// Documents whose listed version may not be, and how many were listed.
    async fn wrong_versions(&self, report: &Report) -> anyhow::Result<(Vec<String>, usize)> {
        let mut expected = report.documents.clone();
        let (mut wrong, mut count) = (Vec::new(), 0);
        let mut places: Vec<u64> = expected.keys().map(|(place, _)| *place).collect();
        places.dedup();
        for place in places {
            let mut page_token = String::new();
            loop {
                let message = ListDocumentsRequest {
                    namespace: namespace(place),
                    page_size: PAGE_SIZE,
                    page_token,
                    latest: true,
                    ..ListDocumentsRequest::default()
                };
                let mut client = self.client.clone();
                let answer = client.list_documents(self.request(message)?).await?.into_inner();
                for listed in answer.documents {
                    count += 1;
                    let number = listed.document_id.trim_start_matches('d').parse::<u64>();
                    let stored = match &number {
                        Ok(number) => expected.remove(&(place, *number)),
                        Err(_) => None,
                    };
                    let version = listed.version.unwrap_or(0);
                    let is_right = stored.zip(number.ok()).is_some_and(|(stored, number)| {
                        let is_latest = version == stored.acknowledged
                            || (version > stored.acknowledged
                                && stored.possible.contains(&version));
                        is_latest && !is_deletion(number, version)
                    });
                    if !is_right {
                        wrong.push(format!("{place}/{} at {version}", listed.document_id));
                    }
                }
                page_token = answer.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
        }
        let lost = expected.iter().filter(|((_, number), stored)| {
            let later = stored.possible.iter().filter(|version| **version > stored.acknowledged);
            let mut may_be_last = std::iter::once(&stored.acknowledged).chain(later);
            stored.acknowledged > 0 && !may_be_last.any(|version| is_deletion(*number, *version))
        });
        wrong.extend(lost.map(|((place, number), _)| format!("{place}/d{number} is lost")));
        Ok((wrong, count))
    }

    async fn finds(
        &self,
        group: &str,
        place: u64,
        document: u64,
        version: u64,
    ) -> anyhow::Result<bool> {
        let message = SearchRequest {
            query: mark(document, version),
            match_mode: MatchMode::All.into(),
            namespaces: vec![namespace(place)],
            replica_group: group.to_owned(),
            view: View::Ids.into(),
            ..SearchRequest::default()
        };
        let mut client = self.client.clone();
        let answer = client.search(self.request(message)?).await?.into_inner();
        let is_complete = answer.coverage.is_some_and(|coverage| coverage.complete);
        let ids: Vec<_> = answer.hits.iter().map(|hit| hit.document_id.as_str()).collect();
        Ok(is_complete && ids == [format!("d{document}")])
    }
}
