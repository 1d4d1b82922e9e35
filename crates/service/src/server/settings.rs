//! What a server is told: limits, deadlines, keepalive. Defaults follow the project's limits table.

use std::time::Duration;

/// How long the requests of a method may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadlinePolicy {
    /// For callers that state no `grpc-timeout`; none means no limit.
    pub default: Option<Duration>,
    /// The most a caller can get; none means no limit.
    pub max: Option<Duration>,
}

impl DeadlinePolicy {
    /// For requests that one message answers: 10 s unless stated, at most 60 s.
    pub const UNARY: Self =
        Self { default: Some(Duration::from_secs(10)), max: Some(Duration::from_secs(60)) };
    /// For streams that stay open: as long as the caller likes.
    pub const STREAM: Self = Self { default: None, max: None };

    /// The budget of a request that states `stated`.
    #[must_use]
    pub fn budget(self, stated: Option<Duration>) -> Option<Duration> {
        match (stated.or(self.default), self.max) {
            (Some(wanted), Some(max)) => Some(wanted.min(max)),
            (Some(wanted), None) => Some(wanted),
            (None, max) => max,
        }
    }
}

/// The deadline policies of a server, by method.
#[derive(Debug, Clone)]
pub struct DeadlineRules {
    /// Where no rule matches.
    pub usual: DeadlinePolicy,
    /// Path prefixes such as `/nautilus.ingest.v1.IngestService/` or one full method path; the
    /// first that matches counts.
    pub by_prefix: Vec<(String, DeadlinePolicy)>,
}

impl DeadlineRules {
    /// The policy of a method path.
    #[must_use]
    pub fn policy(&self, path: &str) -> DeadlinePolicy {
        let matching = self.by_prefix.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()));
        matching.map_or(self.usual, |(_, policy)| *policy)
    }

    /// Adds a rule before those added later.
    #[must_use]
    pub fn with(mut self, prefix: impl Into<String>, policy: DeadlinePolicy) -> Self {
        self.by_prefix.push((prefix.into(), policy));
        self
    }
}

impl Default for DeadlineRules {
    fn default() -> Self {
        Self { usual: DeadlinePolicy::UNARY, by_prefix: Vec::new() }
            .with("/grpc.health.v1.Health/Watch", DeadlinePolicy::STREAM)
            .with("/grpc.reflection.", DeadlinePolicy::STREAM)
    }
}

/// Bounds of one message, in bytes. tonic's own defaults are 4 MiB in and no bound out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// Largest message taken in.
    pub decode_bytes_max: usize,
    /// Largest message given out.
    pub encode_bytes_max: usize,
}

impl MessageLimits {
    /// Requests of clients, pages of results.
    pub const CLIENT: Self =
        Self { decode_bytes_max: 64 * 1024, encode_bytes_max: 4 * 1024 * 1024 };
    /// Documents on their way in: one mutation record, or a batch of several.
    pub const INGEST: Self =
        Self { decode_bytes_max: 4 * 1024 * 1024, encode_bytes_max: 1024 * 1024 };
    /// Between roles: candidates and stored text.
    pub const INTERNAL: Self =
        Self { decode_bytes_max: 4 * 1024 * 1024, encode_bytes_max: 16 * 1024 * 1024 };

    /// The same bounds from the client's side: it takes in what the server gives out.
    #[must_use]
    pub const fn of_client(self) -> Self {
        Self { decode_bytes_max: self.encode_bytes_max, encode_bytes_max: self.decode_bytes_max }
    }
}

/// Gives a generated server (or client) the bounds of its messages:
/// `with_message_limits!(SearchServiceServer::new(handler), MessageLimits::CLIENT)`.
#[macro_export]
macro_rules! with_message_limits {
    ($service:expr, $limits:expr) => {{
        let limits: $crate::server::MessageLimits = $limits;
        $service
            .max_decoding_message_size(limits.decode_bytes_max)
            .max_encoding_message_size(limits.encode_bytes_max)
    }};
}

/// What a server is told.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// How long requests may take.
    pub deadlines: DeadlineRules,
    /// Requests being answered at once, over all connections; more are refused.
    pub in_flight_max: usize,
    /// Requests open on one connection; more wait at the client.
    pub streams_per_connection_max: u32,
    /// All headers of one request, in bytes.
    pub header_bytes_max: u32,
    /// Silence on a connection after which the server asks whether the peer is still there.
    pub keepalive_interval: Duration,
    /// How long the peer may take to say so.
    pub keepalive_timeout: Duration,
    /// Age at which a connection is closed in good order, so that clients spread again.
    pub connection_age_max: Option<Duration>,
    /// After NOT_SERVING is said and before new requests stop: time for clients to notice.
    pub withdraw_delay: Duration,
    /// How long open requests get once the server stops.
    pub drain_max: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            deadlines: DeadlineRules::default(),
            in_flight_max: 512,
            streams_per_connection_max: 100,
            header_bytes_max: 8 * 1024,
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            connection_age_max: None,
            withdraw_delay: Duration::ZERO,
            drain_max: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_stated_defaulted_and_cut() {
        let seconds = Duration::from_secs;
        assert_eq!(DeadlinePolicy::UNARY.budget(None), Some(seconds(10)));
        assert_eq!(DeadlinePolicy::UNARY.budget(Some(seconds(2))), Some(seconds(2)));
        assert_eq!(DeadlinePolicy::UNARY.budget(Some(seconds(3_600))), Some(seconds(60)));
        assert_eq!(DeadlinePolicy::STREAM.budget(None), None);
        assert_eq!(DeadlinePolicy::STREAM.budget(Some(seconds(2))), Some(seconds(2)));
        let capped = DeadlinePolicy { default: None, max: Some(seconds(5)) };
        assert_eq!(capped.budget(None), Some(seconds(5)));
    }

    #[test]
    fn the_first_matching_rule_counts() {
        let short = DeadlinePolicy { default: Some(Duration::from_secs(1)), max: None };
        let rules = DeadlineRules::default()
            .with("/a.v1.A/Feed", DeadlinePolicy::STREAM)
            .with("/a.v1.A/", short);
        assert_eq!(rules.policy("/a.v1.A/Feed"), DeadlinePolicy::STREAM);
        assert_eq!(rules.policy("/a.v1.A/Get"), short);
        assert_eq!(rules.policy("/b.v1.B/Get"), DeadlinePolicy::UNARY);
        assert_eq!(rules.policy("/grpc.health.v1.Health/Watch"), DeadlinePolicy::STREAM);
    }
}
