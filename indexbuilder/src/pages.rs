//! Pages of lists: their size, and the sealed token that says where the next one begins.

use nautilus_catalog::UserId;
use nautilus_identity::{TokenKey, TokenKind};
use nautilus_service::RpcError;
use nautilus_types::Class;

/// Entries of a page where the caller asks for none in particular.
const SIZE_DEFAULT: u32 = 100;
/// More is quietly this.
const SIZE_MAX: u32 = 1_000;

/// Which list a token belongs to. Sealed into tokens: never changed, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Users = 1,
    NamespacesOfCaller = 2,
    AllNamespaces = 3,
    UserGroups = 4,
}

/// Entries to read: one more than the page holds says whether there is another page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageSize(u32);

impl PageSize {
    pub(crate) fn of(asked: i32) -> Result<Self, RpcError> {
        match u32::try_from(asked) {
            Ok(0) => Ok(Self(SIZE_DEFAULT)),
            Ok(size) => Ok(Self(size.min(SIZE_MAX))),
            Err(_) => {
                Err(RpcError::new(Class::Invalid, "PAGE_SIZE_INVALID", "page_size is negative")
                    .field("page_size", "is negative"))
            }
        }
    }

    pub(crate) fn with_one_more(self) -> u32 {
        self.0 + 1
    }

    /// Cuts `entries` to the page; whether something was cut off.
    pub(crate) fn cut<T>(self, entries: &mut Vec<T>) -> bool {
        let size = usize::try_from(self.0).unwrap_or(usize::MAX);
        let has_more = entries.len() > size;
        entries.truncate(size);
        has_more
    }
}

/// The token of the page after `last`, good for this list and this caller only.
pub(crate) fn seal(
    key: &TokenKey,
    list: List,
    caller: &UserId,
    last: &[u8],
) -> Result<String, RpcError> {
    let content = [&binding(list, caller), last].concat();
    key.seal(TokenKind::Page, &content).map_err(|error| {
        RpcError::new(error.class(), error.reason(), "no page token").caused_by(error)
    })
}

/// The key that a token says to begin after; none for an empty token, the first page.
pub(crate) fn open(
    key: &TokenKey,
    list: List,
    caller: &UserId,
    token: &str,
) -> Result<Option<Vec<u8>>, RpcError> {
    if token.is_empty() {
        return Ok(None);
    }
    let content = key.open(TokenKind::Page, token).ok();
    let last = content.as_deref().and_then(|content| content.strip_prefix(&*binding(list, caller)));
    last.map(|last| Some(last.to_vec())).ok_or_else(bad_token)
}

pub(crate) fn bad_token() -> RpcError {
    let message = "page_token is not one of this list for this caller";
    RpcError::new(Class::Invalid, "PAGE_TOKEN_INVALID", message)
        .field("page_token", "is not one of this list for this caller")
}

fn binding(list: List, caller: &UserId) -> Vec<u8> {
    // A user id is at most 128 bytes, so its length is one byte.
    let length = u8::try_from(caller.as_str().len()).unwrap_or(u8::MAX);
    [&[list as u8, length], caller.as_str().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_list_and_caller_only() {
        let key = TokenKey::generate().expect("key");
        let ada = UserId::new("ada").expect("valid");
        let token = seal(&key, List::Users, &ada, b"last").expect("sealed");
        let opened = |list, caller: &str, token: &str| {
            open(&key, list, &UserId::new(caller).expect("valid"), token).ok()
        };
        assert_eq!(opened(List::Users, "ada", &token), Some(Some(b"last".to_vec())));
        assert_eq!(opened(List::Users, "ada", ""), Some(None));
        assert_eq!(opened(List::AllNamespaces, "ada", &token), None);
        assert_eq!(opened(List::Users, "adal", &token), None);
        assert_eq!(opened(List::Users, "ad", &token), None);
        assert_eq!(opened(List::Users, "ada", "last"), None);
    }

    #[test]
    fn sizes_have_a_default_and_a_cap() {
        let size = |asked| PageSize::of(asked).map(|size| size.0).map_err(|error| error.reason());
        assert_eq!(size(0), Ok(100));
        assert_eq!(size(1), Ok(1));
        assert_eq!(size(1_000), Ok(1_000));
        assert_eq!(size(1_001), Ok(1_000));
        assert_eq!(size(-1), Err("PAGE_SIZE_INVALID"));
    }

    #[test]
    fn one_entry_more_means_another_page() {
        let page = PageSize::of(2).expect("valid");
        let (mut full, mut last) = (vec![1, 2, 3], vec![1, 2]);
        assert!(page.cut(&mut full));
        assert!(!page.cut(&mut last));
        assert_eq!((full, last), (vec![1, 2], vec![1, 2]));
    }
}
