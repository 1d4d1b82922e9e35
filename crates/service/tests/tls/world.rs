//! A server that answers every method of a service, and ways to reach it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use nautilus_service::server::{ConnectionInfo, GrpcServer, ServerMetrics, ServerSettings};
use nautilus_service::tls::{ClientCertificates, Role, Tls};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::pki::{Authority, Made};

/// Says who is calling. It has the name of a real service, since the table knows no other.
#[derive(Clone, Debug)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "nautilus.leaf.v1.LeafService";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let info = request.extensions().get::<ConnectionInfo>().cloned();
        let answer = info.map_or_else(String::new, |info| match info.peer {
            Some(peer) => format!("{peer} {}", info.remote_addr.expect("known")),
            None => "nobody".to_owned(),
        });
        Box::pin(async move {
            let handler = tower::service_fn(move |_: Request<String>| {
                std::future::ready(Ok::<_, Status>(Response::new(answer.clone())))
            });
            let codec = ProstCodec::<String, String>::default();
            Ok(tonic::server::Grpc::new(codec).unary(handler, request).await)
        })
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<ServerMetrics>,
    stop: CancellationToken,
    tasks: TaskGroup,
}

impl Running {
    pub(crate) async fn start(tls: &Arc<Tls>, clients: ClientCertificates) -> Self {
        let bound = GrpcServer::new("leaf", ServerSettings::default(), Clock::system())
            .service(Echo)
            .tls(Arc::clone(tls), clients)
            .bind(([127, 0, 0, 1], 0).into())
            .await
            .expect("bound");
        let (address, metrics) = (bound.local_addr(), bound.metrics());
        let stop = CancellationToken::new();
        let mut tasks = TaskGroup::new(&stop);
        tasks.spawn("serve", |stop| bound.serve(stop));
        Self { address, metrics, stop, tasks }
    }

    pub(crate) fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(name, task);
    }

    /// A channel of `tls` to this server, which it takes for one of `role`.
    pub(crate) fn channel(&self, tls: &Arc<Tls>, role: Role) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("uri");
        tls.channel(&endpoint, role)
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        assert!(self.tasks.drain(Duration::from_secs(20)).await.is_clean());
    }
}

/// Calls a method of the service; answers who the server took the caller for.
pub(crate) async fn call(channel: &Channel, method: &str) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    let path = format!("/nautilus.leaf.v1.LeafService/{method}");
    let path = PathAndQuery::try_from(path).expect("path");
    let codec = ProstCodec::<String, String>::default();
    client.unary(Request::new(String::new()), path, codec).await.map(Response::into_inner)
}

/// Connects as a caller that does not check itself first; whether the server speaks HTTP/2 with it, and the
/// server's certificate.
pub(crate) async fn knock(
    address: SocketAddr,
    trusted: &Authority,
    own: Option<&Made>,
) -> Result<CertificateDer<'static>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(trusted.pem.as_bytes()).expect("certificate");
    roots.add(ca).expect("usable");
    let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(made) => {
            let certificate = CertificateDer::from_pem_slice(made.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).expect("key");
            let chain = vec![certificate.expect("certificate")];
            builder.with_client_auth_cert(chain, key).expect("usable")
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    // With TLS 1.3 a refusal arrives after the client's own handshake is over.
    let mut first = [0];
    stream.read_exact(&mut first).await?;
    let certificates = stream.get_ref().1.peer_certificates().expect("shown");
    Ok(certificates[0].clone().into_owned())
}
