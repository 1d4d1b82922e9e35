//! What appending, reading and the guard of one log have in common.

use std::sync::Arc;

use nautilus_mutation_log::{BATCH_BYTES_MAX, LogError, LogIdentity};
use nautilus_types::{Offset, PartitionId};
use tokio::sync::{Notify, OnceCell, Semaphore, watch};

use crate::context::Context;
use crate::{KafkaConfig, Stamp, TopicId};

/// Bytes of appends on their way, all partitions together, in KiB: no more partitions than these would fill can
/// stall the others while their leaders do not answer.
const APPENDING_KIB: usize = 16 * APPENDING_KIB_PER_PARTITION;
/// The same for one partition: one batch of the largest, its framing included, or many small ones.
pub(crate) const APPENDING_KIB_PER_PARTITION: usize = 2 * BATCH_BYTES_MAX / 1024;

pub(crate) struct Shared {
    pub(crate) config: KafkaConfig,
    pub(crate) identity: LogIdentity,
    pub(crate) topic_id: TopicId,
    pub(crate) stamp: Stamp,
    pub(crate) context: Context,
    pub(crate) partitions: Vec<Partition>,
    /// Room for appends of all partitions.
    pub(crate) room: Arc<Semaphore>,
    /// Asks the guard to look now.
    pub(crate) suspicion: Notify,
    /// Why nothing goes any more; `None` while all goes.
    ended: watch::Sender<Option<LogError>>,
}

/// What is known of a partition.
pub(crate) struct Partition {
    id: PartitionId,
    /// The highest high watermark seen, by any means. Waiters wake by it.
    high: watch::Sender<Offset>,
    /// The highest low watermark seen.
    low: watch::Sender<Offset>,
    /// Room for appends of this partition.
    pub(crate) room: Arc<Semaphore>,
    /// Set once a record of the partition was seen to be of this log, or there was none.
    pub(crate) is_ours: OnceCell<()>,
}

impl Shared {
    pub(crate) fn new(config: KafkaConfig, topic_id: TopicId, context: Context) -> Self {
        let identity = config.identity();
        let partitions = (0..config.partitions).map(|id| Partition::new(PartitionId(id))).collect();
        Self {
            stamp: Stamp::new(&identity, topic_id),
            config,
            identity,
            topic_id,
            context,
            partitions,
            room: Arc::new(Semaphore::new(APPENDING_KIB)),
            suspicion: Notify::new(),
            ended: watch::Sender::new(None),
        }
    }

    /// The partition, where there is such and the log goes.
    pub(crate) fn partition(&self, id: PartitionId) -> Result<&Partition, LogError> {
        let partitions = self.identity.partitions;
        let partition = usize::try_from(id.0)
            .ok()
            .and_then(|i| self.partitions.get(i))
            .ok_or(LogError::NoSuchPartition { partition: id, partitions })?;
        match &*self.ended.borrow() {
            Some(why) => Err(why.clone()),
            None => Ok(partition),
        }
    }

    /// Ends the log for good. Closing stands above other reasons; of these the first stays.
    pub(crate) fn end(&self, why: LogError) {
        let is_new = self.ended.send_if_modified(|ended| {
            let is_new = ended.is_none() || matches!(why, LogError::Closed);
            if is_new {
                *ended = Some(why.clone());
            }
            is_new
        });
        if is_new && !matches!(why, LogError::Closed) {
            let topic = &self.config.topic;
            tracing::error!(topic, error = %why, "the mutation log cannot be used any more");
        }
    }

    /// What `work` gives, or why the log ended meanwhile.
    pub(crate) async fn until_ended<T>(
        &self,
        work: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        let mut ended = self.ended.subscribe();
        tokio::select! {
            biased;
            why = ended.wait_for(Option::is_some) => match why {
                Ok(why) => Err(why.clone().unwrap_or(LogError::Closed)),
                Err(_) => Err(LogError::Closed),
            },
            done = work => done,
        }
    }

    pub(crate) fn place(&self, partition: PartitionId, offset: i64) -> String {
        format!("offset {offset} of partition {partition} of topic {}", self.config.topic)
    }

    /// Acknowledged records are gone: Kafka gives an offset again.
    pub(crate) fn went_back(&self, partition: &Partition, to: Offset) -> LogError {
        let to = i64::try_from(to.0).unwrap_or(i64::MAX);
        let place = self.place(partition.id, to);
        let reason = "it is given again, so records that were acknowledged are missing";
        let error = LogError::Corrupt { place, reason };
        self.end(error.clone());
        error
    }
}

impl Partition {
    fn new(id: PartitionId) -> Self {
        Self {
            id,
            high: watch::Sender::new(Offset(0)),
            low: watch::Sender::new(Offset(0)),
            room: Arc::new(Semaphore::new(APPENDING_KIB_PER_PARTITION)),
            is_ours: OnceCell::new(),
        }
    }

    /// For Kafka's calls.
    pub(crate) fn number(&self) -> i32 {
        // There are at most 16,384.
        i32::try_from(self.id.0).unwrap_or(i32::MAX)
    }

    pub(crate) fn id(&self) -> PartitionId {
        self.id
    }

    pub(crate) fn high(&self) -> Offset {
        *self.high.borrow()
    }

    pub(crate) fn watch_high(&self) -> watch::Receiver<Offset> {
        self.high.subscribe()
    }

    pub(crate) fn raise_high(&self, high: Offset) -> Offset {
        raise(&self.high, high)
    }

    pub(crate) fn raise_low(&self, low: Offset) -> Offset {
        raise(&self.low, low)
    }
}

/// Sets it to the higher of both, which is returned.
fn raise(mark: &watch::Sender<Offset>, to: Offset) -> Offset {
    mark.send_if_modified(|mark| {
        let is_higher = to > *mark;
        *mark = (*mark).max(to);
        is_higher
    });
    *mark.borrow()
}
