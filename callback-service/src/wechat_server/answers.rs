//! The answers of wechat-server's protocol: JSON, and status 200 whatever they say. The words are for people, whom sites
//! show them, and wechat-server's own where it has them.

use http::StatusCode;
use serde::Serialize;
use server::http::{self as web, Response};

/// A token that is absent or wrong.
pub(super) const NO_RIGHT: &str = "无权进行此操作，未登录或 token 无效";

/// A code that is absent or empty.
pub(super) const NO_CODE: &str = "无效的参数";

/// The site has asked about too many wrong codes.
pub(super) const TOO_MANY: &str = "验证码错误次数过多，请稍后再试";

/// The store or WeChat does not answer.
pub(super) const BUSY: &str = "系统繁忙，请稍后再试";

/// A login that is not known, or not any more.
pub(super) const NO_LOGIN: &str = "登录令牌无效或已过期";

/// A login's token that is absent.
pub(super) const NO_LOGIN_TOKEN: &str = "缺少login_token参数";

/// QR codes are asked for too fast.
pub(super) const TOO_FAST: &str = "生成二维码过于频繁，请稍后再试";

/// The day's QR codes are used up.
pub(super) const SPENT: &str = "今天的二维码次数已用完，请改用验证码登录";

/// The account may make no QR codes.
pub(super) const NO_PERMISSION: &str =
    "该公众号没有生成带参数二维码的权限（48001，需要已认证的服务号），请改用验证码登录";

/// A failure.
#[derive(Serialize)]
struct Failed<'a> {
    message: &'a str,
    success: bool,
}

/// Whose a code is; empty for nobody's.
#[derive(Serialize)]
struct User<'a> {
    message: &'static str,
    success: bool,
    data: &'a str,
}

/// The account's access token.
#[derive(Serialize)]
struct AccessToken<'a> {
    success: bool,
    message: &'static str,
    access_token: &'a str,
    /// In seconds.
    expiration: u64,
}

/// What the extension answers.
#[derive(Serialize)]
struct WithData<'a, D> {
    success: bool,
    data: D,
    message: &'a str,
}

/// A new QR code.
#[derive(Serialize)]
pub(super) struct QrCode<'a> {
    pub scene_id: &'a str,
    /// WeChat's picture.
    pub qrcode_url: &'a str,
    pub login_token: &'a str,
    pub expire_seconds: u64,
}

/// What has become of a login.
#[derive(Serialize)]
struct Status<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wechat_user: Option<WeChatUser<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_code: Option<&'a str>,
}

#[derive(Serialize)]
struct WeChatUser<'a> {
    openid: &'a str,
}

pub(super) fn failed(message: &str) -> Response {
    json(&Failed { message, success: false })
}

pub(super) fn user(openid: &str) -> Response {
    json(&User { message: "", success: true, data: openid })
}

pub(super) fn access_token(access_token: &str, expiration: u64) -> Response {
    json(&AccessToken { success: true, message: "", access_token, expiration })
}

pub(super) fn qr_code(code: &QrCode<'_>) -> Response {
    json(&WithData { success: true, data: code, message: "" })
}

pub(super) fn waiting() -> Response {
    status("pending", None)
}

pub(super) fn over() -> Response {
    status("expired", None)
}

pub(super) fn succeeded(openid: &str, auth_code: &str) -> Response {
    status("success", Some((openid, auth_code)))
}

fn status(status: &'static str, who: Option<(&str, &str)>) -> Response {
    let (wechat_user, auth_code) = who.map(|(openid, code)| (WeChatUser { openid }, code)).unzip();
    json(&WithData { success: true, data: Status { status, wechat_user, auth_code }, message: "" })
}

/// There is no such login.
pub(super) fn no_login(message: &str) -> Response {
    json(&WithData {
        success: false,
        data: Status { status: "", wechat_user: None, auth_code: None },
        message,
    })
}

fn json(body: &impl Serialize) -> Response {
    // Structs of texts and numbers can always be written.
    let body = serde_json::to_vec(body).unwrap_or_default();
    web::answer(StatusCode::OK, "application/json; charset=utf-8", body)
}
