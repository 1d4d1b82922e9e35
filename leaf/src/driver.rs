//! The driver of one partition's life: performs its actions one after the other, and tells it what came of them.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use nautilus_analysis::Analyzer;
use nautilus_engine::{EngineError, Partition};
use nautilus_service::CancellationToken;
use nautilus_service::status::error_chain;
use nautilus_types::{Class, sooner};

use crate::applier::{Applier, FlushRule};
use crate::builds::{UnknownAnalyzer, analyzer_of};
use crate::convert::attributes_of;
use crate::feed::{Feed, until_answered};
use crate::folders::Folders;
use crate::metrics::Phase;
use crate::partition::Served;
use crate::record::Decoder;
use crate::recovery::Recovery;
use crate::shared::Shared;
use crate::state::{Action, Event, Folder, Source, State};

/// Tries of opening a folder that cannot be read now, such as one whose lock is just being let go.
const OPEN_TRIES: u32 = 5;
const OPEN_PAUSE: Duration = Duration::from_millis(100);

/// Drives one partition.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    served: Arc<Served>,
    folders: Folders,
    /// What is under way: at most one download, opening or feed.
    work: Option<Work>,
    /// From being opened to being fed.
    applier: Arc<Mutex<Option<Applier>>>,
    wake_at: Option<Instant>,
}

struct Work {
    future: BoxFuture<'static, ()>,
    stop: CancellationToken,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, served: Arc<Served>) -> Self {
        let folders = Folders::new(&shared.config.data_dir, served.id);
        Self { shared, served, folders, work: None, applier: Arc::default(), wake_at: None }
    }

    /// Runs until nothing is left of the partition here, or the leaf stops: then what was applied is on disk.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        // A panic is a bug of ours, but one partition's must not stop the others.
        let driven = AssertUnwindSafe(self.drive(&stop)).catch_unwind().await;
        if driven.is_err() {
            let reason = "driving the partition panicked".to_owned();
            self.served.step(self.shared.clock.now(), Event::Broke { reason });
            stop.cancelled().await;
        }
        if stop.is_cancelled() {
            self.served.step(self.shared.clock.now(), Event::Stop);
            self.end_work().await;
        } else {
            self.shared.partitions.remove(self.served.id);
            self.shared.pulses.life.beat();
            self.shared.pulses.load.beat();
        }
    }

    async fn drive(&mut self, stop: &CancellationToken) {
        loop {
            let wake_at = self.wake_at;
            let wake = async {
                match wake_at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let work = async {
                match &mut self.work {
                    Some(work) => (&mut work.future).await,
                    None => std::future::pending().await,
                }
            };
            let action = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                action = self.served.next_action() => action,
                () = work => {
                    self.work = None;
                    continue;
                }
                () = wake => {
                    self.wake_at = None;
                    self.served.step(self.shared.clock.now(), Event::Tick);
                    continue;
                }
            };
            match action {
                Action::Download => self.download(stop),
                Action::Open => self.open(stop),
                Action::Feed => self.feed(stop),
                Action::Close(folder) => self.close(folder).await,
                Action::WakeAt(at) => self.wake_at = Some(at),
                Action::Forget => return,
            }
        }
    }

    fn begin_work(&mut self, stop: CancellationToken, future: BoxFuture<'static, ()>) {
        self.work = Some(Work { future, stop });
    }

    async fn end_work(&mut self) {
        if let Some(work) = self.work.take() {
            work.stop.cancel();
            work.future.await;
        }
    }

    fn download(&mut self, stop: &CancellationToken) {
        let stop = stop.child_token();
        let recovery = Recovery {
            shared: Arc::clone(&self.shared),
            served: Arc::clone(&self.served),
            folders: self.folders.clone(),
        };
        self.begin_work(stop.clone(), recovery.run(stop).boxed());
    }

    fn open(&mut self, stop: &CancellationToken) {
        let stop = stop.child_token();
        let opening = Opening {
            shared: Arc::clone(&self.shared),
            served: Arc::clone(&self.served),
            folders: self.folders.clone(),
            applier: Arc::clone(&self.applier),
        };
        self.begin_work(stop.clone(), opening.run(stop).boxed());
    }

    fn feed(&mut self, stop: &CancellationToken) {
        let applier = self.applier.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(applier) = applier else { return };
        let stop = stop.child_token();
        let feed = Feed {
            served: Arc::clone(&self.served),
            log: Arc::clone(&self.shared.log),
            pool: Arc::clone(&self.shared.apply_pool),
            replay_pool: Arc::clone(&self.shared.replay_pool),
            clock: self.shared.clock.clone(),
            metrics: self.shared.metrics.clone(),
            digesting: self.shared.digesting.clone(),
        };
        self.begin_work(stop.clone(), feed.run(applier, stop).boxed());
    }

    /// Closes the database once its last request is answered, and deals with the folder.
    async fn close(&mut self, folder: Folder) {
        self.wake_at = None;
        self.end_work().await;
        drop(self.applier.lock().unwrap_or_else(PoisonError::into_inner).take());
        let database = self.served.take_database().await;
        let folders = self.folders.clone();
        let closed = self.shared.disk_pool.run(move || {
            drop(database);
            deal_with(&folders, folder)?;
            folders.existing().map(|left| left.is_some())
        });
        let has_folder = match closed.await {
            Ok(Ok(has_folder)) => has_folder,
            Ok(Err(error)) => self.not_dealt_with(&error),
            Err(error) => self.not_dealt_with(&error),
        };
        self.served.set_build("");
        self.served.step(self.shared.clock.now(), Event::Closed { has_folder });
    }

    fn not_dealt_with(&self, error: &(dyn std::error::Error + 'static)) -> bool {
        let partition = self.served.id.0;
        tracing::warn!(partition, error = error_chain(error), "a folder stays that should go");
        true
    }
}

fn deal_with(folders: &Folders, folder: Folder) -> std::io::Result<()> {
    let Some(existing) = folders.existing()? else { return Ok(()) };
    match folder {
        Folder::Keep => Ok(()),
        Folder::Remove => Folders::remove(&existing),
        Folder::SetAside => {
            let aside = folders.set_aside(&existing)?;
            tracing::warn!(
                folder = %existing.display(),
                aside = %aside.display(),
                "files are damaged: set aside, recovering from snapshot and log"
            );
            Ok(())
        }
        Folder::Exchange => {
            let aside = folders.exchange(&existing)?;
            tracing::warn!(
                folder = %existing.display(),
                aside = %aside.display(),
                "files were refuted: set aside, going on with those made anew from the log"
            );
            Ok(())
        }
    }
}

/// Opens a partition's folder.
struct Opening {
    shared: Arc<Shared>,
    served: Arc<Served>,
    folders: Folders,
    applier: Arc<Mutex<Option<Applier>>>,
}

/// Why a folder was not opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("look for the partition's folder")]
    Look(#[source] std::io::Error),
    #[error("open the partition")]
    Engine(#[source] EngineError),
    #[error("open the partition")]
    Pool(#[source] nautilus_service::PoolError),
    #[error("ask the log for its range")]
    Log(#[source] nautilus_mutation_log::LogError),
    #[error("open the partition")]
    Analyzer(#[source] UnknownAnalyzer),
}

impl Opening {
    async fn run(self, stop: CancellationToken) {
        let event = match self.open(&stop).await {
            Ok(Some(opened)) => opened,
            Ok(None) => return,
            Err(OpenError::Engine(error)) if error.class() == Class::Corrupt => {
                Event::Damaged { reason: error_chain(&error) }
            }
            Err(error) => Event::Broke { reason: error_chain(&error) },
        };
        self.served.step(self.shared.clock.now(), event);
    }

    async fn open(&self, stop: &CancellationToken) -> Result<Option<Event>, OpenError> {
        let Some(wanted) = self.shared.wanted_build.get(stop).await else { return Ok(None) };
        let analyzer = analyzer_of(&wanted).map_err(OpenError::Analyzer)?;
        let fresh = self.folders.fresh(self.served.epoch());
        let existing = self.folders.existing().map_err(OpenError::Look)?;
        let dir = existing.unwrap_or(fresh);
        let began = self.shared.clock.now();
        let is_local = self.served.state() == State::Opening { source: Source::Local };
        // Before it is opened: rebuilding what is not wanted would be for nothing.
        if is_local && self.build_of(&dir).await?.is_some_and(|build| build != wanted.label()) {
            return Ok(Some(Event::OtherBuild));
        }
        let (database, writer) = self.open_folder(&dir, analyzer, stop).await?;
        let build = if is_local { database.build() } else { self.stamp(&database) };
        let build = build.map_err(OpenError::Engine)?;
        if self.shared.wanted_build.is_other_than(&build, &analyzer) {
            return Ok(Some(Event::OtherBuild));
        }
        self.served.set_build(&build);
        let took = self.shared.clock.now().saturating_duration_since(began);
        self.shared.metrics.recovered(Phase::Open, took);
        let next = writer.next_offset();
        self.served.set_applied(next);
        let ask = || self.shared.log.watermarks(self.served.id);
        let marks = until_answered(&self.served, stop, ask).await.map_err(OpenError::Log)?;
        let Some(marks) = marks else { return Ok(None) };
        self.served.note_log_high(marks.high, self.shared.clock.unix_ms());
        self.served.progress.begin_replay(self.shared.clock.now(), next, marks.high);
        let applier = Applier::new(
            Arc::clone(&self.served),
            writer,
            Decoder {
                log: self.shared.log.identity().clone(),
                map: self.shared.config.map,
                partition: self.served.id,
            },
            self.shared.clock.clone(),
            FlushRule {
                interval: sooner(self.shared.config.flush_interval, rand::random()),
                records: self.shared.config.flush_records,
            },
            self.shared.metrics.partition(self.served.id),
        )
        .stopping_at(self.shared.config.digest_interval_ms);
        *self.applier.lock().unwrap_or_else(PoisonError::into_inner) = Some(applier);
        self.served.set_database(database).await;
        // Whoever hears of another build from here on finds the database.
        if self.shared.wanted_build.is_other_than(&build, &analyzer) {
            return Ok(Some(Event::OtherBuild));
        }
        Ok(Some(Event::Opened { next, log_low: marks.low, log_high: marks.high }))
    }

    /// Which build a folder that nobody has open is of.
    async fn build_of(&self, dir: &Path) -> Result<Option<String>, OpenError> {
        let dir = dir.to_owned();
        let read = self.shared.disk_pool.run(move || Partition::build_of_folder(&dir)).await;
        match read.map_err(OpenError::Pool)? {
            // What is wrong with it, opening it says.
            Err(_) => Ok(None),
            Ok(build) => Ok(build),
        }
    }

    /// Writes into files that just came which build they are of: a builder may not have.
    fn stamp(&self, database: &Partition) -> Result<String, EngineError> {
        let build = self.served.build();
        database.set_build(&build)?;
        Ok(build)
    }

    /// Opens the folder, again where it cannot be read just now. May take as long as rebuilding it.
    async fn open_folder(
        &self,
        dir: &Path,
        analyzer: Analyzer,
        stop: &CancellationToken,
    ) -> Result<(Partition, nautilus_engine::Writer), OpenError> {
        let mut tries = 0;
        loop {
            let (dir, resources) = (PathBuf::from(dir), self.shared.resources.clone());
            let identity = self.shared.identity(self.served.id);
            let opened = self.shared.disk_pool.run(move || {
                Partition::open_with(&dir, &identity, analyzer, &resources, attributes_of)
            });
            let error = match opened.await.map_err(OpenError::Pool)? {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            tries += 1;
            if error.class() != Class::Unavailable || tries == OPEN_TRIES {
                return Err(OpenError::Engine(error));
            }
            tokio::select! {
                () = stop.cancelled() => return Err(OpenError::Engine(error)),
                () = tokio::time::sleep(OPEN_PAUSE * tries) => {}
            }
        }
    }
}
