//! WeChat's API: its calls, their faults, and the check of the access token.
//!
//! Errors have WeChat's form: HTTP 200 with `errcode` and `errmsg`.

mod account;
mod error;
mod qrcode;
mod refused;
mod token;
mod user_info;

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use server::http::{self as web, Response};
use tokio::time::{Instant, sleep};

use crate::server::{Asked, Hangup};
use crate::switches::Call;
use crate::tokens::Worth;
use crate::web::sns;
use crate::{Simulator, lock, random};
pub(crate) use error::ApiError;
pub(crate) use refused::Refused;

/// The Content-Type that WeChat writes; `encoding` is WeChat's own parameter.
const JSON: &str = "application/json; encoding=utf-8";

/// Answers a call, with the faults that are switched on for it.
pub(crate) async fn answer(simulator: &Simulator, asked: &Asked, hangup: &Hangup) -> Response {
    let (call, method) = match asked.path.as_str() {
        "/cgi-bin/stable_token" => (Call::StableToken, Method::POST),
        "/cgi-bin/token" => (Call::Token, Method::GET),
        "/cgi-bin/qrcode/create" => (Call::QrcodeCreate, Method::POST),
        "/cgi-bin/showqrcode" => (Call::Showqrcode, Method::GET),
        "/cgi-bin/user/info" => (Call::UserInfo, Method::GET),
        "/sns/oauth2/access_token" => (Call::WebToken, Method::GET),
        "/sns/userinfo" => (Call::WebUser, Method::GET),
        "/cgi-bin/openapi/quota/get" => (Call::QuotaGet, Method::POST),
        "/cgi-bin/openapi/rid/get" => (Call::RidGet, Method::POST),
        "/cgi-bin/callback/check" => (Call::CallbackCheck, Method::POST),
        "/cgi-bin/getcallbackip" => (Call::CallbackIps, Method::GET),
        _ => return refusal(simulator, asked, &ApiError::INVALID_URL),
    };
    count(simulator, call);
    let fault = simulator.switches().take(call);
    sleep(Duration::from_millis(fault.delay_ms)).await;
    if fault.hang_up {
        return hangup.hang_up().await;
    }
    if let Some(status) = fault.http_status {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return web::text(status, "a switch asks for this status\n");
    }
    if let Some(code) = fault.errcode {
        return refusal(simulator, asked, &ApiError::switched(code));
    }
    if asked.method != method {
        return refusal(simulator, asked, &ApiError::method(&method));
    }
    let result = match call {
        Call::Showqrcode => return qrcode::picture(simulator, asked),
        Call::StableToken => token::stable(simulator, asked),
        Call::Token => token::classic(simulator, asked),
        Call::QrcodeCreate => qrcode::create(simulator, asked),
        Call::UserInfo => user_info::answer(simulator, asked),
        Call::WebToken => sns::token(simulator, asked),
        Call::WebUser => sns::user(simulator, asked),
        Call::QuotaGet => account::quota(simulator, asked),
        Call::RidGet => account::rid(simulator, asked),
        Call::CallbackCheck => account::callback(simulator, asked).await,
        Call::CallbackIps => account::callback_ips(simulator, asked),
    };
    match result {
        Ok(value) => web::answer(StatusCode::OK, JSON, value.to_string()),
        Err(error) => refusal(simulator, asked, &error),
    }
}

fn count(simulator: &Simulator, call: Call) {
    let mut counters = lock(&simulator.state.counters);
    *match call {
        Call::StableToken => &mut counters.token_calls,
        Call::Token => &mut counters.classic_token_calls,
        Call::QrcodeCreate => &mut counters.qr_calls,
        Call::Showqrcode => &mut counters.picture_calls,
        Call::UserInfo => &mut counters.user_info_calls,
        Call::WebToken => &mut counters.web_token_calls,
        Call::WebUser => &mut counters.web_user_calls,
        Call::QuotaGet => &mut counters.quota_calls,
        Call::RidGet => &mut counters.rid_calls,
        Call::CallbackCheck => &mut counters.callback_check_calls,
        Call::CallbackIps => &mut counters.callback_ip_calls,
    } += 1;
}

fn refusal(simulator: &Simulator, asked: &Asked, error: &ApiError) -> Response {
    let rid = random::request_id();
    let answer = error.json(&rid);
    let mut refused = lock(&simulator.state.refused);
    refused.remember(rid, simulator.now(), asked.raw_query(), &answer, asked.peer);
    web::answer(StatusCode::OK, JSON, answer.to_string())
}

/// Checks the account's access token, which every call must have but those that give a token and those of a person's own.
fn authorized(simulator: &Simulator, asked: &Asked) -> Result<(), ApiError> {
    let token = asked.query("access_token").ok_or(ApiError::NO_TOKEN)?;
    match lock(&simulator.state.tokens).worth(&token, Instant::now()) {
        Worth::Valid => Ok(()),
        Worth::Expired => Err(ApiError::TOKEN_EXPIRED),
        Worth::Unknown => Err(ApiError::INVALID_TOKEN),
    }
}

fn body(asked: &Asked) -> Result<Value, ApiError> {
    let value = serde_json::from_slice(&asked.body).map_err(|_| ApiError::NOT_JSON)?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(ApiError::NOT_JSON),
    }
}
