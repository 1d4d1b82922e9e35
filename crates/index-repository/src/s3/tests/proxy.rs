//! A proxy in front of the server that loses requests or answers, and changes requests, by rule; or that tells what passes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens to the requests that a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The connection ends before the request reaches the server.
    RequestLost,
    /// The server does it, and the connection ends before its answer.
    AnswerLost,
    /// The condition does not reach the server.
    Unconditional,
}

#[derive(Debug, Clone)]
struct Rule {
    fate: Fate,
    method: &'static str,
    query: &'static str,
    times: u32,
}

/// What is about to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    /// A request that the server has not seen yet.
    Request,
    /// The middle of a long request's body.
    Middle,
    /// The answer to a request, which the client has not seen yet.
    Answer,
}

/// Bytes of a request after which it is in its middle: less than a part has.
const MIDDLE_BYTES: usize = 2 * 1024 * 1024;

type Watch = Arc<dyn Fn(Passing) + Send + Sync>;

/// Listens on loopback until the test ends. Connections are one request after the other.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    port: u16,
    rule: Arc<Mutex<Option<Rule>>>,
}

impl Proxy {
    pub(super) fn start(endpoint: &str) -> Self {
        Self::watched(endpoint, Arc::new(|_| ()))
    }

    /// `watch` is told everything before it passes.
    pub(super) fn watched(endpoint: &str, watch: Watch) -> Self {
        let server = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let proxy = Self { port, rule: Arc::default() };
        let rule = Arc::clone(&proxy.rule);
        // Both end with the process: nothing waits for them.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&server);
                let Ok(server) = server else { continue };
                let (rule, lost) = (Arc::clone(&rule), Arc::default());
                serve(&client, &server, &rule, &lost, &watch);
            }
        });
        proxy
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next `times` requests of `method` whose address contains `query` meet this fate.
    pub(super) fn next(&self, fate: Fate, method: &'static str, query: &'static str, times: u32) {
        *self.rule.lock().expect("unpoisoned") = Some(Rule { fate, method, query, times });
    }
}

fn serve(
    client: &TcpStream,
    server: &TcpStream,
    rule: &Arc<Mutex<Option<Rule>>>,
    lost: &Arc<Mutex<bool>>,
    watch: &Watch,
) {
    let both = || (client.try_clone().expect("cloned"), server.try_clone().expect("cloned"));
    let ((mut client_in, mut server_out), (mut client_out, mut server_in)) = (both(), both());
    let (rule, loses, watch_out) = (Arc::clone(rule), Arc::clone(lost), Arc::clone(watch));
    thread::spawn(move || {
        let mut passed = 0;
        let _ = pump(&mut client_in, &mut server_out, |bytes| {
            passed = tell(&watch_out, bytes, passed);
            match fate(&rule, bytes) {
                Some(Fate::RequestLost) => return false,
                Some(Fate::AnswerLost) => *loses.lock().expect("unpoisoned") = true,
                Some(Fate::Unconditional) => make_unconditional(bytes),
                None => {}
            }
            true
        });
        end(&client_in, &server_out);
    });
    let (lost, watch) = (Arc::clone(lost), Arc::clone(watch));
    thread::spawn(move || {
        let _ = pump(&mut server_in, &mut client_out, |bytes| {
            if bytes.starts_with(b"HTTP/1.") {
                watch(Passing::Answer);
            }
            !*lost.lock().expect("unpoisoned")
        });
        end(&client_out, &server_in);
    });
}

/// Tells of what a client sends; how much of the request has passed with it. A head is sent in one piece.
fn tell(watch: &Watch, bytes: &[u8], passed: usize) -> usize {
    let methods = ["GET /", "HEAD /", "PUT /", "POST /", "DELETE /"];
    if methods.iter().any(|method| bytes.starts_with(method.as_bytes())) {
        watch(Passing::Request);
        return bytes.len();
    }
    let passes = passed + bytes.len();
    if passed < MIDDLE_BYTES && passes >= MIDDLE_BYTES {
        watch(Passing::Middle);
    }
    passes
}

fn end(one: &TcpStream, other: &TcpStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

fn pump(
    from: &mut TcpStream,
    to: &mut TcpStream,
    mut pass: impl FnMut(&mut [u8]) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 || !pass(&mut buffer[..read]) {
            return Ok(());
        }
        to.write_all(&buffer[..read])?;
    }
}

/// What the rule says of a request whose head begins here; a head is sent in one piece.
fn fate(rule: &Mutex<Option<Rule>>, bytes: &[u8]) -> Option<Fate> {
    let mut rule = rule.lock().expect("unpoisoned");
    let Rule { fate, method, query, times } = rule.as_mut()?;
    let line = String::from_utf8_lossy(bytes.split(|&byte| byte == b'\r').next()?).into_owned();
    let is_meant = line.starts_with(&format!("{method} /")) && line.contains(*query) && *times > 0;
    is_meant.then(|| {
        *times -= 1;
        *fate
    })
}

fn make_unconditional(bytes: &mut [u8]) {
    let header = b"if-none-match";
    let at = bytes.windows(header.len()).position(|window| window.eq_ignore_ascii_case(header));
    let at = at.expect("the request has a condition");
    bytes[at..at + header.len()].copy_from_slice(b"x-was-nothing");
}
