//! `nautilus build shadow`: a share of searches runs on a candidate build as well; how its answers differ.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use nautilus_coordinator::operate;
use nautilus_index_repository::LOG_BUILD;
use nautilus_proto::admin::v1::{GetShadowReportRequest, ShadowReport};
use nautilus_registry::layout::ShadowSearches;
use nautilus_service::Clock;
use serde_json::{Value, json};

use super::served_by;
use crate::cli::{Global, duration};
use crate::client::Client;
use crate::credentials::Caller;
use crate::exit::Failure;
use crate::format::{self, Align};
use crate::output;
use crate::placement::{Asked, Placement, failed};

/// Of a million, one per cent.
const PER_CENT: u32 = 10_000;

/// Which share, of which build.
#[derive(Debug, Args)]
pub(crate) struct ShadowArgs {
    /// The candidate; "log" = what is fed from the log alone
    #[arg(value_name = "NAME", requires = "share")]
    name: Option<String>,

    /// Of searches, such as 1% or 0.05%
    #[arg(long, value_name = "PERCENT", value_parser = share, requires = "name")]
    share: Option<u32>,

    /// It ends after this time, at most 1h [default: when --off is said]
    #[arg(long = "for", value_name = "TIME", value_parser = duration, requires = "name")]
    ttl: Option<Duration>,

    /// Shadow no searches any more
    #[arg(long, conflicts_with_all = ["name", "report"])]
    off: bool,

    /// Show how the candidate's answers differed, since the merger started or the candidate was another one
    #[arg(long, conflicts_with = "name")]
    report: bool,

    /// A merger to ask for its part of the report; may be said several times [default: --endpoint]
    #[arg(long = "merger", value_name = "ADDR", requires = "report")]
    mergers: Vec<String>,

    #[command(flatten)]
    asked: Asked,
}

/// `1%` as so many of a million.
fn share(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').ok_or("write it in per cent, such as 1%")?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    let problem =
        || format!("{text:?} is not more than 0% and at most 100%, with up to 4 decimals");
    if whole.is_empty() || part.len() > 4 || !is_number(whole) || !is_number(part) {
        return Err(problem());
    }
    let whole: u32 = whole.parse().map_err(|_| problem())?;
    let part: u32 = format!("{part:0<4}").parse().map_err(|_| problem())?;
    let share = whole.checked_mul(PER_CENT).and_then(|it| it.checked_add(part));
    let in_range = |share: &u32| (1..=100 * PER_CENT).contains(share);
    share.filter(in_range).ok_or_else(problem)
}

/// The same for people.
fn share_text(per_million: u32) -> String {
    let (whole, part) = (per_million / PER_CENT, per_million % PER_CENT);
    let text = format!("{whole}.{part:04}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn named(label: &str) -> String {
    if label.is_empty() { LOG_BUILD.to_owned() } else { output::clean_line(label) }
}

/// Does it.
pub(super) async fn run(global: &Global, args: &ShadowArgs) -> anyhow::Result<()> {
    match (&args.name, args.share) {
        _ if args.report => report(global, &args.mergers).await,
        _ if args.off => off(global, &args.asked).await,
        (Some(name), Some(share)) => on(global, args, name, share).await,
        (None, _) | (_, None) => show(global, &args.asked).await,
    }
}

async fn on(global: &Global, args: &ShadowArgs, name: &str, share: u32) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.asked.config).await?;
    let served = served_by(&placement.groups().await?);
    match served.get(name) {
        Some(groups) if served.len() > 1 => {
            output::complain(&format!("build {name} is that of group {}", groups.join(", ")));
        }
        Some(_) => {
            output::complain("note: every group is to serve it; there is nothing to compare")
        }
        None => output::complain(
            "note: no group is to serve it; nothing is run until one does, see `nautilus build promote --help`",
        ),
    }
    let wanted = ShadowSearches {
        build: Some(name.to_owned()).filter(|name| name != LOG_BUILD),
        share_per_million: share,
        note: args.asked.note(),
        placed_unix_ms: placement.clock.unix_ms(),
    };
    // What cannot be written is told by a dry run as well.
    wanted.encode().map_err(|error| Failure::usage(error.to_string()))?;
    let done = format!("{} of searches are run on build {name} as well", share_text(share));
    write(global, &placement, &args.asked, (Some(&wanted), args.ttl), &done).await
}

async fn off(global: &Global, asked: &Asked) -> anyhow::Result<()> {
    let placement = Placement::open(global, &asked.config).await?;
    write(global, &placement, asked, (None, None), "searches are not shadowed any more").await
}

async fn write(
    global: &Global,
    placement: &Placement,
    asked: &Asked,
    (wanted, ttl): (Option<&ShadowSearches>, Option<Duration>),
    done: &str,
) -> anyhow::Result<()> {
    let verb = if wanted.is_some() { "put" } else { "delete" };
    if !asked.dry_run {
        let registry = placement.registry.as_ref();
        operate::set_shadow_searches(registry, wanted, ttl).await.map_err(failed)?;
    }
    let text = || match asked.dry_run {
        true => format!("nothing is changed; would be written:\n  {verb} {}", ShadowSearches::KEY),
        false => done.to_owned(),
    };
    let json = || {
        json!({
            "dry_run": asked.dry_run,
            "build": wanted.map(|it| named(it.label())),
            "share_per_million": wanted.map_or(0, |it| it.share_per_million),
            "seconds": ttl.map(|ttl| ttl.as_secs_f64()),
        })
    };
    output::print(global, text, json)?;
    Ok(())
}

async fn show(global: &Global, asked: &Asked) -> anyhow::Result<()> {
    let placement = Placement::open(global, &asked.config).await?;
    let setting = operate::shadow_searches(placement.registry.as_ref()).await.map_err(failed)?;
    let text = || match &setting {
        None => "no searches are shadowed".to_owned(),
        Some((it, ends)) => {
            let placed = i64::try_from(it.placed_unix_ms).unwrap_or(i64::MAX);
            let reason = Some(it.note.reason.as_str()).filter(|reason| !reason.is_empty());
            format!(
                "{} of searches are run on build {} as well\nasked for by {}, {}{}{}",
                share_text(it.share_per_million),
                named(it.label()),
                output::clean_line(&it.note.owner),
                format::age(placed, placement.clock.unix_ms()),
                reason.map(|it| format!(": {}", output::clean_line(it))).unwrap_or_default(),
                if *ends { "; it ends by itself" } else { "" },
            )
        }
    };
    let json = || match &setting {
        None => Value::Null,
        Some((it, ends)) => json!({
            "build": named(it.label()),
            "share_per_million": it.share_per_million,
            "by": it.note.owner,
            "reason": it.note.reason,
            "placed_unix_ms": it.placed_unix_ms,
            "ends_by_itself": ends,
        }),
    };
    output::print(global, text, json)?;
    Ok(())
}

async fn report(global: &Global, mergers: &[String]) -> anyhow::Result<()> {
    let asked: Vec<Option<String>> = match mergers {
        [] => vec![global.endpoint.clone()],
        named => named.iter().cloned().map(Some).collect(),
    };
    let mut sums: BTreeMap<String, ShadowReport> = BTreeMap::new();
    for endpoint in asked {
        let global = Global { endpoint, ..global.clone() };
        let client = Client::connect(&global).await?;
        let method = "nautilus.admin.v1.ClusterService/GetShadowReport";
        client.explain(method, Caller::Operator, &json!({}));
        let request = client.request(GetShadowReportRequest {}, Caller::Operator)?;
        let answer = client.cluster().get_shadow_report(request).await?.into_inner();
        if let Some(part) = answer.report {
            add(sums.entry(part.build.clone()).or_default(), &part);
        }
    }
    let now_ms = Clock::system().unix_ms();
    let text = || match sums.len() {
        0 => "no search was shadowed yet".to_owned(),
        _ => sums.values().map(|sum| screen(sum, now_ms)).collect::<Vec<_>>().join("\n"),
    };
    output::print(global, text, || sums.values().map(report_json).collect())?;
    Ok(())
}

/// Reports of several mergers of one build are sums, and add up.
fn add(sum: &mut ShadowReport, part: &ShadowReport) {
    let is_first = sum.since_unix_ms == 0 || part.since_unix_ms < sum.since_unix_ms;
    *sum = ShadowReport {
        build: part.build.clone(),
        since_unix_ms: if is_first { part.since_unix_ms } else { sum.since_unix_ms },
        compared: sum.compared + part.compared,
        overlap_sum: sum.overlap_sum + part.overlap_sum,
        same_order: sum.same_order + part.same_order,
        same_first: sum.same_first + part.same_first,
        more_hits: sum.more_hits + part.more_hits,
        fewer_hits: sum.fewer_hits + part.fewer_hits,
        slower: sum.slower + part.slower,
        incomplete: sum.incomplete + part.incomplete,
        shown_partial: sum.shown_partial + part.shown_partial,
        candidate_partial: sum.candidate_partial + part.candidate_partial,
        shown_truncated: sum.shown_truncated + part.shown_truncated,
        candidate_truncated: sum.candidate_truncated + part.candidate_truncated,
        failed: sum.failed + part.failed,
        dropped: sum.dropped + part.dropped,
        shown_us: sum.shown_us.saturating_add(part.shown_us),
        candidate_us: sum.candidate_us.saturating_add(part.candidate_us),
    };
}

/// Exact below 2^32, which is years of searches.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The mean overlap; none where nothing was compared.
fn mean_overlap(it: &ShadowReport) -> Option<f64> {
    (it.compared > 0).then(|| it.overlap_sum / number(it.compared))
}

/// The mean time of what was shown, and of the candidate.
fn mean_times(it: &ShadowReport) -> Option<(Duration, Duration)> {
    let answered = it.compared + it.incomplete;
    let mean = |us: u64| us.checked_div(answered).map(Duration::from_micros);
    mean(it.shown_us).zip(mean(it.candidate_us))
}

fn screen(it: &ShadowReport, now_ms: u64) -> String {
    let of_compared = |count: u64| match it.compared {
        0 => "-".to_owned(),
        compared => format!("{:.1} %", 100.0 * number(count) / number(compared)),
    };
    let overlap = mean_overlap(it).map_or("-".to_owned(), |mean| format!("{mean:.3}"));
    let times = mean_times(it).map_or("-".to_owned(), |(shown, candidate)| {
        format!("{} / {}", format::took(shown), format::took(candidate))
    });
    let rows = [
        ("compared", format::count(it.compared), "both answers were whole"),
        ("overlap", overlap, "of the documents of a page, on average"),
        ("same page", of_compared(it.same_order), "the same documents in the same order"),
        ("same first hit", of_compared(it.same_first), ""),
        ("more matches", of_compared(it.more_hits), "counted by the candidate"),
        ("fewer matches", of_compared(it.fewer_hits), "counted by the candidate"),
        ("mean time", times, "shown / candidate, from the question to the ranked page"),
        ("slower", of_compared(it.slower), "the candidate"),
        ("incomplete", format::count(it.incomplete), "one answer was not whole, so not compared"),
        (
            "  partitions missing",
            format!(
                "{} / {}",
                format::count(it.shown_partial),
                format::count(it.candidate_partial)
            ),
            "shown / candidate",
        ),
        (
            "  truncated",
            format!(
                "{} / {}",
                format::count(it.shown_truncated),
                format::count(it.candidate_truncated)
            ),
            "shown / candidate",
        ),
        ("failed", format::count(it.failed), "no answer of the candidate"),
        ("dropped", format::count(it.dropped), "not run: enough were under way"),
    ];
    let rows = rows.map(|(what, value, means)| vec![what.to_owned(), value, means.to_owned()]);
    let build = format!("build {}", named(&it.build));
    let since = format!("since {}", format::age(it.since_unix_ms, now_ms));
    let columns =
        [(build.as_str(), Align::Left), ("", Align::Right), (since.as_str(), Align::Left)];
    format::table(&columns, &rows)
}

fn report_json(it: &ShadowReport) -> Value {
    let times = mean_times(it);
    json!({
        "build": named(&it.build),
        "since_unix_ms": it.since_unix_ms,
        "compared": it.compared,
        "mean_overlap": mean_overlap(it),
        "same_order": it.same_order,
        "same_first": it.same_first,
        "more_hits": it.more_hits,
        "fewer_hits": it.fewer_hits,
        "slower": it.slower,
        "incomplete": it.incomplete,
        "shown_partial": it.shown_partial,
        "candidate_partial": it.candidate_partial,
        "shown_truncated": it.shown_truncated,
        "candidate_truncated": it.candidate_truncated,
        "failed": it.failed,
        "dropped": it.dropped,
        "shown_mean_seconds": times.map(|(shown, _)| shown.as_secs_f64()),
        "candidate_mean_seconds": times.map(|(_, candidate)| candidate.as_secs_f64()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_shown() {
        for (text, per_million, shown) in [
            ("1%", 10_000, "1 %"),
            ("0.05%", 500, "0.05 %"),
            ("0.0001%", 1, "0.0001 %"),
            ("12.5%", 125_000, "12.5 %"),
            ("100%", 1_000_000, "100 %"),
        ] {
            assert_eq!(share(text), Ok(per_million), "{text}");
            assert_eq!(share_text(per_million), shown);
        }
        for wrong in ["1", "%", "0%", "0.00001%", "100.0001%", "-1%", "1.%x", "+1%", "99999999999%"]
        {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reports_of_mergers_add_up() {
        let part = |since_unix_ms, compared, overlap_sum| ShadowReport {
            build: "stems".to_owned(),
            since_unix_ms,
            compared,
            overlap_sum,
            incomplete: 1,
            candidate_us: 4_000,
            ..ShadowReport::default()
        };
        let mut sum = ShadowReport::default();
        assert_eq!((mean_overlap(&sum), mean_times(&sum)), (None, None));
        add(&mut sum, &part(5_000, 1, 1.0));
        add(&mut sum, &part(3_000, 1, 0.5));
        assert_eq!((sum.since_unix_ms, sum.compared, sum.incomplete), (3_000, 2, 2));
        assert_eq!(mean_overlap(&sum), Some(0.75));
        assert_eq!(mean_times(&sum).map(|it| it.1), Some(Duration::from_millis(2)));
        let text = screen(&sum, 4_000);
        assert!(text.contains("build stems") && text.contains("0.750"), "{text}");
    }
}
