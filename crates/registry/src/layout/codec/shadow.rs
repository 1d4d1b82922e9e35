//! The bytes of what is said of shadow searches.

use nautilus_proto::coordinator::v1 as proto;

use super::Broken;
use super::builds::check_name;
use crate::layout::markings::Note;
use crate::layout::shadow::{SHARE_ALL, ShadowSearches};

impl ShadowSearches {
    pub(super) fn check(&self) -> Result<(), Broken> {
        check_name(self.build.as_deref())?;
        if !(1..=SHARE_ALL).contains(&self.share_per_million) {
            return Err(format!("a share of {} is not 1 to {SHARE_ALL}", self.share_per_million));
        }
        self.note.check()
    }

    pub(super) fn to_proto(&self) -> proto::ShadowSearches {
        proto::ShadowSearches {
            build: self.label().to_owned(),
            share_per_million: self.share_per_million,
            owner: self.note.owner.clone(),
            reason: self.note.reason.clone(),
            placed_unix_ms: self.placed_unix_ms,
        }
    }

    pub(super) fn from_proto(message: proto::ShadowSearches) -> Result<Self, Broken> {
        let proto::ShadowSearches { build, share_per_million, owner, reason, placed_unix_ms } =
            message;
        let build = (!build.is_empty()).then_some(build);
        Ok(Self { build, share_per_million, note: Note { owner, reason }, placed_unix_ms })
    }
}
