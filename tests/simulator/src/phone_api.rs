//! The phone over HTTP, for the page and for curl: JSON under `/phone/`.

use std::fmt::Display;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json as value};
use server::http::Response;
use tokio::time::Instant;

use crate::codes::Code;
use crate::delivery::Delivery;
use crate::people::Person;
use crate::phone::ScanError;
use crate::server::{Asked, Running, json};
use crate::{Simulator, lock};

/// The most codes and people that a page lists. A phone's screen holds fewer.
const LISTED: usize = 30;

/// Longest openid, in characters: the documentation's limit for strings of its kind.
const MAX_OPENID: usize = 128;

/// Longest nickname, in characters. WeChat's own limit is lower.
const MAX_NICKNAME: usize = 64;

/// Actions that become a push: `POST /phone/<action>`, with the rest in the body.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Act {
    Scan {
        openid: String,
        text: String,
    },
    Say {
        openid: String,
        text: String,
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

impl Act {
    fn parse(action: &str, body: &[u8]) -> serde_json::Result<Self> {
        let mut fields: Map<String, Value> = serde_json::from_slice(body)?;
        fields.insert("action".to_owned(), action.into());
        Self::deserialize(Value::Object(fields))
    }

    async fn run(self, simulator: &Simulator) -> Result<Delivery, ScanError> {
        match self {
            Self::Scan { openid, text } => simulator.scan(&openid, &text).await,
            Self::Say { openid, text } => simulator.say(&openid, &text).await,
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
        (&Method::POST, "people") => match serde_json::from_slice(&asked.body) {
            Ok(person) => add(&simulator, person),
            Err(error) => told(StatusCode::BAD_REQUEST, "bad", &error),
        },
        (&Method::POST, "verify") => match simulator.verify_url().await {
            Ok(()) => json(StatusCode::OK, &value!({"ok": true})),
            Err(error) => told(StatusCode::BAD_GATEWAY, "verify", &format!("{error:#}")),
        },
        (&Method::POST, _) => match Act::parse(action, &asked.body) {
            Ok(act) => run(simulator, &running, act).await,
            Err(error) => told(StatusCode::BAD_REQUEST, "bad", &error),
        },
        _ => told(StatusCode::NOT_FOUND, "unknown", &"README.md says what there is"),
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
    json(StatusCode::OK, &simulator.add_person(person))
}

fn codes(simulator: &Simulator) -> Response {
    let now = Instant::now();
    let codes = lock(&simulator.state.codes);
    let listed: Vec<Value> = codes.recent(now).take(LISTED).map(|code| shown(code, now)).collect();
    json(StatusCode::OK, &listed)
}

fn shown(code: &Code, now: Instant) -> Value {
    value!({
        "id": code.id,
        "text": code.url,
        "scene": code.scene.to_string(),
        "expires_in": code.left(now).map(|left| left.as_secs()),
    })
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
