//! Topics: making one, and telling one from another of the same name.

use std::ffi::CString;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nautilus_mutation_log::LogError;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataBroker;

use crate::config::{KafkaConfig, TopicSettings};
use crate::context::Context;
use crate::errors;
use crate::native::{self, TopicFacts};
use crate::properties::MESSAGE_BYTES_MAX;

/// Between two looks whether a new topic is there on all sides.
const PAUSE: Duration = Duration::from_millis(50);
/// More than a client says while it tries in vain.
const PROBE_EVENTS_MAX: usize = 64;
/// For each of them, while none says why: a busy machine tells that a connection failed before it tells the reason.
const PROBE_EVENT_WAIT: Duration = Duration::from_millis(20);

/// Kafka's own id of a topic, which no other topic ever has. Written as Kafka's tools write it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    pub(crate) fn from_halves(high: i64, low: i64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        Self(bytes)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

impl FromStr for TopicId {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        let rule = "22 characters, as Kafka's tools show a topic's id";
        bytes.map(Self).ok_or(LogError::BadConfig { setting: "topic_id", rule })
    }
}

/// Makes the topic, which must not exist, and waits until it can be opened. Returns its id, for
/// [`KafkaConfig::topic_id`].
pub async fn create(config: &KafkaConfig, settings: &TopicSettings) -> Result<TopicId, LogError> {
    config.validate()?;
    let action = format!("make topic {}", config.topic);
    let context = Context::default();
    let bad = |setting, rule| LogError::BadConfig { setting, rule };
    let partitions =
        i32::try_from(config.partitions).map_err(|_| bad("partitions", "at most 16,384"))?;
    let replication = i32::from(settings.replication_factor);
    if !(1..=settings.replication_factor).contains(&settings.min_insync_replicas) {
        return Err(bad("min_insync_replicas", "1 to replication_factor"));
    }
    let retention = settings.retention.map_or("-1".into(), |time| time.as_millis().to_string());
    let insync = settings.min_insync_replicas.to_string();
    let message_bytes_max = MESSAGE_BYTES_MAX.to_string();
    let topic = NewTopic::new(&config.topic, partitions, TopicReplication::Fixed(replication))
        .set("cleanup.policy", "delete")
        .set("retention.ms", &retention)
        .set("retention.bytes", "-1")
        .set("min.insync.replicas", &insync)
        .set("unclean.leader.election.enable", "false")
        .set("message.timestamp.type", "LogAppendTime")
        .set("max.message.bytes", &message_bytes_max);

    // Asked first: its errors say why a broker cannot be reached, the administrator's only that it cannot.
    let of_probe = (config.clone(), context.clone());
    let (probe, found) = blocking(move || {
        let (config, context) = of_probe;
        let probe = Probe::new(&config, &context)?;
        let found = probe.ask(&config);
        Ok((Arc::new(probe), found))
    })
    .await?;
    // A topic that was just deleted may still be seen; whether there is one now, Kafka says when it is to make it.
    let former = match found {
        Ok(facts) => Some(facts.id),
        Err(Unanswered::NoTopic) => None,
        Err(Unanswered::Why(error)) => return Err(error),
    };
    let admin = admin(config, &context)?;
    let options = AdminOptions::new()
        .request_timeout(Some(config.request_timeout))
        .operation_timeout(Some(config.request_timeout));
    let answers = admin
        .create_topics([&topic], &options)
        .await
        .map_err(|error| errors::of_call(action.clone(), &error, &context))?;
    for answer in answers {
        answer.map_err(|(_, code)| errors::of_code(action.clone(), code, &context))?;
    }

    let of_wait = config.clone();
    let wait = async {
        loop {
            let (probe, config) = (Arc::clone(&probe), of_wait.clone());
            match blocking(move || is_usable(probe.0.client(), &config)).await? {
                Ok(Some(id)) if Some(id) != former => return Ok(id),
                Ok(_) => {}
                Err(code) if errors::is_no_topic(code) || errors::is_no_leader(code) => {}
                Err(code) => return Err(errors::of_code(action.clone(), code, &context)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    // Each partition is looked at, and there may be many.
    tokio::time::timeout(config.request_timeout * 4, wait)
        .await
        .unwrap_or_else(|_| Err(errors::timed_out(&action, &context)))
}

/// A client that asks about a topic and learns why it gets no answer.
pub(crate) struct Probe(BaseConsumer<Context>);

/// Why a probe knows nothing of the topic.
pub(crate) enum Unanswered {
    NoTopic,
    Why(LogError),
}

impl Probe {
    /// Blocks: reads files.
    pub(crate) fn new(config: &KafkaConfig, context: &Context) -> Result<Self, LogError> {
        let client = config.common()?.create_with_context(context.clone());
        client.map(Self).map_err(|error| errors::refused("make a Kafka client", error.to_string()))
    }

    /// Blocks.
    pub(crate) fn ask(&self, config: &KafkaConfig) -> Result<TopicFacts, Unanswered> {
        let answer = describe(self.0.client(), config).map_err(Unanswered::Why)?;
        answer.map_err(|code| {
            if errors::is_no_topic(code) {
                return Unanswered::NoTopic;
            }
            // What librdkafka says of its connections goes to the context.
            let context = self.0.client().context();
            for _ in 0..PROBE_EVENTS_MAX {
                let is_known = context.last_error().is_some();
                let _ = self.0.poll(if is_known { Duration::ZERO } else { PROBE_EVENT_WAIT });
            }
            let action = format!("ask for topic {}", config.topic);
            Unanswered::Why(errors::of_code(action, code, context))
        })
    }
}

/// The id, once all partitions have leaders that know of it. Blocks.
fn is_usable<C: ClientContext>(
    client: &Client<C>,
    config: &KafkaConfig,
) -> Result<Result<Option<TopicId>, RDKafkaErrorCode>, LogError> {
    let facts = match describe(client, config)? {
        Ok(facts) => facts,
        Err(code) => return Ok(Err(code)),
    };
    if u32::try_from(facts.partitions) != Ok(config.partitions) {
        return Ok(Ok(None));
    }
    for partition in (0..config.partitions).filter_map(|partition| i32::try_from(partition).ok()) {
        let asked = client.fetch_watermarks(&config.topic, partition, config.request_timeout);
        if let Err(error) = asked {
            return Ok(Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)));
        }
    }
    Ok(Ok(Some(facts.id)))
}

/// Asks for the topic's id and number of partitions. Blocks.
pub(crate) fn describe<C: ClientContext>(
    client: &Client<C>,
    config: &KafkaConfig,
) -> Result<Result<TopicFacts, RDKafkaErrorCode>, LogError> {
    let (topic, patience) = (c_name(&config.topic)?, config.request_timeout);
    // Whichever broker answers: what is asked next would else go to the controller, which may just be away.
    let metadata = match client.fetch_metadata(Some(&config.topic), patience) {
        Ok(metadata) => metadata,
        Err(error) => return Ok(Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))),
    };
    let answered = Some(metadata.orig_broker_id()).filter(|id| *id >= 0);
    let broker = answered.or_else(|| metadata.brokers().first().map(MetadataBroker::id));
    Ok(native::describe_topic(client, &topic, broker, patience))
}

/// A client for what operators do.
pub(crate) fn admin(
    config: &KafkaConfig,
    context: &Context,
) -> Result<Arc<AdminClient<Context>>, LogError> {
    config
        .common()?
        .create_with_context(context.clone())
        .map(Arc::new)
        .map_err(|error| errors::refused("make a Kafka client", error.to_string()))
}

fn c_name(topic: &str) -> Result<CString, LogError> {
    let rule = "without zero bytes";
    CString::new(topic).map_err(|_| LogError::BadConfig { setting: "topic", rule })
}

/// Runs calls of librdkafka where they may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| errors::unavailable("run a blocking call", error))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_kafka_writes_it() {
        let id = TopicId::from_halves(0x0102_0304_0506_0708, -2);
        assert_eq!(id.to_string(), "AQIDBAUGBwj__________g");
        assert_eq!(id.to_string().parse::<TopicId>().expect("its own text"), id);
        assert!("AQID".parse::<TopicId>().is_err());
        assert!("not an id".parse::<TopicId>().is_err());
    }
}
