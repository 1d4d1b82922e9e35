//! Innermost layer: a handler that panics costs its own request an answer, and nothing else.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use http::{Request, Response};
use nautilus_types::Class;
use tonic::body::Body;

use super::stage::{Inner, Rest, Stage};
use crate::status::RpcError;
use crate::threads::panic_message;

/// Answers INTERNAL where the handler panicked before its answer began. Without it the caller would see
/// a stream that was reset, take that for a lost connection, and ask the next replica to panic as well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contained;

impl Stage for Contained {
    async fn handle<S: Inner>(&self, request: Request<Body>, rest: Rest<S>) -> Response<Body> {
        // What the handler shared with others is behind locks that pass over a panic.
        match AssertUnwindSafe(rest.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                let message = panic_message(panic.as_ref());
                RpcError::new(Class::Bug, "HANDLER_PANICKED", message).into_status().into_http()
            }
        }
    }
}
