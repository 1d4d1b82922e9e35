//! The two calls of librdkafka that rdkafka does not wrap: what a topic's id is, and whether a record whose
//! delivery failed may have been written.

use std::ffi::CStr;
use std::ops::Deref;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;

use crate::TopicId;

/// What the brokers say about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicFacts {
    pub(crate) id: TopicId,
    pub(crate) partitions: usize,
}

/// Whether a record whose delivery failed is certainly not in the log.
pub(crate) fn is_certainly_not_written(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: the message is borrowed, so librdkafka has not freed it; the call only reads it.
    let status = unsafe { sys::rd_kafka_message_status(message.ptr()) };
    status == sys::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}

/// Asks a broker about a topic; without one, the controller. Blocks, at most about as long as `patience`.
pub(crate) fn describe_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &CStr,
    broker: Option<i32>,
    patience: Duration,
) -> Result<TopicFacts, RDKafkaErrorCode> {
    let rk = client.native_ptr();
    let mut names = [topic.as_ptr()];
    let mut said = [0; 256];
    // SAFETY: `rk` lives as long as `client`, which is borrowed for the whole function. The collection copies the
    // names, which are valid C strings. Each object is freed once, by the `Owned` around it, after its last use;
    // they are declared in such an order that the event goes before the queue it came from.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(
            rk,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        let options = Owned::new(options, sys::rd_kafka_AdminOptions_destroy)
            .ok_or(RDKafkaErrorCode::Fail)?;
        let set = sys::rd_kafka_AdminOptions_set_request_timeout(
            *options,
            millis(patience),
            said.as_mut_ptr(),
            said.len(),
        );
        check(set)?;
        if let Some(broker) = broker {
            let set = sys::rd_kafka_AdminOptions_set_broker(
                *options,
                broker,
                said.as_mut_ptr(),
                said.len(),
            );
            check(set)?;
        }
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let topics = Owned::new(topics, sys::rd_kafka_TopicCollection_destroy)
            .ok_or(RDKafkaErrorCode::Fail)?;
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy)
            .ok_or(RDKafkaErrorCode::Fail)?;
        sys::rd_kafka_DescribeTopics(rk, *topics, *options, *queue);
        // librdkafka keeps to the patience itself and then says so.
        let event = sys::rd_kafka_queue_poll(*queue, millis(patience * 2));
        let event = Owned::new(event, sys::rd_kafka_event_destroy)
            .ok_or(RDKafkaErrorCode::OperationTimedOut)?;
        check(sys::rd_kafka_event_error(*event))?;
        let result = sys::rd_kafka_event_DescribeTopics_result(*event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count != 1 {
            return Err(RDKafkaErrorCode::Fail);
        }
        // What follows is borrowed from the event, which lives until the end of the function.
        let topic = *topics;
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            check(sys::rd_kafka_error_code(error))?;
        }
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Err(RDKafkaErrorCode::UnsupportedFeature);
        }
        let id = TopicId::from_halves(
            sys::rd_kafka_Uuid_most_significant_bits(id),
            sys::rd_kafka_Uuid_least_significant_bits(id),
        );
        // Brokers before Kafka 2.8 know no ids.
        if id == TopicId([0; 16]) {
            return Err(RDKafkaErrorCode::UnsupportedFeature);
        }
        Ok(TopicFacts { id, partitions })
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn check(code: sys::rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    Err(code.into())
}

/// An object of librdkafka that is ours to free.
struct Owned<T> {
    object: *mut T,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// None for a null pointer. The object must be freed by `free` and by nothing else.
    unsafe fn new(object: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!object.is_null()).then_some(Self { object, free })
    }
}

impl<T> Deref for Owned<T> {
    type Target = *mut T;

    fn deref(&self) -> &*mut T {
        &self.object
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: whoever made this said that the object is freed so, and only here.
        unsafe { (self.free)(self.object) }
    }
}
