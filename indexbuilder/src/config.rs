//! Configuration: as written in a file, and checked.

use std::time::Duration;

use nautilus_service::config::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

use crate::IndexBuilderError;
use crate::ingest::BATCH_BYTES_MAX;

/// The `[indexbuilder]` section as it is written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// All batches being written at one time, together.
    pub in_flight_bytes_max: ByteSize,
    /// How often to look for deleted namespaces whose deletion is not in the log yet.
    pub deletion_interval: HumanDuration,
    /// Writes to a partition are refused while more records than these wait to become searchable in the slowest replica group.
    pub lag_records_max: u64,
    /// … and while the oldest of them is older than this.
    pub lag_age_max: HumanDuration,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            // Sixteen of the largest batches: enough to keep a disk busy.
            in_flight_bytes_max: ByteSize(64 * 1024 * 1024),
            deletion_interval: HumanDuration(Duration::from_secs(30)),
            // A few seconds of applying small documents.
            lag_records_max: 10_000,
            lag_age_max: HumanDuration(Duration::from_secs(2)),
        }
    }
}

/// What an index builder is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// All batches being written at one time, together, in bytes.
    pub in_flight_bytes_max: usize,
    /// How often to look for deletions that are not in the log yet.
    pub deletion_interval: Duration,
    /// Records that may wait to become searchable in the slowest replica group, per partition.
    pub lag_records_max: u64,
    /// How old the oldest of them may be.
    pub lag_age_max: Duration,
}

impl RawConfig {
    /// Checks everything that can be checked without disk or network.
    pub fn validate(self) -> Result<Config, IndexBuilderError> {
        let invalid = |key, problem: String| IndexBuilderError::Config { key, problem };
        let in_flight_bytes_max = self.in_flight_bytes_max.as_usize();
        if in_flight_bytes_max < BATCH_BYTES_MAX {
            let problem = format!("is below one batch of {BATCH_BYTES_MAX} bytes");
            return Err(invalid("in_flight_bytes_max", problem));
        }
        // What a semaphore can hand out at once.
        if u32::try_from(in_flight_bytes_max).is_err() {
            return Err(invalid("in_flight_bytes_max", "is over 4 GiB".to_owned()));
        }
        let deletion_interval = self.deletion_interval.duration();
        if deletion_interval.is_zero() {
            return Err(invalid("deletion_interval", "is zero".to_owned()));
        }
        if self.lag_records_max == 0 {
            return Err(invalid("lag_records_max", "is zero".to_owned()));
        }
        let lag_age_max = self.lag_age_max.duration();
        if lag_age_max.is_zero() {
            return Err(invalid("lag_age_max", "is zero".to_owned()));
        }
        let lag_records_max = self.lag_records_max;
        Ok(Config { in_flight_bytes_max, deletion_interval, lag_records_max, lag_age_max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Config, String> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        raw.validate().map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_becomes_a_configuration() {
        let config = parsed("in_flight_bytes_max = '8MiB'").expect("valid");
        assert_eq!(config.in_flight_bytes_max, 8 << 20);
        assert_eq!(config.deletion_interval, Duration::from_secs(30));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, problem) in [
            ("in_flight_bytes = '8MiB'", "unknown field"),
            ("in_flight_bytes_max = '4095KiB'", "in_flight_bytes_max is below one batch"),
            ("in_flight_bytes_max = '4GiB'", "in_flight_bytes_max is over 4 GiB"),
            ("deletion_interval = '0s'", "deletion_interval is zero"),
            ("lag_records_max = 0", "lag_records_max is zero"),
            ("lag_age_max = '0s'", "lag_age_max is zero"),
        ] {
            let error = parsed(text).expect_err(text);
            assert!(error.contains(problem), "{error}");
        }
    }
}
