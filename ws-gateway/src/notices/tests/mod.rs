//! The internal port over in-memory streams with paused time: raw bytes in, every answer, fault and time.

#![allow(clippy::unwrap_used)]

mod answers;
mod credentials;
mod flow;
mod framing;
mod log;
mod proofs;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use protocol::message::Context;
use protocol::{Key, Notice, Scene};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::serve;
use crate::Gateway;
use crate::logins::rights::{Right, Rights};
use crate::logins::seats::Seat;
use crate::logins::{NewLogin, ResumeKey, Shown};
use crate::notices::clients::Client;
use crate::testing::in_memory::{self, KEY};

const SHOP_KEY: &str = "the key of a client with fewer rights";
const TTL: Duration = Duration::from_secs(120);

/// The internal port of a gateway that knows `callback`, and `shop`, which may only scan and claim.
struct Port {
    gateway: Arc<Gateway>,
}

impl Port {
    fn open() -> Self {
        Self::of(in_memory::gateway_with(0))
    }

    fn of(gateway: Gateway) -> Self {
        gateway.credentials.replace_clients(vec![callback(), shop()]);
        Self { gateway: Arc::new(gateway) }
    }

    /// A port whose store takes its time, and the count of the notices that it has begun.
    fn slow() -> (Self, Arc<AtomicUsize>) {
        let mut gateway = in_memory::gateway_with(0);
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        // As many seconds for a claim as its `by` says.
        let delay = move |notice: &Notice| {
            counted.fetch_add(1, Ordering::Relaxed);
            match notice {
                Notice::Claim { by, .. } => Duration::from_secs(by.parse().unwrap()),
                _ => Duration::ZERO,
            }
        };
        Arc::get_mut(&mut gateway.logins).unwrap().delay = Some(Box::new(delay));
        (Self::of(gateway), begun)
    }

    /// A connection on which nothing has been said yet; `buffer` bytes fit into it each way.
    fn connect_with(&self, buffer: usize) -> Wire {
        let (stream, theirs) = duplex(buffer);
        let gateway = Arc::clone(&self.gateway);
        let peer = "192.0.2.7:1234".parse().unwrap();
        let task = tokio::spawn(async move {
            serve(&gateway, theirs, peer, None).await;
            Instant::now()
        });
        Wire { stream, task }
    }

    fn connect(&self) -> Wire {
        self.connect_with(256 * 1024)
    }

    /// A connection of `callback` that has proved its key.
    async fn client(&self) -> Wire {
        let mut wire = self.connect();
        wire.prove("callback", KEY).await;
        wire
    }

    async fn open_login(&self, context: Context) -> (Scene, Seat) {
        let scene = Scene::random();
        let seat = self.gateway.pages.join(scene);
        let new = NewLogin {
            context: context.into(),
            shown: Shown { qr: None, typed: None },
            secret: ResumeKey::new(scene).hash(),
            probe_of: None,
        };
        self.gateway.logins.open(scene, new, TTL, seat.name().clone()).await.unwrap();
        (scene, seat)
    }

    async fn login_of(&self, context: Context) -> Scene {
        let (scene, seat) = self.open_login(context).await;
        self.gateway.logins.leave(scene, seat.name()).await;
        scene
    }

    /// A login whose page is away.
    async fn login(&self) -> Scene {
        self.login_of(Context::default()).await
    }

    /// A login whose page is connected as long as the seat is kept.
    async fn login_with_page(&self) -> (Scene, Seat) {
        self.open_login(Context::default()).await
    }
}

/// The client's side of a connection. It frames by itself, so that it checks the codec.
struct Wire {
    stream: DuplexStream,
    /// When the gateway had done with it.
    task: JoinHandle<Instant>,
}

impl Wire {
    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn say(&mut self, json: &Value) {
        self.write(&frame(json)).await;
    }

    async fn hear(&mut self) -> Value {
        let mut json = vec![0; self.stream.read_u32().await.unwrap() as usize];
        self.stream.read_exact(&mut json).await.unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    /// Waits for the hello and gives its challenge.
    async fn challenge(&mut self) -> String {
        self.hear().await["challenge"].as_str().unwrap().to_owned()
    }

    async fn prove(&mut self, client: &str, key: &str) {
        let challenge = self.challenge().await;
        self.say(&auth(client, key, &challenge)).await;
    }

    /// Sends a notice and gives its answer, without the `type` and the `id` that it must have.
    async fn ask(&mut self, notice: &Value) -> Value {
        self.say(notice).await;
        let mut answer = self.hear().await;
        let answer = answer.as_object_mut().unwrap();
        assert_eq!(answer.remove("type"), Some(json!("answer")), "{notice}");
        assert_eq!(answer.remove("id"), notice.get("id").cloned(), "{notice}");
        Value::Object(answer.clone())
    }

    /// The connection is closed, and nothing more was said.
    async fn ended(&mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    /// The code of the error that comes next, after which the connection is closed.
    async fn refused(&mut self) -> String {
        let error = self.hear().await;
        assert_eq!(error["type"], "error", "{error}");
        assert!(error["message"].is_string(), "{error}");
        self.ended().await;
        error["code"].as_str().unwrap().to_owned()
    }

    /// Whoever made the gateway close another connection, this one is served as before.
    async fn is_served(&mut self) {
        self.say(&json!({"type": "ping", "id": "still here"})).await;
        assert_eq!(self.hear().await, json!({"type": "pong", "id": "still here"}));
    }
}

fn callback() -> Client {
    let keys = vec![key(KEY)];
    Client { name: "callback".to_owned(), keys, may: Rights::all(), rate: None, expires: None }
}

fn shop() -> Client {
    let may = Rights::of(&[Right::Scan, Right::Claim]);
    Client { name: "shop".to_owned(), keys: vec![key(SHOP_KEY)], may, ..callback() }
}

fn key(text: &str) -> Key {
    Key::new(&SecretString::from(text)).unwrap()
}

fn framed(json: &[u8]) -> Vec<u8> {
    [&u32::try_from(json.len()).unwrap().to_be_bytes(), json].concat()
}

fn frame(json: &Value) -> Vec<u8> {
    framed(json.to_string().as_bytes())
}

fn auth(client: &str, key_text: &str, challenge: &str) -> Value {
    json!({"type": "auth", "client": client, "proof": key(key_text).proof(challenge)})
}

fn slow_claim(scene: Scene, seconds: u64) -> Value {
    json!({"type": "claim", "id": seconds.to_string(), "scene": scene, "by": seconds.to_string()})
}
