//! The registry for people: where it is, what stands in it, and wishes that are written into it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use nautilus_coordinator::operate::{
    self, Applied, Change, Forecast, GroupSnapshot, Preview, Warning,
};
use nautilus_coordinator::plan::Wanted;
use nautilus_coordinator::{CoordinatorError, RawConfig};
use nautilus_registry::Registry;
use nautilus_registry::layout::{GroupName, Note};
use nautilus_service::Clock;
use nautilus_service::status::error_chain;
use nautilus_types::{Class, PartitionId};
use serde_json::{Value, json};

use crate::backends::RegistryBackend;
use crate::cli::Global;
use crate::exit::Failure;
use crate::output;
use crate::registry_socket::SocketRegistry;
use crate::serve::ConfigArgs;

/// Tries of a change whose ground moved between reading and writing: the coordinator writes there too.
const TRIES_MAX: u32 = 5;
/// Between two looks at something that is waited for.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What every command that changes something takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,

    /// Who asks, for others to see [default: the user of this machine]
    #[arg(
        long,
        value_name = "WHO",
        env = "USER",
        default_value = "operator",
        hide_env = true,
        hide_default_value = true
    )]
    pub(crate) by: String,

    /// Why, for others to see
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,

    /// Show what would be written and what would follow, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Asked {
    /// For others to see.
    pub(crate) fn note(&self) -> Note {
        let owner = if self.by.is_empty() { "operator" } else { &self.by };
        Note { owner: owner.to_owned(), reason: self.reason.clone() }
    }
}

/// The registry of a cluster.
pub(crate) struct Placement {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) clock: Clock,
    told: RawConfig,
}

impl Placement {
    /// Reaches the one that the configuration names, or that of the `nautilus dev` in the data directory.
    pub(crate) async fn open(global: &Global, args: &ConfigArgs) -> anyhow::Result<Self> {
        let clock = Clock::system();
        if args.is_given() {
            let config = args.load().context("read the configuration")?;
            if !matches!(config.registry, RegistryBackend::Embedded) {
                let registry = config.registry.open(None, &clock).await?;
                let partitions = config.cluster.partitions;
                let told = RawConfig { partitions, ..config.coordinator };
                return Ok(Self { registry, clock, told });
            }
        }
        let registry = SocketRegistry::at(&global.data_dir);
        let nobody = || {
            let message = format!(
                "no `nautilus dev` runs in {}\nSay where one does with --data-dir, or name the configuration of a \
                 cluster with --config.",
                global.data_dir.display()
            );
            anyhow::Error::from(Failure::new(Class::Unavailable, message))
        };
        if !registry.is_there() {
            return Err(nobody());
        }
        let told = registry.coordinator().await.map_err(|_| nobody())?;
        Ok(Self { registry: Arc::new(registry), clock, told })
    }

    /// What groups shall look like.
    pub(crate) fn wanted(&self) -> anyhow::Result<Wanted> {
        Ok(self.told.clone().validate().context("[coordinator]")?.wanted)
    }

    /// How many partitions there are.
    pub(crate) fn partitions(&self) -> u32 {
        self.told.partitions
    }

    /// All groups, by name.
    pub(crate) async fn groups(&self) -> anyhow::Result<Vec<GroupSnapshot>> {
        GroupSnapshot::read_all(self.registry.as_ref()).await.map_err(failed)
    }

    /// One group.
    pub(crate) async fn group(&self, name: &GroupName) -> anyhow::Result<GroupSnapshot> {
        GroupSnapshot::read(self.registry.as_ref(), name).await.map_err(failed)
    }

    /// The group that was named, or the only one there is.
    pub(crate) async fn named_or_only(
        &self,
        given: Option<&GroupName>,
    ) -> anyhow::Result<GroupName> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        let groups = self.groups().await?;
        let names: Vec<&str> = groups.iter().map(|it| it.group().as_str()).collect();
        match groups.as_slice() {
            [only] => Ok(only.group().clone()),
            [] => Err(Failure::new(Class::NotFound, "there is no replica group").into()),
            [_, _, ..] => {
                let message = format!("say which with --group: {}", names.join(", "));
                Err(Failure::usage(message).into())
            }
        }
    }

    /// Carries a change out, again where something moved meanwhile.
    pub(crate) async fn apply(
        &self,
        group: &GroupName,
        change: &Change,
    ) -> anyhow::Result<Applied> {
        let mut tries = 1;
        loop {
            match operate::apply(self.registry.as_ref(), group, change).await {
                Err(CoordinatorError::Registry { source, .. })
                    if source.class() == Class::Conflict && tries < TRIES_MAX =>
                {
                    tries += 1;
                }
                other => return other.map_err(failed),
            }
        }
    }

    /// Shows a change, or carries it out; prints either. `None` = only shown.
    pub(crate) async fn carry_out(
        &self,
        global: &Global,
        asked: &Asked,
        group: &GroupName,
        change: &Change,
        done: &str,
    ) -> anyhow::Result<Option<Applied>> {
        if asked.dry_run {
            let wanted = self.wanted()?;
            let preview = operate::preview(self.registry.as_ref(), group, change, &wanted).await;
            let preview = preview.map_err(failed)?;
            output::print(global, || previewed(&preview), || preview_json(group, &preview))?;
            return Ok(None);
        }
        let applied = self.apply(group, change).await?;
        output::print(global, || told(done, &applied), || applied_json(group, &applied))?;
        Ok(Some(applied))
    }
}

/// An error of a change with what the shell should hear.
pub(crate) fn failed(error: CoordinatorError) -> anyhow::Error {
    // What a registry refuses is no mistake in the arguments of this command.
    let class = if error.class() == Class::Invalid { Class::Bug } else { error.class() };
    Failure::new(class, error_chain(&error)).into()
}

fn told(done: &str, applied: &Applied) -> String {
    let mut text = format!("{done}\n");
    warn(&mut text, &applied.warnings);
    text
}

fn previewed(preview: &Preview) -> String {
    let mut text = "nothing is changed; would be written:\n".to_owned();
    for write in &preview.writes {
        let verb = match write {
            operate::Write::Put(..) => "put",
            operate::Write::Delete(_) => "delete",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {verb} {}", write.key());
    }
    warn(&mut text, &preview.warnings);
    text.push_str("then would follow:\n");
    text.push_str(&forecast(&preview.follows));
    text
}

fn warn(text: &mut String, warnings: &[Warning]) {
    for warning in warnings {
        let _ = writeln!(text, "note: {}", warning_text(warning));
    }
}

fn warning_text(warning: &Warning) -> String {
    match warning {
        Warning::LeafNotRegistered(leaf) => {
            format!("leaf {leaf} is not registered; the mark holds when it comes")
        }
        Warning::NoCoordinator(group) => {
            format!("no coordinator acts for group {group}; nothing follows until one does")
        }
        Warning::HeldBack(why) => {
            format!("the coordinator holds back: {}", output::clean_line(why))
        }
        Warning::StillNeeded(partitions) => format!(
            "no other active group serves partition {}; searches for it still come here",
            listed(partitions)
        ),
    }
}

/// Numbers of partitions for people.
pub(crate) fn listed<'a>(partitions: impl IntoIterator<Item = &'a PartitionId>) -> String {
    let numbers: Vec<String> = partitions.into_iter().map(|it| it.0.to_string()).collect();
    numbers.join(", ")
}

/// What a coordinator would do, a line each.
pub(crate) fn forecast(forecast: &Forecast) -> String {
    let mut text = String::new();
    if let Some(why) = &forecast.held_back {
        let _ = writeln!(
            text,
            "  nothing while the coordinator holds back: {}",
            output::clean_line(why)
        );
    }
    for change in &forecast.changes {
        let it = &change.assignment;
        let (partition, owner) = (it.partition.0, &it.owner);
        let _ = write!(
            text,
            "  partition {partition} is owned by {} (epoch {})",
            owner.leaf, owner.epoch.0
        );
        if let Some(retiring) = &it.retiring {
            let _ = write!(text, ", until it serves by {}", retiring.leaf);
        }
        let _ = writeln!(text, ": {}", change.reason.meaning());
    }
    for (partition, why) in &forecast.refused {
        let _ = writeln!(
            text,
            "  the move of partition {} would be refused: {}",
            partition.0,
            why.as_str()
        );
    }
    for (partition, why) in &forecast.unassigned {
        let _ = writeln!(text, "  partition {} would have nobody: {}", partition.0, why.as_str());
    }
    if text.is_empty() {
        text.push_str("  nothing\n");
    }
    text
}

/// The same for programs.
pub(crate) fn forecast_json(forecast: &Forecast) -> Value {
    let changes = forecast.changes.iter().map(|change| {
        json!({
            "partition": change.assignment.partition.0,
            "leaf": change.assignment.owner.leaf.as_str(),
            "epoch": change.assignment.owner.epoch.0,
            "retiring": change.assignment.retiring.as_ref().map(|it| it.leaf.as_str()),
            "reason": change.reason.as_str(),
        })
    });
    let refused = forecast.refused.iter();
    let unassigned = forecast.unassigned.iter();
    json!({
        "held_back": forecast.held_back,
        "changes": changes.collect::<Vec<_>>(),
        "refused": refused
            .map(|(partition, why)| json!({ "partition": partition.0, "why": why.as_str() }))
            .collect::<Vec<_>>(),
        "unassigned": unassigned
            .map(|(partition, why)| json!({ "partition": partition.0, "why": why.as_str() }))
            .collect::<Vec<_>>(),
    })
}

fn preview_json(group: &GroupName, preview: &Preview) -> Value {
    json!({
        "group": group.as_str(),
        "dry_run": true,
        "writes": preview.writes.iter().map(|it| it.key().to_string()).collect::<Vec<_>>(),
        "warnings": preview.warnings.iter().map(warning_text).collect::<Vec<_>>(),
        "follows": forecast_json(&preview.follows),
    })
}

fn applied_json(group: &GroupName, applied: &Applied) -> Value {
    json!({
        "group": group.as_str(),
        "dry_run": false,
        "revision": applied.revision.0,
        "writes": applied.writes.iter().map(|it| it.key().to_string()).collect::<Vec<_>>(),
        "warnings": applied.warnings.iter().map(warning_text).collect::<Vec<_>>(),
    })
}

/// A name of a group, for clap.
pub(crate) fn group_name(text: &str) -> Result<GroupName, String> {
    GroupName::new(text).map_err(|error| error.to_string())
}

/// A name of a leaf, for clap.
pub(crate) fn leaf_name(text: &str) -> Result<nautilus_registry::layout::LeafName, String> {
    nautilus_registry::layout::LeafName::new(text).map_err(|error| error.to_string())
}
