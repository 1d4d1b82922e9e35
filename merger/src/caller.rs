//! Who is asking: the bearer token, and whether the catalog knows that user.

use nautilus_catalog::UserId;
use nautilus_identity::bearer_token;
use tonic::metadata::MetadataMap;

use crate::MergerError;
use crate::merger::Core;

/// A caller whose credentials hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    pub(crate) is_operator: bool,
}

impl Core {
    /// The caller of a request with this metadata, who must be a user of the catalog.
    pub(crate) async fn identify(&self, metadata: &MetadataMap) -> Result<Caller, MergerError> {
        let caller = self.authenticate(metadata).await?;
        match self.catalog.get_user(&caller.user).await? {
            Some(_) => Ok(caller),
            None => Err(MergerError::UserUnknown),
        }
    }

    /// The caller, who must be an operator, and need not be a user.
    pub(crate) async fn identify_operator(
        &self,
        metadata: &MetadataMap,
    ) -> Result<Caller, MergerError> {
        let caller = self.authenticate(metadata).await?;
        if caller.is_operator { Ok(caller) } else { Err(MergerError::OperatorRequired) }
    }

    async fn authenticate(&self, metadata: &MetadataMap) -> Result<Caller, MergerError> {
        let value = metadata.get("authorization");
        // A value that is no text is no bearer token either.
        let token = bearer_token(value.map(|value| value.to_str().unwrap_or("?")))?;
        let now_s = self.clock.unix_ms() / 1_000;
        let principal = self.authenticator.authenticate(token, now_s).await?;
        let user = UserId::new(&principal.user).map_err(|_| MergerError::UserUnknown)?;
        let is_operator = principal.is_operator || self.config.operators.contains(&user);
        Ok(Caller { user, is_operator })
    }
}
