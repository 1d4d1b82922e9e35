//! `nautilus init`: what a new cluster needs before its first process starts.

use anyhow::Context as _;
use clap::Args;
use nautilus_identity::{DevelopmentIssuer, KeyPair, TokenKey};
use serde_json::json;

use crate::backends::MutationLogBackend;
use crate::cli::Global;
use crate::config::ProcessConfig;
use crate::output;
use crate::serve::ConfigArgs;

/// Where the configuration is.
#[derive(Debug, Args)]
#[command(after_help = "\
Makes what is missing and leaves alone what is there: the key pair of grants and the key of tokens
(in [keys] dir), the issuer's key (in [keys] identity_dir), the topic of the mutation log, the
tables of the catalog.

Examples:
  nautilus init --config cluster.toml
  nautilus init --config cluster.toml --keys-only --set keys.dir=keys --set keys.identity_dir=identity")]
pub(crate) struct InitArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Make the keys and reach no service: where keys are handed to processes by other means, such as secrets
    #[arg(long)]
    keys_only: bool,
}

pub(crate) async fn run(global: &Global, args: &InitArgs) -> anyhow::Result<()> {
    let config = args.config.load().context("read the configuration")?;
    config.check()?;
    KeyPair::open(&config.keys.dir, "grant").context("make the key of grants")?;
    TokenKey::load_or_create(&config.keys.dir.join("token.key"))
        .context("make the key of tokens")?;
    DevelopmentIssuer::open(&config.keys.identity_dir).context("make the issuer's key")?;
    let keys = config.keys.dir.display();
    let human = if args.keys_only {
        format!("ready: keys in {keys}")
    } else {
        prepare_services(&config).await?;
        format!("ready: keys in {keys}, log and catalog are there")
    };
    output::print(global, || human, || json!({ "keys": config.keys.dir }))?;
    Ok(())
}

async fn prepare_services(config: &ProcessConfig) -> anyhow::Result<()> {
    if let MutationLogBackend::Kafka(kafka) = &config.mutation_log
        && let Err(error) = kafka.create(&config.cluster).await
    {
        // It may be there already; then it opens.
        let Ok(log) = kafka.open(&config.cluster).await else {
            return Err(error).context("make the topic of the mutation log");
        };
        log.close().await.context("close the mutation log")?;
    }
    config.catalog.open(None).await.context("make the tables of the catalog")?.close().await;
    Ok(())
}
