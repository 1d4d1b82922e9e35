//! `nautilus group deploy`: a group handed over to another version while the others answer.

use std::process::Command;
use std::time::Duration;

use clap::Args;
use nautilus_coordinator::operate::needed_from;
use nautilus_registry::layout::{GroupName, GroupState, Note};
use nautilus_types::Class;
use serde_json::json;

use super::compare::{self, Question, Verdict};
use super::steps::Steps;
use super::unserved;
use crate::cli::{Global, duration};
use crate::commands::status;
use crate::exit::Failure;
use crate::format;
use crate::output;
use crate::placement::{Asked, Placement, group_name, listed};

/// Differences that are shown; all are counted.
const SHOWN_MAX: usize = 5;

/// Which group, and how it is restarted.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Its name
    #[arg(value_name = "NAME", value_parser = group_name)]
    name: GroupName,

    /// A shell command that restarts every leaf of the group; without one the restart is waited for
    #[arg(long, value_name = "CMD")]
    restart: Option<String>,

    /// How long everything together may take
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30m")]
    wait: Duration,

    /// Compare no answers: for a cluster whose namespaces the user of --as may not read
    #[arg(long)]
    no_compare: bool,

    #[command(flatten)]
    asked: Asked,
}

/// Does it.
pub(crate) async fn run(global: &Global, args: &DeployArgs) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.asked.config).await?;
    let steps = Steps::new(&placement, &args.name, args.wait);
    // Nothing is changed before all of this holds.
    let ready = prepare(global, args, &placement).await?;
    let before = steps.starts().await?;
    let leaves: Vec<&str> = before.keys().map(|leaf| leaf.as_str()).collect();
    if leaves.is_empty() {
        let message = format!("no leaf of group {} is registered: nothing to restart", args.name);
        return Err(Failure::new(Class::Precondition, message).into());
    }
    if args.asked.dry_run {
        let text = || {
            format!(
                "nothing is changed; group {} would be drained, {} restarted, {} compared with group {}",
                args.name,
                leaves.join(", "),
                format::counted(count(&ready.questions), "answer"),
                ready.other
            )
        };
        let json = || json!({ "group": args.name.as_str(), "dry_run": true, "leaves": leaves });
        output::print(global, text, json)?;
        return Ok(());
    }
    steps.say(&format!("the other groups are complete; draining group {}", args.name));
    steps.set_standing(GroupState::Drained, note(args)).await?;
    match hand_over(global, args, &steps, &ready, &before).await {
        Ok(verdict) => {
            steps.set_standing(GroupState::Active, note(args)).await?;
            steps.say(&format!("group {} takes searches again", args.name));
            let took = format::took(steps.took());
            let text = || {
                format!(
                    "group {} is handed over, after {took}; {} alike, {} undecided",
                    args.name,
                    format::counted(verdict.equal, "answer"),
                    verdict.undecided
                )
            };
            let json = || {
                json!({
                    "group": args.name.as_str(),
                    "result": "RESUMED",
                    "compared_with": ready.other.as_str(),
                    "equal": verdict.equal,
                    "undecided": verdict.undecided,
                    "seconds": steps.took().as_secs_f64(),
                })
            };
            output::print(global, text, json)?;
            Ok(())
        }
        Err(error) => {
            let hint = format!(
                "group {} stays drained; `nautilus group resume {}` lets searches come all the same",
                args.name, args.name
            );
            Err(error.context(hint))
        }
    }
}

/// What was found before anything was changed.
struct Ready {
    /// Complete, and compared with.
    other: GroupName,
    questions: Vec<Question>,
}

async fn prepare(
    global: &Global,
    args: &DeployArgs,
    placement: &Placement,
) -> anyhow::Result<Ready> {
    let groups = placement.groups().await?;
    // The group must be there.
    placement.group(&args.name).await?;
    let needed = needed_from(&args.name, &groups);
    let others = groups.iter().filter(|it| *it.group() != args.name);
    let mut active = others.filter(|it| it.state() == GroupState::Active);
    let complete = active.find(|it| unserved(placement, it).is_empty());
    let Some(other) = complete.filter(|_| needed.is_empty()) else {
        let message = match needed.is_empty() {
            true => "no other active group is complete".to_owned(),
            false => format!("no other active group serves partition {}", listed(&needed)),
        };
        return Err(Failure::new(Class::Precondition, message).into());
    };
    // The rest of it is asked through the cluster: it must answer.
    status::fetch(global).await?;
    let questions = match args.no_compare {
        true => Vec::new(),
        false => compare::questions(global).await?,
    };
    if questions.is_empty() && !args.no_compare {
        let message = format!(
            "nothing to compare: {} may read no document\nSay who may with --as, or --no-compare.",
            global.user
        );
        return Err(Failure::new(Class::Precondition, message).into());
    }
    Ok(Ready { other: other.group().clone(), questions })
}

async fn hand_over(
    global: &Global,
    args: &DeployArgs,
    steps: &Steps<'_>,
    ready: &Ready,
    before: &std::collections::BTreeMap<nautilus_registry::layout::LeafName, u64>,
) -> anyhow::Result<Verdict> {
    steps.until_quiet(global).await?;
    match &args.restart {
        Some(command) => {
            steps.say(&format!("searches go elsewhere; running {command}"));
            restart(command.clone()).await?;
        }
        None => {
            let leaves: Vec<&str> = before.keys().map(|leaf| leaf.as_str()).collect();
            steps.say(&format!("searches go elsewhere; restart now: {}", leaves.join(", ")));
        }
    }
    steps.until_restarted(before).await?;
    steps.say("every leaf has started again");
    steps.until_complete().await?;
    steps.until_caught_up(global).await?;
    if args.no_compare {
        return Ok(Verdict::default());
    }
    let answers = format::counted(count(&ready.questions), "answer");
    steps.say(&format!("caught up; comparing {answers} with group {}", ready.other));
    let verdict = compare::compare(global, &args.name, &ready.other, &ready.questions).await?;
    judge(&verdict)?;
    Ok(verdict)
}

/// Whether it speaks for handing over.
pub(in crate::commands) fn judge(verdict: &Verdict) -> anyhow::Result<()> {
    if !verdict.different.is_empty() {
        let shown = verdict.different.iter().take(SHOWN_MAX).map(|it| format!("\n  {it}"));
        let message = format!(
            "{} differ from the other group's:{}",
            format::counted(count(&verdict.different), "answer"),
            shown.collect::<String>()
        );
        return Err(Failure::new(Class::Corrupt, message).into());
    }
    if verdict.equal == 0 {
        let message = "no answer could be compared: documents change too fast";
        return Err(Failure::new(Class::Precondition, message).into());
    }
    Ok(())
}

/// Runs it to its end, with the terminal of this command.
async fn restart(command: String) -> anyhow::Result<()> {
    let run = move || Command::new("sh").arg("-c").arg(&command).status();
    let ended = tokio::task::spawn_blocking(run).await??;
    anyhow::ensure!(ended.success(), "the restart command failed: {ended}");
    Ok(())
}

fn note(args: &DeployArgs) -> Note {
    let mut note = args.asked.note();
    if note.reason.is_empty() {
        "deploy".clone_into(&mut note.reason);
    }
    note
}

fn count<T>(all: &[T]) -> u64 {
    u64::try_from(all.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_difference_stops_and_so_does_no_comparison() {
        let different = vec!["x".to_owned()];
        assert!(judge(&Verdict { equal: 9, undecided: 0, different }).is_err());
        assert!(judge(&Verdict { equal: 0, undecided: 9, different: Vec::new() }).is_err());
        assert!(judge(&Verdict { equal: 1, undecided: 9, different: Vec::new() }).is_ok());
    }
}
