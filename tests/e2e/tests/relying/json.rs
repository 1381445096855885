//! one-api and its kin: no ID token is looked at; the token request is JSON with the secret in it, and userinfo says who it is.

use serde_json::{Value, json};

use crate::proxy::Names;
use crate::world::{Authentication, Tls, Wanted, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_request_in_json_is_taken() {
    let api = Wanted {
        id: "api",
        recipe: "new-api",
        written: "https://api.example.cn",
        authentication: Authentication::Post,
        tls: Tls::Nobody,
    };
    let world = World::start(Names::Two, [api]).await;
    let [api] = &world.sites[..] else { unreachable!() };
    let back = format!("{}/oauth/oidc", api.url);
    let query =
        format!("response_type=code&scope=openid+profile+email&client_id=api&state=s&redirect_uri={back}");
    world.browser.open(&format!("{}/authorize?{query}", world.issuer)).await;
    world.scan().await;
    assert_eq!(world.arrives(&back).await, "landed");
    let code = world.browser.value("new URLSearchParams(location.search).get('code')").await;

    let ask = json!({
        "client_id": api.id, "client_secret": api.secret, "code": code, "grant_type": "authorization_code",
        "redirect_uri": back
    });
    let http = world.http();
    let given = http.post(format!("{}/token", world.issuer)).header("accept", "application/json").json(&ask);
    let given: Value = given.send().await.unwrap().json().await.unwrap();
    let token = given["access_token"].as_str().unwrap_or_else(|| panic!("{given}"));
    let person = http.get(format!("{}/userinfo", world.issuer)).bearer_auth(token);
    let person: Value = person.send().await.unwrap().json().await.unwrap();
    assert_eq!(person["sub"], world.person());
    // new-api needs an address, and takes the rest for the account's names.
    let user = person["preferred_username"].as_str().unwrap().strip_prefix("wx_").unwrap();
    assert_eq!(person["email"], format!("{user}@wx.example.cn"));
    assert!(person["name"].as_str().unwrap().starts_with("微信用户 "), "{person}");
}
