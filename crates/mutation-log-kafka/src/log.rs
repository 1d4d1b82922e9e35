//! The port on Kafka.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_mutation_log::{
    BATCH_BYTES_MAX, LogError, LogIdentity, MutationLog, Record, Watermarks,
};
use nautilus_types::{Limits, Offset, PartitionId};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::Consumer as _;
use tokio::sync::{OnceCell, Semaphore};

use crate::appender::Appender;
use crate::context::Context;
use crate::errors;
use crate::guard;
use crate::reader::Reader;
use crate::shared::{Partition, Shared};
use crate::source::ReadError;
use crate::topic::{Probe, Unanswered, admin, blocking};
use crate::{KafkaConfig, TopicId};

/// Questions about watermarks on their way, each of which holds a thread of the blocking pool while it waits.
const QUESTIONS_MAX: usize = 16;
/// Between two questions while a partition changes its leader.
const LEADER_PAUSE: Duration = Duration::from_millis(50);

/// A mutation log on a Kafka topic.
///
/// Beside what the port says, every call answers [`LogError::OtherLog`] once the topic was found to be another one
/// than at opening, [`LogError::OtherPartitions`] once its number of partitions changed, and
/// [`LogError::Corrupt`] once Kafka gave an offset a second time; opening the log again finds out what is there.
///
/// [`close`](MutationLog::close) it to end. Dropping it gives up what is on its way, and may block for a second.
pub struct KafkaLog {
    shared: Arc<Shared>,
    appender: Arc<Appender>,
    reader: Arc<Reader>,
    questions: Arc<Semaphore>,
    admin: OnceCell<Arc<AdminClient<Context>>>,
}

impl KafkaLog {
    /// Opens the topic, which must exist and be as configured.
    ///
    /// [`LogError::Refused`] where there is none or it may not be used, [`LogError::OtherPartitions`] and
    /// [`LogError::OtherLog`] where it is not as configured.
    pub async fn open(config: KafkaConfig) -> Result<Self, LogError> {
        blocking(move || Self::open_blocking(config)).await
    }

    fn open_blocking(config: KafkaConfig) -> Result<Self, LogError> {
        config.validate()?;
        let context = Context::default();
        // The id belongs into what the clients share, and asking for it takes a client.
        let facts = Probe::new(&config, &context)?.ask(&config).map_err(|unanswered| {
            let why = "it does not exist, and opening does not make it";
            match unanswered {
                Unanswered::NoTopic => errors::refused(format!("open topic {}", config.topic), why),
                Unanswered::Why(error) => error,
            }
        })?;
        guard::check_partitions(config.partitions, facts)?;
        let wanted = config.topic_id.unwrap_or(facts.id);
        let shared = Arc::new(Shared::new(config, wanted, context));
        guard::check(&shared, facts)?;
        let appender = Appender::new(&shared)?;
        let prepared = Reader::prepare(&shared)?;
        let reader = Reader::start(prepared, Arc::clone(&shared))?;
        Ok(Self {
            shared,
            appender: Arc::new(appender),
            reader: Arc::new(reader),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            admin: OnceCell::new(),
        })
    }

    /// Kafka's id of the topic.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.shared.topic_id
    }

    /// Asks the partition's leader.
    async fn ask(&self, partition: &Partition) -> Result<Watermarks, LogError> {
        // Longer than one question may take, for the turn.
        let patience = self.shared.config.request_timeout * 2;
        // While Kafka is asked, appends raise what is known further than its answer.
        let known = partition.high();
        let asked = self.shared.until_ended(async {
            let asked = tokio::time::timeout(patience, self.ask_until_led(partition)).await;
            asked.unwrap_or_else(|_| {
                let action = format!("ask for the watermarks of partition {}", partition.id());
                Err(errors::timed_out(action, &self.shared.context))
            })
        });
        let (low, high) = asked.await?;
        let (low, high) = (offset(low)?, offset(high)?);
        if high < known {
            // After a change of leader, for a moment; or the log is another one.
            self.shared.suspicion.notify_one();
            tracing::warn!(
                partition = partition.id().0,
                high = high.0,
                known = known.0,
                "Kafka says a high watermark that fell"
            );
        }
        Ok(Watermarks { low: partition.raise_low(low), high: partition.raise_high(high) })
    }

    /// Asks again while the partition has no leader that we know.
    async fn ask_until_led(&self, partition: &Partition) -> Result<(i64, i64), LogError> {
        let number = partition.number();
        let turn = Arc::clone(&self.questions).acquire_owned().await;
        // Held by the call, which may outlive us.
        let turn = Arc::new(turn.map_err(|error| errors::unavailable("ask Kafka", error))?);
        loop {
            let consumer = self.reader.consumer()?;
            let (shared, turn) = (Arc::clone(&self.shared), Arc::clone(&turn));
            let asked = blocking(move || {
                let _turn = turn;
                let config = &shared.config;
                Ok(consumer.fetch_watermarks(&config.topic, number, config.request_timeout))
            });
            let error = match asked.await? {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let code = error.rdkafka_error_code();
            if code.is_some_and(errors::is_no_topic) {
                self.shared.suspicion.notify_one();
            }
            if !code.is_some_and(errors::is_no_leader) {
                let action = format!("ask for the watermarks of partition {}", partition.id());
                return Err(errors::of_call(action, &error, &self.shared.context));
            }
            tokio::time::sleep(LEADER_PAUSE).await;
        }
    }

    /// The error for an offset that Kafka does not have, or that it would not say so again.
    async fn out_of_range(&self, partition: &Partition, asked: Offset) -> LogError {
        match self.ask(partition).await {
            Ok(Watermarks { low, high }) if asked < low || asked > high => {
                LogError::OutOfRange { partition: partition.id(), asked, low, high }
            }
            Ok(_) => {
                let action = format!("read partition {} from offset {asked}", partition.id());
                errors::unavailable(action, "it was out of range and is not any more")
            }
            Err(error) => error,
        }
    }

    /// At least one record, once there is one.
    async fn fetch(
        &self,
        partition: &Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let Ok(number) = i64::try_from(from.0) else {
            return Err(self.out_of_range(partition, from).await);
        };
        let patience = self.shared.config.request_timeout;
        let read = self.shared.until_ended(async {
            let read = self.reader.read(partition.id(), number, bytes_max);
            Ok(tokio::time::timeout(patience, read).await)
        });
        match read.await? {
            Ok(Ok(records)) => Ok(records),
            Ok(Err(ReadError::OutOfRange)) => Err(self.out_of_range(partition, from).await),
            Ok(Err(ReadError::Log(error))) => Err(error),
            Err(_) => {
                let action = format!("read partition {} from offset {from}", partition.id());
                Err(errors::timed_out(action, &self.shared.context))
            }
        }
    }

    /// Looks at one record before the first append: a writer with the wrong configuration is refused, rather than
    /// leaving records that stop every reader.
    async fn check_ours(&self, partition: &Partition) -> Result<(), LogError> {
        let look = || async {
            let Watermarks { low, high } = self.ask(partition).await?;
            if low < high {
                self.fetch(partition, Offset(high.0 - 1), 1).await?;
            }
            Ok(())
        };
        partition.is_ours.get_or_try_init(look).await.map(|_| ())
    }

    fn check_sizes(payloads: &[Bytes]) -> Result<(), LogError> {
        let largest = payloads.iter().map(Bytes::len).max().unwrap_or(0);
        let all = payloads.iter().map(Bytes::len).sum();
        let check = |what, bytes, bytes_max| {
            if bytes > bytes_max {
                Err(LogError::TooLarge { what, bytes, bytes_max })
            } else {
                Ok(())
            }
        };
        check("record", largest, Limits::RECORD_BYTES_MAX)?;
        check("batch", all, BATCH_BYTES_MAX)
    }

    async fn admin(&self) -> Result<Arc<AdminClient<Context>>, LogError> {
        let make = || {
            let shared = Arc::clone(&self.shared);
            blocking(move || admin(&shared.config, &shared.context))
        };
        self.admin.get_or_try_init(make).await.cloned()
    }

    /// Gives up records below `below`, which is within the log.
    async fn delete_below(&self, partition: &Partition, below: Offset) -> Result<Offset, LogError> {
        let action = format!("trim partition {} below offset {below}", partition.id());
        let failed = |error: &_| errors::of_call(action.clone(), error, &self.shared.context);
        let config = &self.shared.config;
        let to = rdkafka::Offset::Offset(i64::try_from(below.0).unwrap_or(i64::MAX));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&config.topic, partition.number(), to)
            .map_err(|error| failed(&error))?;
        let admin = self.admin().await?;
        let options = AdminOptions::new()
            .request_timeout(Some(config.request_timeout))
            .operation_timeout(Some(config.request_timeout));
        let done = admin.delete_records(&list, &options).await.map_err(|error| failed(&error))?;
        for element in done.elements() {
            element.error().map_err(|error| failed(&error))?;
            if let rdkafka::Offset::Offset(low) = element.offset() {
                partition.raise_low(offset(low)?);
            }
        }
        Ok(partition.raise_low(Offset(0)))
    }
}

fn offset(kafkas: i64) -> Result<Offset, LogError> {
    let place = || format!("offset {kafkas} that Kafka said");
    let offset = u64::try_from(kafkas);
    offset.map(Offset).map_err(|_| LogError::Corrupt { place: place(), reason: "it is negative" })
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        // The reader's thread ends when it sees that nobody can ask it any more.
        self.shared.end(LogError::Closed);
    }
}

#[async_trait]
impl MutationLog for KafkaLog {
    fn identity(&self) -> &LogIdentity {
        &self.shared.identity
    }

    async fn append(&self, partition: PartitionId, payload: Bytes) -> Result<Offset, LogError> {
        let offsets = self.append_batch(partition, vec![payload]).await?;
        offsets.first().copied().ok_or(LogError::UnknownOutcome { partition, source: None })
    }

    async fn append_batch(
        &self,
        partition: PartitionId,
        payloads: Vec<Bytes>,
    ) -> Result<Vec<Offset>, LogError> {
        let partition = self.shared.partition(partition)?;
        Self::check_sizes(&payloads)?;
        if payloads.is_empty() {
            return Ok(Vec::new());
        }
        self.check_ours(partition).await?;
        self.appender.append(&self.shared, partition, &payloads).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let partition = self.shared.partition(partition)?;
        // Below what is known to be there, records come, or Kafka says that they are gone.
        if from >= partition.high() {
            let Watermarks { low, high } = self.ask(partition).await?;
            if from < low || from > high {
                let (partition, asked) = (partition.id(), from);
                return Err(LogError::OutOfRange { partition, asked, low, high });
            }
            if from == high {
                return Ok(Vec::new());
            }
        }
        self.fetch(partition, from, bytes_max).await
    }

    async fn watermarks(&self, partition: PartitionId) -> Result<Watermarks, LogError> {
        self.ask(self.shared.partition(partition)?).await
    }

    async fn wait_beyond(&self, partition: PartitionId, next: Offset) -> Result<Offset, LogError> {
        let partition = self.shared.partition(partition)?;
        let mut high = partition.watch_high();
        if next > partition.high() {
            let Watermarks { low, high } = self.ask(partition).await?;
            if next > high {
                let (partition, asked) = (partition.id(), next);
                return Err(LogError::OutOfRange { partition, asked, low, high });
            }
        }
        let Ok(number) = i64::try_from(next.0) else {
            return Err(self.out_of_range(partition, next).await);
        };
        let wait = async {
            tokio::select! {
                biased;
                high = high.wait_for(|high| *high > next) => match high {
                    Ok(high) => Ok(Ok(*high)),
                    Err(_) => Err(LogError::Closed),
                },
                failed = self.reader.tail(partition.id(), number) => Ok(Err(failed)),
            }
        };
        match self.shared.until_ended(wait).await? {
            Ok(high) => Ok(high),
            Err(ReadError::OutOfRange) => Err(self.out_of_range(partition, next).await),
            Err(ReadError::Log(error)) => Err(error),
        }
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<Offset, LogError> {
        let partition = self.shared.partition(partition)?;
        let Watermarks { low, high } = self.ask(partition).await?;
        if below > high {
            return Err(LogError::OutOfRange {
                partition: partition.id(),
                asked: below,
                low,
                high,
            });
        }
        if below <= low {
            return Ok(low);
        }
        self.shared.until_ended(self.delete_below(partition, below)).await
    }

    async fn close(&self) -> Result<(), LogError> {
        self.shared.end(LogError::Closed);
        let (shared, appender, reader) =
            (Arc::clone(&self.shared), Arc::clone(&self.appender), Arc::clone(&self.reader));
        blocking(move || {
            appender.close(&shared);
            reader.close();
            Ok(())
        })
        .await
    }
}
