//! Seeded faults in everything the cluster stands on, while it is written to and searched.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nautilus_catalog::Catalog;
use nautilus_cli::cluster::Ports;
use nautilus_index_repository::IndexRepository;
use nautilus_integration_tests::rng::Rng;
use nautilus_integration_tests::settings::Settings;
use nautilus_mutation_log::MutationLog;
use nautilus_proto::admin::v1::{CreateNamespaceRequest, DeleteNamespaceRequest};
use nautilus_proto::ingest::v1::{Write, WriteRequest};
use nautilus_proto::search::v1::{SearchRequest, SearchResponse, View};
use nautilus_registry::Registry;
use nautilus_service::{CancellationToken, TaskGroup};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::world::{Client, WAIT, World, bounded, delete, query, upsert};

const NAMESPACES: usize = 3;
const BATCHES: u32 = 60;
const IDS: u64 = 20;

/// The text of each document that must be there, by id.
type Expected = BTreeMap<String, String>;

/// The faults of all ports.
struct Faults {
    log: Arc<nautilus_mutation_log::Faulty>,
    registry: Arc<nautilus_registry::Faulty>,
    repository: Arc<nautilus_index_repository::Faulty>,
    catalog: Arc<nautilus_catalog::Faulty>,
}

impl Faults {
    /// Wraps every port. Nothing fails yet: that a cluster starts is asked of sound ports only.
    fn around(ports: &mut Ports, seed: u64) -> Self {
        let log = nautilus_mutation_log::FaultPlan {
            seed,
            append_refused_per_mille: 50,
            append_unknown_per_mille: 50,
            read_refused_per_mille: 50,
            delayed_per_mille: 100,
            delay_max: Duration::from_millis(5),
        };
        let registry = nautilus_registry::FaultPlan {
            seed,
            read_refused_per_mille: 100,
            write_refused_per_mille: 50,
            write_unknown_per_mille: 50,
            delayed_per_mille: 100,
            delay_max: Duration::from_millis(5),
            watch_ended_per_mille: 100,
        };
        let repository = nautilus_index_repository::FaultPlan {
            seed,
            write_refused_per_mille: 20,
            write_unknown_per_mille: 20,
            read_refused_per_mille: 20,
            read_truncated_per_mille: 20,
            read_flipped_per_mille: 20,
            ..nautilus_index_repository::FaultPlan::default()
        };
        let catalog = nautilus_catalog::FaultPlan {
            seed,
            read_refused_per_mille: 20,
            write_refused_per_mille: 100,
            write_unknown_per_mille: 100,
        };
        let log = nautilus_mutation_log::Faulty::new(Arc::clone(&ports.log), log);
        let registry = nautilus_registry::Faulty::new(Arc::clone(&ports.registry), registry);
        let repository =
            nautilus_index_repository::Faulty::new(Arc::clone(&ports.repository), repository);
        let catalog = nautilus_catalog::Faulty::new(Arc::clone(&ports.catalog), catalog);
        let faults = Self {
            log: Arc::new(log),
            registry: Arc::new(registry),
            repository: Arc::new(repository),
            catalog: Arc::new(catalog),
        };
        faults.set_active(false);
        ports.log = Arc::clone(&faults.log) as Arc<dyn MutationLog>;
        ports.registry = Arc::clone(&faults.registry) as Arc<dyn Registry>;
        ports.repository = Arc::clone(&faults.repository) as Arc<dyn IndexRepository>;
        ports.catalog = Arc::clone(&faults.catalog) as Arc<dyn Catalog>;
        faults
    }

    fn set_active(&self, are_active: bool) {
        self.log.set_active(are_active);
        self.registry.set_active(are_active);
        self.repository.set_active(are_active);
        self.catalog.set_active(are_active);
    }
}

/// A refusal that says what it is and that trying again may help.
fn must_be_retriable(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
    assert!(status.get_details_error_info().is_some_and(|info| !info.reason.is_empty()));
}

/// Sends the batch until all of it is acknowledged; answers with the token.
async fn acknowledged(client: &Client, writes: Vec<Write>, failed: &AtomicU64) -> String {
    loop {
        let request = client.request("ada", WriteRequest { writes: writes.clone() });
        match client.writes().write(request).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                let errors: Vec<_> = answer.results.into_iter().filter_map(|r| r.error).collect();
                if errors.is_empty() {
                    return answer.consistency_token;
                }
                for error in errors {
                    assert_eq!(error.code, i32::from(Code::Unavailable), "{error:?}");
                    let known = ["WRITE_OUTCOME_UNKNOWN", "LOG_UNAVAILABLE", "CATALOG_UNAVAILABLE"];
                    assert!(known.contains(&error.reason.as_str()), "{error:?}");
                }
            }
            Err(status) => must_be_retriable(&status),
        }
        failed.fetch_add(1, Ordering::Relaxed);
    }
}

async fn create(client: &Client, namespace: &str) {
    loop {
        let message = CreateNamespaceRequest { name: namespace.to_owned(), owner: String::new() };
        let request = client.request("ada", message);
        match client.accounts().create_namespace(request).await {
            Ok(_) => return,
            // An earlier try was made after all.
            Err(status) if status.code() == Code::Aborted => return,
            Err(status) => must_be_retriable(&status),
        }
    }
}

async fn remove(client: &Client, namespace: &str) {
    loop {
        let message = DeleteNamespaceRequest { name: namespace.to_owned() };
        let request = client.request("ada", message);
        match client.accounts().delete_namespace(request).await {
            Ok(_) => return,
            Err(status) if status.code() == Code::PermissionDenied => return,
            Err(status) => must_be_retriable(&status),
        }
    }
}

fn everything_in(namespace: &str, token: &str) -> SearchRequest {
    SearchRequest {
        view: View::Full.into(),
        consistency_token: token.to_owned(),
        ..query("common", namespace)
    }
}

fn must_be_exact(found: &SearchResponse, expected: &Expected, what: &str) {
    assert!(found.coverage.as_ref().is_some_and(|coverage| coverage.complete), "{what}");
    let shown: Expected =
        found.hits.iter().map(|hit| (hit.document_id.clone(), hit.body.clone())).collect();
    assert_eq!(shown, *expected, "{what}");
    assert_eq!(found.total_hits, u64::try_from(expected.len()).expect("small"), "{what}");
}

/// The only writer of a namespace, which is deleted and made again half way; answers with what must be there
/// and with a token for it.
async fn write(
    client: Client,
    namespace: String,
    mut rng: Rng,
    failed: Arc<AtomicU64>,
) -> (String, Expected, String) {
    let mut expected = Expected::new();
    let mut token = String::new();
    create(&client, &namespace).await;
    for batch in 0..BATCHES {
        if batch == BATCHES / 2 {
            remove(&client, &namespace).await;
            create(&client, &namespace).await;
            expected.clear();
        }
        let mut writes = Vec::new();
        for _ in 0..=rng.below(5) {
            let id = format!("d{}", rng.below(IDS));
            if rng.below(3) == 0 {
                expected.remove(&id);
                writes.push(delete(&namespace, &id));
            } else {
                let text = format!("common batch{batch}");
                writes.push(upsert(&namespace, &id, &text));
                expected.insert(id, text);
            }
        }
        token = acknowledged(&client, writes, &failed).await;
        match client.search("ada", everything_in(&namespace, &token)).await {
            Ok(found) => must_be_exact(&found, &expected, &format!("{namespace}, batch {batch}")),
            Err(status) => must_be_retriable(&status),
        }
    }
    (namespace, expected, token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_under_faults_is_there_after_them() {
    let seed = Settings::from_environment("faults", "").expect("readable").seed;
    let mut faults = None;
    let wrap = |ports: &mut Ports| faults = Some(Faults::around(ports, seed));
    let mut world = World::start_as(|_| {}, wrap).await;
    let faults = faults.expect("wrapped");
    let client = world.client.clone();
    client.create("ada", "quiet").await;
    let writes = (0..20).map(|n| upsert("quiet", &format!("d{n}"), "common"));
    let token = client.write("ada", writes.collect()).await;

    faults.set_active(true);
    let (failed, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for number in 0..NAMESPACES {
        let rng = Rng::new(seed).part(u64::try_from(number).expect("small"));
        writers.spawn(write(client.clone(), format!("n{number}"), rng, Arc::clone(&failed)));
    }
    // What nobody writes to any more is either shown whole or refused.
    let mut readers = TaskGroup::new(&CancellationToken::new());
    let answered = Arc::new(AtomicU64::new(0));
    {
        let (client, is_over, answered) =
            (client.clone(), Arc::clone(&is_over), Arc::clone(&answered));
        readers.spawn_finite("search", move |_| async move {
            while !is_over.load(Ordering::SeqCst) {
                match client.search("ada", everything_in("quiet", &token)).await {
                    Ok(found) => {
                        assert!(found.coverage.is_some_and(|coverage| coverage.complete));
                        assert_eq!(found.total_hits, 20);
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(status) => must_be_retriable(&status),
                }
            }
        });
    }
    // One group recovers from snapshots and the log, through the same faults.
    bounded("the leaves stop", world.cluster.stop_leaves("a")).await.expect("cleanly");
    fs::remove_dir_all(world.folder.path().join("leaves").join("a-1")).expect("emptied");
    bounded("the leaves start", world.cluster.start_leaves("a")).await.expect("started");
    let written = bounded("all is written", writers.join_all()).await;
    bounded("group a is back", world.cluster.until_ready()).await;
    is_over.store(true, Ordering::SeqCst);
    let report = bounded("the searches end", readers.drain(WAIT)).await;
    assert!(report.is_clean(), "{report:?}");

    faults.set_active(false);
    bounded("both groups serve", world.cluster.until_ready()).await;
    for (namespace, expected, token) in written {
        for group in ["a", "b"] {
            let request = SearchRequest {
                replica_group: group.to_owned(),
                ..everything_in(&namespace, &token)
            };
            let found = client.search("operator:ada", request).await.expect("no faults any more");
            must_be_exact(&found, &expected, &format!("{namespace} in group {group}"));
        }
    }
    let (failed, answered) = (failed.load(Ordering::SeqCst), answered.load(Ordering::SeqCst));
    println!("faults: {failed} batches were sent again, {answered} searches were answered");
    assert!(failed > 0 && answered > 0, "the faults are moderate, and there are some");
    world.stop().await;
}
