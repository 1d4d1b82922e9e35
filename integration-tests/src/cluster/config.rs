//! The one configuration file of a cluster's processes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use nautilus_test_services::S3;

use super::Cluster;
use super::layout::{Kind, Layout, Member};
use super::services::Services;

/// Its text.
pub(super) fn text(
    folder: &Path,
    layout: &Layout,
    members: &[Member],
    services: &Services,
) -> String {
    let roots = members.iter().filter(|member| member.kind == Kind::Root);
    let roots: Vec<String> = roots.map(|root| format!("\"http://{}\"", root.address())).collect();
    let folder = folder.display();
    let Services { etcd, kafka, s3, postgres, database } = services;
    format!(
        r#"[cluster]
id = "{id:032x}"
log_generation = {generation}
partitions = {partitions}
roots = [{roots}]

[keys]
dir = "{folder}/keys"
identity_dir = "{folder}/identity"

[logging]
filter = "info"

[mutation_log]
kind = "kafka"
bootstrap_servers = ["{kafka}"]
topic = "{topic}"
replication_factor = 1
min_insync_replicas = 1

[registry]
kind = "etcd"
endpoints = [{etcd}]

[index_repository]
kind = "s3"
endpoint = "{s3}"
region = "{region}"
bucket = "{bucket}"
credentials_file = "{folder}/s3-credentials"

[catalog]
kind = "postgres"
url = "postgres://{role}@127.0.0.1:{port}/{database}"
password_file = "{password}"
tls = false

[coordinator]
partitions_per_leaf_max = {per_leaf}
lease_ttl = "5s"
gather_time = "3s"

[leaf]
lease_ttl = "5s"
lease_margin = "500ms"
block_cache = "64MiB"
search_threads = 1
read_threads = 1
apply_threads = 1
snapshot_interval = "{snapshot_interval}"
"#,
        id = u128::from_be_bytes(Cluster::ID),
        generation = Cluster::LOG_GENERATION.0,
        topic = Cluster::TOPIC,
        partitions = layout.partitions,
        roots = roots.join(", "),
        kafka = kafka.bootstrap_server(),
        etcd = etcd.endpoints().iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", "),
        s3 = s3.endpoint(),
        region = S3::REGION,
        bucket = Services::BUCKET,
        role = postgres.role(),
        port = postgres.port(),
        password = postgres.password_file().display(),
        per_leaf = layout.partitions_per_leaf_max,
        snapshot_interval = layout.snapshot_interval,
    )
}

/// What the commands of `nautilus` look for in a data directory, and the secret of the repository.
pub(super) fn write_endpoints(folder: &Path, members: &[Member]) -> anyhow::Result<()> {
    let first = |kind: Kind| members.iter().find(|member| member.kind == kind);
    let (merger, builder) = (first(Kind::Merger), first(Kind::IndexBuilder));
    let files = [
        ("endpoint", merger.map(|member| format!("{}\n", member.address()))),
        ("ingest-endpoint", builder.map(|member| format!("{}\n", member.address()))),
        (
            "s3-credentials",
            Some(format!(
                "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
                S3::KEY_ID,
                S3::SECRET_KEY
            )),
        ),
    ];
    for name in ["logs", "disks"] {
        fs::create_dir_all(folder.join(name)).with_context(|| format!("make {name}"))?;
    }
    for (name, text) in files {
        let Some(text) = text else { continue };
        let mut options = fs::OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(true).mode(0o600).open(folder.join(name));
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("write {name}"))?;
    }
    Ok(())
}
