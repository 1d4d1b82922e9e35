//! A build with another analyzer is promoted group by group and rolled back; searches only say of which build they are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use nautilus_index_repository::{IndexRepository, Snapshots};
use nautilus_indexbuilder::rebuild::{
    Rebuild, RebuildError, RebuildParts, RebuildSettings, Rebuilt,
};
use nautilus_mutation_log::MutationLog;
use nautilus_proto::admin::v1::GetStatusRequest;
use nautilus_proto::search::v1::{SearchRequest, SearchResponse};
use nautilus_registry::layout::{
    BuildRef, GroupBuild, GroupName, GroupStanding, GroupState, Note, Record, ReplicaState, prefix,
};
use nautilus_registry::{Operation, Registry, Transaction};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::{PartitionId, PartitionMap};

use crate::world::{Client, World, bounded, ids, query, refusal, upsert};

const PARTITIONS: u32 = 4;
const NAMESPACES: usize = 6;
const OF_EACH: usize = 5;
pub(crate) const NAME: &str = "stems";

pub(crate) type Ports = (Arc<dyn Registry>, Arc<dyn MutationLog>, Arc<dyn IndexRepository>);

pub(crate) fn stems() -> BuildRef {
    BuildRef { name: Some(NAME.to_owned()), analyzer_version: 2 }
}

pub(crate) fn note() -> Note {
    Note { owner: "sre".to_owned(), reason: "a build".to_owned() }
}

fn everywhere(text: &str) -> SearchRequest {
    let namespaces = (0..NAMESPACES).map(|number| format!("notes-{number}")).collect();
    SearchRequest { namespaces, ..query(text, "") }
}

pub(crate) async fn say(registry: &dyn Registry, record: Record) {
    let (key, value) = (record.key().to_string(), record.encode().expect("valid"));
    let operations = vec![Operation::Put { key, value, lease: None }];
    registry.transact(Transaction { conditions: Vec::new(), operations }).await.expect("written");
}

/// Makes the build of all partitions, once leaves have published what it is made of.
pub(crate) async fn rebuild(ports: &Ports, folder: &std::path::Path) -> Vec<Rebuilt> {
    let (_, log, repository) = ports;
    let settings = RebuildSettings {
        build: NAME.to_owned(),
        source: "log".to_owned(),
        analyzer_version: 2,
        map: PartitionMap::divided(PARTITIONS),
        folder: folder.to_owned(),
    };
    let parts = RebuildParts {
        snapshots: Snapshots::new(Arc::clone(repository), log.identity().cluster_id),
        log: Arc::clone(log),
        clock: Clock::system(),
    };
    let rebuild = Rebuild::new(settings, parts, nautilus_leaf::attributes_of).expect("a builder");
    let mut made = Vec::new();
    for partition in (0..PARTITIONS).map(PartitionId) {
        let one = async {
            loop {
                match rebuild.partition(partition, &|_, _| {}).await {
                    Err(RebuildError::NoSource { .. }) => tokio::task::yield_now().await,
                    made => return made.expect("made"),
                }
            }
        };
        made.push(bounded("a partition of the build", one).await);
    }
    made
}

/// What `nautilus build promote` does with one group.
async fn hand_over(
    (registry, client): (&dyn Registry, &Client),
    searches: &Searches,
    name: &str,
    build: &BuildRef,
) {
    say(registry, standing(name, GroupState::Drained)).await;
    // The root must have heard of it, and what was under way must have ended.
    bounded("the root sends no more", until_drained(client, name)).await;
    searches.more().await;
    exchange(registry, name, build).await;
    say(registry, standing(name, GroupState::Active)).await;
}

pub(crate) fn standing(group: &str, state: GroupState) -> Record {
    let group = GroupName::new(group).expect("valid");
    Record::Standing(group, GroupStanding { state, note: note(), placed_unix_ms: 1 })
}

/// Has a drained group serve the build.
pub(crate) async fn exchange(registry: &dyn Registry, name: &str, build: &BuildRef) {
    let group = GroupName::new(name).expect("valid");
    let said = GroupBuild { build: build.clone(), previous: None, note: note(), placed_unix_ms: 1 };
    say(registry, Record::Build(group.clone(), said)).await;
    let all_serve = async {
        loop {
            let listing = registry.list(&prefix::replicas(&group)).await.expect("listed");
            let records = listing.entries.iter().filter_map(|it| Record::read(it).expect("sound"));
            let serving = records.filter(|record| {
                let Record::Replica(_, it) = record else { return false };
                it.state == ReplicaState::Serving
                    && it.build.as_deref().unwrap_or_default() == build.label()
            });
            if serving.count() == usize::try_from(PARTITIONS).expect("small") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    bounded("the group serves the build", all_serve).await;
}

pub(crate) async fn until_drained(client: &Client, group: &str) {
    loop {
        let request = client.request("operator:ada", GetStatusRequest {});
        let status = client.cluster().get_status(request).await.expect("said").into_inner();
        let own = status.groups.iter().find(|it| it.name == group);
        if own.is_some_and(|it| it.standing == GroupState::Drained.as_str()) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Searches that ended well so far, and what was wrong with the first that did not.
#[derive(Clone, Default)]
struct Searches(Arc<AtomicU64>, Arc<Mutex<Option<String>>>);

impl Searches {
    /// Until there are some more.
    async fn more(&self) {
        let until = self.0.load(Ordering::SeqCst) + 20;
        let counted = async {
            while self.0.load(Ordering::SeqCst) < until {
                assert_eq!(*self.1.lock().expect("sound"), None);
                tokio::task::yield_now().await;
            }
        };
        bounded("searches go on", counted).await;
    }
}

/// How many hits an answer of a build must have.
fn expected(build: &str) -> Option<u64> {
    let plain = u64::try_from(NAMESPACES * OF_EACH).expect("small");
    match build {
        "" => Some(plain),
        NAME => Some(2 * plain),
        _ => None,
    }
}

fn check(found: &SearchResponse) -> Result<String, String> {
    let coverage = found.coverage.clone().unwrap_or_default();
    let hits = found.total_hits;
    let builds: Vec<&str> = found
        .explanation
        .iter()
        .flat_map(|it| &it.partitions)
        .map(|it| it.build.as_str())
        .collect();
    if !coverage.complete || builds.iter().any(|build| *build != coverage.build) {
        return Err(format!("{coverage:?} of {builds:?}"));
    }
    if expected(&coverage.build) != Some(hits) {
        return Err(format!("{hits} hits of build {:?}", coverage.build));
    }
    Ok(coverage.build)
}

async fn page(client: &Client, token: &str) -> Result<SearchResponse, tonic::Status> {
    let request =
        SearchRequest { page_size: 2, page_token: token.to_owned(), ..everywhere("foxes") };
    client.search("ada", request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promoting_a_build_and_going_back_loses_no_search() {
    let mut kept: Option<Ports> = None;
    let world = World::start_as(
        |_| {},
        |ports| {
            let (registry, repository) =
                (Arc::clone(&ports.registry), Arc::clone(&ports.repository));
            kept = Some((registry, Arc::clone(&ports.log), repository));
        },
    )
    .await;
    let ports = kept.expect("wrapped");
    let client = world.client.clone();
    for number in 0..NAMESPACES {
        let namespace = format!("notes-{number}");
        client.create("ada", &namespace).await;
        let one = (0..OF_EACH).map(|n| upsert(&namespace, &format!("one-{n}"), "a red fox"));
        let many = (0..OF_EACH).map(|n| upsert(&namespace, &format!("many-{n}"), "two red foxes"));
        client.write("ada", one.chain(many).collect()).await;
    }

    let all_found = async {
        while check(&client.search("ada", everywhere("fox")).await.expect("found")).is_err() {
            tokio::task::yield_now().await;
        }
    };
    bounded("what was written is found", all_found).await;
    let seen: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let (searches, is_over) = (Searches::default(), Arc::new(AtomicBool::new(false)));
    let mut tasks = TaskGroup::new(&CancellationToken::new());
    for _ in 0..2 {
        let (client, seen) = (client.clone(), Arc::clone(&seen));
        let (searches, is_over) = (searches.clone(), Arc::clone(&is_over));
        tasks.spawn_finite("search", |_| async move {
            while !is_over.load(Ordering::SeqCst) {
                let request = SearchRequest { explain: true, ..everywhere("fox") };
                let found = client.search("ada", request).await;
                let found = found.map_err(|status| format!("a search was lost: {status}"));
                match found.and_then(|found| check(&found)) {
                    Ok(build) => *seen.lock().expect("sound").entry(build).or_default() += 1,
                    Err(problem) => {
                        searches.1.lock().expect("sound").get_or_insert(problem.clone());
                        return Err(problem);
                    }
                }
                searches.0.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<(), String>(())
        });
    }
    searches.more().await;

    let folder = world.folder.path().join("rebuild");
    let made = rebuild(&ports, &folder).await;
    assert!(made.iter().all(|it| matches!(it, Rebuilt::Published(_))), "{made:?}");
    let again = rebuild(&ports, &folder).await;
    assert!(again.iter().all(|it| matches!(it, Rebuilt::There(_))), "{again:?}");
    assert_eq!(std::fs::read_dir(&folder).expect("listed").count(), 0);

    let with = (ports.0.as_ref(), &client);
    let of_log = page(&client, "").await.expect("found");
    hand_over(with, &searches, "a", &stems()).await;
    searches.more().await;
    // Both are there: a listing that began on one goes on with it.
    let next = page(&client, &of_log.next_page_token).await.expect("found");
    assert_eq!(next.coverage.as_ref().expect("covered").build, "");
    assert!(ids(&next).iter().all(|id| id.starts_with("many")), "{:?}", ids(&next));
    hand_over(with, &searches, "b", &stems()).await;
    searches.more().await;
    let gone = page(&client, &of_log.next_page_token).await;
    let (code, reason) = refusal(gone);
    assert_eq!(
        (code, reason.as_str()),
        (tonic::Code::InvalidArgument, "PAGE_TOKEN_OF_FORMER_BUILD")
    );
    let first = page(&client, "").await.expect("found");
    let second = page(&client, &first.next_page_token).await.expect("found");
    assert_eq!(second.coverage.expect("covered").build, NAME);
    // What matched is marked, whichever form was typed.
    let marked = client.search("ada", query("foxes", "notes-0")).await.expect("found");
    let one = marked.hits.iter().find(|hit| hit.document_id.starts_with("one")).expect("found");
    assert!(one.highlights.iter().any(|it| !it.ranges.is_empty()), "{one:?}");

    for group in ["a", "b"] {
        hand_over(with, &searches, group, &BuildRef::of_log()).await;
        searches.more().await;
    }
    is_over.store(true, Ordering::SeqCst);
    let report = bounded("the searches end", tasks.drain(crate::world::WAIT)).await;
    assert!(report.is_clean(), "{report:?}");
    let seen = seen.lock().expect("sound").clone();
    assert_eq!(seen.keys().map(String::as_str).collect::<Vec<_>>(), ["", NAME], "{seen:?}");
    let last = client.search("ada", everywhere("fox")).await.expect("found");
    assert_eq!(last.coverage.expect("covered").build, "");
    world.stop().await;
}
