//! Times and sizes as people write them in filters.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use nautilus_proto::common::v1::{DocumentFilter, Range, Sort, SortKey};
use nautilus_service::clock::saturating_ms;
use nautilus_service::config::ByteSize;

/// A moment: a date, or so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Milliseconds since 1970-01-01 UTC.
    At(u64),
    /// Before now.
    Ago(Duration),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ago) = humantime::parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        let is_date = text.len() == "2024-01-31".len();
        let whole = if is_date { format!("{text} 00:00:00") } else { text.to_owned() };
        let time = humantime::parse_rfc3339_weak(&whole).ok();
        let since_1970 = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since_1970.map(|since| Self::At(saturating_ms(since))).ok_or_else(|| {
            "expected a date such as 2024-01-31 or 2024-01-31T18:30:00, in UTC, or how long ago, \
             such as 7d or 12h"
                .to_owned()
        })
    }
}

impl Moment {
    fn unix_ms(self, now_unix_ms: u64) -> i64 {
        let ms = match self {
            Self::At(ms) => ms,
            Self::Ago(ago) => now_unix_ms.saturating_sub(saturating_ms(ago)),
        };
        i64::try_from(ms).unwrap_or(i64::MAX)
    }
}

/// Conditions on documents.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which documents, in which order")]
pub(super) struct Limits {
    /// Modified at this time or later: a date (2024-01-31, UTC), or how long ago (7d)
    #[arg(long, value_name = "TIME")]
    modified_after: Option<Moment>,
    /// Modified before this time
    #[arg(long, value_name = "TIME")]
    modified_before: Option<Moment>,
    /// Created at this time or later
    #[arg(long, value_name = "TIME")]
    created_after: Option<Moment>,
    /// Created before this time
    #[arg(long, value_name = "TIME")]
    created_before: Option<Moment>,
    /// At least this large, such as 10kB or 4MiB
    #[arg(long, value_name = "SIZE")]
    size_min: Option<ByteSize>,
    /// At most this large
    #[arg(long, value_name = "SIZE")]
    size_max: Option<ByteSize>,
    /// What comes first; documents that do not have it come last
    #[arg(long, value_enum, default_value_t = Key::Relevance)]
    sort: Key,
    /// Oldest or smallest first
    #[arg(long, requires = "sort")]
    ascending: bool,
}

/// What results are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Key {
    /// The best match first
    #[default]
    Relevance,
    /// The last modified first
    Modified,
    /// The last created first
    Created,
    /// The largest first
    Size,
}

impl Limits {
    /// As a request says it; none where there is no condition.
    pub(super) fn filter(&self, now_unix_ms: u64) -> Option<DocumentFilter> {
        let time = |after: Option<Moment>, before: Option<Moment>| {
            let min = after.map(|moment| moment.unix_ms(now_unix_ms));
            let max = before.map(|moment| moment.unix_ms(now_unix_ms).saturating_sub(1));
            range(min, max)
        };
        let bytes =
            |size: Option<ByteSize>| size.map(|s| i64::try_from(s.bytes()).unwrap_or(i64::MAX));
        let filter = DocumentFilter {
            size_bytes: range(bytes(self.size_min), bytes(self.size_max)),
            created_unix_ms: time(self.created_after, self.created_before),
            modified_unix_ms: time(self.modified_after, self.modified_before),
        };
        (filter != DocumentFilter::default()).then_some(filter)
    }

    /// As a request says it; none for relevance.
    pub(super) fn sort(&self) -> Option<Sort> {
        let key = match self.sort {
            Key::Relevance => return None,
            Key::Modified => SortKey::Modified,
            Key::Created => SortKey::Created,
            Key::Size => SortKey::Size,
        };
        Some(Sort { key: key.into(), ascending: self.ascending })
    }
}

fn range(min: Option<i64>, max: Option<i64>) -> Option<Range> {
    (min.is_some() || max.is_some()).then_some(Range { min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_or_so_long_ago() {
        let moment = |text: &str| text.parse::<Moment>();
        let day = 24 * 60 * 60 * 1_000;
        assert_eq!(moment("1970-01-03"), Ok(Moment::At(2 * day)));
        assert_eq!(moment("1970-01-01T00:00:07"), Ok(Moment::At(7_000)));
        assert_eq!(moment("1970-01-01T00:00:07Z"), Ok(Moment::At(7_000)));
        assert_eq!(moment("7d"), Ok(Moment::Ago(Duration::from_secs(7 * 24 * 60 * 60))));
        assert_eq!(Moment::Ago(Duration::from_secs(1)).unix_ms(5_000), 4_000);
        for bad in ["", "yesterday", "2024-13-01", "2024-01", "7", "1960-01-01"] {
            assert!(moment(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_what_was_said_becomes_a_condition() {
        assert_eq!(Limits::default().filter(0), None);
        assert_eq!(Limits { ascending: true, ..Limits::default() }.sort(), None);
        let limits = Limits {
            modified_after: Some(Moment::Ago(Duration::from_secs(1))),
            created_before: Some(Moment::At(10)),
            size_min: Some(ByteSize(10_000)),
            sort: Key::Size,
            ascending: true,
            ..Limits::default()
        };
        let filter = limits.filter(3_000).expect("conditions");
        assert_eq!(filter.modified_unix_ms, range(Some(2_000), None));
        assert_eq!(filter.created_unix_ms, range(None, Some(9)));
        assert_eq!(filter.size_bytes, range(Some(10_000), None));
        assert_eq!(limits.sort(), Some(Sort { key: SortKey::Size.into(), ascending: true }));
    }
}
