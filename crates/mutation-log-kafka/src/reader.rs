//! The reader thread: owns the one consumer and serves all partitions that are read.
//!
//! A consumer has two threads and one more per broker, and needs one fetch request per broker for any number of
//! partitions. Each partition has its own queue in it, whose callback wakes the thread; so nothing is polled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nautilus_mutation_log::{LogError, Record};
use nautilus_types::PartitionId;
use rdkafka::consumer::Consumer as _;
use rdkafka::consumer::base_consumer::{BaseConsumer, PartitionQueue};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use crate::context::Context;
use crate::errors;
use crate::guard;
use crate::shared::{Partition, Shared};
use crate::source::{Fetch, ReadError, ReadRequest, Source, TailRequest};

pub(crate) type LogConsumer = BaseConsumer<Context>;

/// Requests on their way to the thread. Each caller has one at a time, and the thread takes microseconds for most.
const REQUESTS_MAX: usize = 1024;
/// Log lines and errors of librdkafka taken at once.
const EVENTS_MAX: usize = 64;
/// Between two looks for partitions that nobody reads any more.
const TIDY_INTERVAL: Duration = Duration::from_secs(15);

enum Request {
    Read(PartitionId, ReadRequest),
    Tail(PartitionId, TailRequest),
    /// Something in `Ready` needs a look.
    Look,
    Stop,
}

/// What librdkafka has something for.
#[derive(Default)]
struct Ready {
    partitions: BTreeSet<PartitionId>,
    has_events: bool,
}

/// The callers' side.
pub(crate) struct Reader {
    requests: mpsc::Sender<Request>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// For questions that have nothing to do with fetching.
    consumer: Mutex<Option<Arc<LogConsumer>>>,
}

impl Reader {
    /// A consumer and what tells that it has something.
    pub(crate) fn prepare(shared: &Shared) -> Result<Prepared, LogError> {
        let (requests, queue) = mpsc::channel(REQUESTS_MAX);
        let ready = Arc::new(Mutex::new(Ready::default()));
        let mut consumer: LogConsumer = shared
            .config
            .consumer()?
            .create_with_context(shared.context.clone())
            .map_err(|error| errors::refused("make a Kafka consumer", error.to_string()))?;
        let wake = Wake { ready: Arc::clone(&ready), requests: requests.downgrade() };
        consumer.set_nonempty_callback(move || wake.tell(|ready| ready.has_events = true));
        Ok(Prepared { consumer: Arc::new(consumer), requests, queue, ready })
    }

    /// Starts the thread; the guard runs on it too.
    pub(crate) fn start(prepared: Prepared, shared: Arc<Shared>) -> Result<Self, LogError> {
        let Prepared { consumer, requests, queue, ready } = prepared;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .map_err(|error| errors::unavailable("start the reader of the log", error))?;
        let wake = Wake { ready, requests: requests.downgrade() };
        let of_thread = Arc::clone(&consumer);
        let thread = thread::Builder::new()
            .name("kafka-log-reader".into())
            .spawn(move || {
                let guard = guard::run(Arc::clone(&shared), Arc::clone(&of_thread));
                let loops = Loop { shared, consumer: of_thread, wake, sources: BTreeMap::new() };
                runtime.block_on(async {
                    tokio::select! {
                        () = loops.run(queue) => {}
                        () = guard => {}
                    }
                });
                // A look of the guard may still wait for a broker; it ends by itself.
                runtime.shutdown_background();
            })
            .map_err(|error| errors::unavailable("start the reader of the log", error))?;
        Ok(Self {
            requests,
            thread: Mutex::new(Some(thread)),
            consumer: Mutex::new(Some(consumer)),
        })
    }

    /// At least one record at or after `from`, once there is one.
    pub(crate) async fn read(
        &self,
        partition: PartitionId,
        from: i64,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let (answer, answered) = oneshot::channel();
        let request = ReadRequest { from, bytes_max, answer };
        let gone = || ReadError::Log(LogError::Closed);
        self.requests.send(Request::Read(partition, request)).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Sees to it that a record at or after `next` raises the partition's high watermark. Ends only on failure.
    pub(crate) async fn tail(&self, partition: PartitionId, next: i64) -> ReadError {
        let (failed, failure) = oneshot::channel();
        let request = Request::Tail(partition, TailRequest { next, failed });
        if self.requests.send(request).await.is_err() {
            return ReadError::Log(LogError::Closed);
        }
        match failure.await {
            Ok(error) => error,
            // The high watermark passed it, which the caller sees.
            Err(_) => std::future::pending().await,
        }
    }

    pub(crate) fn consumer(&self) -> Result<Arc<LogConsumer>, LogError> {
        let consumer = self.consumer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        consumer.ok_or(LogError::Closed)
    }

    /// Ends the thread and the consumer. Blocks.
    pub(crate) fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread drains its queue, so there is room soon.
            let _ = self.requests.blocking_send(Request::Stop);
            if thread.join().is_err() {
                tracing::error!("the reader thread of the log panicked");
            }
        }
        // Outside the lock: the last owner waits for librdkafka's threads.
        let consumer = self.consumer.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(consumer);
    }
}

/// A reader that was not started yet.
pub(crate) struct Prepared {
    pub(crate) consumer: Arc<LogConsumer>,
    requests: mpsc::Sender<Request>,
    queue: mpsc::Receiver<Request>,
    ready: Arc<Mutex<Ready>>,
}

/// Called on librdkafka's threads.
#[derive(Clone)]
struct Wake {
    ready: Arc<Mutex<Ready>>,
    /// Weak: the callbacks live in the consumer, which must not keep its own thread alive.
    requests: mpsc::WeakSender<Request>,
}

impl Wake {
    fn tell(&self, note: impl FnOnce(&mut Ready)) {
        note(&mut self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        // Where the queue is full, the thread looks after each request in it anyway.
        if let Some(requests) = self.requests.upgrade() {
            let _ = requests.try_send(Request::Look);
        }
    }

    fn take(&self) -> Ready {
        std::mem::take(&mut self.ready.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The thread's side.
struct Loop {
    shared: Arc<Shared>,
    consumer: Arc<LogConsumer>,
    wake: Wake,
    sources: BTreeMap<PartitionId, Source>,
}

impl Loop {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut tidy = tokio::time::interval_at(Instant::now() + TIDY_INTERVAL, TIDY_INTERVAL);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                request = queue.recv() => match request {
                    None | Some(Request::Stop) => return,
                    Some(Request::Look) => {}
                    Some(Request::Read(partition, request)) => {
                        self.sources.entry(partition).or_default().read(request);
                        self.serve(partition);
                    }
                    Some(Request::Tail(partition, request)) => {
                        self.sources.entry(partition).or_default().tail(request);
                        self.serve(partition);
                    }
                },
                _ = tidy.tick() => self.tidy(),
            }
            let ready = self.wake.take();
            if ready.has_events {
                self.take_events();
            }
            for partition in ready.partitions {
                self.serve(partition);
            }
        }
    }

    fn serve(&mut self, id: PartitionId) {
        let Ok(partition) = self.shared.partition(id) else { return };
        let Some(source) = self.sources.get_mut(&id) else { return };
        let fetch = FetchOne {
            shared: &self.shared,
            consumer: &self.consumer,
            wake: &self.wake,
            partition,
        };
        source.serve(&self.shared, partition, &fetch);
    }

    /// Log lines and errors go to the context as they are taken. Messages have queues of their own; should one
    /// come here all the same, its partition is fetched anew.
    fn take_events(&mut self) {
        let mut astray = BTreeSet::new();
        for _ in 0..EVENTS_MAX {
            if let Some(Ok(message)) = self.consumer.poll(Duration::ZERO)
                && let Ok(partition) = u32::try_from(message.partition())
            {
                astray.insert(PartitionId(partition));
            }
        }
        for partition in astray {
            tracing::debug!(partition = partition.0, "a message came past its queue");
            if let Some(source) = self.sources.get_mut(&partition) {
                source.forget();
            }
            self.serve(partition);
        }
    }

    fn tidy(&mut self) {
        self.take_events();
        let (shared, consumer, wake) = (&self.shared, &self.consumer, &self.wake);
        self.sources.retain(|&id, source| {
            let Ok(partition) = shared.partition(id) else { return true };
            !source.is_idle(&FetchOne { shared, consumer, wake, partition })
        });
    }
}

/// One partition of the consumer.
struct FetchOne<'a> {
    shared: &'a Shared,
    consumer: &'a Arc<LogConsumer>,
    wake: &'a Wake,
    partition: &'a Partition,
}

impl FetchOne<'_> {
    fn list(&self, offset: Offset) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.shared.config.topic, self.partition.number(), offset)?;
        Ok(list)
    }
}

impl Fetch for FetchOne<'_> {
    fn assign(&self, from: i64) -> Result<PartitionQueue<Context>, KafkaError> {
        let topic = &self.shared.config.topic;
        // Before the fetch begins, so that no message takes another way.
        let mut queue = self
            .consumer
            .split_partition_queue(topic, self.partition.number())
            .ok_or(KafkaError::Global(RDKafkaErrorCode::UnknownPartition))?;
        let (wake, id) = (self.wake.clone(), self.partition.id());
        queue.set_nonempty_callback(move || {
            wake.tell(|ready| {
                ready.partitions.insert(id);
            });
        });
        self.consumer.incremental_assign(&self.list(Offset::Offset(from))?)?;
        Ok(queue)
    }

    fn unassign(&self) -> Result<(), KafkaError> {
        self.consumer.incremental_unassign(&self.list(Offset::Invalid)?)
    }
}
