//! Logins inside WeChat: a page that is open in WeChat's browser learns from WeChat who looks at it, and that person claims
//! a login as a scan does, or answers a site's request.
//!
//! `/login/<scene>` is what a QR code may hold in place of WeChat's own, and where a login page goes that is open inside
//! WeChat; `/login/site` is where `/authorize` goes there. Both begin a visit ([`visits`]) and go on to WeChat, which comes
//! back to `/login/back`. There the browser is told apart by its cookie, WeChat's code is exchanged, once, and the person
//! goes through [`Scans`], with a question ([`choice`]) whose answer comes to `/login/answer`; or [`Provider`] sends them
//! back to their site. [`words`] and [`pages`] are what is shown.

mod choice;
mod endpoints;
mod pages;
pub(crate) mod settings;
mod visits;
mod words;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use hyper::body::Incoming as Body;
use login_page::Language;
use parking_lot::Mutex;
use protocol::Scene;
use server::allowance::Allowance;
use server::http::{self as web, Response};
use server::pace::Pace;
use server::told::Told;
use tokio::time::{Instant, sleep};
use wechat::Scope;

use self::settings::Checked;
use self::visits::Visits;
use crate::account::names::Names;
use crate::logins::Scans;
use crate::metrics::Metrics;
use crate::provider::{Incoming, Provider};
use crate::store::Store;

const MINUTE: Duration = Duration::from_secs(60);

/// Visits that one process keeps at once, of about 500 bytes: 160 a second.
const MOST_VISITS: u32 = 100_000;

/// How long a visit is kept.
const VISIT: Duration = Duration::from_secs(600);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// The page of a login, by its scene.
    Login,
    /// A request of `/authorize` goes on to WeChat.
    Site,
    /// Once more to WeChat, for the same purpose.
    Again,
    /// WeChat sends the browser back.
    Back,
    /// The person's answer to the question.
    Answer,
}

/// An official account, which WeChat tells who has come.
pub(crate) struct Official {
    pub names: Names,
    pub wechat: wechat::Client,
    pub scans: Arc<Scans>,
}

/// What a login inside WeChat needs.
pub(crate) struct Parts {
    pub checked: Checked,
    /// At least one.
    pub officials: Vec<Official>,
    /// Where browsers are sent to.
    pub open_url: String,
    pub provider: Option<Arc<Provider>>,
    pub metrics: Metrics,
}

/// Logins inside WeChat.
pub(crate) struct Web {
    scope: Scope,
    officials: Vec<Official>,
    open_url: String,
    /// This service, as browsers see it.
    address: String,
    is_secure: bool,
    /// The gateway's own page.
    gateway: Option<String>,
    style: Bytes,
    visits: Visits,
    provider: Option<Arc<Provider>>,
    metrics: Metrics,
    /// How many pages each address may still have.
    pages: Allowance,
    /// How many there may still be for all together.
    all_pages: Mutex<Pace>,
    told: Told,
}

impl Web {
    /// Puts it together; visits are kept in `store`.
    #[must_use]
    pub(crate) fn new(parts: Parts, store: &Store) -> Self {
        let Parts { checked, officials, open_url, provider, metrics } = parts;
        let Checked { scope, browsers } = checked;
        Self {
            scope,
            officials,
            open_url,
            is_secure: browsers.public.starts_with("https:"),
            address: browsers.public,
            gateway: browsers.gateway,
            style: Bytes::from(browsers.style),
            visits: Visits::new(store),
            provider,
            metrics,
            pages: Allowance::new(browsers.address_rate, MINUTE),
            all_pages: Mutex::new(Pace::new(MOST_VISITS, VISIT / MOST_VISITS, Instant::now())),
            told: Told::default(),
        }
    }

    /// The account of this name; the first, where there is no name. Nothing if its people are not asked inside WeChat.
    fn official(&self, name: Option<&str>) -> Option<&Official> {
        let official = match name {
            None => self.officials.first(),
            Some(_) => self.officials.iter().find(|official| official.names.name() == name),
        };
        official.filter(|official| official.names.asks_inside())
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, page: Page, asked: Incoming<'_>, body: Body) -> Response {
        match page {
            Page::Login => self.open(&asked).await,
            Page::Site => self.for_site(&asked).await,
            Page::Again => self.again(&asked).await,
            Page::Back => self.back(asked).await,
            Page::Answer => self.answered(asked, body).await,
        }
    }

    /// The style of the pages, where no provider has it.
    pub(crate) fn style(&self) -> Response {
        web::answer(StatusCode::OK, "text/css; charset=utf-8", self.style.clone())
    }

    /// Keeps the table of addresses small, for as long as it is polled.
    pub(crate) async fn keep(&self) {
        loop {
            sleep(MINUTE).await;
            self.pages.forget_rested();
        }
    }

    /// Takes a page from what an address may have, and from what all together may have.
    fn page_for(&self, from: IpAddr, language: Language) -> Result<(), Box<Response>> {
        let limits = &self.metrics.limits;
        let taken = self.pages.take(from).inspect_err(|_| limits.hit("CALLBACK_ADDRESS_RATE"));
        let taken = taken.and_then(|()| {
            let taken = self.all_pages.lock().take(Instant::now());
            taken.inspect_err(|_| {
                self.pages.give_back(from);
                limits.hit("callback_service::web");
            })
        });
        taken.map_err(|wait| {
            server::tell!(
                warn,
                self.told,
                "address",
                [%from],
                "an address opens more logins inside WeChat than CALLBACK_ADDRESS_RATE, or all together too many; name it \
                 in CALLBACK_TRUSTED_PROXIES if it is your proxy"
            );
            let mut answer = pages::say(StatusCode::TOO_MANY_REQUESTS, words::TOO_MANY, vec![], language);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            Box::new(answer)
        })
    }
}

/// The login that a path names: `/login/` and a scene; and behind it the name of the account, where it has one.
pub(crate) fn login_of(path: &str) -> Option<(Scene, Option<&str>)> {
    let mut parts = path.strip_prefix("/login/")?.splitn(2, '/');
    let scene = parts.next()?.parse().ok()?;
    match parts.next() {
        Some(name) if name.is_empty() || name.contains('/') => None,
        name => Some((scene, name)),
    }
}
