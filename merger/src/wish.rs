//! What a search asks for beside its query, checked.

use std::time::Duration;

use nautilus_proto::search::v1::{SearchRequest, View};

use crate::understand::{Match, Syntax};
use crate::{Config, MergerError};

/// Hits of a page where the caller asks for none in particular.
const PAGE_SIZE_DEFAULT: usize = 10;
/// More is quietly this.
const PAGE_SIZE_MAX: usize = 100;
/// Time to fetch candidates in, where the caller gives none.
const BUDGET_DEFAULT: Duration = Duration::from_millis(500);
/// More is quietly this.
const BUDGET_MAX: Duration = Duration::from_secs(5);

/// A checked wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) syntax: Syntax,
    pub(crate) matching: Match,
    pub(crate) page_size: usize,
    pub(crate) shows: Shows,
    pub(crate) budget: Duration,
    pub(crate) allow_partial: bool,
    pub(crate) include_timing: bool,
}

/// How much of a hit is shown; each shows what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shows {
    Ids,
    Basic,
    Full,
}

impl Wish {
    pub(crate) fn of(request: &SearchRequest, config: &Config) -> Result<Self, MergerError> {
        let unknown = |field: &str| MergerError::field(field, "is not a value of this enum");
        if !request.replica_group.is_empty() && request.replica_group != config.replica_group {
            return Err(MergerError::field("replica_group", "names no replica group"));
        }
        let shows = match View::try_from(request.view).map_err(|_| unknown("view"))? {
            View::Ids => Shows::Ids,
            View::Unspecified | View::Basic => Shows::Basic,
            View::Full => Shows::Full,
        };
        let budget = match request.budget_ms {
            0 => BUDGET_DEFAULT,
            ms => Duration::from_millis(ms.into()).min(BUDGET_MAX),
        };
        Ok(Self {
            syntax: Syntax::from_proto(request.syntax).ok_or_else(|| unknown("syntax"))?,
            matching: Match::from_proto(request.match_mode).ok_or_else(|| unknown("match_mode"))?,
            page_size: page_size(request.page_size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)?,
            shows,
            budget,
            allow_partial: request.allow_partial,
            include_timing: request.include_timing,
        })
    }
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
