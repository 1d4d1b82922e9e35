//! Stored bytes that are not what was written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nautilus_proto::search::v1::SearchRequest;
use nautilus_service::config::HumanDuration;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::world::{World, bounded, query, upsert};

const DOCUMENTS: usize = 60;

/// All files of a kind below a folder. One that is removed meanwhile is none.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path, extension),
            false => Some(path)
                .filter(|p| p.extension().is_some_and(|e| e == extension))
                .into_iter()
                .collect(),
        })
        .collect()
}

/// In place, so that a database that has the file open sees it.
fn spoil(path: &Path) {
    let Ok(file) = std::fs::metadata(path) else { return };
    let length = usize::try_from(file.len()).expect("small");
    std::fs::write(path, vec![0x55; length]).expect("written");
}

fn of_group(group: &str, text: &str) -> SearchRequest {
    SearchRequest { replica_group: group.to_owned(), ..query(text, "notes") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_told_once_and_recovered_from() {
    // Without snapshots, which might be made of what is damaged here: the log has everything.
    let never = HumanDuration(Duration::from_secs(3_600));
    let set = |settings: &mut nautilus_cli::cluster::Settings| {
        settings.roles.leaf.snapshot_interval = never;
    };
    let mut world = World::start_as(set, |_| {}).await;
    let client = world.client.clone();
    client.create("ada", "notes").await;
    // Longer than a block each, so that reading one reads no other.
    let long = "moon and stars ".repeat(2_000);
    let text = |n: usize| format!("fox w{n} {long}");
    let mut token = String::new();
    for batch in (0..DOCUMENTS).collect::<Vec<_>>().chunks(20) {
        let writes = batch.iter().map(|&n| upsert("notes", &format!("d{n}"), &text(n)));
        token = client.write("ada", writes.collect()).await;
    }
    for group in ["a", "b"] {
        let request = SearchRequest { consistency_token: token.clone(), ..of_group(group, "fox") };
        let found = client.search("operator:ada", request).await.expect("found");
        assert_eq!(found.total_hits, 60);
    }
    // What was read before is in memory, and as it should be.
    bounded("the leaves stop", world.cluster.stop_leaves("a")).await.expect("cleanly");
    bounded("the leaves start", world.cluster.start_leaves("a")).await.expect("started");
    bounded("group a is back", world.cluster.until_ready()).await;

    // Until it is met: a compaction may just have read the old files and write sound new ones.
    let folder = world.folder.path().join("leaves").join("a-1");
    let met = async {
        for n in 0..DOCUMENTS {
            for path in files(&folder, "sst") {
                spoil(&path);
            }
            if let Err(status) =
                client.search("operator:ada", of_group("a", &format!("w{n}"))).await
            {
                return status;
            }
        }
        panic!("all was read and nothing was damaged");
    };
    let status = bounded("damage is met", met).await;
    assert_eq!(status.code(), Code::DataLoss, "{status:?}");
    assert_eq!(status.message(), "stored data is corrupt");
    let info = status.get_details_error_info().expect("every error says why");
    assert_eq!(info.reason, "PARTITION_CORRUPT");
    assert!(info.metadata["missing"].ends_with(":PARTITION_CORRUPT"), "{info:?}");

    // Nobody else has to know: the other group has the same.
    for n in 0..DOCUMENTS {
        let found = client.search("ada", query(&format!("w{n}"), "notes")).await.expect("found");
        assert_eq!((found.total_hits, found.hits[0].document_id.clone()), (1, format!("d{n}")));
    }
    let recovered = async {
        loop {
            world.cluster.until_ready().await;
            // The next to notice may be another partition, or the same one for a moment.
            match client.search("operator:ada", of_group("a", "fox")).await {
                Ok(found) => return found,
                Err(status) => {
                    assert!(
                        matches!(status.code(), Code::Unavailable | Code::DataLoss),
                        "{status:?}"
                    );
                }
            }
        }
    };
    let found = bounded("group a has recovered", recovered).await;
    assert_eq!(found.total_hits, 60);
    world.stop().await;
}
