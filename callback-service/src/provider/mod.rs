//! The OpenID Connect provider: tells sites who has logged in. Its one way to authenticate is a scan.
//!
//! A login for a site has two ways in. By redirect, `/authorize` keeps the request ([`requests`]) and shows the login page;
//! by the widget, a page of the site asks the gateway itself. Both meet in [`grants`]: when WeChat says who has scanned,
//! it decides whether the login may go to that site, and gives the code that the gateway hands to the page. [`endpoints`]
//! are the requests of browsers and back ends. [`sites`], [`keys`], [`codes`], [`access`], [`sessions`] and [`accounts`]
//! are what is kept, each under its own rule; [`claims`] and [`tokens`] are what is told.
//!
//! It knows nothing of pushes, and of the gateway only the context of a login.

mod access;
mod accounts;
mod claims;
mod codes;
mod endpoints;
mod grants;
mod identity;
pub(crate) mod inside;
pub(crate) mod keys;
mod leaving;
pub(crate) mod pages;
mod requests;
mod sessions;
pub(crate) mod settings;
pub(crate) mod sites;
mod telling;
pub(crate) mod token;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use login_page::Brand;
use parking_lot::Mutex;
use server::allowance::Allowance;
use server::metrics::Limits;
use server::pace::Pace;
use server::settings::SettingError;
use server::told::Told;
use tokio::time::{Instant, sleep};

use self::access::AccessTokens;
use self::accounts::Accounts;
use self::codes::Codes;
pub(crate) use self::endpoints::{Cookie, Endpoint, Incoming, Parameters, Part, see_other};
pub(crate) use self::grants::{Admitted, Denial, NotGranted, Parties};
use self::identity::Identity;
pub(crate) use self::identity::Scanned;
use self::keys::Keys;
use self::requests::Requests;
use self::sessions::Sessions;
use self::settings::{Addresses, Checked};
use self::sites::{Site, Sites};
pub(crate) use self::token::{Hash, Token};
use crate::account::names::{Directory, Names};
use crate::audit::Audit;
use crate::outbox::{Backlog, Outbox};
use crate::store::Store;

/// How long a code may be redeemed. It covers the 180 s in which a page that was away still gets it from the gateway.
const CODE_LIFE: Duration = Duration::from_secs(240);

/// How long an access token opens `/userinfo`.
const ACCESS_LIFE: Duration = Duration::from_secs(3600);

/// How long an ID token is good. A site reads it at once.
const ID_TOKEN_LIFE: Duration = Duration::from_secs(600);

const MINUTE: Duration = Duration::from_secs(60);

/// An address may have this many answers of a session for each login page that it may have: sites ask often.
const ANSWERS: u32 = 10;

/// Requests that one process keeps at once, of 1 to 6 KB: 83 login pages a second.
const MOST_REQUESTS: u32 = 300_000;

/// Characters of a `sid`, of 6 bits each.
const SID: usize = 22;

/// The provider.
pub(crate) struct Provider {
    addresses: Addresses,
    sites: Sites,
    keys: Keys,
    key_age: Duration,
    requests: Requests,
    codes: Codes,
    access: AccessTokens,
    sessions: Sessions,
    accounts: Accounts,
    outbox: Outbox,
    audit: Audit,
    /// The official accounts.
    officials: Directory,
    /// What is asked of a browser that is WeChat's own, where anything is.
    inside: Option<wechat::Scope>,
    /// What the operator put on the login page.
    brand: Brand,
    /// The style of every page, in the operator's colour.
    style: Bytes,
    /// How many login pages each address may still have.
    pages: Allowance,
    /// How many answers without a page: a session's, which keep a code for minutes.
    answers: Allowance,
    /// How many login pages there may still be for all together.
    all_pages: Mutex<Pace>,
    /// Limits that were met.
    limits: Limits,
    /// What the log has said of strangers.
    told: Told,
}

impl Provider {
    /// A provider for the people of these official accounts, which keeps everything in `store`.
    ///
    /// # Errors
    /// When the signing keys cannot be read or made.
    pub(crate) fn open(
        checked: Checked,
        store: &Store,
        outbox: Outbox,
        officials: Directory,
        audit: Audit,
        limits: Limits,
    ) -> Result<Arc<Self>, SettingError> {
        let Checked { addresses, sites, keys, key_age, lives, address_rate, brand, inside } = checked;
        Ok(Arc::new(Self {
            addresses,
            sites,
            keys: Keys::open(keys)?,
            key_age,
            requests: Requests::new(store),
            codes: Codes::new(store),
            access: AccessTokens::new(store),
            sessions: Sessions::new(store, lives),
            accounts: Accounts::new(store, lives.life),
            outbox,
            audit,
            inside,
            officials,
            style: Bytes::from(brand.style()),
            brand,
            pages: Allowance::new(address_rate, MINUTE),
            answers: Allowance::new(address_rate.saturating_mul(ANSWERS), MINUTE),
            all_pages: Mutex::new(Pace::new(MOST_REQUESTS, requests::LIFE / MOST_REQUESTS, Instant::now())),
            limits,
            told: Told::default(),
        }))
    }

    /// What waits for sites.
    pub(crate) fn backlog(&self) -> &Backlog {
        self.outbox.backlog()
    }

    /// The official account of a site.
    fn official(&self, site: &Site) -> Option<&Names> {
        self.officials.get(site.account.as_deref())
    }

    /// The appid of the official account that knows a person by their openid.
    fn app_id_of<'a>(&'a self, who: &'a Identity) -> &'a str {
        self.officials.app_id_of(who.account.as_deref())
    }

    /// The sites that want to be told, by their ids.
    pub(crate) fn told_sites(&self) -> Vec<String> {
        let sites = self.sites.all();
        sites.iter().filter(|site| site.wants_to_be_told()).map(|site| site.id.clone()).collect()
    }

    /// Keeps the signing keys fresh, and the table of addresses small, for as long as it is polled.
    pub(crate) async fn keep(&self) {
        let sweeping = async {
            loop {
                sleep(MINUTE).await;
                self.pages.forget_rested();
                self.answers.forget_rested();
            }
        };
        let ((), ()) = tokio::join!(self.keys.keep(self.key_age), sweeping);
    }

    /// Reads the sites and the signing keys again, at SIGHUP; says what became of it.
    pub(crate) fn read_again(&self) -> ReadAgain {
        ReadAgain { sites: self.sites.read_again(), keys: self.keys.read_again() }
    }

    /// Takes over what was read again. What is broken changes nothing.
    pub(crate) fn renew(&self, ReadAgain { sites, keys }: ReadAgain) {
        match sites {
            Ok(sites) => {
                tracing::info!(sites = sites.len(), "SIGHUP: the sites were read again");
                self.sites.replace(sites);
            }
            Err(problem) => {
                tracing::error!("SIGHUP: CALLBACK_SITES: {problem}; the sites stay as they were");
            }
        }
        if let Err(problem) = keys {
            tracing::error!("SIGHUP: {}: {problem}; the keys stay as they were", keys::SETTING);
        }
    }
}

/// What the files say now.
pub(crate) struct ReadAgain {
    sites: Result<Vec<Site>, String>,
    keys: Result<(), String>,
}

/// A new name of a session, which sites see. It opens nothing.
fn sid() -> String {
    Token::random().reveal().chars().take(SID).collect()
}

#[cfg(test)]
mod tests;
