//! Clocks, percentiles and the seeded generator of the measurements.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// A running stopwatch of wall time.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Watch {
    /// Starts now.
    #[allow(clippy::disallowed_methods, reason = "measuring real time is this crate's job")]
    pub fn start() -> Self {
        Watch(Instant::now())
    }

    /// Microseconds since the start.
    pub fn micros(self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e6
    }

    /// Seconds since the start.
    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// A running stopwatch of this thread's CPU time: what other processes do does not show in it, nor do waits.
#[derive(Clone, Copy, Debug)]
pub struct CpuWatch(f64);

impl CpuWatch {
    /// Starts now.
    pub fn start() -> Self {
        CpuWatch(thread_cpu_micros())
    }

    /// CPU microseconds of this thread since the start.
    pub fn micros(self) -> f64 {
        thread_cpu_micros() - self.0
    }
}

fn thread_cpu_micros() -> f64 {
    cpu_micros(ClockId::ThreadCPUTime)
}

/// A running stopwatch of this process's CPU time, all threads.
#[derive(Clone, Copy, Debug)]
pub struct ProcessWatch(f64);

impl ProcessWatch {
    /// Starts now.
    pub fn start() -> Self {
        ProcessWatch(cpu_micros(ClockId::ProcessCPUTime))
    }

    /// CPU seconds of all threads since the start, also of those that have ended.
    pub fn seconds(self) -> f64 {
        (cpu_micros(ClockId::ProcessCPUTime) - self.0) / 1e6
    }
}

fn cpu_micros(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// CPU seconds of this process, all threads (Linux; 10 ms resolution), or 0 where `/proc` is absent.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15 of proc(5), counted after the parenthesised name; USER_HZ is 100 on Linux.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// Samples of one quantity.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one sample.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// In the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    /// Sum of all samples.
    pub fn sum(&self) -> f64 {
        self.0.iter().sum()
    }

    /// Number of samples.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Arithmetic mean, 0 when empty.
    pub fn mean(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.sum() / self.0.len() as f64 }
    }

    /// The sample `share` of the others do not exceed (nearest rank, 0.999 = p99.9), 0 when empty.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = usize::try_from(whole((sorted.len() as f64 * share).ceil())).unwrap_or_default();
        sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
    }

    /// The middle sample, or the mean of the two middle ones; 0 when empty.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match (sorted.get(middle), sorted.len() % 2) {
            (None, _) => 0.0,
            (Some(upper), 0) => (sorted[middle - 1] + upper) / 2.0,
            (Some(upper), _) => *upper,
        }
    }

    /// Standard deviation (of a sample) divided by the mean; 0 for fewer than two samples.
    pub fn variation(&self) -> f64 {
        let mean = self.mean();
        if self.0.len() < 2 || mean == 0.0 {
            return 0.0;
        }
        let squares: f64 = self.0.iter().map(|sample| (sample - mean).powi(2)).sum();
        (squares / (self.0.len() - 1) as f64).sqrt() / mean.abs()
    }

    /// The sample `percent` of the others do not exceed (nearest rank), 0 when empty.
    pub fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(rank).copied().unwrap_or_default()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        Samples(samples.into_iter().collect())
    }
}

/// The whole part; 0 for what is negative or not a number, the largest number for what is larger.
#[allow(clippy::cast_possible_truncation, reason = "saturates at both ends, as said")]
pub fn whole(number: f64) -> u64 {
    number as u64
}

/// SplitMix64: small, seeded, the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next_u64() % (bound.max(1) as u64)).unwrap_or_default()
    }

    /// From 0 to below 1.
    pub fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of the standard normal distribution (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.fraction()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.fraction()).cos()
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
