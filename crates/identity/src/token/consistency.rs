//! What a consistency token says: of each partition it names, the next offset an answer must show.

use std::collections::BTreeMap;

use nautilus_types::{LogGeneration, Offset, PartitionId};
use prost::Message as _;

use super::{TokenError, TokenKey, TokenKind};

/// Which log the offsets are positions in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogIdentity {
    /// 16 random bytes made with the cluster.
    pub cluster_id: [u8; 16],
    /// Which life of the log.
    pub generation: LogGeneration,
}

/// Next offsets by partition, at most [`ConsistencyToken::PARTITIONS_MAX`]. A partition that is
/// not named may show anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsistencyToken {
    offsets: BTreeMap<PartitionId, Offset>,
}

impl ConsistencyToken {
    /// Most partitions one token names; tokens of more would not fit a header or a URL.
    pub const PARTITIONS_MAX: usize = 256;

    /// Names nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires at least `next_offset` of `partition`, beside what is required already. False,
    /// and nothing changed, where that would be one partition too many.
    pub fn require(&mut self, partition: PartitionId, next_offset: Offset) -> bool {
        if self.offsets.len() >= Self::PARTITIONS_MAX && !self.offsets.contains_key(&partition) {
            return false;
        }
        let offset = self.offsets.entry(partition).or_default();
        *offset = next_offset.max(*offset);
        true
    }

    /// Requires what either requires. False where some of `other` did not fit.
    pub fn merge(&mut self, other: &Self) -> bool {
        other.iter().fold(true, |fits, (partition, offset)| self.require(partition, offset) && fits)
    }

    /// The next offset required of `partition`; 0 where it is not named.
    #[must_use]
    pub fn of(&self, partition: PartitionId) -> Offset {
        self.offsets.get(&partition).copied().unwrap_or_default()
    }

    /// What is required, by partition.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionId, Offset)> {
        self.offsets.iter().map(|(&partition, &offset)| (partition, offset))
    }

    /// Whether nothing is required.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// As a token for clients.
    pub fn seal(&self, key: &TokenKey, log: &LogIdentity) -> Result<String, TokenError> {
        let content = Content {
            cluster_id: log.cluster_id.to_vec(),
            log_generation: log.generation.0,
            partitions: self.offsets.keys().map(|partition| partition.0).collect(),
            next_offsets: self.offsets.values().map(|offset| offset.0).collect(),
        };
        key.seal(TokenKind::Consistency, &content.encode_to_vec())
    }

    /// From a client's token. `Forged`; `Foreign` where it is of another log than `log`.
    pub fn open(key: &TokenKey, log: &LogIdentity, token: &str) -> Result<Self, TokenError> {
        let content = key.open(TokenKind::Consistency, token)?;
        let content = Content::decode(&*content).map_err(|_| TokenError::Forged)?;
        if content.cluster_id != log.cluster_id || content.log_generation != log.generation.0 {
            return Err(TokenError::Foreign);
        }
        if content.partitions.len() != content.next_offsets.len() {
            return Err(TokenError::Forged);
        }
        let mut opened = Self::new();
        for (partition, offset) in content.partitions.into_iter().zip(content.next_offsets) {
            if !opened.require(PartitionId(partition), Offset(offset)) {
                return Err(TokenError::Forged);
            }
        }
        Ok(opened)
    }
}

/// The sealed content. Fields are only added: clients keep tokens over upgrades.
#[derive(Clone, PartialEq, prost::Message)]
struct Content {
    #[prost(bytes = "vec", tag = "1")]
    cluster_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    log_generation: u64,
    /// Ascending, one for each of `next_offsets`.
    #[prost(uint32, repeated, tag = "3")]
    partitions: Vec<u32>,
    #[prost(uint64, repeated, tag = "4")]
    next_offsets: Vec<u64>,
}
