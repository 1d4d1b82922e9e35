//! What a search asks for beside its query, checked.

use std::time::Duration;

use nautilus_proto::common::v1::{DocumentFilter, Range, Sort, SortKey};
use nautilus_proto::search::v1::{SearchRequest, View};

use crate::MergerError;
use crate::rank::Order;
use crate::understand::{Match, Syntax};

/// Hits of a page where the caller asks for none in particular.
pub(crate) const PAGE_SIZE_DEFAULT: usize = 10;
/// More is quietly this.
pub(crate) const PAGE_SIZE_MAX: usize = 100;
/// Time to fetch candidates in, where the caller gives none.
pub(crate) const BUDGET_DEFAULT: Duration = Duration::from_millis(500);
/// More is quietly this.
const BUDGET_MAX: Duration = Duration::from_secs(5);

/// A checked wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) syntax: Syntax,
    pub(crate) matching: Match,
    pub(crate) page_size: usize,
    pub(crate) shows: Shows,
    pub(crate) budget: Duration,
    pub(crate) allow_partial: bool,
    pub(crate) include_timing: bool,
    pub(crate) explains: bool,
    /// Empty = any.
    pub(crate) replica_group: String,
    /// None where it lets all documents through.
    pub(crate) filter: Option<DocumentFilter>,
    /// None for relevance.
    pub(crate) sort: Option<Sort>,
    pub(crate) order: Order,
}

/// How much of a hit is shown; each shows what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shows {
    Ids,
    Basic,
    Full,
}

impl Wish {
    pub(crate) fn of(request: &SearchRequest) -> Result<Self, MergerError> {
        let unknown = |field: &str| MergerError::field(field, "is not a value of this enum");
        let shows = match View::try_from(request.view).map_err(|_| unknown("view"))? {
            View::Ids => Shows::Ids,
            View::Unspecified | View::Basic => Shows::Basic,
            View::Full => Shows::Full,
        };
        let budget = match request.budget_ms {
            0 => BUDGET_DEFAULT,
            ms => Duration::from_millis(ms.into()).min(BUDGET_MAX),
        };
        let sort = request.sort.unwrap_or_default();
        let key = SortKey::try_from(sort.key).map_err(|_| unknown("sort.key"))?;
        let by_number = match key {
            SortKey::Unspecified | SortKey::Relevance => None,
            SortKey::Modified | SortKey::Created | SortKey::Size => Some(sort),
        };
        let order = |sort: Sort| Order::Number { is_ascending: sort.ascending };
        Ok(Self {
            syntax: Syntax::from_proto(request.syntax).ok_or_else(|| unknown("syntax"))?,
            matching: Match::from_proto(request.match_mode).ok_or_else(|| unknown("match_mode"))?,
            page_size: page_size(request.page_size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)?,
            shows,
            budget,
            allow_partial: request.allow_partial,
            include_timing: request.include_timing,
            explains: request.explain,
            replica_group: request.replica_group.clone(),
            filter: filter(request.filter)?,
            sort: by_number,
            order: by_number.map_or(Order::Relevance, order),
        })
    }
}

/// The filter, if its ranges can hold anything; none where it has no range.
fn filter(filter: Option<DocumentFilter>) -> Result<Option<DocumentFilter>, MergerError> {
    let Some(filter) = filter else { return Ok(None) };
    let ranges = [
        ("filter.size_bytes", filter.size_bytes),
        ("filter.created_unix_ms", filter.created_unix_ms),
        ("filter.modified_unix_ms", filter.modified_unix_ms),
    ];
    for (field, range) in ranges {
        if let Some(Range { min: Some(min), max: Some(max) }) = range
            && min > max
        {
            let problem = format!("is from {min} to {max}: no number is in it");
            return Err(MergerError::field(field, problem));
        }
    }
    Ok(ranges.iter().any(|(_, range)| range.is_some()).then_some(filter))
}

/// The size of a page: a default for 0, quietly capped, never negative.
pub(crate) fn page_size(
    asked: i32,
    size_default: usize,
    size_max: usize,
) -> Result<usize, MergerError> {
    match usize::try_from(asked) {
        Ok(0) => Ok(size_default),
        Ok(size) => Ok(size.min(size_max)),
        Err(_) => Err(MergerError::field("page_size", "is negative")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(request: &SearchRequest) -> String {
        Wish::of(request).expect_err("refused").to_string()
    }

    #[test]
    fn ranges_must_hold_something() {
        let with = |min, max| SearchRequest {
            filter: Some(DocumentFilter {
                created_unix_ms: Some(Range { min, max }),
                ..DocumentFilter::default()
            }),
            ..SearchRequest::default()
        };
        assert!(problem(&with(Some(2), Some(1))).starts_with("filter.created_unix_ms is from 2"));
        for (min, max) in [(Some(1), Some(1)), (None, Some(-4)), (Some(9), None), (None, None)] {
            assert!(Wish::of(&with(min, max)).expect("sound").filter.is_some());
        }
        let open = SearchRequest { filter: Some(DocumentFilter::default()), ..with(None, None) };
        assert_eq!(Wish::of(&open).expect("sound").filter, None);
    }

    #[test]
    fn relevance_has_one_direction() {
        let with = |key: i32, ascending| SearchRequest {
            sort: Some(Sort { key, ascending }),
            ..SearchRequest::default()
        };
        for key in [0, 1] {
            assert_eq!(Wish::of(&with(key, true)).expect("sound").order, Order::Relevance);
        }
        let by_size = Wish::of(&with(SortKey::Size.into(), true)).expect("sound");
        assert_eq!(by_size.order, Order::Number { is_ascending: true });
        assert!(problem(&with(17, false)).starts_with("sort.key"));
    }
}
