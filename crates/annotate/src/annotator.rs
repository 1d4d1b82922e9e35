//! The port: what an annotator is, gets and gives.

use std::collections::BTreeMap;
use std::time::Duration;

/// Says something of a document.
///
/// The same content must always give the same values under one version: documents are annotated once, when they are
/// written, and replicas keep what was found. Whoever changes what is found raises the version. An annotator may panic
/// or take too long; then the document goes on without it. It may not exhaust the stack or the memory: that ends the
/// process.
pub trait Annotator: Send + Sync {
    /// Unique among those that run: 1 to 32 of `a-z`, `0-9` and `-`.
    fn name(&self) -> &'static str;

    /// Of what it finds.
    fn version(&self) -> u32;

    /// What it found; no values where there is nothing to say.
    ///
    /// Loops ask `budget` now and then.
    fn annotate(&self, input: &Input<'_>, budget: &Budget<'_>) -> Result<Values, Failure>;
}

/// A document to look at. The body may be only its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Input<'a> {
    /// As given; often empty.
    pub title: &'a str,
    /// Within its namespace.
    pub path: &'a str,
    /// Of the source, or empty.
    pub media_type: &'a str,
    /// Its text.
    pub body: &'a str,
}

/// What was found, by name: 1 to 64 of `a-z`, `0-9`, `_` and `-`.
pub type Values = BTreeMap<String, Value>;

/// One thing found.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

/// Why nothing was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Failure {
    /// For programs.
    pub reason: Reason,
    /// For people. Repeats nothing of the document.
    pub detail: String,
}

impl Failure {
    /// What an annotator says when it cannot do its work.
    #[must_use]
    pub fn failed(detail: impl Into<String>) -> Self {
        Self { reason: Reason::Failed, detail: detail.into() }
    }
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The annotator said so.
    Failed,
    /// It panicked.
    Panicked,
    /// It took longer than it may.
    TimeLimit,
    /// It found more than may be kept, or what cannot be.
    Output,
    /// It did not come back from other documents, and is not run until it does.
    SwitchedOff,
}

impl Reason {
    /// UPPER_SNAKE, as it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "FAILED",
            Self::Panicked => "PANICKED",
            Self::TimeLimit => "TIME_LIMIT",
            Self::Output => "OUTPUT",
            Self::SwitchedOff => "SWITCHED_OFF",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The time an annotator has for a document.
pub struct Budget<'a> {
    now: &'a dyn Fn() -> Duration,
    began: Duration,
    limit: Duration,
}

impl<'a> Budget<'a> {
    /// From now on. `now` is monotonic, from any beginning.
    #[must_use]
    pub fn start(limit: Duration, now: &'a dyn Fn() -> Duration) -> Self {
        Self { now, began: now(), limit }
    }

    /// How long it has been.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        (self.now)().saturating_sub(self.began)
    }

    /// An error once the time is over; meant for `?`.
    pub fn check(&self) -> Result<(), Failure> {
        if self.elapsed() <= self.limit {
            return Ok(());
        }
        let detail = format!("took longer than {} ms", self.limit.as_millis());
        Err(Failure { reason: Reason::TimeLimit, detail })
    }
}

impl std::fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("began", &self.began).field("limit", &self.limit).finish()
    }
}
