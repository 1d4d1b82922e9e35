//! Certificates of a cluster's processes, from an authority of its own that is forgotten at once.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use super::layout::{Kind, Member};

/// The cluster's name in them.
const CLUSTER: &str = "nautilus-cluster";

/// The three files of a process.
pub(super) struct Files {
    pub(super) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Files {
    pub(super) fn of(folder: &Path, name: &str) -> Self {
        let folder = folder.join("certificates");
        Self {
            authority: folder.join("ca.pem"),
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        }
    }
}

/// Makes those of every member.
pub(super) fn write(folder: &Path, members: &[Member]) -> anyhow::Result<()> {
    fs::create_dir_all(folder.join("certificates")).context("make the folder of certificates")?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, CLUSTER);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);
    for member in members {
        let files = Files::of(folder, &member.name);
        let uri = format!("spiffe://{CLUSTER}/{}/{}", role(member.kind), member.name);
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.subject_alt_names.push(SanType::URI(Ia5String::try_from(uri)?));
        let key = KeyPair::generate()?;
        store(&files.authority, &authority)?;
        store(&files.certificate, &params.signed_by(&key, &issuer)?.pem())?;
        store(&files.key, &key.serialize_pem())?;
    }
    Ok(())
}

fn role(kind: Kind) -> &'static str {
    match kind {
        Kind::Leaf => "leaf",
        Kind::Root => "root",
        Kind::Coordinator => "coordinator",
        Kind::Merger => "merger",
        Kind::IndexBuilder => "indexbuilder",
    }
}

fn store(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("write {}", path.display()))
}
