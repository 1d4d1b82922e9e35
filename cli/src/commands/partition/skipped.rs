//! `nautilus partition skipped`: the records that no replica can apply, and that all pass over.

use std::collections::BTreeMap;

use clap::Args;
use nautilus_proto::admin::v1::GetStatusResponse;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::commands::status;
use crate::format::{self, Align};
use crate::output;

/// Of which partitions.
#[derive(Debug, Args)]
#[command(after_help = "\
The change of such a record is lost. Send the document again to mend it.

Example:
  nautilus partition skipped")]
pub(crate) struct SkippedArgs {
    /// Only this partition
    #[arg(value_name = "PARTITION")]
    partition: Option<u32>,
}

/// One record, and which replica groups have passed over it so far.
#[derive(Debug, PartialEq, Eq)]
struct Skipped {
    reason: String,
    groups: Vec<String>,
}

/// By partition and offset.
type List = BTreeMap<(u32, u64), Skipped>;

/// Prints the list.
pub(crate) async fn run(global: &Global, args: &SkippedArgs) -> anyhow::Result<()> {
    let list = list(&status::fetch(global).await?, args.partition);
    Ok(output::print(global, || text(&list), || as_json(&list))?)
}

fn list(status: &GetStatusResponse, only: Option<u32>) -> List {
    let mut list = List::new();
    for replica in &status.partitions {
        let partition = replica.label.as_ref().map_or(0, |label| label.partition);
        if only.is_some_and(|only| only != partition) {
            continue;
        }
        for skipped in &replica.skipped {
            let groups = Vec::new();
            let entry = list
                .entry((partition, skipped.offset))
                .or_insert_with(|| Skipped { reason: skipped.reason.clone(), groups });
            if !entry.groups.contains(&replica.replica_group) {
                entry.groups.push(replica.replica_group.clone());
            }
        }
    }
    list
}

fn text(list: &List) -> String {
    if list.is_empty() {
        return "no record was passed over".to_owned();
    }
    let columns = [
        ("partition", Align::Right),
        ("offset", Align::Right),
        ("groups", Align::Left),
        ("reason", Align::Left),
    ];
    let row = |((partition, offset), skipped): (&(u32, u64), &Skipped)| {
        vec![
            partition.to_string(),
            format::count(*offset),
            output::clean_line(&skipped.groups.join(", ")),
            output::clean_line(&skipped.reason),
        ]
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    format::table(&columns, &rows)
}

fn as_json(list: &List) -> Value {
    let skipped = list.iter().map(|((partition, offset), skipped)| {
        json!({
            "partition": partition,
            "offset": offset,
            "replica_groups": skipped.groups,
            "reason": skipped.reason,
        })
    });
    json!({ "skipped": skipped.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use nautilus_proto::admin::v1::{PartitionStatus, SkippedRecord};
    use nautilus_proto::common::v1::PartitionLabel;

    use super::*;

    fn replica(group: &str, partition: u32, offsets: &[u64]) -> PartitionStatus {
        let skipped = |offset: &u64| SkippedRecord { offset: *offset, reason: "bad\n".to_owned() };
        PartitionStatus {
            label: Some(PartitionLabel { partition, ..PartitionLabel::default() }),
            replica_group: group.to_owned(),
            skipped: offsets.iter().map(skipped).collect(),
            ..PartitionStatus::default()
        }
    }

    #[test]
    fn a_record_is_listed_once_with_its_groups() {
        let partitions =
            vec![replica("a", 1, &[7, 9]), replica("b", 1, &[7]), replica("a", 2, &[3])];
        let status = GetStatusResponse { partitions, ..GetStatusResponse::default() };
        let all = list(&status, None);
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [(1, 7), (1, 9), (2, 3)]);
        assert_eq!(all[&(1, 7)].groups, ["a", "b"]);
        assert_eq!(list(&status, Some(2)).len(), 1);
        assert_eq!(text(&all).lines().count(), 4);
        assert_eq!(as_json(&all)["skipped"][1]["replica_groups"], json!(["a"]));
    }
}
