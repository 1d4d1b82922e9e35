//! Where the database is, how to log in to it, and how much waiting is allowed.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nautilus_types::Class;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// The schema all tables are in; nothing outside it is looked at.
pub(super) const SCHEMA: &str = "nautilus_catalog";
/// Most connections one process may be given.
const CONNECTIONS_MAX: u32 = 256;

/// What [`PostgresCatalog`](crate::PostgresCatalog) is told. Holds paths of secrets, never secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Name or address of the server; starting with `/`, the folder of its socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role to log in as. To make or change tables it needs CREATE on the database, or an empty schema
    /// `nautilus_catalog` of its own; where the tables are up to date, rights to use them are enough.
    pub role: String,
    /// File with the role's password, which nobody else may read. Read at each new connection, so that a new
    /// password needs no restart. None where a client certificate or the socket's owner says who is asking.
    pub password_file: Option<PathBuf>,
    /// Encryption.
    pub tls: PostgresTls,
    /// Connections of this process.
    pub connections_max: u32,
    /// How long a call may take, waiting for a connection included.
    pub call_timeout: Duration,
    /// How long the server may work on one statement, waiting for locks included.
    pub statement_timeout: Duration,
}

/// How a connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresTls {
    /// Not at all: for loopback and sockets.
    Off,
    /// TLS with a certificate of the server that is valid for its name.
    Verified {
        /// File with certificates of authorities (PEM) to trust, in addition to those all browsers trust: the
        /// driver offers no way to trust only these.
        ca_file: Option<PathBuf>,
        /// To say who is asking.
        client: Option<PostgresClientCertificate>,
    },
}

/// A certificate with its key, both PEM. Read at each new connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresClientCertificate {
    /// The chain, own certificate first.
    pub certificate_file: PathBuf,
    /// The key, which nobody else may read.
    pub key_file: PathBuf,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresConfigError {
    /// A setting is out of its range.
    #[error("{setting} {reason}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file with a secret cannot be read.
    #[error("read {}", path.display())]
    Secret {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Others may read a secret.
    #[error("{} may be read by others (mode {mode:o})", path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl PostgresConfigError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Setting { .. } => Class::Invalid,
            Self::Secret { .. } | Self::TooOpen { .. } => Class::Precondition,
        }
    }
}

fn setting(setting: &'static str, reason: &'static str) -> PostgresConfigError {
    PostgresConfigError::Setting { setting, reason }
}

impl PostgresConfig {
    /// A configuration with verified TLS and no password.
    #[must_use]
    pub fn new(
        host: impl Into<String>,
        role: impl Into<String>,
        database: impl Into<String>,
    ) -> Self {
        Self {
            host: host.into(),
            port: 5432,
            database: database.into(),
            role: role.into(),
            password_file: None,
            tls: PostgresTls::Verified { ca_file: None, client: None },
            connections_max: 16,
            call_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(1),
        }
    }

    /// Reads `postgres://role@host:port/database`. A password in it is refused: addresses end up in logs and
    /// lists of processes, so it has a file of its own.
    pub fn from_url(url: &str) -> Result<Self, PostgresConfigError> {
        let wrong = |reason| setting("PostgreSQL URL", reason);
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| wrong("does not start with postgres://"))?;
        if rest.contains(['?', '#', '%']) {
            return Err(wrong("has parameters or escapes, which have settings of their own"));
        }
        let (role, rest) = rest.split_once('@').ok_or_else(|| wrong("names no role"))?;
        if role.contains(':') {
            return Err(wrong("holds a password, which belongs into a file"));
        }
        let (place, database) = rest.split_once('/').ok_or_else(|| wrong("names no database"))?;
        // An address of IPv6 is in brackets, because of its colons.
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((host, port)) => (host, port),
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let mut config = Self::new(host, role, database);
        if let Some(port) = port.strip_prefix(':') {
            config.port = port.parse().map_err(|_| wrong("has no number for a port"))?;
        } else if !port.is_empty() {
            return Err(wrong("has no number for a port"));
        }
        config.validate()?;
        Ok(config)
    }

    /// Checks every setting, and no file.
    pub fn validate(&self) -> Result<(), PostgresConfigError> {
        for (name, text) in [
            ("PostgreSQL host", &self.host),
            ("PostgreSQL database", &self.database),
            ("PostgreSQL role", &self.role),
        ] {
            if text.is_empty() {
                return Err(setting(name, "is empty"));
            }
            // The protocol ends texts with it.
            if text.contains('\0') {
                return Err(setting(name, "holds a NUL"));
            }
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections_max) {
            return Err(setting("PostgreSQL connections", "are not 1 to 256"));
        }
        if self.statement_timeout < Duration::from_millis(1) {
            return Err(setting("PostgreSQL statement timeout", "is below 1 ms"));
        }
        if self.call_timeout < self.statement_timeout {
            return Err(setting("PostgreSQL call timeout", "is below the statement timeout"));
        }
        if self.call_timeout > Duration::from_secs(600) {
            return Err(setting("PostgreSQL call timeout", "is above 10 minutes"));
        }
        Ok(())
    }

    /// What the driver is told. Reads the files.
    pub(super) fn connect_options(&self) -> Result<PgConnectOptions, PostgresConfigError> {
        // The driver starts from its variables (PGHOST, PGPASSWORD, …); everything that says where and as whom
        // to log in is set here, also to nothing.
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.role)
            .database(&self.database)
            .password(&self.password()?)
            .application_name("nautilus-catalog")
            .ssl_root_cert_from_pem(Vec::new());
        options = match &self.tls {
            PostgresTls::Off => options.ssl_mode(PgSslMode::Disable),
            PostgresTls::Verified { ca_file, client } => {
                let mut options = options.ssl_mode(PgSslMode::VerifyFull);
                if let Some(path) = ca_file {
                    options = options.ssl_root_cert_from_pem(read(path)?);
                }
                if let Some(client) = client {
                    options = options
                        .ssl_client_cert_from_pem(read(&client.certificate_file)?)
                        .ssl_client_key_from_pem(read_private(&client.key_file)?);
                }
                options
            }
        };
        let ms = |duration: Duration| format!("{}ms", duration.as_millis());
        Ok(options
            .options([
                ("search_path", format!("{SCHEMA},pg_temp")),
                ("default_transaction_isolation", "read committed".to_owned()),
                ("default_transaction_read_only", "off".to_owned()),
                ("statement_timeout", ms(self.statement_timeout)),
                // Ends what a process left behind that vanished in the middle of a change, locks included.
                ("idle_in_transaction_session_timeout", ms(self.call_timeout * 2)),
            ])
            .disable_statement_logging())
    }

    fn password(&self) -> Result<String, PostgresConfigError> {
        let Some(path) = &self.password_file else { return Ok(String::new()) };
        let text = String::from_utf8(read_private(path)?).map_err(|_| {
            let source = io::Error::new(io::ErrorKind::InvalidData, "not UTF-8");
            PostgresConfigError::Secret { path: path.clone(), source }
        })?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, PostgresConfigError> {
    fs::read(path).map_err(|source| PostgresConfigError::Secret { path: path.clone(), source })
}

fn read_private(path: &PathBuf) -> Result<Vec<u8>, PostgresConfigError> {
    let looked = fs::metadata(path);
    let metadata =
        looked.map_err(|source| PostgresConfigError::Secret { path: path.clone(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PostgresConfigError::TooOpen { path: path.clone(), mode });
    }
    read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_passwords_in_them_refused() {
        let config = PostgresConfig::from_url("postgres://catalog@db.example:6543/nautilus");
        let config = config.expect("valid");
        let parts = (&*config.host, config.port, &*config.role, &*config.database);
        assert_eq!(parts, ("db.example", 6543, "catalog", "nautilus"));
        let config = PostgresConfig::from_url("postgresql://c@[::1]/n").expect("valid");
        assert_eq!((&*config.host, config.port), ("::1", 5432));
        assert!(matches!(config.tls, PostgresTls::Verified { .. }), "unless told otherwise");
        for url in [
            "mysql://c@h/d",
            "postgres://h/d",
            "postgres://c@h",
            "postgres://c@h/",
            "postgres://c@/d",
            "postgres://c@h:no/d",
            "postgres://c@h:70000/d",
            "postgres://c@[::1]5/d",
            "postgres://c@h/d?sslmode=disable",
            "postgres://c:secret@h/d",
        ] {
            let error = PostgresConfig::from_url(url).expect_err(url);
            assert_eq!(error.class(), Class::Invalid);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn settings_have_bounds() {
        let good = PostgresConfig::new("h", "r", "d");
        assert!(good.validate().is_ok());
        let wrong: [fn(&mut PostgresConfig); 6] = [
            |c| c.host.clear(),
            |c| c.role = "a\0b".to_owned(),
            |c| c.connections_max = 0,
            |c| c.connections_max = 257,
            |c| c.call_timeout = Duration::from_millis(10),
            |c| c.statement_timeout = Duration::ZERO,
        ];
        for change in wrong {
            let mut config = good.clone();
            change(&mut config);
            assert_eq!(config.validate().expect_err("must fail").class(), Class::Invalid);
        }
    }

    #[test]
    fn secrets_are_private_and_never_shown() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("password");
        fs::write(&path, "hunter2\n").expect("writes");
        let mut config = PostgresConfig::new("h", "r", "d");
        config.password_file = Some(path.clone());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("sets");
        assert!(matches!(config.password(), Err(PostgresConfigError::TooOpen { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
        assert_eq!(config.password().expect("reads"), "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
        config.password_file = Some(dir.path().join("none"));
        let error = config.connect_options().expect_err("must fail");
        assert_eq!(error.class(), Class::Precondition);
    }
}
