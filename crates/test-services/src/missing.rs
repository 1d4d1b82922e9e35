//! What happens to a test whose service this machine does not have.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;

/// A service that cannot be started here, and why.
#[derive(Debug)]
pub struct Missing {
    service: &'static str,
    why: String,
}

impl Missing {
    /// `service` such as `etcd`; `why` names what to install.
    #[must_use]
    pub fn new(service: &'static str, why: impl Into<String>) -> Self {
        Self { service, why: why.into() }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing: {}", self.service, self.why)
    }
}

/// The service, or none and a line for `scripts/test.sh`, which counts those at its end.
///
/// # Panics
/// With `CI=true`: there, a test that does not run is a failure.
pub fn or_skip<T>(test: &str, service: Result<T, Missing>) -> Option<T> {
    let missing = match service {
        Ok(service) => return Some(service),
        Err(missing) => missing,
    };
    assert!(!is_ci(), "{test} did not run: {missing}");
    let line = format!("SKIPPED {test}: {missing}");
    eprintln!("{line}");
    // The test's own output is swallowed where it passes; the file is not.
    if let Some(path) = variable("NAUTILUS_SKIPPED") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{line}"));
        assert!(written.is_ok(), "note the skipped test: {written:?}");
    }
    None
}

fn is_ci() -> bool {
    variable("CI").is_some_and(|value| value == "true" || value == "1")
}

#[allow(
    clippy::disallowed_methods,
    reason = "the tests' own switches and PATH, not a configuration of the product"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
