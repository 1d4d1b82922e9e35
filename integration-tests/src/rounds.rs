//! Feeds during which the server dies, at times drawn over the whole feed.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nautilus_service::Clock;

use crate::acks::Hashes;
use crate::checks;
use crate::corpus::Corpus;
use crate::feed::{Feed, Target};
use crate::machine::{Machine, USER};
use crate::power_cut::{CutStyle, SyncCounts};
use crate::rng::Rng;
use crate::wait::poll_for;

/// Generated documents: some 30 batches, and enough for RocksDB to write tables during the feed.
const GENERATED: usize = 6_000;

/// Namespaces that share the documents in some rounds: more than there are partitions.
const SPREAD: u32 = 6;

/// A feed whose server died gives up after this.
const RETRY_FOR: Duration = Duration::from_millis(300);

/// A feed nothing happens to may wait this long for a busy server.
const PATIENCE: Duration = Duration::from_secs(60);

/// More rounds than asked for, at most, until one died in the middle of its feed.
const EXTRA_ROUNDS_MAX: u32 = 5;

/// How the server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disaster {
    /// `kill -9`: all that was written stays.
    Kill,
    /// What was not synced goes too.
    PowerCut,
}

/// What many rounds came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Deaths of the server.
    pub deaths: u32,
    /// Of them with some documents acknowledged and some not.
    pub within_feed: u32,
    /// Of them while starting again.
    pub within_start: u32,
    /// Acknowledged writes that were looked for afterwards.
    pub acknowledged: usize,
    /// Writes that a second feed sent.
    pub sent_again: u64,
    /// Syncs that the shim saw.
    pub syncs: SyncCounts,
}

/// A machine, what is fed to it, and what came of that.
#[derive(Debug)]
pub struct Rounds {
    machine: Machine,
    disaster: Disaster,
    corpus: Corpus,
    /// Of the whole corpus.
    hashes: Hashes,
    /// How long an undisturbed feed takes until all is acknowledged.
    calm_acknowledged: Duration,
    /// And until all is searchable.
    calm: Duration,
    /// How long the last start took.
    start: Duration,
    /// Of all rounds so far; each holds the whole corpus.
    targets: Vec<Target>,
    /// So far.
    pub totals: Totals,
}

impl Rounds {
    /// Starts the machine, makes the corpus in `dir` and feeds it once undisturbed.
    pub fn prepare(
        mut machine: Machine,
        dir: &Path,
        disaster: Disaster,
        rng: Rng,
    ) -> anyhow::Result<Self> {
        let corpus = Corpus::generate(&dir.join("corpus"), "onegeneration", GENERATED, rng)?;
        corpus.add_project()?;
        let clock = Clock::system();
        let began = clock.now();
        machine.start()?;
        let start = clock.now().duration_since(began);
        machine.command(&["user", "create", USER])?;
        let target = Target::one("calm");
        target.create(&machine)?;
        let began = clock.now();
        let mut feed = Feed::start(&machine, &target, &corpus.dir, "calm", PATIENCE)?;
        let mut calm_acknowledged = Duration::ZERO;
        let mut acknowledged = 0;
        let searchable = poll_for(PATIENCE, || {
            let seen = feed.acknowledged_so_far()?.len();
            if seen > acknowledged {
                (acknowledged, calm_acknowledged) = (seen, clock.now().duration_since(began));
            }
            Ok(feed.ends_within(Duration::ZERO)?.then_some(()))
        })?;
        let calm = clock.now().duration_since(began);
        ensure!(searchable.is_some(), "an undisturbed feed takes more than {calm:?}");
        let (summary, hashes) = feed.finish().context("feed undisturbed")?;
        checks::sent_the_rest(&summary, 0, hashes.len())?;
        println!(
            "{} documents fed undisturbed: acknowledged in {calm_acknowledged:.2?}, searchable in \
             {calm:.2?}",
            hashes.len()
        );
        Ok(Self {
            machine,
            disaster,
            corpus,
            hashes,
            calm_acknowledged,
            calm,
            start,
            targets: vec![target],
            totals: Totals::default(),
        })
    }

    /// Runs this many rounds and looks at the end whether what earlier rounds left is still there.
    ///
    /// The moments of death are drawn over the whole feed, one in each equal part of it: in even
    /// rounds of the time until all is acknowledged, in odd ones of the time until all is searchable.
    pub fn run(&mut self, rounds: u32, rng: &Rng) -> anyhow::Result<()> {
        let mut number = 0;
        while number < rounds
            || (self.totals.within_feed == 0 && number < rounds + EXTRA_ROUNDS_MAX)
        {
            let mut rng = rng.part(u64::from(number));
            let length = if number % 2 == 0 { self.calm_acknowledged } else { self.calm };
            let parts = f64::from(rounds.div_ceil(2));
            // Extra rounds die anywhere.
            let part = if number < rounds { f64::from(number / 2) } else { 0.0 };
            let width = if number < rounds { parts.recip() } else { 1.0 };
            let when = length.mul_f64((part + rng.fraction()) * width);
            self.round(number, when, &mut rng).with_context(|| format!("round {number}"))?;
            number += 1;
        }
        ensure!(self.totals.within_feed > 0, "no round died in the middle of its feed");
        let client = self.machine.connect()?;
        for target in &self.targets {
            let stored = client.list(&target.namespaces)?;
            ensure!(stored == self.hashes, "{:?} changed after its round", target.namespaces);
        }
        println!("{}", self.totals);
        Ok(())
    }

    fn round(&mut self, number: u32, moment: Duration, rng: &mut Rng) -> anyhow::Result<()> {
        let name = format!("round{number}");
        // In twos, so that both kinds of moments meet both kinds of targets.
        let is_spread = number / 2 % 2 == 1;
        let target = if is_spread { Target::spread(&name, SPREAD) } else { Target::one(&name) };
        target.create(&self.machine)?;
        let mut feed = Feed::start(&self.machine, &target, &self.corpus.dir, &name, RETRY_FOR)?;
        feed.ends_within(moment)?;
        let what = self.die(rng)?;
        let acknowledged = feed.acknowledged()?;

        self.start_again(rng)?;
        let client = self.machine.connect()?;
        let stored = client.list(&target.namespaces)?;
        println!(
            "round {number}: {what} after {moment:.2?}; {} of {} acknowledged, {} stored; back in \
             {:.2?}",
            acknowledged.len(),
            self.hashes.len(),
            stored.len(),
            self.start
        );
        let lost = checks::lost(&acknowledged, &stored);
        ensure!(lost.is_empty(), "{} acknowledged writes are lost: {lost:.10?}", lost.len());
        checks::is_part_of(&stored, &self.hashes)?;
        checks::searches_agree(&client, &target, &self.corpus, &stored, rng)?;

        let again = format!("{name}-again");
        let feed = Feed::start(&self.machine, &target, &self.corpus.dir, &again, PATIENCE)?;
        let (summary, _) = feed.finish().context("feed again")?;
        checks::sent_the_rest(&summary, stored.len(), self.hashes.len())?;
        let complete = client.list(&target.namespaces)?;
        ensure!(complete == self.hashes, "after feeding again not all is there as it was fed");
        checks::searches_agree(&client, &target, &self.corpus, &complete, rng)?;

        self.targets.push(target);
        let is_within = !acknowledged.is_empty() && acknowledged.len() < self.hashes.len();
        self.totals.within_feed += u32::from(is_within);
        self.totals.acknowledged += acknowledged.len();
        self.totals.sent_again += summary.new;
        Ok(())
    }

    /// Starts the server, in half of the rounds after it died once more while starting.
    fn start_again(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        if rng.coin() {
            let moment = self.start.mul_f64(rng.fraction());
            self.machine.start_for(moment).context("start to die again")?;
            let what = self.die(rng)?;
            println!("         {what} {moment:.2?} into the start");
            self.totals.within_start += 1;
        }
        let clock = Clock::system();
        let began = clock.now();
        self.machine.start().context("start again")?;
        self.start = clock.now().duration_since(began);
        Ok(())
    }

    /// Ends the server as the disaster does, and says how.
    fn die(&mut self, rng: &mut Rng) -> anyhow::Result<String> {
        let (what, syncs) = die(&mut self.machine, self.disaster, rng)?;
        self.totals.deaths += 1;
        self.totals.syncs.add(syncs);
        Ok(what)
    }
}

/// Ends the server of this machine, and says how and after which syncs.
pub fn die(
    machine: &mut Machine,
    disaster: Disaster,
    rng: &mut Rng,
) -> anyhow::Result<(String, SyncCounts)> {
    match disaster {
        Disaster::Kill => {
            machine.kill()?;
            Ok(("killed".to_owned(), SyncCounts::default()))
        }
        Disaster::PowerCut => {
            let style = if rng.below(3) == 0 { CutStyle::SyncedOnly } else { CutStyle::Drawn };
            let (report, syncs) = machine.cut_power(style, rng)?;
            Ok((format!("power cut ({style:?}: {report})"), syncs))
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deaths, within_feed, within_start, acknowledged, sent_again, syncs } = self;
        write!(
            f,
            "{deaths} deaths, {within_feed} with a part acknowledged, {within_start} within a start; \
             {acknowledged} acknowledged writes looked for, none lost; {sent_again} sent again"
        )?;
        if *syncs == SyncCounts::default() { Ok(()) } else { write!(f, "; {syncs}") }
    }
}
