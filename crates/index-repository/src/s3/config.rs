//! What an [`S3Repository`](super::S3Repository) is told: where, as whom, and how patiently.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::{NAME_BYTES_MAX, ObjectName, RepositoryError};

/// Least bytes of a part that S3 takes, unless it is the last.
const PART_BYTES_MIN: usize = 5 * 1024 * 1024;
/// Parts are held in memory.
const PART_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most parts of one object on their way at once.
const PARTS_IN_FLIGHT_MAX: usize = 16;
/// Most attempts of one request.
const ATTEMPTS_MAX: u32 = 20;
/// Longest prefix: it and the longest name stay below S3's 1,024 bytes of a key.
const PREFIX_BYTES_MAX: usize = 1024 - NAME_BYTES_MAX - 1;

/// Where the objects are and how they are reached.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Config {
    /// `https://host[:port]` of the service; `None` is AWS's own in the region.
    pub endpoint: Option<String>,
    /// The region requests are signed for.
    pub region: String,
    /// The bucket. It must be there.
    pub bucket: String,
    /// The folder of the bucket that is this repository's alone; `None` is the whole bucket.
    pub prefix: Option<ObjectName>,
    /// Whether the bucket is named in the path (`host/bucket/…`) and not in the host's name.
    pub is_path_style: bool,
    /// Whether an endpoint that is not on loopback may be asked without TLS. Then whoever is on the
    /// way reads everything.
    pub allow_plaintext: bool,
    /// Who asks.
    pub credentials: S3Credentials,
    /// PEM file of certificate authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// For a connection to come about.
    pub connect_timeout: Duration,
    /// For one attempt of a request, its body and its answer's included.
    pub request_timeout: Duration,
    /// How often a request is sent at most, the first time included.
    pub attempts_max: u32,
    /// Before the second attempt; it doubles with each further one, up to [`pause_max`](Self::pause_max),
    /// and half of it is drawn at random.
    pub pause_first: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// Objects up to this length are stored by one request, longer ones in parts of it.
    pub part_bytes: usize,
    /// Parts of one object on their way at once. An upload holds one part more in memory.
    pub parts_in_flight_max: usize,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum S3Credentials {
    /// A key as it is.
    Fixed {
        /// Names the key.
        key_id: String,
        /// The secret.
        secret_key: String,
        /// Beside a key that is valid for a while only.
        token: Option<String>,
    },
    /// The section `[default]` of a file as AWS's tools write it: lines `aws_access_key_id = …`,
    /// `aws_secret_access_key = …` and, with temporary keys, `aws_session_token = …`. It is read again
    /// when it changes.
    File(PathBuf),
    /// What AWS's own tools would find in the process's surroundings: the variables `AWS_ACCESS_KEY_ID`
    /// and so on, a web identity, the container's or the machine's role.
    Ambient,
}

impl S3Config {
    /// A bucket on AWS, with what suits most for everything else.
    #[must_use]
    pub fn new(region: impl Into<String>, bucket: impl Into<String>) -> Self {
        Self {
            endpoint: None,
            region: region.into(),
            bucket: bucket.into(),
            prefix: None,
            is_path_style: true,
            allow_plaintext: false,
            credentials: S3Credentials::Ambient,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            attempts_max: 4,
            pause_first: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
            part_bytes: 8 * 1024 * 1024,
            parts_in_flight_max: 2,
        }
    }

    /// [`RepositoryError::Invalid`] names the first setting that cannot be.
    pub(super) fn check(&self) -> Result<(), RepositoryError> {
        check("region", !self.region.is_empty(), "is empty")?;
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_bucket = (3..=63).contains(&self.bucket.len()) && self.bucket.bytes().all(is_plain);
        check("bucket", is_bucket, "is not 3 to 63 letters, digits, dots and dashes")?;
        let prefix_bytes = self.prefix.as_ref().map_or(0, |prefix| prefix.as_str().len());
        check("prefix", prefix_bytes <= PREFIX_BYTES_MAX, "is longer than 511 bytes")?;
        if let Some(endpoint) = &self.endpoint {
            self.check_endpoint(endpoint)?;
        }
        for (what, time) in
            [("connect timeout", self.connect_timeout), ("request timeout", self.request_timeout)]
        {
            check(what, !time.is_zero(), "is zero")?;
        }
        let is_within = |value: usize, min: usize, max: usize| (min..=max).contains(&value);
        check("attempts", (1..=ATTEMPTS_MAX).contains(&self.attempts_max), "are not 1 to 20")?;
        let is_part = is_within(self.part_bytes, PART_BYTES_MIN, PART_BYTES_MAX);
        check("part size", is_part, "is not 5 to 256 MiB")?;
        let is_count = is_within(self.parts_in_flight_max, 1, PARTS_IN_FLIGHT_MAX);
        check("parts in flight", is_count, "are not 1 to 16")
    }

    fn check_endpoint(&self, endpoint: &str) -> Result<(), RepositoryError> {
        let uri: Option<Uri> = endpoint.parse().ok();
        let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)));
        let Some((scheme, authority)) = parts else {
            return check("endpoint", false, "is not https://host[:port]");
        };
        let is_bare = uri.as_ref().is_some_and(|uri| uri.path() == "/" && uri.query().is_none());
        check("endpoint", is_bare, "has a path: that is the prefix's place")?;
        check("endpoint", !authority.as_str().contains('@'), "has credentials in it")?;
        match scheme {
            "https" => Ok(()),
            "http" => {
                let is_allowed = self.allow_plaintext || is_loopback(authority.host());
                check("endpoint", is_allowed, "is without TLS and not on loopback")
            }
            _ => check("endpoint", false, "is neither https:// nor http://"),
        }
    }

    /// The endpoint as the client wants it: with the bucket in the host's name where it is not in the path.
    pub(super) fn client_endpoint(&self) -> Option<String> {
        let endpoint = self.endpoint.as_deref()?.trim_end_matches('/');
        match endpoint.split_once("://") {
            Some((scheme, host)) if !self.is_path_style => {
                Some(format!("{scheme}://{}.{host}", self.bucket))
            }
            Some(_) | None => Some(endpoint.to_owned()),
        }
    }

    /// What all keys begin with: nothing, or `prefix/`.
    pub(super) fn key_prefix(&self) -> String {
        self.prefix.as_ref().map(|prefix| format!("{prefix}/")).unwrap_or_default()
    }
}

/// Shows everything but the secrets.
impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("is_path_style", &self.is_path_style)
            .field("allow_plaintext", &self.allow_plaintext)
            .field("credentials", &self.credentials)
            .field("ca_file", &self.ca_file)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("attempts_max", &self.attempts_max)
            .field("pause_first", &self.pause_first)
            .field("pause_max", &self.pause_max)
            .field("part_bytes", &self.part_bytes)
            .field("parts_in_flight_max", &self.parts_in_flight_max)
            .finish()
    }
}

/// Shows whose key it is, never the key.
impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { key_id, .. } => {
                f.debug_struct("Fixed").field("key_id", key_id).finish_non_exhaustive()
            }
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Ambient => f.write_str("Ambient"),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn check(what: &'static str, holds: bool, problem: &str) -> Result<(), RepositoryError> {
    if holds {
        return Ok(());
    }
    Err(RepositoryError::Invalid { what, problem: format!("it {problem}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut S3Config);

    #[test]
    fn each_setting_is_checked() {
        let sound = S3Config::new("eu-central-1", "a-bucket");
        sound.check().expect("sound");
        let at = |endpoint: &str| {
            S3Config { endpoint: Some(endpoint.to_owned()), ..sound.clone() }.check()
        };
        for allowed in
            ["https://s3.example", "http://127.0.0.1:9000", "http://[::1]:9", "http://localhost/"]
        {
            at(allowed).unwrap_or_else(|error| panic!("{allowed}: {error}"));
        }
        for refused in [
            "",
            "s3.example",
            "http://s3.example",
            "http://10.0.0.1:80",
            "ftp://127.0.0.1",
            "https://s3.example/path",
            "https://s3.example?x",
            "https://me:secret@s3.example",
            "https://",
        ] {
            assert!(at(refused).is_err(), "{refused}");
        }
        let plain = S3Config {
            endpoint: Some("http://s3.example".to_owned()),
            allow_plaintext: true,
            ..sound.clone()
        };
        plain.check().expect("allowed when it is said");
        let changes: [(&str, Change); 9] = [
            ("region", |c| c.region.clear()),
            ("bucket", |c| c.bucket = "ab".to_owned()),
            ("bucket", |c| c.bucket = "with/slash".to_owned()),
            ("connect timeout", |c| c.connect_timeout = Duration::ZERO),
            ("request timeout", |c| c.request_timeout = Duration::ZERO),
            ("attempts", |c| c.attempts_max = 0),
            ("part size", |c| c.part_bytes = PART_BYTES_MIN - 1),
            ("parts in flight", |c| c.parts_in_flight_max = 0),
            ("prefix", |c| {
                c.prefix =
                    ObjectName::new(["p".repeat(200), "p".repeat(200), "p".repeat(110)].join("/"))
                        .ok();
            }),
        ];
        for (expected, change) in changes {
            let mut config = sound.clone();
            change(&mut config);
            match config.check() {
                Err(RepositoryError::Invalid { what, .. }) => assert_eq!(what, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = S3Credentials::Fixed {
            key_id: "who".to_owned(),
            secret_key: "hush".to_owned(),
            token: Some("hush-too".to_owned()),
        };
        let shown = format!("{:?}", S3Config { credentials, ..S3Config::new("r", "bucket") });
        assert!(shown.contains("who") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn the_bucket_is_in_the_path_or_in_the_host() {
        let mut config = S3Config::new("r", "bucket");
        assert_eq!(config.client_endpoint(), None);
        config.endpoint = Some("https://s3.example:9000/".to_owned());
        assert_eq!(config.client_endpoint().as_deref(), Some("https://s3.example:9000"));
        config.is_path_style = false;
        assert_eq!(config.client_endpoint().as_deref(), Some("https://bucket.s3.example:9000"));
    }
}
