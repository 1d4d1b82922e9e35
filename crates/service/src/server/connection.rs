//! Connections as they are accepted, encrypted or not, and who is at their other end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, TcpIncoming};

use super::metrics::ServerMetrics;
use crate::tls::{ClientCertificates, InvalidIdentity, PeerIdentity, Tls, describe};

/// Pause after a failed accept: out of file descriptors stays so for a while, and trying at once
/// would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a peer may take to agree on keys.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);
/// Handshakes at once; more wait, for no longer than those before them may take.
const HANDSHAKES_MAX: usize = 256;

/// How a server protects its connections.
#[derive(Debug, Clone)]
pub(super) struct ServerTls {
    pub(super) tls: Arc<Tls>,
    pub(super) clients: ClientCertificates,
}

/// What is known about a connection; handlers and guards find it among the extensions of each request.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// The other end's address.
    pub remote_addr: Option<SocketAddr>,
    /// The process of the cluster at the other end, where the port asks for its certificate.
    pub peer: Option<Arc<PeerIdentity>>,
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Bytes,
    info: ConnectionInfo,
}

#[derive(Debug)]
enum Bytes {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// Why there is no connection although there was a caller.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("no handshake in time")]
    Late,
    #[error("handshake")]
    Refused(#[source] io::Error),
    #[error("the caller is nobody")]
    Nobody(#[source] InvalidIdentity),
    #[error("the caller showed no certificate")]
    NoCertificate,
    #[error("the caller is of another cluster")]
    OtherCluster,
}

/// Accepted connections. A failed accept pauses instead of spinning; a failed handshake concerns nobody else.
pub(super) fn connections(
    listener: TcpListener,
    keepalive: Duration,
    tls: Option<ServerTls>,
    metrics: Arc<ServerMetrics>,
) -> BoxStream<'static, io::Result<Connection>> {
    let incoming =
        TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(keepalive));
    let accepted = incoming.then(|accepted| async {
        if let Err(error) = &accepted {
            tracing::warn!(error = %error, "accept failed");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        accepted
    });
    match tls {
        None => accepted.map(|accepted| accepted.map(Connection::plain)).boxed(),
        Some(tls) => encrypted(accepted, tls, metrics).boxed(),
    }
}

fn encrypted(
    accepted: impl Stream<Item = io::Result<TcpStream>> + Send,
    tls: ServerTls,
    metrics: Arc<ServerMetrics>,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let handshakes = accepted.map(move |accepted| {
        let tls = tls.clone();
        async move {
            match accepted {
                Ok(stream) => Ok(handshake(tls, stream).await),
                Err(error) => Err(error),
            }
        }
    });
    handshakes.buffer_unordered(HANDSHAKES_MAX).filter_map(move |outcome| {
        let passed = match outcome {
            Ok(Ok(connection)) => Some(Ok(connection)),
            Ok(Err(error)) => {
                metrics.count_failed_handshake();
                tracing::debug!(error = crate::status::error_chain(&error), "no connection");
                None
            }
            Err(error) => Some(Err(error)),
        };
        std::future::ready(passed)
    })
}

async fn handshake(tls: ServerTls, stream: TcpStream) -> Result<Connection, HandshakeError> {
    let remote_addr = stream.peer_addr().ok();
    let accepting = tls.tls.acceptor(tls.clients).accept(stream);
    let stream = tokio::time::timeout(HANDSHAKE_MAX, accepting).await;
    let stream = stream.map_err(|_| HandshakeError::Late)?.map_err(HandshakeError::Refused)?;
    let peer = match tls.clients {
        ClientCertificates::NotAsked => None,
        ClientCertificates::Required => {
            let certificates = stream.get_ref().1.peer_certificates();
            let own = certificates.and_then(|certificates| certificates.first());
            let own = own.ok_or(HandshakeError::NoCertificate)?;
            let peer = describe(own).map_err(HandshakeError::Nobody)?.identity;
            if peer.cluster != tls.tls.identity().cluster {
                return Err(HandshakeError::OtherCluster);
            }
            Some(Arc::new(peer))
        }
    };
    let info = ConnectionInfo { remote_addr, peer };
    Ok(Connection { stream: Bytes::Encrypted(Box::new(stream)), info })
}

impl Connection {
    fn plain(stream: TcpStream) -> Self {
        let info = ConnectionInfo { remote_addr: stream.peer_addr().ok(), peer: None };
        Self { stream: Bytes::Plain(stream), info }
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Bytes::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Bytes::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(context),
            Bytes::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Bytes::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Bytes::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Bytes::Encrypted(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Bytes::Plain(stream) => stream.is_write_vectored(),
            Bytes::Encrypted(stream) => stream.is_write_vectored(),
        }
    }
}
