//! The modules of the Basic OP plan about what a site asks to know. A claim is told where its scope was asked for, at
//! `/userinfo`, and nowhere else.

use serde_json::Value;

use crate::agent::Agent;
use crate::parameters::Parameters;
use crate::provider::{Running, Setup};
use crate::relying_party::{Site, Tokens, came_back, came_back_with, post, random};

/// What a person's record says with the scope `profile`.
const PROFILE: [&str; 3] = ["name", "nickname", "preferred_username"];

/// Standard claims that nobody can know here.
const UNKNOWN: [&str; 3] = ["address", "phone_number", "phone_number_verified"];

async fn log_in(site: &Site, scope: &str) -> (Running, Tokens) {
    let provider = Running::with(Setup { sites: vec![site.clone()], ..Setup::default() }).await;
    let mut agent = Agent::new(&provider);
    let request = site.request().with("scope", scope);
    let tokens = site.log_in(&mut agent, &request, &provider.person()).await;
    for claim in tokens.person.as_object().unwrap().values() {
        assert!(!claim.is_null() && claim.as_str().is_none_or(|text| !text.trim().is_empty()), "{tokens:?}");
    }
    (provider, tokens)
}

fn has(person: &Value, names: &[&str]) -> bool {
    names.iter().all(|name| person.get(name).is_some())
}

fn has_none(person: &Value, names: &[&str]) -> bool {
    names.iter().all(|name| person.get(name).is_none())
}

async fn advertises(provider: &Running, scope: &str) -> bool {
    provider.discovery().await["scopes_supported"].as_array().unwrap().contains(&scope.into())
}

/// The suite warns that a person has no birthday and the like. Nobody here knows one.
#[tokio::test]
async fn oidcc_scope_profile() {
    let (provider, tokens) = log_in(&Site::shop(), "openid profile").await;
    assert!(advertises(&provider, "profile").await);
    assert!(has(&tokens.person, &PROFILE) && tokens.is_bare(), "{tokens:?}");
    let text = |name: &str| tokens.person[name].as_str().unwrap();
    assert!(text("name").starts_with("微信用户"), "{tokens:?}");
    let own = text("preferred_username").strip_prefix("wx_").unwrap();
    assert!(own.len() == 12 && own.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')), "{own}");
    assert!(has_none(&tokens.person, &["email", "email_verified"]), "{tokens:?}");
}

#[tokio::test]
async fn oidcc_scope_email() {
    let (provider, tokens) = log_in(&Site::shop(), "openid email").await;
    assert!(advertises(&provider, "email").await);
    judge_email(&tokens);
}

fn judge_email(tokens: &Tokens) {
    let (local, domain) = tokens.person["email"].as_str().unwrap().split_once('@').unwrap();
    assert_eq!((local.len(), domain), (12, "wx.example.cn"), "{tokens:?}");
    assert_eq!(tokens.person["email_verified"], false);
    // Neither was asked for, and the suite warns of what was not asked for.
    assert!(has_none(&tokens.person, &PROFILE) && tokens.is_bare(), "{tokens:?}");
}

/// The suite skips it where the scope is not advertised.
#[tokio::test]
async fn oidcc_scope_address() {
    let (provider, tokens) = log_in(&Site::shop(), "openid address").await;
    assert!(!advertises(&provider, "address").await);
    assert!(has_none(&tokens.person, &UNKNOWN), "{tokens:?}");
}

/// The suite skips it where the scope is not advertised.
#[tokio::test]
async fn oidcc_scope_phone() {
    let (provider, tokens) = log_in(&Site::shop(), "openid phone").await;
    assert!(!advertises(&provider, "phone").await);
    assert!(has_none(&tokens.person, &UNKNOWN), "{tokens:?}");
}

/// The suite skips it where one of them is not advertised. Sites ask for all of them, and must get what there is.
#[tokio::test]
async fn oidcc_scope_all() {
    let (_provider, tokens) = log_in(&Site::shop(), "openid email phone address profile groups").await;
    assert!(has(&tokens.person, &PROFILE) && has(&tokens.person, &["email"]), "{tokens:?}");
    assert!(has_none(&tokens.person, &UNKNOWN), "{tokens:?}");
    let mut granted: Vec<_> = tokens.scope.split(' ').collect();
    granted.sort_unstable();
    assert_eq!(granted, ["email", "openid", "profile"]);
}

#[tokio::test]
async fn oidcc_alternate_happy_flow() {
    let shop = Site::shop();
    let provider = Running::start().await;
    let mut agent = Agent::new(&provider);
    let request = shop.request().with("scope", "email openid").reversed();
    judge_email(&shop.log_in(&mut agent, &request, &provider.person()).await);
}

/// A claim that is asked for by name is given; whatever else is in `claims` is ignored, and discovery says so.
#[tokio::test]
async fn oidcc_claims_essential() {
    let provider = Running::start().await;
    let (mut agent, shop) = (Agent::new(&provider), Site::shop());
    let request = shop.request().with("claims", r#"{"userinfo":{"name":{"essential":true}}}"#);
    let tokens = shop.log_in(&mut agent, &request, &provider.person()).await;
    assert!(tokens.is_bare(), "the ID token was not asked for it: {tokens:?}");
    assert!(has(&tokens.person, &["name"]), "{tokens:?}");
    assert_eq!(provider.discovery().await["claims_parameter_supported"], false);
    let request = request.with("claims", "{\"userinfo\": [").with("scope", "openid profile");
    let tokens = shop.log_in(&mut agent, &request.with("prompt", "login"), &provider.person()).await;
    assert!(has(&tokens.person, &["name"]), "{tokens:?}");
}

#[tokio::test]
async fn a_site_without_an_email_domain_gets_no_email() {
    let cafe = Site::cafe();
    let (provider, tokens) = log_in(&cafe, "openid profile email").await;
    assert!(has_none(&tokens.person, &["email", "email_verified"]), "{tokens:?}");
    assert!(!advertises(&provider, "email").await);
}

#[tokio::test]
async fn a_site_may_have_the_claims_in_the_id_token_too() {
    let site = Site::shop().and("id_token_claims = true");
    let (_provider, tokens) = log_in(&site, "openid profile email").await;
    for name in ["name", "nickname", "preferred_username", "email", "email_verified"] {
        assert_eq!(tokens.claims[name], tokens.person[name], "{name}: {tokens:?}");
    }
}

#[tokio::test]
async fn a_request_without_openid_gets_no_id_token() {
    let provider = Running::start().await;
    let (mut agent, shop) = (Agent::new(&provider), Site::shop());
    for request in [shop.request().with("scope", "profile"), shop.request().without("scope")] {
        let person = provider.person();
        let answer = agent.log_in(&request.clone().with("prompt", "login"), &person).await;
        let code = came_back(&provider, &request, &answer);
        let answer = shop.redeem(&provider, &shop.grant(&code)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let said = answer.json();
        assert!(said.get("id_token").is_none() && said["access_token"].is_string(), "{said}");
    }
}

#[tokio::test]
async fn the_same_person_is_the_same_at_every_login_and_two_are_two() {
    let provider = Running::start().await;
    let (shop, cafe) = (Site::shop(), Site::cafe());
    let (first, second) = (provider.person(), provider.person());
    let mut seen = Vec::new();
    for (site, person) in [(&shop, &first), (&cafe, &first), (&shop, &second)] {
        let request = site.request().with("scope", "openid profile");
        let tokens = site.log_in(&mut Agent::new(&provider), &request, person).await;
        assert_eq!(tokens.person["sub"], person.as_str());
        seen.push(tokens.person["preferred_username"].clone());
    }
    assert!(seen[0] == seen[1] && seen[0] != seen[2], "{seen:?}");
}

#[tokio::test]
async fn an_access_token_is_for_nothing_else() {
    let provider = Running::start().await;
    let (mut agent, shop) = (Agent::new(&provider), Site::shop());
    let tokens = shop.log_in(&mut agent, &shop.request(), &provider.person()).await;
    // In a query it would be in every log on the way.
    let path = format!("/userinfo?access_token={}", tokens.access_token);
    assert_eq!(agent.get(&path).await.status, 401);
    let twice = Parameters::of(&[("access_token", &tokens.access_token)]);
    let header = format!("Bearer {}", tokens.access_token);
    assert_eq!(post(&provider, "/userinfo", &twice, Some(&header)).await.status, 400);
    let wrong = post(&provider, "/userinfo", &Parameters::of(&[("access_token", &random())]), None).await;
    assert_eq!(wrong.status, 401);
}

/// A provider whose account tells of the people's unionids or not, and a site that knows people by these.
async fn known_by_unionid(unionids: bool) -> (Running, Site) {
    let site = Site::shop().and("subject = \"unionid\"");
    let wechat = simulator::Settings { unionids, ..simulator::Settings::default() };
    let sites = vec![site.clone(), Site::cafe()];
    (Running::with(Setup { sites, wechat, ..Setup::default() }).await, site)
}

#[tokio::test]
async fn a_site_may_know_people_by_their_unionid() {
    let (provider, shop) = known_by_unionid(true).await;
    let (mut agent, person) = (Agent::new(&provider), provider.person());
    let request = shop.request().with("scope", "openid profile");
    let tokens = shop.log_in(&mut agent, &request, &person).await;
    let unionid = tokens.person["sub"].as_str().unwrap();
    assert!(unionid.starts_with("union") && unionid != person, "{tokens:?}");
    assert_eq!(tokens.person["unionid"], unionid);

    // Its hints name the person so, too.
    let hinted = shop.request().with("id_token_hint", &tokens.id_token).with("prompt", "none");
    let answer = agent.authorize(&hinted).await;
    shop.finish(&provider, &hinted, &answer).await;
    let hinted = shop.request().with("id_token_hint", &tokens.id_token).with("prompt", "login");
    let again = shop.log_in(&mut agent, &hinted, &person).await;
    assert_eq!(again.claims["sub"], unionid);
    let other = provider.person();
    let answer = agent.log_in(&hinted, &other).await;
    came_back_with(&provider, &hinted, &answer, "login_required");

    let cafe = Site::cafe();
    let request = cafe.request().with("scope", "openid profile");
    let tokens = cafe.log_in(&mut Agent::new(&provider), &request, &person).await;
    assert_eq!((&tokens.person["sub"], &tokens.person["unionid"]), (&person.into(), &unionid.into()));
}

#[tokio::test]
async fn who_has_no_unionid_is_refused_by_such_a_site() {
    let (provider, shop) = known_by_unionid(false).await;
    let handle = Agent::new(&provider).authorize(&shop.request()).await.handle();
    let mut page = provider.page(&handle).await;
    let shown = page.code().await;
    let delivery = provider.wechat.scan(&provider.person(), &shown.content).await.unwrap();
    let words = delivery.reply.unwrap_or_default();
    assert!(!words.is_empty() && !words.contains("登录成功") && !words.contains("欢迎回来"), "{words}");
    page.expect("scanned").await;
    page.expect("denied").await;
}
