//! The write path: check, find the partition, append, acknowledge when durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use nautilus_catalog::Catalog;
use nautilus_identity::{ConsistencyToken, LogIdentity as TokenLog, TokenKey};
use nautilus_mutation_log::{LogError, MutationLog};
use nautilus_proto::ingest::v1::{
    DocumentContent, WriteError, WriteRequest, WriteResponse, WriteResult,
};
use nautilus_service::status::{code_of, error_chain};
use nautilus_service::{Clock, RpcError};
use nautilus_types::{Class, Incarnation, NamespaceName, Offset, PartitionId, PartitionMap};
use prost::Message as _;

use crate::annotating::Annotators;
use crate::caller::Caller;
use crate::error::append_failure;
use crate::in_flight::InFlight;
use crate::metrics::{Limit, Metrics, Outcome, UnderWay};
use crate::pressure::Pressure;
use crate::record::Origin;
use crate::rights::{Writable, writable};
use crate::validate::{ValidOperation, ValidWrite, Violation, validate};

/// Writes in one batch.
pub const BATCH_WRITES_MAX: usize = 1_000;
/// One batch, encoded, in bytes.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Takes batches of writes.
pub(crate) struct Ingest {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) log: Arc<dyn MutationLog>,
    pub(crate) map: PartitionMap,
    pub(crate) token_key: Arc<TokenKey>,
    pub(crate) in_flight: InFlight,
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) annotators: Annotators,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

/// Records on their way to one partition, in the order sent.
#[derive(Default)]
struct Batch {
    /// Place of each record's write in the request.
    indexes: Vec<usize>,
    payloads: Vec<Bytes>,
}

/// A write that its caller may make.
struct Accepted {
    /// Its place in the request.
    index: usize,
    incarnation: Incarnation,
    write: ValidWrite,
}

impl Ingest {
    /// Notes that a batch is under way, until the guard is gone.
    pub(crate) fn begin(&self) -> UnderWay {
        self.metrics.begin()
    }

    /// Answers once every write is durable or refused. Dropping it leaves the outcome of what was
    /// being appended unknown.
    pub(crate) async fn write(
        &self,
        caller: &Caller,
        request: WriteRequest,
        trace_context: &str,
    ) -> Result<WriteResponse, RpcError> {
        let bytes = request.encoded_len();
        check_batch(request.writes.len(), bytes)?;
        let place = self.in_flight.admit(bytes);
        let _place = place.inspect_err(|_| self.rejected("in_flight_bytes"))?;

        let writes: Vec<_> = request.writes.into_iter().map(validate).collect();
        let names = writes.iter().flatten().map(|write| write.namespace.clone()).collect();
        let rights = writable(&*self.catalog, &caller.user, names).await;
        let origin = Origin {
            log: self.log.identity(),
            trace_context,
            accepted_unix_ms: self.clock.unix_ms(),
        };
        let mut results = Vec::with_capacity(writes.len());
        let mut accepted = BTreeMap::<PartitionId, Vec<Accepted>>::new();
        for (index, write) in writes.into_iter().enumerate() {
            let judged = write.map_err(violation).and_then(|write| {
                let incarnation = accept(&rights, &write)?;
                Ok(Accepted { index, incarnation, write })
            });
            results.push(match judged {
                Ok(one) => {
                    let content_hash = hash_of(&one.write);
                    let partition = self.map.partition_of(&one.write.namespace);
                    accepted.entry(partition).or_default().push(one);
                    WriteResult { error: None, content_hash }
                }
                Err(error) => refused(error),
            });
        }
        check_width(accepted.len())?;
        // All or nothing: a client repeats the whole batch, and what it repeats changes nothing twice.
        let now = self.clock.now();
        let admitted = accepted.keys().try_for_each(|part| self.pressure.admit(*part, now));
        self.metrics.lag_records.set(self.pressure.lag_records_max());
        admitted.inspect_err(|_| self.rejected("replica_lag"))?;
        // Only what will be written, and may be, costs their time.
        let contents = accepted.values_mut().flatten().filter_map(|one| content_of(&mut one.write));
        self.annotators.annotate(contents.collect()).await;
        let batches = accepted.into_iter().map(|(partition, all)| (partition, batch(&origin, all)));
        let batches = batches.collect();
        let now = self.clock.now();
        let token = self.append(batches, &mut results).await;
        self.count(&results);
        let appended = self.clock.now().saturating_duration_since(now);
        self.metrics.append_seconds.observe(appended.as_secs_f64());
        let identity = self.log.identity();
        let token_log =
            TokenLog { cluster_id: identity.cluster_id, generation: identity.generation };
        let consistency_token = token.seal(&self.token_key, &token_log).map_err(|error| {
            RpcError::new(error.class(), error.reason(), "the writes were made").caused_by(error)
        })?;
        Ok(WriteResponse { results, consistency_token })
    }

    fn rejected(&self, limit: &'static str) {
        self.metrics.rejected.get_or_create(&Limit { limit }).inc();
    }

    fn count(&self, results: &[WriteResult]) {
        for result in results {
            let outcome = match &result.error {
                None => "acknowledged",
                Some(error) if is_our_fault(error.code) => "failed",
                Some(_) => "refused",
            };
            self.metrics.writes.get_or_create(&Outcome { outcome }).inc();
        }
    }

    /// Appends to all partitions at once; the results of those that fail become errors.
    async fn append(
        &self,
        batches: BTreeMap<PartitionId, Batch>,
        results: &mut [WriteResult],
    ) -> ConsistencyToken {
        let appends = batches.into_iter().map(|(partition, batch)| async move {
            let appended = self.log.append_batch(partition, batch.payloads).await;
            (partition, batch.indexes, appended)
        });
        let mut token = ConsistencyToken::new();
        for (partition, indexes, appended) in join_all(appends).await {
            match appended {
                Ok(offsets) => {
                    let next = offsets.last().copied().map_or(Offset(0), Offset::next);
                    // The number of partitions was checked before.
                    token.require(partition, next);
                    self.pressure.appended(partition, next);
                }
                Err(error) => {
                    log_failure(partition, &error);
                    for index in indexes {
                        if let Some(result) = results.get_mut(index) {
                            *result = refused(append_error(&error));
                        }
                    }
                }
            }
        }
        token
    }
}

fn check_batch(writes: usize, bytes: usize) -> Result<(), RpcError> {
    let refusal = |reason, problem: String| {
        let message = format!("writes {problem}");
        Err(RpcError::new(Class::Invalid, reason, message).field("writes", problem))
    };
    if writes == 0 {
        return refusal("BATCH_EMPTY", "is empty".to_owned());
    }
    if writes > BATCH_WRITES_MAX {
        let problem = format!("has {writes} entries, at most {BATCH_WRITES_MAX} are allowed");
        return refusal("BATCH_TOO_LARGE", problem);
    }
    if bytes > BATCH_BYTES_MAX {
        let problem = format!("is {bytes} bytes long, at most {BATCH_BYTES_MAX} are allowed");
        return refusal("BATCH_TOO_LARGE", problem);
    }
    Ok(())
}

/// A consistency token names so many partitions and no more. Nothing was appended yet.
fn check_width(partitions: usize) -> Result<(), RpcError> {
    let partitions_max = ConsistencyToken::PARTITIONS_MAX;
    if partitions <= partitions_max {
        return Ok(());
    }
    let problem = format!("goes to {partitions} partitions, at most {partitions_max} are allowed");
    let message = format!("writes {problem}");
    Err(RpcError::new(Class::Invalid, "BATCH_TOO_WIDE", message).field("writes", problem))
}

/// The life of the namespace, where the caller may write there.
fn accept(
    rights: &BTreeMap<NamespaceName, Writable>,
    write: &ValidWrite,
) -> Result<Incarnation, WriteError> {
    match rights.get(&write.namespace) {
        Some(Ok(Some(incarnation))) => Ok(*incarnation),
        // The same words whether it exists or not.
        Some(Ok(None)) | None => Err(write_error(
            Class::Denied,
            "PERMISSION_DENIED",
            "no right to write to this namespace",
        )),
        Some(Err(error)) => {
            Err(write_error(error.class(), error.reason(), "the catalog is not available"))
        }
    }
}

fn content_of(write: &mut ValidWrite) -> Option<&mut DocumentContent> {
    match &mut write.operation {
        ValidOperation::Upsert { content, .. } => Some(content),
        ValidOperation::Delete => None,
    }
}

fn batch(origin: &Origin<'_>, accepted: Vec<Accepted>) -> Batch {
    let mut batch = Batch::default();
    for Accepted { index, incarnation, write } in accepted {
        batch.indexes.push(index);
        batch.payloads.push(origin.write(incarnation, write));
    }
    batch
}

fn hash_of(write: &ValidWrite) -> Vec<u8> {
    match &write.operation {
        ValidOperation::Upsert { content_hash, .. } => content_hash.to_vec(),
        ValidOperation::Delete => Vec::new(),
    }
}

/// Whether a write failed although nothing is wrong with it.
fn is_our_fault(code: i32) -> bool {
    let ours = [Class::Unavailable, Class::Overloaded, Class::Corrupt, Class::Bug];
    ours.into_iter().any(|class| i32::from(code_of(class)) == code)
}

fn refused(error: WriteError) -> WriteResult {
    WriteResult { error: Some(error), content_hash: Vec::new() }
}

fn write_error(class: Class, reason: &str, message: impl Into<String>) -> WriteError {
    WriteError {
        code: code_of(class).into(),
        reason: reason.to_owned(),
        message: message.into(),
        field: String::new(),
    }
}

fn violation(violation: Violation) -> WriteError {
    let error = write_error(Class::Invalid, violation.reason, violation.to_string());
    WriteError { field: violation.field.to_owned(), ..error }
}

fn append_error(error: &LogError) -> WriteError {
    let (reason, message) = append_failure(error);
    // A damaged log refuses this write; it does not say that data of the caller's is lost.
    let class = match error.class() {
        Class::Invalid => Class::Invalid,
        Class::Unauthenticated
        | Class::Denied
        | Class::NotFound
        | Class::Conflict
        | Class::Precondition
        | Class::Fenced
        | Class::Overloaded
        | Class::Unavailable
        | Class::Deadline
        | Class::Cancelled
        | Class::Corrupt
        | Class::Bug => Class::Unavailable,
    };
    write_error(class, reason, message)
}

fn log_failure(partition: PartitionId, error: &LogError) {
    let error = error_chain(error);
    tracing::warn!(partition = partition.0, error, "append failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_bounds() {
        let refusal = |writes, bytes| check_batch(writes, bytes).map_err(|error| error.reason());
        assert_eq!(refusal(0, 0), Err("BATCH_EMPTY"));
        assert_eq!(refusal(1, 1), Ok(()));
        assert_eq!(refusal(1_000, BATCH_BYTES_MAX), Ok(()));
        assert_eq!(refusal(1_001, 1), Err("BATCH_TOO_LARGE"));
        assert_eq!(refusal(1, BATCH_BYTES_MAX + 1), Err("BATCH_TOO_LARGE"));
        assert!(check_width(256).is_ok());
        assert_eq!(check_width(257).map_err(|error| error.reason()), Err("BATCH_TOO_WIDE"));
    }
}
