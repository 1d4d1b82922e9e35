//! One tower layer and service for all stages of the server: a stage is an async function around
//! the rest.

use std::convert::Infallible;
use std::future::Future;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

/// What a stage does with a request and the rest of the stack.
pub(crate) trait Stage: Clone + Send + Sync + 'static {
    /// Answers the request, by way of `rest` or without it.
    fn handle<S: Inner>(
        &self,
        request: Request<Body>,
        rest: Rest<S>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// The services stages go around.
pub(crate) trait Inner:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Inner for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// What is behind a stage; ready to be called once.
pub(crate) struct Rest<S>(S);

impl<S: Inner> Rest<S> {
    /// Passes the request on.
    pub(crate) async fn run(mut self, request: Request<Body>) -> Response<Body> {
        match self.0.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Makes a tower layer of a stage.
#[derive(Debug, Clone)]
pub(crate) struct StageLayer<T>(pub(crate) T);

impl<T: Stage, S: Inner> Layer<S> for StageLayer<T> {
    type Service = StageService<T, S>;

    fn layer(&self, inner: S) -> Self::Service {
        StageService { stage: self.0.clone(), inner }
    }
}

/// A stage around a service.
#[derive(Debug, Clone)]
pub(crate) struct StageService<T, S> {
    stage: T,
    inner: S,
}

impl<T: Stage, S: Inner> Service<Request<Body>> for StageService<T, S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let stage = self.stage.clone();
        // The one that was polled ready is the one to call; its clone takes its place.
        let next = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, next);
        Box::pin(async move { Ok(stage.handle(request, Rest(ready)).await) })
    }
}
