//! `user/info`, with the fields that WeChat still gives.

use serde_json::{Value, json};

use super::authorized;
use super::error::ApiError;
use crate::codes::Scene;
use crate::server::Asked;
use crate::{Simulator, lock};

/// Answers `GET /cgi-bin/user/info`.
pub(super) fn answer(simulator: &Simulator, asked: &Asked) -> Result<Value, ApiError> {
    authorized(simulator, asked)?;
    let openid = asked.query("openid").ok_or(ApiError::NO_OPENID)?;
    let people = lock(&simulator.state.people);
    let person = people.get(&openid).ok_or(ApiError::INVALID_OPENID)?;
    let Some(follow) = people.followed(&openid) else {
        return Ok(json!({"subscribe": 0, "openid": openid}));
    };
    let (number, text) = match &follow.scene {
        Some(Scene::Number(number)) => (*number, ""),
        Some(Scene::Text(text)) => (0, text.as_str()),
        None => (0, ""),
    };
    let way = match follow.scene {
        Some(_) => "ADD_SCENE_QR_CODE",
        None => "ADD_SCENE_SEARCH",
    };
    let mut info = json!({
        "subscribe": 1,
        "openid": openid,
        "subscribe_time": follow.at,
        "remark": "",
        "groupid": 0,
        "tagid_list": [],
        "subscribe_scene": way,
        "qr_scene": number,
        "qr_scene_str": text,
    });
    if simulator.settings().nicknames {
        info["nickname"] = person.nickname.into();
        info["headimgurl"] = "".into();
    }
    if simulator.settings().languages {
        info["language"] = person.language.into();
    }
    if simulator.settings().unionids {
        info["unionid"] = people.unionid(&openid).into();
    }
    Ok(info)
}
