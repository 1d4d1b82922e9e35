//! What many do at the same interval, done at different moments. Pure: the random number comes in as data.

use std::time::Duration;

/// One part of the interval in so many that it may be sooner by.
const PART: u32 = 4;

/// The interval, up to a quarter shorter as `drawn`: leaves that started together would otherwise flush and upload at the
/// same moment, and connections made in one busy moment would all have to be made again in another.
#[must_use]
pub fn sooner(interval: Duration, drawn: u32) -> Duration {
    let part = f64::from(drawn) / (f64::from(u32::MAX) * f64::from(PART));
    interval.mul_f64(1.0 - part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_a_quarter() {
        let interval = Duration::from_secs(600);
        assert_eq!(sooner(interval, 0), interval);
        assert_eq!(sooner(interval, u32::MAX / 2).as_secs(), 525);
        assert_eq!(sooner(interval, u32::MAX), Duration::from_secs(450));
    }
}
