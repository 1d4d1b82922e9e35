//! A TCP connection in between that can be cut: nothing passes and nobody is told.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context as _;

/// Listens on loopback until the process ends, and passes on what comes.
#[derive(Debug)]
pub(super) struct Link {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Link {
    /// To `HOST:PORT`.
    pub(super) fn to(server: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
        let address = listener.local_addr()?;
        let is_cut = Arc::new(AtomicBool::new(false));
        let (server, flag) = (server.to_owned(), Arc::clone(&is_cut));
        // They end with the process: nothing waits for them.
        thread::Builder::new().name("link".to_owned()).spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is away closes the connection, as it would without us.
                let _ = TcpStream::connect(&server).and_then(|server| join(client, server, &flag));
            }
        })?;
        Ok(Self { address, is_cut })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on everything is lost on the way.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    /// New connections pass again; those that lost something end.
    pub(super) fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn join(client: TcpStream, server: TcpStream, is_cut: &Arc<AtomicBool>) -> io::Result<()> {
    for (from, to) in
        [(client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?)]
    {
        let is_cut = Arc::clone(is_cut);
        thread::Builder::new().name("link".to_owned()).spawn(move || {
            // However it ends, both sides learn of it.
            let _ = pass_on(&from, &to, &is_cut);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        })?;
    }
    Ok(())
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream, is_cut: &AtomicBool) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut has_lost = false;
    loop {
        let read = from.read(&mut buffer)?;
        let is_cut = is_cut.load(Ordering::SeqCst);
        if read == 0 || (has_lost && !is_cut) {
            return Ok(());
        }
        has_lost |= is_cut;
        if !is_cut {
            to.write_all(&buffer[..read])?;
        }
    }
}
