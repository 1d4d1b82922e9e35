//! The arguments every command takes, and the list of commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::commands::config::ConfigCommand;
use crate::commands::init::InitArgs;
use crate::commands::{
    build, completion, doc, explain, group, leaf, namespace, partition, repo, search, status,
    suggest, user,
};
use crate::serve::{ConfigArgs, IndexBuilderCommand};
use crate::{dev, feed};

/// Address of a `nautilus dev` that was not told another one.
pub(crate) const ENDPOINT_DEFAULT: &str = "127.0.0.1:7700";

/// The user `nautilus dev` makes at its first start.
pub(crate) const USER_DEFAULT: &str = "dev";

const AFTER_HELP: &str = "\
Try it:
  nautilus dev                                   start everything on this machine
  nautilus feed --create --namespace docs ~/docs index a folder
  nautilus search quick brown fox                search what you may read
  nautilus status                                see what the cluster is doing

Exit codes:
  0 done   1 failed   2 wrong usage   3 not found
  4 denied or unauthenticated   5 unavailable or out of time";

/// Search over many private namespaces.
#[derive(Debug, Parser)]
#[command(name = "nautilus", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Global {
    /// Where to connect, such as 127.0.0.1:7700 [default: what `nautilus dev` wrote into the data
    /// directory, else 127.0.0.1:7700]
    #[arg(long, global = true, value_name = "ADDR", env = "NAUTILUS_ENDPOINT")]
    pub(crate) endpoint: Option<String>,

    /// Where to write, if that is elsewhere [default: what stands in the data directory, else as --endpoint]
    #[arg(long, global = true, value_name = "ADDR", env = "NAUTILUS_INGEST_ENDPOINT")]
    pub(crate) ingest_endpoint: Option<String>,

    /// Folder of a `nautilus dev`: its endpoint, its keys, its data
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "NAUTILUS_DATA_DIR",
        default_value = ".nautilus"
    )]
    pub(crate) data_dir: PathBuf,

    /// On whose behalf: a token for this user is made with the data directory's key
    #[arg(
        long = "as",
        global = true,
        value_name = "USER",
        env = "NAUTILUS_USER",
        default_value = USER_DEFAULT
    )]
    pub(crate) user: String,

    /// A token to use instead of making one
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "NAUTILUS_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,

    /// How long one call may take, such as 10s or 2m
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// What is printed: for people, or for programs
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Human)]
    pub(crate) output: OutputFormat,

    /// Also print the grpcurl command that does the same
    #[arg(long, global = true)]
    pub(crate) verbose: bool,

    /// No colours and no bold, also on a terminal
    #[arg(
        long,
        global = true,
        env = "NO_COLOR",
        hide_env = true,
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) no_color: bool,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Text for people.
    Human,
    /// One JSON value on stdout; errors as one JSON object on stderr.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything on this machine, in one process
    Dev(dev::DevArgs),
    /// Serve partitions of a replica group; or, with a command, list, cordon and drain leaves
    #[command(
        after_help = "Examples:\n  nautilus leaf --config cluster.toml --set leaf.name=a-1   serve\n  nautilus leaf list --config cluster.toml                      look"
    )]
    Leaf(leaf::LeafArgs),
    /// Fan searches out to leaves
    #[command(after_help = "Example:\n  nautilus root --config cluster.toml")]
    Root(ConfigArgs),
    /// Give the partitions of a replica group to its leaves
    #[command(
        after_help = "Example:\n  nautilus coordinator --config cluster.toml --set coordinator.replica_group=a"
    )]
    Coordinator(ConfigArgs),
    /// Answer searches: scope, ranking, access
    #[command(after_help = "Example:\n  nautilus merger --config cluster.toml")]
    Merger(ConfigArgs),
    /// Take documents in
    #[command(
        subcommand,
        after_help = "Examples:\n  nautilus indexbuilder serve --config cluster.toml      take documents and changes\n  nautilus indexbuilder build --help                     make whole partitions at once"
    )]
    Indexbuilder(IndexBuilderCommand),
    /// Make what a new cluster needs: keys, topic, tables
    Init(InitArgs),
    /// Check or print the configuration of a process
    #[command(
        subcommand,
        after_help = "Example:\n  nautilus config check --config cluster.toml && nautilus config show --config cluster.toml"
    )]
    Config(ConfigCommand),
    /// Index a folder, files, or lines of JSON
    Feed(feed::FeedArgs),
    /// Find documents
    Search(search::SearchArgs),
    /// Show how a search goes: where, to which replicas and why, and what takes the time
    Explain(explain::ExplainArgs),
    /// Complete the last word of a text from your own documents
    Suggest(suggest::SuggestArgs),
    /// Look at or delete one document
    #[command(
        subcommand,
        after_help = "Examples:\n  nautilus doc get --namespace docs guide/start.md\n  nautilus doc dead-letters --namespace mail"
    )]
    Doc(doc::DocCommand),
    /// Create, list, share and delete namespaces
    #[command(
        subcommand,
        after_help = "Examples:\n  nautilus namespace create notes --as ada\n  nautilus namespace share notes ben --as ada"
    )]
    Namespace(namespace::NamespaceCommand),
    /// Create, list and delete users; make tokens
    #[command(
        subcommand,
        after_help = "Examples:\n  nautilus user create ada --name 'Ada Lovelace'\n  export NAUTILUS_TOKEN=$(nautilus user token ada)"
    )]
    User(user::UserCommand),
    /// What the cluster is doing, on one screen
    Status(status::StatusArgs),
    /// List, explain, move and recover partitions
    #[command(
        subcommand,
        after_help = "Examples:\n  nautilus partition list --config cluster.toml\n  nautilus partition recover 3 --group a --watch"
    )]
    Partition(partition::PartitionCommand),
    /// List, add, drain, resume, remove and hand over replica groups
    #[command(
        subcommand,
        after_help = "Examples:\n  nautilus group list --config cluster.toml\n  nautilus group drain b --for 30m"
    )]
    Group(group::GroupCommand),
    /// List, verify, promote, roll back and remove builds
    #[command(
        subcommand,
        after_help = "Examples:\n  nautilus build list --config cluster.toml\n  nautilus build promote stems --config cluster.toml --dry-run"
    )]
    Build(build::BuildCommand),
    /// Check and tidy up the index repository
    #[command(
        subcommand,
        after_help = "Examples:\n  nautilus repo check --config cluster.toml\n  nautilus repo gc --config cluster.toml --dry-run"
    )]
    Repo(repo::RepoCommand),
    /// Print the completion script of a shell
    Completion(completion::CompletionArgs),
    /// Print the version
    #[command(after_help = "Example:\n  nautilus version --output json")]
    Version,
}

/// A time with its unit, for clap.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("must be more than nothing".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    /// clap would fill both from one of them, without a word.
    #[test]
    fn no_command_has_an_argument_named_as_a_common_one() {
        fn check(command: &clap::Command, common: &[String]) {
            for local in command.get_arguments().filter(|one| !one.is_global_set()) {
                let id = local.get_id().as_str();
                assert!(!common.iter().any(|one| one == id), "{}: {id}", command.get_name());
            }
            command.get_subcommands().for_each(|below| check(below, common));
        }
        let root = Cli::command();
        let common = root.get_arguments().filter(|one| one.is_global_set());
        let common: Vec<String> = common.map(|one| one.get_id().to_string()).collect();
        assert!(common.contains(&"user".to_owned()));
        root.get_subcommands().for_each(|command| check(command, &common));
    }

    #[test]
    fn every_help_has_an_example() {
        fn without(command: &clap::Command, path: &str, found: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            // What is tried out is a whole command line.
            if !help.contains("  nautilus ") && !help.contains("$(nautilus ") {
                found.push(path.clone());
            }
            command.get_subcommands().for_each(|below| without(below, &path, found));
        }
        let mut found = Vec::new();
        without(&Cli::command(), "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn common_options_stand_before_or_after_the_command() {
        for line in [
            ["nautilus", "--as", "ada", "search", "fox"],
            ["nautilus", "search", "fox", "--as", "ada"],
        ] {
            let cli = Cli::try_parse_from(line).expect("parses");
            assert_eq!(cli.global.user, "ada");
            assert_eq!(cli.global.timeout, Duration::from_secs(10));
        }
    }

    #[test]
    fn a_time_has_a_unit_and_is_not_nothing() {
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("7").is_err());
        assert!(duration("0s").is_err());
    }
}
