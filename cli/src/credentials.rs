//! Tokens for the calls of this process: the one given, or ones made with the development issuer's key.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use nautilus_identity::DevelopmentIssuer;
use nautilus_service::Clock;
use nautilus_types::Class;
use tonic::metadata::{Ascii, MetadataValue};

use crate::cli::Global;
use crate::exit::Failure;
use crate::location;

/// Life of a token made for one call.
const CALL_TOKEN_LIFETIME: Duration = Duration::from_secs(120);

/// Life of a token made to be used elsewhere: the longest there is.
const TOKEN_LIFETIME: Duration = Duration::from_secs(nautilus_identity::TOKEN_LIFETIME_S_MAX);

/// Name under which operator commands of this machine appear. It needs no account: the token itself
/// says that it is an operator's.
const OPERATOR: &str = "operator";

/// On whose behalf a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The user of `--as`.
    User,
    /// The operator of the cluster.
    Operator,
    /// The user of `--as` as somebody who may also operate the cluster.
    OperatingUser,
}

/// Where tokens come from.
#[derive(Clone)]
pub(crate) struct Credentials {
    given: Option<String>,
    user: String,
    data_dir: PathBuf,
    clock: Clock,
    /// Opened at the first token: most commands need the key only once connected.
    issuer: Arc<OnceLock<DevelopmentIssuer>>,
}

impl Credentials {
    /// What the arguments say.
    pub(crate) fn of(global: &Global, clock: Clock) -> Self {
        Self {
            given: global.token.clone(),
            user: global.user.clone(),
            data_dir: global.data_dir.clone(),
            clock,
            issuer: Arc::default(),
        }
    }

    /// Whether tokens are made here rather than given.
    pub(crate) fn are_made_here(&self) -> bool {
        self.given.is_none()
    }

    /// The `authorization` of a call.
    pub(crate) fn bearer(&self, caller: Caller) -> anyhow::Result<MetadataValue<Ascii>> {
        let token = match &self.given {
            Some(given) => given.clone(),
            None => self.make(caller, CALL_TOKEN_LIFETIME)?,
        };
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
            .parse()
            .map_err(|_| Failure::usage("the token holds characters no token has"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// A token that another program may use for a while.
    pub(crate) fn token(&self, caller: Caller) -> anyhow::Result<String> {
        self.make(caller, TOKEN_LIFETIME)
    }

    /// The command that gets a token for such a call.
    pub(crate) fn how_to_get(&self, caller: Caller) -> String {
        if caller == Caller::OperatingUser {
            return format!("export NAUTILUS_TOKEN=… of {}, whose role is operator", self.user);
        }
        let whose = match caller {
            Caller::User => crate::grpcurl::quote(&self.user),
            Caller::Operator | Caller::OperatingUser => "--operator".to_owned(),
        };
        let data_dir = crate::grpcurl::quote(&self.data_dir.to_string_lossy());
        format!("export NAUTILUS_TOKEN=$(nautilus --data-dir {data_dir} user token {whose})")
    }

    fn make(&self, caller: Caller, lifetime: Duration) -> anyhow::Result<String> {
        let now_unix_s = self.clock.unix_ms() / 1_000;
        let issuer = self.issuer()?;
        let made = match caller {
            Caller::User => issuer.issue(&self.user, now_unix_s, lifetime),
            Caller::Operator => issuer.issue_operator(OPERATOR, now_unix_s, lifetime),
            Caller::OperatingUser => issuer.issue_operator(&self.user, now_unix_s, lifetime),
        };
        made.map_err(|error| Failure::new(error.class(), error.to_string()).into())
    }

    fn issuer(&self) -> anyhow::Result<&DevelopmentIssuer> {
        if let Some(issuer) = self.issuer.get() {
            return Ok(issuer);
        }
        let dir = location::identity_dir(&self.data_dir);
        // Opening makes a key where there is none, and a key nobody trusts helps nobody.
        if !dir.is_dir() {
            return Err(Failure::new(
                Class::Unauthenticated,
                format!(
                    "no key to make tokens with in {}\nSay where `nautilus dev` keeps its data \
                     with --data-dir, or give a token in NAUTILUS_TOKEN.",
                    self.data_dir.display()
                ),
            )
            .into());
        }
        let issuer = DevelopmentIssuer::open(&dir)
            .with_context(|| format!("open the key in {}", dir.display()))?;
        Ok(self.issuer.get_or_init(|| issuer))
    }
}
