//! `nautilus namespace`: what documents live in, and who may see them.

use std::io::{self, IsTerminal, Write as _};

use clap::{Args, Subcommand, ValueEnum};
use nautilus_proto::admin::v1::{
    CreateNamespaceRequest, DeleteNamespaceRequest, ListMembersRequest, ListMountsRequest,
    ListNamespacesRequest, Mount, Namespace, RemoveMemberRequest, RemoveMountRequest, Right,
    SetMemberRequest, SetMountRequest,
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
    #[command(
        after_help = "Examples:\n  nautilus namespace list --as ada\n  nautilus namespace list --all"
    )]
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
    #[command(after_help = "Example:\n  nautilus namespace members notes --as ada")]
    Members {
        /// Its name
        name: String,
    },
    /// Let somebody read or write a namespace, or no longer
    #[command(after_help = "\
Examples:
  nautilus namespace share notes ben --as ada          ben may read
  nautilus namespace share notes ben writer --as ada   ben may also write
  nautilus namespace share notes ben none --as ada     ben may do nothing any more
  nautilus namespace share notes staff --group --as ada  whoever is in the group staff may read")]
    Share(ShareArgs),
    /// Show a namespace at a place of the --as user's own tree
    #[command(after_help = "\
Hits say where they are in this tree. A mount gives no right.

Example:
  nautilus namespace mount notes Shared/Notes --as ben")]
    Mount {
        /// Name of the namespace
        name: String,
        /// The place, `/` between its parts
        path: String,
    },
    /// Take a mount away
    #[command(after_help = "Example:\n  nautilus namespace unmount Shared/Notes --as ben")]
    Unmount {
        /// The place
        path: String,
    },
    /// List the mounts of the user of --as
    #[command(after_help = "Example:\n  nautilus namespace mounts --as ben")]
    Mounts,
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
    /// USER is a group of users (`nautilus user group`)
    #[arg(long)]
    group: bool,
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
        NamespaceCommand::Mount { name, path } => mount(global, &client, name, path).await,
        NamespaceCommand::Unmount { path } => unmount(global, &client, path).await,
        NamespaceCommand::Mounts => mounts(global, &client).await,
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
                let (kind, who) = match member.user_group.as_str() {
                    "" => ("user", &member.user),
                    group => ("group", &group.to_owned()),
                };
                let who = output::clean_line(who);
                vec![who, kind.to_owned(), right_name(member.right).to_owned()]
            });
            let columns = [("member", Align::Left), ("is a", Align::Left), ("right", Align::Left)];
            format::table(&columns, &rows.collect::<Vec<_>>())
        },
        || {
            let members = members.iter();
            members
                .map(|member| match member.user_group.as_str() {
                    "" => json!({ "user": member.user, "right": right_name(member.right) }),
                    group => json!({ "user_group": group, "right": right_name(member.right) }),
                })
                .collect()
        },
    )?;
    Ok(())
}

async fn share(global: &Global, client: &Client, args: ShareArgs) -> anyhow::Result<()> {
    let ShareArgs { name, member, right, group } = args;
    let (user, user_group) =
        if group { (String::new(), member.clone()) } else { (member.clone(), String::new()) };
    let field = if group { "user_group" } else { "user" };
    let wire = match right {
        Share::Reader => Some(Right::Reader),
        Share::Writer => Some(Right::Writer),
        Share::Owner => Some(Right::Owner),
        Share::None => None,
    };
    let mut shown = json!({ "namespace": name, field: member });
    if let Some(wire) = wire {
        shown["right"] = json!(wire.as_str_name());
        client.explain(&format!("{SERVICE}/SetMember"), Caller::User, &shown);
        let right = wire.into();
        let namespace = name.clone();
        let request = SetMemberRequest { namespace, user, right, user_group };
        client.catalog().set_member(client.request(request, Caller::User)?).await?;
    } else {
        client.explain(&format!("{SERVICE}/RemoveMember"), Caller::User, &shown);
        let request = RemoveMemberRequest { namespace: name.clone(), user, user_group };
        client.catalog().remove_member(client.request(request, Caller::User)?).await?;
    }
    let right = wire.map_or("none", |wire| right_name(wire.into()));
    output::print(
        global,
        || format!("{} in {}: {right}", output::clean_line(&member), output::clean_line(&name)),
        || json!({ "namespace": name, field: member, "right": right }),
    )?;
    Ok(())
}

async fn mount(
    global: &Global,
    client: &Client,
    namespace: String,
    path: String,
) -> anyhow::Result<()> {
    let shown = json!({ "mount": { "path": path, "namespace": namespace } });
    client.explain(&format!("{SERVICE}/SetMount"), Caller::User, &shown);
    let (shown_name, shown_path) = (output::clean_line(&namespace), output::clean_line(&path));
    let request = SetMountRequest { mount: Some(Mount { path, namespace }) };
    client.catalog().set_mount(client.request(request, Caller::User)?).await?;
    output::print(global, || format!("{shown_name} is at {shown_path}"), || shown)?;
    Ok(())
}

async fn unmount(global: &Global, client: &Client, path: String) -> anyhow::Result<()> {
    let shown = json!({ "path": path });
    client.explain(&format!("{SERVICE}/RemoveMount"), Caller::User, &shown);
    let request = RemoveMountRequest { path: path.clone() };
    client.catalog().remove_mount(client.request(request, Caller::User)?).await?;
    output::print(global, || format!("nothing is at {}", output::clean_line(&path)), || shown)?;
    Ok(())
}

async fn mounts(global: &Global, client: &Client) -> anyhow::Result<()> {
    client.explain(&format!("{SERVICE}/ListMounts"), Caller::User, &json!({}));
    let request = client.request(ListMountsRequest {}, Caller::User)?;
    let mounts = client.catalog().list_mounts(request).await?.into_inner().mounts;
    output::print(
        global,
        || {
            let rows = mounts.iter().map(|mount| {
                vec![output::clean_line(&mount.path), output::clean_line(&mount.namespace)]
            });
            let columns = [("path", Align::Left), ("namespace", Align::Left)];
            format::table(&columns, &rows.collect::<Vec<_>>())
        },
        || {
            let json = |mount: &Mount| json!({ "path": mount.path, "namespace": mount.namespace });
            mounts.iter().map(json).collect()
        },
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
