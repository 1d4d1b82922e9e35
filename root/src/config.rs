//! Configuration: as written in a file, and checked.

use std::net::SocketAddr;
use std::time::Duration;

use nautilus_service::config::HumanDuration;
use nautilus_types::{PartitionMap, SLOT_COUNT};
use serde::{Deserialize, Serialize};

use crate::RootError;
use crate::hedge::HedgeMode;

/// Extra requests at once before the share counts: what a burst of failures may cost.
const RETRY_BURST: u32 = 10;
/// As [`RETRY_BURST`], of hedges. What makes one answer late makes those beside it late: with 10, hedges were denied
/// in such moments while less than two thirds of the share was used.
const HEDGE_BURST: u32 = 50;

/// The `[root]` section as it is written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Where the gRPC server listens.
    pub listen_address: SocketAddr,
    /// How many partitions there are.
    pub partitions: u32,
    /// How long a connection to a leaf may take to come up.
    pub connect_timeout: HumanDuration,
    /// For callers that state no deadline.
    pub default_deadline: HumanDuration,
    /// When further replicas are asked: `after-percentile`, `all` (at once) or `off`.
    pub hedge_mode: HedgeMode,
    /// The shortest time before a second request.
    pub hedge_delay_min: HumanDuration,
    /// Second requests for each hundred.
    pub hedge_budget_percent: u32,
    /// Requests repeated on another replica for each hundred.
    pub retry_budget_percent: u32,
    /// How long a request waits for the routing table to change when no other replica is left.
    pub retry_pause: HumanDuration,
    /// How often the registry is listed again beside watching it.
    pub relist_interval: HumanDuration,
    /// How often the registry is asked whether it is there.
    pub registry_probe_interval: HumanDuration,
    /// How long one call to the registry may take.
    pub registry_timeout: HumanDuration,
}

impl Default for RawConfig {
    fn default() -> Self {
        let ms = |ms| HumanDuration(Duration::from_millis(ms));
        Self {
            listen_address: SocketAddr::from(([127, 0, 0, 1], 7201)),
            partitions: 4,
            connect_timeout: ms(1_000),
            default_deadline: ms(10_000),
            hedge_mode: HedgeMode::AfterPercentile,
            hedge_delay_min: ms(2),
            hedge_budget_percent: 5,
            retry_budget_percent: 10,
            retry_pause: ms(100),
            relist_interval: ms(10_000),
            registry_probe_interval: ms(1_000),
            registry_timeout: ms(1_000),
        }
    }
}

/// How requests go to replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatching {
    /// When a second request goes out for a slow one.
    pub hedge_mode: HedgeMode,
    /// The shortest time before a second request.
    pub hedge_delay_min: Duration,
    /// Second requests for each hundred.
    pub hedge_budget_percent: u32,
    /// Second requests at once.
    pub hedge_burst: u32,
    /// Requests repeated on another replica for each hundred.
    pub retry_budget_percent: u32,
    /// Repeated requests at once.
    pub retry_burst: u32,
    /// How long a request waits for the routing table to change when no other replica is left.
    pub retry_pause: Duration,
}

/// How the registry is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Following {
    /// How often it is listed again beside watching it.
    pub relist_interval: Duration,
    /// How often it is asked whether it is there.
    pub probe_interval: Duration,
    /// How long one call to it may take.
    pub timeout: Duration,
}

/// What a root is told, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Which partition holds a namespace.
    pub map: PartitionMap,
    /// How long a connection to a leaf may take to come up.
    pub connect_timeout: Duration,
    /// For callers that state no deadline.
    pub default_deadline: Duration,
    /// How requests go to replicas.
    pub dispatching: Dispatching,
    /// How the registry is followed.
    pub following: Following,
}

impl Config {
    /// The defaults with this map.
    #[must_use]
    pub fn new(map: PartitionMap) -> Self {
        RawConfig::default().with_map(map)
    }
}

impl RawConfig {
    /// Checks everything that can be checked without a network.
    pub fn validate(self) -> Result<Config, RootError> {
        let invalid = |key, problem: String| RootError::Config { key, problem };
        if !(1..=u32::from(SLOT_COUNT)).contains(&self.partitions) {
            return Err(invalid("partitions", format!("is not 1 to {SLOT_COUNT}")));
        }
        let percents = [
            ("hedge_budget_percent", self.hedge_budget_percent),
            ("retry_budget_percent", self.retry_budget_percent),
        ];
        for (key, percent) in percents {
            if percent > 100 {
                return Err(invalid(key, "is not 0 to 100".to_owned()));
            }
        }
        let intervals = [
            ("connect_timeout", self.connect_timeout),
            ("default_deadline", self.default_deadline),
            ("relist_interval", self.relist_interval),
            ("registry_probe_interval", self.registry_probe_interval),
            ("registry_timeout", self.registry_timeout),
        ];
        for (key, interval) in intervals {
            if interval.0.is_zero() {
                return Err(invalid(key, "is zero".to_owned()));
            }
        }
        let map = PartitionMap::divided(self.partitions);
        Ok(self.with_map(map))
    }

    fn with_map(self, map: PartitionMap) -> Config {
        Config {
            map,
            connect_timeout: self.connect_timeout.0,
            default_deadline: self.default_deadline.0,
            dispatching: Dispatching {
                hedge_mode: self.hedge_mode,
                hedge_delay_min: self.hedge_delay_min.0,
                hedge_budget_percent: self.hedge_budget_percent,
                hedge_burst: HEDGE_BURST,
                retry_budget_percent: self.retry_budget_percent,
                retry_burst: RETRY_BURST,
                retry_pause: self.retry_pause.0,
            },
            following: Following {
                relist_interval: self.relist_interval.0,
                probe_interval: self.registry_probe_interval.0,
                timeout: self.registry_timeout.0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Config, String> {
        let raw: RawConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        raw.validate().map_err(|e| e.to_string())
    }

    #[test]
    fn files_become_settings() {
        let text = r#"
            partitions = 3
            connect_timeout = "250ms"
            hedge_mode = "off"
            relist_interval = "30s"
        "#;
        let config = parsed(text).expect("valid");
        assert_eq!(config.connect_timeout, Duration::from_millis(250));
        assert_eq!(config.map, PartitionMap::divided(3));
        assert_eq!(config.dispatching.hedge_mode, HedgeMode::Off);
        assert_eq!(config.following.relist_interval, Duration::from_secs(30));
        let all = parsed("hedge_mode = 'all'").expect("valid");
        assert_eq!(all.dispatching.hedge_mode, HedgeMode::All);
        assert_eq!(parsed("").expect("defaults"), Config::new(PartitionMap::divided(4)));
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("partition = 4", "unknown field"),
            ("partitions = 0", "partitions is not 1 to 16384"),
            ("hedge_mode = 'some'", "unknown variant"),
            ("hedge_budget_percent = 101", "hedge_budget_percent is not 0 to 100"),
            ("relist_interval = '0s'", "relist_interval is zero"),
        ];
        for (text, problem) in cases {
            let error = parsed(text).expect_err(text);
            assert!(error.contains(problem), "{error}");
        }
    }
}
