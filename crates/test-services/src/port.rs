//! A loopback port for a service that cannot say which one it took.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that systems give to outgoing connections (Linux 32,768 and up, RFC 6335 49,152 and up): none of
/// them takes a port between its choice here and its use.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Each process begins elsewhere.
static NEXT: LazyLock<AtomicU32> =
    LazyLock::new(|| AtomicU32::new(process::id().wrapping_mul(7_919) % COUNT));

/// A port that was free a moment ago, and is not given out again for long. Another process may still take it
/// first: whoever starts a service on it tries again with another one where the service does not come up.
pub fn free_port() -> io::Result<u16> {
    let mut last = io::Error::other("no port is free");
    for _ in 0..COUNT {
        let at = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = u16::try_from(FIRST + at).map_err(io::Error::other)?;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn gives_no_port_twice_in_a_row() {
        let ports: BTreeSet<u16> = (0..200).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 200);
    }
}
