//! Makes a journal of a mutation log: any feed into a `nautilus dev` can be recorded so, after the fact.

use std::collections::HashMap;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use nautilus_mutation_log::{EmbeddedConfig, EmbeddedLog, LogError, MutationLog};
use nautilus_proto::log::v1::{MutationRecord, mutation_record::Operation};
use nautilus_types::PartitionId;
use prost::Message as _;
use serde_json::{Value, json};

/// Which log, and where to.
#[derive(Args, Clone, Debug)]
pub struct RecordArgs {
    /// Data directory of a `nautilus dev` that is stopped
    #[arg(long, default_value = ".nautilus")]
    data_dir: PathBuf,
    /// The journal, one line of JSON for each record
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

const READ_BYTES: usize = 4 << 20;

/// Document and namespace; a record of one names the other's.
type Key = (Vec<u8>, Vec<u8>);

/// The texts a patch needs to become a whole document.
#[derive(Clone, Debug, Default, PartialEq)]
struct Texts {
    title: String,
    path: String,
    body: String,
}

/// Writes the records of all partitions in the order of their times.
///
/// # Errors
/// When the log is in use, cannot be read, or holds something else than mutations.
pub async fn record(args: &RecordArgs) -> Result<()> {
    let log = open(args).await?;
    let mut all = Vec::new();
    for partition in (0..log.identity().partitions).map(PartitionId) {
        let marks = log.watermarks(partition).await?;
        let mut from = marks.low;
        while from < marks.high {
            let records = log.read(partition, from, READ_BYTES).await?;
            let Some(last) = records.last() else { break };
            from = last.offset.next();
            for record in &records {
                let mutation = MutationRecord::decode(&record.payload[..]).with_context(|| {
                    format!("record {} of partition {}", record.offset.0, partition.0)
                })?;
                all.push((record.appended_at_unix_ms, mutation));
            }
        }
    }
    log.close().await?;
    // Stable: records of one partition keep their order where their times are equal.
    all.sort_by_key(|(at, _)| *at);
    let file =
        std::fs::File::create(&args.out).with_context(|| format!("make {}", args.out.display()))?;
    let mut out = BufWriter::new(file);
    let (mut stored, mut written) = (HashMap::new(), 0);
    for (at, mutation) in all {
        for line in lines(at, mutation, &mut stored) {
            writeln!(out, "{line}")?;
            written += 1;
        }
    }
    out.flush()?;
    eprintln!("{written} records in {}", args.out.display());
    Ok(())
}

async fn open(args: &RecordArgs) -> Result<EmbeddedLog> {
    let dir = args.data_dir.join("log");
    let config = |partitions| EmbeddedConfig::new(&dir, partitions, Arc::new(|| 0));
    anyhow::ensure!(dir.exists(), "{} is no log", dir.display());
    match EmbeddedLog::open(config(1)).await {
        Err(LogError::OtherPartitions { found, .. }) => {
            EmbeddedLog::open(config(found)).await.context("open the log")
        }
        other => other.context("open the log"),
    }
}

/// The lines of one record: none where it changes no text, one for each document of a namespace that goes.
fn lines(at: u64, mutation: MutationRecord, stored: &mut HashMap<Key, Texts>) -> Vec<Value> {
    let Some(namespace) = mutation.namespace.map(|namespace| namespace.name) else {
        return Vec::new();
    };
    let line = |id: &[u8], texts: Option<&Texts>| {
        let mut line = json!({
            "at_ms": at,
            "namespace": String::from_utf8_lossy(&namespace),
            "id": String::from_utf8_lossy(id),
        });
        if let Some(Texts { title, path, body }) = texts {
            line["text"] = format!("{title}\n{path}\n{body}").into();
        }
        line
    };
    match mutation.operation {
        Some(Operation::Upsert(upsert)) => {
            let texts = Texts { title: upsert.title, path: upsert.path, body: upsert.body };
            let line = line(&upsert.document_id, Some(&texts));
            stored.insert((namespace.clone(), upsert.document_id), texts);
            vec![line]
        }
        Some(Operation::Patch(patch)) => {
            let key = (namespace.clone(), patch.document_id);
            let Some(texts) = stored.get_mut(&key) else { return Vec::new() };
            let parts = [
                (&mut texts.title, patch.title),
                (&mut texts.path, patch.path),
                (&mut texts.body, patch.body),
            ];
            for (text, new) in parts {
                if let Some(new) = new {
                    *text = new;
                }
            }
            vec![line(&key.1, Some(texts))]
        }
        Some(Operation::Delete(delete)) => {
            let line = line(&delete.document_id, None);
            stored.remove(&(namespace.clone(), delete.document_id));
            vec![line]
        }
        Some(Operation::DeleteNamespace(_)) => {
            let mut gone: Vec<Key> =
                stored.keys().filter(|(of, _)| *of == namespace).cloned().collect();
            gone.sort();
            gone.iter()
                .map(|key| {
                    stored.remove(key);
                    line(&key.1, None)
                })
                .collect()
        }
        Some(Operation::Activity(_) | Operation::Skip(_)) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use nautilus_proto::common::v1::NamespaceRef;
    use nautilus_proto::log::v1::{DeleteNamespace, Patch, Upsert};

    use super::*;

    fn record(operation: Operation) -> MutationRecord {
        MutationRecord {
            namespace: Some(NamespaceRef { name: b"docs".to_vec(), incarnation: 1 }),
            operation: Some(operation),
            ..MutationRecord::default()
        }
    }

    #[test]
    fn patches_become_whole_documents() {
        let mut stored = HashMap::new();
        let upsert = Upsert {
            document_id: b"x".to_vec(),
            title: "t".to_owned(),
            body: "red".to_owned(),
            ..Upsert::default()
        };
        let made = lines(1, record(Operation::Upsert(upsert)), &mut stored);
        assert_eq!(made[0]["text"], "t\n\nred");
        let patch = |id: &[u8]| Patch {
            document_id: id.to_vec(),
            body: Some("fox".to_owned()),
            ..Patch::default()
        };
        let patched = lines(2, record(Operation::Patch(patch(b"x"))), &mut stored);
        assert_eq!((&patched[0]["text"], &patched[0]["at_ms"]), (&"t\n\nfox".into(), &2.into()));
        assert!(lines(3, record(Operation::Patch(patch(b"absent"))), &mut stored).is_empty());
        let end = Operation::DeleteNamespace(DeleteNamespace {});
        let gone = lines(4, record(end), &mut stored);
        assert_eq!((gone.len(), &gone[0]["id"]), (1, &"x".into()));
        assert!(gone[0].get("text").is_none() && stored.is_empty());
    }
}
