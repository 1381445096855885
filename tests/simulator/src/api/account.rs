//! What WeChat tells of the account itself: what is left of a call's day, why a call was refused, how WeChat finds the push
//! URL, and where pushes come from.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::error::ApiError;
use super::{authorized, body};
use crate::server::Asked;
use crate::{Simulator, lock};

/// Calls in a day that an account has of each kind, unless a switch says otherwise.
const DAILY_LIMITS: [(&str, u64); 4] = [
    ("/cgi-bin/qrcode/create", 100_000),
    ("/cgi-bin/stable_token", 500_000),
    ("/cgi-bin/token", 2_000),
    ("/cgi-bin/user/info", 5_000_000),
];

/// Answers `POST /cgi-bin/openapi/quota/get`.
pub(super) fn quota(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    authorized(simulator, asked)?;
    let body = body(asked)?;
    let path = body["cgi_path"].as_str().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(ApiError::QUOTA_PATH);
    }
    if path.starts_with("/sns/") {
        return Err(ApiError::QUOTA_FORBIDDEN);
    }
    let limit = DAILY_LIMITS.iter().find(|(known, _)| *known == path);
    let &(_, limit) = limit.ok_or(ApiError::QUOTA_UNKNOWN)?;
    let counters = simulator.counters();
    let used = match path {
        "/cgi-bin/qrcode/create" => counters.qr_calls,
        "/cgi-bin/stable_token" => counters.token_calls,
        "/cgi-bin/token" => counters.classic_token_calls,
        _ => counters.user_info_calls,
    };
    let told = simulator.switches().told().qr_quota.filter(|_| path == "/cgi-bin/qrcode/create");
    let (limit, used) = told.unwrap_or((limit, used));
    let quota = json!({"daily_limit": limit, "used": used, "remain": limit.saturating_sub(used)});
    Ok(json!({"errcode": 0, "errmsg": "ok", "quota": quota}))
}

/// Answers `POST /cgi-bin/openapi/rid/get`.
pub(super) fn rid(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    authorized(simulator, asked)?;
    let body = body(asked)?;
    let rid = body["rid"].as_str().filter(|rid| rid.split('-').count() == 3).ok_or(ApiError::WRONG_RID)?;
    let request = lock(&simulator.state.refused).get(rid).ok_or(ApiError::UNKNOWN_RID)?;
    Ok(json!({"errcode": 0, "errmsg": "ok", "request": request}))
}

/// Answers `POST /cgi-bin/callback/check`: the host of the push URL is resolved, and its addresses are said to answer.
pub(super) async fn callback(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    authorized(simulator, asked)?;
    let body = body(asked)?;
    let action = body["action"].as_str().unwrap_or_default();
    if !["dns", "ping", "all"].contains(&action) {
        return Err(ApiError::CHECK_ACTION);
    }
    let operator = body["check_operator"].as_str().unwrap_or_default();
    if !["CHINANET", "UNICOM", "CAP", "DEFAULT"].contains(&operator) {
        return Err(ApiError::CHECK_OPERATOR);
    }
    let url = lock(&simulator.state.push_url).clone();
    let url = url.and_then(|url| reqwest::Url::parse(&url).ok()).ok_or(ApiError::NO_PUSH_URL)?;
    let told = simulator.switches().told();
    let addresses = match told.addresses {
        Some(addresses) => addresses,
        None => resolve(&url).await,
    };
    let dns = addresses.iter().map(|ip| json!({"ip": ip, "real_operator": "CAP"}));
    let loss = if told.pings_lost { "100%" } else { "0%" };
    let ping = addresses
        .iter()
        .map(|ip| json!({"ip": ip, "from_operator": "CAP", "package_loss": loss, "time": "21.434ms"}));
    let mut answer = json!({});
    if action != "ping" {
        answer["dns"] = dns.collect();
    }
    if action != "dns" {
        answer["ping"] = ping.collect();
    }
    Ok(answer)
}

async fn resolve(url: &reqwest::Url) -> Vec<IpAddr> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Vec::new();
    };
    let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await;
    found.map(|found| found.map(|address| address.ip()).collect()).unwrap_or_default()
}

/// Answers `GET /cgi-bin/getcallbackip`.
pub(super) fn callback_ips(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    authorized(simulator, asked)?;
    Ok(json!({"ip_list": ["127.0.0.1", "::1/128"]}))
}
