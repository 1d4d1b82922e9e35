//! `nautilus namespace`: what documents live in, and who may see them.

use std::io::{self, IsTerminal, Write as _};

use clap::{Args, Subcommand, ValueEnum};
use nautilus_proto::admin::v1::{
    CreateNamespaceRequest, DeleteNamespaceRequest, ListMembersRequest, ListNamespacesRequest,
    Namespace, RemoveMemberRequest, Right, SetMemberRequest,
};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::credentials::Caller;
use crate::exit::Failure;
use crate::format::{self, Align};
use crate::output;

const SERVICE: &str = "nautilus.admin.v1.CatalogService";
const PAGE_SIZE: i32 = 1_000;

/// What to do with namespaces.
#[derive(Debug, Subcommand)]
pub(crate) enum NamespaceCommand {
    /// Make a namespace; the user of --as owns it
    #[command(after_help = "Example:\n  nautilus namespace create notes --as ada")]
    Create {
        /// Its name
        name: String,
        /// Somebody else who owns it; needs operator rights
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
    },
    /// List the namespaces the user of --as is a member of
    List {
        /// All there are; needs operator rights
        #[arg(long)]
        all: bool,
    },
    /// Delete a namespace with everything in it
    #[command(after_help = "Example:\n  nautilus namespace delete notes --as ada --yes")]
    Delete {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// List who may do what in a namespace
    Members {
        /// Its name
        name: String,
    },
    /// Let somebody read or write a namespace, or no longer
    #[command(after_help = "\
Examples:
  nautilus namespace share notes ben --as ada          ben may read
  nautilus namespace share notes ben writer --as ada   ben may also write
  nautilus namespace share notes ben none --as ada     ben may do nothing any more")]
    Share(ShareArgs),
}

/// With whom, and how far.
#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// Name of the namespace
    name: String,
    /// Who gets the right
    #[arg(value_name = "USER")]
    member: String,
    /// What they may do
    #[arg(value_enum, default_value_t = Share::Reader)]
    right: Share,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Share {
    /// Search and read
    Reader,
    /// Also write and delete documents
    Writer,
    /// Also share and delete the namespace
    Owner,
    /// Nothing any more
    None,
}

/// Does it.
pub(crate) async fn run(global: &Global, command: NamespaceCommand) -> anyhow::Result<()> {
    let client = Client::connect(global).await?;
    match command {
        NamespaceCommand::Create { name, owner } => create(global, &client, name, owner).await,
        NamespaceCommand::List { all } => list(global, &client, all).await,
        NamespaceCommand::Delete { name, yes } => delete(global, &client, name, yes).await,
        NamespaceCommand::Members { name } => members(global, &client, name).await,
        NamespaceCommand::Share(args) => share(global, &client, args).await,
    }
}

async fn create(
    global: &Global,
    client: &Client,
    name: String,
    owner: Option<String>,
) -> anyhow::Result<()> {
    let caller = if owner.is_some() { Caller::Operator } else { Caller::User };
    let owner = owner.unwrap_or_default();
    let shown = json!({ "name": name, "owner": owner });
    client.explain(&format!("{SERVICE}/CreateNamespace"), caller, &shown);
    let request = client.request(CreateNamespaceRequest { name, owner }, caller)?;
    let made = client.catalog().create_namespace(request).await?.into_inner();
    let name = output::clean_line(&made.name);
    output::print(global, || format!("created namespace {name}"), || namespace_json(&made))?;
    Ok(())
}

async fn list(global: &Global, client: &Client, all: bool) -> anyhow::Result<()> {
    let caller = if all { Caller::Operator } else { Caller::User };
    let shown = json!({ "page_size": PAGE_SIZE });
    client.explain(&format!("{SERVICE}/ListNamespaces"), caller, &shown);
    let mut namespaces = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListNamespacesRequest { page_size: PAGE_SIZE, page_token };
        let request = client.request(request, caller)?;
        let page = client.catalog().list_namespaces(request).await?.into_inner();
        namespaces.extend(page.namespaces);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    output::print(
        global,
        || {
            let columns =
                [("namespace", Align::Left), ("right", Align::Left), ("created", Align::Left)];
            let rows = namespaces.iter().map(|namespace| {
                vec![
                    output::clean_line(&namespace.name),
                    right_name(namespace.right).to_owned(),
                    format::time(namespace.created_unix_ms),
                ]
            });
            format::table(&columns, &rows.collect::<Vec<_>>())
        },
        || namespaces.iter().map(namespace_json).collect(),
    )?;
    Ok(())
}

async fn delete(global: &Global, client: &Client, name: String, yes: bool) -> anyhow::Result<()> {
    if !yes && !confirmed(&name)? {
        return Err(Failure::usage("not deleted; --yes deletes without asking").into());
    }
    client.explain(&format!("{SERVICE}/DeleteNamespace"), Caller::User, &json!({ "name": name }));
    let request = DeleteNamespaceRequest { name: name.clone() };
    let request = client.request(request, Caller::User)?;
    let answer = client.catalog().delete_namespace(request).await?.into_inner();
    output::print(
        global,
        || format!("deleted namespace {}", output::clean_line(&name)),
        || json!({ "deleted": name, "incarnation": answer.incarnation }),
    )?;
    Ok(())
}

/// Asks, where there is somebody to ask.
fn confirmed(name: &str) -> io::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    write!(io::stderr(), "Delete namespace {name} with everything in it? Type its name: ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim_end_matches(['\r', '\n']) == name)
}

async fn members(global: &Global, client: &Client, name: String) -> anyhow::Result<()> {
    client.explain(&format!("{SERVICE}/ListMembers"), Caller::User, &json!({ "namespace": name }));
    let request = client.request(ListMembersRequest { namespace: name }, Caller::User)?;
    let members = client.catalog().list_members(request).await?.into_inner().members;
    output::print(
        global,
        || {
            let rows = members.iter().map(|member| {
                vec![output::clean_line(&member.user), right_name(member.right).to_owned()]
            });
            let columns = [("user", Align::Left), ("right", Align::Left)];
            format::table(&columns, &rows.collect::<Vec<_>>())
        },
        || {
            let members = members.iter();
            members
                .map(|member| json!({ "user": member.user, "right": right_name(member.right) }))
                .collect()
        },
    )?;
    Ok(())
}

async fn share(global: &Global, client: &Client, args: ShareArgs) -> anyhow::Result<()> {
    let ShareArgs { name, member: user, right } = args;
    let wire = match right {
        Share::Reader => Some(Right::Reader),
        Share::Writer => Some(Right::Writer),
        Share::Owner => Some(Right::Owner),
        Share::None => None,
    };
    let mut shown = json!({ "namespace": name, "user": user });
    if let Some(wire) = wire {
        shown["right"] = json!(wire.as_str_name());
        client.explain(&format!("{SERVICE}/SetMember"), Caller::User, &shown);
        let right = wire.into();
        let request = SetMemberRequest { namespace: name.clone(), user: user.clone(), right };
        client.catalog().set_member(client.request(request, Caller::User)?).await?;
    } else {
        client.explain(&format!("{SERVICE}/RemoveMember"), Caller::User, &shown);
        let request = RemoveMemberRequest { namespace: name.clone(), user: user.clone() };
        client.catalog().remove_member(client.request(request, Caller::User)?).await?;
    }
    let right = wire.map_or("none", |wire| right_name(wire.into()));
    output::print(
        global,
        || format!("{} in {}: {right}", output::clean_line(&user), output::clean_line(&name)),
        || json!({ "namespace": name, "user": user, "right": right }),
    )?;
    Ok(())
}

fn right_name(right: i32) -> &'static str {
    match Right::try_from(right) {
        Ok(Right::Reader) => "reader",
        Ok(Right::Writer) => "writer",
        Ok(Right::Owner) => "owner",
        Ok(Right::Unspecified) | Err(_) => "",
    }
}

fn namespace_json(namespace: &Namespace) -> Value {
    json!({
        "name": namespace.name,
        "incarnation": namespace.incarnation,
        "created_unix_ms": namespace.created_unix_ms,
        "right": right_name(namespace.right),
    })
}
