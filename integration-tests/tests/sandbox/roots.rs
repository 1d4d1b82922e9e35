//! Two roots with a merger and a gateway in front of each, on the same registry, groups and keys: what one
//! gives out, the other takes.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nautilus_identity::{GrantSigner, GrantVerifier, KeyPair, KeySet, LogIdentity};
use nautilus_indexbuilder::IndexBuilder;
use nautilus_merger::Merger;
use nautilus_proto::search::v1::SearchRequest;
use nautilus_root::Root;
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::{CancellationToken, TaskGroup};
use nautilus_types::PartitionMap;
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::world::{Client, WAIT, World, bounded, query, upsert};

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What stands beside the world's own root, merger and gateway.
struct Beside {
    client: Client,
    public: TaskGroup,
    root_tasks: TaskGroup,
}

impl Beside {
    async fn start(world: &World) -> Self {
        let ports = world.cluster.ports();
        let identity = ports.log.identity();
        let map = PartitionMap::divided(identity.partitions);
        let pair = KeyPair::open(&world.folder.path().join("keys"), "grant").expect("the same key");
        let verifier = GrantVerifier::new(KeySet::from(pair.public()));
        let (registry, clock) = (Arc::clone(&ports.registry), ports.clock.clone());
        let config = nautilus_root::Config::new(map);
        let root = Root::build(config, registry, verifier, clock.clone()).expect("built");
        let root = Arc::new(root);
        let tasks = || TaskGroup::new(&CancellationToken::new());
        let (mut root_tasks, mut public) = (tasks(), tasks());
        let server = Arc::clone(&root).bind(LOCAL).await.expect("bound");
        let channel = Channel::from_shared(format!("http://{}", server.local_addr()));
        let channel = channel.expect("uri").connect_lazy();
        root.spawn(&mut root_tasks);
        root_tasks.spawn("root-server", |stop| server.serve(stop));

        let log = LogIdentity { cluster_id: identity.cluster_id, generation: identity.generation };
        let parts = nautilus_merger::Parts {
            catalog: Arc::clone(&ports.catalog),
            authenticator: Arc::new(ports.issuer.authenticator()),
            signer: GrantSigner::new(pair),
            token_key: Arc::clone(&ports.token_key),
            roots: vec![channel.clone()],
        };
        let merger = Merger::build(nautilus_merger::Config::new(log, map), parts, clock.clone());
        let parts = nautilus_indexbuilder::Parts {
            catalog: Arc::clone(&ports.catalog),
            log: Arc::clone(&ports.log),
            authenticator: Arc::new(ports.issuer.authenticator()),
            token_key: Arc::clone(&ports.token_key),
            roots: vec![channel],
            annotators: Vec::new(),
        };
        let config = nautilus_indexbuilder::RawConfig::default().validate().expect("valid");
        let builder =
            Arc::new(IndexBuilder::build(config, parts, clock.clone()).expect("no annotators"));
        let server = GrpcServer::new("beside", ServerSettings::default(), clock);
        let server = builder.mount(server.service(merger.search_service()));
        let server = server.bind(LOCAL).await.expect("bound");
        let client = world.client.at(server.local_addr()).await;
        public.spawn("index-builder", |stop| async move { builder.run(stop).await });
        public.spawn("server", |stop| server.serve(stop));

        let mut state = root.watch_routing_state();
        let knows_all = || {
            let table = root.routing_table();
            table.partitions().all(|partition| table.routable(partition).count() == 2)
        };
        let known = async {
            while !knows_all() {
                state.changed().await.expect("the root lives");
            }
        };
        bounded("the other root knows both groups", known).await;
        Self { client, public, root_tasks }
    }

    async fn stop(self) {
        drop(self.client);
        assert!(self.public.drain(WAIT).await.is_clean());
        assert!(self.root_tasks.drain(WAIT).await.is_clean());
    }
}

fn with_token(token: &str) -> SearchRequest {
    SearchRequest { consistency_token: token.to_owned(), ..query("fox", "notes") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_one_root_holds_at_the_other() {
    let world = World::start().await;
    let beside = Beside::start(&world).await;
    let clients = [&world.client, &beside.client];
    clients[0].create("ada", "notes").await;
    for n in 0..100_usize {
        let (writer, reader) = (clients[n % 2], clients[(n + 1) % 2]);
        let token = writer.write("ada", vec![upsert("notes", &format!("d{n}"), "red fox")]).await;
        let found = reader.search("ada", with_token(&token)).await.expect("within the deadline");
        let written = u64::try_from(n).expect("small") + 1;
        assert_eq!(found.total_hits, written, "the write is seen at once");
        // What a search gives out holds as well: nothing goes back.
        let again = writer.search("ada", with_token(&found.consistency_token)).await;
        assert_eq!(again.expect("answered").total_hits, written);
    }

    // Where replicas stand still, nothing older is shown instead.
    world.log.set_open(false);
    let mut token = String::new();
    // A read that is already under way may still bring the first.
    for n in 0..3 {
        token = clients[0].write("ada", vec![upsert("notes", &format!("e{n}"), "red fox")]).await;
    }
    let mut told = 0;
    for _ in 0..5 {
        let request =
            clients[1].request_within("ada", with_token(&token), Duration::from_millis(800));
        let answer = clients[1].searches().search(request).await;
        let status = answer.expect_err("the write is out of reach");
        if status.code() == Code::Unavailable {
            assert!(status.get_details_retry_info().is_some(), "{status:?}");
            told += 1;
        } else {
            // The leaf's own words came too late.
            assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        }
    }
    assert!(told > 0, "never said to be unavailable");
    world.log.set_open(true);
    let found = bounded("caught up", clients[1].search("ada", with_token(&token))).await;
    assert_eq!(found.expect("found").total_hits, 103);
    beside.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_go_on_at_the_other_root() {
    let world = World::start().await;
    let beside = Beside::start(&world).await;
    let clients = [&world.client, &beside.client];
    for namespace in ["notes", "team"] {
        clients[0].create("ada", namespace).await;
    }
    // One batch, so that its token stands for all of it.
    let text = |n: usize| format!("red fox {}", "word ".repeat(n % 7));
    let of = |name| (0..60).map(move |n| upsert(name, &format!("d{n}"), &text(n)));
    let token = clients[0].write("ada", of("notes").chain(of("team")).collect()).await;
    let mut request = SearchRequest { page_size: 20, ..with_token(&token) };
    request.namespaces.clear();
    let mut seen = BTreeSet::new();
    let mut pages = 0;
    loop {
        let client = clients[pages % 2];
        let page = client.search("ada", request.clone()).await.expect("page");
        assert_eq!(page.total_hits, 120, "frozen on the first page");
        for hit in &page.hits {
            let is_new = seen.insert((hit.namespace.clone(), hit.document_id.clone()));
            assert!(is_new, "{} is on two pages", hit.document_id);
        }
        pages += 1;
        // What is new is on no later page.
        let late = vec![upsert("notes", &format!("late{pages}"), "red fox")];
        clients[(pages + 1) % 2].write("ada", late).await;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!((pages, seen.len()), (6, 120));
    beside.stop().await;
    world.stop().await;
}
