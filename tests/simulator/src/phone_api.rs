//! The phone over HTTP, for the page and for curl: JSON under `/phone/`.

use std::fmt::Display;

use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Map, Value, json as value};
use server::http::{self as web, Response};
use tokio::time::Instant;

use crate::codes::Code;
use crate::delivery::{Delivery, TRIES};
use crate::people::{People, Person};
use crate::phone::ScanError;
use crate::server::{Asked, Running, json};

use crate::{Simulator, lock, picture};

/// The most codes and people that a page lists. A phone's screen holds fewer.
const LISTED: usize = 30;

/// Longest openid, in characters: the documentation's limit for strings of its kind.
const MAX_OPENID: usize = 128;

/// Longest nickname, in characters. WeChat's own limit is lower.
const MAX_NICKNAME: usize = 64;

/// Longest name of a language, such as `zh_CN`.
const MAX_LANGUAGE: usize = 16;

/// How long a browser may keep a code's picture, which never changes.
const CACHED: HeaderValue = HeaderValue::from_static("max-age=3600");

/// Actions that become a push: `POST /phone/<action>`, with the rest in the body.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Act {
    Scan {
        openid: String,
        text: String,
        #[serde(default = "once")]
        tries: u8,
    },
    Say {
        openid: String,
        text: String,
        #[serde(default = "once")]
        tries: u8,
    },
    Follow {
        openid: String,
    },
    Unfollow {
        openid: String,
    },
    Event {
        openid: String,
        event: String,
        #[serde(default)]
        event_key: String,
    },
}

fn once() -> u8 {
    1
}

impl Act {
    fn parse(action: &str, body: &[u8]) -> serde_json::Result<Self> {
        let mut fields: Map<String, Value> = serde_json::from_slice(body)?;
        fields.insert("action".to_owned(), action.into());
        let act = Self::deserialize(Value::Object(fields))?;
        match act {
            Self::Scan { tries, .. } | Self::Say { tries, .. } if !(1..=TRIES).contains(&tries) => {
                Err(serde_json::Error::custom("tries must be 1, 2 or 3: WeChat pushes no oftener"))
            }
            act => Ok(act),
        }
    }

    async fn run(self, simulator: &Simulator) -> Result<Delivery, ScanError> {
        match self {
            Self::Scan { openid, text, tries } => simulator.scan_repeated(&openid, &text, tries).await,
            Self::Say { openid, text, tries } => simulator.say_repeated(&openid, &text, tries).await,
            Self::Follow { openid } => simulator.follow(&openid).await,
            Self::Unfollow { openid } => simulator.unfollow(&openid).await,
            Self::Event { openid, event, event_key } => {
                Ok(simulator.push_event(&openid, &event, &event_key).await)
            }
        }
    }
}

/// Answers `/phone/<action>`.
pub(crate) async fn answer(simulator: Simulator, running: Running, asked: &Asked, action: &str) -> Response {
    match (&asked.method, action) {
        (&Method::GET, "people") => people(&simulator),
        (&Method::GET, "codes") => codes(&simulator),
        (&Method::GET, "chat") => chat(&simulator, asked),
        (&Method::GET, "picture") => picture_of(&simulator, asked),
        (&Method::POST, "people") => match serde_json::from_slice(&asked.body) {
            Ok(person) => add(&simulator, person),
            Err(error) => told(StatusCode::BAD_REQUEST, "bad", &error),
        },
        (&Method::POST, "verify") => match simulator.verify_url().await {
            Ok(()) => json(StatusCode::OK, &value!({"ok": true})),
            Err(error) => told(StatusCode::BAD_GATEWAY, "verify", &format!("{error:#}")),
        },
        (&Method::POST, "open") => match serde_json::from_slice(&asked.body) {
            Ok(asked) => open(&simulator, &running, asked).await,
            Err(error) => told(StatusCode::BAD_REQUEST, "bad", &error),
        },
        (&Method::POST, _) => match Act::parse(action, &asked.body) {
            Ok(Act::Scan { openid, text, .. }) if text == simulator.account_code() => {
                run(simulator, &running, Act::Follow { openid }).await
            }
            // The camera opens what is an address, and no code of an account.
            Ok(Act::Scan { openid, text, .. })
                if text.starts_with("http") && lock(&simulator.state.codes).by_text(&text).is_none() =>
            {
                open(&simulator, &running, Open { openid, url: text, from: String::new(), form: None }).await
            }
            Ok(act) => run(simulator, &running, act).await,
            Err(error) => told(StatusCode::BAD_REQUEST, "bad", &error),
        },
        _ => told(StatusCode::NOT_FOUND, "unknown", &"README.md says what there is"),
    }
}

/// `POST /phone/open`: a person opens an address in their WeChat, or sends a form of a page there.
#[derive(Deserialize)]
struct Open {
    openid: String,
    url: String,
    /// The address of the page that has the form.
    #[serde(default)]
    from: String,
    /// What it sends by POST, as browsers write it.
    form: Option<String>,
}

/// Opens an address in a person's WeChat, which keeps its cookies, and shows what is there after all redirects.
async fn open(simulator: &Simulator, running: &Running, asked: Open) -> Response {
    let Open { openid, url, from, form } = asked;
    if simulator.person(&openid).is_none() {
        return told(StatusCode::NOT_FOUND, "nobody", &ScanError::NoSuchPerson);
    }
    let webview = running.webviews.of(simulator, &openid);
    let mut webview = webview.lock().await;
    let opened = match form {
        None => webview.open(&url).await,
        Some(form) => webview.post(&from, &url, form).await,
    };
    match opened {
        Ok(page) => {
            json(StatusCode::OK, &value!({"url": page.url, "status": page.status, "body": page.body}))
        }
        Err(error) => told(StatusCode::BAD_GATEWAY, "unreachable", &format!("{error:#}")),
    }
}

/// Runs a delivery apart from its request, because WeChat goes on when a person puts the phone away.
async fn run(simulator: Simulator, running: &Running, act: Act) -> Response {
    let stop = running.stop.clone();
    let task = running.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => None,
            delivered = act.run(&simulator) => Some(delivered),
        }
    });
    match task.await {
        Ok(Some(Ok(delivery))) => json(StatusCode::OK, &delivery),
        Ok(Some(Err(error))) => told(StatusCode::CONFLICT, name(error), &error),
        _ => told(StatusCode::SERVICE_UNAVAILABLE, "stopping", &"the simulator is stopping"),
    }
}

fn told(status: StatusCode, error: &str, message: &dyn Display) -> Response {
    json(status, &value!({"error": error, "message": message.to_string()}))
}

/// The page's name for an error. The page has its own texts for people.
fn name(error: ScanError) -> &'static str {
    match error {
        ScanError::NoSuchPerson => "nobody",
        ScanError::UnknownCode => "unknown_code",
        ScanError::ExpiredCode => "expired_code",
        ScanError::NotFollowing => "not_following",
        ScanError::Following => "following",
    }
}

fn people(simulator: &Simulator) -> Response {
    let people: Vec<Person> = lock(&simulator.state.people).newest().take(LISTED).collect();
    json(StatusCode::OK, &people)
}

fn add(simulator: &Simulator, person: Person) -> Response {
    let openid = person.openid.as_bytes();
    if openid.len() > MAX_OPENID
        || !openid.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte))
    {
        return told(StatusCode::BAD_REQUEST, "bad", &"an openid has at most 128 of A-Z a-z 0-9 _ -");
    }
    if person.nickname.chars().count() > MAX_NICKNAME {
        return told(StatusCode::BAD_REQUEST, "bad", &"a nickname has at most 64 characters");
    }
    let language = person.language.as_bytes();
    if language.len() > MAX_LANGUAGE
        || !language.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
    {
        return told(
            StatusCode::BAD_REQUEST,
            "bad",
            &"a language is named as WeChat names it: zh_CN, zh_TW, en",
        );
    }
    json(StatusCode::OK, &simulator.add_person(person))
}

fn codes(simulator: &Simulator) -> Response {
    let now = Instant::now();
    let codes: Vec<Code> = lock(&simulator.state.codes).recent(now).take(LISTED).cloned().collect();
    let people = lock(&simulator.state.people);
    let listed: Vec<Value> = codes.iter().map(|code| shown(code, &people, now)).collect();
    json(StatusCode::OK, &listed)
}

fn shown(code: &Code, people: &People, now: Instant) -> Value {
    let scanned_by = code.scanned_by.as_deref().map(|openid| match people.get(openid) {
        Some(person) => person.nickname,
        None => openid.to_owned(),
    });
    value!({
        "id": code.id,
        "text": code.url,
        "scene": code.scene.to_string(),
        "age": code.age(now).as_secs(),
        "expires_in": code.left(now).map(|left| left.as_secs()),
        "scanned_by": scanned_by,
    })
}

/// What the camera sees: the picture of a code. WeChat's own picture is at `showqrcode`, whose faults can be switched.
fn picture_of(simulator: &Simulator, asked: &Asked) -> Response {
    let id = asked.query("id").unwrap_or_default();
    let text = lock(&simulator.state.codes).by_id(&id).map(|code| code.url.clone());
    let Some(text) = text else {
        return told(StatusCode::NOT_FOUND, "unknown_code", &ScanError::UnknownCode);
    };
    match picture::draw(&text) {
        Ok(file) => {
            let mut answer = web::answer(StatusCode::OK, "image/png", file);
            answer.headers_mut().insert(CACHE_CONTROL, CACHED);
            answer
        }
        Err(error) => told(StatusCode::INTERNAL_SERVER_ERROR, "bad", &format!("{error:#}")),
    }
}

fn chat(simulator: &Simulator, asked: &Asked) -> Response {
    let openid = asked.query("openid").unwrap_or_default();
    let after = asked.query("after").and_then(|text| text.parse().ok());
    let people = lock(&simulator.state.people);
    let Some(person) = people.get(&openid) else {
        return told(StatusCode::NOT_FOUND, "nobody", &ScanError::NoSuchPerson);
    };
    let bubbles = people.chat(&openid, after.unwrap_or_default());
    json(StatusCode::OK, &value!({"person": person, "bubbles": bubbles}))
}
