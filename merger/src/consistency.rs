//! Consistency: what tokens ask of an answer, and the token an answer gives.

use nautilus_identity::ConsistencyToken;
use nautilus_proto::root::v1::MinOffset;
use nautilus_types::{Offset, PartitionId};

use crate::MergerError;
use crate::coverage::{Asked, Coverage};
use crate::merger::Core;
use crate::root_client::RootError;

/// What an answer must show, and which field of the request asks for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MinOffsets {
    token: ConsistencyToken,
    field: Option<&'static str>,
}

impl MinOffsets {
    pub(crate) fn of(&self, partition: PartitionId) -> Offset {
        self.token.of(partition)
    }

    /// Asks for at least `offset` of `partition` as well, because `field` says so.
    pub(crate) fn require(&mut self, partition: PartitionId, offset: Offset, field: &'static str) {
        // A request concerns few partitions beside those of its token; one that does not fit is
        // only served as it is.
        self.token.require(partition, offset);
        self.field = Some(field);
    }

    /// What a refusal by the root means: all but the offsets is this merger's own making.
    pub(crate) fn blame(&self, error: RootError) -> MergerError {
        match (error, self.field) {
            (RootError::Refused(_), Some(field)) => MergerError::BeyondLog { field },
            (error, _) => MergerError::Root(error),
        }
    }
}

/// For internal requests: what is asked of each partition.
pub(crate) fn to_proto(asked: &Asked) -> Vec<MinOffset> {
    let needed = asked.iter().filter(|(_, offset)| offset.0 > 0);
    needed
        .map(|(partition, offset)| MinOffset { partition: partition.0, next_offset: offset.0 })
        .collect()
}

impl Core {
    /// What a request's consistency token asks for; an empty one asks for nothing.
    pub(crate) fn min_offsets(&self, token: &str) -> Result<MinOffsets, MergerError> {
        if token.is_empty() {
            return Ok(MinOffsets::default());
        }
        let token = ConsistencyToken::open(&self.token_key, &self.config.log, token)
            .map_err(MergerError::ConsistencyToken)?;
        Ok(MinOffsets { token, field: Some("consistency_token") })
    }

    /// The token of an answer: what it showed, and what was asked of it. Empty where it would say
    /// nothing, or name more partitions than a token can.
    pub(crate) fn served_token(
        &self,
        min: &MinOffsets,
        coverage: &Coverage,
    ) -> Result<String, MergerError> {
        let mut token = min.token.clone();
        let mut served = coverage.served.iter();
        let fits = served.all(|(partition, offset)| token.require(*partition, *offset));
        if !fits || token.is_empty() {
            return Ok(String::new());
        }
        token.seal(&self.token_key, &self.config.log).map_err(MergerError::Seal)
    }
}
