//! An authority that makes certificates of processes, and folders with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use nautilus_service::Clock;
use nautilus_service::tls::{Tls, TlsError, TlsFiles};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use tempfile::TempDir;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// Certificate and key, both PEM.
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(called: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("valid");
        params.distinguished_name.push(DnType::CommonName, called);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("generated");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these URIs.
    pub(crate) fn certificate(&self, uris: &[&str]) -> Made {
        self.make(uris, false)
    }

    pub(crate) fn expired(&self, uri: &str) -> Made {
        self.make(&[uri], true)
    }

    fn make(&self, uris: &[&str], is_expired: bool) -> Made {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("valid");
        for uri in uris {
            let uri = Ia5String::try_from(*uri).expect("ASCII");
            params.subject_alt_names.push(SanType::URI(uri));
        }
        if is_expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 8);
        }
        let key = KeyPair::generate().expect("generated");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Made { certificate, key: key.serialize_pem() }
    }
}

/// The three files of a process.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(ca: &str, made: &Made) -> Self {
        let folder = Self(tempfile::tempdir().expect("temporary folder"));
        folder.write(ca, made);
        folder
    }

    pub(crate) fn write(&self, ca: &str, made: &Made) {
        self.write_one("ca.pem", ca);
        self.write_one("own.pem", &made.certificate);
        self.write_one("own.key", &made.key);
    }

    pub(crate) fn write_one(&self, name: &str, contents: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, contents).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn files(&self) -> TlsFiles {
        let file = |name| self.0.path().join(name);
        TlsFiles {
            ca_file: file("ca.pem"),
            certificate_file: file("own.pem"),
            key_file: file("own.key"),
        }
    }

    pub(crate) fn load(&self) -> Result<Arc<Tls>, TlsError> {
        Tls::load(self.files(), Clock::system())
    }
}

/// Certificates of the process with this URI.
pub(crate) fn tls(authority: &Authority, uri: &str) -> Arc<Tls> {
    Folder::new(&authority.pem, &authority.certificate(&[uri])).load().expect("loads")
}
