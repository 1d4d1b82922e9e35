//! How busy the machine is: a time that was missed on one that had nothing left says little about us.

use std::fs;

use anyhow::Context as _;

/// From this share on the machine has nothing left.
pub(super) const SATURATED: f64 = 0.9;

/// Ticks of all processors since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Processors {
    idle: u64,
    all: u64,
}

impl Processors {
    pub(super) fn now() -> anyhow::Result<Self> {
        Self::read(&fs::read_to_string("/proc/stat").context("read the processors' times")?)
    }

    fn read(stat: &str) -> anyhow::Result<Self> {
        let line = stat.lines().next().context("no line of all processors")?;
        // user nice system idle iowait irq softirq steal; what guests use is in user already.
        let ticks = line.split_whitespace().skip(1).take(8).map(str::parse);
        let ticks: Vec<u64> =
            ticks.collect::<Result<_, _>>().context("read the processors' times")?;
        Ok(Self { idle: ticks.iter().skip(3).take(2).sum(), all: ticks.iter().sum() })
    }

    /// The share of the time until `later` in which they worked.
    pub(super) fn busy_until(&self, later: &Self) -> f64 {
        let all = later.all.saturating_sub(self.all).max(1);
        let idle = later.idle.saturating_sub(self.idle);
        1.0 - idle as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_disks_is_idle() {
        let read = |text: &str| Processors::read(text).expect("reads");
        let before = read("cpu  10 0 10 70 10 0 0 0 5 0\ncpu0 1 2 3");
        let after = read("cpu  40 0 30 100 30 0 0 0 9 0\n");
        assert_eq!((before.idle, before.all), (80, 100));
        assert!((before.busy_until(&after) - 0.5).abs() < 1e-9);
        assert!(Processors::read("cpu x").is_err());
    }
}
