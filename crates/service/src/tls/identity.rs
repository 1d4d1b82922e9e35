//! Who a process of the cluster is, as its certificate says.
//!
//! The certificate holds exactly one URI among its alternative names: `spiffe://CLUSTER/ROLE/NAME`, such as
//! `spiffe://search.example/leaf/leaf-7`. Cluster and name are 1 to 128 letters, digits, `.`, `-` or `_`.

use std::fmt;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Longest cluster or name, in bytes.
const PART_BYTES_MAX: usize = 128;

/// What a process is in the cluster, and so what it may ask of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Serves partitions.
    Leaf,
    /// Fans searches out.
    Root,
    /// Places partitions.
    Coordinator,
    /// Serves searches to clients.
    Merger,
    /// Takes writes from clients and builds indexes.
    IndexBuilder,
    /// A person or their tools.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Leaf,
        Self::Root,
        Self::Coordinator,
        Self::Merger,
        Self::IndexBuilder,
        Self::Operator,
    ];

    /// The role as certificates spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leaf => "leaf",
            Self::Root => "root",
            Self::Coordinator => "coordinator",
            Self::Merger => "merger",
            Self::IndexBuilder => "indexbuilder",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A process of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerIdentity {
    /// Which cluster it belongs to.
    pub cluster: String,
    /// What it is there.
    pub role: Role,
    /// Which one of its role.
    pub name: String,
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}/{}", self.cluster, self.role, self.name)
    }
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// It is no certificate.
    #[error("the certificate does not parse")]
    Certificate,
    /// It must hold one, and only one, so that nobody can choose which one counts.
    #[error("the certificate holds {count} URIs, not one")]
    Uris {
        /// How many it holds.
        count: usize,
    },
    /// The URI is not of the form this module describes.
    #[error("the certificate's URI is not spiffe://CLUSTER/ROLE/NAME")]
    Form,
    /// No role of ours is called so.
    #[error("the certificate's URI names an unknown role")]
    Role,
}

impl PeerIdentity {
    /// Reads `spiffe://CLUSTER/ROLE/NAME`.
    pub fn parse(uri: &str) -> Result<Self, InvalidIdentity> {
        let rest = uri.strip_prefix("spiffe://").ok_or(InvalidIdentity::Form)?;
        let mut parts = rest.split('/');
        let (Some(cluster), Some(role), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidIdentity::Form);
        };
        if !is_part(cluster) || !is_part(name) {
            return Err(InvalidIdentity::Form);
        }
        let role = Role::ALL.into_iter().find(|known| known.as_str() == role);
        let role = role.ok_or(InvalidIdentity::Role)?;
        Ok(Self { cluster: cluster.to_owned(), role, name: name.to_owned() })
    }
}

fn is_part(part: &str) -> bool {
    (1..=PART_BYTES_MAX).contains(&part.len())
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// What a certificate (DER) says about whom it was made for. Says nothing about who made it.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) identity: PeerIdentity,
    /// In seconds since 1970; 0 for times before.
    pub(crate) expires_unix_s: u64,
}

pub(crate) fn describe(certificate: &[u8]) -> Result<Described, InvalidIdentity> {
    let parsed = X509Certificate::from_der(certificate);
    let (_, certificate) = parsed.map_err(|_| InvalidIdentity::Certificate)?;
    let names = certificate.subject_alternative_name();
    let names = names.map_err(|_| InvalidIdentity::Certificate)?;
    let mut uris = Vec::new();
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        if let GeneralName::URI(uri) = name {
            uris.push(*uri);
        }
    }
    let [uri] = uris[..] else { return Err(InvalidIdentity::Uris { count: uris.len() }) };
    let expires = certificate.validity().not_after.timestamp();
    Ok(Described {
        identity: PeerIdentity::parse(uri)?,
        expires_unix_s: u64::try_from(expires).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_read_and_written() {
        for role in Role::ALL {
            let uri = format!("spiffe://search.example/{role}/node_7-b");
            let identity = PeerIdentity::parse(&uri).expect("valid");
            assert_eq!(identity.role, role);
            assert_eq!(identity.to_string(), uri);
        }
    }

    #[test]
    fn anything_else_names_nobody() {
        let long = format!("spiffe://c/leaf/{}", "x".repeat(129));
        for uri in [
            "",
            "spiffe://",
            "https://c/leaf/a",
            "spiffe://c/leaf",
            "spiffe://c/leaf/",
            "spiffe:///leaf/a",
            "spiffe://c/leaf/a/b",
            "spiffe://c/leaf/a?x",
            "spiffe://c/leaf/a b",
            "spiffe://c/leaf/..%2f",
            "spiffe://c:1/leaf/a",
            "SPIFFE://c/leaf/a",
            &long,
        ] {
            assert_eq!(PeerIdentity::parse(uri), Err(InvalidIdentity::Form), "{uri}");
        }
        for uri in ["spiffe://c/Leaf/a", "spiffe://c/admin/a", "spiffe://c//a"] {
            assert_eq!(PeerIdentity::parse(uri), Err(InvalidIdentity::Role), "{uri}");
        }
        assert!(matches!(describe(b"no certificate"), Err(InvalidIdentity::Certificate)));
    }
}
