//! One group goes and comes back, also with empty disks; searches do not notice.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nautilus_proto::search::v1::SearchRequest;
use nautilus_service::{CancellationToken, TaskGroup};

use crate::world::{World, bounded, query, upsert};

const DOCUMENTS: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_the_leaves_of_a_group_loses_no_search_and_empty_disks_recover() {
    let mut world = World::start().await;
    let client = world.client.clone();
    client.create("ada", "notes").await;
    let mut token = String::new();
    for batch in 0..DOCUMENTS / 50 {
        let writes = (0..50).map(|n| upsert("notes", &format!("d{batch}-{n}"), "red fox"));
        token = client.write("ada", writes.collect()).await;
    }
    let of_group = |group: &str, token: &str| SearchRequest {
        replica_group: group.to_owned(),
        consistency_token: token.to_owned(),
        ..query("fox", "notes")
    };
    for group in ["a", "b"] {
        let found = client.search("operator:ada", of_group(group, &token)).await.expect("found");
        assert_eq!(found.total_hits, u64::try_from(DOCUMENTS).expect("small"));
    }

    // Searches all the while: each must be complete and find everything.
    let (searched, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = TaskGroup::new(&CancellationToken::new());
    for _ in 0..2 {
        let (client, searched, is_over) =
            (client.clone(), Arc::clone(&searched), Arc::clone(&is_over));
        tasks.spawn_finite("search", |_| async move {
            while !is_over.load(Ordering::SeqCst) {
                let found = client.search("ada", query("fox", "notes")).await;
                let found = found.map_err(|status| format!("a search was lost: {status}"))?;
                if !found.coverage.as_ref().is_some_and(|coverage| coverage.complete) {
                    return Err(format!("not complete: {:?}", found.coverage));
                }
                if found.total_hits < u64::try_from(DOCUMENTS).unwrap_or(0) {
                    return Err(format!("only {} hits", found.total_hits));
                }
                searched.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<(), String>(())
        });
    }
    let more = |count: u64| {
        let searched = Arc::clone(&searched);
        bounded("searches go on", async move {
            let until = searched.load(Ordering::SeqCst) + count;
            while searched.load(Ordering::SeqCst) < until {
                tokio::task::yield_now().await;
            }
        })
    };

    for round in 0..2 {
        more(20).await;
        bounded("the leaves stop", world.cluster.stop_leaves("a")).await.expect("cleanly");
        more(50).await;
        token =
            client.write("ada", vec![upsert("notes", &format!("later{round}"), "late fox")]).await;
        if round == 1 {
            let disks = world.folder.path().join("leaves").join("a-1");
            fs::remove_dir_all(&disks).expect("emptied");
        }
        bounded("the leaves start", world.cluster.start_leaves("a")).await.expect("started");
        bounded("group a is back", world.cluster.until_ready()).await;
        let found = client.search("operator:ada", of_group("a", &token)).await.expect("found");
        assert_eq!(found.total_hits, u64::try_from(DOCUMENTS + round + 1).expect("small"));
        more(20).await;
    }
    is_over.store(true, Ordering::SeqCst);
    let report = bounded("the searches end", tasks.drain(crate::world::WAIT)).await;
    assert!(report.is_clean(), "{report:?}");
    world.stop().await;
}
