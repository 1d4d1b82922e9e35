//! A namespace deleted, made again and fed again, while the server dies.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nautilus_service::Clock;

use crate::acks::{self, Hashes};
use crate::checks;
use crate::client::Client;
use crate::corpus::{COMMON_WORD, Corpus};
use crate::feed::{Feed, Target};
use crate::machine::{Machine, USER};
use crate::process::Process;
use crate::rng::Rng;
use crate::rounds::{Disaster, die};

/// The namespace that dies and comes back.
const NAME: &str = "phoenix";

/// Documents of one incarnation: feeding them takes not much longer than the deletion.
const GENERATED: usize = 400;

/// A command, at most; without a server it ends much earlier.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);

/// A feed nothing happens to may wait this long for a busy server.
const PATIENCE: Duration = Duration::from_secs(60);

/// A life of the namespace, step by step.
const STEPS: [(Reached, &[&str]); 3] = [
    (Reached::Deletion, &["namespace", "delete", NAME, "--yes"]),
    (Reached::Making, &["namespace", "create", NAME]),
    (Reached::Feeding, &["feed", "--namespace", NAME, "--retry-for", "300ms"]),
];

/// How far a life came. The step named may have had its effect or not; those before it were
/// acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Deletion,
    Making,
    Feeding,
    End,
}

/// One content of the namespace: always the same ids, never the same hashes.
#[derive(Debug)]
struct Generation {
    number: u32,
    corpus: Corpus,
    hashes: Hashes,
}

/// Machine and namespace.
#[derive(Debug)]
pub struct Phoenix {
    machine: Machine,
    disaster: Disaster,
    dir: PathBuf,
    rng: Rng,
    /// What the namespace holds, whole.
    content: Generation,
    /// How long the steps of a life take undisturbed.
    calm: [Duration; STEPS.len()],
}

impl Phoenix {
    /// Starts the machine, feeds the namespace, and lives one life of it undisturbed, with a clock.
    pub fn prepare(
        mut machine: Machine,
        dir: &Path,
        disaster: Disaster,
        rng: Rng,
    ) -> anyhow::Result<Self> {
        machine.start()?;
        machine.command(&["user", "create", USER])?;
        let content = Generation::new(&machine, dir, 0, &rng)?;
        Target::one(NAME).create(&machine)?;
        content.feed_into(&machine, NAME)?;
        let dir = dir.to_owned();
        let calm = [Duration::ZERO; STEPS.len()];
        let mut phoenix = Self { machine, disaster, dir, rng, content, calm };
        let next = phoenix.next_generation()?;
        let clock = Clock::system();
        for (number, step) in STEPS.iter().enumerate() {
            let start = clock.now();
            let mut process = phoenix.begin(step, &next)?;
            ensure!(process.wait(COMMAND_TIME_MAX)?.success(), "{}", process.complaints()?);
            phoenix.calm[number] = clock.now().duration_since(start);
        }
        println!("deletion, making and feeding take {:.2?} undisturbed", phoenix.calm);
        phoenix.content = next;
        Ok(phoenix)
    }

    /// Lives until a drawn moment of one step, the next in each round; dies, checks what is left, and
    /// completes the life.
    pub fn round(&mut self, number: u32) -> anyhow::Result<()> {
        let next = self.next_generation()?;
        let mut rng = self.rng.part(1_000 + u64::from(next.number));
        let doomed = usize::try_from(number)? % STEPS.len();
        for step in &STEPS[..doomed] {
            let mut process = self.begin(step, &next)?;
            ensure!(process.wait(COMMAND_TIME_MAX)?.success(), "{}", process.complaints()?);
        }
        let mut process = self.begin(&STEPS[doomed], &next)?;
        let moment = self.calm[doomed].mul_f64(rng.fraction());
        process.ends_within(moment)?;
        let (what, _) = die(&mut self.machine, self.disaster, &mut rng)?;
        // It may have been acknowledged just before.
        let is_acknowledged = process.wait(COMMAND_TIME_MAX)?.success();
        let step = STEPS[doomed].0;
        let reached = if is_acknowledged { step.after() } else { step };
        self.machine.start().context("start again")?;
        let client = self.machine.connect()?;
        let found = client.list_if_there(NAME)?;
        let shown = found
            .as_ref()
            .map_or("no namespace".to_owned(), |one| format!("{} documents", one.len()));
        let end = if is_acknowledged { "acknowledged" } else { "not acknowledged" };
        println!("{what} {moment:.2?} into {step:?}, {end}: {shown}");
        self.check(reached, &next, found.as_ref())?;
        self.complete(&next, found.is_some(), &client)?;
        self.content = next;
        Ok(())
    }

    fn begin(&self, step: &(Reached, &[&str]), next: &Generation) -> anyhow::Result<Process> {
        let (step, arguments) = step;
        let mut command = self.machine.nautilus();
        command.args(*arguments);
        if *step == Reached::Feeding {
            command.arg("--ack-log").arg(self.ack_log(next)).arg(&next.corpus.dir);
        }
        let name = format!("life-{}-{step:?}", next.number);
        Process::start(command, self.machine.dir(), &name)
    }

    /// What may be there after a death in this step.
    fn check(
        &self,
        reached: Reached,
        next: &Generation,
        found: Option<&Hashes>,
    ) -> anyhow::Result<()> {
        match (reached, found) {
            (Reached::Deletion | Reached::Making, None) => Ok(()),
            (Reached::Deletion, Some(found)) => {
                ensure!(*found == self.content.hashes, "deleted in part");
                Ok(())
            }
            (Reached::Making, Some(found)) => {
                ensure!(found.is_empty(), "deleted documents are back: {found:?}");
                Ok(())
            }
            (Reached::Feeding | Reached::End, None) => bail!("the namespace is lost"),
            (Reached::Feeding | Reached::End, Some(found)) => {
                let lost = checks::lost(&acks::read(&self.ack_log(next))?, found);
                ensure!(lost.is_empty(), "acknowledged writes are lost: {lost:?}");
                ensure!(reached != Reached::End || *found == next.hashes, "not all was kept");
                checks::is_part_of(found, &next.hashes)
            }
        }
    }

    /// Ends the life as if nothing had happened: only the next generation is there.
    fn complete(&self, next: &Generation, is_there: bool, client: &Client) -> anyhow::Result<()> {
        if is_there {
            self.machine.command(&["namespace", "delete", NAME, "--yes"])?;
        }
        ensure!(client.list_if_there(NAME)?.is_none(), "deleted, and still there");
        let ghosts = client.search(&[], self.content.corpus.generation())?;
        // Each generation was also fed into a namespace of its own.
        let generated = u64::try_from(GENERATED)?;
        ensure!(ghosts.total == generated, "{} ghosts found", ghosts.total - generated);
        self.machine.command(&["namespace", "create", NAME])?;
        let found = client.search(&[NAME.to_owned()], COMMON_WORD)?;
        ensure!(found.total == 0, "documents in a new namespace: {found:?}");
        next.feed_into(&self.machine, NAME)?;
        let target = Target::one(NAME);
        let stored = client.list(&target.namespaces)?;
        ensure!(stored == next.hashes, "not what was fed into the new namespace");
        let mut rng = self.rng.part(2_000 + u64::from(next.number));
        checks::searches_agree(client, &target, &next.corpus, &stored, &mut rng)
    }

    fn next_generation(&self) -> anyhow::Result<Generation> {
        Generation::new(&self.machine, &self.dir, self.content.number + 1, &self.rng)
    }

    fn ack_log(&self, of: &Generation) -> PathBuf {
        self.machine.dir().join(format!("life-{}.acks", of.number))
    }
}

impl Reached {
    fn after(self) -> Self {
        match self {
            Self::Deletion => Self::Making,
            Self::Making => Self::Feeding,
            Self::Feeding | Self::End => Self::End,
        }
    }
}

impl Generation {
    /// Makes it, and learns its hashes by feeding it into a namespace that nothing happens to.
    fn new(machine: &Machine, dir: &Path, number: u32, rng: &Rng) -> anyhow::Result<Self> {
        let name = format!("generation{number}");
        let rng = rng.part(u64::from(number));
        let corpus = Corpus::generate(&dir.join(&name), &name, GENERATED, rng)?;
        let mut generation = Self { number, corpus, hashes: Hashes::new() };
        Target::one(&name).create(machine)?;
        generation.hashes = generation.feed_into(machine, &name)?;
        Ok(generation)
    }

    /// Feeds all of it into an empty namespace.
    fn feed_into(&self, machine: &Machine, namespace: &str) -> anyhow::Result<Hashes> {
        let name = format!("{namespace}-{}", self.number);
        let target = Target::one(namespace);
        let feed = Feed::start(machine, &target, &self.corpus.dir, &name, PATIENCE)?;
        let (summary, acknowledged) = feed.finish()?;
        checks::sent_the_rest(&summary, 0, GENERATED)?;
        Ok(acknowledged)
    }
}
