//! What a person or CI may say to these tests, through the environment.

use std::path::PathBuf;

use anyhow::Context as _;

/// Rounds of an ordinary `make test`.
const ROUNDS_DEFAULT: u32 = 3;

/// Settings of one test run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// All that is random follows from this and from how fast the machine is.
    pub seed: u64,
    /// How often the server is killed in each test of a feed.
    pub rounds: u32,
    /// The binary under test.
    pub binary: PathBuf,
}

impl Settings {
    /// Reads `NAUTILUS_SEED`, `NAUTILUS_CRASH_ROUNDS` and `NAUTILUS_BIN`; `built` is the binary that
    /// cargo built for these tests. Prints what replays the run.
    pub fn from_environment(test: &str, built: &str) -> anyhow::Result<Self> {
        let settings = Self {
            seed: match said("NAUTILUS_SEED") {
                Some(text) => text.parse().context("NAUTILUS_SEED is not a number")?,
                None => nautilus_service::Clock::system().unix_ms(),
            },
            rounds: match said("NAUTILUS_CRASH_ROUNDS") {
                Some(text) => text.parse().context("NAUTILUS_CRASH_ROUNDS is not a number")?,
                None => ROUNDS_DEFAULT,
            },
            binary: said("NAUTILUS_BIN").map_or_else(|| PathBuf::from(built), PathBuf::from),
        };
        println!(
            "{test}: NAUTILUS_SEED={} NAUTILUS_CRASH_ROUNDS={} replays this",
            settings.seed, settings.rounds
        );
        Ok(settings)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place where these tests read the environment"
)]
fn said(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
