//! What is asked, as a number: requests for the same have the same, whoever asks and wherever. Pure.

use std::collections::HashSet;
use std::fmt;

use nautilus_identity::query_hash;

/// Fingerprints of one generation; at this many the generation before is forgotten.
const GENERATION_MAX: usize = 8_192;

/// Names what is asked, without the namespaces and the time. A cryptographic hash: nobody finds another request
/// that is taken for somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of a request of this kind, given as parts that each say something of it.
    #[must_use]
    pub fn of(kind: &str, parts: &[&[u8]]) -> Self {
        let mut bytes = kind.as_bytes().to_vec();
        for part in parts {
            // Lengths keep parts apart.
            bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Self(query_hash(&bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The fingerprints seen lately: of the last [`GENERATION_MAX`] all, of older ones some.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    current: HashSet<Fingerprint>,
    former: HashSet<Fingerprint>,
}

impl Seen {
    /// Remembers it.
    pub fn add(&mut self, fingerprint: Fingerprint) {
        if self.current.len() >= GENERATION_MAX {
            self.former = std::mem::take(&mut self.current);
        }
        self.current.insert(fingerprint);
    }

    /// Whether it is remembered.
    #[must_use]
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.current.contains(&fingerprint) || self.former.contains(&fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart() {
        let of = |parts: &[&[u8]]| Fingerprint::of("search", parts);
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"", b"a"]), of(&[b"a", b""]));
        assert_ne!(of(&[b"a"]), Fingerprint::of("fetch", &[b"a"]));
        assert_eq!(Fingerprint(0xff).to_string(), "00000000000000ff");
    }

    #[test]
    fn the_latest_are_remembered_and_the_number_is_bounded() {
        let mut seen = Seen::default();
        let generation = u64::try_from(GENERATION_MAX).expect("fits");
        for number in 0..generation * 3 {
            seen.add(Fingerprint(number));
            let oldest = number.saturating_sub(generation - 1);
            assert!(seen.contains(Fingerprint(oldest)) && seen.contains(Fingerprint(number)));
        }
        assert!(!seen.contains(Fingerprint(0)));
        assert!(seen.current.len() + seen.former.len() <= GENERATION_MAX * 2);
    }
}
