//! The members of etcd: connections to them, the deadline of a call, and whom to ask next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Channel, Client, ConnectOptions, Error};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::config::{EtcdConfig, EtcdTls, EtcdUser, invalid};
use super::status::{self, NoAnswer};
use crate::RegistryError;

/// HTTP/2 pings while anything is open on a connection. etcd closes connections that ping more often than
/// every 5 s, or ping while idle.
const PING_INTERVAL: Duration = Duration::from_secs(6);
/// With the interval: a member that fell silent without closing its connections is noticed within 9 s.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// A call's time is shared among at most so many members.
const ATTEMPTS_IN_TIME: u32 = 3;
/// Whoever gives up on a call sooner than this says nothing about the member.
const SUSPICIOUS: Duration = Duration::from_millis(250);

/// What may be done with a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It may happen twice.
    Always,
    /// It may be repeated only where it was surely not sent.
    OnlyUnsent,
}

/// All members, and the one that is asked.
pub(super) struct Members {
    members: Vec<Member>,
    /// Index of the one that is asked until it fails.
    current: AtomicUsize,
    timeout: Duration,
    options: ConnectOptions,
}

struct Member {
    endpoint: String,
    /// Connects when needed, and again when needed.
    channel: tonic::transport::Channel,
    /// Made with the first call, since it may have to authenticate.
    client: OnceCell<Client>,
}

impl Members {
    pub(super) async fn new(config: &EtcdConfig) -> Result<Self, RegistryError> {
        let tls = match &config.tls {
            Some(tls) => Some(client_tls(tls).await?),
            None => None,
        };
        let members = config.endpoints.iter().map(|endpoint| {
            let channel = channel(endpoint, config.connect_timeout, tls.clone())?;
            Ok(Member { endpoint: endpoint.clone(), channel, client: OnceCell::new() })
        });
        let members = members.collect::<Result<_, RegistryError>>()?;
        let mut options =
            ConnectOptions::new().with_require_leader(true).with_auto_token_refresh(true);
        if let Some(EtcdUser { name, password_file }) = &config.user {
            let password = read(password_file).await?;
            let password = String::from_utf8(password)
                .map_err(|_| invalid(format!("{} holds no text", password_file.display())))?;
            options = options.with_user(name, password.trim_end_matches(['\r', '\n']));
        }
        Ok(Self { members, current: AtomicUsize::new(0), timeout: config.timeout, options })
    }

    /// Performs a call within the deadline, at another member where one fails and the call may be repeated.
    /// The inner error is what etcd answered, for the caller to judge.
    pub(super) async fn call<T, F>(
        &self,
        repeat: Repeat,
        call: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<Result<T, Error>, RegistryError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        self.in_time(self.attempts(repeat, call)).await
    }

    /// The outcome of `call` within the deadline of a call.
    pub(super) async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(no_answer(self.timeout)),
        }
    }

    async fn attempts<T, F>(
        &self,
        repeat: Repeat,
        call: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<Result<T, Error>, RegistryError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let share = match repeat {
            Repeat::Always => self.timeout / members.min(ATTEMPTS_IN_TIME),
            Repeat::OnlyUnsent => self.timeout,
        };
        // One more than there are members: the first may be a connection that has just been lost.
        let mut attempts_left = self.members.len();
        loop {
            let attempt = Attempt::begin(self);
            // Boxed: what the client needs for a call is some 20 KiB.
            let performed = Box::pin(attempt.perform(&call));
            let outcome = tokio::time::timeout(share, performed).await;
            let is_last = attempts_left == 0;
            attempts_left = attempts_left.saturating_sub(1);
            match outcome {
                Ok(Ok(answer)) => {
                    attempt.end();
                    return Ok(Ok(answer));
                }
                Ok(Err(error)) => {
                    if status::is_of_member(&error) {
                        attempt.fail(&error);
                        if !is_last && (repeat == Repeat::Always || status::is_unsent(&error)) {
                            continue;
                        }
                    } else {
                        attempt.end();
                    }
                    return Ok(Err(error));
                }
                Err(_) => {
                    attempt.fail(&NoAnswer { within: share });
                    if is_last || repeat == Repeat::OnlyUnsent {
                        return Err(no_answer(share));
                    }
                }
            }
        }
    }

    /// Has the next member asked, unless another call did so meanwhile.
    fn leave(&self, index: usize) {
        let next = (index + 1) % self.members.len();
        let _ = self.current.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// One try of a call at one member.
struct Attempt<'a> {
    members: &'a Members,
    index: usize,
    since: Instant,
    is_over: bool,
}

impl<'a> Attempt<'a> {
    fn begin(members: &'a Members) -> Self {
        let index = members.current.load(Ordering::Relaxed);
        Self { members, index, since: Instant::now(), is_over: false }
    }

    fn member(&self) -> &'a Member {
        &self.members.members[self.index]
    }

    async fn perform<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let member = self.member();
        let made = || {
            let channel = Channel::Tonic(member.channel.clone());
            Client::from_channel(channel, Some(self.members.options.clone()))
        };
        let client = member.client.get_or_try_init(made).await?.clone();
        call(client).await
    }

    fn end(mut self) {
        self.is_over = true;
    }

    fn fail(mut self, error: &(dyn std::error::Error + 'static)) {
        self.is_over = true;
        tracing::debug!(endpoint = self.member().endpoint, error, "a call to etcd failed");
        self.members.leave(self.index);
    }
}

impl Drop for Attempt<'_> {
    /// A caller with less patience than ours drops the call: the member is to blame all the same.
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() >= SUSPICIOUS {
            self.members.leave(self.index);
        }
    }
}

fn no_answer(within: Duration) -> RegistryError {
    RegistryError::Unavailable(Box::new(NoAnswer { within }))
}

fn channel(
    endpoint: &str,
    connect_timeout: Duration,
    tls: Option<ClientTlsConfig>,
) -> Result<tonic::transport::Channel, RegistryError> {
    let wrong = |error| invalid(format!("endpoint {endpoint} of etcd: {error:?}"));
    let mut endpoint = Endpoint::from_shared(endpoint.to_owned()).map_err(wrong)?;
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls).map_err(wrong)?;
    }
    Ok(endpoint
        .connect_timeout(connect_timeout)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(false)
        .connect_lazy())
}

async fn client_tls(tls: &EtcdTls) -> Result<ClientTlsConfig, RegistryError> {
    let mut config =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&tls.ca_file).await?));
    if let Some(identity) = &tls.identity {
        let certificate = read(&identity.certificate_file).await?;
        let key = read(&identity.key_file).await?;
        config = config.identity(Identity::from_pem(certificate, key));
    }
    Ok(config)
}

async fn read(file: &std::path::Path) -> Result<Vec<u8>, RegistryError> {
    let read = tokio::fs::read(file).await;
    read.map_err(|error| invalid(format!("read {}: {error}", file.display())))
}
