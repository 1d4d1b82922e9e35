//! The lines of the report, each module a part of them.

pub(crate) mod build;
pub(crate) mod bytes;
pub(crate) mod churn;
pub(crate) mod namespaces;
pub(crate) mod partitions;
pub(crate) mod sustained;
pub(crate) mod top10;
pub(crate) mod visible;
