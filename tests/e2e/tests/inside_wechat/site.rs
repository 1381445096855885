//! `/authorize` inside WeChat: nobody can scan their own screen, so WeChat says who looks at it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use simulator::{Client, Settings};

use crate::stage::{Stage, shows};

const VERIFIER: &str = "0123456789-0123456789-0123456789-0123456789";

pub(crate) fn authorize(stage: &Stage, site: &str, more: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    format!(
        "{}/authorize?client_id={site}&redirect_uri=https%3A%2F%2F{site}.example%2Fcb&response_type=code&scope=openid\
         %20profile&state=s1&nonce=n1&code_challenge={challenge}&code_challenge_method=S256{more}",
        stage.issuer()
    )
}

/// A parameter of an address.
fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let query = query.trim_end_matches('#');
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// What the site learns by the answer at `url`: of `/userinfo`, and of the ID token.
pub(crate) async fn redeemed(stage: &Stage, site: &str, url: &str) -> (Value, Value) {
    assert!(url.starts_with(&format!("https://{site}.example/cb?")), "{url}");
    assert_eq!(parameter(url, "state").as_deref(), Some("s1"));
    let code = parameter(url, "code").unwrap_or_else(|| panic!("no code in {url}"));
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", site),
        ("code", &code),
        ("redirect_uri", &format!("https://{site}.example/cb")),
        ("code_verifier", VERIFIER),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}/token", stage.issuer()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    let tokens: Value = request.send().await.unwrap().json().await.unwrap();
    let access = tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}"));
    let request = http.get(format!("{}/userinfo", stage.issuer())).bearer_auth(access);
    let info = request.send().await.unwrap().json().await.unwrap();
    let claims = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    (info, serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap())
}

#[tokio::test]
async fn a_site_that_asks_nobody_has_its_answer_at_once_and_a_session_follows() {
    let stage = Stage::start("base", &[]).await;
    let (openid, mut webview) = stage.somebody();
    let answer = webview.open(&authorize(&stage, "quick", "")).await.unwrap();
    let (info, claims) = redeemed(&stage, "quick", &answer.url).await;
    assert_eq!((info["sub"].as_str(), claims["nonce"].as_str()), (Some(openid.as_str()), Some("n1")));
    assert_eq!(claims["acr"], "urn:saoma:scan-confirmed", "there is no second device");
    // The session that has begun answers the next site, also one that wants a confirmed login, and without a page.
    let answer = webview.open(&authorize(&stage, "asks", "&prompt=none")).await.unwrap();
    assert_eq!(redeemed(&stage, "asks", &answer.url).await.0["sub"], openid.as_str());
    assert_eq!(stage.exchanges(), 1);
}

#[tokio::test]
async fn a_site_that_wants_logins_confirmed_has_them_after_a_tap() {
    let stage = Stage::start("base", &[]).await;
    for (language, client, words) in
        [("zh_CN", Client::Phone, "用微信登录"), ("en", Client::Desktop, "Log in with WeChat")]
    {
        let (openid, mut webview) = stage.speaking(language, client);
        let tap = webview.open(&authorize(&stage, "asks", "")).await.unwrap();
        shows(&tap, 200, words);
        assert!(tap.body.contains("问一问"), "{}", tap.body);
        let answer = webview.press(&tap, "go").await.unwrap();
        assert_eq!(redeemed(&stage, "asks", &answer.url).await.0["sub"], openid.as_str());
        // Its request has had its answer.
        let used = webview.press(&tap, "go").await.unwrap();
        assert_eq!(used.status, 400, "{used:?}");
    }
    // Whoever wants somebody to log in anew gets a tap, too.
    let (_, mut webview) = stage.somebody();
    webview.open(&authorize(&stage, "quick", "")).await.unwrap();
    shows(&webview.open(&authorize(&stage, "quick", "&prompt=login")).await.unwrap(), 200, "用微信登录");
}

#[tokio::test]
async fn other_ways_lead_to_the_login_page_and_back_leads_to_the_site() {
    let stage = Stage::start("base", &[]).await;
    let (_, mut webview) = stage.somebody();
    let tap = webview.open(&authorize(&stage, "asks", "")).await.unwrap();
    let page = webview.follow(&tap, "other").await.unwrap();
    assert!(page.body.contains("data-request="), "{}", page.body);
    let back = webview.follow(&tap, "back").await;
    assert!(back.is_err(), "the site is not there");
    assert!(tap.body.contains("error=access_denied"), "{}", tap.body);
    // Other browsers have the login page at once, and so has WeCom.
    let (_, mut other) = stage.speaking("zh_CN", Client::Other);
    let page = other.open(&authorize(&stage, "asks", "")).await.unwrap();
    assert!(page.body.contains("data-request="), "{}", page.body);
}

#[tokio::test]
async fn nickname_picture_and_unionid_reach_the_site_where_the_person_agrees() {
    let wechat = Settings { unionids: true, ..Settings::default() };
    let stage = Stage::with(wechat, "userinfo", &["--callback-user-info-within=0s"]).await;
    let (openid, mut webview) = stage.somebody();
    // Also a site that asks nobody waits for the tap that WeChat wants.
    let tap = webview.open(&authorize(&stage, "quick", "")).await.unwrap();
    let asked = webview.press(&tap, "go").await.unwrap();
    let refused = webview.press(&asked, "refuse").await.unwrap();
    shows(&refused, 200, "你没有允许微信授权");
    assert!(refused.body.contains("https://quick.example/cb?error=access_denied"), "{}", refused.body);
    let asked = webview.follow(&refused, "again").await.unwrap();
    let answer = webview.press(&asked, "allow").await.unwrap();
    let (info, _) = redeemed(&stage, "quick", &answer.url).await;
    let name = stage.stack.wechat.person(&openid).unwrap().nickname;
    assert_eq!(info["name"], name.as_str());
    assert!(info["unionid"].as_str().unwrap().starts_with("union"), "{info}");
    assert!(info["picture"].as_str().unwrap().starts_with("https://"), "{info}");
}

#[tokio::test]
async fn a_page_that_is_loaded_again_answers_the_same() {
    let stage = Stage::start("base", &[]).await;
    let (openid, mut webview) = stage.somebody();
    webview.stop_at = Some(format!("{}/login/back", stage.issuer()));
    let back = webview.open(&authorize(&stage, "quick", "")).await.unwrap().url;
    webview.stop_at = Some("https://".to_owned());
    let first = webview.open(&back).await.unwrap();
    let second = webview.open(&back).await.unwrap();
    assert_eq!(first.url, second.url, "the same code");
    assert_eq!(stage.exchanges(), 1);
    assert_eq!(redeemed(&stage, "quick", &second.url).await.0["sub"], openid.as_str());
}

/// Whoever has the phone next finds the page in the browser's history.
#[tokio::test]
async fn a_page_that_is_loaded_again_after_a_logout_logs_nobody_in() {
    let stage = Stage::start("base", &[]).await;
    let (_, mut webview) = stage.somebody();
    let back = format!("{}/login/back", stage.issuer());
    webview.open(&authorize(&stage, "quick", "")).await.unwrap();
    // The session that is there goes on under its name.
    let tap = webview.open(&authorize(&stage, "quick", "&prompt=login")).await.unwrap();
    webview.stop_at = Some(back);
    let back = webview.press(&tap, "go").await.unwrap().url;
    webview.stop_at = Some("https://".to_owned());
    let first = webview.open(&back).await.unwrap();
    let ask = webview.open(&format!("{}/logout", stage.issuer())).await.unwrap();
    shows(&webview.press(&ask, "yes").await.unwrap(), 200, "已退出登录");
    let second = webview.open(&back).await.unwrap();
    assert_eq!(first.url, second.url, "the same code, which is good once");
    let silent = webview.open(&authorize(&stage, "quick", "&prompt=none")).await.unwrap();
    assert_eq!(parameter(&silent.url, "error").as_deref(), Some("login_required"), "{}", silent.url);
}

#[tokio::test]
async fn a_request_of_another_browser_is_refused() {
    let stage = Stage::start("base", &[]).await;
    let (_, mut thief) = stage.somebody();
    let (_, mut person) = stage.somebody();
    let tap = thief.open(&authorize(&stage, "asks", "")).await.unwrap();
    // The person has a cookie of their own.
    person.open(&authorize(&stage, "asks", "")).await.unwrap();
    shows(&person.press(&tap, "go").await.unwrap(), 400, "不是在这里开始的");
    thief.stop_at = Some(format!("{}/login/back", stage.issuer()));
    let stolen = thief.press(&tap, "go").await.unwrap().url;
    shows(&person.open(&stolen).await.unwrap(), 403, "不是在这里打开的");
    assert_eq!(stage.exchanges(), 0);
}

#[tokio::test]
async fn another_person_than_the_hint_names_is_told_to_the_site() {
    let stage = Stage::start("base", &[]).await;
    let (_, mut first) = stage.somebody();
    let answer = first.open(&authorize(&stage, "quick", "")).await.unwrap();
    let code = parameter(&answer.url, "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "quick"),
        ("code", &code),
        ("redirect_uri", "https://quick.example/cb"),
        ("code_verifier", VERIFIER),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}/token", stage.issuer()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    let tokens: Value = request.send().await.unwrap().json().await.unwrap();
    let hint = format!("&id_token_hint={}", tokens["id_token"].as_str().unwrap());
    let (_, mut second) = stage.somebody();
    let answer = second.open(&authorize(&stage, "quick", &hint)).await.unwrap();
    assert_eq!(parameter(&answer.url, "error").as_deref(), Some("login_required"), "{}", answer.url);
}
