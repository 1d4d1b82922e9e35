//! Finding the uploads that killed processes left, and ending them.

use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use object_store::client::HttpRequest;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use serde::Deserialize;

use super::S3Repository;
use super::failure::Failure;
use super::multipart::Begun;
use crate::{ObjectName, RepositoryError};

/// How long a signed request may be sent: it is sent at once.
const SIGNATURE_LIFE: Duration = Duration::from_secs(60);

/// S3's answer to ListMultipartUploads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiated: String,
}

/// Where the next page begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Marker {
    key: String,
    upload_id: String,
}

impl S3Repository {
    pub(super) async fn abort_stale(
        &self,
        folder: Option<&ObjectName>,
        older_than_unix_ms: u64,
    ) -> Result<u64, RepositoryError> {
        let key_prefix = &self.shared.key_prefix;
        let prefix = match folder {
            Some(folder) => format!("{key_prefix}{folder}/"),
            None => key_prefix.clone(),
        };
        let mut aborted: u64 = 0;
        let mut marker = Marker::default();
        loop {
            let listing = self.uploads(&prefix, &marker).await?;
            for upload in
                listing.uploads.into_iter().filter(|upload| upload.key.starts_with(&prefix))
            {
                if began_unix_ms(&upload.initiated)? < older_than_unix_ms {
                    let begun = Begun { key: Path::from(upload.key), upload_id: upload.upload_id };
                    self.abort(&begun).await.map_err(Failure::without_object)?;
                    aborted = aborted.saturating_add(1);
                }
            }
            let next = Marker {
                key: listing.next_key_marker.unwrap_or_default(),
                upload_id: listing.next_upload_id_marker.unwrap_or_default(),
            };
            if !listing.is_truncated || next == marker {
                return Ok(aborted);
            }
            marker = next;
        }
    }

    /// How many uploads there are, left as they are.
    #[cfg(test)]
    pub(super) async fn pending_uploads(&self) -> usize {
        let listing = self.uploads(&self.shared.key_prefix, &Marker::default()).await;
        listing.expect("listed").uploads.len()
    }

    /// One page of ListMultipartUploads, which object_store has no call for.
    async fn uploads(&self, prefix: &str, marker: &Marker) -> Result<Listing, RepositoryError> {
        let mut query = vec![("uploads", ""), ("prefix", prefix)];
        if !marker.key.is_empty() {
            query.extend([("key-marker", &*marker.key), ("upload-id-marker", &*marker.upload_id)]);
        }
        let query: Vec<_> = query.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mut tries = self.patience().begin();
        loop {
            match self.try_uploads(query.clone()).await.map_err(Failure::of) {
                Ok(listing) => return Ok(listing),
                Err(failure) if failure.is_passing() && tries.again().await => {}
                Err(failure) => return Err(failure.without_object()),
            }
        }
    }

    async fn try_uploads(&self, query: Vec<(String, String)>) -> object_store::Result<Listing> {
        let options = SignedUrlOptions::default().with_query(query);
        let (store, bucket) = (&self.shared.store, Path::default());
        let url = store.signed_url_opts(Method::GET, &bucket, SIGNATURE_LIFE, &options).await?;
        let mut request = HttpRequest::new(String::new().into());
        *request.uri_mut() = url.as_str().parse().map_err(generic)?;
        let response = self.shared.http.execute(request).await.map_err(generic)?;
        let body = response.into_body().bytes().await.map_err(generic)?;
        quick_xml::de::from_reader(&*body).map_err(generic)
    }
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: Box::new(source) }
}

fn began_unix_ms(initiated: &str) -> Result<u64, RepositoryError> {
    let time = humantime::parse_rfc3339(initiated).map_err(RepositoryError::unavailable)?;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read() {
        let empty = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\
            <NextKeyMarker/></ListMultipartUploadsResult>";
        let listing: Listing = quick_xml::de::from_str(empty).expect("read");
        assert!(!listing.is_truncated && listing.uploads.is_empty());
        let two = "<ListMultipartUploadsResult><Bucket>b</Bucket><IsTruncated>true</IsTruncated>\
            <Upload><Key>k/1</Key><UploadId>u</UploadId><Initiated>2026-11-22T14:48:22.000Z</Initiated>\
            <Owner><ID>x</ID></Owner></Upload><NextKeyMarker>k/1</NextKeyMarker>\
            <Upload><Key>k/2</Key><UploadId>v</UploadId><Initiated>2026-11-22T14:48:22Z</Initiated></Upload>\
            </ListMultipartUploadsResult>";
        let listing: Listing = quick_xml::de::from_str(two).expect("read");
        assert_eq!(listing.next_key_marker.as_deref(), Some("k/1"));
        let began: Vec<_> =
            listing.uploads.iter().map(|u| began_unix_ms(&u.initiated).expect("a time")).collect();
        assert_eq!(began, [1_795_358_902_000; 2]);
    }
}
