//! `nautilus build promote` and `rollback`: one group after the other serves another build while the others answer.

use std::time::Duration;

use clap::Args;
use nautilus_coordinator::operate::{Change, GroupSnapshot, needed_from};
use nautilus_registry::layout::{BuildRef, GroupName, GroupState, Note};
use nautilus_types::Class;
use serde_json::{Value, json};

use super::repository::Repository;
use super::{check, in_manifests, incomplete};
use crate::cli::{Global, duration};
use crate::commands::group::compare::{self, Question};
use crate::commands::group::deploy::judge;
use crate::commands::group::steps::Steps;
use crate::commands::group::unserved;
use crate::commands::status;
use crate::exit::Failure;
use crate::format;
use crate::output;
use crate::placement::{Asked, Placement, group_name, listed};

/// Begins the reason of a drained group that these commands have under way.
const REASON: &str = "build ";

/// Which build.
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// Its name; "log" = what is fed from the log alone
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    how: HowArgs,
}

/// How.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    how: HowArgs,
}

/// What both take.
#[derive(Debug, Args)]
struct HowArgs {
    /// How long each group may take
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30m")]
    wait: Duration,

    /// Only this replica group
    #[arg(long, value_name = "GROUP", value_parser = group_name)]
    group: Option<GroupName>,

    /// Leave the group drained, for shadow searches; the same command without this goes on
    #[arg(long, requires = "group")]
    keep_drained: bool,

    /// Compare no answers: for a cluster whose namespaces the user of --as may not read
    #[arg(long)]
    no_compare: bool,

    #[command(flatten)]
    asked: Asked,
}

/// One group and what it is to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    group: GroupName,
    from: BuildRef,
    to: BuildRef,
    is_back: bool,
}

/// Has every active group serve the build.
pub(super) async fn promote(global: &Global, args: &PromoteArgs) -> anyhow::Result<()> {
    let build = sound(&args.how.asked, &args.name).await?;
    let placement = Placement::open(global, &args.how.asked.config).await?;
    let steps = chosen(&args.how, forward(&placement.groups().await?, &build));
    go(global, &args.how, &placement, &steps).await
}

/// Has every group serve what it did before.
pub(super) async fn rollback(global: &Global, args: &RollbackArgs) -> anyhow::Result<()> {
    let placement = Placement::open(global, &args.how.asked.config).await?;
    let steps = chosen(&args.how, back(&placement.groups().await?));
    if steps.is_empty() {
        let message = "no replica group has a build to go back to";
        return Err(Failure::new(Class::Precondition, message).into());
    }
    let mut checked: Vec<&BuildRef> = Vec::new();
    for step in &steps {
        if !checked.contains(&&step.to) {
            sound(&args.how.asked, in_manifests(&step.to)).await?;
            checked.push(&step.to);
        }
    }
    go(global, &args.how, &placement, &steps).await
}

/// The build, if every partition has a sound snapshot of it.
async fn sound(asked: &Asked, name: &str) -> anyhow::Result<BuildRef> {
    let repository = Repository::open(&asked.config).await?;
    let checked = check(&repository, name).await;
    repository.close().await?;
    let checked = checked?;
    if !checked.problems.is_empty() {
        return Err(incomplete(name, &checked.problems).into());
    }
    Ok(checked.build)
}

/// Those of the group that was named, if one was.
fn chosen(how: &HowArgs, mut steps: Vec<Step>) -> Vec<Step> {
    steps.retain(|step| how.group.as_ref().is_none_or(|group| *group == step.group));
    steps
}

/// Whether the group was drained by one of these commands, which did not come to its end.
fn is_left_drained(group: &GroupSnapshot) -> bool {
    group.state() == GroupState::Drained
        && group.standing().is_some_and(|it| it.note.reason.starts_with(REASON))
}

/// Active groups that serve something else, and those that were left drained on their way.
fn forward(groups: &[GroupSnapshot], to: &BuildRef) -> Vec<Step> {
    let goes = groups.iter().filter(|group| match group.state() {
        GroupState::Active => group.build() != *to,
        GroupState::Drained => is_left_drained(group),
    });
    let step = |group: &GroupSnapshot| Step {
        group: group.group().clone(),
        from: group.build(),
        to: to.clone(),
        is_back: false,
    };
    goes.map(step).collect()
}

/// Active groups that served something else before, and those that were left drained on their way there or back.
fn back(groups: &[GroupSnapshot]) -> Vec<Step> {
    let step = |group: &GroupSnapshot| {
        let previous = group.group_build().and_then(|it| it.previous.clone());
        let to = match group.state() {
            GroupState::Active => previous?,
            GroupState::Drained if is_left_drained(group) => {
                previous.unwrap_or_else(|| group.build())
            }
            GroupState::Drained => return None,
        };
        Some(Step { group: group.group().clone(), from: group.build(), to, is_back: true })
    };
    groups.iter().filter_map(step).collect()
}

async fn go(
    global: &Global,
    how: &HowArgs,
    placement: &Placement,
    steps: &[Step],
) -> anyhow::Result<()> {
    if how.asked.dry_run || steps.is_empty() {
        let text = || {
            if steps.is_empty() {
                return "nothing to do: every active group is to serve it already".to_owned();
            }
            let line = |step: &Step| {
                let (from, to) = (in_manifests(&step.from), in_manifests(&step.to));
                format!("\n  group {}: {from} -> {to}", step.group)
            };
            let lines: String = steps.iter().map(line).collect();
            format!("nothing is changed; one after the other would be drained and exchange:{lines}")
        };
        let json = || json!({ "dry_run": how.asked.dry_run, "groups": steps_json(steps) });
        output::print(global, text, json)?;
        return Ok(());
    }
    let questions = match how.no_compare {
        true => Vec::new(),
        false => compare::questions(global).await?,
    };
    let began = placement.clock.now();
    for step in steps {
        let with = Steps::new(placement, &step.group, how.wait);
        hand_over(global, how, placement, (step, &with), &questions).await.map_err(|error| {
            error.context(format!(
                "group {} is not handed over; where it is drained it stays so, and the same command goes on",
                step.group
            ))
        })?;
    }
    let took = placement.clock.now().saturating_duration_since(began);
    let to: Vec<&str> = steps.iter().map(|step| in_manifests(&step.to)).collect();
    let text = || {
        let names: Vec<&str> = steps.iter().map(|step| step.group.as_str()).collect();
        let to = to.first().copied().unwrap_or_default();
        format!("group {} serve build {to}, after {}", names.join(", "), format::took(took))
    };
    let json = || {
        json!({
            "dry_run": false,
            "groups": steps_json(steps),
            "seconds": took.as_secs_f64(),
        })
    };
    output::print(global, text, json)?;
    Ok(())
}

fn steps_json(steps: &[Step]) -> Value {
    let one = |step: &Step| {
        json!({
            "group": step.group.as_str(),
            "from": in_manifests(&step.from),
            "to": in_manifests(&step.to),
            "analyzer_version": step.to.analyzer_version,
        })
    };
    steps.iter().map(one).collect()
}

async fn hand_over(
    global: &Global,
    how: &HowArgs,
    placement: &Placement,
    (step, with): (&Step, &Steps<'_>),
    questions: &[Question],
) -> anyhow::Result<()> {
    let Step { group, to, is_back, .. } = step;
    let other = other(placement, group).await?;
    // The rest of it is asked through the cluster: it must answer.
    status::fetch(global).await?;
    with.say(&format!("group {}: the others are complete; draining it", step.group));
    with.set_standing(GroupState::Drained, note(how, to)).await?;
    with.until_quiet(global).await?;
    with.say(&format!(
        "searches go elsewhere; its leaves exchange their partitions for build {}",
        in_manifests(to)
    ));
    let change = Change::Build {
        build: to.clone(),
        is_back: *is_back,
        note: note(how, to),
        placed_unix_ms: placement.clock.unix_ms(),
    };
    placement.apply(group, &change).await?;
    with.until_of_build().await?;
    with.until_caught_up(global).await?;
    if other.build().analyzer_version != to.analyzer_version {
        with.say("caught up; answers are not compared: the other group has another analyzer");
    } else if questions.is_empty() {
        with.say("caught up; no answers are compared");
    } else {
        let verdict = compare::compare(global, group, other.group(), questions).await?;
        judge(&verdict)?;
        let equal = format::counted(verdict.equal, "answer");
        with.say(&format!("caught up; {equal} alike, {} undecided", verdict.undecided));
    }
    if how.keep_drained {
        with.say(&format!("group {group} stays drained; shadow searches may come"));
        return Ok(());
    }
    with.set_standing(GroupState::Active, note(how, to)).await?;
    with.say(&format!("group {group} takes searches again"));
    if other.build() != *to {
        with.say("groups serve two builds: searches are not hedged or repeated across them");
    }
    Ok(())
}

/// Another group that answers everything meanwhile.
async fn other(placement: &Placement, group: &GroupName) -> anyhow::Result<GroupSnapshot> {
    let groups = placement.groups().await?;
    let needed = needed_from(group, &groups);
    if !needed.is_empty() {
        let message = format!("no other active group serves partition {}", listed(&needed));
        return Err(Failure::new(Class::Precondition, message).into());
    }
    let mut others = groups.into_iter().filter(|it| it.group() != group);
    let complete =
        others.find(|it| it.state() == GroupState::Active && unserved(placement, it).is_empty());
    complete.ok_or_else(|| {
        Failure::new(Class::Precondition, "no other active group is complete").into()
    })
}

fn note(how: &HowArgs, to: &BuildRef) -> Note {
    let mut note = how.asked.note();
    let given = Some(note.reason.as_str()).filter(|reason| !reason.is_empty());
    let given = given.map(|reason| format!(": {reason}")).unwrap_or_default();
    note.reason = format!("{REASON}{}{given}", in_manifests(to));
    note
}
