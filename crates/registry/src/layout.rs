//! Where what stands in the registry, and what it looks like: the keys and the values under them.
//!
//! ```text
//! groups/<group>/leaves/<leaf>             LeafRegistration   by the leaf, under its lease
//! groups/<group>/assignments/<p0007>       Assignment         by the coordinator, stays
//! groups/<group>/replicas/<p0007>/<leaf>   Replica            by the leaf, under its lease
//! groups/<group>/coordinator               Leader             by the acting coordinator, under its lease
//! groups/<group>/decision                  Decision           by the acting coordinator, stays
//! groups/<group>/cordons/<leaf>            Cordon             by a person, stays or under a lease
//! groups/<group>/moves/<p0007>             MoveRequest        by a person, until the coordinator has decided
//! groups/<group>/standing                  GroupStanding      by a person, stays or under a lease
//! groups/<group>/build                     GroupBuild         by a person, stays
//! shadow/candidate                         ShadowSearches     by a person, stays or under a lease
//! suspects/<fingerprint>/<p0007>/<group>/<leaf>/<time>  none  by a root, under a lease that nobody keeps alive
//! digests/<p0007>/<group>                  PartitionDigests   by the serving leaf, stays
//! ```
//!
//! The bytes are drawn in `docs/formats/registry.md`. Nothing here does IO.

mod builds;
mod codec;
mod digests;
mod key;
mod markings;
mod names;
mod record;
mod shadow;
mod suspicion;
mod values;

pub use builds::{BuildRef, GroupBuild};
pub use digests::{DIGEST_POINTS_MAX, DigestPoint, PartitionDigests};
pub use key::{Key, prefix};
pub use markings::{Cordon, CordonKind, GroupStanding, GroupState, MoveRequest, Note};
pub use names::{CoordinatorName, GroupName, InvalidName, LeafName, NAME_BYTES_MAX};
pub use record::Record;
pub use shadow::{SHARE_ALL, ShadowSearches};
pub use suspicion::Suspicion;
pub use values::{
    Assignment, Decision, HELD_BACK_BYTES_MAX, Holder, Leader, LeafRegistration, REFUSED_MOVES_MAX,
    RefusedMove, Replica, ReplicaState, TEXT_BYTES_MAX, UNASSIGNED_MAX, WHY_BYTES_MAX,
};
