//! Access tokens. They open `/userinfo` and nothing else, and say nothing by themselves.

use records::{AsText, Kept, Records, Step, Write};
use serde::{Deserialize, Serialize};

use super::ACCESS_LIFE;
use super::identity::Identity;
use super::token::{Hash, Token};
use crate::store::{Store, StoreError};

/// What an access token stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Access {
    /// The site that has it.
    pub site: String,
    /// What may be known by it.
    pub scope: String,
    /// Whom it is about.
    pub who: Kept<Identity>,
    /// It was taken back.
    #[serde(default)]
    pub is_revoked: bool,
}

impl AsText for Access {}

/// The access tokens.
#[derive(Debug, Clone)]
pub(super) struct AccessTokens(Records<Kept<Access>>);

impl AccessTokens {
    pub(super) fn new(store: &Store) -> Self {
        Self(store.records("access"))
    }

    /// Keeps what a token stands for.
    pub(super) async fn put(&self, token: &Token, access: Access) -> Result<(), StoreError> {
        let name = token.hash();
        let kept = self.0.update(name.as_str(), |_, now| {
            Step::Write(Write::new(access.clone().into(), now + ACCESS_LIFE), ())
        });
        Ok(kept.await?)
    }

    /// What a token stands for; nothing for one that is unknown, too old or revoked.
    pub(super) async fn look(&self, token: &Token) -> Result<Option<Access>, StoreError> {
        let found = self.0.read(token.hash().as_str()).await?.record;
        Ok(found.filter(|access| !access.is_revoked).map(|access| Access::clone(&access)))
    }

    /// Makes a token worthless.
    pub(super) async fn revoke(&self, token: &Hash) -> Result<(), StoreError> {
        let revoked = self.0.update(token.as_str(), |found, now| match found {
            Some(access) => {
                let mut access = access.clone();
                access.is_revoked = true;
                Step::Write(Write { durably: true, ..Write::new(access, now + ACCESS_LIFE) }, ())
            }
            None => Step::Keep(()),
        });
        Ok(revoked.await?)
    }
}
