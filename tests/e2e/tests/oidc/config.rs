//! The Config OP plan, and what else a browser or a library reads before it says anything: keys, headers, cookies.

use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use reqwest::Method;
use serde_json::{Value, json};

use crate::agent::{Agent, Answer, client};
use crate::provider::{Running, Setup};
use crate::relying_party::Site;

/// An issuer as the suite wants it. Its requests come from a proxy, which is this test.
const ISSUER: &str = "https://id.example.cn";

/// What the discovery document may say. The suite warns of any other member, and of those that it knows the rest would
/// promise something that is not there.
const MEMBERS: [(&str, &str); 23] = [
    ("acr_values_supported", "texts"),
    ("authorization_endpoint", "url"),
    ("authorization_response_iss_parameter_supported", "true"),
    ("backchannel_logout_session_supported", "true"),
    ("backchannel_logout_supported", "true"),
    ("claims_parameter_supported", "flag"),
    ("claims_supported", "texts"),
    ("code_challenge_methods_supported", "texts"),
    ("end_session_endpoint", "url"),
    ("grant_types_supported", "texts"),
    ("id_token_signing_alg_values_supported", "texts"),
    ("issuer", "url"),
    ("jwks_uri", "url"),
    ("prompt_values_supported", "texts"),
    ("request_parameter_supported", "false"),
    ("request_uri_parameter_supported", "false"),
    ("response_modes_supported", "texts"),
    ("response_types_supported", "texts"),
    ("scopes_supported", "texts"),
    ("subject_types_supported", "texts"),
    ("token_endpoint", "url"),
    ("token_endpoint_auth_methods_supported", "texts"),
    ("ui_locales_supported", "texts"),
];

/// It may say this, too.
const OPTIONAL: [(&str, &str); 3] =
    [("userinfo_endpoint", "url"), ("service_documentation", "url"), ("display_values_supported", "texts")];

async fn behind_tls(sites: Vec<Site>) -> Running {
    Running::with(Setup { sites, issuer: Some(ISSUER), ..Setup::default() }).await
}

fn texts(document: &Value, name: &str) -> Vec<String> {
    let list = document[name].as_array().unwrap_or_else(|| panic!("{name} is no list: {document}"));
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn oidcc_discovery_endpoint_verification() {
    let provider = behind_tls(Vec::new()).await;
    let answer = Agent::new(&provider).get("/.well-known/openid-configuration").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "*"));
    let document = answer.json();
    assert_eq!(document["issuer"], ISSUER, "where it was fetched from");

    let known = MEMBERS.iter().chain(&OPTIONAL);
    for (name, value) in document.as_object().unwrap() {
        let kind = known.clone().find(|(own, _)| own == name).map(|(_, kind)| *kind);
        let is_so = match kind.unwrap_or_else(|| panic!("{name} is none of them")) {
            "url" => value.as_str().is_some_and(|url| url.starts_with(ISSUER) && !url.ends_with('/')),
            "texts" => !texts(&document, name).is_empty(),
            "flag" => value.is_boolean(),
            kind => *value == Value::Bool(kind == "true"),
        };
        assert!(is_so, "{name}: {value}");
    }
    for (name, _) in MEMBERS {
        assert!(document.get(name).is_some(), "without {name} its default would be believed");
    }
    assert!(document.get("userinfo_endpoint").is_some(), "recommended");

    for (name, value) in [
        ("response_types_supported", json!(["code"])),
        ("response_modes_supported", json!(["query"])),
        ("grant_types_supported", json!(["authorization_code"])),
        ("subject_types_supported", json!(["public"])),
        ("id_token_signing_alg_values_supported", json!(["RS256"])),
        (
            "token_endpoint_auth_methods_supported",
            json!(["client_secret_basic", "client_secret_post", "none"]),
        ),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("scopes_supported", json!(["openid", "profile", "email"])),
        // Canonical as BCP 47 writes them.
        ("ui_locales_supported", json!(["zh-CN", "en"])),
    ] {
        assert_eq!(document[name], value, "{name}");
    }
    let claims = texts(&document, "claims_supported");
    for claim in
        ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "amr", "acr", "sid", "name", "email"]
    {
        assert!(claims.iter().any(|own| own == claim), "{claim}: {claims:?}");
    }
    assert!(texts(&document, "prompt_values_supported").contains(&"none".to_owned()));
    assert!(texts(&document, "acr_values_supported").contains(&"urn:saoma:scan".to_owned()));
}

#[tokio::test]
async fn the_keys_are_public_ones_that_clients_understand() {
    // With everything else in Redis they have to be in a file.
    let keys_in_memory = std::env::var(demo::REDIS).map_or(true, |url| url.is_empty());
    let provider = Running::with(Setup { keys_in_memory, ..Setup::default() }).await;
    let answer = Agent::new(&provider).get("/jwks.json").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=900");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let keys = answer.json();
    let keys = keys["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    let mut kids = Vec::new();
    for key in keys {
        let mut members: Vec<_> = key.as_object().unwrap().keys().collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"], "nothing private");
        assert_eq!((&key["alg"], &key["kty"], &key["use"]), (&json!("RS256"), &json!("RSA"), &json!("sig")));
        assert!(key["n"].as_str().unwrap().len() >= 342, "2048 bits");
        let own: Jwk = serde_json::from_value(key.clone()).unwrap();
        assert_eq!(key["kid"], own.thumbprint(ThumbprintHash::SHA256).unwrap().as_str());
        kids.push(key["kid"].to_string());
    }
    kids.sort_unstable();
    kids.dedup();
    assert_eq!(kids.len(), keys.len(), "each has a name of its own");
}

#[tokio::test]
async fn email_is_advertised_where_a_site_gives_it() {
    let document = behind_tls(vec![Site::cafe()]).await.discovery().await;
    for name in ["scopes_supported", "claims_supported"] {
        assert!(!texts(&document, name).iter().any(|text| text.starts_with("email")), "{document}");
    }
}

#[tokio::test]
async fn back_ends_of_the_same_network_may_have_an_address_of_their_own() {
    let callback = vec!["--callback-internal-url=http://saoma:8080".to_owned()];
    let provider = Running::with(Setup { issuer: Some(ISSUER), callback, ..Setup::default() }).await;
    let document = provider.discovery().await;
    for (name, place) in [
        ("issuer", ISSUER.to_owned()),
        ("authorization_endpoint", format!("{ISSUER}/authorize")),
        ("end_session_endpoint", format!("{ISSUER}/logout")),
        ("token_endpoint", "http://saoma:8080/token".to_owned()),
        ("userinfo_endpoint", "http://saoma:8080/userinfo".to_owned()),
        ("jwks_uri", "http://saoma:8080/jwks.json".to_owned()),
    ] {
        assert_eq!(document[name], place, "{name}");
    }
}

#[tokio::test]
async fn without_sites_there_is_no_provider() {
    let stack = demo::Stack::start(demo::Options::default()).await.unwrap();
    let http = client();
    for path in [
        "/.well-known/openid-configuration",
        "/authorize",
        "/authorize/continue",
        "/token",
        "/userinfo",
        "/jwks.json",
        "/logout",
        "/logout/confirm",
        "/login.js",
        "/widget.v1.js",
        "/ways.v1.js",
        "/login.css",
        "/authorize.js",
    ] {
        for method in [Method::GET, Method::POST] {
            let url = format!("http://{}{path}", stack.callback.pushes);
            let answer = Answer::of(http.request(method.clone(), url)).await;
            assert_eq!(answer.status, 404, "{method} {path}");
        }
    }
}

/// The cookies that an answer sets, each with its attributes in lower case.
fn cookies(answer: &Answer) -> Vec<String> {
    let cookies = answer.headers.get_all("set-cookie").iter();
    cookies.map(|cookie| cookie.to_str().unwrap().to_lowercase()).collect()
}

/// A browser sends them only where they belong: `__Host-` has it check that.
#[tokio::test]
async fn cookies_are_bound_to_the_host_and_to_tls_except_on_loopback() {
    let shop = Site::shop();
    for (provider, prefix, secure) in
        [(behind_tls(Vec::new()).await, "__host-saoma-", true), (Running::start().await, "saoma-", false)]
    {
        let mut agent = Agent::new(&provider);
        let page = agent.authorize(&shop.request()).await;
        let handle = page.handle();
        let code = provider.scan(&handle, &provider.person()).await;
        let back = agent.go_on(&handle, &code).await;
        let set = [cookies(&page), cookies(&back)].concat();
        for name in ["browser", "session"] {
            let start = format!("{prefix}{name}=");
            assert!(set.iter().any(|cookie| cookie.starts_with(&start)), "{start}: {set:?}");
        }
        for cookie in set {
            let parts: Vec<_> = cookie.split(';').map(str::trim).collect();
            assert!(cookie.starts_with(prefix), "{cookie}");
            // Strict would keep them from /authorize, where another site sends the browser.
            for part in ["httponly", "samesite=lax", "path=/"] {
                assert!(parts.contains(&part), "{part}: {cookie}");
            }
            assert_eq!(parts.contains(&"secure"), secure, "{cookie}");
            assert!(!cookie.contains("domain="), "{cookie}");
        }
    }
}

#[tokio::test]
async fn pages_are_in_nobodys_frame_and_in_no_cache() {
    let provider = Running::start().await;
    let mut agent = Agent::new(&provider);
    let good = Site::shop().request();
    for (path, status) in [
        (format!("/authorize?{}", good.encoded()), 200),
        (format!("/authorize?{}", good.clone().without("redirect_uri").encoded()), 400),
        ("/authorize".to_owned(), 400),
        ("/logout".to_owned(), 200),
    ] {
        let answer = agent.get(&path).await;
        answer.page(status);
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-frame-options").to_lowercase(), "deny", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.header("cache-control").contains("no-store"), "{path}: {answer:?}");
        // With `no-referrer` browsers write `Origin: null` into the page's own forms, which are then nobody's.
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "",
            "{path}: no script of another site reads it"
        );
    }
}

/// Pages of sites call these themselves. `/authorize` is not one of them.
#[tokio::test]
async fn scripts_of_other_origins_may_call_what_back_ends_call() {
    let provider = Running::start().await;
    for (path, open) in [("/token", true), ("/userinfo", true), ("/authorize", false), ("/logout", false)] {
        let request = provider.http.request(Method::OPTIONS, format!("http://{}{path}", provider.address));
        let request = request.header("origin", "https://shop.example.cn");
        let request = request.header("access-control-request-method", "POST");
        let answer = Answer::of(request.header("access-control-request-headers", "authorization")).await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, if open { "*" } else { "" }, "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{path}");
        if open {
            assert!(answer.status < 300, "{answer:?}");
            let headers = answer.header("access-control-allow-headers").to_lowercase();
            assert!(headers.contains("authorization"), "{path}: {headers}");
        }
    }
}

#[tokio::test]
async fn the_login_page_loads_what_it_names() {
    let provider = Running::start().await;
    let mut agent = Agent::new(&provider);
    let page = agent.authorize(&Site::shop().request()).await;
    for (path, kind) in
        [("/login.js", "javascript"), ("/authorize.js", "javascript"), ("/login.css", "text/css")]
    {
        assert!(page.page(200).contains(path), "{path}");
        let answer = agent.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").contains(kind), "{path}: {answer:?}");
    }
    assert!(page.body.contains("示例商店"), "whom one logs in at");
    let policy = page.header("content-security-policy");
    let gateway = format!("ws://{}", provider.gateway);
    assert!(policy.contains(&gateway), "{policy} lets it connect to {gateway}");
}

#[tokio::test]
async fn the_login_page_shows_what_the_operator_put_on_it() {
    let callback = [
        "--callback-logo=https://pictures.example/logo.svg",
        "--callback-accent=#1d4ed8",
        "--callback-line=Employees only <b>",
        "--callback-links=条款=https://a.example/terms",
        "--callback-account-name=示例公众号",
    ];
    let callback = callback.map(str::to_owned).into();
    let provider = Running::with(Setup { callback, ..Setup::default() }).await;
    let mut agent = Agent::new(&provider);
    let page = agent.authorize(&Site::shop().request()).await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("img-src 'self' data: https://mp.weixin.qq.com https://pictures.example;"),
        "{policy}"
    );
    for part in [
        "src=\"https://pictures.example/logo.svg\" alt=\"\"",
        "<p class=\"line\" dir=\"auto\">Employees only &#60;b&#62;</p>",
        "<a href=\"https://a.example/terms\"",
        "扫码即关注公众号“<bdi>示例公众号</bdi>”",
        "By scanning you follow the official account “<bdi>示例公众号</bdi>”",
    ] {
        assert!(page.page(200).contains(part), "{part} is not in {}", page.body);
    }
    let style = agent.get("/login.css").await;
    assert!(style.body.contains("--saoma-accent: #1d4ed8;"), "{style:?}");
}
