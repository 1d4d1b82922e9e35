//! Highlights of a hit: where its title, path and text match. Pure, and heavy enough for a pool.
//!
//! On the leaf, where the texts are: a page's texts are a hundred times its highlights, and a partition has one
//! version of the analyzer, which only its leaf need know.

use nautilus_analysis::Analyzer;
use nautilus_engine::Budget;
use nautilus_proto::common::v1 as common;
use nautilus_proto::leaf::v1::FetchedDocument;
use nautilus_proto::search::v1::{ByteRange, Highlight};
use nautilus_query::highlight::{Fragment, beginning, fragments};
use nautilus_query::{Field, Node};
use nautilus_types::Limits;

/// Fragments of a text that are shown at most.
const BODY_FRAGMENTS_MAX: usize = 2;
/// Longest of them, in bytes: two lines of a terminal.
const FRAGMENT_BYTES: usize = 160;

/// Texts below this many bytes together are not worth a second thread.
const SHARE_BYTES_MIN: usize = 32 * 1024;

/// The documents in order, cut into at most `shares_max` shares of about the same length.
pub(crate) fn shares(
    documents: Vec<FetchedDocument>,
    shares_max: usize,
) -> Vec<Vec<FetchedDocument>> {
    let bytes: usize = documents.iter().map(|document| document.body.len()).sum();
    let wanted = bytes.div_ceil(shares_max.max(1)).max(SHARE_BYTES_MIN);
    let (mut shares, mut share, mut held) = (Vec::new(), Vec::new(), 0);
    for document in documents {
        held += document.body.len();
        share.push(document);
        if held >= wanted && shares.len() + 1 < shares_max {
            shares.push(std::mem::take(&mut share));
            held = 0;
        }
    }
    if !share.is_empty() {
        shares.push(share);
    }
    shares
}

/// Adds the highlights of each document, of as many as the budget is there for.
pub(crate) fn add(
    documents: &mut [FetchedDocument],
    query: &Node,
    analyzer: &Analyzer,
    budget: &mut impl Budget,
) {
    for document in documents.iter_mut().filter(|document| document.found) {
        if budget.is_exhausted() {
            return;
        }
        document.highlights = highlights(document, query, analyzer);
    }
}

/// The title and the path whole, where they match, and the best fragments of the text; where the
/// text does not match, its beginning.
fn highlights(document: &FetchedDocument, query: &Node, analyzer: &Analyzer) -> Vec<Highlight> {
    let find =
        |text: &str, field, count, bytes| fragments(text, query, field, analyzer, count, bytes);
    let title = find(&document.title, Field::Title, 1, Limits::TITLE_BYTES_MAX);
    let path = find(&document.path, Field::Path, 1, Limits::PATH_BYTES_MAX);
    let mut body = find(&document.body, Field::Body, BODY_FRAGMENTS_MAX, FRAGMENT_BYTES);
    if body.is_empty() {
        body.extend(Some(beginning(&document.body, FRAGMENT_BYTES)).filter(|b| !b.text.is_empty()));
    }
    let all =
        [(common::Field::Title, title), (common::Field::Path, path), (common::Field::Body, body)];
    let of_field = |(field, fragments): (common::Field, Vec<Fragment>)| {
        fragments.into_iter().map(move |fragment| to_proto(field, fragment))
    };
    all.into_iter().flat_map(of_field).collect()
}

fn to_proto(field: common::Field, fragment: Fragment) -> Highlight {
    let at = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let range =
        |range: &std::ops::Range<usize>| ByteRange { start: at(range.start), end: at(range.end) };
    Highlight {
        field: field.into(),
        ranges: fragment.ranges.iter().map(range).collect(),
        text: fragment.text,
    }
}

#[cfg(test)]
mod tests {
    use nautilus_query::{MatchMode, QueryLimits, parse};

    use super::*;

    #[test]
    fn each_field_shows_where_it_matches() {
        let analyzer = Analyzer::new();
        let query = parse("fox", MatchMode::All, &QueryLimits::default(), &analyzer);
        let query = query.expect("a query");
        let document = |title: &str, path: &str, body: &str| FetchedDocument {
            title: title.into(),
            path: path.into(),
            body: body.into(),
            ..FetchedDocument::default()
        };
        let shown = |document| {
            let all = highlights(&document, &query, &analyzer).into_iter();
            all.map(|h| (h.field, h.text, h.ranges.len())).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(document("The Fox", "a/fox.md", "no such animal")),
            [
                (1, "The Fox".to_owned(), 1),
                (2, "a/fox.md".to_owned(), 1),
                (3, "no such animal".to_owned(), 0),
            ]
        );
        assert_eq!(shown(document("x", "y", "fox, fox")), [(3, "fox, fox".to_owned(), 2)]);
        assert_eq!(shown(document("x", "y", "")), []);
    }
    #[test]
    fn shares_hold_every_document_in_order() {
        let document = |length: usize| FetchedDocument {
            found: true,
            body: "x".repeat(length),
            ..FetchedDocument::default()
        };
        let cut = |lengths: &[usize], shares_max| {
            let documents = lengths.iter().map(|&length| document(length)).collect();
            let lengths = |share: Vec<FetchedDocument>| {
                share.iter().map(|document| document.body.len()).collect::<Vec<_>>()
            };
            shares(documents, shares_max).into_iter().map(lengths).collect::<Vec<_>>()
        };
        assert_eq!(cut(&[], 2), Vec::<Vec<usize>>::new());
        assert_eq!(cut(&[10, 20, 30], 2), [[10, 20, 30]]);
        assert_eq!(cut(&[40_000, 20_000, 60_000], 2), [vec![40_000, 20_000], vec![60_000]]);
        assert_eq!(cut(&[90_000, 10, 10], 2), [vec![90_000], vec![10, 10]]);
        assert_eq!(cut(&[90_000, 10, 90_000], 1), [[90_000, 10, 90_000]]);
    }

    struct Steps(usize);

    impl Budget for Steps {
        fn is_exhausted(&mut self) -> bool {
            let is_exhausted = self.0 == 0;
            self.0 = self.0.saturating_sub(1);
            is_exhausted
        }
    }

    #[test]
    fn a_spent_budget_adds_nothing() {
        let analyzer = Analyzer::new();
        let query = parse("fox", MatchMode::All, &QueryLimits::default(), &analyzer);
        let query = query.expect("a query");
        let fox =
            FetchedDocument { found: true, body: "a fox".into(), ..FetchedDocument::default() };
        let mut documents = [fox.clone(), FetchedDocument::default(), fox];
        add(&mut documents, &query, &analyzer, &mut Steps(1));
        let counts = documents.map(|document| document.highlights.len());
        assert_eq!(counts, [1, 0, 0]);
    }
}
