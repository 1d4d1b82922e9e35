//! Consistency: what tokens ask of an answer, and the token an answer gives.

use nautilus_identity::ConsistencyToken;
use nautilus_proto::root::v1::MinOffset;
use nautilus_types::{Offset, PartitionId};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::MergerError;
use crate::coverage::{Asked, Coverage};
use crate::merger::Core;
use crate::root_client::RootError;

/// A leaf's reason for refusing offsets that its log does not have.
const BEYOND_LOG: &str = "OFFSET_BEYOND_LOG";

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

    /// Asks for at least the offsets of a page token.
    pub(crate) fn require_all(&mut self, offsets: &Asked) {
        for (partition, offset) in offsets {
            self.require(*partition, *offset, "page_token");
        }
    }

    /// What a refusal by the root means: all but the offsets and the replica group is this merger's
    /// own making.
    pub(crate) fn blame(&self, error: RootError) -> MergerError {
        match (&error, self.field) {
            (RootError::Refused(status), _) if names_field(status, "replica_group") => {
                MergerError::field("replica_group", "names no replica group")
            }
            (RootError::Refused(status), Some(field)) if has_reason(status, BEYOND_LOG) => {
                MergerError::BeyondLog { field }
            }
            _ => MergerError::Root(error),
        }
    }
}

fn has_reason(status: &Status, reason: &str) -> bool {
    status.get_error_details().error_info().is_some_and(|info| info.reason == reason)
}

/// Whether a refusal complains about this field of the request.
fn names_field(status: &Status, field: &str) -> bool {
    let details = status.get_error_details();
    let request = details.bad_request();
    request.is_some_and(|request| request.field_violations.iter().any(|one| one.field == field))
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
