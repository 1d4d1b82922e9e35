//! The commands against a real `nautilus dev`: what a person sees, types and gets back.

mod machine;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use machine::Machine;
use serde_json::Value;

const LONG: usize = 300 * 1024;

fn write_docs(machine: &Machine) {
    machine.write("docs/tide.md", "# The tide\n\nThe tide turns at noon, over the *reef*.\n");
    machine.write(
        "docs/sub/vec.html",
        "<title>Vec in std</title><p>A <b>grow</b>able array &amp; more.",
    );
    machine.write("docs/cafe.txt", b"un caf\xe9 noir");
    machine.write("docs/blob.bin", b"\0\x01\x02");
    machine.write("docs/long.txt", "plankton ".repeat(LONG / 9));
    machine.write("docs/.hidden", "hidden");
    machine.write("docs/100%.txt", "percentage");
}

#[test]
fn a_folder_is_fed_searched_changed_and_survives_a_restart() {
    let mut machine = Machine::new();
    machine.start();
    write_docs(&machine);

    let fed = machine.json(&["feed", "--create", "--namespace", "notes", "docs"]);
    assert_eq!((&fed["new"], &fed["unchanged"], &fed["failed"]), (&6.into(), &0.into(), &0.into()));
    assert_eq!((&fed["cut"], &fed["binary"]), (&1.into(), &1.into()));

    let found = machine.json(&["search", "tide", "reef"]);
    assert_eq!(found["total_hits"], 1);
    assert_eq!(found["coverage"]["complete"], true);
    let hit = &found["hits"][0];
    assert_eq!((&hit["title"], &hit["document_id"]), (&"The tide".into(), &"tide.md".into()));
    let text = machine.ok(&["search", "-n", "notes", "growable"]);
    assert!(text.contains("Vec in std") && text.contains("«growable»"), "{text}");
    assert!(text.contains("notes: sub/vec.html"), "{text}");
    // Accents are folded, in the query as in the text.
    for query in ["café", "cafe", "path:blob", "plankton", "percentage"] {
        assert_eq!(machine.json(&["search", query])["total_hits"], 1, "{query}");
    }

    let got = machine.json(&["doc", "get", "--namespace", "notes", "long.txt"]);
    assert_eq!(got["metadata"]["attributes"]["truncated"], true);
    assert_eq!(got["metadata"]["size_bytes"], LONG / 9 * 9);
    let got = machine.json(&["doc", "get", "--namespace", "notes", "100%25.txt"]);
    assert_eq!(got["path"], "100%.txt");

    // Feeding again sends only what changed.
    let again = machine.json(&["feed", "--namespace", "notes", "docs"]);
    assert_eq!((&again["new"], &again["unchanged"]), (&0.into(), &6.into()));
    assert_eq!(again["bytes_sent"], 0);
    machine.write("docs/tide.md", "# The ebb\n\nThe water leaves the reef.\n");
    fs::remove_file(machine.path("docs/cafe.txt")).expect("remove");
    let third = machine.json(&["feed", "--namespace", "notes", "--prune", "docs"]);
    assert_eq!(
        (&third["changed"], &third["deleted"], &third["unchanged"]),
        (&1.into(), &1.into(), &4.into())
    );
    assert_eq!(machine.json(&["search", "cafe"])["total_hits"], 0);

    machine.ok(&["doc", "delete", "--namespace", "notes", "sub/vec.html"]);
    machine.stop();
    machine.start();
    assert_eq!(machine.json(&["search", "ebb"])["hits"][0]["title"], "The ebb");
    assert_eq!(machine.json(&["search", "growable"])["total_hits"], 0);
    let status = machine.json(&["status"]);
    // Four partitions, each served by both replica groups.
    assert_eq!(status["partitions"].as_array().map(Vec::len), Some(8));
    assert_eq!(status["groups"].as_array().map(Vec::len), Some(2));
    machine.stop();
}

#[test]
fn users_see_only_what_is_shared_with_them() {
    let mut machine = Machine::new();
    machine.start();
    machine.write("docs/secret.md", "# Reef\n\nbarnacle\n");
    for user in ["ada", "ben"] {
        machine.ok(&["user", "create", user]);
    }
    machine.ok(&["--as", "ada", "namespace", "create", "private"]);
    machine.ok(&["--as", "ada", "feed", "--namespace", "private", "docs"]);
    let hits = |user| machine.json(&["--as", user, "search", "barnacle"])["total_hits"].clone();
    assert_eq!((hits("ada"), hits("ben")), (1.into(), 0.into()));
    machine.fails(4, &["--as", "ben", "doc", "get", "-n", "private", "secret.md"]);
    machine.ok(&["--as", "ada", "namespace", "share", "private", "ben"]);
    assert_eq!(hits("ben"), 1);
    let members = machine.ok(&["--as", "ada", "namespace", "members", "private"]);
    assert!(members.contains("ben") && members.contains("reader"), "{members}");
    machine.fails(4, &["--as", "ben", "doc", "delete", "-n", "private", "secret.md"]);
    machine.ok(&["--as", "ada", "namespace", "share", "private", "ben", "none"]);
    assert_eq!(hits("ben"), 0);
    machine.ok(&["--as", "ada", "namespace", "delete", "private", "--yes"]);
    assert_eq!(hits("ada"), 0);
    machine.stop();
}

#[test]
fn lines_of_json_spread_and_leave_acknowledgements() {
    let mut machine = Machine::new();
    machine.start();
    let lines: String = (0..500)
        .map(|n| format!("{{\"id\":\"d{n}\",\"title\":\"line {n}\",\"body\":\"urchin\"}}\n"))
        .collect();
    machine.write("lines.jsonl", lines + "{\"id\":\"d7\",\"delete\":true}\nnonsense\n");
    let feed = ["feed", "--create", "-n", "s", "--spread", "5", "--jsonl", "lines.jsonl"];
    let said = machine.fails(1, &[&feed[..], &["--ack-log", "acks"]].concat());
    assert!(said.contains("500 new") && said.contains("1 deleted"), "{said}");
    assert!(said.contains("line 502"), "{said}");
    let acks = fs::read_to_string(machine.path("acks")).expect("acknowledgements");
    assert_eq!(acks.lines().count(), 501);
    assert!(acks.lines().any(|line| line == "d7\t-"), "{acks}");
    let listed = machine.json(&["namespace", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(5));
    assert_eq!(machine.json(&["search", "urchin"])["total_hits"], 499);
    machine.stop();
}

#[test]
fn status_is_watched_until_nobody_reads_it() {
    let mut machine = Machine::new();
    machine.start();
    let mut watch = machine.command(&["--output", "json", "status", "--watch"]);
    let mut watching = watch.stdout(Stdio::piped()).spawn().expect("runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let mut look = || -> Value {
        serde_json::from_str(&lines.next().expect("goes on").expect("text")).expect("JSON")
    };
    for status in [look(), look()] {
        assert_eq!(status["partitions"].as_array().map(Vec::len), Some(8));
    }
    machine.stop();
    let is_missed = |status: Value| status["error"]["message"].is_string();
    assert!((0..60).any(|_| is_missed(look())));
    drop(lines);
    assert!(watching.wait().expect("ends").success());
}

#[test]
fn mistakes_are_told_by_exit_code_and_in_words() {
    let mut machine = Machine::new();
    let nobody = machine.fails(5, &["--endpoint", "127.0.0.1:1", "search", "x"]);
    assert!(nobody.contains("nothing answers at 127.0.0.1:1"), "{nobody}");
    let open = machine.fails(2, &["dev", "--listen", "0.0.0.0:0"]);
    assert!(open.contains("--insecure-i-know"), "{open}");
    machine.fails(2, &["search"]);
    machine.start();
    let second = machine.fails(1, &["dev", "--listen", "127.0.0.1:0"]);
    assert!(second.contains("another `nautilus dev`"), "{second}");
    let nobody = machine.fails(4, &["--as", "nobody", "search", "x"]);
    assert!(nobody.contains("nautilus user create"), "{nobody}");
    let absent = machine.fails(4, &["feed", "-n", "absent", "."]);
    assert!(absent.contains("--create"), "{absent}");
    machine.ok(&["namespace", "create", "empty"]);
    machine.fails(3, &["doc", "get", "-n", "empty", "none"]);
    let query = machine.fails(1, &["search", "reef AND (tide"]);
    assert!(query.contains("  reef AND (tide\n           ^"), "{query}");
    let verbose = machine.ok(&["--verbose", "search", "reef"]);
    assert!(verbose.contains("nothing found"), "{verbose}");
    machine.stop();
}
