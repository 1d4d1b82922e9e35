use std::sync::Arc;

use nautilus_engine::{EngineError, Mutation, Operation, Outcome, Partition, Resources, Writer};
use nautilus_mutation_log::{EmbeddedConfig, EmbeddedLog};
use nautilus_proto::common::v1::NamespaceRef;
use nautilus_proto::log::v1::{self as log, MutationRecord, mutation_record};
use nautilus_service::{Clock, PoolSettings, WorkerPool};
use nautilus_types::PartitionMap;
use prost::Message as _;

use super::*;
use crate::applier::FlushRule;
use crate::metrics::LeafMetrics;
use crate::partition::Served;
use crate::pulse::Pulses;

const PARTITION: PartitionId = PartitionId(0);

#[test]
fn twice_in_a_row_at_one_offset_is_often_enough() {
    let mut failures = Failures::default();
    assert!(!failures.note(Offset(4)));
    assert!(!failures.note(Offset(9)));
    assert!(!failures.note(Offset(4)));
    assert!(failures.note(Offset(4)));
}

#[test]
fn decisions_are_few_in_an_hour() {
    let mut failures = Failures::default();
    let start = Clock::system().now();
    assert!((0..DECISIONS_MAX).all(|_| failures.may_decide(start)));
    assert!(!failures.may_decide(start + DECISIONS_PER / 2));
    assert!(failures.may_decide(start + DECISIONS_PER));
}

/// Panics on the document `lethal`, as an applier with a bug would.
fn fragile(
    writer: &mut Writer,
    offset: Offset,
    mutation: &Mutation,
) -> Result<Outcome, EngineError> {
    if let Operation::Upsert(upsert) = &mutation.operation
        && upsert.document_id.as_bytes() == b"lethal"
    {
        panic!("a bug of ours");
    }
    writer.apply(offset, mutation)
}

fn upsert(decoder: &Decoder, id: &str) -> Bytes {
    let upsert = log::Upsert {
        document_id: id.into(),
        content_hash: vec![1; 16],
        body: "tide".to_owned(),
        ..log::Upsert::default()
    };
    let record = MutationRecord {
        schema_version: 1,
        cluster_id: decoder.log.cluster_id.to_vec(),
        log_generation: decoder.log.generation.0,
        namespace: Some(NamespaceRef { name: b"team".to_vec(), incarnation: 1 }),
        operation: Some(mutation_record::Operation::Upsert(upsert)),
        ..MutationRecord::default()
    };
    Bytes::from(record.encode_to_vec())
}

#[tokio::test]
async fn a_record_that_panics_twice_is_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::system();
    let wall = clock.clone();
    let config =
        EmbeddedConfig::new(folder.path().join("log"), 1, Arc::new(move || wall.unix_ms()));
    let log = Arc::new(EmbeddedLog::open(config).await.expect("opens"));
    let identity = log.identity().clone();
    let of = nautilus_engine::PartitionIdentity {
        cluster_id: identity.cluster_id,
        log_generation: identity.generation,
        partition: PARTITION,
    };
    let resources = Resources::new(1 << 20, 1 << 20);
    let (partition, writer) =
        Partition::open(&folder.path().join("p"), &of, &resources, |_| Default::default())
            .expect("opens");
    let decoder = Decoder { log: identity, map: PartitionMap::divided(1), partition: PARTITION };
    for id in ["a", "lethal", "c"] {
        log.append(PARTITION, upsert(&decoder, id)).await.expect("appends");
    }

    let served = Arc::new(Served::new(PARTITION, Duration::ZERO, Pulses::new()));
    let metrics = LeafMetrics::new("a", "leaf-1");
    let flush = FlushRule { interval: Duration::from_secs(600), records: 100 };
    let applier = Applier::new(
        Arc::clone(&served),
        writer,
        decoder,
        clock.clone(),
        flush,
        metrics.partition(PARTITION),
    );
    let feed = Feed {
        served: Arc::clone(&served),
        log: log.clone(),
        pool: Arc::new(WorkerPool::new(PoolSettings::new("apply", 1)).expect("starts")),
        replay_pool: Arc::new(WorkerPool::new(PoolSettings::new("replay", 1)).expect("starts")),
        clock: clock.clone(),
        metrics,
        digesting: crate::digester::Digesting::new().0,
    };
    let stop = CancellationToken::new();
    let give_up = clock.now() + Duration::from_secs(30);
    let until_applied = async {
        // The decision itself is the fourth record.
        assert!(served.will_have_applied(Offset(4), give_up).await);
        stop.cancel();
    };
    let fed = feed.run(applier.applying_with(fragile), stop.clone());
    let both = async { tokio::join!(fed, until_applied) };
    tokio::time::timeout(Duration::from_secs(30), both).await.expect("in time");

    let skipped = partition.skipped(9).expect("reads");
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].offset, Offset(1));
    assert!(skipped[0].reason.contains("a bug of ours"), "{skipped:?}");
    assert_eq!(partition.statistics().expect("reads").documents, 2);
    assert_eq!(partition.durable_offset(), Offset(4));
}
