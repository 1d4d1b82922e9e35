//! What a run found: lines with their targets, as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::measure::Samples;

/// What a line must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// Ours divided by the peer's.
    RatioAtMost(f64),
    RatioAtLeast(f64),
    /// Ours alone.
    OursAtMost(f64),
    /// Nothing: shown beside others.
    None,
}

impl Target {
    fn number(self) -> Option<f64> {
        match self {
            Self::RatioAtMost(bound) | Self::RatioAtLeast(bound) | Self::OursAtMost(bound) => {
                Some(bound)
            }
            Self::None => None,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::RatioAtMost(_) => "≤",
            Self::OursAtMost(_) => "ours ≤",
            Self::RatioAtLeast(_) => "≥",
            Self::None => "",
        }
    }
}

/// One measured quantity.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) ours: f64,
    /// Tantivy, or what the name says ours is compared with.
    pub(crate) peer: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) ratio: Option<f64>,
    /// Coefficient of variation over the rounds: of the ratio, or of ours where there is no peer.
    pub(crate) cov: f64,
    pub(crate) scale: String,
    /// What the name does not say: which layout, what stands in the peer's column. Part of the scale in JSON, so that
    /// names are the same in every run.
    pub(crate) note: String,
    pub(crate) target: Target,
}

impl Line {
    /// Medians of rounds in which ours and the peer's were measured one after the other. The ratio is the median of
    /// the rounds' ratios: what disturbs a round disturbs both.
    pub(crate) fn of_rounds(
        name: impl Into<String>,
        unit: &'static str,
        ours: &Samples,
        peer: &Samples,
        target: Target,
    ) -> Self {
        let ratios: Samples = ours.iter().zip(peer.iter()).map(|(o, p)| o / p).collect();
        Self {
            name: name.into(),
            ours: ours.median(),
            peer: Some(peer.median()),
            unit,
            ratio: Some(ratios.median()),
            cov: ratios.variation(),
            scale: String::new(),
            note: String::new(),
            target,
        }
    }

    /// Without a peer.
    pub(crate) fn alone(
        name: impl Into<String>,
        unit: &'static str,
        ours: &Samples,
        target: Target,
    ) -> Self {
        Self {
            name: name.into(),
            ours: ours.median(),
            peer: None,
            unit,
            ratio: None,
            cov: ours.variation(),
            scale: String::new(),
            note: String::new(),
            target,
        }
    }

    pub(crate) fn noted(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// A line without a target meets it.
    pub(crate) fn is_met(&self) -> bool {
        match self.target {
            Target::RatioAtMost(bound) => self.ratio.is_some_and(|ratio| ratio <= bound),
            Target::RatioAtLeast(bound) => self.ratio.is_some_and(|ratio| ratio >= bound),
            Target::OursAtMost(bound) => self.ours <= bound,
            Target::None => true,
        }
    }

    /// What stages keep: the agreed fields, and for the table the note and the direction of the target.
    pub(crate) fn json(&self) -> Value {
        let scale = match self.note.is_empty() {
            true => self.scale.clone(),
            false => format!("{}; {}", self.scale, self.note),
        };
        json!({
            "name": self.name,
            "ours": rounded(self.ours),
            "peer": self.peer.map(rounded),
            "unit": self.unit,
            "ratio": self.ratio.map(rounded),
            "cov": rounded(self.cov),
            "scale": scale,
            "note": self.note,
            "target": self.target.number().map(rounded),
            "sign": self.target.sign(),
            "met": self.is_met(),
        })
    }
}

/// Five significant digits: more would be noise.
fn rounded(number: f64) -> f64 {
    format!("{number:.4e}").parse().unwrap_or(number)
}

/// `{"lines": […]}`, the agreed fields only.
pub(crate) fn document(lines: &[Value]) -> Value {
    let mut lines = lines.to_vec();
    for line in lines.iter_mut().filter_map(Value::as_object_mut) {
        line.remove("sign");
        line.remove("note");
    }
    json!({ "lines": lines })
}

/// For people. Takes the JSON form, which also comes from stages of an earlier run.
pub(crate) fn table(lines: &[Value]) -> String {
    let mut out = String::from(
        "| line | ours | peer | unit | ratio | cov | target | met |\n|---|---|---|---|---|---|---|---|\n",
    );
    let number = |value: &Value| value.as_f64().map(shown).unwrap_or_default();
    for line in lines {
        let name = line["name"].as_str().unwrap_or_default();
        let note = match line["note"].as_str() {
            Some(note) if !note.is_empty() => format!(" ({note})"),
            Some(_) | None => String::new(),
        };
        let (target, met) = match line["target"].as_f64() {
            Some(bound) => {
                let met = if line["met"] == true { "yes" } else { "**no**" };
                (format!("{} {bound}", line["sign"].as_str().unwrap_or_default()), met)
            }
            None => (String::new(), ""),
        };
        let _ = writeln!(
            out,
            "| {name}{note} | {} | {} | {} | {} | {:.0} % | {target} | {met} |",
            number(&line["ours"]),
            number(&line["peer"]),
            line["unit"].as_str().unwrap_or_default(),
            number(&line["ratio"]),
            line["cov"].as_f64().unwrap_or_default() * 100.0,
        );
    }
    out
}

fn shown(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        size if size >= 0.01 => format!("{number:.3}"),
        _ => format!("{number:.5}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        values.iter().copied().collect()
    }

    #[test]
    fn ratios_are_of_rounds() {
        // A disturbed round costs both four times as much; the ratio of medians would hide that it is one half.
        let (ours, peer) =
            (samples(&[1.0, 4.0, 1.1, 3.0, 1.0]), samples(&[2.0, 8.0, 2.2, 6.0, 2.0]));
        let line = Line::of_rounds("x", "µs", &ours, &peer, Target::RatioAtMost(0.5));
        assert_eq!((line.ours, line.peer, line.ratio), (1.1, Some(2.2), Some(0.5)));
        assert!(line.cov < 1e-9 && line.is_met());
        assert!(!Line { target: Target::RatioAtMost(0.49), ..line.clone() }.is_met());
        assert!(Line { target: Target::RatioAtLeast(0.5), ..line.clone() }.is_met());
        assert!(!Line { target: Target::OursAtMost(1.0), ..line }.is_met());
    }

    #[test]
    fn lines_without_a_peer_are_judged_alone() {
        let line = Line::alone("x", "ms", &samples(&[1.0, 3.0]), Target::OursAtMost(2.0));
        assert_eq!((line.ours, line.ratio), (2.0, None));
        assert!((line.cov - 2.0_f64.sqrt() / 2.0).abs() < 1e-12);
        assert!(line.is_met());
        let unbounded = Line { target: Target::None, ..line };
        assert!(unbounded.is_met());
        assert_eq!(unbounded.json()["target"], Value::Null);
    }

    #[test]
    fn json_has_the_agreed_fields() {
        let line = Line::of_rounds(
            "x",
            "µs",
            &samples(&[1.234_567_8]),
            &samples(&[2.0]),
            Target::RatioAtMost(0.35),
        );
        let line = Line { scale: "quick".to_owned(), ..line };
        let expected = json!({"lines": [{
            "name": "x", "ours": 1.2346, "peer": 2.0, "unit": "µs", "ratio": 0.61728, "cov": 0.0,
            "scale": "quick", "target": 0.35, "met": false,
        }]});
        assert_eq!(document(&[line.json()]), expected);
    }
}
