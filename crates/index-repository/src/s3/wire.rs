//! What goes over the wire: the client's requests, with two things done to them that object_store 0.14 does not.
//!
//! It completes multipart uploads without a condition, which would overwrite, so every completion gets
//! `If-None-Match: *` here. The header is not among those that are signed, as with object_store's own
//! conditional copy; a signature covers the host and `x-amz-*`, and what else the client says it does.
//!
//! And it hides answers other than success in errors without status or code: they become [`Refusal`]s here,
//! which stay in the chain of whatever error is made of them.

use std::fmt;

use async_trait::async_trait;
use futures::StreamExt as _;
use http::header::IF_NONE_MATCH;
use http::{HeaderValue, Method, StatusCode};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};
use serde::Deserialize;

/// Of a refusal's explanation, in bytes: the rest is not read.
const EXPLANATION_BYTES_MAX: usize = 16 * 1024;

/// Makes clients whose requests pass through here.
#[derive(Debug, Default)]
pub(super) struct Connector(ReqwestConnector);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Wire(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct Wire(HttpClient);

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if is_completion(&request) {
            request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let response = self.0.execute(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let explanation = beginning(response.into_body()).await;
        // Of a kind that object_store never repeats: that is decided here, once, for all requests.
        Err(HttpError::new(HttpErrorKind::Decode, Refusal::new(status, &explanation)))
    }
}

/// The one kind of POST with an upload's id is its completion.
fn is_completion(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method() == Method::POST && query.split('&').any(|pair| pair.starts_with("uploadId="))
}

async fn beginning(body: HttpResponseBody) -> Vec<u8> {
    let mut stream = body.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = stream.next().await {
        let room = EXPLANATION_BYTES_MAX.saturating_sub(bytes.len());
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() >= room {
            break;
        }
    }
    bytes
}

/// An answer other than success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// S3's name for it; empty where the answer has none, as those of HEAD.
    pub(super) code: String,
    message: String,
}

/// The parts of S3's error document that are shown: not those that repeat what was signed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Explanation {
    code: String,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, explanation: &[u8]) -> Self {
        let Explanation { code, message } =
            quick_xml::de::from_reader(explanation).unwrap_or_default();
        Self { status, code, message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, ", {}: {}", self.code, self.message.escape_debug())?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_are_recognized() {
        let is_completion = |method: Method, uri: &str| {
            let request = http::Request::builder().method(method).uri(uri);
            is_completion(&request.body("".to_owned().into()).expect("a request"))
        };
        assert!(is_completion(Method::POST, "http://h/b/k?uploadId=7"));
        assert!(is_completion(Method::POST, "http://h/b/k?x=1&uploadId=7"));
        assert!(!is_completion(Method::POST, "http://h/b/k?uploads="));
        assert!(!is_completion(Method::PUT, "http://h/b/k?partNumber=1&uploadId=7"));
        assert!(!is_completion(Method::DELETE, "http://h/b/k?uploadId=7"));
    }

    #[test]
    fn refusals_say_code_and_message_only() {
        let body =
            b"<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>Please</Message>\
            <StringToSign>secret</StringToSign></Error>";
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, body);
        assert_eq!(
            refusal.to_string(),
            "the server answered 503 Service Unavailable, SlowDown: Please"
        );
        assert!(!format!("{refusal:?}").contains("secret"));
        for nothing in [&b""[..], b"<html>", b"<Error>", b"\xff"] {
            assert_eq!(Refusal::new(StatusCode::NOT_FOUND, nothing).code, "");
        }
    }
}
