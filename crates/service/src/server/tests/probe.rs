//! A service that tells what reached its handler, a guard, and a running server with a client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Request;
use http::uri::PathAndQuery;
use nautilus_types::Class;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Channel;
use tonic::{Request as Call, Response as Answer, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Reported;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tower::Service;

use crate::clock::Clock;
use crate::deadline::{Deadline, set_timeout};
use crate::request_id::RequestId;
use crate::server::{GrpcServer, RequestGuard, ServerMetrics, ServerSettings};
use crate::status::RpcError;
use crate::task_group::{DrainReport, TaskGroup};

#[derive(Clone, Debug)]
pub(super) struct Caller(String);

#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) held: Arc<Semaphore>,
    pub(super) release: Arc<Semaphore>,
}

impl NamedService for Probe {
    const NAME: &'static str = "test.v1.Probe";
}

impl Service<Request<Body>> for Probe {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let probe = self.clone();
        Box::pin(async move {
            let handler = tower::service_fn(|call: Call<String>| probe.answer(&path, call));
            let codec = ProstCodec::<String, String>::default();
            Ok(tonic::server::Grpc::new(codec).unary(handler, request).await)
        })
    }
}

impl Probe {
    async fn answer(&self, path: &str, call: Call<String>) -> Result<Answer<String>, Status> {
        match path.rsplit('/').next() {
            Some("Remaining") => {
                let now = Clock::system().now();
                let left = Deadline::of(&call).map(|deadline| deadline.remaining(now).as_millis());
                Ok(Answer::new(format!("{left:?}")))
            }
            Some("Caller") => {
                Ok(Answer::new(format!("{:?}", call.extensions().get::<Caller>().map(|c| &c.0))))
            }
            Some("RequestId") => {
                Ok(Answer::new(RequestId::current().expect("in scope").to_string()))
            }
            Some("Hold") => {
                self.held.add_permits(1);
                self.release.acquire().await.expect("open").forget();
                Ok(Answer::new("released".to_owned()))
            }
            Some("Panic") => panic!("secret detail"),
            Some("Bug") => Err(RpcError::new(Class::Bug, "BROKEN", "secret detail").into()),
            _ => Err(Status::unimplemented("no such method")),
        }
    }
}

#[derive(Debug)]
pub(super) struct TokenGuard;

#[async_trait::async_trait]
impl RequestGuard for TokenGuard {
    async fn check(&self, parts: &mut http::request::Parts) -> Result<(), RpcError> {
        let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
        let Some(name) = token.and_then(|token| token.strip_prefix("Bearer ")) else {
            return Err(RpcError::new(Class::Unauthenticated, "NO_CREDENTIALS", "who is asking?"));
        };
        parts.extensions.insert(Caller(name.to_owned()));
        Ok(())
    }
}

pub(super) struct Running {
    pub(super) probe: Probe,
    pub(super) metrics: Arc<ServerMetrics>,
    pub(super) address: SocketAddr,
    pub(super) channel: Channel,
    pub(super) stop: CancellationToken,
    tasks: TaskGroup,
}

impl Running {
    pub(super) async fn start(
        settings: ServerSettings,
        guard: Option<Arc<dyn RequestGuard>>,
    ) -> Self {
        let probe =
            Probe { held: Arc::new(Semaphore::new(0)), release: Arc::new(Semaphore::new(0)) };
        let mut server = GrpcServer::new("test", settings, Clock::system())
            .service(probe.clone())
            .reflection(&[tonic_health::pb::FILE_DESCRIPTOR_SET]);
        if let Some(guard) = guard {
            server = server.guarded_by(guard);
        }
        let bound = server.bind(([127, 0, 0, 1], 0).into()).await.expect("bound");
        let (metrics, address) = (bound.metrics(), bound.local_addr());
        assert_ne!(address.port(), 0);
        let stop = CancellationToken::new();
        let mut tasks = TaskGroup::new(&stop);
        tasks.spawn("serve", |stop| bound.serve(stop));
        let channel = channel(address).await;
        Self { probe, metrics, address, channel, stop, tasks }
    }

    pub(super) async fn call(&self, method: &str) -> Result<Answer<String>, Status> {
        self.send(method, Call::new(String::new())).await
    }

    pub(super) async fn send(
        &self,
        method: &str,
        call: Call<String>,
    ) -> Result<Answer<String>, Status> {
        send(self.channel.clone(), method, call).await
    }

    pub(super) async fn end(self) -> DrainReport {
        drop(self.channel);
        self.stop.cancel();
        self.tasks.drain(Duration::from_secs(20)).await
    }
}

pub(super) async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("uri");
    endpoint.connect().await.expect("connected")
}

pub(super) async fn send(
    channel: Channel,
    method: &str,
    call: Call<String>,
) -> Result<Answer<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("ready");
    let path = PathAndQuery::try_from(format!("/test.v1.Probe/{method}")).expect("path");
    client.unary(call, path, ProstCodec::<String, String>::default()).await
}

pub(super) fn with_timeout(timeout: Duration) -> Call<String> {
    let mut call = Call::new(String::new());
    set_timeout(&mut call, timeout);
    call
}

pub(super) async fn health_of(channel: &Channel, service: &str) -> Result<Reported, Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel.clone()).check(request).await?;
    Ok(answer.into_inner().status())
}
