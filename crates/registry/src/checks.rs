//! The bounds of the port, the same for every implementation.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{
    Condition, KEY_BYTES_MAX, Operation, RegistryError, TRANSACTION_OPERATIONS_MAX, Transaction,
    VALUE_BYTES_MAX,
};

const TTL_MIN: Duration = Duration::from_millis(100);
const TTL_MAX: Duration = Duration::from_secs(60 * 60);

impl Condition {
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Absent(key) | Self::Unchanged(key, _) | Self::Present(key) => key,
        }
    }
}

impl Operation {
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete(key) => key,
        }
    }
}

/// Whether a key is within the port's rules.
pub(crate) fn check_key(key: &str) -> Result<(), RegistryError> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    let shown: String = key.chars().take(64).collect();
    let problem = format!("{shown:?} is not 1 to {KEY_BYTES_MAX} printable ASCII characters");
    Err(RegistryError::Invalid { what: "key", problem })
}

/// Whether a transaction is within the port's rules, whatever the registry holds.
pub(crate) fn check_transaction(transaction: &Transaction) -> Result<(), RegistryError> {
    let Transaction { conditions, operations } = transaction;
    let invalid = |problem| Err(RegistryError::Invalid { what: "transaction", problem });
    for (name, count) in [("conditions", conditions.len()), ("operations", operations.len())] {
        if count > TRANSACTION_OPERATIONS_MAX {
            return invalid(format!("{count} {name}, at most {TRANSACTION_OPERATIONS_MAX}"));
        }
    }
    for condition in conditions {
        check_key(condition.key())?;
    }
    let mut written = BTreeSet::new();
    for operation in operations {
        check_key(operation.key())?;
        if !written.insert(operation.key()) {
            return invalid(format!("{} is written twice", operation.key()));
        }
        if let Operation::Put { key, value, .. } = operation
            && value.len() > VALUE_BYTES_MAX
        {
            let problem =
                format!("{key} takes {} bytes, at most {VALUE_BYTES_MAX} are allowed", value.len());
            return Err(RegistryError::Invalid { what: "value", problem });
        }
    }
    Ok(())
}

/// Whether a lease may have this time to live.
pub(crate) fn check_ttl(ttl: Duration) -> Result<(), RegistryError> {
    if (TTL_MIN..=TTL_MAX).contains(&ttl) {
        return Ok(());
    }
    let problem = format!("{ttl:?} is not {TTL_MIN:?} to 1 hour");
    Err(RegistryError::Invalid { what: "lease", problem })
}
