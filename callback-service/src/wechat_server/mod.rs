//! wechat-server's protocol, by which one-api, new-api and their forks log people in: a site asks with its own token whose a
//! code is.
//!
//! A person sends 验证码 to the account ([`phrase`]) and gets a code ([`codes`]), which they type on the site's page. Or the
//! site asks for a QR code ([`qr_logins`]), within the day's [`budget`]; the person who scans it is asked in the chat.
//! `chat` is that side, and `asked` the side of the sites: [`sites`] are who may ask, [`guesses`] how often in vain, and
//! [`answers`] is what they hear. [`pace`] is a limit that instances share.
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
    budget: Budget,
    paces: Paces,
    /// Where browsers fetch WeChat's pictures.
    qr_url: String,
    wechat: wechat::Client,
    texts: Texts,
    metrics: Metrics,
    told: Told,
}

impl WeChatServer {
    /// Speaks it for the account of `wechat`, and keeps everything in `store`.
    pub(crate) fn new(
        checked: Checked,
        store: &Store,
        wechat: wechat::Client,
        texts: Texts,
        metrics: Metrics,
    ) -> Arc<Self> {
        let Checked { sites, words, digits, qr_per_day, qr_url } = checked;
        Arc::new(Self {
            sites,
            words,
            codes: Codes::new(store, digits),
            guesses: Guesses::new(store),
            qr_logins: QrLogins::new(store),
            budget: Budget::new(store, qr_per_day),
            paces: Paces::new(store),
            qr_url,
            wechat,
            texts,
            metrics,
            told: Told::default(),
        })
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
        self.metrics.wechat_server.get_or_create(&[("outcome", outcome)]).inc();
    }
}

/// What the file says now.
pub(crate) struct ReadAgain(Result<Vec<Site>, String>);
