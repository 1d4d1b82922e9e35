//! What operators type, against a real `nautilus dev`.

mod machine;

use machine::Machine;
use serde_json::Value;

fn names(list: &Value, field: &str) -> Vec<String> {
    let all = list.as_array().expect("a list").iter();
    all.map(|it| it[field].as_str().expect("text").to_owned()).collect()
}

fn group(machine: &Machine, name: &str) -> Value {
    let groups = machine.json(&["group", "list"]);
    let found = groups.as_array().expect("a list").iter().find(|it| it["name"] == name);
    found.expect("the group is there").clone()
}

fn leaf(machine: &Machine, name: &str) -> Value {
    let leaves = machine.json(&["leaf", "list"]);
    let found = leaves.as_array().expect("a list").iter().find(|it| it["leaf"] == name);
    found.expect("the leaf is there").clone()
}

#[test]
fn partitions_and_leaves_are_listed_explained_and_moved() {
    let mut machine = Machine::new();
    machine.start_with(&["--groups", "1", "--leaves", "2"]);
    let leaves = machine.json(&["leaf", "list", "--group", "a"]);
    assert_eq!(names(&leaves, "leaf"), ["a-1", "a-2"]);
    let partitions = machine.json(&["partition", "list"]);
    assert_eq!(names(&partitions, "state"), ["SERVING"; 4]);
    let owner = partitions[0]["leaf"].as_str().expect("an owner");
    let other = if owner == "a-1" { "a-2" } else { "a-1" };

    let shown = machine.ok(&["partition", "show", "0"]);
    assert!(shown.contains(&format!("SERVING on {owner}")), "{shown}");
    assert!(shown.contains("a recovery takes"), "{shown}");
    let shown = machine.json(&["partition", "show", "0"]);
    assert_eq!(shown["groups"][0]["recovery"]["is_done"], true);
    let told = machine.ok(&["partition", "explain", "0"]);
    assert!(told.contains(&format!("{owner} owns it")), "{told}");
    let unknown = machine.fails(3, &["partition", "show", "9"]);
    assert!(unknown.contains("there are 4"), "{unknown}");

    // A move: shown first, then made and followed to its end.
    let preview = machine.json(&["partition", "move", "0", "--to", other, "--dry-run"]);
    assert_eq!(preview["follows"]["changes"][0]["leaf"], other);
    assert_eq!(machine.json(&["partition", "list"])[0]["leaf"], owner);
    machine.ok(&["partition", "move", "0", "--to", other, "--by", "ada", "--watch"]);
    let partitions = machine.json(&["partition", "list"]);
    assert_eq!(
        (&partitions[0]["leaf"], &partitions[0]["state"]),
        (&other.into(), &"SERVING".into())
    );
    let there = machine.fails(1, &["partition", "move", "0", "--to", other]);
    assert!(there.contains("already"), "{there}");
    machine.ok(&["partition", "recover", "0", "--watch"]);
    assert_eq!(machine.json(&["partition", "list"])[0]["leaf"], owner);

    // A leaf is emptied, and may be filled again.
    machine.ok(&["leaf", "drain", "a-2", "--reason", "a new disk", "--wait", "60s"]);
    let drained = leaf(&machine, "a-2");
    assert_eq!((&drained["state"], &drained["cordon"]["kind"]), (&"IDLE".into(), &"DRAIN".into()));
    assert!(machine.ok(&["partition", "explain", "0"]).contains("a new disk"));
    machine.ok(&["leaf", "uncordon", "a-2"]);
    assert!(leaf(&machine, "a-2")["cordon"].is_null());
    machine.fails(3, &["leaf", "uncordon", "a-2"]);
    machine.fails(3, &["leaf", "cordon", "nobody"]);
    machine.stop();
    let nobody = machine.fails(5, &["leaf", "list"]);
    assert!(nobody.contains("--config"), "{nobody}");
}

#[test]
fn groups_are_drained_added_and_removed() {
    let mut machine = Machine::new();
    machine.start();
    assert_eq!(names(&machine.json(&["group", "list"]), "name"), ["a", "b"]);
    assert_eq!(group(&machine, "b")["served"], 4);

    machine.ok(&["group", "drain", "b", "--by", "ada", "--reason", "new cables"]);
    assert_eq!(group(&machine, "b")["standing"], "DRAINED");
    let status = machine.ok(&["status", "--wait", "10s"]);
    assert!(status.contains("group b is drained by ada: new cables"), "{status}");
    let last = machine.ok(&["group", "drain", "a", "--dry-run"]);
    assert!(last.contains("no other active group serves partition 0, 1, 2, 3"), "{last}");
    let lonely = machine.fails(1, &["group", "deploy", "a"]);
    assert!(lonely.contains("no other active group"), "{lonely}");
    let running = machine.fails(1, &["group", "remove", "b", "--yes"]);
    assert!(running.contains("stop them first"), "{running}");
    machine.fails(2, &["group", "remove", "b"]);
    machine.ok(&["group", "resume", "b"]);
    assert_eq!(group(&machine, "b")["standing"], "ACTIVE");

    machine.ok(&["group", "add", "c"]);
    machine.fails(1, &["group", "add", "c"]);
    assert_eq!(group(&machine, "c")["standing"], "DRAINED");
    machine.fails(5, &["group", "add", "c", "--wait", "300ms"]);
    machine.ok(&["group", "remove", "c", "--yes"]);
    assert_eq!(names(&machine.json(&["group", "list"]), "name"), ["a", "b"]);
    machine.fails(3, &["group", "drain", "c"]);

    // A deploy that cannot be checked changes nothing; one whose restart fails leaves the group drained.
    let nothing = machine.fails(1, &["group", "deploy", "b"]);
    assert!(nothing.contains("--no-compare"), "{nothing}");
    assert_eq!(group(&machine, "b")["standing"], "ACTIVE");
    machine.write("docs/tide.md", "# The tide\n\nThe tide turns at noon.\n");
    machine.ok(&["feed", "--create", "--namespace", "notes", "docs"]);
    let shown = machine.ok(&["group", "deploy", "b", "--dry-run"]);
    assert!(shown.contains("b-1 restarted"), "{shown}");
    let failed = machine.fails(1, &["group", "deploy", "b", "--restart", "exit 7"]);
    assert!(failed.contains("stays drained"), "{failed}");
    assert_eq!(group(&machine, "b")["standing"], "DRAINED");
    assert_eq!(machine.json(&["search", "noon"])["coverage"]["complete"], true);
    machine.ok(&["group", "resume", "b"]);
    machine.stop();
}

#[test]
fn searches_are_shadowed_and_reported() {
    let mut machine = Machine::new();
    machine.start();
    assert_eq!(machine.json(&["build", "shadow"]), Value::Null);
    assert_eq!(machine.json(&["build", "shadow", "--report"]), Value::Array(Vec::new()));
    for wrong in [
        &["build", "shadow", "stems"][..],
        &["build", "shadow", "--share", "1%"],
        &["build", "shadow", "stems", "--share", "0%"],
        &["build", "shadow", "stems", "--share", "1%", "--off"],
        &["build", "shadow", "two words", "--share", "1%"],
    ] {
        machine.fails(2, wrong);
    }
    let ask = ["build", "shadow", "stems", "--share", "2.5%", "--by", "ada", "--reason", "a trial"];
    let shown = machine.ok(&[&ask[..], &["--dry-run"]].concat());
    assert!(shown.contains("put shadow/candidate"), "{shown}");
    assert_eq!(machine.json(&["build", "shadow"]), Value::Null);
    machine.ok(&[&ask[..], &["--for", "1h"]].concat());
    let setting = machine.json(&["build", "shadow"]);
    assert_eq!((&setting["build"], &setting["by"]), (&"stems".into(), &"ada".into()));
    assert_eq!(setting["share_per_million"], 25_000);
    assert_eq!(setting["ends_by_itself"], true);
    let told = machine.ok(&["build", "shadow"]);
    assert!(told.contains("2.5 % of searches") && told.contains("a trial"), "{told}");
    // What is said again stands until it is taken back.
    machine.ok(&["build", "shadow", "log", "--share", "100%"]);
    let setting = machine.json(&["build", "shadow"]);
    assert_eq!((&setting["build"], &setting["ends_by_itself"]), (&"log".into(), &false.into()));
    machine.ok(&["build", "shadow", "--off"]);
    assert_eq!(machine.json(&["build", "shadow"]), Value::Null);
    machine.stop();
}
