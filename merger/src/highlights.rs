//! Highlights of a hit: where its title, path and text match. Pure, and heavy enough for a pool.

use nautilus_analysis::Analyzer;
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

/// The title and the path whole, where they match, and the best fragments of the text; where the
/// text does not match, its beginning.
pub(crate) fn highlights(
    document: &FetchedDocument,
    query: &Node,
    analyzer: &Analyzer,
) -> Vec<Highlight> {
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
}
