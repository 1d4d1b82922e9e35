//! Which role may call which method: one table, and what is not in it is denied.

use super::identity::Role;

/// Who may call a method on a port that asks its callers for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// These roles.
    Roles(&'static [Role]),
    /// Every process of the cluster; the call says who it is for by a token, and the service's own guard decides.
    Token,
}

type Methods = &'static [(&'static str, Access)];

const ANY: Access = Access::Roles(&Role::ALL);
const ROOT: Access = Access::Roles(&[Role::Root]);
const MERGER: Access = Access::Roles(&[Role::Merger]);

/// Services by full name, each with its methods. Names stand here as text: this crate knows no messages. A test
/// compares them with the contract.
const TABLE: &[(&str, Methods)] = &[
    (
        "nautilus.leaf.v1.LeafService",
        &[
            ("Search", ROOT),
            ("Fetch", ROOT),
            ("List", ROOT),
            ("Suggest", ROOT),
            ("GetStatus", Access::Roles(&[Role::Root, Role::Operator])),
            ("WatchStatus", ROOT),
        ],
    ),
    (
        "nautilus.root.v1.RootService",
        &[
            ("Search", MERGER),
            ("SearchShadow", MERGER),
            ("Fetch", MERGER),
            ("List", MERGER),
            ("Suggest", MERGER),
            ("GetStatus", Access::Roles(&[Role::Merger, Role::Operator])),
            // How far replicas are behind: the gateway pushes back by it.
            ("WatchReplicas", Access::Roles(&[Role::IndexBuilder])),
        ],
    ),
    (
        "nautilus.search.v1.SearchService",
        &[
            ("Search", Access::Token),
            ("Suggest", Access::Token),
            ("GetDocument", Access::Token),
            ("ListDocuments", Access::Token),
        ],
    ),
    ("nautilus.ingest.v1.IngestService", &[("Write", Access::Token)]),
    (
        "nautilus.admin.v1.CatalogService",
        &[
            ("CreateUser", Access::Token),
            ("DeleteUser", Access::Token),
            ("ListUsers", Access::Token),
            ("CreateNamespace", Access::Token),
            ("DeleteNamespace", Access::Token),
            ("ListNamespaces", Access::Token),
            ("SetMember", Access::Token),
            ("RemoveMember", Access::Token),
            ("ListMembers", Access::Token),
            ("CreateUserGroup", Access::Token),
            ("DeleteUserGroup", Access::Token),
            ("ListUserGroups", Access::Token),
            ("AddUserGroupMember", Access::Token),
            ("RemoveUserGroupMember", Access::Token),
            ("ListUserGroupMembers", Access::Token),
            ("SetMount", Access::Token),
            ("RemoveMount", Access::Token),
            ("ListMounts", Access::Token),
        ],
    ),
    (
        "nautilus.admin.v1.ClusterService",
        &[("GetStatus", Access::Token), ("GetShadowReport", Access::Token)],
    ),
    ("grpc.health.v1.Health", &[("Check", ANY), ("Watch", ANY)]),
    (
        "grpc.reflection.v1.ServerReflection",
        &[("ServerReflectionInfo", Access::Roles(&[Role::Operator]))],
    ),
];

/// Who may call the method of this path, `/package.Service/Method`; none where nobody may.
#[must_use]
pub fn access_of(path: &str) -> Option<Access> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (_, methods) = TABLE.iter().find(|(name, _)| *name == service)?;
    methods.iter().find(|(name, _)| *name == method).map(|(_, access)| *access)
}

/// Whether a process of this role may call the method of this path.
#[must_use]
pub fn may_call(role: Role, path: &str) -> bool {
    match access_of(path) {
        Some(Access::Roles(roles)) => roles.contains(&role),
        Some(Access::Token) => true,
        None => false,
    }
}

/// The paths in the table.
#[cfg(test)]
fn paths() -> impl Iterator<Item = String> {
    TABLE.iter().flat_map(|(service, methods)| {
        methods.iter().map(move |(method, _)| format!("/{service}/{method}"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn methods_of(descriptors: &[u8]) -> Vec<String> {
        let files = FileDescriptorSet::decode(descriptors).expect("descriptors").file;
        let mut paths = Vec::new();
        for file in files {
            for service in &file.service {
                for method in &service.method {
                    paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        paths
    }

    #[test]
    fn the_table_names_every_method_and_no_other() {
        let mut contract = methods_of(nautilus_proto::FILE_DESCRIPTOR_SET);
        contract.extend(methods_of(tonic_health::pb::FILE_DESCRIPTOR_SET));
        contract.extend(methods_of(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
        assert!(contract.len() > 30, "the contract was found");
        let table: Vec<String> = paths().collect();
        let unique: BTreeSet<&String> = table.iter().collect();
        assert_eq!(unique.len(), table.len(), "a method stands twice");
        assert_eq!(unique, contract.iter().collect());
    }

    #[test]
    fn what_is_not_in_the_table_is_denied() {
        for path in [
            "",
            "/",
            "//",
            "/nautilus.leaf.v1.LeafService",
            "/nautilus.leaf.v1.LeafService/",
            "/nautilus.leaf.v1.LeafService/search",
            "/nautilus.leaf.v1.LeafService/Search/",
            "nautilus.leaf.v1.LeafService/Search",
            "/nautilus.leaf.v1.LeafService/Drop",
            "/other.v1.Service/Search",
        ] {
            assert!(Role::ALL.into_iter().all(|role| !may_call(role, path)), "{path}");
        }
    }

    #[test]
    fn leaves_answer_roots_and_roots_answer_mergers() {
        let callers = |path: &str| -> Vec<Role> {
            Role::ALL.into_iter().filter(|role| may_call(*role, path)).collect()
        };
        assert_eq!(callers("/nautilus.leaf.v1.LeafService/Search"), [Role::Root]);
        assert_eq!(callers("/nautilus.leaf.v1.LeafService/Fetch"), [Role::Root]);
        assert_eq!(callers("/nautilus.root.v1.RootService/Search"), [Role::Merger]);
        assert_eq!(callers("/nautilus.root.v1.RootService/SearchShadow"), [Role::Merger]);
        assert_eq!(callers("/nautilus.root.v1.RootService/WatchReplicas"), [Role::IndexBuilder]);
        assert_eq!(callers("/grpc.health.v1.Health/Check"), Role::ALL);
    }
}
