//! Bounds the memory of batches that are being written.

use std::sync::Arc;

use nautilus_service::RpcError;
use nautilus_types::Class;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may be in flight. Over the bound batches are refused, never queued: a queue would hold
/// the very memory that is bounded.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    places: Arc<Semaphore>,
    bytes_max: usize,
}

impl InFlight {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    /// A place for this many bytes until the permit is dropped.
    pub(crate) fn admit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, RpcError> {
        let places = u32::try_from(bytes).ok();
        let permit =
            places.and_then(|places| Arc::clone(&self.places).try_acquire_many_owned(places).ok());
        permit.ok_or_else(|| {
            RpcError::new(Class::Overloaded, "INGEST_BUSY", "too many writes at once")
                .quota("bytes being written", format!("at most {}", self.bytes_max))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_when_the_write_ends() {
        let in_flight = InFlight::new(10);
        let first = in_flight.admit(6).expect("fits");
        let refusal = in_flight.admit(5).expect_err("does not fit beside it");
        assert_eq!((refusal.class(), refusal.reason()), (Class::Overloaded, "INGEST_BUSY"));
        let second = in_flight.admit(4).expect("fits");
        drop(first);
        drop(second);
        assert!(in_flight.admit(10).is_ok());
    }
}
