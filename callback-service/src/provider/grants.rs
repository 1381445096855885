//! The one act in which WeChat and the provider meet: this person may have this login. What a page named when it opened
//! is checked here, because only here it is known who is registered.

use data_encoding::HEXLOWER;
use protocol::message::{Code, Context};
use protocol::{LoginId, Scene};
use serde::{Deserialize, Serialize};

use super::Provider;
use super::codes::ForPage;
use super::endpoints::is_challenge;
use super::identity::Scanned;
use super::sites::{Site, Subject};
use super::token::{Token, sha256_bytes};
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

/// A login that may go to a site. Nothing of it is kept yet.
#[derive(Debug)]
pub(crate) struct Admitted {
    site: Site,
    way: Way,
    scanned: Scanned,
    /// The person has to confirm it first.
    pub confirm: bool,
}

/// How a login reaches its site.
#[derive(Debug)]
enum Way {
    /// By the request of this handle.
    Request(Token),
    /// By a page of the site.
    Page { nonce: String, code_challenge: String },
}

/// A site as a person is told of it, and the person as the site is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parties {
    /// The site's id.
    pub site: String,
    /// What people call it.
    pub name: String,
    /// What it calls the person.
    pub sub: String,
}

/// Why a login was denied, as the site is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// The person has said that it was not them.
    NotMe,
    /// The person has typed wrong numbers.
    WrongNumber,
    /// A page asked for it that may not name the site.
    ForeignPage,
    /// The page sent no challenge.
    NoChallenge,
    /// The page sent no nonce.
    NoNonce,
}

impl Denial {
    /// Its name, as webhooks spell it.
    fn as_str(self) -> &'static str {
        match self {
            Self::NotMe => "not_me",
            Self::WrongNumber => "wrong_number",
            Self::ForeignPage => "foreign_page",
            Self::NoChallenge => "no_challenge",
            Self::NoNonce => "no_nonce",
        }
    }
}

impl Admitted {
    /// Who the login is between.
    pub(crate) fn parties(&self) -> Parties {
        let sub = self.site.subject.of(self.scanned.person.as_str(), self.scanned.unionid.as_deref());
        Parties {
            site: self.site.id.clone(),
            name: self.site.name.clone(),
            sub: sub.unwrap_or_default().to_owned(),
        }
    }
}

impl Provider {
    /// Decides whether a login may go to what its page named. `scene` is the login's name.
    pub(crate) async fn admit(
        &self,
        scene: Scene,
        context: &Context,
        scanned: Scanned,
    ) -> Result<Admitted, NotGranted> {
        match (&context.request, &context.site) {
            (Some(handle), None) => self.admit_request(handle, context.origin.as_deref(), scanned).await,
            (None, Some(site)) => self.admit_page(scene, site, context, scanned).await,
            _ => Err(NotGranted::UnknownSite),
        }
    }

    /// Grants a login, and gives the code for the page. Nothing can be had by the code until the gateway has recorded the
    /// scan and told the page.
    pub(crate) async fn grant(&self, admitted: Admitted) -> Result<Code, NotGranted> {
        let Admitted { site, way, mut scanned, confirm } = admitted;
        scanned.confirmed = confirm;
        let granted = site.id.clone();
        let code = match way {
            Way::Request(handle) => self.requests.prove(&handle, &scanned).await?.ok_or(NotGranted::Gone)?,
            Way::Page { nonce, code_challenge } => {
                let (scope, nonce) = (WIDGET_SCOPE.to_owned(), Some(nonce));
                let page = ForPage { site: site.id, scope, nonce, code_challenge };
                self.codes.put_for_page(&page, &scanned).await?
            }
        };
        tracing::debug!(site = granted, "the page's code is made");
        Ok(Code(code.reveal().to_owned()))
    }

    async fn admit_request(
        &self,
        handle: &str,
        origin: Option<&str>,
        scanned: Scanned,
    ) -> Result<Admitted, NotGranted> {
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
        let asked = self.requests.waiting(&handle).await?.ok_or(NotGranted::Gone)?;
        let site = self.sites.get(&asked.site).ok_or(NotGranted::UnknownSite)?;
        self.check_account(&site, &scanned)?;
        let scanned = self.named(&site, scanned).await?;
        let confirm = site.confirm || asked.confirm;
        Ok(Admitted { site, way: Way::Request(handle), scanned, confirm })
    }

    async fn admit_page(
        &self,
        scene: Scene,
        site: &str,
        context: &Context,
        scanned: Scanned,
    ) -> Result<Admitted, NotGranted> {
        let site = self.sites.get(site).ok_or(NotGranted::UnknownSite)?;
        self.check_account(&site, &scanned)?;
        let origin = context.origin.as_deref();
        if !site.may_be_named_by(origin) {
            server::tell!(
                warn,
                self.told,
                "origin",
                [site = %site.id, origin = ?origin.unwrap_or("none")],
                "a page asked for a login of a site whose origins do not name it; the login was denied"
            );
            self.tell_of_page(scene, &site, &scanned, Denial::ForeignPage).await;
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
            self.tell_of_page(scene, &site, &scanned, Denial::NoChallenge).await;
            return Err(NotGranted::UnknownSite);
        };
        // Without it a back end that finds none in its session either would take anybody's code for its visitor's.
        let Some(nonce) = context.nonce.clone().filter(|nonce| !nonce.is_empty()) else {
            server::tell!(
                warn,
                self.told,
                "no nonce",
                [site = %site.id],
                "a page asked for a login without a nonce of its visitor's session; the login was denied"
            );
            self.tell_of_page(scene, &site, &scanned, Denial::NoNonce).await;
            return Err(NotGranted::UnknownSite);
        };
        let scanned = self.named(&site, scanned).await?;
        let confirm = site.confirm;
        Ok(Admitted { site, way: Way::Page { nonce, code_challenge }, scanned, confirm })
    }

    /// Refuses a person of another official account than the site's: to the site it would be somebody else.
    pub(super) fn check_account(&self, site: &Site, scanned: &Scanned) -> Result<(), NotGranted> {
        let official = self.official(site);
        if official.is_some_and(|official| official.knows(scanned.person.account())) {
            return Ok(());
        }
        server::tell!(
            warn,
            self.told,
            "account",
            [site = %site.id, account = ?site.account.as_deref().unwrap_or_default()],
            "a page asked for a login of a site by another official account than the site's; the login was denied: give the \
             widget the account of the site's entry"
        );
        Err(NotGranted::UnknownSite)
    }

    /// The person with the name by which the site knows people.
    pub(super) async fn named(&self, site: &Site, mut scanned: Scanned) -> Result<Scanned, NotGranted> {
        if scanned.unionid.is_none() {
            scanned.unionid = self.accounts.unionid(&scanned.person.key()).await?;
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

    async fn tell_of_page(&self, scene: Scene, site: &Site, scanned: &Scanned, why: Denial) {
        if let Some(sub) = site.subject.of(scanned.person.as_str(), scanned.unionid.as_deref()) {
            self.tell_of_denial(scene, &site.id, sub, why).await;
        }
    }

    /// Tells a site that the login `scene` of a person was denied, where it wants to know. It may be called again: a site
    /// knows a repeat by its id.
    pub(crate) async fn tell_of_denial(&self, scene: Scene, site: &str, sub: &str, why: Denial) {
        if self.sites.get(site).is_none_or(|site| site.webhook.is_none()) {
            return;
        }
        let id = HEXLOWER.encode(&sha256_bytes(format!("{scene} {}", why.as_str()).as_bytes())[..16]);
        let (sub, at, reason) = (sub.to_owned(), server::clock::unix_now(), Some(why.as_str().to_owned()));
        let (name, login_id) = (EventName::Denial, Some(LoginId::of(scene)));
        let event = Message::Event { name, sub, at, login: None, login_id, reason };
        if let Err(error) = self.outbox.put_once(site, &id, event).await {
            tracing::error!("a site is not told of a denial: {error}");
        }
    }
}
