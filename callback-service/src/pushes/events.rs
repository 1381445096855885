//! What a believed push does, and its answer: a scan and a text with a login's code log in, a follow without a code is
//! welcomed, an unfollow is forgotten, another message is answered as the operator wants it.

use std::str::FromStr;

use http::StatusCode;
use protocol::Scene;
use server::http::{self as web, Response};
use server::{clock, tell};
use tokio::time::Instant;
use wechat::push::{self, Kind, Push};

use super::Pushes;
use crate::logins::answer::Text;
use crate::logins::way::Way;
use crate::logins::words::PhoneReply;
use crate::store::Scan;

/// What becomes of a message that a person writes to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Messages {
    /// It is answered with the greeting.
    Greet,
    /// It is handed to the account's customer service.
    CustomerService,
    /// It is ignored.
    Ignore,
}

impl FromStr for Messages {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "greet" => Ok(Self::Greet),
            "customer_service" => Ok(Self::CustomerService),
            "ignore" => Ok(Self::Ignore),
            _ => Err("write greet, customer_service or ignore"),
        }
    }
}

/// What goes back to WeChat.
pub(super) enum Reply {
    Words(String),
    ToCustomerService,
}

impl Pushes {
    /// Does what a push asks for, and answers it.
    pub(super) async fn answer(&self, push: Push, arrived: Instant) -> Response {
        let reply = self.dispatch(&push, arrived).await;
        self.count_push(&push, reply.as_ref(), arrived);
        let Some(reply) = reply else {
            return web::text(StatusCode::OK, "");
        };
        let now = clock::unix_now();
        let created_at = i64::try_from(now).unwrap_or(i64::MAX);
        let xml = match reply {
            Reply::Words(words) => push::text(push.from.as_str(), &push.to, created_at, &words),
            Reply::ToCustomerService => push::to_customer_service(push.from.as_str(), &push.to, created_at),
        };
        web::answer(StatusCode::OK, "text/xml; charset=utf-8", self.endpoint.answer(&push, &xml, now))
    }

    /// Does what a push asks for; gives the reply, where there is one.
    async fn dispatch(&self, push: &Push, arrived: Instant) -> Option<Reply> {
        match &push.kind {
            Kind::Subscribe { key: Some(key) } | Kind::Scan { key } if self.is_of_a_site(key) => {
                self.scanned_of_a_site(push, key, arrived).await
            }
            Kind::Subscribe { key } => match key.as_deref().and_then(|key| self.scene(key)) {
                Some(scene) => self.scanned(push, scene, true, arrived).await,
                None => self.texts.welcome().map(Reply::Words),
            },
            Kind::Scan { key } => self.scanned(push, self.scene(key)?, false, arrived).await,
            Kind::Unsubscribe => {
                self.scans.forget(&push.from, push.created_at).await;
                self.forget_of_sites(push).await;
                None
            }
            Kind::Message { content: Some(content), id, msg_type } if msg_type == "text" => {
                let text = Text {
                    person: &push.from,
                    content,
                    id: id.as_deref(),
                    created_at: push.created_at,
                    about: None,
                    newer: None,
                };
                let text = Text { newer: self.asked_for_a_site(&text, arrived).await, ..text };
                match self.scans.answered(text, arrived).await {
                    Some(told) => self.texts.words(&told).map(Reply::Words),
                    None => match self.heard_for_a_site(&text, arrived).await {
                        Some(reply) => reply,
                        None => self.typed(text, arrived).await,
                    },
                }
            }
            Kind::Message { .. } => self.message(),
            Kind::OtherEvent { name, key } => {
                self.notice(name, key.as_deref());
                None
            }
        }
    }

    /// The answer to a text that is no answer to a question. Perhaps it is the code of a login.
    async fn typed(&self, text: Text<'_>, arrived: Instant) -> Option<Reply> {
        let Some(told) = self.scans.typed(text, arrived).await else { return self.message() };
        self.metrics.count_scan(self.names(), Way::Typed, &told.reply);
        if told.reply == PhoneReply::TooManyCodes {
            self.metrics.limits.hit("callback_service::logins::code");
        }
        if matches!(told.reply, PhoneReply::WrongCode | PhoneReply::TooManyCodes) {
            // The digits may be an order's, and meant for the people who read the messages.
            let words = match self.messages {
                Messages::CustomerService => None,
                Messages::Greet | Messages::Ignore => self.texts.words(&told),
            };
            return words.map(Reply::Words).or_else(|| self.message());
        }
        self.texts.words(&told).map(Reply::Words)
    }

    /// The answer to a message that no login waits for.
    fn message(&self) -> Option<Reply> {
        match self.messages {
            Messages::Greet => self.texts.greeting().map(Reply::Words),
            Messages::CustomerService => Some(Reply::ToCustomerService),
            Messages::Ignore => None,
        }
    }

    async fn scanned(&self, push: &Push, scene: Scene, first: bool, arrived: Instant) -> Option<Reply> {
        let scan =
            Scan { scene, openid: push.from.clone(), first, created_at: push.created_at, way: Way::Scan };
        let told = self.scans.log_in(scan, arrived).await;
        self.metrics.count_scan(self.names(), Way::Scan, &told.reply);
        self.texts.words(&told).map(Reply::Words)
    }

    /// The scene in a scan's key. A key of another form belongs to a QR code that is not ours.
    fn scene(&self, key: &str) -> Option<Scene> {
        if key == "0" {
            tell!(
                warn,
                self.told,
                "scene 0",
                "a scan of scene 0: some program makes QR codes without the inner scene object"
            );
        }
        key.parse().ok()
    }

    /// Tells of an event that is not used, if it is nearly a scan: its person waits in vain.
    fn notice(&self, name: &str, key: Option<&str>) {
        let is_scene = |key: &str| key.trim_start_matches("qrscene_").parse::<Scene>().is_ok();
        if key.is_some_and(is_scene) {
            tell!(
                warn,
                self.told,
                "near miss",
                [event = ?name],
                "an event with a scene of ours logs nobody in, because WeChat calls it SCAN or subscribe: does \
                 something between WeChat and here change it?"
            );
        } else {
            tracing::debug!(event = ?name, "an event that is not used");
        }
    }
}
