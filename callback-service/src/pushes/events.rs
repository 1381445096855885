//! What a believed push does, and its answer: a scan and a text with a login's code log in, a follow without a code is
//! welcomed, an unfollow is forgotten, another message is answered as the operator wants it. What is not ours may be for
//! another back end.

use std::str::FromStr;

use http::StatusCode;
use protocol::Scene;
use server::http::{self as web, Response};
use server::{clock, tell};
use tokio::time::Instant;
use wechat::push::{self, Kind, Push};

use super::Pushes;
use super::passed_on::Raw;
use crate::logins::answer::Text;
use crate::logins::way::Way;
use crate::logins::words::PhoneReply;
use crate::relay::{self, Answer};
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

/// What a push comes to.
pub(super) struct Said {
    reply: Option<Reply>,
    /// The kind of a push that is not ours. Another back end that takes it answers in our place.
    pub not_ours: Option<relay::Kind>,
    /// Whether it may be ours all the same. Then our reply stands where the back end says nothing.
    pub is_doubtful: bool,
}

impl Said {
    fn not_ours(kind: relay::Kind, otherwise: Option<Reply>) -> Self {
        Self { reply: otherwise, not_ours: Some(kind), is_doubtful: false }
    }

    fn doubtful(kind: relay::Kind, otherwise: Option<Reply>) -> Self {
        Self { is_doubtful: true, ..Self::not_ours(kind, otherwise) }
    }
}

impl From<Option<Reply>> for Said {
    fn from(reply: Option<Reply>) -> Self {
        Self { reply, not_ours: None, is_doubtful: false }
    }
}

impl Pushes {
    /// Does what a push asks for, and answers it. `raw` is the push as it came, where it may be passed on.
    pub(super) async fn answer(&self, push: Push, raw: Option<Raw<'_>>, arrived: Instant) -> Response {
        let said = self.dispatch(&push, arrived).await;
        if let Some(raw) = raw {
            match self.pass_on(&push, &said, raw, arrived).await {
                Ok(answer) if !said.is_doubtful || answer.as_ref().is_some_and(Answer::says_something) => {
                    self.count_passed_on(&push, arrived);
                    return answer.map_or_else(|| web::text(StatusCode::OK, ""), Response::from);
                }
                Ok(_) => {}
                Err(raw) => self.copy(&push, &said, raw),
            }
        }
        self.count_push(&push, said.reply.as_ref(), arrived);
        let Some(reply) = said.reply else {
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

    /// Does what a push asks for.
    async fn dispatch(&self, push: &Push, arrived: Instant) -> Said {
        match &push.kind {
            Kind::Subscribe { key: Some(key) } | Kind::Scan { key } if self.is_of_a_site(key) => {
                self.scanned_of_a_site(push, key, arrived).await.into()
            }
            Kind::Subscribe { key } => match key.as_deref().and_then(|key| self.scene(key)) {
                Some(scene) => self.scanned(push, scene, true, arrived).await,
                None => Said::not_ours(relay::Kind::Follows, self.texts.welcome().map(Reply::Words)),
            },
            Kind::Scan { key } => match self.scene(key) {
                Some(scene) => self.scanned(push, scene, false, arrived).await,
                None => Said::not_ours(relay::Kind::Events, None),
            },
            Kind::Unsubscribe => {
                self.scans.forget(&push.from, push.created_at).await;
                self.forget_of_sites(push).await;
                None.into()
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
                    Some(told) => self.texts.words(&told).map(Reply::Words).into(),
                    None => match self.heard_for_a_site(&text, arrived).await {
                        Some(reply) => reply.into(),
                        None => self.typed(text, arrived).await,
                    },
                }
            }
            Kind::Message { .. } => self.message(),
            // Whoever can make it has the account's secrets: callback-service doctor, which looks whether pushes arrive.
            Kind::OtherEvent { name, key: Some(key) } if name == push::REHEARSAL => {
                Some(Reply::Words(key.clone())).into()
            }
            Kind::OtherEvent { name, key } => match self.notice(name, key.as_deref()) {
                // A scene of ours is nobody else's.
                true => None.into(),
                false => Said::not_ours(relay::Kind::Events, None),
            },
        }
    }

    /// The answer to a text that is no answer to a question. Perhaps it is the code of a login.
    async fn typed(&self, text: Text<'_>, arrived: Instant) -> Said {
        let Some(told) = self.scans.typed(text, arrived).await else { return self.message() };
        self.metrics.count_scan(self.names(), Way::Typed, &told.reply);
        if told.reply == PhoneReply::TooManyCodes {
            self.metrics.limits.hit("callback_service::logins::code");
        }
        let words = self.texts.words(&told).map(Reply::Words);
        match told.reply {
            // The digits may be an order's, and meant for the people who read the messages.
            PhoneReply::WrongCode | PhoneReply::TooManyCodes => {
                let words = match self.messages {
                    Messages::CustomerService => None,
                    Messages::Greet | Messages::Ignore => words,
                };
                Said::not_ours(relay::Kind::Messages, words.or_else(|| self.message().reply))
            }
            // Nobody knows whose they are.
            PhoneReply::TryAgain => Said::doubtful(relay::Kind::Messages, words),
            _ => words.into(),
        }
    }

    /// The answer to a message that no login waits for.
    fn message(&self) -> Said {
        let reply = match self.messages {
            Messages::Greet => self.texts.greeting().map(Reply::Words),
            Messages::CustomerService => Some(Reply::ToCustomerService),
            Messages::Ignore => None,
        };
        Said::not_ours(relay::Kind::Messages, reply)
    }

    async fn scanned(&self, push: &Push, scene: Scene, first: bool, arrived: Instant) -> Said {
        let scan =
            Scan { scene, openid: push.from.clone(), first, created_at: push.created_at, way: Way::Scan };
        let told = self.scans.log_in(scan, arrived).await;
        self.metrics.count_scan(self.names(), Way::Scan, &told.reply);
        let words = self.texts.words(&told).map(Reply::Words);
        match told.reply {
            // Another back end's codes may have a scene of the same form.
            PhoneReply::Unknown if first => Said::doubtful(relay::Kind::Follows, words),
            PhoneReply::Unknown => Said::doubtful(relay::Kind::Events, words),
            _ => words.into(),
        }
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

    /// Tells of an event that is not used, if it is nearly a scan: its person waits in vain. Says whether it is.
    fn notice(&self, name: &str, key: Option<&str>) -> bool {
        let is_scene = |key: &str| key.trim_start_matches("qrscene_").parse::<Scene>().is_ok();
        let is_nearly_a_scan = key.is_some_and(is_scene);
        if is_nearly_a_scan {
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
        is_nearly_a_scan
    }
}
