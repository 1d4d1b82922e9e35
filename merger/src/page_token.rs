//! Page tokens of document lists: where the next page begins, sealed.

use nautilus_identity::{LogIdentity, TokenError, TokenKey, TokenKind};
use nautilus_types::{DocumentId, Offset};
use prost::Message as _;

use crate::rank::Namespace;

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageEnd {
    /// The last document shown.
    pub(crate) document_id: DocumentId,
    /// What the page showed; the next one must not show less.
    pub(crate) next_offset: Offset,
}

/// The sealed content. Fields are only added: clients keep tokens over upgrades.
#[derive(Clone, PartialEq, prost::Message)]
struct Content {
    #[prost(bytes = "vec", tag = "1")]
    cluster_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    log_generation: u64,
    #[prost(bytes = "vec", tag = "3")]
    namespace: Vec<u8>,
    #[prost(uint64, tag = "4")]
    incarnation: u64,
    #[prost(bytes = "vec", tag = "5")]
    document_id: Vec<u8>,
    #[prost(uint64, tag = "6")]
    next_offset: u64,
}

/// The token of the page after `end`, good for this life of this namespace only.
pub(crate) fn seal(
    key: &TokenKey,
    log: &LogIdentity,
    (name, incarnation): &Namespace,
    end: &PageEnd,
) -> Result<String, TokenError> {
    let content = Content {
        cluster_id: log.cluster_id.to_vec(),
        log_generation: log.generation.0,
        namespace: name.as_bytes().to_vec(),
        incarnation: incarnation.0,
        document_id: end.document_id.as_bytes().to_vec(),
        next_offset: end.next_offset.0,
    };
    key.seal(TokenKind::Page, &content.encode_to_vec())
}

/// Where the page before ended; none if the token is not one of this list.
pub(crate) fn open(
    key: &TokenKey,
    log: &LogIdentity,
    (name, incarnation): &Namespace,
    token: &str,
) -> Option<PageEnd> {
    let content = Content::decode(&*key.open(TokenKind::Page, token).ok()?).ok()?;
    let is_of_this_list = content.cluster_id == log.cluster_id
        && content.log_generation == log.generation.0
        && content.namespace == name.as_bytes()
        && content.incarnation == incarnation.0;
    let end = PageEnd {
        document_id: DocumentId::new(&content.document_id).ok()?,
        next_offset: Offset(content.next_offset),
    };
    is_of_this_list.then_some(end)
}

#[cfg(test)]
mod tests {
    use nautilus_types::{Incarnation, LogGeneration, NamespaceName};

    use super::*;

    #[test]
    fn a_token_is_good_for_its_list_only() {
        let key = TokenKey::generate().expect("key");
        let log = LogIdentity { cluster_id: [1; 16], generation: LogGeneration(2) };
        let list = |name: &str, life| (NamespaceName::new(name).expect("valid"), Incarnation(life));
        let document_id = DocumentId::new("a/b").expect("valid");
        let end = PageEnd { document_id, next_offset: Offset(9) };
        let token = seal(&key, &log, &list("home", 4), &end).expect("sealed");
        assert_eq!(open(&key, &log, &list("home", 4), &token), Some(end));
        assert_eq!(open(&key, &log, &list("home", 5), &token), None);
        assert_eq!(open(&key, &log, &list("team", 4), &token), None);
        let later = LogIdentity { generation: LogGeneration(3), ..log };
        assert_eq!(open(&key, &later, &list("home", 4), &token), None);
        let other = TokenKey::generate().expect("key");
        assert_eq!(open(&other, &log, &list("home", 4), &token), None);
        // Lists of other parts of the system share the kind, not the content.
        let foreign = key.seal(TokenKind::Page, &[1, 3, b'a', b'd', b'a']).expect("sealed");
        assert_eq!(open(&key, &log, &list("home", 4), &foreign), None);
    }
}
