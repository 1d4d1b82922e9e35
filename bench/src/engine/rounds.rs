//! What measuring in rounds needs besides a watch: an idle process before and after.

use std::time::Duration;

use crate::measure::{ProcessWatch, Watch};

/// CPU seconds of everything that was started, background threads included, and its wall seconds without the wait for
/// them. Waits until this process rests, so that what one engine left to do is its own.
pub(crate) fn whole_cpu<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(f64, f64)> {
    rest();
    let (cpu, wall) = (ProcessWatch::start(), Watch::start());
    work()?;
    let seconds = wall.seconds();
    rest();
    Ok((cpu.seconds(), seconds))
}

const REST_STEP: Duration = Duration::from_millis(20);
/// Steps after which a process that never rests is taken as it is.
const REST_STEPS_MAX: usize = 3_000;

/// Waits until no thread of this process works.
pub(crate) fn rest() {
    let mut quiet = 0;
    for _ in 0..REST_STEPS_MAX {
        let cpu = ProcessWatch::start();
        std::thread::sleep(REST_STEP);
        // Threads that wait with a time-out take some microseconds now and then.
        quiet = if cpu.seconds() < REST_STEP.as_secs_f64() / 20.0 { quiet + 1 } else { 0 };
        if quiet == 2 {
            return;
        }
    }
}

/// Resident memory of this process, bytes; 0 where `/proc` is absent.
pub(crate) fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}
