//! Labels that never go back, and acknowledgements that the log bears out.

use std::collections::BTreeMap;

use nautilus_reference_engine::Mutation;
use nautilus_types::{NamespaceName, Offset, PartitionId};

use super::log::LogCopy;
use super::record::{Acknowledged, Answer};
use super::verdict::Verdict;

/// A leaf never shows less of a partition than it showed before: to a search sent after another was answered.
#[must_use]
pub fn check_labels(answers: &[&Answer]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut replicas = BTreeMap::<(PartitionId, &str), Vec<(&Answer, Offset)>>::new();
    for answer in answers {
        for label in &answer.labels {
            let replica = (label.partition, label.leaf.as_str());
            replicas.entry(replica).or_default().push((answer, label.next_offset));
        }
    }
    for ((partition, leaf), mut sent) in replicas {
        let mut received = sent.clone();
        sent.sort_by_key(|(answer, _)| answer.sent);
        received.sort_by_key(|(answer, _)| answer.received);
        let mut received = received.into_iter().peekable();
        let mut seen = Offset(0);
        for (answer, label) in sent {
            while let Some((_, label)) = received.next_if(|(it, _)| it.received < answer.sent) {
                seen = seen.max(label);
            }
            verdict.checked += 1;
            if label < seen {
                let at = answer.sent.as_secs_f64();
                verdict.differs(
                    0,
                    format!("{leaf} showed {partition} at {seen}, and at {at:.3} s at {label}"),
                );
            }
        }
    }
    verdict
}

/// Every acknowledged write is in the log exactly once, with the content that was acknowledged, below the offset
/// that its token names.
#[must_use]
pub fn check_acknowledged(log: &LogCopy, acknowledged: &[Acknowledged]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut written = BTreeMap::<(String, String, u64), Vec<(Offset, &[u8])>>::new();
    for entry in log.partitions().flat_map(|partition| log.entries(partition)) {
        let (namespace, id, version) = match &entry.mutation {
            Mutation::Upsert { namespace, id, version, .. }
            | Mutation::Patch { namespace, id, version, .. }
            | Mutation::Delete { namespace, id, version, .. } => (namespace, id, version),
            Mutation::DeleteNamespace { .. } | Mutation::Skip => continue,
        };
        let key = (namespace.to_lossy(), id.to_lossy(), version.unwrap_or(0));
        written.entry(key).or_default().push((entry.offset, &entry.content_hash));
    }
    for write in acknowledged {
        verdict.checked += 1;
        let Acknowledged { namespace, id, version, content_hash, below } = write;
        let what = format!("{namespace}/{id} at version {version}");
        let key = (namespace.clone(), id.clone(), *version);
        let Some(&[(offset, hash)]) = written.get(&key).map(Vec::as_slice) else {
            let times = written.get(&key).map_or(0, Vec::len);
            verdict
                .differs(times, format!("{what} was acknowledged and is in the log {times} times"));
            continue;
        };
        if hash != content_hash {
            verdict.differs(1, format!("{what} has other content than was acknowledged"));
        }
        let partition = NamespaceName::new(namespace).map(|name| log.partition_of(&name));
        let bound = partition.ok().and_then(|partition| below.get(&partition).copied());
        if bound.is_none_or(|bound| offset >= bound) {
            verdict.differs(1, format!("{what} is at {offset}, its token says below {bound:?}"));
        }
    }
    verdict
}
