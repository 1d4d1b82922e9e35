//! Back-pressure: what the gateway does with news of the replicas.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use nautilus_proto::ingest::v1::{DocumentContent, Write, WriteRequest, write::Operation};
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::root_service_server::{RootService, RootServiceServer};
use nautilus_proto::root::v1::{
    FetchRequest, FetchResponse, GetStatusRequest, GetStatusResponse, ListRequest, Replica,
    ReplicasUpdate, SearchRequest, SearchResponse, SuggestRequest, SuggestResponse,
    WatchReplicasRequest,
};
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::gateway::{WAIT, World, partition_of, refusal};

/// A root that only tells of replicas.
struct Teller(watch::Receiver<ReplicasUpdate>);

fn nothing_else<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("this root only tells of replicas"))
}

#[tonic::async_trait]
impl RootService for Teller {
    type WatchReplicasStream =
        Pin<Box<dyn Stream<Item = Result<ReplicasUpdate, Status>> + Send + 'static>>;

    async fn watch_replicas(
        &self,
        _: Request<WatchReplicasRequest>,
    ) -> Result<Response<Self::WatchReplicasStream>, Status> {
        Ok(Response::new(Box::pin(WatchStream::new(self.0.clone()).map(Ok))))
    }

    async fn search(&self, _: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
        nothing_else()
    }

    async fn search_shadow(
        &self,
        _: Request<SearchRequest>,
    ) -> Result<Response<SearchResponse>, Status> {
        nothing_else()
    }

    async fn suggest(
        &self,
        _: Request<SuggestRequest>,
    ) -> Result<Response<SuggestResponse>, Status> {
        nothing_else()
    }

    async fn fetch(&self, _: Request<FetchRequest>) -> Result<Response<FetchResponse>, Status> {
        nothing_else()
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<leaf::ListResponse>, Status> {
        nothing_else()
    }

    async fn get_status(
        &self,
        _: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        nothing_else()
    }
}

fn news(applied: [u64; 2]) -> ReplicasUpdate {
    let replica = |(group, applied): (&str, u64)| Replica {
        replica_group: group.to_owned(),
        leaf: format!("{group}-1"),
        is_reachable: true,
        status: Some(leaf::ReplicaStatus {
            partition: partition_of("notes").0,
            state: "SERVING".to_owned(),
            applied_offset: applied,
            ..leaf::ReplicaStatus::default()
        }),
    };
    ReplicasUpdate { replicas: ["a", "b"].into_iter().zip(applied).map(replica).collect() }
}

fn batch(count: u32) -> WriteRequest {
    let write = |n| Write {
        namespace: "notes".to_owned(),
        document_id: format!("d{n}"),
        operation: Some(Operation::Upsert(DocumentContent::default())),
        ..Write::default()
    };
    WriteRequest { writes: (0..count).map(write).collect() }
}

#[tokio::test]
async fn writes_are_pushed_back_until_the_slowest_group_has_caught_up() {
    let world = World::with_people().await;
    let (tell, told) = watch::channel(news([0, 0]));
    let server = GrpcServer::new("teller", ServerSettings::default(), Clock::system());
    let server = server.service(RootServiceServer::new(Teller(told)));
    let bound = server.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("bound");
    let endpoint = format!("http://{}", bound.local_addr());
    let mut tasks = TaskGroup::new(&CancellationToken::new());
    tasks.spawn("teller", |stop| bound.serve(stop));
    let root = Channel::from_shared(endpoint).expect("uri").connect_lazy();
    let mut gateway = world.start_below(root).await;

    // The bound is 100 records. Until the first news arrives nothing is held back, so write until it is.
    let mut acknowledged = 0;
    let refused = tokio::time::timeout(WAIT, async {
        loop {
            let answer = gateway.ingest.write(world.from("ada", batch(60))).await;
            match answer {
                Ok(answer) => {
                    assert!(answer.into_inner().results.iter().all(|r| r.error.is_none()));
                    acknowledged += 60;
                }
                Err(status) => return status,
            }
        }
    });
    let refused = refused.await.expect("pushed back in time");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let retry = refused.get_details_retry_info().expect("says when to try again");
    assert!(retry.retry_delay.is_some_and(|delay| delay >= Duration::from_millis(50)));
    assert!(refused.get_details_quota_failure().is_some());
    assert_eq!(world.record_count().await, acknowledged, "what was pushed back was not written");

    // One group catching up is not enough.
    tell.send_replace(news([acknowledged, 0]));
    let answer = gateway.ingest.write(world.from("ada", batch(1))).await;
    assert_eq!(refusal(answer), (Code::ResourceExhausted, "REPLICAS_LAG".to_owned()));
    tell.send_replace(news([acknowledged, acknowledged]));
    let taken = tokio::time::timeout(WAIT, async {
        while gateway.ingest.write(world.from("ada", batch(1))).await.is_err() {}
    });
    taken.await.expect("taken again");
    drop(tell);
    gateway.stop().await;
    assert!(tasks.drain(WAIT).await.is_clean());
}
