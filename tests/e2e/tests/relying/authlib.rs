//! Authlib with Flask: three sites of the recipe's program, one by each way of authentication. Authlib judges the ID tokens,
//! and its own library the logout tokens.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::client::{Client, python};
use crate::proxy::Names;
use crate::recipe;
use crate::world::{Authentication, Site, Tls, Wanted, World, write};

/// What the program says when nobody was logged in.
const REFUSED: &str = "登录没有成功，请重新登录。";

/// A site of the recipe.
pub(crate) const fn site(id: &'static str, authentication: Authentication) -> Wanted {
    Wanted { id, recipe: "authlib", written: "https://shop.example.cn", authentication, tls: Tls::Proxy }
}

/// Starts the recipe's program for a site.
pub(crate) async fn start(world: &World, site: &Site) -> Client {
    let program = world.path(&format!("{}.py", site.id));
    write(&program, &recipe::block(&site.page(), "python"));
    let mut command: Command = python("flask");
    command.args(["--app", &program.display().to_string(), "run"]);
    command.args(["--host", "127.0.0.1", "--port", &site.listens.port().to_string()]);
    command.env("REQUESTS_CA_BUNDLE", &world.authority).env("NO_PROXY", "*");
    command.env("SESSION_KEY", "a key that nobody guesses in this test");
    command.env("SAOMA_ISSUER", &world.issuer).env("SAOMA_CLIENT", site.id).env("SAOMA_SITE", &site.url);
    command.env("SAOMA_AUTHENTICATION", site.authentication.name());
    command.envs(site.secret.as_ref().map(|secret| ("SAOMA_SECRET", secret)));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let log = world.path(&format!("{}.log", site.id));
    Client::start(command, log, site.listens, "python3-venv").await
}

/// Whom the program shows, which the browser has come to.
pub(crate) async fn person(world: &World, site: &Site) -> Value {
    serde_json::from_str(&world.arrives(&format!("{}/", site.url)).await).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authlib_logs_people_in_by_each_authentication() {
    let wanted = [
        site("shop", Authentication::Basic),
        site("news", Authentication::Post),
        site("app", Authentication::Public),
    ];
    let world = World::start(Names::Two, wanted).await;
    let [shop, news, app] = &world.sites[..] else { unreachable!() };
    let _clients = tokio::join!(start(&world, shop), start(&world, news), start(&world, app));
    let login = |site: &Site, query: &str| format!("{}/login{query}", site.url);

    // Nobody is logged in yet, and no page may be shown.
    world.browser.open(&login(shop, "?prompt=none")).await;
    world.arrives(&format!("{}/callback", shop.url)).await;
    let error = world.browser.value("new URLSearchParams(location.search).get('error')").await;
    assert_eq!(error, "login_required");
    assert_eq!(world.browser.text("body").await, REFUSED);

    world.browser.open(&login(shop, "")).await;
    world.scan().await;
    let at_shop = person(&world, shop).await;
    assert_eq!(at_shop["sub"], world.person());
    assert!(at_shop["name"].as_str().unwrap().starts_with("微信用户 "), "{at_shop}");
    assert!(at_shop["preferred_username"].as_str().unwrap().starts_with("wx_"), "{at_shop}");

    // The session is enough for the others.
    for (site, query) in [(news, ""), (app, "?prompt=none")] {
        world.browser.open(&login(site, query)).await;
        assert_eq!(person(&world, site).await, at_shop);
    }
    assert_eq!(world.redeemed(), ["Basic", "-", "-"]);

    // A new scan, where one is wanted.
    world.browser.open(&login(app, "?prompt=login")).await;
    world.scan().await;
    let again = person(&world, app).await;
    assert_eq!(again["sub"], at_shop["sub"]);
    // In whole seconds, of which both scans may have had the same.
    assert!(again["auth_time"].as_u64() >= at_shop["auth_time"].as_u64(), "{again} {at_shop}");

    // Who logs out at one site is logged out everywhere: Saoma tells the others.
    let told = world
        .http()
        .post(format!("{}/backchannel", news.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={}", forged(&world.issuer, news.id)));
    assert_eq!(told.send().await.unwrap().status().as_u16(), 400, "nobody has signed it");
    world.browser.open(&format!("{}/", news.url)).await;
    assert_eq!(person(&world, news).await, at_shop);
    world.browser.open(&format!("{}/logout", shop.url)).await;
    assert_eq!(person(&world, shop).await, Value::Null);
    for site in [news, app] {
        world.until_shown(&format!("{}/", site.url), |shown| shown == "null").await;
    }
    world.browser.open(&login(news, "?prompt=none")).await;
    world.arrives(&format!("{}/callback", news.url)).await;
    assert_eq!(world.browser.text("body").await, REFUSED);
    world.browser.open(&login(news, "")).await;
    world.until_asked_to_scan().await;
}

/// A logout token that would be good if it were signed.
fn forged(issuer: &str, client: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let head = json!({ "alg": "none", "typ": "logout+jwt" });
    let events = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let claims = json!({
        "iss": issuer, "aud": client, "iat": now, "exp": now + 120, "jti": "1", "sid": "1", "sub": "1", "events": events
    });
    let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{head}.{claims}.")
}
