//! The command against a folder.

use std::path::Path;

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

const CLUSTER: &str = "00112233445566778899aabbccddeeff";

/// Runs `nautilus repo …` with a configuration that names a folder.
async fn repo(dir: &Path, arguments: &[&str]) -> anyhow::Result<ExitCode> {
    let config = dir.join("cluster.toml");
    let text = format!(
        "[cluster]\nid = \"{CLUSTER}\"\n[index_repository]\nkind = \"folder\"\npath = {:?}\n",
        dir.join("repository"),
    );
    std::fs::write(&config, text)?;
    let config = config.to_string_lossy().into_owned();
    let line = ["nautilus", "repo"].iter().chain(arguments).copied();
    let cli = Cli::try_parse_from(line.chain(["--config", &config]))?;
    let Command::Repo(command) = cli.command else { anyhow::bail!("not a repo command") };
    run(&cli.global, command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_checked_and_tidied() {
    let dir = tempfile::tempdir().expect("folder");
    let code = repo(dir.path(), &["check", "--seconds", "1"]).await.expect("checked");
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    let objects = dir.path().join("repository/objects");
    assert_eq!(std::fs::read_dir(&objects).expect("listed").count(), 0, "it cleans up");
    // A file of an upload that ended long ago.
    let name = "00000000000000000001-00000000000000000002-00000000000000000003-\
        00000000000000000000000000000000";
    let upload = objects.join(format!("{CLUSTER}/0000000003/files/{name}/{CLUSTER}"));
    std::fs::create_dir_all(&upload).expect("made");
    let orphan = upload.join("CURRENT");
    std::fs::write(&orphan, "x").expect("written");
    repo(dir.path(), &["gc"]).await.expect("tidied");
    assert!(orphan.exists(), "it may still be going on");
    let file = std::fs::File::options().write(true).open(&orphan).expect("opened");
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000);
    file.set_modified(long_ago).expect("aged");
    repo(dir.path(), &["gc", "--dry-run", "--keep-days", "3"]).await.expect("listed");
    repo(dir.path(), &["gc", "--partitions", "0-2"]).await.expect("tidied");
    assert!(orphan.exists());
    repo(dir.path(), &["gc", "--partitions", "3", "--output", "json"]).await.expect("tidied");
    assert!(!orphan.exists());
}

#[test]
fn partitions_are_one_or_a_range() {
    assert_eq!(partitions("7"), Ok((7, 7)));
    assert_eq!(partitions("0-15"), Ok((0, 15)));
    for wrong in ["", "-", "3-1", "a", "1-", "-1", "1-2-3"] {
        assert!(partitions(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_broken_promise_is_told_with_its_example() {
    let broken = nautilus_index_repository::Promise {
        name: "what exists is not replaced",
        checked: 1_200,
        broken: 3,
        example: Some("scratch/race: read 9 bytes".to_owned()),
    };
    let promises = Promises { promises: vec![broken], rounds: 1_200, unanswered: 1 };
    let text = describe(&promises);
    assert!(text.contains("BROKEN 3 times"), "{text}");
    assert!(text.contains("scratch/race: read 9 bytes"), "{text}");
    assert!(text.ends_with("1,200 rounds; 1 round given up, as the repository did not answer"));
    assert_eq!(as_json(&promises)["kept"], false);
}
