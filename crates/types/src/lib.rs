//! The vocabulary every other crate shares: ids, offsets, epochs, slots, error classes and the drawing of moments.
//!
//! Nothing here does IO, reads a clock or knows a storage or wire format. Bounds that several
//! parts must agree on (how long an id may be, how many slots there are) stand here once.

mod class;
mod ids;
mod limits;
mod slots;
mod sooner;

pub use class::Class;
pub use ids::{
    DocumentId, Epoch, Incarnation, InvalidId, LogGeneration, NamespaceName, Offset, PartitionId,
};
pub use limits::Limits;
pub use slots::{PartitionMap, SLOT_COUNT, Slot, slot_of};
pub use sooner::sooner;
