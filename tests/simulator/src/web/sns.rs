//! `sns/oauth2/access_token` and `sns/userinfo`: whose a code is. They take the AppSecret or the person's own token, and not
//! the account's access token.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::grants::Worthless;
use crate::api::ApiError;
use crate::server::Asked;
use crate::{Simulator, lock};

/// Answers `GET /sns/oauth2/access_token`.
pub(crate) fn token(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    let settings = simulator.settings();
    let app_id = asked.query("appid").ok_or(ApiError::NO_APP_ID)?;
    let secret = asked.query("secret").ok_or(ApiError::NO_SECRET)?;
    let code = asked.query("code").ok_or(ApiError::NO_CODE)?;
    if app_id != settings.app_id {
        return Err(ApiError::INVALID_APP_ID);
    }
    if secret != settings.app_secret {
        return Err(ApiError::INVALID_SECRET);
    }
    if asked.query("grant_type").as_deref() != Some("authorization_code") {
        return Err(ApiError::INVALID_GRANT_TYPE);
    }
    let exchanged = lock(&simulator.state.grants).exchange(&code, Instant::now());
    let (token, grant) = exchanged.map_err(|worthless| match worthless {
        Worthless::Unknown => ApiError::INVALID_CODE,
        Worthless::Used => ApiError::USED_CODE,
    })?;
    let mut answer = json!({
        "access_token": token,
        "expires_in": 7200,
        "refresh_token": format!("refresh{}", grant.openid),
        "openid": grant.openid,
        "scope": if grant.with_profile { "snsapi_userinfo" } else { "snsapi_base" },
    });
    if grant.is_snapshot {
        answer["is_snapshotuser"] = 1.into();
    }
    if grant.with_profile && settings.unionids {
        answer["unionid"] = lock(&simulator.state.people).unionid(&grant.openid).into();
    }
    Ok(answer)
}

/// Answers `GET /sns/userinfo`.
pub(crate) fn user(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    let token = asked.query("access_token").ok_or(ApiError::NO_TOKEN)?;
    let openid = asked.query("openid").ok_or(ApiError::NO_OPENID)?;
    let grant = lock(&simulator.state.grants).of_token(&token).ok_or(ApiError::INVALID_TOKEN)?;
    if grant.openid != openid {
        return Err(ApiError::INVALID_OPENID);
    }
    if !grant.with_profile {
        return Err(ApiError::UNAUTHORIZED);
    }
    let nickname = simulator.person(&openid).map_or_else(|| "微信用户".to_owned(), |person| person.nickname);
    let mut info = json!({
        "openid": openid,
        "nickname": nickname,
        "sex": 0,
        "province": "",
        "city": "",
        "country": "",
        "headimgurl": format!("https://thirdwx.qlogo.cn/mmopen/{openid}/132"),
        "privilege": [],
    });
    if simulator.settings().unionids {
        info["unionid"] = lock(&simulator.state.people).unionid(&openid).into();
    }
    Ok(info)
}
