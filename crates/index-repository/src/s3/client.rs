//! The object_store client a configuration asks for.

use std::sync::Arc;

use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector as _};
use object_store::{
    Certificate, ClientOptions, HeaderValue, RetryConfig, StaticCredentialProvider,
};

use super::config::{S3Config, S3Credentials};
use super::credentials::FileCredentials;
use super::wire::Connector;
use crate::RepositoryError;

/// The store, and a client for what the store has no call for.
pub(super) async fn build(config: &S3Config) -> Result<(AmazonS3, HttpClient), RepositoryError> {
    let options = client_options(config).await?;
    let http = Connector::default().connect(&options).map_err(unusable)?;
    let mut builder = AmazonS3Builder::new()
        .with_region(&config.region)
        .with_bucket_name(&config.bucket)
        .with_virtual_hosted_style_request(!config.is_path_style)
        .with_credentials(credentials(config)?)
        .with_client_options(options)
        .with_http_connector(Connector::default())
        // One request per object: a refusal then is of that object.
        .with_disable_bulk_delete(true)
        .with_retry(no_retries());
    if let Some(endpoint) = config.client_endpoint() {
        builder = builder.with_endpoint(endpoint);
    }
    Ok((builder.build().map_err(unusable)?, http))
}

async fn client_options(config: &S3Config) -> Result<ClientOptions, RepositoryError> {
    let mut options = ClientOptions::new()
        .with_user_agent(HeaderValue::from_static(concat!("nautilus/", env!("CARGO_PKG_VERSION"))))
        // What may be asked without TLS was checked with the configuration.
        .with_allow_http(config.endpoint.as_ref().is_some_and(|url| url.starts_with("http://")))
        .with_connect_timeout(config.connect_timeout)
        .with_timeout(config.request_timeout);
    if let Some(path) = &config.ca_file {
        let unread =
            |source| RepositoryError::Local { operation: "read", path: path.clone(), source };
        let pem = tokio::fs::read(path).await.map_err(unread)?;
        let authorities = Certificate::from_pem_bundle(&pem).map_err(unusable)?;
        if authorities.is_empty() {
            return Err(unusable(format!("{} has no certificate", path.display())));
        }
        for authority in authorities {
            options = options.with_root_certificate(authority);
        }
    }
    Ok(options)
}

fn credentials(config: &S3Config) -> Result<AwsCredentialProvider, RepositoryError> {
    Ok(match &config.credentials {
        S3Credentials::Fixed { key_id, secret_key, token } => {
            let (key_id, secret_key, token) = (key_id.clone(), secret_key.clone(), token.clone());
            let credential = object_store::aws::AwsCredential { key_id, secret_key, token };
            Arc::new(StaticCredentialProvider::new(credential))
        }
        S3Credentials::File(path) => Arc::new(FileCredentials::new(path.clone())),
        // Only its credentials: an endpoint or an option out of the environment has no say.
        S3Credentials::Ambient => {
            let builder = AmazonS3Builder::from_env().with_bucket_name(&config.bucket);
            let store = builder.with_region(&config.region).build().map_err(unusable)?;
            Arc::clone(store.credentials())
        }
    })
}

/// Attempts are counted in one place, [`Tries`](super::tries::Tries), which knows what a request may have done.
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn unusable(problem: impl ToString) -> RepositoryError {
    RepositoryError::Invalid { what: "object store's configuration", problem: problem.to_string() }
}
