//! Which processes a cluster has, what each is called, and on which ports it is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use nautilus_test_services::free_port;

use super::certificates::Files;

/// How many of everything.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Partitions of the index.
    pub partitions: u32,
    /// Names of the replica groups.
    pub groups: Vec<String>,
    /// Names of replica groups that have ports and certificates but do not run until they are added.
    pub later_groups: Vec<String>,
    /// Leaves of each, those of the idle pool included.
    pub leaves_per_group: u32,
    /// Most partitions of a leaf.
    pub partitions_per_leaf_max: u32,
    /// Coordinators of each group: one acts, the others stand by.
    pub coordinators_per_group: u32,
    /// Roots.
    pub roots: u32,
    /// Mergers.
    pub mergers: u32,
    /// Nodes of etcd.
    pub etcd_members: usize,
    /// How often leaves publish snapshots.
    pub snapshot_interval: &'static str,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            partitions: 3,
            groups: vec!["a".to_owned(), "b".to_owned()],
            later_groups: vec!["c".to_owned()],
            // Three that serve a partition each, and one in the idle pool.
            leaves_per_group: 4,
            partitions_per_leaf_max: 3,
            coordinators_per_group: 2,
            roots: 2,
            mergers: 2,
            etcd_members: 1,
            // Often, so that there are some within a minute of testing.
            snapshot_interval: "20s",
        }
    }
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `nautilus leaf`
    Leaf,
    /// `nautilus root`
    Root,
    /// `nautilus coordinator`
    Coordinator,
    /// `nautilus merger`
    Merger,
    /// `nautilus indexbuilder serve`
    IndexBuilder,
}

/// One process.
#[derive(Debug, Clone)]
pub struct Member {
    /// Unique in the cluster.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Of leaves and coordinators.
    pub group: Option<String>,
    /// Of its gRPC server.
    pub port: u16,
    /// Of metrics and health.
    pub admin_port: u16,
}

impl Layout {
    /// All processes.
    pub(super) fn members(&self) -> io::Result<Vec<Member>> {
        let mut members = Vec::new();
        let mut add = |name: String, kind, group: Option<&String>| {
            let group = group.cloned();
            members.push(Member {
                name,
                kind,
                group,
                port: free_port()?,
                admin_port: free_port()?,
            });
            io::Result::Ok(())
        };
        for group in self.groups.iter().chain(&self.later_groups) {
            for number in 1..=self.coordinators_per_group {
                add(format!("coordinator-{group}-{number}"), Kind::Coordinator, Some(group))?;
            }
            for number in 1..=self.leaves_per_group {
                add(format!("leaf-{group}-{number}"), Kind::Leaf, Some(group))?;
            }
        }
        for number in 1..=self.roots {
            add(format!("root-{number}"), Kind::Root, None)?;
        }
        for number in 1..=self.mergers {
            add(format!("merger-{number}"), Kind::Merger, None)?;
        }
        add("indexbuilder-1".to_owned(), Kind::IndexBuilder, None)?;
        Ok(members)
    }

    /// Replicas that serve when all is well.
    #[must_use]
    pub fn replicas(&self) -> usize {
        usize::try_from(self.partitions).unwrap_or(usize::MAX).saturating_mul(self.groups.len())
    }
}

impl Member {
    /// Where its gRPC server is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Where metrics and health are.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin_port))
    }

    /// The disk of a leaf.
    #[must_use]
    pub fn data_dir(&self, folder: &Path) -> PathBuf {
        folder.join("disks").join(&self.name)
    }

    pub(super) fn command(&self) -> Vec<String> {
        let words: &[&str] = match self.kind {
            Kind::Leaf => &["leaf"],
            Kind::Root => &["root"],
            Kind::Coordinator => &["coordinator"],
            Kind::Merger => &["merger"],
            Kind::IndexBuilder => &["indexbuilder", "serve"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    pub(super) fn settings(&self, folder: &Path) -> Vec<String> {
        let mut settings = vec![
            format!("server.listen_address={}", self.address()),
            format!("server.admin_listen_address={}", self.admin_address()),
        ];
        let files = Files::of(folder, &self.name);
        settings.push(format!("tls.ca_file={}", files.authority.display()));
        settings.push(format!("tls.certificate_file={}", files.certificate.display()));
        settings.push(format!("tls.key_file={}", files.key.display()));
        let section = match self.kind {
            Kind::Leaf => "leaf",
            Kind::Coordinator => "coordinator",
            Kind::Root | Kind::Merger | Kind::IndexBuilder => return settings,
        };
        settings.push(format!("{section}.name={}", self.name));
        settings.extend(self.group.iter().map(|group| format!("{section}.replica_group={group}")));
        if self.kind == Kind::Leaf {
            settings.push(format!("leaf.data_dir={}", self.data_dir(folder).display()));
        }
        settings
    }
}
