//! The Basic OP plan: each module by its name, with what the suite calls a failure and what it only warns of. Those about
//! sessions are in [`crate::sessions`], and those about what a site asks to know in [`crate::scopes`].

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::parameters::Parameters;
use crate::provider::Running;
use crate::relying_party::{
    Authentication, Site, Tokens, came_back, came_back_with, is_refused, pkce, post, random, userinfo,
};

/// What every module begins with: a provider, a browser without cookies, and a site.
async fn begun() -> (Running, Agent, Site) {
    let provider = Running::start().await;
    let agent = Agent::new(&provider);
    (provider, agent, Site::shop())
}

/// Whole logins, each in a browser of its own, with a parameter more.
async fn log_in_with<const N: usize>(name: &str, values: [&str; N]) -> [Tokens; N] {
    let (provider, _, shop) = begun().await;
    let logins = values.map(async |value| {
        let request = shop.request().with(name, value);
        shop.log_in(&mut Agent::new(&provider), &request, &provider.person()).await
    });
    join_all(logins).await.try_into().unwrap()
}

#[tokio::test]
async fn oidcc_server() {
    let (provider, mut agent, shop) = begun().await;
    let person = provider.person();
    let tokens = shop.log_in(&mut agent, &shop.request(), &person).await;
    assert_eq!(tokens.claims["sub"], person.as_str(), "the openid");
    assert_eq!(tokens.scope, "openid");
    assert!(tokens.is_bare(), "{}", tokens.claims);
}

#[tokio::test]
async fn oidcc_server_client_secret_post() {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request();
    let answer = agent.log_in(&request, &provider.person()).await;
    let mut code = came_back(&provider, &request, &answer);
    // One-api posts JSON, and OAuth 2.1 sends no redirect URI.
    for (as_json, without) in [(false, ""), (false, "redirect_uri"), (true, ""), (true, "redirect_uri")] {
        let grant = shop.grant(&code).without(without);
        let answer = match as_json {
            false => shop.redeem_by(&provider, Authentication::Post, &grant).await,
            true => shop.redeem_as_json(&provider, Authentication::Post, &grant).await,
        };
        shop.take(&provider, &request, &answer).await;
        code = came_back(&provider, &request, &agent.authorize(&request).await);
    }
    let answer = shop.redeem_as_json(&provider, Authentication::Basic, &shop.grant(&code)).await;
    shop.take(&provider, &request, &answer).await;
}

#[tokio::test]
async fn oidcc_response_type_missing() {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request().without("response_type");
    came_back_with(&provider, &request, &agent.authorize(&request).await, "invalid_request");
}

#[tokio::test]
async fn oidcc_idtoken_signature() {
    let (provider, mut agent, shop) = begun().await;
    let tokens = shop.log_in(&mut agent, &shop.request(), &provider.person()).await;
    let header = tokens.id_token.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(header["alg"], "RS256", "{header}");
    assert!(header["kid"].as_str().is_some_and(|kid| !kid.is_empty()), "{header}");
}

/// The suite skips this where `none` is not advertised.
#[tokio::test]
async fn oidcc_idtoken_unsigned() {
    let [tokens] = log_in_with("id_token_signed_response_alg", ["none"]).await;
    assert_eq!(tokens.id_token.split('.').filter(|part| !part.is_empty()).count(), 3);
    let provider = Running::start().await;
    assert_eq!(provider.discovery().await["id_token_signing_alg_values_supported"], json!(["RS256"]));
}

#[tokio::test]
async fn oidcc_userinfo_get() {
    let (provider, mut agent, shop) = begun().await;
    let tokens = shop.log_in(&mut agent, &shop.request(), &provider.person()).await;
    let answer = userinfo(&provider, &tokens.access_token).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    assert_eq!(answer.json(), tokens.person);
    let refused = userinfo(&provider, "guessed").await;
    is_refused(&refused, 401, "invalid_token");
    assert!(refused.header("www-authenticate").starts_with("Bearer "), "{refused:?}");
}

#[tokio::test]
async fn oidcc_userinfo_post_header() {
    let (provider, mut agent, shop) = begun().await;
    let tokens = shop.log_in(&mut agent, &shop.request(), &provider.person()).await;
    let header = format!("Bearer {}", tokens.access_token);
    let answer = post(&provider, "/userinfo", &Parameters::default(), Some(&header)).await;
    assert_eq!((answer.status, answer.json()), (200, tokens.person));
}

#[tokio::test]
async fn oidcc_userinfo_post_body() {
    let (provider, mut agent, shop) = begun().await;
    let tokens = shop.log_in(&mut agent, &shop.request(), &provider.person()).await;
    let form = Parameters::of(&[("access_token", &tokens.access_token)]);
    let answer = post(&provider, "/userinfo", &form, None).await;
    assert_eq!((answer.status, answer.json()), (200, tokens.person));
}

#[tokio::test]
async fn oidcc_ensure_request_without_nonce_succeeds_for_code_flow() {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request().without("nonce");
    let tokens = shop.log_in(&mut agent, &request, &provider.person()).await;
    assert!(tokens.claims.get("nonce").is_none(), "{}", tokens.claims);
}

#[tokio::test]
async fn oidcc_display_page() {
    log_in_with("display", ["page"]).await;
}

#[tokio::test]
async fn oidcc_display_popup() {
    log_in_with("display", ["popup"]).await;
}

#[tokio::test]
async fn oidcc_ensure_request_with_unknown_parameter_succeeds() {
    log_in_with("extra", ["foobar"]).await;
}

#[tokio::test]
async fn oidcc_login_hint() {
    log_in_with("login_hint", ["buffy@id.example.cn"]).await;
}

#[tokio::test]
async fn oidcc_ui_locales() {
    log_in_with("ui_locales", ["se", "zh-CN", "en zh-CN", "not a language", ""]).await;
}

#[tokio::test]
async fn oidcc_claims_locales() {
    log_in_with("claims_locales", ["se"]).await;
}

#[tokio::test]
async fn oidcc_ensure_request_with_acr_values_succeeds() {
    // What is asked for that is not there is no error either.
    let logins =
        log_in_with("acr_values", ["urn:saoma:scan", "urn:saoma:scan urn:saoma:scan-confirmed", "1 2"]).await;
    assert!(logins.iter().all(|tokens| tokens.claims["acr"] == "urn:saoma:scan"), "{logins:?}");
}

/// Redeems a code twice, with time between. The second time is refused, and takes the first time's token back.
async fn reuse_after(pause: Duration) {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request();
    let answer = agent.log_in(&request, &provider.person()).await;
    let code = came_back(&provider, &request, &answer);
    let tokens = shop.take(&provider, &request, &shop.redeem(&provider, &shop.grant(&code)).await).await;
    tokio::time::sleep(pause).await;
    is_refused(&shop.redeem(&provider, &shop.grant(&code)).await, 400, "invalid_grant");
    is_refused(&userinfo(&provider, &tokens.access_token).await, 401, "invalid_token");
    is_refused(&shop.redeem(&provider, &shop.grant(&code)).await, 400, "invalid_grant");
}

#[tokio::test]
async fn oidcc_codereuse() {
    reuse_after(Duration::ZERO).await;
}

/// The time is the module's: a code that is only forgotten soon would be taken again.
#[tokio::test]
async fn oidcc_codereuse_30seconds() {
    reuse_after(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn oidcc_ensure_registered_redirect_uri() {
    let (_provider, mut agent, shop) = begun().await;
    let uri = format!("{}/{}", shop.redirect_uri(), random());
    let answer = agent.authorize(&shop.request().with("redirect_uri", &uri)).await;
    assert!(!answer.page(400).contains("data-request"), "{answer:?}");
}

#[tokio::test]
async fn oidcc_ensure_post_request_succeeds() {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request();
    let answer = agent.post("/authorize", &request).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let place = answer.location().unwrap().to_owned();
    assert_eq!(Parameters::of_url(&place), request, "{place}");
    let handle = agent.get(&place).await.handle();
    let code = provider.scan(&handle, &provider.person()).await;
    let answer = agent.go_on(&handle, &code).await;
    shop.finish(&provider, &request, &answer).await;

    // A form of the same site brings its cookies, and needs no second request.
    let silent = shop.request().with("prompt", "none");
    let answer = agent.post("/authorize", &silent).await;
    shop.finish(&provider, &silent, &answer).await;
}

/// A request object with these claims and without a signature.
fn request_object(shop: &Site, claims: &Parameters) -> String {
    let mut object: serde_json::Map<String, Value> =
        claims.pairs().map(|(name, value)| (name.to_owned(), value.into())).collect();
    object.insert("iss".to_owned(), shop.id.into());
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(json!({"alg": "none"})), part(object.into()))
}

/// The suite skips the rest, and looks for no state, which is only in the object.
#[tokio::test]
async fn oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported() {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request();
    let outside = request.clone().without("state").without("nonce");
    let outside = outside.with("request", &request_object(&shop, &request));
    came_back_with(&provider, &outside, &agent.authorize(&outside).await, "request_not_supported");
    assert_eq!(provider.discovery().await["request_parameter_supported"], false);
}

#[tokio::test]
async fn oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported() {
    let (provider, mut agent, shop) = begun().await;
    let outside = shop.request().without("state").without("nonce");
    let outside = outside.with("request_uri", "https://shop.example.cn/request.jwt");
    came_back_with(&provider, &outside, &agent.authorize(&outside).await, "request_uri_not_supported");
    assert_eq!(provider.discovery().await["request_uri_parameter_supported"], false);
}

/// The object's redirect URI is good, and the one beside it is not: nobody is redirected to either.
#[tokio::test]
async fn oidcc_ensure_request_object_with_redirect_uri() {
    let (_provider, mut agent, shop) = begun().await;
    let request = shop.request();
    let outside = request.clone().with("request", &request_object(&shop, &request));
    let uri = format!("{}/{}", shop.redirect_uri(), random());
    agent.authorize(&outside.with("redirect_uri", &uri)).await.page(400);
}

/// The suite skips this where none is issued, and warns where one is advertised all the same.
#[tokio::test]
async fn oidcc_refresh_token() {
    let (provider, mut agent, shop) = begun().await;
    let discovery = provider.discovery().await;
    assert_eq!(discovery["grant_types_supported"], json!(["authorization_code"]));
    assert!(!discovery["scopes_supported"].as_array().unwrap().contains(&"offline_access".into()));
    let request = shop.request().with("scope", "openid offline_access").with("prompt", "consent");
    // That there is no refresh token is judged with every answer.
    let tokens = shop.log_in(&mut agent, &request, &provider.person()).await;
    assert!(!tokens.scope.contains("offline_access"), "{}", tokens.scope);
    let grant = Parameters::of(&[("grant_type", "refresh_token"), ("refresh_token", &random())]);
    is_refused(&shop.redeem(&provider, &grant).await, 400, "unsupported_grant_type");
}

#[tokio::test]
async fn oidcc_ensure_request_with_valid_pkce_succeeds() {
    let (provider, mut agent, shop) = begun().await;
    let (app, person) = (Site::app(), provider.person());
    for site in [shop, app] {
        let (verifier, challenge) = pkce();
        let request = site.request().with("code_challenge", &challenge).with("code_challenge_method", "S256");
        let answer = agent.log_in(&request.clone().with("prompt", "login"), &person).await;
        let code = came_back(&provider, &request, &answer);
        let grant = site.grant(&code).with("code_verifier", &verifier);
        site.take(&provider, &request, &site.redeem(&provider, &grant).await).await;
    }
}
