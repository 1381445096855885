//! WeChat's doors. [`Pushes`] answers every request that WeChat sends for one official account; [`doors`] says which account
//! that is, and answers those that look for it at a wrong path.
//!
//! `belief` decides what is believed: size, time, signature, and in plaintext mode `replay`. It reads a body only where
//! `bodies` has room. `events` does what a believed push asks for, and answers it; `of_sites` is what is for a site that
//! asks by wechat-server's protocol, and `passed_on` what another back end gets. What is not believed is refused early and cheaply, and told in the log by `refused`,
//! without secrets. A push that has proved its origin is always answered 200: with words, or empty for what we do not use
//! or cannot read.

mod belief;
mod bodies;
mod counted;
pub(crate) mod doors;
mod events;
mod of_sites;
mod passed_on;
mod refused;
mod replay;

use std::net::IpAddr;
use std::sync::Arc;

use clap::Args;
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use server::http::{self as web, Response};
use server::told::Told;
use server::{clock, tell};
use tokio::time::Instant;
use wechat::push::{Endpoint, Mode, Query};

pub(crate) use self::bodies::Bodies;
pub(crate) use self::events::Messages;
pub(crate) use self::replay::ReplayGuard;
use crate::account::names::Names;
use crate::logins::Scans;
use crate::logins::words::Texts;
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::wechat_server::WeChatServer;

/// What an operator sets about pushes.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// What becomes of a person's message: greet answers with CALLBACK_TEXT_GREETING, customer_service hands it to
    /// the account's customer service (客服), ignore leaves it. A text that answers a question, or is a login's code, is
    /// no message. Digits that could be a code and are no login's go to customer_service as well; else they are
    /// answered with CALLBACK_TEXT_WRONG_CODE. Where CALLBACK_RELAY_URL takes messages, both go there instead.
    #[arg(long, env, default_value = "greet")]
    pub callback_messages: Messages,
}

/// What answers WeChat for one official account.
pub(crate) struct Pushes {
    endpoint: Endpoint,
    /// In plaintext mode.
    replay: Option<ReplayGuard>,
    bodies: Bodies,
    scans: Arc<Scans>,
    /// Where its protocol is spoken.
    wechat_server: Option<Arc<WeChatServer>>,
    /// Where another back end gets what is not ours.
    relay: Option<Arc<Relay>>,
    messages: Messages,
    texts: Texts,
    metrics: Metrics,
    /// What the log has said of strangers.
    told: Told,
}

/// What the doors of an account are put together from.
pub(crate) struct Parts {
    pub endpoint: Endpoint,
    pub replay: Option<ReplayGuard>,
    pub bodies: Bodies,
    pub scans: Arc<Scans>,
    pub wechat_server: Option<Arc<WeChatServer>>,
    pub relay: Option<Arc<Relay>>,
    pub messages: Messages,
    pub texts: Texts,
    pub metrics: Metrics,
}

/// One request for a door, without its body.
pub(crate) struct Asked<'r> {
    pub path: &'r str,
    /// The raw query; empty when there is none.
    pub query: &'r str,
    pub headers: &'r HeaderMap,
    /// Who asks, also from behind a proxy.
    pub from: IpAddr,
}

impl Pushes {
    /// Answers the pushes of an account.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { endpoint, replay, bodies, scans, wechat_server, relay, messages, texts, metrics } = parts;
        let told = Told::default();
        counted::show(&metrics, scans.account());
        Self { endpoint, replay, bodies, scans, wechat_server, relay, messages, texts, metrics, told }
    }

    /// What the account is called.
    pub(crate) fn names(&self) -> &Names {
        self.scans.account()
    }

    /// How the account's pushes travel.
    pub(crate) fn mode(&self) -> Mode {
        self.endpoint.mode()
    }

    /// Answers WeChat's verification of the address.
    pub(crate) async fn verify(&self, asked: &Asked<'_>) -> Response {
        let arrived = Instant::now();
        if refused::names_nothing(asked.query) {
            return self.pass(asked.from);
        }
        match self.echo(asked.query).await {
            Ok(echo) => {
                self.count_verification(arrived);
                web::text(StatusCode::OK, echo)
            }
            Err(unbelieved) => self.refuse(unbelieved, asked),
        }
    }

    /// Takes a push that has `arrived`.
    pub(crate) async fn take(&self, asked: &Asked<'_>, body: Incoming, arrived: Instant) -> Response {
        match self.believe(asked.query, body, arrived).await {
            Ok((push, body)) => self.answer(push, self.to_pass_on(asked, body), arrived).await,
            Err(unbelieved) => self.refuse(unbelieved, asked),
        }
    }

    /// Takes no body any more with the signature of a push that came to a wrong path: it was seen there, too.
    async fn use_up(&self, query: &Query) {
        if let Some(guard) = &self.replay {
            // Without the store no push is taken anyway.
            let _ = guard.use_up(&self.endpoint, query, clock::unix_now()).await;
        }
    }

    /// Tells of a push at a wrong path, because the URL in WeChat's console is wrong and the console does not show our
    /// answer.
    fn tell_of_lost(&self, asked: &Asked<'_>, are_named: bool) {
        self.metrics.count_refused(self.names(), "path");
        // The path comes from outside.
        let path: String = asked.path.chars().take(64).collect();
        tell!(
            warn,
            self.told,
            "path",
            [from = %asked.from, stage = "path", ?path],
            "a push came to another path: end the URL of WeChat's message push settings with /wechat{}, and let proxies \
             pass it on as it is",
            if are_named { ", or with /wechat/ and the name that WECHAT_ACCOUNTS gives the account" } else { "" }
        );
    }
}
