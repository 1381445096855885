//! The switches over HTTP: `GET /control` shows them, `POST /control` changes some.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json as value;
use server::http::{self as web, Response};

use crate::Simulator;
use crate::server::{Asked, json};
use crate::switches::{Call, Fault, PushFaults, Told};
use crate::web::WebFaults;

/// What to change. A field that is left out changes nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Heals everything before the other changes.
    #[serde(default)]
    heal_all: bool,
    /// A call's whole new fault; `null` heals it.
    #[serde(default)]
    api: BTreeMap<Call, Option<Fault>>,
    /// The pushes' whole new faults.
    push: Option<PushFaults>,
    /// The web authorizations' whole new faults.
    web: Option<WebFaults>,
    /// The whole of what WeChat says of the account.
    told: Option<Told>,
    /// Where pushes go.
    push_url: Option<String>,
    /// What the text of QR codes begins with.
    public_url: Option<String>,
    /// Lets every access token expire.
    #[serde(default)]
    expire_tokens: bool,
}

/// Answers `/control`.
pub(crate) fn answer(simulator: &Simulator, asked: &Asked) -> Response {
    match asked.method {
        Method::GET => {}
        Method::POST => match serde_json::from_slice(&asked.body) {
            Ok(wanted) => change(simulator, wanted),
            Err(error) => return web::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        _ => return web::text(StatusCode::METHOD_NOT_ALLOWED, "GET and POST only\n"),
    }
    let faults = simulator.switches().faults();
    let state = value!({
        "api": faults.api,
        "push": faults.push,
        "web": faults.web,
        "told": faults.told,
        "push_url": *crate::lock(&simulator.state.push_url),
        "public_url": simulator.public_url(),
        "counters": simulator.counters(),
    });
    json(StatusCode::OK, &state)
}

fn change(simulator: &Simulator, wanted: Change) {
    let switches = simulator.switches();
    if wanted.heal_all {
        switches.heal_all();
    }
    for (call, fault) in wanted.api {
        match fault {
            Some(fault) => switches.fail(call, fault),
            None => switches.heal(call),
        }
    }
    if let Some(faults) = wanted.push {
        switches.set_push(faults);
    }
    if let Some(faults) = wanted.web {
        switches.set_web(faults);
    }
    if let Some(told) = wanted.told {
        switches.set_told(told);
    }
    if let Some(url) = wanted.push_url {
        simulator.set_push_url(url);
    }
    if let Some(url) = wanted.public_url {
        simulator.set_public_url(url);
    }
    if wanted.expire_tokens {
        simulator.expire_tokens();
    }
}
