//! One module for each command; none of them decides anything, they ask and show.

pub(crate) mod build;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod doc;
pub(crate) mod explain;
pub(crate) mod group;
pub(crate) mod init;
pub(crate) mod leaf;
pub(crate) mod namespace;
pub(crate) mod partition;
pub(crate) mod repo;
pub(crate) mod search;
pub(crate) mod snapshot;
pub(crate) mod status;
pub(crate) mod suggest;
pub(crate) mod user;

use std::process::ExitCode;

use serde_json::json;

use crate::cli::{Cli, Command};
use crate::serve::{self, IndexBuilderCommand, Role};
use crate::{dev, feed, output};

/// Does what was asked for.
pub(crate) async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let global = cli.global;
    match cli.command {
        Command::Dev(args) => dev::run(&global, args).await?,
        Command::Leaf(args) => leaf::run(&global, args).await?,
        Command::Root(args) => serve::run(&global, Role::Root, &args).await?,
        Command::Coordinator(args) => serve::run(&global, Role::Coordinator, &args).await?,
        Command::Merger(args) => serve::run(&global, Role::Merger, &args).await?,
        Command::Indexbuilder(IndexBuilderCommand::Serve(args)) => {
            serve::run(&global, Role::IndexBuilder, &args).await?;
        }
        Command::Indexbuilder(IndexBuilderCommand::Build(args)) => {
            return feed::build(&global, *args).await;
        }
        Command::Indexbuilder(IndexBuilderCommand::Snapshot(args)) => {
            snapshot::run(&global, &args).await?;
        }
        Command::Indexbuilder(IndexBuilderCommand::Rebuild(args)) => {
            build::rebuild(&global, &args).await?;
        }
        Command::Build(command) => build::run(&global, command).await?,
        Command::Init(args) => init::run(&global, &args).await?,
        Command::Config(command) => config::run(&global, &command)?,
        Command::Feed(args) => return feed::run(&global, args).await,
        Command::Search(args) => search::run(&global, args).await?,
        Command::Explain(args) => explain::run(&global, args).await?,
        Command::Suggest(args) => suggest::run(&global, args).await?,
        Command::Doc(command) => doc::run(&global, command).await?,
        Command::Namespace(command) => namespace::run(&global, command).await?,
        Command::Partition(command) => partition::run(&global, command).await?,
        Command::User(command) => user::run(&global, command).await?,
        Command::Status(args) => status::run(&global, args).await?,
        Command::Group(command) => group::run(&global, command).await?,
        Command::Repo(command) => return repo::run(&global, command).await,
        Command::Completion(args) => completion::run(&args)?,
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            output::print(
                &global,
                || format!("nautilus {version}"),
                || json!({ "version": version }),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
