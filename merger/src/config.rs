//! Configuration: as written in a file, and checked.

use std::collections::BTreeSet;
use std::time::Duration;

use nautilus_catalog::UserId;
use nautilus_identity::LogIdentity;
use nautilus_query::QueryLimits;
use nautilus_service::config::HumanDuration;
use nautilus_types::{PartitionMap, SLOT_COUNT};
use serde::{Deserialize, Serialize};

use crate::MergerError;

/// Most candidates a leaf gives, and so the most a partition can be asked for.
const CANDIDATES_MAX: u32 = 1_000;

/// Most shadow searches at a time: beyond this they are load of their own, not a sample.
const SHADOW_SEARCHES_MAX: usize = 64;

/// The `[merger]` section as it is written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// How many partitions there are.
    pub partitions: u32,
    /// Longest query text, in bytes.
    pub query_bytes_max: usize,
    /// Most words of a query.
    pub query_words_max: usize,
    /// Deepest nesting of a query.
    pub query_depth_max: usize,
    /// Candidates wanted from each of several partitions, whatever the size of the page. More
    /// settle more searches by one question: where a partition has more matches than it gave, all
    /// are asked a second time.
    pub candidates_per_partition: u32,
    /// For callers that state no deadline.
    pub default_deadline: HumanDuration,
    /// Users who may see the state of the cluster, beside those whose token says so.
    pub operators: Vec<String>,
    /// Shadow searches under way at a time; those beyond are dropped. 0 = this merger runs none.
    pub shadow_searches_max: usize,
    /// A search that takes longer is logged.
    pub slow_query_threshold: HumanDuration,
    /// The log of slow searches shows their text, which is content of users.
    pub log_query_text: bool,
}

impl Default for RawConfig {
    fn default() -> Self {
        let limits = QueryLimits::default();
        Self {
            partitions: 4,
            query_bytes_max: limits.text_bytes_max,
            query_words_max: limits.leaves_max,
            query_depth_max: limits.depth_max,
            candidates_per_partition: 200,
            default_deadline: HumanDuration(Duration::from_secs(10)),
            operators: Vec::new(),
            shadow_searches_max: 4,
            slow_query_threshold: HumanDuration(Duration::from_millis(500)),
            log_query_text: false,
        }
    }
}

/// What a merger is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose offsets consistency tokens hold.
    pub log: LogIdentity,
    /// Which partition holds a namespace.
    pub map: PartitionMap,
    /// Bounds of queries.
    pub query_limits: QueryLimits,
    /// Candidates wanted from each partition.
    pub candidates_per_partition: u32,
    /// For callers that state no deadline.
    pub default_deadline: Duration,
    /// Users who may see the state of the cluster, beside those whose token says so.
    pub operators: BTreeSet<UserId>,
    /// Shadow searches under way at a time.
    pub shadow_searches_max: usize,
    /// A search that takes longer is logged.
    pub slow_query_threshold: Duration,
    /// The log of slow searches shows their text.
    pub log_query_text: bool,
    /// Version of the program, as status shows it.
    pub version: String,
}

impl Config {
    /// The defaults for this cluster.
    #[must_use]
    pub fn new(log: LogIdentity, map: PartitionMap) -> Self {
        let raw = RawConfig::default();
        Self {
            log,
            map,
            query_limits: QueryLimits::default(),
            candidates_per_partition: raw.candidates_per_partition,
            default_deadline: raw.default_deadline.0,
            operators: BTreeSet::new(),
            shadow_searches_max: raw.shadow_searches_max,
            slow_query_threshold: raw.slow_query_threshold.0,
            log_query_text: raw.log_query_text,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl RawConfig {
    /// Checks everything that can be checked alone. `log` is what the mutation log says it is.
    pub fn validate(self, log: LogIdentity) -> Result<Config, MergerError> {
        let invalid = |key, problem: String| MergerError::Config { key, problem };
        let in_range = |key, value: u64, max: u64| {
            if (1..=max).contains(&value) {
                Ok(())
            } else {
                Err(invalid(key, format!("is {value}, 1 to {max} are allowed")))
            }
        };
        let hard = QueryLimits::HARD;
        let bound = |bound: usize| u64::try_from(bound).unwrap_or(u64::MAX);
        in_range("partitions", self.partitions.into(), SLOT_COUNT.into())?;
        in_range("query_bytes_max", bound(self.query_bytes_max), bound(hard.text_bytes_max))?;
        in_range("query_words_max", bound(self.query_words_max), bound(hard.leaves_max))?;
        in_range("query_depth_max", bound(self.query_depth_max), bound(hard.depth_max))?;
        let candidates = self.candidates_per_partition;
        in_range("candidates_per_partition", candidates.into(), CANDIDATES_MAX.into())?;
        if self.shadow_searches_max > SHADOW_SEARCHES_MAX {
            let problem =
                format!("is {}, 0 to {SHADOW_SEARCHES_MAX} are allowed", self.shadow_searches_max);
            return Err(invalid("shadow_searches_max", problem));
        }
        let operators = self.operators.iter().map(UserId::new).collect::<Result<_, _>>();
        Ok(Config {
            query_limits: QueryLimits {
                text_bytes_max: self.query_bytes_max,
                leaves_max: self.query_words_max,
                depth_max: self.query_depth_max,
                ..QueryLimits::default()
            },
            candidates_per_partition: candidates,
            default_deadline: self.default_deadline.0,
            operators: operators.map_err(|error| invalid("operators", error.to_string()))?,
            shadow_searches_max: self.shadow_searches_max,
            slow_query_threshold: self.slow_query_threshold.0,
            log_query_text: self.log_query_text,
            ..Config::new(log, PartitionMap::divided(self.partitions))
        })
    }
}

#[cfg(test)]
mod tests {
    use nautilus_types::LogGeneration;

    use super::*;

    fn parsed(text: &str) -> Result<Config, String> {
        let raw: RawConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        let log = LogIdentity { cluster_id: [1; 16], generation: LogGeneration(1) };
        raw.validate(log).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_valid() {
        let config = parsed("operators = ['root']\nslow_query_threshold = '2s'").expect("valid");
        assert_eq!(config.query_limits, QueryLimits::default());
        assert_eq!(config.operators.len(), 1);
        assert_eq!(config.slow_query_threshold, Duration::from_secs(2));
        assert!(!config.log_query_text, "only where somebody asks for it");
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("partition = 4", "unknown field"),
            ("partitions = 0", "partitions is 0, 1 to 16384 are allowed"),
            ("query_bytes_max = 9000", "query_bytes_max is 9000, 1 to 8192 are allowed"),
            ("query_depth_max = 33", "query_depth_max is 33"),
            ("candidates_per_partition = 1001", "candidates_per_partition is 1001"),
            ("shadow_searches_max = 65", "shadow_searches_max is 65, 0 to 64 are allowed"),
            ("operators = ['']", "operators user id is empty"),
        ];
        for (text, problem) in cases {
            let error = parsed(text).expect_err(text);
            assert!(error.contains(problem), "{error}");
        }
    }
}
