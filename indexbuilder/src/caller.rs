//! Who is asking: the bearer token, and whether the catalog knows that user.

use std::sync::Arc;

use nautilus_catalog::{Catalog, UserId};
use nautilus_identity::{Authenticator, bearer_token};
use nautilus_service::{Clock, RpcError};
use nautilus_types::Class;
use tonic::metadata::MetadataMap;

use crate::error::catalog_error;

/// A caller whose credentials hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    pub(crate) is_operator: bool,
}

/// Finds out who is asking.
pub(crate) struct Callers {
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) clock: Clock,
}

impl Callers {
    /// The caller of a request with this metadata: a user of the catalog, or one whom the issuer calls
    /// an operator, who need not be a user.
    pub(crate) async fn identify(&self, metadata: &MetadataMap) -> Result<Caller, RpcError> {
        let value = metadata.get("authorization");
        // A value that is no text is no bearer token either.
        let text = value.map(|value| value.to_str().unwrap_or("?"));
        let principal = match bearer_token(text) {
            Ok(token) => self.authenticator.authenticate(token, self.clock.unix_ms() / 1000).await,
            Err(error) => Err(error),
        };
        let principal = principal
            .map_err(|error| RpcError::new(error.class(), error.reason(), error.to_string()))?;
        let user = UserId::new(&principal.user).map_err(|_| user_unknown())?;
        let is_operator = principal.is_operator;
        if !is_operator && self.catalog.get_user(&user).await.map_err(catalog_error)?.is_none() {
            return Err(user_unknown());
        }
        Ok(Caller { user, is_operator })
    }
}

fn user_unknown() -> RpcError {
    RpcError::new(Class::Unauthenticated, "USER_UNKNOWN", "the user is not known here")
}
