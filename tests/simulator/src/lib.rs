//! An offline WeChat: an official account or several ([`accounts`]), its API, its followers' phones, and its pushes.
//!
//! In the order of a login: software under test asks the `api` for a token and a QR code. `codes` keeps the
//! code and `picture` draws it. A person's `phone` scans it. `event` writes the push, `envelope` encrypts and
//! signs it, and `delivery` sends it with WeChat's three tries. `reply` checks the answer before the person
//! sees it. `back_end` is what a back end does with pushes. `web` is WeChat's browser, and what pages in it learn of their person. `server` offers all of it over HTTP, with a phone on `/` and the `switches` on `/control`.
//!
//! Its signing and encryption are its own code, so that it checks the services' code.

mod account;
mod accounts;
mod api;
mod back_end;
mod cipher;
mod codes;
mod control;
mod counters;
mod delivery;
mod envelope;
mod event;
mod json_push;
mod page;
mod people;
mod phone;
mod phone_api;
mod picture;
mod random;
mod reply;
mod server;
mod signature;
mod switches;
mod tokens;
mod web;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use account::{ANSWER_WITHIN, Format, Mode, Settings, SettingsError};
pub use back_end::BackEnd;
pub use counters::Counters;
pub use delivery::{Attempt, Delivery, OUT_OF_ORDER, TRIES};
pub use envelope::Envelope;
pub use people::{Bubble, Person};
pub use phone::ScanError;
pub use switches::{Call, Fault, Faults, PushFaults, Switches, Told};
pub use web::{Client, Page, WebFaults, Webview};

use api::Refused;
use cipher::Key;
use codes::Codes;
use people::People;
use tokens::Tokens;
use web::Grants;

/// Pushes under way at once; others wait for their turn. Each one holds a connection.
const MAX_PUSHING: usize = 512;

/// Idle connections are dropped before most servers would drop them. Otherwise a push could fail on a
/// connection that the server has just closed.
const IDLE: Duration = Duration::from_secs(2);

/// An official account of a simulated WeChat. Clones share one state.
#[derive(Clone)]
pub struct Simulator {
    state: Arc<State>,
    /// All accounts of this WeChat.
    accounts: Arc<Mutex<Vec<Arc<State>>>>,
}

/// What all clones share.
struct State {
    settings: Settings,
    key: Key,
    push_url: Mutex<Option<String>>,
    public_url: Mutex<Option<String>>,
    tokens: Mutex<Tokens>,
    refused: Mutex<Refused>,
    grants: Mutex<Grants>,
    codes: Mutex<Codes>,
    people: Mutex<People>,
    counters: Mutex<Counters>,
    switches: Switches,
    message_id: AtomicU64,
    pushing: Semaphore,
    http: reqwest::Client,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.settings.fmt(formatter)
    }
}

impl Simulator {
    /// Makes an account with no followers, codes or tokens yet.
    ///
    /// # Errors
    /// [`SettingsError`] when WeChat would not take a setting; another one when the machine's root
    /// certificates cannot be read.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let key = settings.check()?;
        // Pushes go straight to the software under test: no proxy, no redirects.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE)
            .build()
            .context("cannot set up the HTTP client")?;
        let state = State {
            key,
            push_url: Mutex::new(settings.push_url.clone()),
            public_url: Mutex::new(settings.public_url.clone()),
            codes: Mutex::new(Codes::new(settings.max_codes)),
            settings,
            tokens: Mutex::default(),
            refused: Mutex::default(),
            grants: Mutex::default(),
            people: Mutex::default(),
            counters: Mutex::default(),
            switches: Switches::default(),
            // Seventeen digits, as in real ones. No id comes twice, even after a restart.
            message_id: AtomicU64::new(unix_now() * 10_000_000),
            pushing: Semaphore::new(MAX_PUSHING),
            http,
        };
        let state = Arc::new(state);
        Ok(Self { accounts: Arc::new(Mutex::new(vec![Arc::clone(&state)])), state })
    }

    /// The account's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.state.settings
    }

    /// Sets the address of pushes from now on.
    pub fn set_push_url(&self, url: String) {
        *lock(&self.state.push_url) = Some(url);
    }

    /// Sets what the text of QR codes made from now on begins with.
    pub fn set_public_url(&self, url: String) {
        *lock(&self.state.public_url) = Some(url);
    }

    /// What QR codes' text begins with; empty before the simulator is served.
    #[must_use]
    pub fn public_url(&self) -> String {
        let url = lock(&self.state.public_url);
        url.as_deref().unwrap_or_default().trim_end_matches('/').to_owned()
    }

    /// The text of the account's own QR code, by which people follow it, and which is of no login. The real one begins with
    /// `http://weixin.qq.com/r/`.
    #[must_use]
    pub fn account_code(&self) -> String {
        format!("{}{}{}", self.public_url(), page::ACCOUNT, self.state.settings.app_id)
    }

    /// The faults that can be switched while the simulator runs.
    #[must_use]
    pub fn switches(&self) -> &Switches {
        &self.state.switches
    }

    /// Makes every access token expire now; calls then get the error 42001.
    pub fn expire_tokens(&self) {
        lock(&self.state.tokens).expire(Instant::now());
    }

    /// The counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *lock(&self.state.counters)
    }

    /// Unix seconds by WeChat's clock, which a switch may put ahead of this machine's.
    fn now(&self) -> u64 {
        unix_now().saturating_add_signed(self.state.switches.told().ahead_s)
    }

    fn next_message_id(&self) -> u64 {
        self.state.message_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// Takes a lock. No change under a lock can stop half-way, so a panic elsewhere leaves valid data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn unix_now() -> u64 {
    since_1970().as_secs()
}

fn unix_millis() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}
