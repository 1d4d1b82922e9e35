//! The index repository: embedded, a folder, or S3-compatible storage.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use nautilus_index_repository::{
    FolderRepository, IndexRepository, ObjectName, S3Config, S3Credentials, S3Repository,
};
use serde::{Deserialize, Serialize};

use crate::cluster::DataDir;

/// The `[index_repository]` section.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum IndexRepositoryBackend {
    /// A folder of the data directory.
    #[default]
    Embedded,
    /// A folder that all processes reach.
    Folder {
        /// Where it is.
        path: PathBuf,
    },
    /// A bucket.
    S3(S3),
}

/// Where the bucket is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// `https://host[:port]`; none = AWS's own.
    pub endpoint: Option<String>,
    /// The region requests are signed for.
    pub region: String,
    /// The bucket, which must be there.
    pub bucket: String,
    /// The folder of the bucket that is ours alone.
    pub prefix: Option<String>,
    /// A file as AWS's tools write it; none = what AWS's own tools would find.
    pub credentials_file: Option<PathBuf>,
    /// Authorities trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether an endpoint beyond loopback may be asked without TLS.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Whether the bucket is named in the path and not in the host's name.
    #[serde(default = "yes")]
    pub path_style: bool,
}

fn yes() -> bool {
    true
}

impl IndexRepositoryBackend {
    /// Opens it; the embedded one in `data_dir`, which without one is refused.
    pub(crate) async fn open(
        &self,
        data_dir: Option<&DataDir>,
    ) -> anyhow::Result<Arc<dyn IndexRepository>> {
        let path = match self {
            Self::Embedded => {
                let data_dir = data_dir.context("an index repository of kind \"embedded\" serves one process: set [index_repository] kind")?;
                data_dir.repository()
            }
            Self::Folder { path } => path.clone(),
            Self::S3(s3) => {
                let opened = S3Repository::open(s3.config()?).await;
                return Ok(Arc::new(opened.context("reach the index repository on S3")?));
            }
        };
        let opened = FolderRepository::open(&path).await;
        Ok(Arc::new(opened.context("open the index repository")?))
    }
}

impl S3 {
    fn config(&self) -> anyhow::Result<S3Config> {
        let prefix = self.prefix.as_deref().map(ObjectName::new).transpose();
        let credentials = self.credentials_file.clone().map(S3Credentials::File);
        Ok(S3Config {
            endpoint: self.endpoint.clone(),
            prefix: prefix.context("[index_repository] prefix")?,
            is_path_style: self.path_style,
            allow_plaintext: self.allow_plaintext,
            credentials: credentials.unwrap_or(S3Credentials::Ambient),
            ca_file: self.ca_file.clone(),
            ..S3Config::new(&self.region, &self.bucket)
        })
    }
}
