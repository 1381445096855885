//! WeChat's door: `/wechat`, GET for the verification of the address and POST for pushes. Slashes before and behind
//! it are taken; what comes to another path is told in the log, because WeChat's console shows nothing of an answer.
//! A balancer's check, which signs nothing, gets 200 for GET and HEAD of `/` and `/livez`, and for HEAD of `/wechat`.
//!
//! Early and cheap refusals come first, each with a log line without secrets and no effect. What has proved
//! where it comes from is always answered 200: with words, or empty for what we do not use or cannot read.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::{Method, Request, StatusCode};
use hyper::body::{Body, Incoming};
use protocol::Scene;
use server::http::{self as web, Answer};
use server::{address, clock, tell};
use tokio::time::Instant;

use crate::Callback;
use crate::push::{self, Kind, MAX_BODY, Push, Query, Refusal};
use crate::store::{Scan, StoreError};
use crate::texts::Messages;

/// A push's body must have come within this; WeChat gives up after 5 s in all.
const BODY_WITHIN: Duration = Duration::from_millis(1500);

/// Answers one request.
pub(crate) async fn route(callback: &Callback, request: Request<Incoming>, peer: SocketAddr) -> Answer {
    let arrived = Instant::now();
    // What a proxy asks again and again, to know that an answer comes. Nothing is told or counted.
    if request.uri().path() == "/livez" {
        return web::text(StatusCode::OK, "alive\n");
    }
    let from = address::of_request(request.headers(), peer, &callback.trusted_proxies);
    let raw = request.uri().query().unwrap_or_default().to_owned();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if !is_door(&path, callback.account.app_id()) {
        return astray(callback, &method, &path, &raw, from).await;
    }
    match method {
        Method::GET => match verify(callback, &raw).await {
            Ok(echo) => web::text(StatusCode::OK, echo),
            Err(unbelieved) => unbelieved.told(callback, &raw, from),
        },
        Method::POST => match believe(callback, &raw, request.into_body(), arrived).await {
            Ok(push) => answer(callback, push, arrived).await,
            Err(unbelieved) => unbelieved.told(callback, &raw, from),
        },
        // WeChat asks for no head. Who does wants to know whether somebody is here.
        Method::HEAD => web::text(StatusCode::OK, ""),
        _ => web::method_not_allowed("GET, HEAD, POST"),
    }
}

/// Whether a query has none of WeChat's parameters: it is somebody's browser, a health check, a scanner.
fn names_nothing(raw: &str) -> bool {
    Query::parse(raw).is_ok_and(|query| query == Query::default())
}

/// `/wechat`, also as `/wechat/` or `//wechat`: nobody sees such a slash in the console. The platform that manages an
/// account may put its appid behind it.
fn is_door(path: &str, app_id: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    parts.next() == Some("wechat") && parts.next().is_none_or(|part| part == app_id) && parts.next().is_none()
}

/// Answers a request for another path. One of WeChat's form comes of a wrong URL in its console.
async fn astray(callback: &Callback, method: &Method, path: &str, raw: &str, from: IpAddr) -> Answer {
    if let Some(query) = Query::parse(raw).ok().filter(|query| !query.signature().is_empty()) {
        if let Some(rule) = &callback.one_body {
            // It was seen, too. Without the store no push is taken anyway.
            let _ = rule.use_up(&callback.account, &query, clock::unix_now()).await;
        }
        callback.metrics.refused.get_or_create(&[("stage", "path")]).inc();
        // It comes from outside.
        let path: String = path.chars().take(64).collect();
        tell!(
            warn,
            callback.told,
            "path",
            [%from, stage = "path", ?path],
            "a push came to another path: end the URL of WeChat's message push settings with /wechat, and let proxies \
             pass it on as it is"
        );
    } else if path == "/" && matches!(*method, Method::GET | Method::HEAD) {
        return web::text(StatusCode::OK, "callback-service is here; WeChat's pushes come to /wechat\n");
    }
    web::text(StatusCode::NOT_FOUND, "WeChat's pushes come to /wechat\n")
}

async fn verify(callback: &Callback, raw: &str) -> Result<String, Unbelieved> {
    let (query, now) = (Query::parse(raw)?, clock::unix_now());
    let echo = callback.account.verify_url(&query, now);
    if let Some(rule) = &callback.one_body {
        // Whether it is fresh or old, no push may come with it.
        rule.use_up(&callback.account, &query, now).await?;
    }
    let echo = echo?;
    tell!(info, callback.told, "verified", "WeChat has verified the address");
    Ok(echo)
}

/// Why there is no push to answer.
enum Unbelieved {
    Refused(Refusal),
    /// The body is not there: the status, and the words for the log.
    NotRead(StatusCode, String),
    /// Nobody can say whether its signature was used before.
    Store(StoreError),
}

impl Unbelieved {
    fn told(self, callback: &Callback, raw: &str, from: IpAddr) -> Answer {
        let (stage, status, fault) = match self {
            Self::Refused(refusal) if names_nothing(raw) => return callback.pass(refusal, from),
            Self::Refused(refusal) => return callback.refuse(refusal, from),
            Self::NotRead(status, fault) => ("body", status, fault),
            Self::Store(error) => ("store", StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        };
        callback.metrics.refused.get_or_create(&[("stage", stage)]).inc();
        tell!(warn, callback.told, format!("{stage}: {status}"), [%from, stage], "a push was not taken: {fault}");
        web::text(status, "")
    }
}

impl From<StoreError> for Unbelieved {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Unbelieved {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn believe(
    callback: &Callback,
    raw: &str,
    body: Incoming,
    arrived: Instant,
) -> Result<Push, Unbelieved> {
    let now = clock::unix_now();
    let query = match check(callback, raw, now).await {
        Ok(query) => query,
        Err(unbelieved) => {
            // Nothing of it is kept.
            web::discard(body).await;
            return Err(unbelieved);
        }
    };
    let left = || BODY_WITHIN.saturating_sub(arrived.elapsed());
    let Some(_room) = callback.bodies.room(body.size_hint().exact(), left()).await else {
        let full = "too many large bodies at once".to_owned();
        return Err(Unbelieved::NotRead(StatusCode::SERVICE_UNAVAILABLE, full));
    };
    let body = web::read_body(body, MAX_BODY, left()).await.map_err(|error| match error {
        web::BodyError::TooLarge => Refusal::TooLarge.into(),
        error => Unbelieved::NotRead(error.status(), error.to_string()),
    })?;
    match &callback.one_body {
        // Also for what cannot be read.
        Some(rule) if !rule.admits(&callback.account, &query, &body, now).await? => {
            Err(Refusal::Signature.into())
        }
        _ => Ok(callback.account.open(&query, &body, now)?),
    }
}

/// What the query alone proves.
async fn check(callback: &Callback, raw: &str, now: u64) -> Result<Query, Unbelieved> {
    let query = Query::parse(raw)?;
    let checked = callback.account.check_query(&query, now);
    if let Some(rule) = &callback.one_body {
        if let Err(Refusal::Stale { ahead: false, .. } | Refusal::Encrypted) = checked {
            // It was seen, and could be sent otherwise.
            rule.use_up(&callback.account, &query, now).await?;
        }
        checked?;
        rule.is_remembered(&query)?;
    }
    checked?;
    Ok(query)
}

/// What goes back to WeChat.
enum Reply {
    Words(String),
    ToCustomerService,
}

/// What a believed push does, and what goes back.
async fn answer(callback: &Callback, push: Push, arrived: Instant) -> Answer {
    let reply = match &push.kind {
        Kind::Subscribe { key } => match key.as_deref().and_then(|key| scene(callback, key)) {
            Some(scene) => scanned(callback, &push, scene, true, arrived).await,
            None => callback.texts.welcome().map(Reply::Words),
        },
        Kind::Scan { key } => match scene(callback, key) {
            Some(scene) => scanned(callback, &push, scene, false, arrived).await,
            None => None,
        },
        Kind::Unsubscribe => {
            callback.logins.forget(&push.from, push.created_at).await;
            None
        }
        Kind::Message { .. } => match callback.messages {
            Messages::Greet => callback.texts.greeting().map(Reply::Words),
            Messages::CustomerService => Some(Reply::ToCustomerService),
            Messages::Ignore => None,
        },
        Kind::OtherEvent { name, key } => {
            let is_scene = |key: &String| key.trim_start_matches("qrscene_").parse::<Scene>().is_ok();
            if key.as_ref().is_some_and(is_scene) {
                tell!(
                    warn,
                    callback.told,
                    "near miss",
                    [event = ?name],
                    "an event with a scene of ours logs nobody in, because WeChat calls it SCAN or subscribe: does \
                     something between WeChat and here change it?"
                );
            } else {
                tracing::debug!(event = ?name, "an event that is not used");
            }
            None
        }
    };
    let now = clock::unix_now();
    let created_at = i64::try_from(now).unwrap_or(i64::MAX);
    let xml = match reply {
        None => return web::text(StatusCode::OK, ""),
        Some(Reply::Words(words)) => push::text(&push.from, &push.to, created_at, &words),
        Some(Reply::ToCustomerService) => push::to_customer_service(&push.from, &push.to, created_at),
    };
    let body = callback.account.answer(&push, &xml, now);
    web::answer(StatusCode::OK, "text/xml; charset=utf-8", body)
}

/// The scene that a scan's key is; one of another form belongs to somebody else's QR code.
fn scene(callback: &Callback, key: &str) -> Option<Scene> {
    if key == "0" {
        tell!(
            warn,
            callback.told,
            "scene 0",
            "a scan of scene 0: some program makes QR codes without the inner scene object"
        );
    }
    key.parse().ok()
}

async fn scanned(
    callback: &Callback,
    push: &Push,
    scene: Scene,
    first: bool,
    arrived: Instant,
) -> Option<Reply> {
    let scan = Scan { scene, openid: push.from.clone(), first, created_at: push.created_at };
    let outcome = callback.logins.log_in(scan, arrived).await;
    callback.metrics.scans.get_or_create(&[("told", outcome.name())]).inc();
    callback.texts.words(&outcome).map(Reply::Words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_too_many_is_no_other_path() {
        for path in ["/wechat", "/wechat/", "//wechat", "//wechat//", "/wechat/wx1", "/wechat/wx1/"] {
            assert!(is_door(path, "wx1"), "{path}");
        }
        for path in ["/", "", "/WeChat", "/wechat/x", "/x/wechat", "/%77echat", "/wechat%2F", "/wechat/wx1/x"]
        {
            assert!(!is_door(path, "wx1"), "{path}");
        }
    }
}
