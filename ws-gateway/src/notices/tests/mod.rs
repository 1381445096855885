//! The internal port over in-memory streams with paused time: raw bytes in, every answer, fault and time.

#![allow(clippy::unwrap_used)]

mod credentials;

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{BoxFuture, FutureExt};
use protocol::message::{Answer, Context};
use protocol::{Key, Notice, Scene};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::conversation::IN_FLIGHT;
use super::*;
use crate::logins::seats::{Seat, SeatName};
use crate::logins::{Logins, Looked, NewLogin, QrCode, ResumeKey, Sender, StoreError};
use crate::notices::clients::{Client, Right, Rights};
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
        gateway.logins = Arc::new(Slow { logins: Arc::clone(&gateway.logins), begun: Arc::clone(&begun) });
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
            context,
            qr: QrCode { url: String::new(), content: String::new() },
            secret: ResumeKey::new(scene).hash(),
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

/// A store that takes as many seconds for a claim as its `by` says.
struct Slow {
    logins: Arc<dyn Logins>,
    begun: Arc<AtomicUsize>,
}

impl Logins for Slow {
    fn open(
        &self,
        scene: Scene,
        new: NewLogin,
        ttl: Duration,
        seat: SeatName,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.logins.open(scene, new, ttl, seat)
    }

    fn notify<'a>(&'a self, notice: &'a Notice, from: &'a Sender) -> BoxFuture<'a, Answer> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let seconds = match notice {
            Notice::Claim { by, .. } => by.parse().unwrap(),
            _ => 0,
        };
        async move {
            sleep(Duration::from_secs(seconds)).await;
            self.logins.notify(notice, from).await
        }
        .boxed()
    }

    fn look(&self, scene: Scene) -> Looked<'_> {
        self.logins.look(scene)
    }

    fn sit<'a>(&'a self, scene: Scene, seat: &'a SeatName) -> Looked<'a> {
        self.logins.sit(scene, seat)
    }

    fn leave<'a>(&'a self, scene: Scene, seat: &'a SeatName) -> BoxFuture<'a, ()> {
        self.logins.leave(scene, seat)
    }

    fn expire(&self, scene: Scene) -> Looked<'_> {
        self.logins.expire(scene)
    }

    fn is_ready(&self) -> bool {
        self.logins.is_ready()
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

// === What goes well ===

#[tokio::test(start_paused = true)]
async fn a_client_proves_its_key_and_notifies_in_one_write() {
    let port = Port::open();
    let (scene, _page) = port.login_with_page().await;
    let mut wire = port.connect();
    let hello = wire.hear().await;
    let challenge = hello["challenge"].as_str().unwrap();
    assert_eq!(challenge.len(), 22);
    assert_eq!(
        hello,
        json!({"type": "hello", "version": 1, "challenge": challenge, "max_frame": 65_536, "heartbeat": 30})
    );
    let first = json!({"type": "claim", "id": "扫1", "scene": scene, "by": "p", "later": {"x": [1]}});
    let both = [frame(&auth("callback", KEY, challenge)), frame(&first)].concat();
    wire.write(&both).await;
    assert_eq!(
        wire.hear().await,
        json!({
            "type": "answer", "id": "扫1", "status": "delivered", "state": "scanned",
            "context": {"ip": "", "created_at": 0},
        }),
        "success is silent, so the answer comes first"
    );
}

#[tokio::test(start_paused = true)]
async fn the_originals_notice_logs_a_page_in() {
    let port = Port::open();
    let (scene, page) = port.login_with_page().await;
    let mut wire = port.client().await;
    wire.write(&framed(format!(r#"{{"type":"scan","fd":"{scene}","nickname":"阿狸 <b>"}}"#).as_bytes()))
        .await;
    assert_eq!(
        wire.hear().await,
        json!({"type": "answer", "status": "delivered", "state": "granted"}),
        "no id was sent, so none comes back"
    );
    page.woken().await;
    let login = port.gateway.logins.look(scene).await.unwrap().unwrap();
    assert_eq!(login.user, "阿狸 <b>");
}

/// Who asks what, and the answer. The page of `$here` is connected, the others are away; `$gone` was never a
/// login, `$old` has had its time, `$for_a_site` names a site.
const CONVERSATION: &str = r#"
callback | {"type":"query","scene":"$here"} | {"status":"ok","state":"waiting"}
callback | {"type":"claim","scene":"$here","by":"p","number":"42"} | {"status":"delivered","state":"scanned","context":{"ip":"","created_at":0,"number":"42"}}
callback | {"type":"claim","scene":"$here","by":"p","number":"43","id":"again"} | {"status":"delivered","state":"scanned","repeat":true,"context":{"ip":"","created_at":0,"number":"42"}}
callback | {"type":"claim","scene":"$here","by":"q"} | {"status":"taken","state":"scanned"}
callback | {"type":"scan","scene":"$here","by":"q"} | {"status":"taken","state":"scanned"}
callback | {"type":"scan","scene":"$here"} | {"status":"taken","state":"scanned"}
callback | {"type":"scan","scene":"$here","by":"p"} | {"status":"delivered","state":"granted"}
shop | {"type":"scan","scene":"$here","by":"p"} | {"status":"delivered","state":"granted","repeat":true}
callback | {"type":"claim","scene":"$here","by":"p"} | {"status":"delivered","state":"granted","repeat":true,"context":{"ip":"","created_at":0,"number":"42"}}
callback | {"type":"deny","scene":"$here","by":"p"} | {"status":"taken","state":"granted"}
callback | {"type":"scan","scene":"$away","id":"s1","nickname":"one"} | {"status":"stored","state":"granted"}
callback | {"type":"scan","scene":"$away","id":"s1","nickname":"two"} | {"status":"stored","state":"granted","repeat":true}
callback | {"type":"scan","scene":"$away","id":"s2"} | {"status":"taken","state":"granted"}
callback | {"type":"scan","scene":"$away"} | {"status":"taken","state":"granted"}
shop | {"type":"scan","scene":"$away","id":"s1"} | {"status":"taken","state":"granted"}
callback | {"type":"deny","scene":"$said_no"} | {"status":"stored","state":"denied"}
callback | {"type":"scan","scene":"$gone"} | {"status":"unknown"}
callback | {"type":"claim","scene":"$old","by":"p"} | {"status":"expired","state":"expired"}
callback | {"type":"query","scene":"$old"} | {"status":"ok","state":"expired"}
shop | {"type":"query","scene":"$here"} | {"status":"forbidden"}
shop | {"type":"deny","scene":"$gone"} | {"status":"forbidden"}
shop | {"type":"scan","scene":"$here","code":"c"} | {"status":"forbidden"}
shop | {"type":"claim","scene":"$for_a_site","by":"p"} | {"status":"forbidden"}
callback | {"type":"claim","scene":"$for_a_site","by":"p"} | {"status":"stored","state":"scanned","context":{"site":"bookshop","ip":"192.0.2.1","created_at":7}}
callback | {"type":"scan","scene":"$for_a_site","by":"p"} | {"status":"bad","message":"scan needs code, because the login names a site or a request"}
callback | {"type":"scan","scene":"$for_a_site","by":"p","code":"c"} | {"status":"stored","state":"granted"}
"#;

#[tokio::test(start_paused = true)]
async fn every_status_is_reached() {
    let port = Port::open();
    let old = port.login().await;
    sleep(TTL).await;
    let (here, _page) = port.login_with_page().await;
    let (away, said_no, gone) = (port.login().await, port.login().await, Scene::random());
    let for_a_site = port
        .login_of(Context {
            site: Some("bookshop".to_owned()),
            ip: "192.0.2.1".to_owned(),
            created_at: 7,
            ..Context::default()
        })
        .await;
    let mut callback = port.client().await;
    let mut shop = port.connect();
    shop.prove("shop", SHOP_KEY).await;

    let scenes = [
        ("$here", here),
        ("$away", away),
        ("$said_no", said_no),
        ("$gone", gone),
        ("$old", old),
        ("$for_a_site", for_a_site),
    ];
    for line in CONVERSATION.trim().lines() {
        let line = scenes.iter().fold(line.to_owned(), |line, (name, scene)| {
            line.replace(&format!("\"{name}\""), &format!("\"{scene}\""))
        });
        let [client, notice, answer] = line.split(" | ").collect::<Vec<_>>().try_into().unwrap();
        let wire = if client == "shop" { &mut shop } else { &mut callback };
        let notice: Value = serde_json::from_str(notice).unwrap();
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(wire.ask(&notice).await, answer, "{line}");
    }

    // 180 s after its end a login is unknown, and not a moment earlier.
    for _ in 0..8 {
        sleep(Duration::from_millis(22_499)).await;
        callback.is_served().await;
    }
    let repeat = json!({"type": "scan", "scene": here, "by": "p"});
    assert_eq!(callback.ask(&repeat).await["repeat"], true);
    sleep(Duration::from_millis(8)).await;
    assert_eq!(callback.ask(&repeat).await, json!({"status": "unknown"}));
}

/// Objects that are no notice, and a word of why.
const FAULTS: &str = r#"
{"id":"a"} | type is missing
{"id":"a","type":"shout","scene":"$scene"} | unknown type
{"id":"a","type":"hello"} | unknown type
{"id":"a","type":["scan"]} | expected a string
{"id":"a","type":"scan"} | scene is missing
{"id":"a","type":"scan","scene":7} | expected a string
{"id":"a","type":"scan","fd":"7"} | 22 characters
{"id":"a","type":"scan","fd":"$scene","scene":"$scene"} | give one of them
{"id":"a","type":"claim","scene":"$scene"} | claim needs by
{"id":"a","type":"deny","scene":"$scene","by":""} | by is empty
{"id":"a","type":"scan","scene":"$scene","code":""} | code is empty
{"id":"a","type":"claim","scene":"$scene","by":"p","number":"7"} | two digits
{"id":"a","type":"claim","scene":"$scene","by":"p","number":42} | expected a string
"#;

#[tokio::test(start_paused = true)]
async fn a_bad_object_is_answered_and_the_connection_stays() {
    let port = Port::open();
    let scene = port.login().await;
    let mut wire = port.client().await;
    let text = |length| "扫".repeat(length);
    for line in FAULTS.trim().lines() {
        let (object, word) = line.split_once(" | ").unwrap();
        let object = object.replace("$scene", scene.as_str());
        wire.write(&framed(object.as_bytes())).await;
        let answer = wire.hear().await;
        assert_eq!((&answer["id"], &answer["status"]), (&json!("a"), &json!("bad")), "{line}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(word), "{line}: {message}");
    }
    for (field, most) in [("by", 128), ("nickname", 256), ("code", 512)] {
        let mut scan = json!({"type": "scan", "id": "a", "scene": scene});
        scan[field] = json!(text(most + 1));
        let message = format!("{field} has more than {most} characters");
        assert_eq!(wire.ask(&scan).await, json!({"status": "bad", "message": message}));
    }
    // These have no id that could be echoed.
    for object in [
        json!({"type": "query", "id": text(65), "scene": scene}),
        json!({"type": "ping", "id": 7}),
        json!({"type": "auth", "id": "a", "client": "callback", "proof": "again"}),
    ] {
        wire.say(&object).await;
        let answer = wire.hear().await;
        assert_eq!((&answer["status"], answer.get("id")), (&json!("bad"), None), "{object}");
    }
    // Nothing of it was recorded, and what is just within the limits is.
    let query = json!({"type": "query", "scene": scene});
    assert_eq!(wire.ask(&query).await, json!({"status": "ok", "state": "waiting"}));
    let most = json!({
        "type": "scan", "id": text(64), "scene": scene, "by": text(128), "nickname": text(256), "code": text(512),
    });
    assert_eq!(wire.ask(&most).await["status"], "stored");
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_by_a_pong_with_its_id() {
    let port = Port::open();
    let mut wire = port.client().await;
    wire.say(&json!({"type": "ping", "id": "7"})).await;
    wire.say(&json!({"type": "ping"})).await;
    assert_eq!(wire.hear().await, json!({"type": "pong", "id": "7"}));
    assert_eq!(wire.hear().await, json!({"type": "pong"}));
}

#[tokio::test(start_paused = true)]
async fn five_hundred_notices_in_one_write_are_all_answered() {
    let port = Port::open();
    let scene = port.login().await;
    let mut wire = port.client().await;
    let notices: Vec<Vec<u8>> =
        (0..500).map(|id| frame(&json!({"type": "query", "id": id.to_string(), "scene": scene}))).collect();
    wire.write(&notices.concat()).await;
    let mut ids = Vec::new();
    for _ in 0..500 {
        let answer = wire.hear().await;
        assert_eq!(answer["status"], "ok");
        ids.push(answer["id"].as_str().unwrap().parse::<u32>().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..500).collect::<Vec<_>>());
    wire.is_served().await;
}

#[tokio::test(start_paused = true)]
async fn answers_come_as_they_are_ready_and_only_so_many_notices_are_taken_at_once() {
    let (port, begun) = Port::slow();
    let mut wire = port.client().await;
    wire.say(&slow_claim(port.login().await, 2)).await;
    wire.say(&slow_claim(port.login().await, 1)).await;
    wire.is_served().await;
    assert_eq!(wire.hear().await["id"], "1");
    assert_eq!(wire.hear().await["id"], "2");

    begun.store(0, Ordering::Relaxed);
    let start = Instant::now();
    let scene = port.login().await;
    for _ in 0..=IN_FLIGHT {
        wire.say(&slow_claim(scene, 3)).await;
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(begun.load(Ordering::Relaxed), IN_FLIGHT, "then it stops reading");
    for _ in 0..=IN_FLIGHT {
        assert_eq!(wire.hear().await["status"], "stored");
    }
    assert_eq!(start.elapsed().as_secs(), 6, "the last one had to wait");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_stops_writing_still_gets_its_answers() {
    let (port, _) = Port::slow();
    let mut wire = port.client().await;
    wire.say(&slow_claim(port.login().await, 2)).await;
    wire.say(&slow_claim(port.login().await, 1)).await;
    wire.stream.shutdown().await.unwrap();
    assert_eq!(wire.hear().await["status"], "stored");
    assert_eq!(wire.hear().await["status"], "stored");
    wire.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_says_bye_answers_what_is_in_flight_and_closes() {
    let (port, _) = Port::slow();
    let mut busy = port.client().await;
    let mut idle = port.client().await;
    busy.say(&slow_claim(port.login().await, 3)).await;
    busy.is_served().await;
    let start = Instant::now();
    let drain = port.gateway.drain.clone();
    tokio::spawn(async move { drain.begin_when(async {}).await });
    for wire in [&mut busy, &mut idle] {
        assert_eq!(wire.hear().await, json!({"type": "bye"}));
        wire.is_served().await;
    }
    // A quarter of the drain time later nothing new is taken.
    idle.ended().await;
    assert_eq!(start.elapsed().as_secs(), 2);
    busy.say(&slow_claim(port.login().await, 30)).await;
    assert_eq!(busy.hear().await["status"], "stored");
    busy.ended().await;
    assert_eq!(start.elapsed().as_secs(), 3);
}

// === What goes wrong, and who notices ===

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frame_of_one_object_end_their_own_connection() {
    let port = Port::open();
    let mut good = port.client().await;
    let unknown_field = [&b"{\"type\":\"ping\",\"later\":\""[..], b"\xff\xfe\"}"].concat();
    let mut too_long = 65_537_u32.to_be_bytes().to_vec();
    too_long.extend([b' '; 100]);
    for (fault, bytes, code) in [
        ("length 0", vec![0; 4], "bad_frame"),
        ("one byte too long", too_long, "bad_frame"),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "bad_frame"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), "bad_frame"),
        ("no JSON", framed(b"hello"), "bad_json"),
        ("half an object", framed(b"{\"type\":\"ping\""), "bad_json"),
        ("two objects", framed(b"{\"type\":\"ping\"}{}"), "bad_json"),
        ("an array", framed(b"[]"), "bad_json"),
        ("an array of fields", framed(b"[\"ping\"]"), "bad_json"),
        ("a number", framed(b"7"), "bad_json"),
        ("null", framed(b"null"), "bad_json"),
        ("no UTF-8", framed(b"{\"type\":\"\xff\"}"), "bad_json"),
        ("no UTF-8 in an unknown field", framed(&unknown_field), "bad_json"),
        ("UTF-16", framed(b"\xff\xfe{\0}\0"), "bad_json"),
    ] {
        let mut stranger = port.connect();
        stranger.challenge().await;
        let mut client = port.client().await;
        for wire in [&mut stranger, &mut client] {
            wire.write(&bytes).await;
            assert_eq!(wire.refused().await, code, "{fault}");
        }
        good.is_served().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_largest_frame_is_taken() {
    let mut wire = Port::open().client().await;
    let mut json = br#"{"type":"ping"}"#.to_vec();
    json.resize(MAX_FRAME, b' ');
    wire.write(&framed(&json)).await;
    assert_eq!(wire.hear().await, json!({"type": "pong"}));
}

#[tokio::test(start_paused = true)]
async fn a_notice_cut_at_any_byte_does_nothing() {
    let port = Port::open();
    let scene = port.login().await;
    let mut good = port.client().await;
    let notice = frame(&json!({"type": "scan", "scene": scene, "nickname": "阿狸"}));
    for cut in 0..notice.len() {
        let mut wire = port.client().await;
        wire.write(&notice[..cut]).await;
        wire.stream.shutdown().await.unwrap();
        wire.ended().await;
        wire.task.await.unwrap();
    }
    assert_eq!(good.ask(&json!({"type": "query", "scene": scene})).await["state"], "waiting");
    // Every piece in a write of its own is the whole notice.
    for byte in notice {
        good.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(good.hear().await["status"], "stored");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_trickle_are_no_sign_of_life() {
    let port = Port::open();
    let mut good = port.client().await;
    let ping = frame(&json!({"type": "ping", "id": "a name long enough to outlast two heartbeats"}));
    let mut stranger = port.connect();
    stranger.challenge().await;
    trickles(stranger, &ping, &mut good, ("unauthorized", 5)).await;
    let mut client = port.client().await;
    client.is_served().await;
    trickles(client, &ping, &mut good, ("silent", 60)).await;
}

/// Writes a byte each 10 s until the gateway says `code` and closes, after as many seconds as given.
async fn trickles(mut wire: Wire, bytes: &[u8], good: &mut Wire, (code, seconds): (&str, u64)) {
    let start = Instant::now();
    for byte in bytes {
        if wire.stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        good.is_served().await;
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(wire.refused().await, code);
    // The client itself never hangs up, for which the gateway waits a second.
    assert_eq!((wire.task.await.unwrap() - start).as_secs(), seconds + 1, "{code}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_prove_a_key_is_unauthorized() {
    let port = Port::open();
    let scene = port.login().await;
    let mut good = port.client().await;
    let mut other = port.connect();
    let of_another_connection = other.challenge().await;
    let firsts = |challenge: &str| {
        let with_proof = |proof: &str| json!({"type": "auth", "client": "callback", "proof": proof});
        [
            ("a notice", json!({"type": "scan", "scene": scene})),
            ("a ping", json!({"type": "ping"})),
            ("an object of no type", json!({})),
            ("no proof", json!({"type": "auth", "client": "callback"})),
            ("an empty proof", with_proof("")),
            ("upper case", with_proof(&key(KEY).proof(challenge).to_uppercase())),
            ("another key", auth("callback", SHOP_KEY, challenge)),
            ("another's name", auth("shop", KEY, challenge)),
            ("no such client", auth("nobody", KEY, challenge)),
            ("another connection's proof", auth("callback", KEY, &of_another_connection)),
        ]
    };
    for n in 0..firsts("").len() {
        let mut wire = port.connect();
        let challenge = wire.challenge().await;
        let (fault, first) = &firsts(&challenge)[n];
        let notice = json!({"type": "scan", "scene": scene});
        wire.write(&[frame(first), frame(&notice)].concat()).await;
        assert_eq!(wire.refused().await, "unauthorized", "{fault}");
        good.is_served().await;
    }
    let state = good.ask(&json!({"type": "query", "scene": scene})).await;
    assert_eq!(state["state"], "waiting", "and nothing was recorded");
    assert_eq!(port.gateway.metrics.unauthorized.get(), 10);
    other.say(&auth("callback", KEY, &of_another_connection)).await;
    other.is_served().await;
}

#[tokio::test(start_paused = true)]
async fn a_proof_must_come_within_five_seconds() {
    let port = Port::open();
    let mut late = port.connect();
    let mut just = port.connect();
    late.challenge().await;
    let start = Instant::now();
    sleep(Duration::from_millis(4_999)).await;
    just.prove("callback", KEY).await;
    just.is_served().await;
    assert_eq!(late.refused().await, "unauthorized");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn two_heartbeats_of_silence_end_a_connection_and_pings_keep_it() {
    let port = Port::open();
    let mut lively = port.client().await;
    let mut silent = port.client().await;
    silent.is_served().await;
    let start = Instant::now();
    for _ in 0..10 {
        sleep(Duration::from_millis(59_999)).await;
        lively.is_served().await;
    }
    assert_eq!(silent.refused().await, "silent");
    assert_eq!((silent.task.await.unwrap() - start).as_secs(), 61, "a second to hang up");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_dropped() {
    let port = Port::open();
    let scene = port.login().await;
    let mut good = port.client().await;
    let mut deaf = port.connect_with(512);
    deaf.prove("callback", KEY).await;
    let query = frame(&json!({"type": "query", "scene": scene}));
    let start = Instant::now();
    let flood = async { while deaf.stream.write_all(&query).await.is_ok() {} };
    let meanwhile = async {
        for _ in 0..4 {
            sleep(Duration::from_secs(1)).await;
            let asked = Instant::now();
            good.is_served().await;
            assert_eq!(asked.elapsed(), Duration::ZERO);
        }
    };
    tokio::join!(flood, meanwhile);
    assert_eq!((deaf.task.await.unwrap() - start).as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_full_port_says_so() {
    let (stream, theirs) = duplex(1024);
    let gateway = in_memory::gateway_with(0);
    let task = tokio::spawn(async move {
        refuse(&gateway, theirs, "192.0.2.7:1234".parse().unwrap()).await;
        Instant::now()
    });
    let mut wire = Wire { stream, task };
    assert_eq!(wire.refused().await, "busy");
}

// === What is written down ===

#[tokio::test(start_paused = true)]
async fn no_secret_is_logged() {
    tracing::subscriber::set_global_default(Log).unwrap();
    // Tests on other threads may have met the log lines first, when nobody was interested in them.
    tracing::callsite::rebuild_interest_cache();
    let port = Port::open();
    let scene = port.login().await;
    let (mut good, mut wrong) = (port.connect(), port.connect());
    let (challenge, other) = (good.challenge().await, wrong.challenge().await);
    wrong.say(&auth("callback", SHOP_KEY, &other)).await;
    wrong.refused().await;
    good.say(&auth("callback", KEY, &challenge)).await;
    let scan =
        json!({"type": "scan", "scene": scene, "nickname": "阿狸", "code": "the code", "by": "an openid"});
    assert_eq!(good.ask(&scan).await["status"], "stored");
    good.say(&json!({"type": "scan", "code": ["the code"]})).await;
    good.hear().await;
    good.write(&framed(b"{\"code\":\"the code\"")).await;
    assert_eq!(good.refused().await, "bad_json");

    let lines = LINES.take();
    for word in ["a client has connected", "does not hold", "was answered", "was refused"] {
        assert!(lines.contains(word), "{word} is missing in: {lines}");
    }
    let (proof, wrong_proof) = (key(KEY).proof(&challenge), key(SHOP_KEY).proof(&other));
    for secret in [KEY, SHOP_KEY, &proof, &wrong_proof, "the code", "阿狸", "an openid"] {
        assert!(!lines.contains(secret), "{secret} is in: {lines}");
    }
}

thread_local! {
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps every field of every event in the lines of its own thread, which is its own test. A subscriber
/// for one thread alone would miss what other threads' tests have switched off.
struct Log;

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut |_: &tracing::field::Field, value: &dyn Debug| {
            LINES.with_borrow_mut(|lines| writeln!(lines, "{value:?}").unwrap());
        });
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
