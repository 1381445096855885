//! `/connect/oauth2/authorize`: WeChat asks its person whether a page may know them, and sends them back to it.
//!
//! Errors are pages with WeChat's numbers. The real WeChat wants the parameters in the order of its documentation and the
//! fragment `#wechat_redirect`; browsers do not send fragments, so here only the order is checked.

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, LOCATION};
use server::http::{self as web, Response};
use tokio::time::Instant;

use super::grants::Grant;
use crate::server::Asked;
use crate::{Simulator, lock, random};

/// The parameters, in the order that WeChat's documentation asks for.
const ORDER: [&str; 5] = ["appid", "redirect_uri", "response_type", "scope", "state"];

/// The longest `state`, in characters of `[a-zA-Z0-9]`.
const MAX_STATE: usize = 128;

/// Names the person whose WeChat it is, where there is no cookie: for clients that are no browsers.
pub(super) const PERSON_HEADER: &str = "x-simulated-person";

/// The cookie of the simulated WeChat in a real browser, which names its person.
const PERSON_COOKIE: &str = "simulated-person";

/// An error page of WeChat's.
struct Refused(u32, &'static str);

/// What a page asks for.
struct Wanted {
    redirect_uri: String,
    state: String,
    with_profile: bool,
}

/// Answers a request of WeChat's browser: `authorize`, the person's answer to it, and `login`, which makes a real browser
/// the WeChat of a person.
pub(crate) fn answer(simulator: &Simulator, asked: &Asked) -> Response {
    match asked.path.as_str() {
        "/connect/oauth2/authorize" => authorize(simulator, asked, None),
        "/connect/oauth2/allow" => authorize(simulator, asked, Some(true)),
        "/connect/oauth2/refuse" => authorize(simulator, asked, Some(false)),
        "/connect/phone" => become_phone(simulator, asked),
        _ => page(StatusCode::NOT_FOUND, "404", "<p>nothing is here</p>"),
    }
}

fn authorize(simulator: &Simulator, asked: &Asked, said: Option<bool>) -> Response {
    let wanted = match read(simulator, asked) {
        Ok(wanted) => wanted,
        Err(Refused(number, words)) => {
            let body = format!("<p id=\"error\">{words}</p><p>错误码：{number}</p>");
            return page(StatusCode::OK, "出错了", &body);
        }
    };
    let Some(openid) = person(simulator, asked) else {
        return page(StatusCode::OK, "请在微信客户端打开链接", "<p id=\"error\">请在微信客户端打开链接</p>");
    };
    let is_snapshot = simulator.switches().web().snapshot;
    match said {
        // A snapshot asks nobody.
        None if wanted.with_profile && !is_snapshot => return ask(simulator, &openid, asked),
        Some(false) => return back(&wanted, None),
        _ => {}
    }
    let openid = if is_snapshot { format!("o{}", &random::name::<21>()[1..]) } else { openid };
    let grant = Grant { openid, with_profile: wanted.with_profile, is_snapshot };
    let code = lock(&simulator.state.grants).code(grant, Instant::now());
    back(&wanted, Some(&code))
}

fn read(simulator: &Simulator, asked: &Asked) -> Result<Wanted, Refused> {
    let names: Vec<_> = asked.parameters().map(|(name, _)| name.into_owned()).collect();
    let known: Vec<_> = names.iter().map(String::as_str).filter(|name| ORDER.contains(name)).collect();
    let get = |name: &str| asked.query(name).map(|value| value.into_owned()).unwrap_or_default();
    for (name, number, words) in [
        ("appid", 10010, "缺少 appid 参数"),
        ("redirect_uri", 10011, "缺少 redirect_uri 参数"),
        ("response_type", 10012, "缺少 response_type 参数"),
        ("scope", 10013, "缺少 scope 参数"),
    ] {
        if get(name).is_empty() {
            return Err(Refused(number, words));
        }
    }
    if !ORDER.iter().filter(|name| known.contains(name)).eq(&known) {
        return Err(Refused(10002, "参数的顺序不对"));
    }
    if get("appid") != simulator.settings().app_id {
        return Err(Refused(10016, "这不是公众号的 appid"));
    }
    let redirect_uri = get("redirect_uri");
    if !simulator.allows(&redirect_uri) {
        return Err(Refused(10003, "redirect_uri域名与后台配置不一致"));
    }
    let with_profile = match get("scope").as_str() {
        "snsapi_base" => false,
        "snsapi_userinfo" => true,
        _ => return Err(Refused(10005, "scope 参数错误或没有 scope 权限")),
    };
    if simulator.switches().web().no_permission {
        return Err(Refused(10005, "该公众号没有 scope 权限"));
    }
    let state = get("state");
    if state.len() > MAX_STATE || !state.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Refused(10002, "state 参数只能是 128 个以内的字母和数字"));
    }
    Ok(Wanted { redirect_uri, state, with_profile })
}

impl Simulator {
    /// Whether the account's console has the host of `uri` as a domain of web authorizations. Without any setting it has
    /// those of this machine.
    fn allows(&self, uri: &str) -> bool {
        let Ok(url) = reqwest::Url::parse(uri) else { return false };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let domains = &self.settings().web_domains;
        match domains.is_empty() {
            true => host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
            false => domains.iter().any(|domain| domain == host),
        }
    }
}

/// Whose WeChat it is.
fn person(simulator: &Simulator, asked: &Asked) -> Option<String> {
    let cookie = || {
        let cookies = asked.header("cookie")?;
        let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == PERSON_COOKIE).map(|(_, value)| value.to_owned())
    };
    let openid = asked.header(PERSON_HEADER).map(str::to_owned).or_else(cookie)?;
    simulator.person(&openid).map(|person| person.openid)
}

/// The page that asks the person.
fn ask(simulator: &Simulator, openid: &str, asked: &Asked) -> Response {
    let name = simulator.person(openid).map(|person| person.nickname).unwrap_or_default();
    let fields: String = asked
        .parameters()
        .map(|(name, value)| {
            format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escaped(&name), escaped(&value))
        })
        .collect();
    let body = format!(
        "<p>申请获取你的昵称、头像：{}</p>\
         <form action=\"/connect/oauth2/allow\">{fields}<button id=\"allow\">允许</button></form>\
         <form action=\"/connect/oauth2/refuse\">{fields}<button id=\"refuse\">拒绝</button></form>",
        escaped(&name)
    );
    page(StatusCode::OK, "微信登录", &body)
}

/// Sends the person back, with a code or without.
fn back(wanted: &Wanted, code: Option<&str>) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(code.map(|code| ("code", code)));
    query.append_pair("state", &wanted.state);
    let joint = if wanted.redirect_uri.contains('?') { '&' } else { '?' };
    redirect(&format!("{}{joint}{}", wanted.redirect_uri, query.finish()))
}

/// Makes a real browser the WeChat of a person, and opens a page in it.
fn become_phone(simulator: &Simulator, asked: &Asked) -> Response {
    let openid = asked.query("openid").unwrap_or_default().into_owned();
    let url = asked.query("url").unwrap_or_default();
    if simulator.person(&openid).is_none() || !(url.starts_with("http://") || url.starts_with("https://")) {
        return page(StatusCode::BAD_REQUEST, "400", "<p>openid must be a person's, and url an address</p>");
    }
    let mut answer = redirect(&url);
    if let Ok(cookie) = HeaderValue::from_str(&format!("{PERSON_COOKIE}={openid}; Path=/connect; HttpOnly")) {
        answer.headers_mut().insert("set-cookie", cookie);
    }
    answer
}

fn redirect(location: &str) -> Response {
    let mut answer = web::text(StatusCode::FOUND, "");
    match HeaderValue::from_str(location) {
        Ok(location) => drop(answer.headers_mut().insert(LOCATION, location)),
        Err(_) => *answer.status_mut() = StatusCode::BAD_REQUEST,
    }
    answer
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let text = format!(
        "<!doctype html><html lang=\"zh-CN\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><link rel=\"icon\" href=\"data:,\"><h1>{title}</h1>{body}"
    );
    let mut answer = web::answer(status, "text/html; charset=utf-8", text);
    // WeChat's page lets nobody frame it either.
    let policy = HeaderValue::from_static("default-src 'none'; img-src data:; frame-ancestors 'none'");
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    answer
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
