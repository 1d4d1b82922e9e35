//! Newtypes for ids, offsets and epochs, so that two of them are never mixed up.

use std::fmt;

use crate::limits::Limits;

/// An id that is empty or longer than its bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The id has no bytes.
    #[error("{kind} is empty")]
    Empty {
        /// Which id: "namespace" or "document id".
        kind: &'static str,
    },
    /// The id is over its bound.
    #[error("{kind} is {bytes} bytes long, at most {bytes_max} are allowed")]
    TooLong {
        /// Which id: "namespace" or "document id".
        kind: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The bound in bytes.
        bytes_max: usize,
    },
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<[u8]>);

        impl $name {
            /// Checks length only: any bytes are allowed, also NUL and 0xFF.
            pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidId> {
                let bytes = bytes.as_ref();
                if bytes.is_empty() {
                    return Err(InvalidId::Empty { kind: $kind });
                }
                if bytes.len() > $max {
                    return Err(InvalidId::TooLong {
                        kind: $kind,
                        bytes: bytes.len(),
                        bytes_max: $max,
                    });
                }
                Ok(Self(bytes.into()))
            }

            /// The bytes, as they were given.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// For logs and people: invalid UTF-8 is shown as U+FFFD.
            #[must_use]
            pub fn to_lossy(&self) -> String {
                String::from_utf8_lossy(&self.0).into_owned()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{}\"", self.0.escape_ascii())
            }
        }
    };
}

byte_id!(
    /// Name of a namespace: 1 to 256 bytes of any value.
    NamespaceName, "namespace", Limits::NAMESPACE_BYTES_MAX
);
byte_id!(
    /// Id of a document within its namespace: 1 to 1,024 bytes of any value.
    DocumentId, "document id", Limits::DOCUMENT_ID_BYTES_MAX
);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Number of a partition: also its log partition while both divisions are the plain one.
    PartitionId, u32
);
number!(
    /// Position of a record in one partition's log, from 0. As a *next* offset it is one past the last.
    Offset, u64
);
number!(
    /// Number of an assignment of a partition in a group; only grows.
    Epoch, u64
);
number!(
    /// Which life of a namespace name this is: given by the catalog, from 1, growing with every re-creation.
    Incarnation, u64
);
number!(
    /// Which life of a log this is; offsets of different generations do not compare.
    LogGeneration, u64
);

impl Offset {
    /// The offset after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
