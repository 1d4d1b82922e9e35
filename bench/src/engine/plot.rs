//! The ratios of a run as pictures: one file for each stage, a bar a line, on a logarithmic scale.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

const BAR: f64 = 18.0;
const LABEL: f64 = 430.0;
const WIDTH: f64 = 420.0;
const TOP: f64 = 40.0;
/// Powers of ten on the scale.
const FROM: f64 = -4.0;
const TO: f64 = 2.0;

/// Writes `<first part of the name>.svg` for the lines that have a ratio.
pub(crate) fn write(dir: &Path, lines: &[Value]) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let mut groups: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["ratio"].is_number()) {
        let name = line["name"].as_str().unwrap_or_default();
        groups.entry(name.split('/').next().unwrap_or_default()).or_default().push(line);
    }
    for (group, lines) in groups {
        let file = dir.join(format!("{}.svg", group.replace('+', "-and-")));
        std::fs::write(&file, picture(group, &lines))
            .with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// The place of a ratio on the scale.
fn place(ratio: f64) -> f64 {
    let power = ratio.max(f64::MIN_POSITIVE).log10().clamp(FROM, TO);
    LABEL + (power - FROM) / (TO - FROM) * WIDTH
}

fn picture(title: &str, lines: &[&Value]) -> String {
    let height = TOP + BAR * (lines.len() as f64 + 1.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"18\" font-size=\"14\">{}: ours divided by the peer's; the mark is the target</text>\n",
        LABEL + WIDTH + 60.0,
        escaped(title),
    );
    for power in [-4, -3, -2, -1, 0, 1, 2] {
        let ratio = 10_f64.powi(power);
        let x = place(ratio);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{height}\" stroke=\"#ddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{ratio}</text>",
            TOP - 6.0,
        );
    }
    for (at, line) in lines.iter().enumerate() {
        let y = TOP + BAR * at as f64;
        let ratio = line["ratio"].as_f64().unwrap_or(1.0);
        let colour = match (line["target"].is_number(), line["met"] == true) {
            (false, _) => "#8a9ba8",
            (true, true) => "#3d8b5f",
            (true, false) => "#c0504d",
        };
        // Bars start at one: to the left ours is smaller.
        let (from, to) = (place(1.0).min(place(ratio)), place(1.0).max(place(ratio)));
        let _ = writeln!(
            out,
            "<text x=\"8\" y=\"{:.1}\">{}</text>\
             <rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            y + BAR * 0.75,
            escaped(line["name"].as_str().unwrap_or_default()),
            y + 3.0,
            (to - from).max(1.0),
            BAR - 6.0,
        );
        if let Some(target) = line["target"].as_f64() {
            let x = place(target);
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"black\" stroke-width=\"2\"/>",
                y + 1.0,
                y + BAR - 1.0,
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_picture_for_each_group() {
        let dir = tempfile::tempdir().unwrap();
        let lines = [
            json!({"name": "top10/a & b", "ratio": 0.5, "target": 0.35, "met": false}),
            json!({"name": "top10/c", "ratio": 0.01, "target": null, "met": true}),
            json!({"name": "top10+count/c", "ratio": 2.0, "target": 3.0, "met": true}),
            json!({"name": "alone", "ratio": null}),
        ];
        write(dir.path(), &lines).unwrap();
        let top10 = std::fs::read_to_string(dir.path().join("top10.svg")).unwrap();
        assert!(top10.contains("top10/a &amp; b") && top10.contains("#c0504d"));
        assert_eq!(top10.matches("<rect").count(), 3);
        assert!(dir.path().join("top10-and-count.svg").exists());
        assert!(!dir.path().join("alone.svg").exists());
        assert!(place(0.01) < place(0.1) && place(1e9) <= LABEL + WIDTH);
    }
}
