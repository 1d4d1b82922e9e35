use super::*;
use serde::Deserialize;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u32,
    leaf: RawLeaf,
    mutation_log: RawLog,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct RawLeaf {
    listen_address: String,
    block_cache: ByteSize,
    peers: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct RawLog {
    dir: String,
    flush: RawFlush,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct RawFlush {
    interval: HumanDuration,
}

const SECTIONS: [&str; 3] = ["leaf", "mutation_log", "mutation_log.flush"];

const FILE: &str = "
version = 1
[leaf]
listen_address = '127.0.0.1:7701'
block_cache = '1GiB'
peers = []
[mutation_log]
dir = 'log'
[mutation_log.flush]
interval = '10m'
";

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn layered(pairs: &[(&str, &str)]) -> Result<Layers, ConfigError> {
    let layers = Layers::new().text(FILE).expect("toml");
    layers.variables(&variables(pairs), &SECTIONS, &["version"], &["NAUTILUS_SEED"])
}

#[test]
fn variables_override_the_file_and_flags_override_both() {
    let raw: Raw = layered(&[
        ("NAUTILUS_LEAF_BLOCK_CACHE", "64MiB"),
        ("NAUTILUS_LEAF_PEERS", r#"["a:1", "b:2"]"#),
        ("NAUTILUS_MUTATION_LOG_DIR", "/srv/log"),
        ("NAUTILUS_MUTATION_LOG_FLUSH_INTERVAL", "5s"),
        ("NAUTILUS_VERSION", "2"),
        ("NAUTILUS_SEED", "not a setting"),
        ("PATH", "/bin"),
    ])
    .expect("variables")
    .set("leaf.listen_address", "0.0.0.0:1")
    .expect("flag")
    .parse()
    .expect("valid");
    assert_eq!(raw.version, 2);
    assert_eq!(raw.leaf.listen_address, "0.0.0.0:1");
    assert_eq!(raw.leaf.block_cache.bytes(), 64 << 20);
    assert_eq!(raw.leaf.peers, ["a:1", "b:2"]);
    assert_eq!(raw.mutation_log.dir, "/srv/log");
    assert_eq!(raw.mutation_log.flush.interval.duration().as_secs(), 5);
}

#[test]
fn unknown_keys_are_errors_wherever_they_come_from() {
    let error = layered(&[("NAUTILUS_LEEF_DIR", "x")]).expect_err("no such section");
    assert!(error.to_string().contains("NAUTILUS_LEEF_DIR"), "{error}");
    assert_eq!(error.class(), Class::Invalid);
    let unknown_key = layered(&[("NAUTILUS_LEAF_COLOUR", "red")]).expect("a section");
    let error = unknown_key.parse::<Raw>().expect_err("no such key");
    assert!(crate::status::error_chain(&error).contains("colour"), "{error:?}");
    let error = Layers::new().text(FILE).expect("toml").set("leaf.x", 1).expect("set");
    assert!(error.parse::<Raw>().is_err());
}

#[test]
fn text_that_is_no_toml_stays_text() {
    assert_eq!(value_of("127.0.0.1:80"), Value::String("127.0.0.1:80".to_owned()));
    assert_eq!(value_of("plain words"), Value::String("plain words".to_owned()));
    assert_eq!(value_of("\"7\""), Value::String("7".to_owned()));
    assert_eq!(value_of("7"), Value::Integer(7));
    assert_eq!(value_of("true"), Value::Boolean(true));
    assert_eq!(value_of("1\nother = 2"), Value::String("1\nother = 2".to_owned()));
    assert_eq!(value_of(""), Value::String(String::new()));
}

#[test]
fn a_value_is_no_section() {
    let error = Layers::new().set("leaf", 1).expect("value").set("leaf.dir", "x");
    assert!(matches!(error, Err(ConfigError::NotASection { .. })), "{error:?}");
}

#[test]
fn files_are_read_and_their_errors_name_them() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("nautilus.toml");
    let missing = Layers::new().file(&path).expect_err("missing");
    assert!(missing.to_string().contains("nautilus.toml"), "{missing}");
    assert_eq!(missing.class(), Class::NotFound);
    std::fs::write(&path, "[leaf\n").expect("written");
    assert!(matches!(Layers::new().file(&path), Err(ConfigError::Parse { .. })));
    std::fs::write(&path, FILE).expect("written");
    assert!(Layers::new().file(&path).expect("read").parse::<Raw>().is_ok());
}

#[test]
fn tables_merge_key_by_key() {
    let layers = Layers::new().text(FILE).expect("toml");
    let over = layers.text("[leaf]\npeers = ['c:3']").expect("toml");
    let raw: Raw = over.parse().expect("valid");
    assert_eq!(raw.leaf.peers, ["c:3"]);
    assert_eq!(raw.leaf.listen_address, "127.0.0.1:7701");
}

#[test]
fn the_environment_gives_only_ours() {
    assert!(environment().keys().all(|name| name.starts_with("NAUTILUS_")));
    assert_eq!(variable("NAUTILUS_NO_SUCH_VARIABLE_IN_TESTS"), None);
}
