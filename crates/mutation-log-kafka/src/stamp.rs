//! The mark every record carries: which log it was written to.

use std::fmt;

use nautilus_mutation_log::LogIdentity;
use nautilus_types::LogGeneration;
use rdkafka::message::{Header, Headers, OwnedHeaders};

use crate::TopicId;

/// Name of the record header that holds the stamp.
const HEADER: &str = "n-id";
const LENGTH: usize = 40;

/// Cluster id, log generation and Kafka's id of the topic.
///
/// As bytes, the value of the record header `n-id`: cluster id (16), generation (8, big endian), topic id (16).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Of the Nautilus cluster.
    pub cluster_id: [u8; 16],
    /// Which life of the log.
    pub generation: LogGeneration,
    /// Which topic, however it is called.
    pub topic_id: TopicId,
}

impl Stamp {
    pub(crate) fn new(identity: &LogIdentity, topic_id: TopicId) -> Self {
        Self { cluster_id: identity.cluster_id, generation: identity.generation, topic_id }
    }

    fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..16].copy_from_slice(&self.cluster_id);
        bytes[16..24].copy_from_slice(&self.generation.0.to_be_bytes());
        bytes[24..].copy_from_slice(&self.topic_id.0);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let (cluster_id, rest) = bytes.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (topic_id, _) = rest.split_first_chunk()?;
        Some(Self {
            cluster_id: *cluster_id,
            generation: LogGeneration(u64::from_be_bytes(*generation)),
            topic_id: TopicId(*topic_id),
        })
    }

    /// The headers of a record of this log.
    pub(crate) fn headers(self) -> OwnedHeaders {
        OwnedHeaders::new().insert(Header { key: HEADER, value: Some(&self.to_bytes()) })
    }

    /// Whether a record with these headers is of this log; if not, whose it is.
    pub(crate) fn check(self, headers: Option<&impl Headers>) -> Result<(), Option<Self>> {
        let found = headers
            .into_iter()
            .flat_map(Headers::iter)
            .find(|header| header.key == HEADER)
            .and_then(|header| Self::from_bytes(header.value?));
        if found == Some(self) { Ok(()) } else { Err(found) }
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster_id = u128::from_be_bytes(self.cluster_id);
        let Self { generation, topic_id, .. } = self;
        write!(f, "cluster {cluster_id:032x}, generation {}, topic {topic_id}", generation.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        cluster_id: [0xab; 16],
        generation: LogGeneration(0x0102_0304_0506_0708),
        topic_id: TopicId([0xcd; 16]),
    };

    #[test]
    fn the_layout_is_fixed() {
        let mut wanted = vec![0xab; 16];
        wanted.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        wanted.extend([0xcd; 16]);
        assert_eq!(STAMP.to_bytes().to_vec(), wanted);
        assert_eq!(Stamp::from_bytes(&wanted), Some(STAMP));
        assert_eq!(Stamp::from_bytes(&wanted[1..]), None);
    }

    #[test]
    fn only_the_same_log_passes() {
        assert_eq!(STAMP.check(Some(&STAMP.headers())), Ok(()));
        let other = Stamp { generation: LogGeneration(2), ..STAMP };
        assert_eq!(STAMP.check(Some(&other.headers())), Err(Some(other)));
        assert_eq!(STAMP.check(None::<&OwnedHeaders>), Err(None));
        let foreign =
            OwnedHeaders::new().insert(Header { key: "other", value: Some(&STAMP.to_bytes()) });
        assert_eq!(STAMP.check(Some(&foreign)), Err(None));
    }
}
