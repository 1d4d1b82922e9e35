//! `nautilus user`: accounts, and tokens for them.

mod group;

use clap::{ArgGroup, Args, Subcommand};
use nautilus_proto::admin::v1::{CreateUserRequest, DeleteUserRequest, ListUsersRequest, User};
use nautilus_service::Clock;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::credentials::{Caller, Credentials};
use crate::format::{self, Align};
use crate::output;

const SERVICE: &str = "nautilus.admin.v1.CatalogService";
const PAGE_SIZE: i32 = 1_000;

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user
    #[command(after_help = "Example:\n  nautilus user create ada --name 'Ada Lovelace'")]
    Create {
        /// Id of the user, such as a login name
        id: String,
        /// Name that people read [default: the id]
        #[arg(long)]
        name: Option<String>,
    },
    /// List all users
    #[command(after_help = "Example:\n  nautilus user list --output json")]
    List,
    /// Remove a user and all memberships
    #[command(after_help = "Example:\n  nautilus user delete ben")]
    Delete {
        /// Id of the user
        id: String,
    },
    /// Groups of users
    #[command(
        subcommand,
        after_help = "Examples:\n  nautilus user group add staff ada\n  nautilus user group members staff"
    )]
    Group(group::GroupCommand),
    /// Make a token for a user, for other programs
    #[command(after_help = "\
Examples:
  export NAUTILUS_TOKEN=$(nautilus user token ada)
  grpcurl -plaintext -H \"authorization: Bearer $(nautilus user token ada)\" \\
    -d '{\"query\": \"fox\"}' 127.0.0.1:7700 nautilus.search.v1.SearchService/Search")]
    Token(TokenArgs),
}

/// For whom.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("subject").required(true)))]
pub(crate) struct TokenArgs {
    /// Id of the user
    #[arg(group = "subject")]
    id: Option<String>,
    /// For the operator, who may change users and look at the cluster
    #[arg(long, group = "subject")]
    operator: bool,
}

/// Does it.
pub(crate) async fn run(global: &Global, command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::Create { id, name } => create(global, id, name).await,
        UserCommand::List => list(global).await,
        UserCommand::Delete { id } => delete(global, id).await,
        UserCommand::Group(command) => group::run(global, command).await,
        UserCommand::Token(args) => token(global, args),
    }
}

async fn create(global: &Global, id: String, name: Option<String>) -> anyhow::Result<()> {
    let client = Client::connect(global).await?;
    let display_name = name.unwrap_or_else(|| id.clone());
    let shown = json!({ "id": id, "display_name": display_name });
    client.explain(&format!("{SERVICE}/CreateUser"), Caller::Operator, &shown);
    let request = client.request(CreateUserRequest { id, display_name }, Caller::Operator)?;
    let user = client.catalog().create_user(request).await?.into_inner();
    output::print(global, || format!("created user {}", user.id), || user_json(&user))?;
    Ok(())
}

async fn list(global: &Global) -> anyhow::Result<()> {
    let client = Client::connect(global).await?;
    let shown = json!({ "page_size": PAGE_SIZE });
    client.explain(&format!("{SERVICE}/ListUsers"), Caller::Operator, &shown);
    let mut users = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListUsersRequest { page_size: PAGE_SIZE, page_token };
        let request = client.request(request, Caller::Operator)?;
        let page = client.catalog().list_users(request).await?.into_inner();
        users.extend(page.users);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    output::print(
        global,
        || {
            let columns = [("user", Align::Left), ("name", Align::Left), ("created", Align::Left)];
            let rows = users.iter().map(|user| {
                vec![
                    output::clean_line(&user.id),
                    output::clean_line(&user.display_name),
                    format::time(user.created_unix_ms),
                ]
            });
            format::table(&columns, &rows.collect::<Vec<_>>())
        },
        || users.iter().map(user_json).collect(),
    )?;
    Ok(())
}

async fn delete(global: &Global, id: String) -> anyhow::Result<()> {
    let client = Client::connect(global).await?;
    client.explain(&format!("{SERVICE}/DeleteUser"), Caller::Operator, &json!({ "id": id }));
    let request = client.request(DeleteUserRequest { id: id.clone() }, Caller::Operator)?;
    client.catalog().delete_user(request).await?;
    output::print(global, || format!("deleted user {id}"), || json!({ "deleted": id }))?;
    Ok(())
}

fn token(global: &Global, args: TokenArgs) -> anyhow::Result<()> {
    let caller = if args.operator { Caller::Operator } else { Caller::User };
    // A token that was given says nothing about the user asked for here.
    let mut asked = Global { token: None, ..global.clone() };
    if let Some(id) = args.id {
        asked.user = id;
    }
    let token = Credentials::of(&asked, Clock::system()).token(caller)?;
    output::print(global, || token.clone(), || json!({ "token": token }))?;
    Ok(())
}

fn user_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "display_name": user.display_name,
        "created_unix_ms": user.created_unix_ms,
    })
}
