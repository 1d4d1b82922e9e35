//! Configuration: as written in a file, and checked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use nautilus_service::config::HumanDuration;
use nautilus_types::{PartitionId, PartitionMap, SLOT_COUNT};
use serde::Deserialize;

use crate::{RootError, RoutingTable};

/// The `[root]` section as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Where the gRPC server listens.
    pub listen_address: SocketAddr,
    /// Name of the replica group this root asks.
    pub replica_group: String,
    /// How many partitions there are.
    pub partitions: u32,
    /// Who serves them.
    pub leaves: Vec<RawLeaf>,
    /// How long a connection to a leaf may take to come up.
    pub connect_timeout: HumanDuration,
    /// For callers that state no deadline.
    pub default_deadline: HumanDuration,
}

/// One leaf as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLeaf {
    /// Its URI, such as `http://127.0.0.1:7301`.
    pub address: String,
    /// The partitions it serves.
    pub partitions: Vec<u32>,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            listen_address: SocketAddr::from(([127, 0, 0, 1], 7201)),
            replica_group: "a".to_owned(),
            partitions: 4,
            leaves: Vec::new(),
            connect_timeout: HumanDuration(Duration::from_secs(1)),
            default_deadline: HumanDuration(Duration::from_secs(10)),
        }
    }
}

/// What a root is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whom to ask for what.
    pub routing: RoutingTable,
    /// How long a connection to a leaf may take to come up.
    pub connect_timeout: Duration,
    /// For callers that state no deadline.
    pub default_deadline: Duration,
}

impl Config {
    /// The defaults with this table.
    #[must_use]
    pub fn new(routing: RoutingTable) -> Self {
        let raw = RawConfig::default();
        Self {
            routing,
            connect_timeout: raw.connect_timeout.0,
            default_deadline: raw.default_deadline.0,
        }
    }
}

impl RawConfig {
    /// Checks everything that can be checked without a network.
    pub fn validate(self) -> Result<Config, RootError> {
        let invalid = |key, problem: String| RootError::Config { key, problem };
        if self.replica_group.is_empty() {
            return Err(invalid("replica_group", "is empty".to_owned()));
        }
        if !(1..=u32::from(SLOT_COUNT)).contains(&self.partitions) {
            return Err(invalid("partitions", format!("is not 1 to {SLOT_COUNT}")));
        }
        let mut leaves = BTreeMap::new();
        for leaf in self.leaves {
            for partition in leaf.partitions {
                if partition >= self.partitions {
                    return Err(invalid("leaves", format!("there is no partition {partition}")));
                }
                if leaves.insert(PartitionId(partition), leaf.address.clone()).is_some() {
                    let problem = format!("partition {partition} is given to two leaves");
                    return Err(invalid("leaves", problem));
                }
            }
        }
        let routing = RoutingTable {
            replica_group: self.replica_group,
            map: PartitionMap::divided(self.partitions),
            leaves,
        };
        Ok(Config {
            routing,
            connect_timeout: self.connect_timeout.0,
            default_deadline: self.default_deadline.0,
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
    fn files_become_tables() {
        let config = parsed(
            r#"
            replica_group = "blue"
            partitions = 3
            leaves = [
                { address = "http://127.0.0.1:1", partitions = [0, 2] },
                { address = "http://127.0.0.1:2", partitions = [1] },
            ]
            connect_timeout = "250ms"
            "#,
        )
        .expect("valid");
        assert_eq!(config.connect_timeout, Duration::from_millis(250));
        assert_eq!(config.routing.leaf_of(PartitionId(2)), Some("http://127.0.0.1:1"));
        assert_eq!(config.routing.leaf_of(PartitionId(3)), None);
        assert_eq!(config.routing.addresses().len(), 2);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("partition = 4", "unknown field"),
            ("partitions = 0", "partitions is not 1 to 16384"),
            ("replica_group = ''", "replica_group is empty"),
            ("leaves = [{ address = 'http://a', partitions = [4] }]", "there is no partition 4"),
            (
                "leaves = [{ address = 'http://a', partitions = [1, 1] }]",
                "partition 1 is given to two leaves",
            ),
        ];
        for (text, problem) in cases {
            let error = parsed(text).expect_err(text);
            assert!(error.contains(problem), "{error}");
        }
    }
}
