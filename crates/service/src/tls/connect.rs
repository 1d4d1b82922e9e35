//! Calling a process of the cluster.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::{Channel, Endpoint};

use super::Tls;
use super::identity::Role;

/// How long reaching a peer and agreeing with it may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);

impl Tls {
    /// A channel to a process of `role`, which is refused if it is another. It connects at the first call and
    /// again whenever the connection was lost, each time with the certificates of that moment.
    ///
    /// `endpoint` is an `http` one: the scheme only says that tonic itself adds nothing. Its settings of HTTP/2 and
    /// its timeouts count, those of TCP do not but for `tcp_nodelay`.
    #[must_use]
    pub fn channel(self: &Arc<Self>, endpoint: &Endpoint, role: Role) -> Channel {
        let tls = Arc::clone(self);
        let nodelay = endpoint.get_tcp_nodelay();
        endpoint.connect_with_connector_lazy(tower::service_fn(
            move |uri: Uri| -> BoxFuture<'static, io::Result<TokioIo<TlsStream<TcpStream>>>> {
                let tls = Arc::clone(&tls);
                Box::pin(async move {
                    let connecting = connect(&tls, &uri, role, nodelay);
                    let late =
                        || io::Error::new(io::ErrorKind::TimedOut, "the peer does not answer");
                    tokio::time::timeout(CONNECT_MAX, connecting).await.map_err(|_| late())?
                })
            },
        ))
    }
}

async fn connect(
    tls: &Tls,
    uri: &Uri,
    role: Role,
    nodelay: bool,
) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let host = uri.host().ok_or_else(|| invalid("the address names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().ok_or_else(|| invalid("the address names no port"))?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(nodelay)?;
    // Not compared with anything, and an address is not sent either: the role is what counts.
    let name = match host.parse::<IpAddr>() {
        Ok(address) => ServerName::IpAddress(address.into()),
        Err(_) => {
            ServerName::try_from(host.to_owned()).map_err(|_| invalid("not a host's name"))?
        }
    };
    let config = tls.client_config(role).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Ok(TokioIo::new(stream))
}
