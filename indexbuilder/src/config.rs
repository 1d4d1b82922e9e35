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
    /// What is found out about documents as they come in.
    pub annotators: RawAnnotators,
}

/// The `[indexbuilder.annotators]` section as it is written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAnnotators {
    /// Which of the built-in ones run, in this order. Those an application adds run after them.
    pub run: Vec<String>,
    /// For one annotator and one document.
    pub time_max: HumanDuration,
    /// Of a document's body; what is beyond it is not looked at.
    pub input_max: ByteSize,
    /// Threads they run on, together.
    pub threads: usize,
}

impl Default for RawAnnotators {
    fn default() -> Self {
        Self {
            // Each costs every write, and nothing ranks by them.
            run: Vec::new(),
            // Hundreds of times what the built-in ones take.
            time_max: HumanDuration(Duration::from_millis(250)),
            input_max: ByteSize(64 * 1024),
            threads: 2,
        }
    }
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
            annotators: RawAnnotators::default(),
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
    /// What is found out about documents as they come in.
    pub annotators: AnnotatorSettings,
}

/// What annotators are told, checked.
#[derive(Debug, Clone)]
pub struct AnnotatorSettings {
    /// Names of built-in ones.
    pub run: Vec<String>,
    /// For one annotator and one document.
    pub time_max: Duration,
    /// Of a document's body.
    pub input_bytes_max: usize,
    /// Threads they run on, together.
    pub threads: usize,
}

/// A client waits for its documents' annotators.
const ANNOTATOR_TIME_MAX: Duration = Duration::from_secs(5);

const ANNOTATOR_THREADS_MAX: usize = 64;

impl RawAnnotators {
    fn validate(self) -> Result<AnnotatorSettings, IndexBuilderError> {
        let invalid = |key, problem: String| Err(IndexBuilderError::Config { key, problem });
        for (number, name) in self.run.iter().enumerate() {
            if nautilus_annotate::built_in(name).is_none() {
                let known = nautilus_annotate::BUILT_IN.join(", ");
                return invalid("annotators.run", format!("has {name:?}; there are {known}"));
            }
            if self.run.iter().take(number).any(|other| other == name) {
                return invalid("annotators.run", format!("has {name:?} twice"));
            }
        }
        let time_max = self.time_max.duration();
        if time_max.is_zero() || time_max > ANNOTATOR_TIME_MAX {
            return invalid("annotators.time_max", "is zero or over 5 s".to_owned());
        }
        let input_bytes_max = self.input_max.as_usize();
        if input_bytes_max == 0 {
            return invalid("annotators.input_max", "is zero".to_owned());
        }
        let threads = self.threads;
        if !(1..=ANNOTATOR_THREADS_MAX).contains(&threads) {
            let problem = format!("is not between 1 and {ANNOTATOR_THREADS_MAX}");
            return invalid("annotators.threads", problem);
        }
        Ok(AnnotatorSettings { run: self.run, time_max, input_bytes_max, threads })
    }
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
        Ok(Config {
            in_flight_bytes_max,
            deletion_interval,
            lag_records_max: self.lag_records_max,
            lag_age_max,
            annotators: self.annotators.validate()?,
        })
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
            ("annotators.run = ['dates', 'colour']", "annotators.run has \"colour\"; there are"),
            ("annotators.run = ['dates', 'dates']", "annotators.run has \"dates\" twice"),
            ("annotators.time_max = '6s'", "annotators.time_max is zero or over"),
            ("annotators.input_max = '0B'", "annotators.input_max is zero"),
            ("annotators.threads = 0", "annotators.threads is not between"),
        ] {
            let error = parsed(text).expect_err(text);
            assert!(error.contains(problem), "{error}");
        }
    }
}
