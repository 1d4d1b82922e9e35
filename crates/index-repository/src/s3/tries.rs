//! How often a request is sent, and how long to wait in between.

use std::time::Duration;

use super::config::S3Config;

/// How patient requests are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    attempts_max: u32,
    pause_first: Duration,
    pause_max: Duration,
}

/// The attempts of one request.
#[derive(Debug)]
pub(super) struct Tries {
    patience: Patience,
    attempts: u32,
}

impl Patience {
    pub(super) fn of(config: &S3Config) -> Self {
        let S3Config { attempts_max, pause_first, pause_max, .. } = *config;
        Self { attempts_max, pause_first, pause_max }
    }

    /// Its first attempt is under way.
    pub(super) fn begin(self) -> Tries {
        Tries { patience: self, attempts: 1 }
    }

    /// The pause after so many attempts, where `share` of 255 of its second half is drawn.
    fn pause(self, attempts: u32, share: u8) -> Duration {
        let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = self.pause_first.saturating_mul(factor).min(self.pause_max);
        (pause / 2).saturating_add(pause.mul_f64(f64::from(share) / 510.0))
    }
}

impl Tries {
    /// Waits, and says yes, where there is another attempt.
    pub(super) async fn again(&mut self) -> bool {
        if self.attempts >= self.patience.attempts_max {
            return false;
        }
        let mut share = [0];
        // Without randomness all wait as long: a nuisance, not a fault.
        let _ = aws_lc_rs::rand::fill(&mut share);
        tokio::time::sleep(self.patience.pause(self.attempts, share[0])).await;
        self.attempts = self.attempts.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pauses_double_up_to_their_bound_and_end() {
        let ms = Duration::from_millis;
        let patience = Patience { attempts_max: 3, pause_first: ms(100), pause_max: ms(350) };
        for (attempts, least, most) in [(1, 50, 100), (2, 100, 200), (3, 175, 350), (99, 175, 350)]
        {
            assert_eq!(patience.pause(attempts, 0), ms(least));
            assert_eq!(patience.pause(attempts, 255), ms(most));
        }
        let mut tries = Patience { pause_first: ms(1), ..patience }.begin();
        assert!(tries.again().await && tries.again().await);
        assert!(!tries.again().await);
    }
}
