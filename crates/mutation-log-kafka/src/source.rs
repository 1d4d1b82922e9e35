//! One partition as the reader thread sees it: from where it is fetched, what has come, who waits for it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use nautilus_mutation_log::{LogError, Record};
use nautilus_types::Offset;
use rdkafka::Message;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::context::Context;
use crate::errors;
use crate::shared::{Partition, Shared};

/// Taken from librdkafka's queue at once for those who only wait: enough that the high watermark they are told is
/// not far behind.
const TAIL_BYTES: usize = 64 * 1024;
/// Taken from librdkafka's queue for one read at most, whatever the caller allows.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A partition that nobody read for so long is fetched no more.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A read that waits for records.
pub(crate) struct ReadRequest {
    pub(crate) from: i64,
    pub(crate) bytes_max: usize,
    pub(crate) answer: oneshot::Sender<Result<Vec<Record>, ReadError>>,
}

/// Somebody who waits for any record at or after `next`. Answered only on failure: success is the partition's high
/// watermark.
pub(crate) struct TailRequest {
    pub(crate) next: i64,
    pub(crate) failed: oneshot::Sender<ReadError>,
}

/// Why records cannot be had.
#[derive(Debug, Clone)]
pub(crate) enum ReadError {
    /// The broker has no such offset.
    OutOfRange,
    Log(LogError),
}

/// Where a source's messages come from, and where it is told what to fetch.
pub(crate) trait Fetch {
    /// Fetches the partition from this offset on, whatever was fetched before.
    fn assign(&self, from: i64) -> Result<PartitionQueue<Context>, KafkaError>;
    /// Fetches it no more.
    fn unassign(&self) -> Result<(), KafkaError>;
}

#[derive(Default)]
pub(crate) struct Source {
    /// `None` while the partition is not fetched, or no more after an error.
    queue: Option<PartitionQueue<Context>>,
    is_assigned: bool,
    /// All records from here on, and only those, come out of `waiting`, then `queue`.
    position: i64,
    waiting: VecDeque<Record>,
    reads: VecDeque<ReadRequest>,
    tails: Vec<TailRequest>,
    used: Option<Instant>,
}

impl Source {
    pub(crate) fn read(&mut self, request: ReadRequest) {
        self.reads.push_back(request);
    }

    pub(crate) fn tail(&mut self, request: TailRequest) {
        self.tails.push(request);
    }

    /// Fetched messages went astray: fetches anew when next wanted.
    pub(crate) fn forget(&mut self) {
        self.queue = None;
        self.waiting.clear();
    }

    /// Answers whom it can, and sees to it that more is fetched for the others.
    pub(crate) fn serve(&mut self, shared: &Shared, partition: &Partition, fetch: &impl Fetch) {
        while let Some(want) = self.want(partition.high()) {
            self.used = Some(Instant::now());
            let done = self
                .go_to(want.from, fetch)
                .map_err(|error| {
                    let action = format!("fetch partition {}", partition.id());
                    ReadError::Log(errors::of_call(action, &error, &shared.context))
                })
                .and_then(|()| self.fill(want.bytes, shared, partition));
            if let Err(error) = done {
                self.queue = None;
                self.fail(&error);
                return;
            }
            let Some(last) = self.waiting.back() else { return };
            partition.raise_high(last.offset.next());
            if want.is_read {
                self.answer_read();
            }
        }
    }

    /// What is wanted next: a read before those who only wait.
    fn want(&mut self, high: Offset) -> Option<Want> {
        while self.reads.front().is_some_and(|read| read.answer.is_closed()) {
            self.reads.pop_front();
        }
        if let Some(read) = self.reads.front() {
            let bytes = read.bytes_max.min(READ_BYTES_MAX);
            return Some(Want { from: read.from, bytes, is_read: true });
        }
        // Whom the high watermark has passed, it has woken.
        let is_met = |next: i64| u64::try_from(next).is_ok_and(|next| next < high.0);
        self.tails.retain(|tail| !tail.failed.is_closed() && !is_met(tail.next));
        let from = self.tails.iter().map(|tail| tail.next).max()?;
        Some(Want { from, bytes: TAIL_BYTES, is_read: false })
    }

    /// Makes `from` the position, without fetching anew where that needs none.
    fn go_to(&mut self, from: i64, fetch: &impl Fetch) -> Result<(), KafkaError> {
        let is_before = |record: &Record| i64::try_from(record.offset.0).is_ok_and(|o| o < from);
        if self.queue.is_some() && self.position < from {
            while self.waiting.front().is_some_and(is_before) {
                self.waiting.pop_front();
            }
            if !self.waiting.is_empty() {
                self.position = from;
            }
        }
        if self.queue.is_some() && self.position == from {
            return Ok(());
        }
        self.waiting.clear();
        self.queue = None;
        if std::mem::take(&mut self.is_assigned) {
            fetch.unassign()?;
        }
        self.position = from;
        self.is_assigned = true;
        self.queue = Some(fetch.assign(from)?);
        Ok(())
    }

    /// Takes what has been fetched, up to so many bytes and one record.
    fn fill(
        &mut self,
        bytes: usize,
        shared: &Shared,
        partition: &Partition,
    ) -> Result<(), ReadError> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let mut held: usize = self.waiting.iter().map(|record| record.payload.len()).sum();
        while self.waiting.is_empty() || held < bytes {
            let message = match queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => message,
                // What came before the error is handed out first; then it comes again.
                Some(Err(_)) if !self.waiting.is_empty() => {
                    self.queue = None;
                    break;
                }
                Some(Err(error)) => return Err(fetch_error(&error, shared, partition)),
            };
            let next = self.waiting.back().map_or(self.position, |last| next_after(last.offset));
            if message.offset() < next {
                continue;
            }
            match record(&message, shared, partition) {
                Ok(record) => {
                    held += record.payload.len();
                    self.waiting.push_back(record);
                }
                Err(_) if !self.waiting.is_empty() => {
                    self.queue = None;
                    break;
                }
                Err(error) => return Err(ReadError::Log(error)),
            }
        }
        Ok(())
    }

    /// Gives the first read what it has room for. There is a record and a read.
    fn answer_read(&mut self) {
        let Some(read) = self.reads.pop_front() else { return };
        let mut records = Vec::new();
        let mut bytes = 0_usize;
        while let Some(record) = self.waiting.front() {
            bytes = bytes.saturating_add(record.payload.len());
            if !records.is_empty() && bytes > read.bytes_max {
                break;
            }
            records.extend(self.waiting.pop_front());
        }
        let position = records.last().map_or(self.position, |last| next_after(last.offset));
        match read.answer.send(Ok(records)) {
            Ok(()) => self.position = position,
            // It went away just now, and its records with it.
            Err(_) => self.forget(),
        }
    }

    fn fail(&mut self, error: &ReadError) {
        for read in self.reads.drain(..) {
            let _ = read.answer.send(Err(error.clone()));
        }
        for tail in self.tails.drain(..) {
            let _ = tail.failed.send(error.clone());
        }
    }

    /// Whether nobody cared for long; the partition is not fetched then.
    pub(crate) fn is_idle(&mut self, fetch: &impl Fetch) -> bool {
        self.reads.retain(|read| !read.answer.is_closed());
        self.tails.retain(|tail| !tail.failed.is_closed());
        let is_idle = self.reads.is_empty()
            && self.tails.is_empty()
            && self.used.is_none_or(|used| used.elapsed() > IDLE_MAX);
        if is_idle {
            self.queue = None;
            if std::mem::take(&mut self.is_assigned)
                && let Err(error) = fetch.unassign()
            {
                tracing::debug!(%error, "an idle partition is still fetched");
            }
        }
        is_idle
    }
}

struct Want {
    from: i64,
    bytes: usize,
    is_read: bool,
}

fn next_after(offset: Offset) -> i64 {
    i64::try_from(offset.0).map_or(i64::MAX, |offset| offset.saturating_add(1))
}

/// The record in a message, where it is of this log.
fn record(
    message: &BorrowedMessage<'_>,
    shared: &Shared,
    partition: &Partition,
) -> Result<Record, LogError> {
    let place = || shared.place(partition.id(), message.offset());
    if let Err(found) = shared.stamp.check(message.headers()) {
        shared.suspicion.notify_one();
        let found = found.map_or_else(|| "none".into(), |found| found.to_string());
        return Err(LogError::OtherLog { place: place(), wanted: shared.stamp.to_string(), found });
    }
    partition.is_ours.set(()).ok();
    let offset = u64::try_from(message.offset());
    let offset =
        offset.map_err(|_| LogError::Corrupt { place: place(), reason: "it is negative" })?;
    let appended_at = message.timestamp().to_millis().unwrap_or(0);
    Ok(Record {
        offset: Offset(offset),
        appended_at_unix_ms: u64::try_from(appended_at).unwrap_or(0),
        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    })
}

fn fetch_error(error: &KafkaError, shared: &Shared, partition: &Partition) -> ReadError {
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
    if matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) {
        // A log that was made again is found out so, mostly.
        shared.suspicion.notify_one();
        return ReadError::OutOfRange;
    }
    if errors::is_no_topic(code) {
        shared.suspicion.notify_one();
    }
    let action = format!("fetch partition {} of topic {}", partition.id(), shared.config.topic);
    if errors::is_corruption(code) {
        let reason = "what Kafka gives is not what was written";
        return ReadError::Log(LogError::Corrupt { place: action, reason });
    }
    ReadError::Log(errors::of_code(action, code, &shared.context))
}
