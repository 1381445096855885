//! `stable_token` and `token`.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::body;
use super::error::ApiError;
use crate::server::Asked;
use crate::{Simulator, lock};

/// The only kind of grant.
const GRANT: &str = "client_credential";

/// Answers `POST /cgi-bin/stable_token`.
pub(super) fn stable(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    let body = body(asked)?;
    let field = |name: &str| body[name].as_str();
    check(simulator, [field("grant_type"), field("appid"), field("secret")], ApiError::INVALID_SECRET)?;
    let force = body["force_refresh"].as_bool().unwrap_or_default();
    Ok(answer(lock(&simulator.state.tokens).stable(force, Instant::now())))
}

/// Answers `GET /cgi-bin/token`.
pub(super) fn classic(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    let [grant, app_id, secret] = ["grant_type", "appid", "secret"].map(|name| asked.query(name));
    check(
        simulator,
        [grant.as_deref(), app_id.as_deref(), secret.as_deref()],
        ApiError::WRONG_SECRET_OF_TOKEN,
    )?;
    Ok(answer(lock(&simulator.state.tokens).classic(Instant::now())))
}

fn check(
    simulator: &Simulator,
    [grant, app_id, secret]: [Option<&str>; 3],
    wrong_secret: ApiError,
) -> Result<(), ApiError> {
    let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
    let account = simulator.settings();
    if grant != Some(GRANT) {
        Err(ApiError::INVALID_GRANT_TYPE)
    } else if !given(app_id) {
        Err(ApiError::NO_APP_ID)
    } else if app_id != Some(&account.app_id) {
        Err(ApiError::INVALID_APP_ID)
    } else if !given(secret) {
        Err(ApiError::NO_SECRET)
    } else if secret != Some(&account.app_secret) {
        Err(wrong_secret)
    } else {
        Ok(())
    }
}

fn answer((token, seconds): (String, u64)) -> Value {
    json!({"access_token": token, "expires_in": seconds})
}
