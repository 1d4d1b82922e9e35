//! The connections of this process: bounded, kept for a while, and thrown away at the first doubt.
//!
//! Not the driver's own pool: that one waits on a connection it takes back, without bound, so that a peer that is
//! gone without a word holds its places for as long as TCP believes in it; and it hides why it cannot connect.

use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nautilus_types::sooner;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::config::PostgresConfig;
use super::fault::Failure;

/// Unused for longer, a connection is not used again: firewalls forget them without telling.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Older, it is not used again, so that new passwords and certificates come into use; up to a quarter sooner, drawn for
/// each, or those made in one busy moment would all have to be made again in another.
const AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// Connections made at the same time. A login costs the server a process and both sides thousands of hashes: where calls
/// had to wait for one another because the machine was busy, as many logins as calls made them wait for hundreds of ms.
const LOGINS_MAX: usize = 2;
/// How long a call waits for a connection in use before it logs in: others are usually done sooner than a login is, and
/// the first statements on a new connection, which the server has yet to read its own tables for.
const PATIENCE: Duration = Duration::from_millis(10);
/// How long closing may take, over all connections.
const CLOSE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Connections {
    config: PostgresConfig,
    places: Arc<Semaphore>,
    /// Used in turn, the one used last is at the end: while calls come none grows stale, and a busy moment finds as many as
    /// the one before had.
    idle: Mutex<VecDeque<Kept>>,
    /// One came back.
    returned: Notify,
    logins: Semaphore,
}

#[derive(Debug)]
struct Kept {
    connection: PgConnection,
    too_old_at: Instant,
    used: Instant,
}

impl Kept {
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.used) < IDLE_MAX && now < self.too_old_at
    }
}

/// A connection in use. Dropped without [`Connections::take_back`] it is closed, which is what becomes of it when a
/// call is given up in the middle.
#[derive(Debug)]
pub(super) struct Lease {
    connection: PgConnection,
    too_old_at: Instant,
    /// Whether it served calls before this one.
    pub(super) is_reused: bool,
    _place: OwnedSemaphorePermit,
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

enum KeptOrTurn<'a> {
    Kept(Kept),
    Turn(SemaphorePermit<'a>),
}

impl Connections {
    pub(super) fn new(config: PostgresConfig) -> Self {
        let places = usize::try_from(config.connections_max).unwrap_or(1);
        Self {
            config,
            places: Arc::new(Semaphore::new(places)),
            idle: Mutex::default(),
            returned: Notify::new(),
            logins: Semaphore::new(LOGINS_MAX),
        }
    }

    pub(super) fn config(&self) -> &PostgresConfig {
        &self.config
    }

    /// A connection of its own for the caller, who bounds the waiting.
    pub(super) async fn take(&self) -> Result<Lease, Failure> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| no_connection("the catalog was closed"))?;
        let (connection, too_old_at, is_reused) = match self.kept_or_turn().await? {
            KeptOrTurn::Kept(Kept { connection, too_old_at, .. }) => (connection, too_old_at, true),
            KeptOrTurn::Turn(_turn) => {
                let connection = self.connect().await?;
                (connection, Instant::now() + sooner(AGE_MAX, rand::random()), false)
            }
        };
        Ok(Lease { connection, too_old_at, is_reused, _place: place })
    }

    /// What comes first: a connection that nobody uses, or one's turn to make another.
    async fn kept_or_turn(&self) -> Result<KeptOrTurn<'_>, Failure> {
        let turn = async {
            if self.are_others_in_use() {
                tokio::time::sleep(PATIENCE).await;
            }
            self.logins.acquire().await
        };
        tokio::pin!(turn);
        loop {
            let returned = self.returned.notified();
            if let Some(kept) = self.longest_idle() {
                return Ok(KeptOrTurn::Kept(kept));
            }
            tokio::select! {
                biased;
                () = returned => {}
                turn = &mut turn => {
                    let turn = turn.map_err(|_| no_connection("the catalog was closed"))?;
                    return Ok(self.longest_idle().map_or(KeptOrTurn::Turn(turn), KeptOrTurn::Kept));
                }
            }
        }
    }

    /// Whether somebody beside the caller, who has a place, has one.
    fn are_others_in_use(&self) -> bool {
        let places = usize::try_from(self.config.connections_max).unwrap_or(1);
        self.places.available_permits() + 1 < places
    }

    /// Keeps a connection on which nothing is going on.
    pub(super) fn take_back(&self, lease: Lease) {
        let now = Instant::now();
        let Lease { connection, too_old_at, .. } = lease;
        let kept = Kept { connection, too_old_at, used: now };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.is_fresh(now));
        if !self.places.is_closed() && kept.is_fresh(now) {
            idle.push_back(kept);
            self.returned.notify_one();
        }
        // The place becomes free after the connection is there to be taken.
    }

    /// Closes what is not in use: after one was found broken the others most likely are.
    pub(super) fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// No connection is given out from now on; those in use are closed when they come back.
    pub(super) async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        let say_goodbye = async {
            for kept in idle {
                // The server notices the end also without being told.
                let _ = kept.connection.close().await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_MAX, say_goodbye).await;
    }

    fn longest_idle(&self) -> Option<Kept> {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.is_fresh(now));
        idle.pop_front()
    }

    async fn connect(&self) -> Result<PgConnection, Failure> {
        let options = self.config.connect_options();
        let options = options.map_err(|error| Failure::NoConnection(Box::new(error)))?;
        let mut connection = PgConnection::connect_with(&options).await?;
        let (is_standby, encoding, commit): (bool, String, String) = sqlx::query_as(
            "SELECT pg_is_in_recovery(), current_setting('server_encoding'),
                    current_setting('synchronous_commit')",
        )
        .fetch_one(&mut connection)
        .await?;
        if is_standby {
            return Err(no_connection("the server is a standby, which may be behind"));
        }
        if encoding != "UTF8" {
            return Err(no_connection("the database's encoding is not UTF8"));
        }
        if commit == "off" {
            // Or acknowledged changes could be lost with the server.
            connection.execute("SET synchronous_commit = on").await?;
        }
        Ok(connection)
    }
}

fn no_connection(why: &'static str) -> Failure {
    Failure::NoConnection(Box::new(io::Error::other(why)))
}
