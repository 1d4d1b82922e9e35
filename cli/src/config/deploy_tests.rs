//! What `deploy/` ships is valid: configurations, and the variables that its services are started with.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Nobody's: the template leaves it out, so that no two clusters have the same.
const ID: &str = "cluster.id=\"6e617574696c75732d6465706c6f7921\"";

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

/// The variables of a systemd environment file, as settings.
fn settings(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("readable");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.strip_prefix("NAUTILUS_").expect("a variable of ours").to_owned())
        .collect()
}

#[test]
fn the_template_is_valid_but_for_the_id() {
    let file = deploy("config/nautilus.toml");
    let config = ProcessConfig::load(Some(&file), &[]).expect("loads");
    let error = config.check().expect_err("without an id").to_string();
    assert!(error.contains("[cluster] id"), "{error}");
    let config = ProcessConfig::load(Some(&file), &[ID.to_owned()]).expect("loads");
    config.check().expect("valid");
    assert!(matches!(config.mutation_log, MutationLogBackend::Kafka(_)));
    assert!(matches!(config.registry, RegistryBackend::Etcd(_)));
    assert!(matches!(config.index_repository, IndexRepositoryBackend::S3(_)));
    assert!(matches!(config.catalog, CatalogBackend::Postgres(_)));
}

#[test]
fn the_configuration_of_the_compose_file_is_valid() {
    let file = deploy("compose/nautilus.toml");
    ProcessConfig::load(Some(&file), &[]).expect("loads").check().expect("valid");
}

#[test]
fn variables_of_systemd_services_are_settings() {
    let template = deploy("config/nautilus.toml");
    let mut files = 0;
    for entry in fs::read_dir(deploy("systemd/env")).expect("folder") {
        let file = entry.expect("entry").path();
        let mut settings = settings(&file);
        settings.push(ID.to_owned());
        let config = ProcessConfig::load(Some(&template), &settings);
        let config = config.unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
        config.check().unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
        assert_ne!(config.server.admin_listen_address.port(), 0, "{}", file.display());
        files += 1;
    }
    assert_eq!(files, 5, "one for each role");
}
