//! Items to batches to acknowledged writes, with several requests in flight.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::batch::{Batch, Effect, Outgoing};
use super::dead_letters::{DeadLetters, Stage};
use super::item::{Item, Prepared, Refusal};
use super::progress::Progress;
use super::send::{self, Settled};
use super::tally::Tally;
use super::target::{Known, Target};
use crate::client::Client;
use crate::wire_json::hex;

/// Requests in flight: enough to keep the log's group commit fed, few enough that the oldest is
/// answered well within its deadline.
const REQUESTS_MAX: usize = 4;

/// A batch that has waited this long for more goes out as it is: lines may come slowly.
const LINGER: Duration = Duration::from_millis(100);

/// A feed under way.
pub(super) struct Pipeline {
    client: Client,
    target: Target,
    /// What the index holds and the source has not shown yet.
    known: Vec<Known>,
    patience: Duration,
    ack_log: Option<File>,
    dead_letters: DeadLetters,
    progress: Progress,
    batch: Batch,
    in_flight: FuturesUnordered<BoxFuture<'static, Settled>>,
    /// Ids in the batch or in flight: two writes of one document must not overtake each other.
    unsettled: HashSet<String>,
    pub(super) tally: Tally,
    /// Namespaces with acknowledged writes.
    pub(super) touched: BTreeSet<usize>,
    /// Whether all of the source could be looked at.
    pub(super) saw_all: bool,
}

impl Pipeline {
    pub(super) fn new(
        client: Client,
        target: Target,
        known: Vec<Known>,
        patience: Duration,
        ack_log: Option<File>,
        dead_letters: DeadLetters,
        progress: Progress,
    ) -> Self {
        Self {
            client,
            target,
            known,
            patience,
            ack_log,
            dead_letters,
            progress,
            batch: Batch::default(),
            in_flight: FuturesUnordered::new(),
            unsettled: HashSet::new(),
            tally: Tally::default(),
            touched: BTreeSet::new(),
            saw_all: true,
        }
    }

    /// Takes items until there are no more and everything is settled.
    pub(super) async fn run(&mut self, items: &mut mpsc::Receiver<Item>) -> anyhow::Result<()> {
        loop {
            let has_room = self.in_flight.len() < REQUESTS_MAX;
            tokio::select! {
                biased;
                Some(settled) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.settle(settled)?;
                }
                item = items.recv(), if has_room => match item {
                    Some(item) => self.take(item).await?,
                    None => break,
                },
                () = tokio::time::sleep(LINGER), if has_room && !self.batch.is_empty() => {
                    self.dispatch();
                }
            }
            self.progress.show(&self.tally);
        }
        self.drain().await
    }

    /// Deletes what the index holds and the source did not show.
    pub(super) async fn prune(&mut self) -> anyhow::Result<()> {
        self.progress.say("deleting what has vanished");
        for number in 0..self.known.len() {
            let vanished = self.known.get_mut(number).map(std::mem::take).unwrap_or_default();
            let mut ids: Vec<String> = vanished.into_keys().collect();
            ids.sort_unstable();
            for id in ids {
                let write = Outgoing::delete((number, self.target.name(number)), id, None);
                self.enqueue(write).await?;
            }
        }
        self.drain().await
    }

    /// Takes the progress line away.
    pub(super) fn clear_progress(&self) {
        self.progress.clear();
    }

    /// Says on the progress line what is going on.
    pub(super) fn say(&self, what: &'static str) {
        self.progress.say(what);
    }

    async fn take(&mut self, item: Item) -> anyhow::Result<()> {
        match item {
            Item::Upsert(document, hash) => self.upsert(*document, hash).await,
            Item::Delete { id, version } => {
                let number = self.target.of(&id);
                if let Some(known) = self.known.get_mut(number) {
                    known.remove(&id);
                }
                let namespace = (number, self.target.name(number));
                self.enqueue(Outgoing::delete(namespace, id, version)).await
            }
            Item::Bad(refusal) => self.fail(Stage::Read, refusal),
            Item::Link => {
                self.tally.links += 1;
                Ok(())
            }
            Item::Blocked(refusal) => {
                self.saw_all = false;
                self.fail(Stage::Read, refusal)
            }
        }
    }

    async fn upsert(&mut self, document: Prepared, hash: [u8; 16]) -> anyhow::Result<()> {
        self.tally.note(&document);
        self.dead_letters.document(&document)?;
        self.tally.bytes_read += document.source_bytes;
        let number = self.target.of(&document.id);
        let known = self.known.get_mut(number).and_then(|known| known.remove(&document.id));
        let effect = match known {
            Some(stored) if stored == hash => {
                self.tally.unchanged += 1;
                return Ok(());
            }
            Some(_) => Effect::Changed,
            None => Effect::New,
        };
        let namespace = (number, self.target.name(number));
        self.enqueue(Outgoing::upsert(namespace, effect, document, hash)).await
    }

    async fn enqueue(&mut self, write: Outgoing) -> anyhow::Result<()> {
        if self.unsettled.contains(&write.write.document_id) {
            self.drain().await?;
        }
        if !self.batch.has_room_for(write.bytes()) {
            while self.in_flight.len() >= REQUESTS_MAX {
                self.settle_one().await?;
            }
            self.dispatch();
        }
        self.unsettled.insert(write.write.document_id.clone());
        self.batch.push(write);
        Ok(())
    }

    fn dispatch(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            let sending = send::settle(self.client.clone(), batch, self.patience);
            self.in_flight.push(Box::pin(sending));
        }
    }

    /// Sends what waits and waits for all answers.
    async fn drain(&mut self) -> anyhow::Result<()> {
        self.dispatch();
        while !self.in_flight.is_empty() {
            self.settle_one().await?;
        }
        Ok(())
    }

    async fn settle_one(&mut self) -> anyhow::Result<()> {
        if let Some(settled) = self.in_flight.next().await {
            self.settle(settled)?;
            self.progress.show(&self.tally);
        }
        Ok(())
    }

    fn settle(&mut self, settled: Settled) -> anyhow::Result<()> {
        self.record(&settled).context("write the acknowledgement log")?;
        for (write, hash) in settled.acknowledged {
            self.unsettled.remove(&write.write.document_id);
            self.touched.insert(write.namespace);
            self.tally.acknowledge(&write, &hash);
        }
        for (write, message) in settled.refused {
            self.unsettled.remove(&write.write.document_id);
            self.fail(Stage::Send, Refusal { id: write.write.document_id, message })?;
        }
        settled.fatal.map_or(Ok(()), Err)
    }

    /// Counts and lists what did not become a document.
    fn fail(&mut self, stage: Stage, refusal: Refusal) -> anyhow::Result<()> {
        self.dead_letters.refused(stage, &refusal)?;
        self.tally.fail(refusal);
        Ok(())
    }

    /// One line for each acknowledged document, in the file before anything else is said of it.
    fn record(&mut self, settled: &Settled) -> std::io::Result<()> {
        let Some(log) = &mut self.ack_log else { return Ok(()) };
        let mut lines = String::new();
        for (write, _) in &settled.acknowledged {
            let hash = write.hash.map_or_else(|| "-".to_owned(), |hash| hex(&hash));
            lines.push_str(&format!("{}\t{hash}\n", write.write.document_id));
        }
        log.write_all(lines.as_bytes())
    }
}
