//! Builds in the repository: listed, shown and collected by `nautilus build`, on a log, a registry and a catalog that
//! processes share.

#[allow(dead_code, reason = "no server runs here")]
mod machine;

use machine::Machine;
use nautilus_catalog::{Catalog as _, PostgresCatalog, PostgresConfig, PostgresTls, UserId};
use nautilus_registry::layout::{
    BuildRef, GroupBuild, GroupName, GroupStanding, GroupState, Note, Record,
};
use nautilus_registry::{EtcdConfig, EtcdRegistry, Operation, Registry as _, Transaction};
use nautilus_test_services::{Etcd, Kafka, Postgres, or_skip};
use serde_json::{Value, json};

const TEST: &str = "nautilus-cli::builds";

/// The services of a cluster, none of whose processes runs, and a folder with its configuration.
struct Site {
    machine: Machine,
    etcd: Etcd,
    postgres: Postgres,
    database: String,
    _kafka: Kafka,
}

impl Site {
    fn start() -> Option<Self> {
        let etcd = or_skip(TEST, Etcd::start())?;
        let postgres = or_skip(TEST, Postgres::start())?;
        let kafka = or_skip(TEST, Kafka::start())?;
        let (machine, database) = (Machine::new(), postgres.create_database());
        let text = format!(
            r#"
[cluster]
id = "{id}"
log_generation = 1
partitions = 2

[keys]
dir = "keys"
identity_dir = "identity"

[mutation_log]
kind = "kafka"
bootstrap_servers = ["{kafka}"]
replication_factor = 1
min_insync_replicas = 1

[registry]
kind = "etcd"
endpoints = ["{etcd}"]

[index_repository]
kind = "folder"
path = "repository"

[catalog]
kind = "postgres"
url = "postgres://{role}@127.0.0.1:{port}/{database}"
password_file = "{password}"
tls = false
"#,
            id = "5a".repeat(16),
            kafka = kafka.bootstrap_server(),
            etcd = etcd.endpoint(),
            role = postgres.role(),
            port = postgres.port(),
            password = postgres.password_file().display(),
        );
        machine.write("cluster.toml", text);
        let site = Self { machine, etcd, postgres, database, _kafka: kafka };
        site.ok(&["init"]);
        site.block_on(site.create_user());
        Some(site)
    }

    fn ok(&self, arguments: &[&str]) -> String {
        self.machine.ok(&[arguments, &["--config", "cluster.toml"]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.machine.json(&[arguments, &["--config", "cluster.toml"]].concat())
    }

    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        self.machine.fails(code, &[arguments, &["--config", "cluster.toml"]].concat())
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("runtime").block_on(work)
    }

    async fn create_user(&self) {
        let url = format!(
            "postgres://{}@127.0.0.1:{}/{}",
            self.postgres.role(),
            self.postgres.port(),
            self.database
        );
        let mut config = PostgresConfig::from_url(&url).expect("valid");
        config.password_file = Some(self.postgres.password_file());
        config.tls = PostgresTls::Off;
        let catalog = PostgresCatalog::open(config).await.expect("opens");
        catalog.create_user(&UserId::new("ada").expect("valid"), "Ada", 1).await.expect("new");
        catalog.close().await;
    }

    /// Group `a` serves one build and could go back to another; group `b` serves what is fed from the log alone.
    fn say_builds(&self, serves: &str, previous: &str) {
        let build = |name: &str| BuildRef { name: Some(name.to_owned()), analyzer_version: 1 };
        let note = Note { owner: "ada".to_owned(), reason: "a build".to_owned() };
        let [a, b] = ["a", "b"].map(|name| GroupName::new(name).expect("valid"));
        let of_a = GroupBuild {
            build: build(serves),
            previous: Some(build(previous)),
            note: note.clone(),
            placed_unix_ms: 1,
        };
        let of_b = GroupStanding { state: GroupState::Active, note, placed_unix_ms: 1 };
        let records = [Record::Build(a, of_a), Record::Standing(b, of_b)];
        let operations = records.map(|record| {
            let (key, value) = (record.key().to_string(), record.encode().expect("valid"));
            Operation::Put { key, value, lease: None }
        });
        self.block_on(async {
            let config = EtcdConfig::new(vec![self.etcd.endpoint()], "nautilus");
            let registry = EtcdRegistry::open(config).await.expect("opens");
            let operations = operations.to_vec();
            let transaction = Transaction { conditions: Vec::new(), operations };
            registry.transact(transaction).await.expect("written");
        });
    }

    /// Makes a build of this many documents on top of another one.
    fn build(&self, name: &str, onto: &str, documents: usize) {
        let line = |n: usize| {
            format!(
                "{{\"id\":\"d{n}\",\"version\":1,\"title\":\"line {n}\",\"body\":\"urchins\"}}\n"
            )
        };
        self.machine.write("lines.jsonl", (0..documents).map(line).collect::<String>());
        let of = ["indexbuilder", "build", "--name", name, "--onto", onto, "--namespace", "sea"];
        let from = ["--create", "--spread", "8", "--jsonl", "lines.jsonl", "--as", "ada"];
        let built = self.json(&[&of[..], &from].concat());
        assert_eq!((&built["taken"], &built["refused"]), (&json!(documents), &json!([])));
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|it| it["name"].as_str().expect("text")).collect()
}

#[test]
fn builds_are_listed_shown_and_collected() {
    let Some(site) = Site::start() else { return };
    assert_eq!(site.json(&["build", "list"]), json!([]));
    site.build("2026-09", "log", 5);
    site.build("2026-10", "2026-09", 20);
    site.build("2026-11", "2026-10", 30);
    let analyzer = ["indexbuilder", "rebuild", "--name", "stems", "--analyzer", "2"];
    site.ok(&[&analyzer[..], &["--of", "2026-10", "--folder", "rebuild"]].concat());
    site.say_builds("2026-11", "2026-10");

    // What there is, and who serves it.
    let list = site.json(&["build", "list"]);
    assert_eq!(names(&list), ["2026-09", "2026-10", "2026-11", "stems"]);
    for (build, (documents, analyzer, served_by)) in list.as_array().expect("a list").iter().zip([
        (5, 1, json!([])),
        (20, 1, json!([])),
        (30, 1, json!(["a"])),
        (20, 2, json!([])),
    ]) {
        assert_eq!(build["partitions"], json!([0, 1]), "{build}");
        assert_eq!(build["documents"], documents, "{build}");
        assert_eq!(build["analyzer_versions"], json!([analyzer]), "{build}");
        assert_eq!(build["served_by"], served_by, "{build}");
        assert!(build["size_bytes"].as_u64() > Some(1_000), "{build}");
    }
    let text = site.ok(&["build", "list"]);
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).expect("a line");
    let words = |line: &'static str| line.split_whitespace();
    assert!(
        words("build partitions documents size analyzer newest served by")
            .all(|word| line("build").contains(word)),
        "{text}"
    );
    assert!(line("2026-11").contains("2/2") && line("2026-11").ends_with(" a"), "{text}");

    // One of them.
    let shown = site.json(&["build", "show", "stems"]);
    let shown = shown.as_array().expect("a list");
    assert_eq!(
        shown.iter().map(|it| it["partition"].as_u64()).collect::<Vec<_>>(),
        [Some(0), Some(1)]
    );
    assert_eq!(shown.iter().filter_map(|it| it["documents"].as_u64()).sum::<u64>(), 20);
    assert!(shown.iter().all(|it| it["analyzer_version"] == 2 && it["next_offset"] == 0));
    let text = site.ok(&["build", "show", "2026-11"]);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.starts_with("partition"), "{text}");
    site.ok(&["build", "verify", "2026-11"]);
    for command in ["show", "verify"] {
        let unknown = site.fails(3, &["build", command, "2026-12"]);
        assert!(unknown.contains("no snapshot of build 2026-12"), "{unknown}");
    }

    // What nobody serves or could go back to goes, once it is old enough and somebody says so.
    let young = site.ok(&["build", "gc", "--yes"]);
    assert!(young.contains("no build that nobody needs"), "{young}");
    let all = ["build", "gc", "--older-than", "1ms"];
    let dry = site.json(&[&all[..], &["--dry-run", "--yes"]].concat());
    assert_eq!((&dry["builds"], &dry["dry_run"]), (&json!(["2026-09", "stems"]), &json!(true)));
    assert_eq!(dry["snapshots_removed"], 0);
    let asked = site.fails(2, &all);
    assert!(asked.contains("would be removed: 2026-09, stems"), "{asked}");
    assert!(asked.contains("--yes"), "{asked}");
    assert_eq!(names(&site.json(&["build", "list"])).len(), 4, "nothing went yet");
    let gone = site.json(&[&all[..], &["--yes"]].concat());
    assert_eq!((&gone["builds"], &gone["dry_run"]), (&json!(["2026-09", "stems"]), &json!(false)));
    assert_eq!(gone["snapshots_removed"], 4);
    assert_eq!(names(&site.json(&["build", "list"])), ["2026-10", "2026-11"]);
    site.fails(3, &["build", "show", "stems"]);
    for kept in ["2026-10", "2026-11"] {
        assert!(site.ok(&["build", "verify", kept]).contains("2 partitions sound"));
    }
    let nothing = site.ok(&[&all[..], &["--yes"]].concat());
    assert!(nothing.contains("no build that nobody needs"), "{nothing}");
}
