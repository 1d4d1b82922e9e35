//! The bytes of digests.

use nautilus_proto::coordinator::v1 as proto;
use nautilus_types::{Offset, PartitionId};

use super::{Broken, broken_name};
use crate::layout::digests::{DIGEST_POINTS_MAX, DigestPoint, PartitionDigests};
use crate::layout::names::{GroupName, LeafName};

impl DigestPoint {
    fn to_proto(self) -> proto::DigestPoint {
        proto::DigestPoint {
            next_offset: self.next_offset.0,
            documents: self.documents.to_vec(),
            postings: self.postings.to_vec(),
            analyzer_version: self.analyzer_version,
        }
    }

    fn from_proto(message: proto::DigestPoint) -> Result<Self, Broken> {
        let proto::DigestPoint { next_offset, documents, postings, analyzer_version } = message;
        let digest = |bytes: Vec<u8>| {
            <[u8; 16]>::try_from(bytes).map_err(|_| "a digest is not 16 bytes".to_owned())
        };
        let (documents, postings) = (digest(documents)?, digest(postings)?);
        Ok(Self { next_offset: Offset(next_offset), documents, postings, analyzer_version })
    }
}

impl PartitionDigests {
    pub(super) fn check(&self) -> Result<(), Broken> {
        if self.points.len() > DIGEST_POINTS_MAX {
            return Err(format!("more than {DIGEST_POINTS_MAX} points"));
        }
        if !self.points.is_sorted_by(|a, b| a.next_offset < b.next_offset) {
            return Err("points do not ascend".to_owned());
        }
        Ok(())
    }

    pub(super) fn to_proto(&self) -> proto::PartitionDigests {
        proto::PartitionDigests {
            partition: self.partition.0,
            replica_group: self.group.to_string(),
            leaf: self.leaf.to_string(),
            points: self.points.iter().map(|point| point.to_proto()).collect(),
        }
    }

    pub(super) fn from_proto(message: proto::PartitionDigests) -> Result<Self, Broken> {
        let proto::PartitionDigests { partition, replica_group, leaf, points } = message;
        let points: Result<Vec<_>, _> = points.into_iter().map(DigestPoint::from_proto).collect();
        Ok(Self {
            partition: PartitionId(partition),
            group: GroupName::new(replica_group).map_err(broken_name)?,
            leaf: LeafName::new(leaf).map_err(broken_name)?,
            points: points?,
        })
    }
}
