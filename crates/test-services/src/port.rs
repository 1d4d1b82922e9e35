//! A loopback port for a service that cannot say which one it took.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// A port that was free a moment ago. Another process may take it first: whoever starts a service on it tries
/// again with another one where the service does not come up.
pub fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
