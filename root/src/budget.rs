//! Token buckets: how much extra work requests may cause. Pure: requests are the only clock.

/// Thousandths of a token, so that a share of a request is a whole number.
const TOKEN: u32 = 1_000;

/// A bucket that each request fills by a share and each extra request takes one from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    level: u32,
    level_max: u32,
    share: u32,
}

impl TokenBucket {
    /// A full bucket: `percent` extra for each hundred, and `burst` at once.
    #[must_use]
    pub fn new(percent: u32, burst: u32) -> Self {
        let level_max = burst.saturating_mul(TOKEN);
        Self { level: level_max, level_max, share: percent.saturating_mul(TOKEN / 100) }
    }

    /// A request came.
    pub fn earn(&mut self) {
        self.level = self.level.saturating_add(self.share).min(self.level_max);
    }

    /// Takes a token for one extra request; false if there is none.
    #[must_use]
    pub fn spend(&mut self) -> bool {
        match self.level.checked_sub(TOKEN) {
            Some(level) => {
                self.level = level;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However requests and extra ones mix, the extra ones stay within burst and share.
        #[test]
        fn extra_work_is_bounded(
            percent in 0..100_u32,
            burst in 0..20_u32,
            requests in proptest::collection::vec(0..4_u8, 0..500),
        ) {
            let mut bucket = TokenBucket::new(percent, burst);
            let (mut earned, mut spent) = (0_u32, 0_u32);
            for tries in requests {
                bucket.earn();
                earned += 1;
                for _ in 0..tries {
                    spent += u32::from(bucket.spend());
                }
                prop_assert!(spent * 100 <= burst * 100 + earned * percent);
            }
        }
    }

    #[test]
    fn a_share_adds_up_to_whole_tokens() {
        let mut bucket = TokenBucket::new(5, 1);
        assert!(bucket.spend());
        for _ in 0..19 {
            bucket.earn();
            assert!(!bucket.spend());
        }
        bucket.earn();
        assert!(bucket.spend());
    }
}
