//! wechat-server's protocol, by which one-api, new-api and their forks log people in: a site asks with its own token whose a
//! code is.
//!
//! A person sends 验证码 to the account ([`phrase`]) and gets a code ([`codes`]), which they type on the site's page. Or the
//! site asks for a QR code ([`qr_logins`]), within the day's [`budget`]; the person who scans it is asked in the chat.
//! `chat` is that side, and `asked` the side of the sites: [`sites`] are who may ask, [`guesses`] how often in vain, and
//! [`answers`] is what they hear. [`pace`] is a limit that instances share.
//!
//! Where there are several official accounts, each site has one, and everything is that account's: its codes, its scans, its
//! QR codes and its access token. An account's people are never found by the openid alone (`of_account`).
//!
//! The gateway takes no part in it: there is no login's record, and nothing binds a code to a browser. The protocol has no
//! way to do so. What stands against that is in docs/wechat-server.md.

mod answers;
mod asked;
mod budget;
mod chat;
mod codes;
mod guesses;
mod pace;
mod phrase;
mod qr_logins;
mod settings;
mod sites;

use std::borrow::Cow;
use std::sync::Arc;

use server::told::Told;

pub(crate) use self::asked::{Call, Incoming};
use self::budget::Budget;
pub(crate) use self::chat::forget;
use self::codes::Codes;
use self::guesses::Guesses;
use self::pace::Paces;
use self::qr_logins::QrLogins;
pub(crate) use self::qr_logins::Scene;
pub(crate) use self::settings::{Checked, Settings};
pub(crate) use self::sites::new_token;
use self::sites::{Site, Sites};
use crate::account::names::Names;
use crate::audit::Audit;
use crate::logins::words::Texts;
use crate::metrics::Metrics;
use crate::store::Store;

/// What speaks wechat-server's protocol.
pub(crate) struct WeChatServer {
    sites: Sites,
    words: Vec<String>,
    codes: Codes,
    guesses: Guesses,
    qr_logins: QrLogins,
    paces: Paces,
    /// Where browsers fetch WeChat's pictures.
    qr_url: String,
    officials: Vec<Official>,
    texts: Texts,
    metrics: Metrics,
    audit: Audit,
    told: Told,
}

/// An official account that sites may have.
struct Official {
    names: Names,
    wechat: wechat::Client,
    budget: Budget,
}

impl WeChatServer {
    /// Speaks it for these accounts, and keeps everything in `store`.
    pub(crate) fn new(
        checked: Checked,
        store: &Store,
        accounts: Vec<(Names, wechat::Client)>,
        texts: Texts,
        metrics: Metrics,
        audit: Audit,
    ) -> Arc<Self> {
        let Checked { sites, words, digits, qr_per_day, qr_url } = checked;
        let officials = accounts.into_iter().map(|(names, wechat)| {
            let budget = Budget::new(store, &names, qr_per_day);
            Official { names, wechat, budget }
        });
        Arc::new(Self {
            officials: officials.collect(),
            sites,
            words,
            codes: Codes::new(store, digits),
            guesses: Guesses::new(store),
            qr_logins: QrLogins::new(store),
            paces: Paces::new(store),
            qr_url,
            texts,
            metrics,
            audit,
            told: Told::default(),
        })
    }

    /// Whether there is a site of this account. Only then its people are answered.
    pub(crate) fn is_for(&self, account: &Names) -> bool {
        self.sites.all().iter().any(|site| self.sites.account(site) == Some(account))
    }

    /// The official account of a site.
    fn official(&self, site: &Site) -> Option<&Official> {
        let account = self.sites.account(site)?;
        self.officials.iter().find(|official| official.names == *account)
    }

    /// Reads the sites again, at SIGHUP; says what became of it.
    pub(crate) fn read_again(&self) -> ReadAgain {
        ReadAgain(self.sites.read_again())
    }

    /// Takes over what was read again. What is broken changes nothing.
    pub(crate) fn renew(&self, ReadAgain(sites): ReadAgain) {
        match sites {
            Ok(sites) => {
                tracing::info!(
                    sites = sites.len(),
                    "SIGHUP: the sites of wechat-server's protocol were read again"
                );
                self.sites.replace(sites);
            }
            Err(problem) => {
                tracing::error!("SIGHUP: CALLBACK_WECHAT_SERVER: {problem}; its sites stay as they were");
            }
        }
    }

    fn count(&self, outcome: &'static str) {
        match outcome {
            "limited" => self.metrics.limits.hit("callback_service::wechat_server"),
            "qr_limited" => self.metrics.limits.hit("CALLBACK_QR_PER_DAY"),
            _ => {}
        }
        self.metrics.wechat_server.get_or_create(&[("outcome", outcome)]).inc();
    }
}

/// What a record of an account is called. As with people, the account of the variables has no appid before it.
fn of_account<'n>(account: Option<&str>, name: &'n str) -> Cow<'n, str> {
    match account {
        None => Cow::Borrowed(name),
        Some(app_id) => Cow::Owned(format!("{app_id}/{name}")),
    }
}

/// What the file says now.
pub(crate) struct ReadAgain(Result<Vec<Site>, String>);
