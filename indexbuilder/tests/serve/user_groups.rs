//! `CatalogService`: groups of users, and mounts.

use nautilus_proto::admin::v1::{
    AddUserGroupMemberRequest, CreateUserGroupRequest, DeleteUserGroupRequest, ListMembersRequest,
    ListMountsRequest, ListUserGroupMembersRequest, ListUserGroupsRequest, Member, Mount,
    RemoveMemberRequest, RemoveMountRequest, RemoveUserGroupMemberRequest, Right, SetMemberRequest,
    SetMountRequest,
};
use tonic::Code;

use crate::gateway::{Gateway, World, refusal};

fn create(id: &str) -> CreateUserGroupRequest {
    CreateUserGroupRequest { id: id.to_owned(), display_name: id.to_owned() }
}

fn add(group: &str, user: &str) -> AddUserGroupMemberRequest {
    AddUserGroupMemberRequest { user_group: group.to_owned(), user: user.to_owned() }
}

fn share(group: &str, right: Right) -> SetMemberRequest {
    SetMemberRequest {
        namespace: "notes".to_owned(),
        right: right.into(),
        user_group: group.to_owned(),
        ..SetMemberRequest::default()
    }
}

#[tokio::test]
async fn user_groups_are_the_operators_business() {
    let world = World::with_people().await;
    let Gateway { accounts, .. } = &mut world.start().await;
    for id in ["staff", "guests", "board"] {
        accounts.create_user_group(world.from("root", create(id))).await.expect("created");
    }
    let again = accounts.create_user_group(world.from("root", create("staff"))).await;
    assert_eq!(refusal(again), (Code::Aborted, "USER_GROUP_EXISTS".to_owned()));
    let empty = accounts.create_user_group(world.from("root", create(""))).await;
    assert_eq!(refusal(empty), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));

    let mut ids = Vec::new();
    let mut page_token = String::new();
    for expected in [2, 1] {
        let request = ListUserGroupsRequest { page_size: 2, page_token };
        let page = accounts.list_user_groups(world.from("root", request)).await.expect("page");
        let page = page.into_inner();
        assert_eq!(page.user_groups.len(), expected);
        ids.extend(page.user_groups.into_iter().map(|group| group.id));
        page_token = page.next_page_token;
    }
    assert_eq!(ids, ["board", "guests", "staff"]);

    for user in ["eve", "bob"] {
        let added = accounts.add_user_group_member(world.from("root", add("staff", user))).await;
        added.expect("added");
    }
    let request = RemoveUserGroupMemberRequest { user_group: "staff".into(), user: "bob".into() };
    accounts.remove_user_group_member(world.from("root", request)).await.expect("removed");
    let list = || ListUserGroupMembersRequest { user_group: "staff".to_owned() };
    let users = accounts.list_user_group_members(world.from("root", list())).await;
    assert_eq!(users.expect("listed").into_inner().users, ["eve"]);
    let unknown = accounts.add_user_group_member(world.from("root", add("x", "eve"))).await;
    assert_eq!(refusal(unknown), (Code::NotFound, "USER_GROUP_NOT_FOUND".to_owned()));

    let denied = (Code::PermissionDenied, "NOT_AN_OPERATOR".to_owned());
    let by_ada = accounts.create_user_group(world.from("ada", create("x"))).await;
    assert_eq!(refusal(by_ada), denied);
    let by_ada = accounts.add_user_group_member(world.from("ada", add("staff", "ada"))).await;
    assert_eq!(refusal(by_ada), denied);
    let by_ada = accounts.list_user_group_members(world.from("ada", list())).await;
    assert_eq!(refusal(by_ada), denied);
    let delete = || DeleteUserGroupRequest { id: "guests".to_owned() };
    let by_ada = accounts.delete_user_group(world.from("ada", delete())).await;
    assert_eq!(refusal(by_ada), denied);
    accounts.delete_user_group(world.from("root", delete())).await.expect("deleted");
    let gone = accounts.delete_user_group(world.from("root", delete())).await;
    assert_eq!(refusal(gone), (Code::NotFound, "USER_GROUP_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn owners_share_with_groups() {
    let world = World::with_people().await;
    let Gateway { accounts, .. } = &mut world.start().await;
    accounts.create_user_group(world.from("root", create("staff"))).await.expect("created");
    let shared = accounts.set_member(world.from("ada", share("staff", Right::Writer))).await;
    shared.expect("shared");
    let list = || ListMembersRequest { namespace: "notes".to_owned() };
    let members = accounts.list_members(world.from("ada", list())).await.expect("listed");
    let members = members.into_inner().members;
    let of_group =
        Member { user_group: "staff".to_owned(), right: Right::Writer.into(), ..Member::default() };
    assert_eq!(members.last(), Some(&of_group));
    assert_eq!(members.len(), 3);

    let both = SetMemberRequest { user: "eve".to_owned(), ..share("staff", Right::Reader) };
    for (change, code, reason) in [
        (share("staff", Right::Owner), Code::InvalidArgument, "ARGUMENT_INVALID"),
        (share("x", Right::Reader), Code::NotFound, "USER_GROUP_NOT_FOUND"),
        (both, Code::InvalidArgument, "FIELD_INVALID"),
    ] {
        let answer = accounts.set_member(world.from("ada", change)).await;
        assert_eq!(refusal(answer), (code, reason.to_owned()));
    }
    let by_bob = accounts.set_member(world.from("bob", share("staff", Right::Reader))).await;
    assert_eq!(refusal(by_bob), (Code::PermissionDenied, "PERMISSION_DENIED".to_owned()));
    let remove = RemoveMemberRequest {
        namespace: "notes".to_owned(),
        user_group: "staff".to_owned(),
        ..RemoveMemberRequest::default()
    };
    accounts.remove_member(world.from("ada", remove)).await.expect("removed");
    let members = accounts.list_members(world.from("ada", list())).await.expect("listed");
    assert_eq!(members.into_inner().members.len(), 2);
}

#[tokio::test]
async fn everybody_mounts_for_themselves() {
    let world = World::with_people().await;
    let Gateway { accounts, .. } = &mut world.start().await;
    let mount = |path: &str, namespace: &str| SetMountRequest {
        mount: Some(Mount { path: path.to_owned(), namespace: namespace.to_owned() }),
    };
    accounts.set_mount(world.from("bob", mount("Shared/Notes", "notes"))).await.expect("set");
    let list = |user| world.from(user, ListMountsRequest {});
    let mounts = accounts.list_mounts(list("bob")).await.expect("listed").into_inner().mounts;
    assert_eq!(mounts, [mount("Shared/Notes", "notes").mount.expect("given")]);
    let mounts = accounts.list_mounts(list("ada")).await.expect("listed").into_inner().mounts;
    assert_eq!(mounts, []);

    // What one may not read cannot be told from what is not there.
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
    for (user, namespace) in [("eve", "notes"), ("eve", "nowhere"), ("bob", "nowhere")] {
        let answer = accounts.set_mount(world.from(user, mount("a", namespace))).await;
        assert_eq!(refusal(answer), denied);
    }
    let bad = accounts.set_mount(world.from("bob", mount("a//b", "notes"))).await;
    assert_eq!(refusal(bad), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    let none = accounts.set_mount(world.from("bob", SetMountRequest { mount: None })).await;
    assert_eq!(refusal(none), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));

    let remove = || RemoveMountRequest { path: "Shared/Notes".to_owned() };
    for _ in 0..2 {
        accounts.remove_mount(world.from("bob", remove())).await.expect("gone");
    }
    let mounts = accounts.list_mounts(list("bob")).await.expect("listed").into_inner().mounts;
    assert_eq!(mounts, []);
}
