//! The coordinator: decides, for one replica group, which leaf serves which partition.

pub mod plan;
