//! What a person sees of replica groups, and asks of them: the commands' side of the registry.
//!
//! ```text
//! registry ─ listing ─► GroupSnapshot ─► leaves, partitions, explain, answer       read at any time
//!                            │
//!                 Change ────┴─► prepared: what would be written, under which conditions
//!                                   ├─ preview: written nowhere, with a forecast of what would follow
//!                                   └─ apply: one transaction; the group's coordinator does the rest
//! ```
//!
//! Nothing here moves a partition: a person's wish becomes a key, and the acting coordinator decides.

mod addition;
mod change;
mod explain;
mod refusal;
mod removal;
mod report;
mod shadow;
mod snapshot;

pub use addition::add_group;
pub use change::{Applied, Change, Preview, Warning, Write, apply, preview};
pub use explain::{Explanation, MoveAnswer};
pub use refusal::Refusal;
pub use removal::{Removal, needed_from, preview_removal, remove_group};
pub use report::{HeldPartition, LeafReport, PartitionReport, Role};
pub use shadow::{set_shadow_searches, shadow_searches};
pub use snapshot::{Forecast, GroupSnapshot};
