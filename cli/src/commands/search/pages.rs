//! Page after page until there is as much as was asked for.

use nautilus_proto::search::v1::{Coverage, SearchRequest, SearchResponse};

use super::render;
use crate::cli::{Global, OutputFormat};
use crate::client::Client;
use crate::credentials::Caller;
use crate::output::{self, Emphasis};
use crate::wire_json;

/// Most hits of one page.
const PAGE_SIZE_MAX: i32 = 100;

/// Size of a page when so many hits are still wanted.
pub(super) fn size(wanted: u64) -> i32 {
    i32::try_from(wanted).unwrap_or(PAGE_SIZE_MAX).min(PAGE_SIZE_MAX)
}

/// Asks for pages and shows each as it comes, for programs all of them at the end.
pub(super) async fn run(
    global: &Global,
    client: &Client,
    caller: Caller,
    mut request: SearchRequest,
    wanted: u64,
) -> anyhow::Result<()> {
    let emphasis = Emphasis::of_stdout(global);
    let start = client.clock.now();
    let mut shown = 0_u64;
    let mut whole: Option<SearchResponse> = None;
    loop {
        let sent = client.request(request.clone(), caller)?;
        let answered = client.search().search(sent).await;
        let mut page =
            answered.map_err(|status| render::with_caret(status, &request.query))?.into_inner();
        if global.output == OutputFormat::Human {
            let now = client.clock.unix_ms();
            output::say(&render::hits(&page.hits, shown + 1, now, emphasis))?;
        }
        shown += u64::try_from(page.hits.len()).unwrap_or(u64::MAX);
        request.page_token.clone_from(&page.next_page_token);
        if global.output == OutputFormat::Human {
            page.hits.clear();
        }
        match &mut whole {
            Some(whole) => append(whole, page),
            None => whole = Some(page),
        }
        if request.page_token.is_empty() || shown >= wanted {
            break;
        }
        request.page_size = size(wanted - shown);
        // What the first page says of that is enough.
        (request.include_timing, request.explain) = (false, false);
    }
    let took = client.clock.now().duration_since(start);
    let whole = whole.unwrap_or_default();
    output::print(
        global,
        || render::footer(&whole, shown, took),
        || wire_json::search_response(&whole),
    )?;
    Ok(())
}

/// The answer of two pages: as little complete as the less complete of them.
fn append(whole: &mut SearchResponse, page: SearchResponse) {
    whole.hits.extend(page.hits);
    whole.truncated |= page.truncated;
    let is_complete = |coverage: &Option<Coverage>| coverage.as_ref().is_some_and(|c| c.complete);
    if is_complete(&whole.coverage) {
        whole.coverage = page.coverage;
    }
    whole.consistency_token = page.consistency_token;
    whole.next_page_token = page.next_page_token;
}

#[cfg(test)]
mod tests {
    use super::*;
    use nautilus_proto::search::v1::Hit;

    #[test]
    fn pages_add_up_to_one_answer() {
        let page = |count: usize, complete, truncated, token: &str| SearchResponse {
            hits: vec![Hit::default(); count],
            total_hits: 150,
            coverage: Some(Coverage { complete, ..Coverage::default() }),
            truncated,
            next_page_token: token.into(),
            ..SearchResponse::default()
        };
        let mut whole = page(100, true, false, "a");
        append(&mut whole, page(30, false, true, "b"));
        append(&mut whole, page(20, true, false, ""));
        assert_eq!((whole.hits.len(), whole.total_hits), (150, 150));
        assert!(whole.truncated && !whole.coverage.expect("always").complete);
        assert_eq!(whole.next_page_token, "");
        assert_eq!((size(7), size(100), size(u64::MAX)), (7, 100, 100));
    }
}
