//! `CatalogService`.

use nautilus_catalog::Catalog as _;
use nautilus_proto::admin::v1::{
    CreateNamespaceRequest, CreateUserRequest, DeleteNamespaceRequest, DeleteUserRequest,
    ListMembersRequest, ListNamespacesRequest, ListNamespacesResponse, ListUsersRequest, Member,
    RemoveMemberRequest, Right, SetMemberRequest,
};
use tonic::Code;

use crate::gateway::{Gateway, World, refusal, user};

fn create_user(id: &str) -> CreateUserRequest {
    CreateUserRequest { id: id.to_owned(), display_name: id.to_owned() }
}

fn create_namespace(name: &str, owner: &str) -> CreateNamespaceRequest {
    CreateNamespaceRequest { name: name.to_owned(), owner: owner.to_owned() }
}

fn set_member(namespace: &str, user: &str, right: Right) -> SetMemberRequest {
    let (namespace, user) = (namespace.to_owned(), user.to_owned());
    SetMemberRequest { namespace, user, right: right.into(), ..SetMemberRequest::default() }
}

#[tokio::test]
async fn users_are_the_operators_business() {
    let world = World::with_people().await;
    let Gateway { accounts, .. } = &mut world.start().await;

    let created = accounts.create_user(world.from("root", create_user("zoë"))).await;
    assert_eq!(created.expect("created").into_inner().id, "zoë");
    let again = accounts.create_user(world.from("root", create_user("zoë"))).await;
    assert_eq!(refusal(again), (Code::Aborted, "USER_EXISTS".to_owned()));
    let bad = accounts.create_user(world.from("root", create_user("a\u{202e}"))).await;
    assert_eq!(refusal(bad), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));

    let denied = (Code::PermissionDenied, "NOT_AN_OPERATOR".to_owned());
    let by_ada = accounts.create_user(world.from("ada", create_user("x"))).await;
    assert_eq!(refusal(by_ada), denied);
    let by_ada = accounts.list_users(world.from("ada", ListUsersRequest::default())).await;
    assert_eq!(refusal(by_ada), denied);
    let delete = |id: &str| DeleteUserRequest { id: id.to_owned() };
    assert_eq!(refusal(accounts.delete_user(world.from("ada", delete("bob"))).await), denied);

    let last_owner = accounts.delete_user(world.from("root", delete("ada"))).await;
    assert_eq!(refusal(last_owner), (Code::FailedPrecondition, "LAST_OWNER".to_owned()));
    accounts.delete_user(world.from("root", delete("bob"))).await.expect("deleted");
    let gone = accounts.delete_user(world.from("root", delete("bob"))).await;
    assert_eq!(refusal(gone), (Code::NotFound, "USER_NOT_FOUND".to_owned()));

    let request = ListUsersRequest { page_size: 2, page_token: String::new() };
    let first = accounts.list_users(world.from("root", request)).await.expect("page").into_inner();
    let request = ListUsersRequest { page_size: 2, page_token: first.next_page_token };
    let second = accounts.list_users(world.from("root", request)).await.expect("page").into_inner();
    let ids: Vec<_> = first.users.iter().chain(&second.users).map(|user| &*user.id).collect();
    assert_eq!(ids, ["ada", "eve", "zoë"]);
    assert!(second.next_page_token.is_empty());
}

#[tokio::test]
async fn a_user_sees_and_changes_only_what_is_theirs() {
    let world = World::with_people().await;
    let Gateway { accounts, .. } = &mut world.start().await;

    let created = accounts.create_namespace(world.from("eve", create_namespace("den", ""))).await;
    let created = created.expect("created").into_inner();
    assert_eq!((&*created.name, created.right()), ("den", Right::Owner));
    let again = accounts.create_namespace(world.from("ada", create_namespace("den", ""))).await;
    assert_eq!(refusal(again), (Code::Aborted, "NAMESPACE_EXISTS".to_owned()));
    let for_bob = accounts.create_namespace(world.from("eve", create_namespace("b", "bob"))).await;
    assert_eq!(refusal(for_bob), (Code::PermissionDenied, "NOT_AN_OPERATOR".to_owned()));
    let for_bob = accounts.create_namespace(world.from("root", create_namespace("b", "bob"))).await;
    assert_eq!(for_bob.expect("created").into_inner().right(), Right::Unspecified);

    let names = |answer: ListNamespacesResponse| {
        answer.namespaces.iter().map(|ns| (ns.name.clone(), ns.right())).collect::<Vec<_>>()
    };
    let all = ListNamespacesRequest::default;
    let own = accounts.list_namespaces(world.from("bob", all())).await.expect("page").into_inner();
    let expected = [("b", Right::Owner), ("notes", Right::Reader)];
    assert_eq!(names(own), expected.map(|(name, right)| (name.to_owned(), right)));
    let mine = create_namespace("zoo", "");
    refusal(accounts.create_namespace(world.from("root", mine.clone())).await);
    world.catalog.create_user(&user("root"), "Root", 0).await.expect("user");
    accounts.create_namespace(world.from("root", mine)).await.expect("is a user now");
    let all = accounts.list_namespaces(world.from("root", all())).await.expect("page").into_inner();
    let unseen = ["b", "den", "notes"].map(|name| (name, Right::Unspecified));
    let expected = [&unseen[..], &[("zoo", Right::Owner)]].concat();
    assert_eq!(
        names(all),
        expected.into_iter().map(|(name, right)| (name.to_owned(), right)).collect::<Vec<_>>()
    );

    // Strangers learn nothing: what exists and what does not give the same answer.
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
    let delete = |name: &str| DeleteNamespaceRequest { name: name.to_owned() };
    for namespace in ["notes", "nowhere"] {
        for stranger in ["eve", "bob", "root"] {
            let answer = accounts.delete_namespace(world.from(stranger, delete(namespace))).await;
            assert_eq!(refusal(answer), denied);
            let change = set_member(namespace, "eve", Right::Owner);
            let answer = accounts.set_member(world.from(stranger, change)).await;
            assert_eq!(refusal(answer), denied);
            let request = ListMembersRequest { namespace: namespace.to_owned() };
            let answer = accounts.list_members(world.from(stranger, request)).await;
            assert_eq!(refusal(answer), denied);
        }
    }
}

#[tokio::test]
async fn owners_keep_their_members() {
    let world = World::with_people().await;
    let Gateway { accounts, .. } = &mut world.start().await;
    let set = set_member("notes", "eve", Right::Writer);
    accounts.set_member(world.from("ada", set)).await.expect("set");
    let remove = |user: &str| RemoveMemberRequest {
        namespace: "notes".to_owned(),
        user: user.to_owned(),
        ..RemoveMemberRequest::default()
    };
    accounts.remove_member(world.from("ada", remove("bob"))).await.expect("removed");
    accounts.remove_member(world.from("ada", remove("bob"))).await.expect("nothing to remove");
    let request = ListMembersRequest { namespace: "notes".to_owned() };
    let members = accounts.list_members(world.from("ada", request)).await.expect("listed");
    let member = |user: &str, right: Right| Member {
        user: user.to_owned(),
        right: right.into(),
        ..Member::default()
    };
    assert_eq!(
        members.into_inner().members,
        [member("ada", Right::Owner), member("eve", Right::Writer)]
    );

    for (change, code, reason) in [
        (set_member("notes", "ada", Right::Reader), Code::FailedPrecondition, "LAST_OWNER"),
        (set_member("notes", "nobody", Right::Reader), Code::NotFound, "USER_NOT_FOUND"),
        (set_member("notes", "", Right::Reader), Code::InvalidArgument, "FIELD_INVALID"),
        (set_member("", "eve", Right::Reader), Code::InvalidArgument, "FIELD_INVALID"),
        (set_member("notes", "eve", Right::Unspecified), Code::InvalidArgument, "FIELD_INVALID"),
    ] {
        let answer = accounts.set_member(world.from("ada", change)).await;
        assert_eq!(refusal(answer), (code, reason.to_owned()));
    }
}

#[tokio::test]
async fn pages_meet_without_gap_and_belong_to_their_reader() {
    let world = World::with_people().await;
    for i in 0..4 {
        world.namespace(&format!("n{i}"), "ada").await;
    }
    let Gateway { accounts, .. } = &mut world.start().await;
    let mut token = String::new();
    let mut names = Vec::new();
    for expected in [2, 2, 1] {
        let request = ListNamespacesRequest { page_size: 2, page_token: token.clone() };
        let page = accounts.list_namespaces(world.from("ada", request)).await.expect("page");
        let page = page.into_inner();
        assert_eq!(page.namespaces.len(), expected);
        names.extend(page.namespaces.into_iter().map(|namespace| namespace.name));
        if !page.next_page_token.is_empty() {
            token = page.next_page_token;
        }
    }
    assert_eq!(names, ["n0", "n1", "n2", "n3", "notes"]);

    let invalid = (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned());
    for (user, page_token) in [("bob", &*token), ("root", &token), ("ada", "n1")] {
        let request = ListNamespacesRequest { page_size: 2, page_token: page_token.to_owned() };
        let answer = accounts.list_namespaces(world.from(user, request)).await;
        assert_eq!(refusal(answer), invalid);
    }
    let request = ListNamespacesRequest { page_size: -1, page_token: String::new() };
    let answer = accounts.list_namespaces(world.from("ada", request)).await;
    assert_eq!(refusal(answer), (Code::InvalidArgument, "PAGE_SIZE_INVALID".to_owned()));
}
