//! WeChat's door. [`Pushes`] answers every request that WeChat sends, and those that look for it at a wrong path.
//!
//! `belief` decides what is believed: size, time, signature, and in plaintext mode `replay`. It reads a body only where
//! `bodies` has room. `events` does what a believed push asks for, and answers it; `of_sites` is what is for a site that
//! asks by wechat-server's protocol. What is not believed is refused early and cheaply, and told in the log by `refused`,
//! without secrets. A push that has proved its origin is always answered 200: with words, or empty for what we do not use
//! or cannot read.

mod belief;
mod bodies;
mod events;
mod of_sites;
mod refused;
mod replay;

use std::net::IpAddr;
use std::sync::Arc;

use clap::Args;
use http::StatusCode;
use hyper::body::Incoming;
use server::http::{self as web, Response};
use server::told::Told;
use server::{clock, tell};
use tokio::time::Instant;
use wechat::push::{Endpoint, Mode, Query};

use self::bodies::Bodies;
pub(crate) use self::events::Messages;
pub(crate) use self::replay::ReplayGuard;
use crate::logins::Scans;
use crate::logins::words::Texts;
use crate::metrics::Metrics;
use crate::provider::Provider;
use crate::wechat_server::WeChatServer;

/// What an operator sets about pushes.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// What becomes of a person's message: greet answers with CALLBACK_TEXT_GREETING, customer_service hands it to
    /// the account's customer service (客服), ignore leaves it. A text that answers a question, or is a login's code, is
    /// no message. Digits that could be a code and are no login's go to customer_service as well; else they are
    /// answered with CALLBACK_TEXT_WRONG_CODE.
    #[arg(long, env, default_value = "greet")]
    pub callback_messages: Messages,
}

/// What answers WeChat.
pub(crate) struct Pushes {
    endpoint: Endpoint,
    /// In plaintext mode.
    replay: Option<ReplayGuard>,
    bodies: Bodies,
    scans: Arc<Scans>,
    /// Where its protocol is spoken.
    wechat_server: Option<Arc<WeChatServer>>,
    messages: Messages,
    texts: Texts,
    metrics: Metrics,
    /// What the log has said of strangers.
    told: Told,
}

/// One request for a door, without its body.
pub(crate) struct Asked<'r> {
    pub path: &'r str,
    /// The raw query; empty when there is none.
    pub query: &'r str,
    /// Who asks, also from behind a proxy.
    pub from: IpAddr,
}

impl Pushes {
    /// Answers the pushes of an account.
    pub(crate) fn new(
        endpoint: Endpoint,
        replay: Option<ReplayGuard>,
        scans: Arc<Scans>,
        wechat_server: Option<Arc<WeChatServer>>,
        settings: &Settings,
        texts: Texts,
        metrics: Metrics,
    ) -> Self {
        let messages = settings.callback_messages;
        let (bodies, told) = (Bodies::default(), Told::default());
        Self { endpoint, replay, bodies, scans, wechat_server, messages, texts, metrics, told }
    }

    /// The account's appid, which the platform that manages an account may put behind the path.
    pub(crate) fn app_id(&self) -> &str {
        self.endpoint.app_id()
    }

    /// How the account's pushes travel.
    pub(crate) fn mode(&self) -> Mode {
        self.endpoint.mode()
    }

    /// Answers WeChat's verification of the address.
    pub(crate) async fn verify(&self, asked: &Asked<'_>) -> Response {
        match self.echo(asked.query).await {
            Ok(echo) => web::text(StatusCode::OK, echo),
            Err(unbelieved) => self.refuse(unbelieved, asked),
        }
    }

    /// Takes a push that has `arrived`.
    pub(crate) async fn take(&self, asked: &Asked<'_>, body: Incoming, arrived: Instant) -> Response {
        match self.believe(asked.query, body, arrived).await {
            Ok(push) => self.answer(push, arrived).await,
            Err(unbelieved) => self.refuse(unbelieved, asked),
        }
    }

    /// Answers a balancer's check at the root. A push that comes there has lost its path.
    pub(crate) async fn greet(&self, asked: &Asked<'_>) -> Response {
        match is_wechats(asked.query) {
            Some(query) => self.lost(asked, &query).await,
            None => web::text(StatusCode::OK, "callback-service is here; WeChat's pushes come to /wechat\n"),
        }
    }

    /// Answers a request for a path that is no door, beside a `provider` where there is one.
    pub(crate) async fn astray(&self, asked: &Asked<'_>, provider: Option<&Provider>) -> Response {
        match is_wechats(asked.query) {
            Some(query) => self.lost(asked, &query).await,
            None => provider.map_or_else(nothing_here, Provider::nothing_here),
        }
    }

    /// Tells of a push at a wrong path, because the URL in WeChat's console is wrong and the console does not show our
    /// answer.
    async fn lost(&self, asked: &Asked<'_>, query: &Query) -> Response {
        if let Some(guard) = &self.replay {
            // Its signature was seen, too. Without the store no push is taken anyway.
            let _ = guard.use_up(&self.endpoint, query, clock::unix_now()).await;
        }
        self.metrics.refused.get_or_create(&[("stage", "path")]).inc();
        // The path comes from outside.
        let path: String = asked.path.chars().take(64).collect();
        tell!(
            warn,
            self.told,
            "path",
            [from = %asked.from, stage = "path", ?path],
            "a push came to another path: end the URL of WeChat's message push settings with /wechat, and let proxies \
             pass it on as it is"
        );
        nothing_here()
    }
}

/// The query, if it has a signature as WeChat's requests have.
fn is_wechats(raw: &str) -> Option<Query> {
    Query::parse(raw).ok().filter(|query| !query.signature().is_empty())
}

fn nothing_here() -> Response {
    web::text(StatusCode::NOT_FOUND, "WeChat's pushes come to /wechat\n")
}
