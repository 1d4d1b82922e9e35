//! The bytes of what is said of builds.

use nautilus_proto::coordinator::v1 as proto;

use super::{Broken, is_visible};
use crate::layout::builds::{BuildRef, GroupBuild};
use crate::layout::markings::Note;
use crate::layout::values::TEXT_BYTES_MAX;

/// A build's name, where it has one.
pub(super) fn check_name(name: Option<&str>) -> Result<(), Broken> {
    let is_name = |name: &str| !name.is_empty() && name.len() <= TEXT_BYTES_MAX && is_visible(name);
    if name.is_none_or(is_name) {
        return Ok(());
    }
    Err(format!("build {name:?} is not 1 to {TEXT_BYTES_MAX} printable characters"))
}

impl BuildRef {
    fn check(&self) -> Result<(), Broken> {
        check_name(self.name.as_deref())?;
        if self.analyzer_version == 0 {
            return Err("analyzer version is 0".to_owned());
        }
        Ok(())
    }

    fn to_proto(&self) -> proto::BuildRef {
        let (name, analyzer_version) = (self.label().to_owned(), self.analyzer_version);
        proto::BuildRef { name, analyzer_version }
    }

    fn from_proto(message: proto::BuildRef) -> Self {
        let proto::BuildRef { name, analyzer_version } = message;
        Self { name: (!name.is_empty()).then_some(name), analyzer_version }
    }
}

impl GroupBuild {
    pub(super) fn check(&self) -> Result<(), Broken> {
        self.build.check()?;
        self.previous.as_ref().map_or(Ok(()), BuildRef::check)?;
        self.note.check()
    }

    pub(super) fn to_proto(&self) -> proto::GroupBuild {
        proto::GroupBuild {
            build: Some(self.build.to_proto()),
            previous: self.previous.as_ref().map(BuildRef::to_proto),
            owner: self.note.owner.clone(),
            reason: self.note.reason.clone(),
            placed_unix_ms: self.placed_unix_ms,
        }
    }

    pub(super) fn from_proto(message: proto::GroupBuild) -> Result<Self, Broken> {
        let proto::GroupBuild { build, previous, owner, reason, placed_unix_ms } = message;
        let build = build.ok_or_else(|| "no build".to_owned())?;
        Ok(Self {
            build: BuildRef::from_proto(build),
            previous: previous.map(BuildRef::from_proto),
            note: Note { owner, reason },
            placed_unix_ms,
        })
    }
}
