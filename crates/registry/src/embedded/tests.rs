//! What is particular to the embedded registry, and the suite of the port on it.

mod conformance;
mod durability;
mod failure;
mod time;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{EmbeddedConfig, EmbeddedRegistry, MonotonicClock};
use crate::{LeaseId, Operation, Registry, RegistryError, Revision, Transaction};

/// A clock that stands until it is set.
#[derive(Clone)]
struct HandClock(Arc<Mutex<Instant>>);

impl HandClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(tokio::time::Instant::now().into_std())))
    }

    fn now(&self) -> Instant {
        *self.0.lock().expect("sound")
    }

    fn advance(&self, by: Duration) {
        *self.0.lock().expect("sound") += by;
    }

    fn as_clock(&self) -> MonotonicClock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

async fn open(file: &Path) -> Result<EmbeddedRegistry, RegistryError> {
    EmbeddedRegistry::open(EmbeddedConfig::new(file, HandClock::new().as_clock())).await
}

fn put(key: &str, value: &str, lease: Option<LeaseId>) -> Transaction {
    let value = Bytes::copy_from_slice(value.as_bytes());
    let operation = Operation::Put { key: key.to_owned(), value, lease };
    Transaction { operations: vec![operation], ..Transaction::default() }
}

async fn perform(registry: &EmbeddedRegistry, transaction: Transaction) -> Revision {
    registry.transact(transaction).await.expect("performed")
}

/// The result of a step that must end.
async fn bounded<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), step).await.expect("the step ended in time")
}
