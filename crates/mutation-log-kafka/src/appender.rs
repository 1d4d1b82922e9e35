//! Appending: hands records to the producer and gathers what became of them.
//!
//! ```text
//! append ─► room ─► producer's queue ─► broker ─► report of each record ─► batch ─► outcome of the append
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use nautilus_mutation_log::LogError;
use nautilus_types::Offset;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::context::Context;
use crate::errors;
use crate::native;
use crate::shared::{Partition, Shared};
use crate::topic::blocking;

/// What a record costs beside its payload, in bytes: its stamp, framing and bookkeeping.
const RECORD_OVERHEAD: usize = 256;

/// The one producer of a log. It is made for the first append, since its threads cost about a hundredth of a core and
/// most processes only read, and anew where librdkafka declares it dead.
pub(crate) struct Appender {
    stage: Mutex<Stage>,
    /// One makes the first; the others wait for it.
    making: tokio::sync::Mutex<()>,
}

/// What there is of the producer.
enum Stage {
    Unused,
    Ready(Arc<Producer>),
    Closed,
}

type Producer = ThreadedProducer<Reports>;

impl Appender {
    /// Blocks: reads files. Settings that the producer will not take are refused here.
    pub(crate) fn new(shared: &Shared) -> Result<Self, LogError> {
        shared.config.producer()?.create_native_config().map_err(|error| refused(&error))?;
        Ok(Self { stage: Mutex::new(Stage::Unused), making: tokio::sync::Mutex::new(()) })
    }

    /// Appends all payloads in order. The caller has checked their sizes and that there is at least one.
    pub(crate) async fn append(
        &self,
        shared: &Arc<Shared>,
        partition: &Partition,
        payloads: &[Bytes],
    ) -> Result<Vec<Offset>, LogError> {
        let room = self.room(shared, partition, payloads).await?;
        // Whatever is acknowledged from now on gets an offset from here on.
        let floor = partition.high();
        let producer = self.current(shared).await?;
        let (done, outcome) = oneshot::channel();
        let batch = Arc::new(Batch {
            state: Mutex::new(BatchState {
                offsets: vec![None; payloads.len()],
                left: payloads.len(),
                failure: None,
                done: Some(done),
            }),
            _room: room,
        });
        for (index, payload) in payloads.iter().enumerate() {
            let record = BaseRecord::<[u8], [u8], _>::with_opaque_to(
                &shared.config.topic,
                Box::new(Slot { batch: Arc::clone(&batch), index }),
            )
            .partition(partition.number())
            .payload(payload)
            .headers(shared.stamp.headers());
            if let Err((error, record)) = producer.send(record) {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                let slot = record.delivery_opaque;
                slot.batch.fail(payloads.len() - slot.index, Failure::NotWritten(code));
                break;
            }
        }
        drop(batch);
        // Not kept while waiting: whoever drops the last one waits for its thread, which is for `close` to do.
        let producer = {
            let weak = Arc::downgrade(&producer);
            drop(producer);
            weak
        };
        // librdkafka reports on every record; the bound is for the case that it does not.
        let patience = shared.config.delivery_timeout * 2;
        let outcome = match tokio::time::timeout(patience, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Unknown("the producer ended".into()),
            Err(_) => Outcome::Unknown("no report came in time".into()),
        };
        match outcome {
            Outcome::Written(offsets) => {
                let Some((&first, &last)) = offsets.first().zip(offsets.last()) else {
                    return Ok(Vec::new());
                };
                if first < floor {
                    let error = shared.went_back(partition, first);
                    return Err(errors::unknown_outcome(partition.id(), error));
                }
                partition.raise_high(last.next());
                Ok(offsets)
            }
            // Only the end of the producer takes back what it has queued.
            Outcome::NotWritten(RDKafkaErrorCode::PurgeQueue) => Err(LogError::Closed),
            Outcome::NotWritten(code) => {
                self.look_after(shared, &producer, code).await;
                let action = format!("append to partition {}", partition.id());
                Err(errors::of_code(action, code, &shared.context))
            }
            Outcome::Unknown(why) => {
                self.look_after(shared, &producer, RDKafkaErrorCode::Fail).await;
                Err(errors::unknown_outcome(partition.id(), why))
            }
        }
    }

    /// Waits for room; nothing was appended where there comes none in time.
    async fn room(
        &self,
        shared: &Shared,
        partition: &Partition,
        payloads: &[Bytes],
    ) -> Result<[OwnedSemaphorePermit; 2], LogError> {
        let bytes: usize = payloads.iter().map(|payload| payload.len() + RECORD_OVERHEAD).sum();
        // A batch of very many tiny records takes all the room there is, not more.
        let kib = (bytes / 1024 + 1).min(crate::shared::APPENDING_KIB_PER_PARTITION);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        let action = || format!("wait for room to append to partition {}", partition.id());
        let take = async {
            let own = Arc::clone(&partition.room).acquire_many_owned(kib).await;
            let of_all = Arc::clone(&shared.room).acquire_many_owned(kib).await;
            match (own, of_all) {
                (Ok(own), Ok(of_all)) => Ok([own, of_all]),
                (Err(error), _) | (_, Err(error)) => Err(errors::unavailable(action(), error)),
            }
        };
        let take = tokio::time::timeout(shared.config.delivery_timeout, take);
        shared
            .until_ended(async {
                take.await.unwrap_or_else(|_| Err(errors::timed_out(action(), &shared.context)))
            })
            .await
    }

    /// The producer, made if nobody has needed it yet.
    async fn current(&self, shared: &Arc<Shared>) -> Result<Arc<Producer>, LogError> {
        if let Some(found) = self.found() {
            return found;
        }
        let _making = self.making.lock().await;
        if let Some(found) = self.found() {
            return found;
        }
        let for_new = Arc::clone(shared);
        let made = Arc::new(blocking(move || producer(&for_new)).await?);
        let mut stage = self.stage();
        if matches!(*stage, Stage::Closed) {
            return Err(LogError::Closed);
        }
        *stage = Stage::Ready(Arc::clone(&made));
        Ok(made)
    }

    /// None = there is none yet.
    fn found(&self) -> Option<Result<Arc<Producer>, LogError>> {
        match &*self.stage() {
            Stage::Unused => None,
            Stage::Ready(producer) => Some(Ok(Arc::clone(producer))),
            Stage::Closed => Some(Err(LogError::Closed)),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a failure: lets the guard look where the topic may be another, asks for a topic that was refused, and
    /// replaces a dead producer.
    async fn look_after(
        &self,
        shared: &Arc<Shared>,
        failed: &Weak<Producer>,
        code: RDKafkaErrorCode,
    ) {
        let Some(dead) = failed.upgrade() else { return };
        if errors::is_no_topic(code) || code == RDKafkaErrorCode::TopicAuthorizationFailed {
            shared.suspicion.notify_one();
            // librdkafka refuses by itself from now on until it asks again, which may be minutes.
            let (asking, shared) = (Arc::clone(&dead), Arc::clone(shared));
            let asked = blocking(move || {
                let config = &shared.config;
                let asked =
                    asking.client().fetch_metadata(Some(&config.topic), config.request_timeout);
                asked.map(|_| ()).map_err(|error| {
                    errors::of_call("ask for the topic".into(), &error, &shared.context)
                })
            });
            if let Err(error) = asked.await {
                tracing::debug!(%error, "the topic could not be asked for");
            }
        }
        let Some((code, why)) = dead.client().fatal_error() else { return };
        let for_new = Arc::clone(shared);
        let made = blocking(move || producer(&for_new)).await;
        let old = {
            let mut stage = self.stage();
            match (&*stage, made) {
                // Another append may have done it; and a closed log gets no new one.
                (Stage::Ready(current), Ok(made)) if Arc::ptr_eq(current, &dead) => {
                    tracing::warn!(%code, why, "the producer had to be made anew");
                    *stage = Stage::Ready(Arc::new(made));
                    None
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "a dead producer cannot be replaced yet");
                    None
                }
                (_, Ok(made)) => Some(Arc::new(made)),
            }
        };
        // Ending a producer waits for its thread.
        let _ = blocking(move || {
            drop((old, dead));
            Ok(())
        })
        .await;
    }

    /// Waits for what is on its way, then ends the producer. Blocks.
    pub(crate) fn close(&self, shared: &Shared) {
        let was = std::mem::replace(&mut *self.stage(), Stage::Closed);
        let Stage::Ready(producer) = was else { return };
        // Each record is reported on within the delivery timeout; scans for late ones come every second.
        let patience = shared.config.delivery_timeout * 2;
        if let Err(error) = producer.flush(patience) {
            tracing::warn!(%error, "records were still on their way when the log was closed");
        }
    }
}

fn producer(shared: &Shared) -> Result<Producer, LogError> {
    shared
        .config
        .producer()?
        .create_with_context(Reports { context: shared.context.clone() })
        .map_err(|error| refused(&error))
}

fn refused(error: &KafkaError) -> LogError {
    errors::refused("make a Kafka producer", error.to_string())
}

/// Records that are appended together.
struct Batch {
    state: Mutex<BatchState>,
    /// Given back when the last record was reported on, also if nobody waits any more.
    _room: [OwnedSemaphorePermit; 2],
}

struct BatchState {
    offsets: Vec<Option<Offset>>,
    /// Records without report.
    left: usize,
    failure: Option<Failure>,
    done: Option<oneshot::Sender<Outcome>>,
}

/// Why a record was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// And is certainly not in the log.
    NotWritten(RDKafkaErrorCode),
    /// But may be in the log.
    Unknown(RDKafkaErrorCode),
}

/// What became of all records of a batch.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Written(Vec<Offset>),
    NotWritten(RDKafkaErrorCode),
    Unknown(String),
}

/// Where the report of a record goes.
pub(crate) struct Slot {
    batch: Arc<Batch>,
    index: usize,
}

impl Batch {
    fn written(&self, index: usize, offset: Offset) {
        self.report(1, |state| {
            if let Some(slot) = state.offsets.get_mut(index) {
                *slot = Some(offset);
            }
        });
    }

    fn fail(&self, records: usize, failure: Failure) {
        self.report(records, |state| {
            // One that may be in the log outweighs any number that are not.
            if !matches!(state.failure, Some(Failure::Unknown(_))) {
                state.failure = Some(failure);
            }
        });
    }

    fn report(&self, records: usize, change: impl FnOnce(&mut BatchState)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.left = state.left.saturating_sub(records);
        if state.left == 0
            && let Some(done) = state.done.take()
        {
            // Whoever asked may have gone; then the outcome is nobody's.
            let _ = done.send(state.outcome());
        }
    }
}

impl BatchState {
    fn outcome(&mut self) -> Outcome {
        let offsets: Vec<Offset> = self.offsets.iter().flatten().copied().collect();
        match self.failure {
            None if offsets.len() < self.offsets.len() => {
                Outcome::Unknown("a report is missing".into())
            }
            None if !offsets.is_sorted_by(|a, b| a < b) => {
                Outcome::Unknown("the offsets do not ascend".into())
            }
            None => Outcome::Written(offsets),
            Some(Failure::NotWritten(code)) if offsets.is_empty() => Outcome::NotWritten(code),
            Some(Failure::NotWritten(code) | Failure::Unknown(code)) => {
                let written = offsets.len();
                let all = self.offsets.len();
                Outcome::Unknown(format!("{code}; {written} of {all} records were acknowledged"))
            }
        }
    }
}

/// Receives the reports, on the producer's thread.
pub(crate) struct Reports {
    context: Context,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.context.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Slot>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Box<Slot>) {
        match result {
            Ok(message) => match u64::try_from(message.offset()) {
                Ok(offset) => slot.batch.written(slot.index, Offset(offset)),
                Err(_) => slot.batch.fail(1, Failure::Unknown(RDKafkaErrorCode::NoOffset)),
            },
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                let is_absent = native::is_certainly_not_written(message);
                let failure =
                    if is_absent { Failure::NotWritten(code) } else { Failure::Unknown(code) };
                slot.batch.fail(1, failure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMED_OUT: RDKafkaErrorCode = RDKafkaErrorCode::MessageTimedOut;
    const PURGED: RDKafkaErrorCode = RDKafkaErrorCode::PurgeQueue;

    fn outcome(offsets: &[Option<u64>], failure: Option<Failure>) -> Outcome {
        let offsets = offsets.iter().map(|offset| offset.map(Offset)).collect();
        BatchState { offsets, left: 0, failure, done: None }.outcome()
    }

    #[test]
    fn an_outcome_is_known_only_where_all_reports_agree() {
        let written = Outcome::Written(vec![Offset(3), Offset(5)]);
        assert_eq!(outcome(&[Some(3), Some(5)], None), written);
        let nothing = outcome(&[None, None], Some(Failure::NotWritten(PURGED)));
        assert_eq!(nothing, Outcome::NotWritten(PURGED));
        for unknown in [
            outcome(&[None, None], Some(Failure::Unknown(TIMED_OUT))),
            outcome(&[Some(3), None], Some(Failure::NotWritten(PURGED))),
            outcome(&[Some(3), None], None),
            outcome(&[Some(5), Some(3)], None),
        ] {
            assert!(matches!(unknown, Outcome::Unknown(_)), "{unknown:?}");
        }
    }
}
