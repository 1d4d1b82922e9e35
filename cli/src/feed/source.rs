//! The threads that read a source, and the bounded queue they fill.
//!
//! ```text
//! walker ─► files (bounded) ─► readers ─► items (bounded) ─► pipeline
//! lines ──────────────────────────────────┘
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use nautilus_service::threads::{NamedThread, STACK_BYTES};
use tokio::sync::mpsc;

use super::item::{Item, Refusal};
use super::walk::{Found, Walk};
use super::{extract, jsonl};

/// Files found and not yet read: names only, enough that readers never wait for a folder.
const FILES_MAX: usize = 1_024;

/// Documents read and not yet taken, each at most 256 KiB: 16 MiB.
const ITEMS_MAX: usize = 64;

/// More readers than this only wait for the disk and the network.
const READERS_MAX: usize = 4;

/// A source being read.
pub(super) struct Source {
    /// What it holds, as it is found. Dropping it ends the threads.
    pub(super) items: mpsc::Receiver<Item>,
    threads: Vec<NamedThread>,
}

impl Source {
    /// Reads the files of a walk.
    pub(super) fn walk(walk: Walk) -> anyhow::Result<Self> {
        let (found, files) = sync_channel(FILES_MAX);
        let (sender, items) = mpsc::channel(ITEMS_MAX);
        let files = Arc::new(Mutex::new(files));
        let mut threads = Vec::new();
        let readers = std::thread::available_parallelism().map_or(1, usize::from);
        for number in 0..readers.clamp(2, READERS_MAX) {
            let (files, sender) = (Arc::clone(&files), sender.clone());
            let name = format!("feed-read-{number}");
            threads.push(NamedThread::spawn(name, STACK_BYTES, move || {
                read_files(&files, &sender);
            })?);
        }
        let walker = move || find_files(&walk, &found);
        threads.push(NamedThread::spawn("feed-walk", STACK_BYTES, walker)?);
        Ok(Self { items, threads })
    }

    /// Reads lines of JSON from a file, or from stdin where the path is `-`.
    pub(super) fn lines(path: &Path) -> anyhow::Result<Self> {
        let input: Box<dyn BufRead + Send> = if path.as_os_str() == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let open = File::open(path).with_context(|| format!("open {}", path.display()))?;
            Box::new(BufReader::new(open))
        };
        let name = path.display().to_string();
        let (sender, items) = mpsc::channel(ITEMS_MAX);
        let reader = move || read_lines(&name, input, &sender);
        let thread = NamedThread::spawn("feed-lines", STACK_BYTES, reader)?;
        Ok(Self { items, threads: vec![thread] })
    }

    /// Waits for the threads of a source that has been read to its end. One that panicked has
    /// left out files, and says so.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        drop(self.items);
        for thread in self.threads {
            thread.join()?;
        }
        Ok(())
    }
}

fn find_files(walk: &Walk, found: &SyncSender<Found>) {
    for one in walk.run() {
        if found.send(one).is_err() {
            // The readers are gone: the feed has been given up.
            return;
        }
    }
}

fn read_files(files: &Mutex<Receiver<Found>>, items: &mpsc::Sender<Item>) {
    loop {
        // The lock is held while waiting: the reader that holds it takes the next file, and the
        // others would only wait for the same.
        let next = files.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let item = match next {
            Ok(Found::File(file)) => Item::of(extract::document(&file)),
            Ok(Found::Link) => Item::Link,
            Ok(Found::Blocked(refusal)) => Item::Blocked(refusal),
            Err(_) => return,
        };
        if items.blocking_send(item).is_err() {
            return;
        }
    }
}

fn read_lines(name: &str, input: impl BufRead, items: &mpsc::Sender<Item>) {
    for item in jsonl::items(input) {
        let is_end = item.is_err();
        let item = item.unwrap_or_else(|error| {
            Item::Blocked(Refusal { id: name.to_owned(), message: error.to_string() })
        });
        if items.blocking_send(item).is_err() || is_end {
            return;
        }
    }
}
