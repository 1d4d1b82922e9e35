//! What roots count of the requests they send, read from their metrics.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use crate::cluster::{Cluster, Kind};

const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// Of all roots together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Partitions' parts of requests: what is sent at least.
    pub(super) parts: u64,
    /// Requests beside those.
    pub(super) hedges: u64,
    /// Of these, answered first.
    pub(super) won: u64,
    /// Not sent, since the budget was spent.
    pub(super) denied: u64,
}

impl Counts {
    /// What they say now. A root that is started anew begins at nothing.
    pub(super) fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for root in cluster.of_kind(Kind::Root) {
            let text = scrape(root.admin_address())
                .with_context(|| format!("read the metrics of {}", root.name))?;
            let hedges = |result| format!("nautilus_root_hedges_total{{result=\"{result}\"}}");
            sum.parts += value(&text, "nautilus_root_leaf_requests_total");
            sum.hedges += value(&text, &hedges("sent"));
            sum.won += value(&text, &hedges("won"));
            sum.denied += value(&text, &hedges("denied"));
        }
        Ok(sum)
    }

    /// What came after `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            parts: self.parts.saturating_sub(before.parts),
            hedges: self.hedges.saturating_sub(before.hedges),
            won: self.won.saturating_sub(before.won),
            denied: self.denied.saturating_sub(before.denied),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parts, hedges, won, denied } = self;
        let ten_thousandths = (hedges * 10_000).checked_div(*parts).unwrap_or(0);
        let (whole, part) = (ten_thousandths / 100, ten_thousandths % 100);
        write!(
            f,
            "{hedges} extra requests to {parts} ({whole}.{part:02} %), {won} won, {denied} denied"
        )
    }
}

fn scrape(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, READ_TIME_MAX)?;
    stream.set_read_timeout(Some(READ_TIME_MAX))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The value of a series; one that was never counted is not there.
fn value(text: &str, series: &str) -> u64 {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_their_whole_name() {
        let text = "# TYPE x counter\nx_total{result=\"won\"} 3\nx_total 17\nx_total_more 4\n";
        assert_eq!(value(text, "x_total"), 17);
        assert_eq!(value(text, "x_total{result=\"won\"}"), 3);
        assert_eq!(value(text, "y_total"), 0);
        let counts = Counts { parts: 1_000, hedges: 47, won: 9, denied: 2 };
        assert_eq!(counts.to_string(), "47 extra requests to 1000 (4.70 %), 9 won, 2 denied");
    }
}
