//! Searches and writes at a steady rate, whatever the answers do, and a record of every one of them.
//!
//! Open loop: a request is sent when its time has come, not when an earlier one was answered, so that a slow
//! answer counts as long as its caller waits (Tene, "How NOT to measure latency").

mod connection;
mod report;
mod searches;
mod writes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use nautilus_identity::LogIdentity;
use nautilus_service::{CancellationToken, Clock};

use self::connection::Connection;
pub use self::report::{Outcome, Percentiles, Report, SearchSample, Stored, WriteTally};
pub use self::writes::{is_deletion, mark};

/// Where the cluster is.
#[derive(Debug, Clone)]
pub struct Target {
    /// Searches go to these in turn.
    pub mergers: Vec<SocketAddr>,
    /// Writes go here.
    pub index_builder: SocketAddr,
    /// Folder with the issuer's key.
    pub identity_dir: PathBuf,
    /// The key that consistency tokens are sealed with.
    pub token_key_file: PathBuf,
    /// Which log they speak of.
    pub log: LogIdentity,
}

/// How much.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Searches sent each second.
    pub searches_per_second: u32,
    /// Documents sent each second.
    pub writes_per_second: u32,
    /// Documents of one request.
    pub batch: u32,
    /// Namespaces written to and searched in.
    pub namespaces: u32,
    /// Documents of a namespace; then they are written anew.
    pub documents_per_namespace: u64,
    /// What each search is given.
    pub search_deadline: Duration,
    /// Draws words and namespaces.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            searches_per_second: 100,
            writes_per_second: 1_000,
            // Applications send what they have; large batches would come in bursts that searches wait behind.
            batch: 10,
            namespaces: 24,
            documents_per_namespace: 1_000,
            search_deadline: Duration::from_millis(500),
            seed: 1,
        }
    }
}

impl Settings {
    /// With so many documents that writing them all once takes this long.
    #[must_use]
    pub fn rewriting_after(self, time: Duration) -> Self {
        let documents = u64::from(self.writes_per_second) * time.as_secs();
        let documents_per_namespace = (documents / u64::from(self.namespaces.max(1))).max(1);
        Self { documents_per_namespace, ..self }
    }
}

/// The user who writes and searches, with operator's rights.
pub const USER: &str = "load";

/// A load while it runs, on threads of its own.
#[derive(Debug)]
pub struct Load {
    stop: CancellationToken,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    report: Arc<Mutex<Report>>,
    clock: Clock,
    began: std::time::Instant,
}

impl Load {
    /// Makes user and namespaces, then begins.
    pub fn start(target: &Target, settings: &Settings) -> anyhow::Result<Self> {
        let (stop, clock) = (CancellationToken::new(), Clock::system());
        let report = Arc::new(Mutex::new(Report::default()));
        let began = clock.now();
        let (target, settings) = (target.clone(), settings.clone());
        let (kept, stopped) = (Arc::clone(&report), stop.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("start a runtime")?;
        let connection = runtime.block_on(async {
            let connection = Connection::open(&target)?;
            connection.make_user_and_namespaces(settings.namespaces).await?;
            anyhow::Ok(Arc::new(connection))
        })?;
        let run = move || {
            runtime.block_on(async {
                let searching = searches::run(&connection, &settings, &kept, began, &stopped);
                let writing = writes::run(&connection, &settings, &kept, began, &stopped);
                let (searched, written) = tokio::join!(searching, writing);
                searched.and(written)
            })
        };
        let thread = std::thread::Builder::new().name("load".into()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread), report, clock, began })
    }

    /// Since the load began: what samples are dated with.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.began)
    }

    /// Searches answered so far, well or not.
    #[must_use]
    pub fn searches(&self) -> usize {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).searches.len()
    }

    /// Ends it, once every request was answered, and returns what happened.
    pub fn finish(mut self) -> anyhow::Result<Report> {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        }
        Ok(std::mem::take(&mut *self.report.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The name of a namespace of the load.
#[must_use]
pub fn namespace(number: u64) -> String {
    format!("load-{number}")
}
