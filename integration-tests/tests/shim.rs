//! The shim and the model of a power cut, on the programs of the shell instead of a server.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use nautilus_integration_tests::power_cut::{CutReport, CutStyle, Recorder, SyncCounts};
use nautilus_integration_tests::process::run;
use nautilus_integration_tests::rng::Rng;
use nautilus_integration_tests::scratch::Scratch;

const SCRIPT_TIME_MAX: Duration = Duration::from_secs(30);

/// Runs a script in an otherwise empty data folder and cuts the power. `before` comes before the
/// recording: all it leaves is on the disk.
fn cut(
    scratch: &Scratch,
    before: &str,
    script: &str,
    style: CutStyle,
    seed: u64,
) -> anyhow::Result<(CutReport, SyncCounts)> {
    let data = scratch.path().join("data");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    fs::create_dir(&data)?;
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-e", "-c", script]).current_dir(&data);
        command
    };
    run(shell(before), scratch.path(), "before", SCRIPT_TIME_MAX)?;
    let mut command = shell(script);
    let recorder = Recorder::new(scratch.path())?;
    let recording = recorder.start(&data, &scratch.path().join("recording"), &mut command)?;
    run(command, scratch.path(), "script", SCRIPT_TIME_MAX)?;
    recording.cut(style, &mut Rng::new(seed))
}

fn read(scratch: &Scratch, name: &str) -> Option<String> {
    fs::read_to_string(scratch.path().join("data").join(name)).ok()
}

#[test]
fn only_what_was_synced_is_sure_to_stay() -> anyhow::Result<()> {
    let scratch = Scratch::new("shim")?;
    let before = "printf old > old; printf gone > gone; mkdir -p folder; printf x > folder/x";
    let script = "
        printf one > synced; sync synced; printf two >> synced
        printf new > unsynced
        printf new > old
        rm gone
        printf y > folder/y; sync -d folder/y; mv folder/y folder/z
        mkdir empty listed; sync .
        printf moved > a; sync a; mv a b; sync .; printf more >> b
        head -c 100000 /dev/zero > large.segment; sync large.segment; printf tail >> large.segment
    ";
    let (report, syncs) = cut(&scratch, before, script, CutStyle::SyncedOnly, 1)?;
    println!("{report}; {syncs}");
    ensure!((syncs.segments, syncs.folders, syncs.others) == (1, 2, 3), "{syncs}");
    let left = |name: &str| read(&scratch, name);
    ensure!(left("synced").as_deref() == Some("one"));
    // Its name was on the disk with the folder, its content was not.
    ensure!(left("unsynced").as_deref() == Some(""));
    ensure!(left("old").as_deref() == Some("old"));
    ensure!(left("gone").is_none(), "the folder was synced after the removal");
    ensure!(left("folder/x").as_deref() == Some("x"));
    ensure!(left("folder/y").as_deref() == Some("y") && left("folder/z").is_none());
    ensure!(left("a").is_none() && left("b").as_deref() == Some("moved"));
    ensure!(left("large.segment").is_some_and(|text| text.len() == 100_000));
    ensure!(scratch.path().join("data/listed").is_dir());
    scratch.finish()
}

#[test]
fn removed_and_replaced_files_come_back_where_no_folder_was_synced() -> anyhow::Result<()> {
    let scratch = Scratch::new("shim")?;
    let before = "printf one > one; printf old > CURRENT";
    let script =
        "rm one; printf new > tmp; sync tmp; mv tmp CURRENT; mkdir lost; printf x > lost/x";
    let (report, _) = cut(&scratch, before, script, CutStyle::SyncedOnly, 1)?;
    ensure!(report.names_back == 2, "{report}");
    ensure!(read(&scratch, "one").as_deref() == Some("one"));
    ensure!(read(&scratch, "CURRENT").as_deref() == Some("old"));
    ensure!(read(&scratch, "tmp").as_deref() == Some("new"));
    ensure!(!scratch.path().join("data/lost").exists());
    scratch.finish()
}

#[test]
fn what_is_drawn_has_whole_renames_and_synced_beginnings() -> anyhow::Result<()> {
    let scratch = Scratch::new("shim")?;
    let before = "printf old > CURRENT";
    let script = "
        printf new > tmp; sync tmp; mv tmp CURRENT
        head -c 70000 /dev/zero > log; sync log; head -c 5000 /dev/zero >> log";
    let (mut renamed, mut lengths) = ([false; 2], Vec::new());
    for seed in 0..12 {
        cut(&scratch, before, script, CutStyle::Drawn, seed)?;
        match read(&scratch, "CURRENT").as_deref() {
            Some("old") => renamed[0] = true,
            Some("new") => renamed[1] = true,
            other => anyhow::bail!("CURRENT is {other:?}"),
        }
        lengths.push(fs::metadata(data(&scratch).join("log"))?.len());
    }
    ensure!(renamed == [true; 2], "12 draws were all alike");
    ensure!(lengths.iter().all(|length| (70_000..=75_000).contains(length)), "{lengths:?}");
    lengths.sort_unstable();
    lengths.dedup();
    ensure!(lengths.len() > 3, "{lengths:?}");
    scratch.finish()
}

fn data(scratch: &Scratch) -> std::path::PathBuf {
    Path::new(scratch.path()).join("data")
}
