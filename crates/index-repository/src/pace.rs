//! How fast what is stored may be read: uploads share a machine, and a link, with searches.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// So many bytes a second, over all that is read at that pace.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    /// When all that was read so far is paid for.
    paid_at: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid_at: Mutex::new(Instant::now()) }
    }

    /// Waits until what was read before is paid for, in turn. Whoever is dropped meanwhile has read nothing.
    pub(crate) async fn pay(&self, bytes: u64) {
        let mut paid_at = self.paid_at.lock().await;
        sleep_until(*paid_at).await;
        let micros = bytes.saturating_mul(1_000_000) / self.bytes_per_second;
        *paid_at = Instant::now() + Duration::from_micros(micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn together_no_more_than_so_many_bytes_a_second() {
        let pace = Pace::new(1_000);
        let began = Instant::now();
        // What is smaller than a second's worth waits for nobody.
        pace.pay(500).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        futures::future::join_all((0..4).map(|_| pace.pay(500))).await;
        let took = began.elapsed();
        assert!((Duration::from_secs(2)..Duration::from_millis(2_010)).contains(&took), "{took:?}");
        // Nothing is saved up.
        tokio::time::advance(Duration::from_secs(60)).await;
        let began = Instant::now();
        futures::future::join_all((0..2).map(|_| pace.pay(500))).await;
        let took = began.elapsed();
        assert!(
            (Duration::from_millis(500)..Duration::from_millis(510)).contains(&took),
            "{took:?}"
        );
    }
}
