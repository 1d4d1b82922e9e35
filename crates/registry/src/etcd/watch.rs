//! A watch: one stream from one member, until it ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::proto::{PbEvent, PbWatchResponse};
use etcd_client::{Client, Error, WatchOptions, WatchStream};
use tokio::sync::watch as signal;
use tokio::time::Instant;

use super::assembly::Assembly;
use super::keyspace::Keyspace;
use super::seen::{Seen, corrupt, revision};
use super::status::{NoAnswer, meaning};
use super::{EtcdRegistry, Repeat};
use crate::{Change, RegistryError, Revision, Watch};

/// A member that sent nothing for so long is asked whether it is there. With the time it has to answer, a
/// watch that fell silent ends within 10 s.
const SILENCE: Duration = Duration::from_secs(5);
/// etcd's numbers for kinds of events.
const PUT: i32 = 0;
const DELETE: i32 = 1;

pub(super) struct EtcdWatch {
    /// None once it has ended.
    stream: Option<WatchStream>,
    assembly: Assembly,
    keyspace: Keyspace,
    seen: Arc<Seen>,
    closed: signal::Receiver<bool>,
    liveness: Liveness,
}

/// When the member was last heard of.
#[derive(Debug)]
struct Liveness {
    heard: Instant,
    /// Since when an answer is waited for.
    asked: Option<Instant>,
    patience: Duration,
}

impl EtcdWatch {
    /// Begins a watch; returns when the member has it.
    pub(super) async fn begin(
        registry: &EtcdRegistry,
        prefix: &str,
        from: Revision,
    ) -> Result<Self, RegistryError> {
        let assembly = Assembly::new(from);
        let asked = i64::try_from(assembly.asked().0).unwrap_or(i64::MAX);
        let key = registry.keyspace.outer(prefix);
        let call = |mut client: Client| {
            let key = key.clone();
            // Large revisions in fragments: 4 MiB are taken of one message, and a revision may be larger.
            let options =
                WatchOptions::new().with_prefix().with_start_revision(asked).with_fragment();
            async move {
                let mut stream = client.watch(key, Some(options)).await?;
                let first = stream.message().await?;
                let ended = || Error::WatchError("the stream ended at once".to_owned());
                Ok((stream, first.ok_or_else(ended)?.0))
            }
        };
        let begun = registry.members()?.call(Repeat::Always, call).await?;
        let (stream, first) = begun.map_err(meaning)?;
        let mut watch = Self {
            stream: Some(stream),
            assembly,
            keyspace: registry.keyspace.clone(),
            seen: Arc::clone(&registry.seen),
            closed: registry.closed.subscribe(),
            liveness: Liveness { heard: Instant::now(), asked: None, patience: registry.timeout },
        };
        watch.take(first)?;
        Ok(watch)
    }

    /// Takes a message of the member.
    fn take(&mut self, message: PbWatchResponse) -> Result<(), RegistryError> {
        if message.compact_revision != 0 {
            let asked = self.assembly.next();
            // What happened at it is known in part, see `Assembly::asked`.
            let oldest = revision(message.compact_revision)?.next();
            return Err(RegistryError::Compacted { asked, oldest });
        }
        if message.canceled {
            let problem = format!("etcd ended the watch: {}", message.cancel_reason);
            return Err(RegistryError::Unavailable(problem.into()));
        }
        for event in message.events {
            let (at, change) = change(&self.keyspace, event)?;
            self.assembly.push(at, change)?;
        }
        if !message.fragment {
            self.assembly.close();
        }
        Ok(())
    }

    /// The next message, whatever it says. Cancel safe.
    async fn message(&mut self) -> Result<PbWatchResponse, RegistryError> {
        let Some(stream) = &mut self.stream else {
            return Err(RegistryError::Unavailable("the watch has ended".into()));
        };
        loop {
            let until = self.liveness.until();
            tokio::select! {
                biased;
                // Also where the registry is gone.
                _ = self.closed.wait_for(|is_closed| *is_closed) => return Err(RegistryError::Closed),
                message = stream.message() => {
                    self.liveness.heard();
                    let ended = || Error::WatchError("the stream ended".to_owned());
                    let message = message.and_then(|message| message.ok_or_else(ended));
                    return message.map(|message| message.0).map_err(meaning);
                }
                () = tokio::time::sleep_until(until) => {}
            }
            self.liveness.check()?;
            // Only room in a queue is waited for, and there is some: nothing else is ever sent.
            stream.request_progress().await.map_err(meaning)?;
        }
    }
}

impl Liveness {
    /// When to ask, or to give up.
    fn until(&self) -> Instant {
        self.asked.map_or(self.heard + SILENCE, |asked| asked + self.patience)
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
        self.asked = None;
    }

    /// Notes that the member is asked now; an error where it was, long enough ago.
    fn check(&mut self) -> Result<(), RegistryError> {
        if self.asked.is_some() {
            let within = self.patience;
            return Err(RegistryError::Unavailable(Box::new(NoAnswer { within })));
        }
        self.asked = Some(Instant::now());
        Ok(())
    }
}

#[async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<(Revision, Vec<Change>), RegistryError> {
        loop {
            if *self.closed.borrow() {
                self.stream = None;
                return Err(RegistryError::Closed);
            }
            if let Some((revision, changes)) = self.assembly.pop() {
                self.seen.reached(revision);
                return Ok((revision, changes));
            }
            let taken = match self.message().await {
                Ok(message) => self.take(message),
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                self.stream = None;
                return Err(error);
            }
        }
    }
}

fn change(keyspace: &Keyspace, event: PbEvent) -> Result<(Revision, Change), RegistryError> {
    let kind = event.r#type;
    let Some(stored) = event.kv else {
        return Err(corrupt("a watch told of a change without a key"));
    };
    let at = revision(stored.mod_revision)?;
    let change = match kind {
        PUT => Change::Put(keyspace.entry(stored)?),
        DELETE => Change::Delete { key: keyspace.inner(stored.key)?, at },
        _ => return Err(corrupt(format!("a watch told of a change of kind {kind}"))),
    };
    Ok((at, change))
}
