//! A leaf that dies again and again.

use std::path::Path;
use std::time::Duration;

use super::leaves::{CALM, recovered_all, serving_leaf};
use super::run::Run;
use super::verify;
use crate::cluster::Kind;

const LOOP_TIME: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Beside the least, as drawn.
const PAUSE_MORE_MS: u64 = 2_000;
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(120);
/// A disk may hold so many times what the fullest other does.
const GROWTH_MAX: u64 = 3;

/// `kill -9` of one leaf every 1 to 3 seconds, on the same disk: in the middle of whatever it does.
pub(super) fn crash_loop(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let replicas = run.cluster.serving()?;
    let victim = serving_leaf(run, "a")?;
    let began = run.now();
    while run.now() < began + LOOP_TIME {
        run.cluster.kill(&victim)?;
        run.injected("kill -9 of the same leaf");
        run.cluster.launch(&victim)?;
        let pause = PAUSE_MIN + Duration::from_millis(run.rng.below(PAUSE_MORE_MS));
        run.until(run.now() + pause)?;
    }
    let ended = run.now();
    run.cluster.wait_started(&victim)?;
    let is_back = recovered_all(run, replicas, RECOVERY_TIME_MAX)?;
    let took = run.now().saturating_sub(ended).as_secs_f64();
    run.check("everything is served again", is_back, format!("{took:.1} s after the last"));
    let disk = |name: &str| Ok(bytes_in(&run.cluster.folder().join("disks").join(name))?);
    let own: u64 = disk(&victim)?;
    let others = run.cluster.of_kind(Kind::Leaf).filter(|leaf| leaf.name != victim);
    let others: Vec<u64> = others.map(|leaf| disk(&leaf.name)).collect::<anyhow::Result<_>>()?;
    let fullest = others.into_iter().max().unwrap_or(0);
    run.check(
        "its disk does not fill with leftovers",
        own <= fullest * GROWTH_MAX,
        format!("{own} bytes, the fullest other {fullest}"),
    );
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// Files come and go while they are counted.
fn bytes_in(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    let Ok(entries) = folder.read_dir() else { return Ok(0) };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            sum += bytes_in(&entry.path())?;
        } else {
            sum += entry.metadata().map_or(0, |metadata| metadata.len());
        }
    }
    Ok(sum)
}
