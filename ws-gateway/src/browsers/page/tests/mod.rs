//! A page's connection over in-memory streams with paused time: every message, time and limit.

#![allow(clippy::unwrap_used)]

mod connection;
mod floods;
mod login;
mod resume;
mod ways;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use login_page::Language;
use protocol::message::Status;
use protocol::{Notice, Scene};
use serde_json::Value;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::serve;
use crate::Gateway;
use crate::browsers::opening::{Arrival, Opening};
use crate::browsers::socket::{Limits, PageSocket};
use crate::codes::{Budget, Ready, Unscanned};
use crate::logins::rights::Rights;
use crate::logins::{ResumeKey, Sender};
use crate::testing::in_memory::{self, PlayedWeChat, noon};

fn gateway() -> Arc<Gateway> {
    Arc::new(in_memory::gateway_with(0))
}

fn opening() -> Opening {
    Opening {
        context: Arc::default(),
        address: "192.0.2.1".parse().unwrap(),
        arrival: Arrival::New,
        has_picture: false,
        is_ours: true,
        selects_ours: true,
        language: Language::English,
        fault: None,
    }
}

/// Back with this key, or with what is none.
fn back_to(key: &str) -> Arrival {
    ResumeKey::parse(key).map_or(Arrival::BackWithoutKey, Arrival::Back)
}

/// The page's side of a connection.
struct Page(WebSocketStream<DuplexStream>);

impl Page {
    async fn open(gateway: &Arc<Gateway>, opening: Opening) -> Self {
        let (ours, theirs) = duplex(64 * 1024);
        let gateway = Arc::clone(gateway);
        tokio::spawn(async move {
            let socket = PageSocket::over(theirs, &[], &Limits::OF_A_PAGE);
            serve(gateway, socket, Box::new(opening), None).await;
        });
        Self(WebSocketStream::from_raw_socket(ours, Role::Client, None).await)
    }

    async fn resume(gateway: &Arc<Gateway>, key: &str) -> Self {
        Self::open(gateway, Opening { arrival: back_to(key), ..opening() }).await
    }

    /// The next message that is no heartbeat.
    async fn hear(&mut self) -> Value {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => {
                    let said: Value = serde_json::from_str(&text).unwrap();
                    if said["message_type"] != "heartbeat" {
                        return said;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn hear_type(&mut self, kind: &str) -> Value {
        let said = self.hear().await;
        assert_eq!(said["message_type"], kind, "{said}");
        said
    }

    /// The code of the close that comes next.
    async fn closed(&mut self) -> u16 {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn refresh(&mut self) {
        self.say(r#"{"message_type":"refresh"}"#).await;
    }
}

/// A page's login, by the QR code that it shows.
struct Code {
    scene: Scene,
    resume: String,
}

impl Code {
    async fn shown_by(page: &mut Page) -> Self {
        let shown = page.hear_type("qrcode_url").await;
        let content = shown["content"].as_str().unwrap();
        let scene = content.rsplit('/').next().unwrap().parse().unwrap();
        assert!(shown["image"].as_str().unwrap().starts_with("data:image/png;base64,"));
        let resume = shown["resume"].as_str().unwrap().to_owned();
        assert!(!content.contains(&resume[23..]), "the secret is not in the QR code");
        Self { scene, resume }
    }

    fn claim(&self, by: &str, number: Option<&str>) -> Notice {
        Notice::Claim { scene: self.scene, by: by.to_owned(), number: number.map(str::to_owned) }
    }

    fn scan(&self, by: &str, nickname: &str) -> Notice {
        let nickname = Some(nickname.to_owned());
        Notice::Scan { scene: self.scene, nickname, code: None, by: Some(by.to_owned()) }
    }
}

async fn notify(gateway: &Gateway, notice: &Notice) -> Status {
    let from = Sender { client: "callback".to_owned(), may: Rights::all(), id: None };
    gateway.logins.notify(notice, &from).await.answer.status
}

/// A gateway whose codes come from a WeChat that counts, within `per_day` calls.
fn gateway_on_a_budget(per_day: u32) -> (Arc<Gateway>, Arc<PlayedWeChat>) {
    gateway_on_a_budget_with(&["--gateway-ways", "scan"], per_day)
}

/// The same with these flags.
fn gateway_on_a_budget_with(flags: &[&str], per_day: u32) -> (Arc<Gateway>, Arc<PlayedWeChat>) {
    let mut gateway = in_memory::gateway_of(flags, 0);
    let wechat = PlayedWeChat::new(Duration::from_millis(100));
    let budget = Budget::new(per_day, None, noon);
    let ttl = gateway.login_ttl;
    let unscanned = Unscanned::new(per_day, 120, None);
    let ready =
        Ready::new(Box::new(Arc::clone(&wechat)), budget, unscanned, 8, ttl, &gateway.metrics.of_account(""));
    Arc::get_mut(&mut gateway.accounts).unwrap().first_mut().qr = Arc::new(ready);
    let account = Arc::clone(gateway.accounts.named(None).unwrap());
    tokio::spawn(async move { account.refill().await });
    (Arc::new(gateway), wechat)
}
