//! What a failed request means: pure decisions over the server's answer, or the lack of one.

use std::error::Error;

use http::StatusCode;
use object_store::client::{HttpError, HttpErrorKind};

use super::wire::Refusal;
use crate::{ObjectName, RepositoryError};

/// A failed request.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) meaning: Meaning,
    error: object_store::Error,
}

/// What follows from a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// No such object.
    Missing,
    /// No such bucket.
    NoBucket,
    /// No such multipart upload, or no longer.
    NoUpload,
    /// The condition "if absent" does not hold.
    Exists,
    /// Undone because of another request for the same name.
    Raced,
    /// The range begins at the object's end or behind.
    Behind,
    /// The server cannot store an object where a folder is, or beneath an object.
    Folder,
    /// Not with these credentials.
    Denied,
    /// Undone for now: too many requests, or nobody listening.
    Busy,
    /// Refused for a reason that repeating does not change.
    Refused,
    /// It may have happened: no answer, or one that says as little.
    Unclear,
}

impl Failure {
    pub(super) fn of(error: object_store::Error) -> Self {
        Self { meaning: meaning(&error), error }
    }

    /// Whether a request that may happen twice is worth another attempt.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.meaning, Meaning::Raced | Meaning::Busy | Meaning::Unclear)
    }

    /// For the caller of something that has no object.
    pub(super) fn without_object(self) -> RepositoryError {
        match self.meaning {
            Meaning::NoBucket => RepositoryError::Invalid {
                what: "bucket",
                problem: "there is none of this name".to_owned(),
            },
            Meaning::Denied => RepositoryError::Denied(self.error.into()),
            Meaning::Missing
            | Meaning::NoUpload
            | Meaning::Exists
            | Meaning::Raced
            | Meaning::Behind
            | Meaning::Folder
            | Meaning::Busy
            | Meaning::Refused
            | Meaning::Unclear => RepositoryError::unavailable(self.error),
        }
    }

    /// For the caller of something done to one object.
    pub(super) fn of_object(self, name: &ObjectName) -> RepositoryError {
        match self.meaning {
            Meaning::Missing => RepositoryError::NotFound { name: name.to_string() },
            Meaning::Exists => RepositoryError::Exists { name: name.to_string() },
            Meaning::Folder => folder_of_another(name),
            Meaning::NoBucket
            | Meaning::NoUpload
            | Meaning::Raced
            | Meaning::Behind
            | Meaning::Denied
            | Meaning::Busy
            | Meaning::Refused
            | Meaning::Unclear => self.without_object(),
        }
    }

    /// For the caller of something that may have happened, whatever this request says.
    pub(super) fn unclear(self) -> RepositoryError {
        RepositoryError::unavailable(self.error)
    }
}

pub(super) fn folder_of_another(name: &ObjectName) -> RepositoryError {
    let problem = format!("{name} is, or would be in, a folder of another object's name");
    RepositoryError::Invalid { what: "object name", problem }
}

fn meaning(error: &object_store::Error) -> Meaning {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return of_refusal(refusal.status, &refusal.code);
        }
        // Nothing was sent where there was no connection.
        if let Some(http) = error.downcast_ref::<HttpError>()
            && http.kind() == HttpErrorKind::Connect
        {
            return Meaning::Busy;
        }
        cause = error.source();
    }
    Meaning::Unclear
}

fn of_refusal(status: StatusCode, code: &str) -> Meaning {
    match code {
        "NoSuchKey" => Meaning::Missing,
        "NoSuchBucket" => Meaning::NoBucket,
        "NoSuchUpload" => Meaning::NoUpload,
        // versitygw's, then MinIO's.
        "ExistingObjectIsDirectory" | "ObjectParentIsFile" => Meaning::Folder,
        "XMinioObjectExistsAsDirectory" | "XMinioParentIsObject" => Meaning::Folder,
        "ExpiredToken" | "InvalidToken" | "XAdminUserNotFound" => Meaning::Denied,
        "SlowDown" | "RequestTimeout" => Meaning::Busy,
        "InvalidRange" => Meaning::Behind,
        _ => of_status(status, code),
    }
}

fn of_status(status: StatusCode, code: &str) -> Meaning {
    match status {
        // The answer to a HEAD has no body, and so no code.
        StatusCode::NOT_FOUND if code.is_empty() => Meaning::Missing,
        StatusCode::PRECONDITION_FAILED | StatusCode::NOT_MODIFIED => Meaning::Exists,
        StatusCode::CONFLICT => Meaning::Raced,
        StatusCode::RANGE_NOT_SATISFIABLE => Meaning::Behind,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Meaning::Denied,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Meaning::Busy,
        status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
            Meaning::Unclear
        }
        _ => Meaning::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_their_meaning() {
        let cases = [
            (404, "NoSuchKey", Meaning::Missing),
            (404, "", Meaning::Missing),
            (404, "NoSuchBucket", Meaning::NoBucket),
            (404, "NoSuchUpload", Meaning::NoUpload),
            (404, "XAdminUserNotFound", Meaning::Denied),
            (404, "SomethingElse", Meaning::Refused),
            (412, "PreconditionFailed", Meaning::Exists),
            (409, "ConditionalRequestConflict", Meaning::Raced),
            (409, "ObjectParentIsFile", Meaning::Folder),
            (416, "InvalidRange", Meaning::Behind),
            (416, "", Meaning::Behind),
            (403, "SignatureDoesNotMatch", Meaning::Denied),
            (403, "", Meaning::Denied),
            (401, "", Meaning::Denied),
            (400, "ExpiredToken", Meaning::Denied),
            (400, "RequestTimeout", Meaning::Busy),
            (400, "EntityTooSmall", Meaning::Refused),
            (503, "SlowDown", Meaning::Busy),
            (429, "", Meaning::Busy),
            (500, "InternalError", Meaning::Unclear),
            (502, "", Meaning::Unclear),
            (503, "ServiceUnavailable", Meaning::Unclear),
            (501, "NotImplemented", Meaning::Refused),
            (307, "", Meaning::Refused),
        ];
        for (status, code, expected) in cases {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(of_refusal(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn what_has_no_answer_is_unclear() {
        let error =
            |source: HttpError| object_store::Error::Generic { store: "S3", source: source.into() };
        let http = |kind| HttpError::new(kind, std::io::Error::other("it broke"));
        for kind in [HttpErrorKind::Timeout, HttpErrorKind::Interrupted, HttpErrorKind::Request] {
            assert_eq!(meaning(&error(http(kind))), Meaning::Unclear);
        }
        assert_eq!(meaning(&error(http(HttpErrorKind::Connect))), Meaning::Busy);
    }
}
