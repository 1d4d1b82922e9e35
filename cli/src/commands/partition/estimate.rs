//! How long a recovery takes, from what recoveries here took.

use std::time::Duration;

use nautilus_proto::admin::v1::{PartitionStatus, RecoveryStatus};
use serde_json::{Value, json};

use crate::format;

/// A recovery that takes less says nothing of rates.
const MEASURED_MS_MIN: u64 = 20;

/// What was moved in which time, over all replicas that told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Measured {
    amount: u64,
    ms: u64,
}

impl Measured {
    fn add(&mut self, amount: u64, ms: u64) {
        if amount > 0 {
            self.amount = self.amount.saturating_add(amount);
            self.ms = self.ms.saturating_add(ms);
        }
    }

    /// How long `amount` takes; `None` = nothing that says so was measured.
    fn time_for(self, amount: u64) -> Option<Duration> {
        if amount == 0 {
            return Some(Duration::ZERO);
        }
        if self.amount == 0 || self.ms < MEASURED_MS_MIN {
            return None;
        }
        let ms = u128::from(amount) * u128::from(self.ms) / u128::from(self.amount);
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)))
    }

    fn per_second(self) -> Option<u64> {
        let amount = u128::from(self.amount) * 1_000;
        let rate = amount.checked_div(u128::from(self.ms))?;
        (self.ms >= MEASURED_MS_MIN).then(|| u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

/// Measured rates of a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    download_bytes: Measured,
    replay_records: Measured,
}

/// What a recovery has before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    /// `None` = rates were not measured.
    pub(crate) time: Option<Duration>,
    rates: Rates,
}

impl Rates {
    /// Of all replicas that say what they have measured.
    pub(crate) fn of(replicas: &[PartitionStatus]) -> Self {
        let mut rates = Self::default();
        for replica in replicas {
            let Some(recovery) = &replica.recovery else { continue };
            rates.download_bytes.add(recovery.downloaded_bytes, recovery.download_ms);
            rates.replay_records.add(replayed(replica, recovery), recovery.replay_ms);
        }
        rates
    }

    /// Of a recovery from the beginning.
    pub(crate) fn of_recovery(self, replicas: &[PartitionStatus], partition: u32) -> Estimate {
        let of_partition = || replicas.iter().filter(|it| number(it) == partition);
        let newest = of_partition().map(|it| it.snapshot_offset).max().unwrap_or(0);
        // Without a snapshot all is replayed. With one, its size is that of the files it was made of.
        let bytes =
            if newest == 0 { 0 } else { of_partition().map(|it| it.disk_bytes).max().unwrap_or(0) };
        let high = of_partition().map(|it| it.log_high_offset).max().unwrap_or(0);
        let low = of_partition().map(|it| it.log_low_offset).max().unwrap_or(0);
        self.estimate(bytes, high.saturating_sub(newest.max(low)))
    }

    /// Of what is left of one that is under way; `None` = it is over, or none was.
    pub(crate) fn of_rest(self, replica: &PartitionStatus) -> Option<Estimate> {
        let recovery = replica.recovery.as_ref().filter(|it| !it.is_done)?;
        let bytes = recovery.snapshot_bytes.saturating_sub(recovery.downloaded_bytes);
        let records = match recovery.replay_until_offset {
            0 => replica
                .log_high_offset
                .saturating_sub(replica.snapshot_offset.max(replica.log_low_offset)),
            until => until.saturating_sub(next_offset(replica)),
        };
        Some(self.estimate(bytes, records))
    }

    fn estimate(self, bytes: u64, records: u64) -> Estimate {
        let download = self.download_bytes.time_for(bytes);
        let replay = self.replay_records.time_for(records);
        let time = download.zip(replay).map(|(download, replay)| download + replay);
        Estimate { bytes, records, time, rates: self }
    }
}

impl Estimate {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let what = format!(
            "{} to download, {} to replay",
            format::size(self.bytes),
            format::counted(self.records, "record")
        );
        let rates = self.rates;
        let bytes = rates.download_bytes.per_second();
        let bytes = bytes.map_or("not measured".to_owned(), |it| format!("{}/s", format::size(it)));
        let records = rates.replay_records.per_second();
        let records = records
            .map_or("not measured".to_owned(), |it| format!("{} records/s", format::count(it)));
        match self.time {
            Some(time) => {
                format!("about {}: {what} (measured: {bytes}, {records})", format::took(time))
            }
            None => format!("{what}; how long is not known yet (measured: {bytes}, {records})"),
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "bytes": self.bytes,
            "records": self.records,
            "seconds": self.time.map(|time| time.as_secs_f64()),
            "bytes_per_second": self.rates.download_bytes.per_second(),
            "records_per_second": self.rates.replay_records.per_second(),
        })
    }
}

fn replayed(replica: &PartitionStatus, recovery: &RecoveryStatus) -> u64 {
    let reached = match recovery.is_done {
        true => recovery.replay_until_offset,
        false => next_offset(replica).min(recovery.replay_until_offset),
    };
    reached.saturating_sub(recovery.replay_from_offset)
}

/// Of which partition it is.
pub(crate) fn number(replica: &PartitionStatus) -> u32 {
    replica.label.as_ref().map_or(u32::MAX, |label| label.partition)
}

/// The first record it does not show.
pub(crate) fn next_offset(replica: &PartitionStatus) -> u64 {
    replica.label.as_ref().map_or(0, |label| label.next_offset)
}

#[cfg(test)]
mod tests {
    use nautilus_proto::common::v1::PartitionLabel;

    use super::*;

    fn replica(next_offset: u64, recovery: Option<RecoveryStatus>) -> PartitionStatus {
        let label = PartitionLabel { partition: 3, next_offset, ..PartitionLabel::default() };
        PartitionStatus {
            label: Some(label),
            log_high_offset: 10_000,
            snapshot_offset: 4_000,
            disk_bytes: 50_000_000,
            recovery,
            ..PartitionStatus::default()
        }
    }

    #[test]
    fn time_follows_from_what_was_measured() {
        let silent = [replica(10_000, None)];
        let unknown = Rates::of(&silent).of_recovery(&silent, 3);
        assert_eq!((unknown.bytes, unknown.records, unknown.time), (50_000_000, 6_000, None));

        let done = RecoveryStatus {
            snapshot_bytes: 10_000_000,
            downloaded_bytes: 10_000_000,
            download_ms: 1_000,
            replay_from_offset: 4_000,
            replay_until_offset: 5_000,
            replay_ms: 500,
            is_done: true,
        };
        let told = [replica(10_000, Some(done))];
        let rates = Rates::of(&told);
        let whole = rates.of_recovery(&told, 3);
        assert_eq!(whole.time, Some(Duration::from_secs(5 + 3)));
        assert_eq!(rates.of_rest(&told[0]), None);

        let under_way = RecoveryStatus {
            downloaded_bytes: 5_000_000,
            replay_until_offset: 0,
            is_done: false,
            ..done
        };
        let rest = rates.of_rest(&replica(0, Some(under_way))).expect("under way");
        assert_eq!((rest.bytes, rest.records), (5_000_000, 6_000));
        assert_eq!(rest.time, Some(Duration::from_millis(500 + 3_000)));
    }
}
