//! The API of users, namespaces and members.

use std::sync::Arc;

use nautilus_catalog::{
    Member, MemberGroup, MountPath, NamespaceRecord, Right, UserGroupId, UserGroupRecord, UserId,
    UserRecord,
};
use nautilus_proto::admin::v1 as admin;
use nautilus_proto::admin::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use nautilus_service::server::MessageLimits;
use nautilus_service::{RpcError, with_message_limits};
use nautilus_types::{Class, NamespaceName};
use tonic::{Request, Response, Status};

use crate::accounts::{Accounts, Listed};
use crate::caller::{Caller, Callers};
use crate::pages::PageSize;

/// The service.
#[derive(Clone)]
pub struct CatalogGrpc {
    callers: Arc<Callers>,
    accounts: Arc<Accounts>,
}

impl CatalogGrpc {
    pub(crate) fn server(
        callers: Arc<Callers>,
        accounts: Arc<Accounts>,
    ) -> CatalogServiceServer<Self> {
        let service = CatalogServiceServer::new(Self { callers, accounts });
        with_message_limits!(service, MessageLimits::CLIENT)
    }

    /// Who is asking, before anything else of the request is looked at.
    async fn caller<T>(&self, request: Request<T>) -> Result<(Caller, T), RpcError> {
        let caller = self.callers.identify(request.metadata()).await?;
        Ok((caller, request.into_inner()))
    }
}

#[tonic::async_trait]
impl CatalogService for CatalogGrpc {
    async fn create_user(
        &self,
        request: Request<admin::CreateUserRequest>,
    ) -> Result<Response<admin::User>, Status> {
        let (caller, request) = self.caller(request).await?;
        let id = user_id("id", &request.id)?;
        let created = self.accounts.create_user(&caller, &id, &request.display_name).await?;
        Ok(Response::new(user(created)))
    }

    async fn delete_user(
        &self,
        request: Request<admin::DeleteUserRequest>,
    ) -> Result<Response<admin::DeleteUserResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        self.accounts.delete_user(&caller, &user_id("id", &request.id)?).await?;
        Ok(Response::new(admin::DeleteUserResponse {}))
    }

    async fn list_users(
        &self,
        request: Request<admin::ListUsersRequest>,
    ) -> Result<Response<admin::ListUsersResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let size = PageSize::of(request.page_size)?;
        let page = self.accounts.list_users(&caller, size, &request.page_token).await?;
        Ok(Response::new(admin::ListUsersResponse {
            users: page.entries.into_iter().map(user).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn create_namespace(
        &self,
        request: Request<admin::CreateNamespaceRequest>,
    ) -> Result<Response<admin::Namespace>, Status> {
        let (caller, request) = self.caller(request).await?;
        let name = namespace_name("name", &request.name)?;
        let owner = (!request.owner.is_empty()).then(|| user_id("owner", &request.owner));
        let owner = owner.transpose()?;
        let created = self.accounts.create_namespace(&caller, &name, owner.as_ref()).await?;
        let is_own = owner.is_none_or(|owner| owner == caller.user);
        Ok(Response::new(namespace((created, is_own.then_some(Right::Owner)))))
    }

    async fn delete_namespace(
        &self,
        request: Request<admin::DeleteNamespaceRequest>,
    ) -> Result<Response<admin::DeleteNamespaceResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let name = namespace_name("name", &request.name)?;
        let NamespaceRecord { incarnation, .. } =
            self.accounts.delete_namespace(&caller, &name).await?;
        Ok(Response::new(admin::DeleteNamespaceResponse { incarnation: incarnation.0 }))
    }

    async fn list_namespaces(
        &self,
        request: Request<admin::ListNamespacesRequest>,
    ) -> Result<Response<admin::ListNamespacesResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let size = PageSize::of(request.page_size)?;
        let page = self.accounts.list_namespaces(&caller, size, &request.page_token).await?;
        Ok(Response::new(admin::ListNamespacesResponse {
            namespaces: page.entries.into_iter().map(namespace).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn set_member(
        &self,
        request: Request<admin::SetMemberRequest>,
    ) -> Result<Response<admin::SetMemberResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let name = namespace_name("namespace", &request.namespace)?;
        let right = right(request.right())?;
        match who(&request.user, &request.user_group)? {
            Who::User(user) => self.accounts.set_member(&caller, &name, &user, right).await?,
            Who::Group(group) => {
                self.accounts.set_member_group(&caller, &name, &group, right).await?;
            }
        }
        Ok(Response::new(admin::SetMemberResponse {}))
    }

    async fn remove_member(
        &self,
        request: Request<admin::RemoveMemberRequest>,
    ) -> Result<Response<admin::RemoveMemberResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let name = namespace_name("namespace", &request.namespace)?;
        match who(&request.user, &request.user_group)? {
            Who::User(user) => self.accounts.remove_member(&caller, &name, &user).await?,
            Who::Group(group) => {
                self.accounts.remove_member_group(&caller, &name, &group).await?;
            }
        }
        Ok(Response::new(admin::RemoveMemberResponse {}))
    }

    async fn list_members(
        &self,
        request: Request<admin::ListMembersRequest>,
    ) -> Result<Response<admin::ListMembersResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let name = namespace_name("namespace", &request.namespace)?;
        let members = self.accounts.list_members(&caller, &name).await?;
        let groups = self.accounts.member_groups(&name).await?;
        let members = members.into_iter().map(member);
        let members = members.chain(groups.into_iter().map(member_group)).collect();
        Ok(Response::new(admin::ListMembersResponse { members }))
    }

    async fn create_user_group(
        &self,
        request: Request<admin::CreateUserGroupRequest>,
    ) -> Result<Response<admin::UserGroup>, Status> {
        let (caller, request) = self.caller(request).await?;
        let id = user_group_id("id", &request.id)?;
        let created = self.accounts.create_user_group(&caller, &id, &request.display_name).await?;
        Ok(Response::new(user_group(created)))
    }

    async fn delete_user_group(
        &self,
        request: Request<admin::DeleteUserGroupRequest>,
    ) -> Result<Response<admin::DeleteUserGroupResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let id = user_group_id("id", &request.id)?;
        self.accounts.delete_user_group(&caller, &id).await?;
        Ok(Response::new(admin::DeleteUserGroupResponse {}))
    }

    async fn list_user_groups(
        &self,
        request: Request<admin::ListUserGroupsRequest>,
    ) -> Result<Response<admin::ListUserGroupsResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let size = PageSize::of(request.page_size)?;
        let page = self.accounts.list_user_groups(&caller, size, &request.page_token).await?;
        Ok(Response::new(admin::ListUserGroupsResponse {
            user_groups: page.entries.into_iter().map(user_group).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn add_user_group_member(
        &self,
        request: Request<admin::AddUserGroupMemberRequest>,
    ) -> Result<Response<admin::AddUserGroupMemberResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let group = user_group_id("user_group", &request.user_group)?;
        let user = user_id("user", &request.user)?;
        self.accounts.add_to_user_group(&caller, &group, &user).await?;
        Ok(Response::new(admin::AddUserGroupMemberResponse {}))
    }

    async fn remove_user_group_member(
        &self,
        request: Request<admin::RemoveUserGroupMemberRequest>,
    ) -> Result<Response<admin::RemoveUserGroupMemberResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let group = user_group_id("user_group", &request.user_group)?;
        let user = user_id("user", &request.user)?;
        self.accounts.remove_from_user_group(&caller, &group, &user).await?;
        Ok(Response::new(admin::RemoveUserGroupMemberResponse {}))
    }

    async fn list_user_group_members(
        &self,
        request: Request<admin::ListUserGroupMembersRequest>,
    ) -> Result<Response<admin::ListUserGroupMembersResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let group = user_group_id("user_group", &request.user_group)?;
        let users = self.accounts.list_users_of_group(&caller, &group).await?;
        let users = users.into_iter().map(|user| user.as_str().to_owned()).collect();
        Ok(Response::new(admin::ListUserGroupMembersResponse { users }))
    }

    async fn set_mount(
        &self,
        request: Request<admin::SetMountRequest>,
    ) -> Result<Response<admin::SetMountResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        let mount = request.mount.unwrap_or_default();
        let path = mount_path("mount.path", &mount.path)?;
        let name = namespace_name("mount.namespace", &mount.namespace)?;
        self.accounts.set_mount(&caller, &path, &name).await?;
        Ok(Response::new(admin::SetMountResponse {}))
    }

    async fn remove_mount(
        &self,
        request: Request<admin::RemoveMountRequest>,
    ) -> Result<Response<admin::RemoveMountResponse>, Status> {
        let (caller, request) = self.caller(request).await?;
        self.accounts.remove_mount(&caller, &mount_path("path", &request.path)?).await?;
        Ok(Response::new(admin::RemoveMountResponse {}))
    }

    async fn list_mounts(
        &self,
        request: Request<admin::ListMountsRequest>,
    ) -> Result<Response<admin::ListMountsResponse>, Status> {
        let (caller, _) = self.caller(request).await?;
        let mounts = self.accounts.list_mounts(&caller).await?;
        let mounts = mounts.into_iter().map(|mount| admin::Mount {
            path: mount.path.as_str().to_owned(),
            namespace: mount.namespace.to_lossy(),
        });
        Ok(Response::new(admin::ListMountsResponse { mounts: mounts.collect() }))
    }
}

/// Whom a request about members means.
enum Who {
    User(UserId),
    Group(UserGroupId),
}

fn who(user: &str, group: &str) -> Result<Who, RpcError> {
    match (user.is_empty(), group.is_empty()) {
        (false, true) => user_id("user", user).map(Who::User),
        (true, false) => user_group_id("user_group", group).map(Who::Group),
        (true, true) => user_id("user", user).map(Who::User),
        (false, false) => Err(invalid("user_group", "is given beside a user".to_owned())),
    }
}

fn invalid(field: &str, problem: String) -> RpcError {
    RpcError::new(Class::Invalid, "FIELD_INVALID", format!("{field}: {problem}"))
        .field(field, problem)
}

fn user_id(field: &str, id: &str) -> Result<UserId, RpcError> {
    UserId::new(id).map_err(|error| invalid(field, error.to_string()))
}

fn user_group_id(field: &str, id: &str) -> Result<UserGroupId, RpcError> {
    UserGroupId::new(id).map_err(|error| invalid(field, error.to_string()))
}

fn mount_path(field: &str, path: &str) -> Result<MountPath, RpcError> {
    MountPath::new(path).map_err(|error| invalid(field, error.to_string()))
}

fn namespace_name(field: &str, name: &str) -> Result<NamespaceName, RpcError> {
    NamespaceName::new(name).map_err(|error| invalid(field, error.to_string()))
}

fn right(right: admin::Right) -> Result<Right, RpcError> {
    match right {
        admin::Right::Reader => Ok(Right::Reader),
        admin::Right::Writer => Ok(Right::Writer),
        admin::Right::Owner => Ok(Right::Owner),
        admin::Right::Unspecified => Err(invalid("right", "is missing or unknown".to_owned())),
    }
}

fn user(record: UserRecord) -> admin::User {
    admin::User {
        id: record.id.as_str().to_owned(),
        display_name: record.display_name,
        created_unix_ms: unix_ms(record.created_at_unix_ms),
    }
}

fn user_group(record: UserGroupRecord) -> admin::UserGroup {
    admin::UserGroup {
        id: record.id.as_str().to_owned(),
        display_name: record.display_name,
        created_unix_ms: unix_ms(record.created_at_unix_ms),
    }
}

fn namespace((record, right): Listed) -> admin::Namespace {
    admin::Namespace {
        name: record.name.to_lossy(),
        incarnation: record.incarnation.0,
        created_unix_ms: unix_ms(record.created_at_unix_ms),
        right: right.map_or(admin::Right::Unspecified, right_to_proto).into(),
    }
}

fn member(member: Member) -> admin::Member {
    admin::Member {
        user: member.user.as_str().to_owned(),
        right: right_to_proto(member.right).into(),
        user_group: String::new(),
    }
}

fn member_group(member: MemberGroup) -> admin::Member {
    admin::Member {
        user: String::new(),
        right: right_to_proto(member.right).into(),
        user_group: member.group.as_str().to_owned(),
    }
}

fn right_to_proto(right: Right) -> admin::Right {
    match right {
        Right::Reader => admin::Right::Reader,
        Right::Writer => admin::Right::Writer,
        Right::Owner => admin::Right::Owner,
    }
}

fn unix_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
