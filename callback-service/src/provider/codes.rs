//! The codes that a site's back end redeems (RFC 6749, section 4.1.2). A code is redeemed once, whichever process it is
//! brought to; the second time takes back what the first gave.

use std::time::Duration;

use records::{AsText, Kept, Records, Step, Write};
use serde::{Deserialize, Serialize};

use super::identity::{Identity, Scanned};
use super::token::{Hash, Token};
use super::{ACCESS_LIFE, CODE_LIFE, sid};
use crate::store::{Store, StoreError};

/// What a code stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Code {
    /// The site that may redeem it.
    pub site: String,
    /// Where it was sent; nothing for one that a page of the site got itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// What may be known by it.
    pub scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge: Option<String>,
    /// Who logged in.
    pub who: Kept<Identity>,
    /// The access token that it was redeemed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeemed: Option<Hash>,
}

impl AsText for Code {}

/// What a page of a site gets a code for, without a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ForPage {
    pub site: String,
    pub scope: String,
    pub nonce: Option<String>,
    pub code_challenge: String,
}

/// The codes.
#[derive(Debug, Clone)]
pub(super) struct Codes(Records<Kept<Code>>);

impl Codes {
    pub(super) fn new(store: &Store) -> Self {
        Self(store.records("code"))
    }

    /// Keeps a code that was made from a request; gives the code itself.
    pub(super) async fn put(&self, code: Code) -> Result<Token, StoreError> {
        self.write(|_| code.clone()).await
    }

    /// Keeps a code that was made from a request under a name that the browser's visit has, unless it is kept already.
    pub(super) async fn put_as(&self, token: &Token, code: Code) -> Result<(), StoreError> {
        let name = token.hash();
        let kept = self.0.update(name.as_str(), |found, now| match found {
            Some(_) => Step::Keep(()),
            None => {
                Step::Write(Write { durably: true, ..Write::new(code.clone().into(), now + CODE_LIFE) }, ())
            }
        });
        Ok(kept.await?)
    }

    /// Keeps a code for a page of a site, before the gateway is asked to record the scan; gives the code itself.
    pub(super) async fn put_for_page(&self, page: &ForPage, scanned: &Scanned) -> Result<Token, StoreError> {
        let sid = sid();
        self.write(|now| {
            let ForPage { site, scope, nonce, code_challenge } = page.clone();
            let who = scanned.identity(now, &sid).into();
            let code_challenge = Some(code_challenge);
            Code { site, redirect_uri: None, scope, nonce, code_challenge, who, redeemed: None }
        })
        .await
    }

    async fn write(&self, make: impl Fn(records::Moment) -> Code) -> Result<Token, StoreError> {
        let token = Token::random();
        let name = token.hash();
        let kept = self.0.update(name.as_str(), |_, now| {
            Step::Write(Write { durably: true, ..Write::new(make(now).into(), now + CODE_LIFE) }, ())
        });
        kept.await?;
        Ok(token)
    }

    /// What a code stands for; nothing for one that is unknown or too old.
    pub(super) async fn look(&self, code: &Token) -> Result<Option<Code>, StoreError> {
        Ok(self.0.read(code.hash().as_str()).await?.record.map(|code| Code::clone(&code)))
    }

    /// Redeems a code for `access`, unless it was redeemed before for another; then gives that access token's hash. It may
    /// be repeated where the store did not say whether it was done.
    pub(super) async fn redeem(
        &self,
        code: &Token,
        access: &Hash,
    ) -> Result<Result<(), Option<Hash>>, StoreError> {
        let name = code.hash();
        let redeemed = self.0.update(name.as_str(), |found, now| {
            let Some(code) = found else { return Step::Keep(Err(None)) };
            match &code.redeemed {
                // The same attempt, which does not know whether it was recorded.
                Some(before) if before == access => {}
                Some(before) => return Step::Keep(Err(Some(before.clone()))),
                None => {}
            }
            let mut code = code.clone();
            code.redeemed = Some(access.clone());
            // It is kept as long as what it gave, which a second redemption takes back.
            let until = now + ACCESS_LIFE + Duration::from_secs(1);
            Step::Write(Write { durably: true, ..Write::new(code, until) }, Ok(()))
        });
        Ok(redeemed.await?)
    }
}
