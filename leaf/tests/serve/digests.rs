//! Groups compare what they hold at the same points of the log.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_leaf::RawConfig;
use nautilus_mutation_log::{LogError, LogIdentity, MutationLog, Record, Watermarks};
use nautilus_proto::log::v1::{MutationRecord, mutation_record::Operation};
use nautilus_registry::layout::PartitionDigests;
use nautilus_service::config::{ByteSize, HumanDuration};
use nautilus_types::{Offset, PartitionId};
use prometheus_client::encoding::text::encode;
use prost::Message as _;

use crate::world::{GROUP_B, LEAF, Running, Setup, World, until};

fn often(raw: &mut RawConfig) {
    raw.digest_interval = HumanDuration(Duration::from_millis(20));
    raw.relist_interval = HumanDuration(Duration::from_millis(100));
    raw.scrub_rate = ByteSize(1 << 30);
}

fn often_in_group_b(raw: &mut RawConfig) {
    often(raw);
    raw.replica_group = GROUP_B.to_owned();
}

/// A log whose first record says something else than was appended: what a replica with a bug would apply.
struct Altered(Arc<dyn MutationLog>);

impl Altered {
    fn alter(record: Record) -> Record {
        if record.offset != Offset(0) {
            return record;
        }
        let mut altered = MutationRecord::decode(record.payload).expect("a record");
        if let Some(Operation::Upsert(upsert)) = &mut altered.operation {
            upsert.body.push_str(" ebb");
        }
        Record { payload: Bytes::from(altered.encode_to_vec()), ..record }
    }
}

#[async_trait]
impl MutationLog for Altered {
    fn identity(&self) -> &LogIdentity {
        self.0.identity()
    }

    async fn append(&self, partition: PartitionId, payload: Bytes) -> Result<Offset, LogError> {
        self.0.append(partition, payload).await
    }

    async fn append_batch(
        &self,
        partition: PartitionId,
        payloads: Vec<Bytes>,
    ) -> Result<Vec<Offset>, LogError> {
        self.0.append_batch(partition, payloads).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let records = self.0.read(partition, from, bytes_max).await?;
        let is_first = partition == PartitionId(0);
        Ok(records.into_iter().map(|r| if is_first { Self::alter(r) } else { r }).collect())
    }

    async fn watermarks(&self, partition: PartitionId) -> Result<Watermarks, LogError> {
        self.0.watermarks(partition).await
    }

    async fn wait_beyond(&self, partition: PartitionId, next: Offset) -> Result<Offset, LogError> {
        self.0.wait_beyond(partition, next).await
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<Offset, LogError> {
        self.0.trim(partition, below).await
    }

    async fn close(&self) -> Result<(), LogError> {
        self.0.close().await
    }
}

/// What the leaf says in the series of this name, of partition 0 where it is of partitions.
fn metric(leaf: &Running, name: &str) -> Option<u64> {
    let mut registry = prometheus_client::registry::Registry::default();
    leaf.leaf.metrics().register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("encodes");
    let is_it = |line: &&str| {
        let of_it = line.starts_with(&format!("{name}{{"));
        of_it && (!line.contains("partition=") || line.contains("partition=\"0\""))
    };
    let line = text.lines().find(is_it)?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Whether its alarm is on; `None` = it has compared nothing yet.
fn alarm(leaf: &Running) -> Option<bool> {
    metric(leaf, "nautilus_leaf_digest_mismatch").map(|value| value == 1)
}

fn refuted(leaf: &Running) -> u64 {
    metric(leaf, "nautilus_leaf_refuted_total").unwrap_or(0)
}

/// Appends records until both leaves say so.
async fn until_both(world: &World, leaves: [&Running; 2], alarmed: bool) {
    let mut number = 0;
    until(async || {
        let record = world.upsert(world.first(), &format!("n{number}"), "tide");
        world.append(record).await;
        number += 1;
        leaves.iter().all(|leaf| alarm(leaf) == Some(alarmed)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn groups_that_hold_the_same_agree() {
    let world = World::new().await;
    world.assign_all(LEAF).await;
    let one = world.start_as(Setup { change: often, ..world.setup(LEAF) }).await.serving().await;
    let setup = Setup { change: often_in_group_b, ..world.setup("leaf-b") };
    let two = world.start_in_group_b(setup).await.serving().await;
    until_both(&world, [&one, &two], false).await;
    let listing = world.registry.list(&PartitionDigests::prefix(PartitionId(0))).await;
    let entries = listing.expect("answered").entries;
    assert_eq!(entries.len(), 2);
    for entry in entries {
        let digests = PartitionDigests::decode(&entry.value).expect("sound");
        assert_eq!(digests.key(), entry.key);
        assert!(!digests.points.is_empty());
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_replica_that_holds_something_else_raises_the_alarm() {
    let world = World::new().await;
    world.assign_all(LEAF).await;
    world.append(world.upsert(world.first(), "a", "tide")).await;
    let one = world.start_as(Setup { change: often, ..world.setup(LEAF) }).await.serving().await;
    let log = Arc::new(Altered(world.log.clone()));
    let setup = Setup { log, change: often_in_group_b, ..world.setup("leaf-b") };
    let two = world.start_in_group_b(setup).await.serving().await;
    until_both(&world, [&one, &two], true).await;
    // Each makes the same again and finds the other wrong: a bug takes nobody out.
    assert_eq!([refuted(&one), refuted(&two)], [0, 0]);
    one.stop().await;
    two.stop().await;
}

async fn finds(leaf: &Running, world: &World, word: &str) -> usize {
    let answer = leaf.search(world.search(world.first(), word)).await;
    answer.expect("answered").candidates.len()
}

#[tokio::test]
async fn a_replica_whose_rows_were_altered_is_taken_out_and_mended() {
    let world = World::new().await;
    world.assign_all(LEAF).await;
    let one = world.start_as(Setup { change: often, ..world.setup(LEAF) }).await.serving().await;
    world.append(world.upsert(world.first(), "a", "tide")).await;
    // Rows that the log does not say, also in a snapshot.
    let log = Arc::new(Altered(world.log.clone()));
    let change = |raw: &mut RawConfig| {
        often_in_group_b(raw);
        raw.snapshot_records = 1;
    };
    let two = world.start_in_group_b(Setup { log, change, ..world.setup("leaf-b") }).await;
    let two = two.serving().await;
    until(async || (two.status(0).await.snapshot_offset == 1).then_some(())).await;
    assert_eq!(finds(&two, &world, "ebb").await, 1);
    two.stop().await;

    let setup = Setup { change: often_in_group_b, ..world.setup("leaf-b") };
    let two = world.start_in_group_b(setup).await.serving().await;
    let mut number = 0;
    until(async || {
        let record = world.upsert(world.first(), &format!("m{number}"), "tide");
        world.append(record).await;
        number += 1;
        (refuted(&two) == 1).then_some(())
    })
    .await;
    until_both(&world, [&one, &two], false).await;
    let two = two.serving().await;
    assert_eq!([refuted(&one), refuted(&two)], [0, 1]);
    assert_eq!(finds(&two, &world, "ebb").await, 0);
    let folder = world.dir.path().join("leaf-b");
    assert!(folder.join("p0000.damaged").exists(), "kept for a person to look at");
    assert!(!folder.join("p0000.remade").exists());
    one.stop().await;
    two.stop().await;

    // Nobody recovers from the wrong snapshot.
    let setup = Setup {
        change: often_in_group_b,
        dir: world.dir.path().join("empty"),
        ..world.setup("leaf-b")
    };
    let two = world.start_in_group_b(setup).await.serving().await;
    assert_eq!(finds(&two, &world, "ebb").await, 0);
    two.stop().await;
}
