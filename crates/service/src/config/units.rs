//! Quantities as people write them: `64MiB`, `500ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Units by size, largest first: binary ones and, as in SI, decimal ones.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes. Written as a whole number and a unit (`64MiB`, `10 GB`); a bare number is
/// bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Text that is no number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size: expected a whole number and B, kB, KiB, MB, MiB, GB, GiB, TB or TiB")]
pub struct BadByteSize(String);

impl ByteSize {
    /// The number of bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as this machine counts memory; what does not fit is cut.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = BadByteSize;

    fn from_str(text: &str) -> Result<Self, BadByteSize> {
        let bad = || BadByteSize(text.to_owned());
        let trimmed = text.trim();
        let digits_end = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, unit) = trimmed.split_at(digits_end);
        let amount: u64 = digits.parse().map_err(|_| bad())?;
        let unit = unit.trim_start();
        let factor = if unit.is_empty() {
            1
        } else {
            let named = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
            named.ok_or_else(bad)?.1
        };
        amount.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that divides it, so that reading it back gives the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = |(name, size): &&(&str, u64)| {
            name.ends_with("iB") && self.0 >= *size && self.0.is_multiple_of(*size)
        };
        match UNITS.iter().find(binary) {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A length of time. Written with its units (`500ms`, `1m 30s`); a bare number is refused, since
/// nobody can see its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// The length of time.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for HumanDuration {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text.trim()).map(Self)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

struct TextOr<T>(&'static str, fn(u64) -> Option<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextOr<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let refused = || E::custom(format_args!("{number} has no unit, expected {}", self.0));
        (self.1)(number).ok_or_else(refused)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::custom(format_args!("{number} is negative, expected {}", self.0))),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOr("a size such as \"64MiB\"", |bytes| Some(Self(bytes))))
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOr("a duration such as \"500ms\"", |_| None))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        let cases = [
            ("64MiB", 64 << 20, "64MiB"),
            ("10 GB", 10_000_000_000, "9765625KiB"),
            ("1500", 1500, "1500B"),
            ("3kb", 3000, "3000B"),
            ("0", 0, "0B"),
            (" 2TiB ", 2 << 40, "2TiB"),
        ];
        for (text, bytes, written) in cases {
            let size: ByteSize = text.parse().expect(text);
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), written);
            assert_eq!(written.parse(), Ok(size));
        }
        for bad in ["", "MiB", "-1B", "1.5GiB", "64 M", "64MiBs", "20000000TiB", "٣MiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        let read: HumanDuration = "1m 30s".parse().expect("duration");
        assert_eq!(read.duration(), Duration::from_secs(90));
        assert_eq!(read.to_string(), "1m 30s");
        for bad in ["", "5", "-5s", "5 parsecs"] {
            assert!(bad.parse::<HumanDuration>().is_err(), "{bad:?}");
        }
    }

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    struct Raw {
        size: ByteSize,
        wait: HumanDuration,
    }

    #[test]
    fn both_go_through_toml() {
        let raw: Raw = toml::from_str("size = '1GiB'\nwait = '500ms'").expect("settings");
        assert_eq!(raw.size.as_usize(), 1 << 30);
        assert_eq!(raw.wait.duration(), Duration::from_millis(500));
        let text = toml::to_string(&raw).expect("written");
        assert_eq!(toml::from_str::<Raw>(&text).expect("read back"), raw);
        assert_eq!(toml::from_str::<Raw>("size = 7\nwait = '1s'").expect("bytes").size.bytes(), 7);
        for bad in ["size = -7\nwait = '1s'", "size = 7\nwait = 5", "size = true\nwait = '1s'"] {
            assert!(toml::from_str::<Raw>(bad).is_err(), "{bad:?}");
        }
    }
}
