//! Configuration: as written in a file, and checked.

use std::time::Duration;

use nautilus_registry::layout::{CoordinatorName, GroupName};
use nautilus_service::config::HumanDuration;
use nautilus_types::SLOT_COUNT;
use serde::{Deserialize, Serialize};

use crate::CoordinatorError;
use crate::plan::{Patience, Wanted};

/// The `[coordinator]` section as it is written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Its name in the registry and in logs.
    pub name: String,
    /// The replica group it acts for.
    pub replica_group: String,
    /// How many partitions there are.
    pub partitions: u32,
    /// Time of its own lease, and of the leaves': what ends within it counts as one event.
    pub lease_ttl: HumanDuration,
    /// Without a change the registry is read again after this time, in case a watch lost one.
    pub relist_interval: HumanDuration,
    /// How long leaves are waited for after a start, and when a whole group comes back.
    pub gather_time: HumanDuration,
    /// How long nothing is moved after more than 30 % of the leaves went at once, unless they come back.
    pub brake_time: HumanDuration,
    /// How long a partition is not given to a leaf where it failed.
    pub avoid_time: HumanDuration,
    /// Most partitions moved at once.
    pub moves_max: usize,
    /// Most partitions of one leaf; 0 = any number.
    pub partitions_per_leaf_max: usize,
    /// So much of the leaves, rounded up, is kept idle to replace lost ones; 0 = all share the partitions.
    pub spare_percent: usize,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            name: "coordinator-1".to_owned(),
            replica_group: "a".to_owned(),
            partitions: 4,
            lease_ttl: HumanDuration(Duration::from_secs(10)),
            relist_interval: HumanDuration(Duration::from_secs(5)),
            gather_time: HumanDuration(Duration::from_secs(3)),
            brake_time: HumanDuration(Duration::from_secs(300)),
            avoid_time: HumanDuration(Duration::from_secs(600)),
            // Each downloads a snapshot: more at once would take the network from searches.
            moves_max: 2,
            partitions_per_leaf_max: 0,
            spare_percent: 15,
        }
    }
}

/// What a coordinator is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name in the registry and in logs.
    pub name: CoordinatorName,
    /// The replica group it acts for.
    pub group: GroupName,
    /// What the group shall look like.
    pub wanted: Wanted,
    /// How long what is waited for.
    pub patience: Patience,
    /// Time of its own lease.
    pub lease_ttl: Duration,
    /// The registry is read again after this time without a change.
    pub relist_interval: Duration,
}

impl RawConfig {
    /// Checks everything that can be checked without a registry.
    pub fn validate(self) -> Result<Config, CoordinatorError> {
        let invalid = |key, problem: String| CoordinatorError::Config { key, problem };
        let name = CoordinatorName::new(&self.name).map_err(|e| invalid("name", e.to_string()))?;
        let group = GroupName::new(&self.replica_group)
            .map_err(|e| invalid("replica_group", e.to_string()))?;
        if !(1..=u32::from(SLOT_COUNT)).contains(&self.partitions) {
            return Err(invalid("partitions", format!("is not 1 to {SLOT_COUNT}")));
        }
        // Those of the registry's port.
        let lease_ttl = self.lease_ttl.0;
        if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&lease_ttl) {
            return Err(invalid("lease_ttl", "is not 100ms to 1h".to_owned()));
        }
        if self.relist_interval.0 < Duration::from_millis(10) {
            return Err(invalid("relist_interval", "is below 10ms".to_owned()));
        }
        if self.moves_max == 0 {
            return Err(invalid(
                "moves_max",
                "is 0: draining leaves could not be emptied".to_owned(),
            ));
        }
        if self.spare_percent > 90 {
            return Err(invalid("spare_percent", "is above 90".to_owned()));
        }
        let per_leaf = self.partitions_per_leaf_max;
        Ok(Config {
            name,
            group,
            wanted: Wanted {
                partitions: self.partitions,
                moves_max: self.moves_max,
                partitions_per_leaf_max: (per_leaf > 0).then_some(per_leaf),
                spare_percent: self.spare_percent,
            },
            patience: Patience {
                lease_ttl,
                gather_time: self.gather_time.0,
                brake_time: self.brake_time.0,
                avoid_time: self.avoid_time.0,
            },
            lease_ttl,
            relist_interval: self.relist_interval.0,
        })
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
        let config = parsed(
            r#"
            name = "coordinator-b1"
            replica_group = "b"
            partitions = 16
            lease_ttl = "3s"
            gather_time = "250ms"
            partitions_per_leaf_max = 8
            spare_percent = 20
            "#,
        )
        .expect("valid");
        assert_eq!(config.group.as_str(), "b");
        assert_eq!(config.wanted.partitions, 16);
        assert_eq!(config.wanted.partitions_per_leaf_max, Some(8));
        assert_eq!(config.patience.lease_ttl, Duration::from_secs(3));
        assert_eq!(config.patience.gather_time, Duration::from_millis(250));
        assert_eq!(config.wanted.spare_percent, 20);
        let defaults = parsed("").expect("defaults").wanted;
        assert_eq!((defaults.partitions_per_leaf_max, defaults.spare_percent), (None, 15));
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("partition = 4", "unknown field"),
            ("partitions = 0", "partitions is not 1 to 16384"),
            ("name = 'A'", "name"),
            ("replica_group = ''", "replica_group"),
            ("lease_ttl = '2h'", "lease_ttl is not 100ms to 1h"),
            ("relist_interval = '1ms'", "relist_interval is below 10ms"),
            ("moves_max = 0", "moves_max is 0"),
            ("spare_percent = 91", "spare_percent is above 90"),
        ];
        for (text, problem) in cases {
            let error = parsed(text).expect_err(text);
            assert!(error.contains(problem), "{error}");
        }
    }
}
