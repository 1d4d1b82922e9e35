//! `nautilus user group`: groups of users, whom namespaces can be shared with as one.

use clap::Subcommand;
use nautilus_proto::admin::v1::{
    AddUserGroupMemberRequest, CreateUserGroupRequest, DeleteUserGroupRequest,
    ListUserGroupMembersRequest, ListUserGroupsRequest, RemoveUserGroupMemberRequest, UserGroup,
};
use serde_json::json;

use super::{PAGE_SIZE, SERVICE};
use crate::cli::Global;
use crate::client::Client;
use crate::credentials::Caller;
use crate::format::{self, Align};
use crate::output;

/// What to do with groups of users.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Add a group without users
    #[command(after_help = "\
Example:
  nautilus user group create staff --name 'All staff'
  nautilus user group add staff ben
  nautilus namespace share handbook staff --group --as ada")]
    Create {
        /// Id of the group
        id: String,
        /// Name that people read [default: the id]
        #[arg(long)]
        name: Option<String>,
    },
    /// List all groups
    #[command(after_help = "Example:\n  nautilus user group list")]
    List,
    /// Remove a group and the rights it gave
    #[command(after_help = "Example:\n  nautilus user group delete staff")]
    Delete {
        /// Id of the group
        id: String,
    },
    /// Put a user into a group
    #[command(after_help = "Example:\n  nautilus user group add staff ben")]
    Add {
        /// Id of the group
        id: String,
        /// Id of the user
        #[arg(value_name = "USER")]
        member: String,
    },
    /// Take a user out of a group
    #[command(after_help = "Example:\n  nautilus user group remove staff ben")]
    Remove {
        /// Id of the group
        id: String,
        /// Id of the user
        #[arg(value_name = "USER")]
        member: String,
    },
    /// List the users of a group
    #[command(after_help = "Example:\n  nautilus user group members staff")]
    Members {
        /// Id of the group
        id: String,
    },
}

/// Does it.
pub(super) async fn run(global: &Global, command: GroupCommand) -> anyhow::Result<()> {
    let client = Client::connect(global).await?;
    match command {
        GroupCommand::Create { id, name } => create(global, &client, id, name).await,
        GroupCommand::List => list(global, &client).await,
        GroupCommand::Delete { id } => {
            let shown = json!({ "id": id });
            client.explain(&format!("{SERVICE}/DeleteUserGroup"), Caller::Operator, &shown);
            let request =
                client.request(DeleteUserGroupRequest { id: id.clone() }, Caller::Operator);
            client.catalog().delete_user_group(request?).await?;
            let id = output::clean_line(&id);
            output::print(global, || format!("deleted group {id}"), || json!({ "deleted": id }))?;
            Ok(())
        }
        GroupCommand::Add { id, member: user } => {
            let shown = json!({ "user_group": id, "user": user });
            client.explain(&format!("{SERVICE}/AddUserGroupMember"), Caller::Operator, &shown);
            let line = format!("{} is in {}", output::clean_line(&user), output::clean_line(&id));
            let request = AddUserGroupMemberRequest { user_group: id, user };
            let request = client.request(request, Caller::Operator)?;
            client.catalog().add_user_group_member(request).await?;
            output::print(global, || line, || shown)?;
            Ok(())
        }
        GroupCommand::Remove { id, member: user } => {
            let shown = json!({ "user_group": id, "user": user });
            client.explain(&format!("{SERVICE}/RemoveUserGroupMember"), Caller::Operator, &shown);
            let line =
                format!("{} is not in {}", output::clean_line(&user), output::clean_line(&id));
            let request = RemoveUserGroupMemberRequest { user_group: id, user };
            let request = client.request(request, Caller::Operator)?;
            client.catalog().remove_user_group_member(request).await?;
            output::print(global, || line, || shown)?;
            Ok(())
        }
        GroupCommand::Members { id } => members(global, &client, id).await,
    }
}

async fn create(
    global: &Global,
    client: &Client,
    id: String,
    name: Option<String>,
) -> anyhow::Result<()> {
    let display_name = name.unwrap_or_else(|| id.clone());
    let shown = json!({ "id": id, "display_name": display_name });
    client.explain(&format!("{SERVICE}/CreateUserGroup"), Caller::Operator, &shown);
    let request = CreateUserGroupRequest { id, display_name };
    let request = client.request(request, Caller::Operator)?;
    let group = client.catalog().create_user_group(request).await?.into_inner();
    let id = output::clean_line(&group.id);
    output::print(global, || format!("created group {id}"), || shown)?;
    Ok(())
}

async fn list(global: &Global, client: &Client) -> anyhow::Result<()> {
    let shown = json!({ "page_size": PAGE_SIZE });
    client.explain(&format!("{SERVICE}/ListUserGroups"), Caller::Operator, &shown);
    let mut groups = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListUserGroupsRequest { page_size: PAGE_SIZE, page_token };
        let request = client.request(request, Caller::Operator)?;
        let page = client.catalog().list_user_groups(request).await?.into_inner();
        groups.extend(page.user_groups);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    output::print(
        global,
        || {
            let columns = [("group", Align::Left), ("name", Align::Left), ("created", Align::Left)];
            let rows = groups.iter().map(|group| {
                vec![
                    output::clean_line(&group.id),
                    output::clean_line(&group.display_name),
                    format::time(group.created_unix_ms),
                ]
            });
            format::table(&columns, &rows.collect::<Vec<_>>())
        },
        || {
            let json = |group: &UserGroup| {
                json!({
                    "id": group.id,
                    "display_name": group.display_name,
                    "created_unix_ms": group.created_unix_ms,
                })
            };
            groups.iter().map(json).collect()
        },
    )?;
    Ok(())
}

async fn members(global: &Global, client: &Client, id: String) -> anyhow::Result<()> {
    let shown = json!({ "user_group": id });
    client.explain(&format!("{SERVICE}/ListUserGroupMembers"), Caller::Operator, &shown);
    let request = ListUserGroupMembersRequest { user_group: id };
    let request = client.request(request, Caller::Operator)?;
    let users = client.catalog().list_user_group_members(request).await?.into_inner().users;
    let lines = || users.iter().map(|user| output::clean_line(user)).collect::<Vec<_>>();
    output::print(global, || lines().join("\n"), || json!(users))?;
    Ok(())
}
