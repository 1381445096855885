//! The one act in which WeChat and the provider meet: this person may have this login. What a page named when it opened
//! is checked here, because only here it is known who is registered.

use protocol::message::{Code, Context};

use super::Provider;
use super::codes::ForPage;
use super::endpoints::is_challenge;
use super::identity::Scanned;
use super::sites::{Site, Subject};
use super::token::Token;
use crate::outbox::{EventName, Message};
use crate::store::StoreError;

/// Why a login goes to no site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotGranted {
    /// There is no such site, or the page may not name it.
    UnknownSite,
    /// The request is over: it was used, or waited too long.
    Gone,
    /// The site knows people by a name that WeChat has not given.
    Nameless,
    /// The store does not answer. Nothing was granted.
    Store(StoreError),
}

impl From<StoreError> for NotGranted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a page of a site may be told by the code that it gets.
const WIDGET_SCOPE: &str = "openid profile email";

impl Provider {
    /// Decides whether a login may be granted to what its page named, and gives the code for the page. Nothing can be
    /// had by the code until the gateway has recorded the scan and told the page.
    pub(crate) async fn grant(&self, context: &Context, scanned: Scanned) -> Result<Code, NotGranted> {
        let code = match (&context.request, &context.site) {
            (Some(handle), None) => self.grant_request(handle, context.origin.as_deref(), scanned).await?,
            (None, Some(site)) => self.grant_page(site, context, scanned).await?,
            _ => return Err(NotGranted::UnknownSite),
        };
        Ok(Code(code.reveal().to_owned()))
    }

    async fn grant_request(
        &self,
        handle: &str,
        origin: Option<&str>,
        scanned: Scanned,
    ) -> Result<Token, NotGranted> {
        // The page of a request is this service's own; browsers say so by themselves.
        if origin != Some(self.addresses.issuer.as_str()) {
            server::tell!(
                warn,
                self.told,
                "origin of a request",
                [origin = ?origin.unwrap_or("none")],
                "a page of another origin than CALLBACK_PUBLIC_URL asked for a login of a request; the login was denied"
            );
            return Err(NotGranted::UnknownSite);
        }
        let handle = Token::parse(handle).ok_or(NotGranted::Gone)?;
        let site = self.requests.site(&handle).await?.ok_or(NotGranted::Gone)?;
        let site = self.sites.get(&site).ok_or(NotGranted::UnknownSite)?;
        let scanned = self.named(&site, scanned).await?;
        self.requests.prove(&handle, &scanned).await?.ok_or(NotGranted::Gone)
    }

    async fn grant_page(&self, site: &str, context: &Context, scanned: Scanned) -> Result<Token, NotGranted> {
        let site = self.sites.get(site).ok_or(NotGranted::UnknownSite)?;
        let origin = context.origin.as_deref();
        if !site.may_be_named_by(origin) {
            server::tell!(
                warn,
                self.told,
                "origin",
                [site = %site.id, origin = ?origin.unwrap_or("none")],
                "a page asked for a login of a site whose origins do not name it; the login was denied"
            );
            self.tell_of_denial(&site, &scanned).await;
            return Err(NotGranted::UnknownSite);
        }
        // Codes for pages are public: whoever made the challenge alone can redeem them (RFC 7636).
        let challenge = context.code_challenge.clone().filter(|challenge| is_challenge(challenge));
        let Some(code_challenge) = challenge else {
            server::tell!(
                warn,
                self.told,
                "no challenge",
                [site = %site.id],
                "a page asked for a login without a code_challenge by S256; the login was denied"
            );
            self.tell_of_denial(&site, &scanned).await;
            return Err(NotGranted::UnknownSite);
        };
        let scanned = self.named(&site, scanned).await?;
        let nonce = context.nonce.clone();
        let page = ForPage { site: site.id, scope: WIDGET_SCOPE.to_owned(), nonce, code_challenge };
        Ok(self.codes.put_for_page(&page, &scanned).await?)
    }

    /// The person with the name by which the site knows people.
    async fn named(&self, site: &Site, mut scanned: Scanned) -> Result<Scanned, NotGranted> {
        if scanned.unionid.is_none() {
            scanned.unionid = self.accounts.unionid(&scanned.person).await?;
        }
        if site.subject == Subject::Unionid && scanned.unionid.is_none() {
            server::tell!(
                warn,
                self.told,
                "no unionid",
                [site = %site.id],
                "WeChat gave no unionid, by which this site knows people: is the account bound to an Open Platform \
                 account, and CALLBACK_USER_INFO_WITHIN long enough? The login was denied"
            );
            return Err(NotGranted::Nameless);
        }
        Ok(scanned)
    }

    async fn tell_of_denial(&self, site: &Site, scanned: &Scanned) {
        if site.webhook.is_none() || site.subject == Subject::Unionid {
            return;
        }
        let (sub, at) = (scanned.person.to_string(), server::clock::unix_now());
        let event = Message::Event { name: EventName::Denial, sub, at, login: None };
        if let Err(error) = self.outbox.put(&site.id, event).await {
            tracing::error!("a site is not told of a denial: {error}");
        }
    }
}
