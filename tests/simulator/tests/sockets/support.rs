//! A simulator on a free port, and software under test that a test writes as one closure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use http::StatusCode;
use hyper::body::Incoming;
use serde_json::{Value, json};
use server::http::{self as web, Response};
use server::listen;
use simulator::{Mode, Settings, Simulator};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Limit for an answer: long enough for loopback on a busy machine, short enough for three tries in a test.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_millis(400);

/// A simulator that runs until the test ends.
pub(crate) struct Served {
    pub(crate) simulator: Simulator,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    _stop: DropGuard,
}

pub(crate) fn plaintext() -> Settings {
    Settings { mode: Mode::Plaintext, answer_within: ANSWER_WITHIN, ..Settings::default() }
}

pub(crate) async fn serve(settings: Settings) -> Served {
    let listener = listen::bind("TEST", "127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let simulator = Simulator::new(settings).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(simulator.clone().serve(listener, stop.clone(), TaskTracker::new()));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Served { simulator, url, http, _stop: stop.drop_guard() }
}

impl Served {
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        answer.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        request.send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn stable_token(&self) -> String {
        let account = self.simulator.settings();
        let body = json!({
            "grant_type": "client_credential",
            "appid": account.app_id,
            "secret": account.app_secret,
        });
        let answer = self.post("/cgi-bin/stable_token", &body).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Makes a code with this string scene that lives for `seconds`.
    pub(crate) async fn code(&self, scene: &str, seconds: u32) -> Value {
        let path = format!("/cgi-bin/qrcode/create?access_token={}", self.stable_token().await);
        let body = json!({
            "expire_seconds": seconds,
            "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": scene}},
        });
        self.post(&path, &body).await
    }
}

/// A push as the software under test received it.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) query: String,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn query(&self, name: &str) -> String {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        let found = pairs.find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> String {
        let document = roxmltree::Document::parse(&self.body).unwrap();
        let mut nodes = document.descendants();
        let found = nodes.find(|node| node.has_tag_name(name));
        found.and_then(|it| it.text()).unwrap_or_default().to_owned()
    }
}

/// What the software under test does with a push.
pub(crate) enum Does {
    Answers(StatusCode, String),
    Hangs,
}

/// Starts software under test on a free port, sends the pushes there, and gives those that it gets. `does` gets
/// the number of the push, from 1.
pub(crate) fn receive(
    simulator: &Simulator,
    does: impl Fn(usize, &Got) -> Does + Send + Sync + 'static,
) -> Arc<Mutex<Vec<Got>>> {
    let listener = listen::bind("TEST", "127.0.0.1:0".parse().unwrap()).unwrap();
    simulator.set_push_url(format!("http://{}/wechat", listener.local_addr().unwrap()));
    let got = Arc::new(Mutex::new(Vec::new()));
    let (shared, does) = (Arc::clone(&got), Arc::new(does));
    let stop = CancellationToken::new();
    let serving = stop.clone();
    tokio::spawn(listen::accept(listener, 64, stop, TaskTracker::new(), move |accepted| {
        let (got, does, stop) = (Arc::clone(&shared), Arc::clone(&does), serving.clone());
        async move {
            web::serve(accepted.stream, &stop, web::HEAD_WITHIN, accepted.permit.as_ref(), |request| {
                answer(Arc::clone(&got), Arc::clone(&does), request)
            })
            .await;
        }
    }));
    got
}

async fn answer(
    got: Arc<Mutex<Vec<Got>>>,
    does: Arc<impl Fn(usize, &Got) -> Does>,
    request: Request<Incoming>,
) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = web::read_body(request.into_body(), 65_536, Duration::from_secs(5)).await;
    let it = Got { query, body: String::from_utf8(body.unwrap()).unwrap() };
    let number = {
        let mut got = got.lock().unwrap();
        got.push(it.clone());
        got.len()
    };
    match does(number, &it) {
        Does::Answers(status, body) => web::answer(status, "text/xml", body),
        Does::Hangs => std::future::pending().await,
    }
}

/// A text reply to a push in plaintext, with sender and receiver swapped.
pub(crate) fn reply(to: &Got, words: &str) -> String {
    format!(
        "<xml><ToUserName>{}</ToUserName><FromUserName>{}</FromUserName><CreateTime>1</CreateTime>\
         <MsgType>text</MsgType><Content><![CDATA[{words}]]></Content></xml>",
        to.field("FromUserName"),
        to.field("ToUserName")
    )
}

/// The answer that ends a push.
pub(crate) fn ok(body: impl Into<String>) -> Does {
    Does::Answers(StatusCode::OK, body.into())
}
