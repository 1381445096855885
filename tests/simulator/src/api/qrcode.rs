//! `qrcode/create` and `showqrcode`.

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde_json::{Value, json};
use server::http::{self as web, Response};
use tokio::time::Instant;

use super::error::ApiError;
use super::{authorized, body};
use crate::codes::Scene;
use crate::server::Asked;
use crate::{Simulator, lock, picture, unix_now};

/// The life of a temporary code, in seconds, when the call does not give one.
const DEFAULT_LIFE: u32 = 60;

/// The longest life of a temporary code: 30 days.
const MAX_LIFE: u32 = 2_592_000;

/// Characters in a string scene.
const MAX_SCENE: usize = 64;

/// The largest number of a permanent code.
const MAX_PERMANENT: u32 = 100_000;

/// How long WeChat lets its picture be cached.
const CACHED: HeaderValue = HeaderValue::from_static("max-age=604800");

/// Answers `POST /cgi-bin/qrcode/create`.
pub(super) fn create(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    authorized(simulator, asked)?;
    let body = body(asked)?;
    let scene = &body["action_info"]["scene"];
    let (scene, temporary) = match body["action_name"].as_str() {
        Some("QR_SCENE") => (number(scene, u32::MAX), true),
        Some("QR_LIMIT_SCENE") => (number(scene, MAX_PERMANENT), false),
        Some("QR_STR_SCENE") => (text(scene), true),
        Some("QR_LIMIT_STR_SCENE") => (text(scene), false),
        _ => return Err(ApiError::INVALID_ACTION),
    };
    let life = temporary.then(|| life(&body["expire_seconds"])).transpose()?;
    let (base, now) = (simulator.public_url(), (Instant::now(), unix_now()));
    let code = lock(&simulator.state.codes).make(&base, scene?, life, now).map_err(|_| ApiError::QUOTA)?;
    Ok(match life {
        Some(seconds) => json!({"ticket": code.ticket, "expire_seconds": seconds, "url": code.url}),
        None => json!({"ticket": code.ticket, "url": code.url}),
    })
}

/// The scene of a call that gives none. The call succeeds, and its pushes carry scene 0.
const NO_SCENE: Scene = Scene::Number(0);

fn number(scene: &Value, max: u32) -> Result<Scene, ApiError> {
    if !scene.is_object() {
        return Ok(NO_SCENE);
    }
    match scene["scene_id"].as_u64() {
        None | Some(0) => Err(ApiError::INVALID_ACTION_INFO),
        Some(number) => match u32::try_from(number) {
            Ok(number) if number <= max => Ok(Scene::Number(number)),
            // WeChat turns a temporary code's number that is too large into the largest one.
            _ if max == u32::MAX => Ok(Scene::Number(max)),
            _ => Err(ApiError::INVALID_ACTION_INFO),
        },
    }
}

fn text(scene: &Value) -> Result<Scene, ApiError> {
    if !scene.is_object() {
        return Ok(NO_SCENE);
    }
    let text = scene["scene_str"].as_str().unwrap_or_default();
    if (1..=MAX_SCENE).contains(&text.chars().count()) {
        Ok(Scene::Text(text.to_owned()))
    } else {
        Err(ApiError::INVALID_ACTION_INFO)
    }
}

fn life(seconds: &Value) -> Result<u32, ApiError> {
    if seconds.is_null() {
        return Ok(DEFAULT_LIFE);
    }
    let seconds = seconds.as_u64().and_then(|it| u32::try_from(it).ok());
    seconds.filter(|it| (1..=MAX_LIFE).contains(it)).ok_or(ApiError::ARGUMENT)
}

/// Answers `GET /cgi-bin/showqrcode`, which needs no token.
pub(super) fn picture(simulator: &Simulator, asked: &Asked) -> Response {
    let ticket = asked.query("ticket").unwrap_or_default();
    let url = lock(&simulator.state.codes).by_ticket(&ticket).map(|code| code.url.clone());
    let Some(url) = url else {
        return web::text(StatusCode::NOT_FOUND, "no code has this ticket\n");
    };
    match picture::draw(&url) {
        Ok(file) => {
            let mut answer = web::answer(StatusCode::OK, "image/png", file);
            answer.headers_mut().insert(CACHE_CONTROL, CACHED);
            answer
        }
        Err(error) => web::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_are_taken_as_wechat_takes_them() {
        let id = |id: Value, max| number(&json!({"scene_id": id}), max);
        assert_eq!(id(json!(7), u32::MAX), Ok(Scene::Number(7)));
        assert_eq!(id(json!(99_999_999_999_u64), u32::MAX), Ok(Scene::Number(u32::MAX)));
        assert_eq!(id(json!(0), u32::MAX), Err(ApiError::INVALID_ACTION_INFO));
        assert_eq!(id(json!(100_001), MAX_PERMANENT), Err(ApiError::INVALID_ACTION_INFO));
        assert_eq!(number(&Value::Null, u32::MAX), Ok(NO_SCENE));

        let string = |string: String| text(&json!({"scene_str": string}));
        assert!(string("x".repeat(64)).is_ok());
        assert!(string("扫".repeat(64)).is_ok());
        assert!(string("x".repeat(65)).is_err());
        assert!(string(String::new()).is_err());
        assert_eq!(text(&Value::Null), Ok(NO_SCENE));
    }

    #[test]
    fn a_life_has_a_default_and_a_limit() {
        assert_eq!(life(&Value::Null), Ok(DEFAULT_LIFE));
        assert_eq!(life(&json!(MAX_LIFE)), Ok(MAX_LIFE));
        for wrong in [json!(MAX_LIFE + 1), json!(0), json!(-1), json!("60")] {
            assert_eq!(life(&wrong), Err(ApiError::ARGUMENT), "{wrong}");
        }
    }
}
