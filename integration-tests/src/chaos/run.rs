//! One run of a scenario: its cluster, its load, what was injected, what was checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nautilus_service::Clock;
use tempfile::TempDir;

use super::load_of_machine::SATURATED;
use crate::cluster::{Cluster, Kind, Layout};
use crate::history::LogCopy;
use crate::load::{Load, Report, Settings, Target};
use crate::rng::Rng;
use crate::wait::wait_until;

/// From then on documents are written anew, or deleted.
const REWRITE_AFTER: Duration = Duration::from_secs(20);
/// Of failed searches, of how many the moment is said.
const MOMENTS_SAID: usize = 10;

/// How a scenario is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Draws victims and moments.
    pub seed: u64,
    /// How long the load goes on at least.
    pub duration: Duration,
    /// The binary.
    pub nautilus: PathBuf,
    /// How often a fault that is repeated happens.
    pub rounds: u64,
    /// Whether latency is checked, which says something only of a machine that does nothing else.
    pub checks_latency: bool,
    /// Searches sent each second.
    pub searches_per_second: u32,
    /// Documents sent each second.
    pub writes_per_second: u32,
    /// Answers held against the replayed log at most, evenly over the run.
    pub answers_max: usize,
}

/// Something that had to hold.
#[derive(Debug, Clone)]
pub struct Check {
    /// What.
    pub what: String,
    /// Whether it did.
    pub has_held: bool,
    /// The figures behind it.
    pub figures: String,
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    /// The cluster.
    pub cluster: Cluster,
    /// Draws.
    pub rng: Rng,
    /// As asked for.
    pub options: Options,
    /// The time everything is measured by.
    pub clock: Clock,
    /// What was read of the mutation log so far.
    pub log: LogCopy,
    pub(super) report: Option<Arc<Report>>,
    load: Option<Load>,
    injected: BTreeMap<&'static str, u64>,
    checks: Vec<Check>,
    folder: TempDir,
}

impl Run {
    /// Starts cluster and load. None where a service is missing here, which is said aloud.
    pub fn start(name: &str, options: &Options, layout: &Layout) -> anyhow::Result<Option<Self>> {
        let folder = tempfile::Builder::new().prefix("nautilus-chaos-").tempdir()?;
        let started = Cluster::start(name, folder.path(), &options.nautilus, layout);
        let cluster = match started {
            Ok(Some(cluster)) => cluster,
            Ok(None) => return Ok(None),
            Err(error) => {
                let kept = folder.keep();
                return Err(error)
                    .with_context(|| format!("everything is kept in {}", kept.display()));
            }
        };
        let target = Target {
            mergers: cluster.of_kind(Kind::Merger).map(|member| member.address()).collect(),
            index_builder: cluster
                .of_kind(Kind::IndexBuilder)
                .map(|member| member.address())
                .next()
                .context("no index builder")?,
            identity_dir: folder.path().join("identity"),
            token_key_file: folder.path().join("keys").join("token.key"),
            log: cluster.token_log(),
        };
        let settings = Settings {
            searches_per_second: options.searches_per_second,
            writes_per_second: options.writes_per_second,
            seed: options.seed,
            ..Settings::default()
        };
        let settings = settings.rewriting_after(REWRITE_AFTER);
        let load = Load::start(&target, &settings).context("start the load")?;
        let log = LogCopy::new(layout.partitions);
        Ok(Some(Self {
            cluster,
            rng: Rng::new(options.seed),
            options: options.clone(),
            clock: Clock::system(),
            log,
            report: None,
            load: Some(load),
            injected: BTreeMap::new(),
            checks: Vec::new(),
            folder,
        }))
    }

    /// Notes that a fault was injected.
    pub fn injected(&mut self, fault: &'static str) {
        *self.injected.entry(fault).or_insert(0) += 1;
    }

    /// Notes something that had to hold.
    pub fn check(&mut self, what: impl Into<String>, has_held: bool, figures: impl Into<String>) {
        let check = Check { what: what.into(), has_held, figures: figures.into() };
        let mark = if check.has_held { "held  " } else { "BROKEN" };
        println!("  {mark} {}: {}", check.what, check.figures);
        self.checks.push(check);
    }

    /// Notes a figure that was missed: broken, unless the machine had nothing left to give or is not asked for speed.
    pub(super) fn missed(&mut self, busy: f64, what: &str, figures: String) {
        let share = format!("{figures}; the machine was {:.0} % busy", busy * 100.0);
        if busy < SATURATED && self.options.checks_latency {
            self.check(what, false, share);
        } else {
            println!("  MISSED {what}: {share}");
        }
    }

    /// Says what is happening.
    pub fn say(&self, text: &str) {
        println!("  {:7.1} s  {text}", self.now().as_secs_f64());
    }

    /// Since the load began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.load.as_ref().map(Load::now).unwrap_or_default()
    }

    /// Lets the load go on until it is this old.
    pub fn until(&self, at: Duration) -> anyhow::Result<()> {
        let left = at.saturating_sub(self.now());
        let reached = || Ok((self.now() >= at).then_some(()));
        wait_until("time to pass under load", left + Duration::from_secs(1), reached)
    }

    /// Ends the load and checks that no search suffered.
    pub fn finish_load(&mut self) -> anyhow::Result<Arc<Report>> {
        let load = self.load.take().context("the load has ended before")?;
        let report = Arc::new(load.finish()?);
        self.report = Some(Arc::clone(&report));
        let sent = report.searches.len();
        let failures = report.failures_by_kind();
        let moments = report.failures().take(MOMENTS_SAID);
        let moments: Vec<_> =
            moments.map(|failure| format!("{:.1} s", failure.due.as_secs_f64())).collect();
        self.check(
            "every search is answered completely",
            failures.is_empty() && sent > 0,
            format!("{sent} searches, not so: {failures:?}, due at [{}]", moments.join(", ")),
        );
        let refused = report.fresh_by_kind();
        self.say(&format!(
            "{} searches for a write just acknowledged, refused: {refused:?}",
            report.fresh.len()
        ));
        let writes = &report.writes;
        self.check(
            "writes are acknowledged",
            writes.acknowledged > 0,
            format!(
                "{} acknowledged, {} pushed back, {} unknown",
                writes.acknowledged, writes.refused, writes.unknown
            ),
        );
        Ok(report)
    }

    /// What was injected, and whether everything held.
    #[must_use]
    pub fn verdict(&self) -> (BTreeMap<&'static str, u64>, bool) {
        let has_held = !self.checks.is_empty() && self.checks.iter().all(|check| check.has_held);
        (self.injected.clone(), has_held)
    }

    /// Keeps the folder and says where it is.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        let Self { cluster, folder, .. } = self;
        drop(cluster);
        folder.keep()
    }
}
