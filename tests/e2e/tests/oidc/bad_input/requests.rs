//! `/authorize` and what follows it in the browser: requests that are nobody's, and logins that are somebody else's.

use e2e::raw::Raw;

use super::{SCRIPT, forged_hints};
use crate::agent::{Agent, FORM};
use crate::parameters::Parameters;
use crate::provider::Running;
use crate::relying_party::{Site, came_back, came_back_with, random};

async fn begun() -> (Running, Agent, Site) {
    let provider = Running::start().await;
    let agent = Agent::new(&provider);
    (provider, agent, Site::shop())
}

#[tokio::test]
async fn a_request_of_nobody_leads_nowhere() {
    let (provider, mut agent, shop) = begun().await;
    let good = shop.request();
    for (fault, request) in [
        ("no client", good.clone().without("client_id")),
        ("an unknown client", good.clone().with("client_id", "shop2")),
        ("another case", good.clone().with("client_id", "Shop")),
        ("an empty client", good.clone().with("client_id", "")),
        ("another's redirect URI", good.clone().with("client_id", "cafe")),
        // Even where one is registered.
        ("no redirect URI", good.clone().without("redirect_uri")),
        ("an empty redirect URI", good.clone().with("redirect_uri", "")),
        ("nothing", Parameters::default()),
    ] {
        let answer = agent.authorize(&request).await;
        assert!(!answer.page(400).contains("data-request"), "{fault}");
        let posted = agent.post("/authorize", &request).await;
        match posted.location() {
            Some(place) => assert!(
                place.starts_with("/authorize") || place.starts_with(&provider.issuer),
                "{fault}: {place}"
            ),
            None => _ = posted.page(400),
        }
    }
}

#[tokio::test]
async fn a_redirect_uri_that_is_nearly_registered_is_not() {
    let (_provider, mut agent, shop) = begun().await;
    for uri in [
        "https://shop.example.cn/Callback",
        "https://SHOP.example.cn/callback",
        "HTTPS://shop.example.cn/callback",
        "http://shop.example.cn/callback",
        "https://shop.example.cn:443/callback",
        "https://shop.example.cn:8443/callback",
        "https://shop.example.cn/callback/",
        "https://shop.example.cn/callback?next=/",
        "https://shop.example.cn/callback?",
        "https://shop.example.cn/callback#",
        "https://shop.example.cn/callback#fragment",
        "https://shop.example.cn/callback/../callback",
        "https://shop.example.cn//callback",
        "https://shop.example.cn/%63allback",
        "https://shop.example.cn@evil.example/callback",
        "https://somebody@shop.example.cn/callback",
        "https://shop.example.cn.evil.example/callback",
        "https://evil.example/?https://shop.example.cn/callback",
        "//shop.example.cn/callback",
        "https://shop.example.cn/callback https://shop.example.cn/callback",
        "https://shop.example.cn/callback\r\nSet-Cookie: a=b",
        "https://shop.example.cn/callback\0",
        "https://shop.example.cn/admin.php",
        "https://shop.example.cn/admin.php?action=other",
        "https://shop.example.cn/admin.php?action=oidc&x=y",
        "javascript:alert(1)",
        "data:text/html,x",
    ] {
        agent.authorize(&shop.request().with("redirect_uri", uri)).await.page(400);
    }
}

/// A registered URI's own query stays, and what is added follows it.
#[tokio::test]
async fn a_redirect_uri_with_a_query_of_its_own_keeps_it() {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request().with("redirect_uri", &shop.redirect_uris[1]);
    shop.log_in(&mut agent, &request, &provider.person()).await;
    let wrong = request.with("response_type", "token");
    came_back_with(&provider, &wrong, &agent.authorize(&wrong).await, "unsupported_response_type");
}

#[tokio::test]
async fn a_parameter_that_is_there_twice_is_an_error_and_no_choice() {
    let (provider, mut agent, shop) = begun().await;
    let good = shop.request().and("prompt", "login");
    for (name, value) in good.pairs() {
        for second in [value, "another", ""] {
            let answer = agent.authorize(&good.clone().and(name, second)).await;
            // Which site, which way back and which state it is nobody can tell; of the rest the site is told.
            if ["client_id", "redirect_uri", "state"].contains(&name) {
                answer.page(400);
            } else {
                came_back_with(&provider, &good, &answer, "invalid_request");
            }
        }
    }
}

#[tokio::test]
async fn a_script_in_a_parameter_runs_nowhere() {
    let (provider, mut agent, shop) = begun().await;
    let good = shop.request();
    let names = [
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "nonce",
        "response_mode",
        "prompt",
        "display",
        "max_age",
        "ui_locales",
        "claims_locales",
        "id_token_hint",
        "login_hint",
        "acr_values",
        "claims",
        "registration",
        "request",
        "request_uri",
        "code_challenge",
        "code_challenge_method",
        "unknown",
        SCRIPT,
    ];
    let tame = |answer: &crate::agent::Answer, what: &str| {
        let location = answer.header("location");
        let shown = [answer.body.as_str(), location].concat().to_lowercase();
        assert!(!shown.contains("<script>alert") && !shown.contains("alert(1)<"), "{what}: {answer:?}");
        assert!(!location.contains(['<', '>', '"']), "{what}: {location}");
        assert!(answer.status < 500, "{what}: {answer:?}");
    };
    for name in names {
        let request = good.clone().with(name, SCRIPT);
        tame(&agent.authorize(&request).await, name);
        for path in ["/logout", "/authorize/continue", "/logout/confirm", "/token", "/userinfo"] {
            tame(&agent.post(path, &request).await, path);
            tame(&agent.get(&format!("{path}?{}", request.encoded())).await, path);
        }
    }
    for name in
        ["id_token_hint", "post_logout_redirect_uri", "state", "logout_hint", "ui_locales", "client_id"]
    {
        let request = Parameters::of(&[("client_id", "shop"), (name, SCRIPT)]);
        tame(&agent.get(&format!("/logout?{}", request.encoded())).await, name);
    }
    let path = format!("/authorize/{}", Parameters::of(&[("", SCRIPT)]).encoded());
    tame(&agent.get(&path).await, "the path");

    // A state may be anything, and comes back as it was.
    let request = good.with("state", SCRIPT);
    shop.log_in(&mut agent, &request, &provider.person()).await;
}

/// A person reads the name; a browser must not.
#[tokio::test]
async fn a_script_in_a_sites_name_is_only_a_name() {
    let site = Site::new("evil", &["https://evil.example/"], "name = '<script>alert(1)</script>'");
    let setup = crate::provider::Setup { sites: vec![site.clone()], ..Default::default() };
    let provider = Running::with(setup).await;
    let mut agent = Agent::new(&provider);
    let answer = agent.authorize(&site.request()).await;
    let page = answer.page(200);
    assert!(
        !page.contains("<script>alert") && page.contains("&#60;script&#62;alert")
            || page.contains("&lt;script&gt;alert"),
        "{page}"
    );
    let tokens = site.log_in(&mut agent, &site.request(), &provider.person()).await;
    let request = Parameters::of(&[("client_id", "evil"), ("logout_hint", SCRIPT)]);
    for path in ["/logout".to_owned(), format!("/logout?{}", request.encoded())] {
        assert!(!agent.get(&path).await.body.contains("<script>alert"), "{path}");
    }
    drop(tokens);
}

#[tokio::test]
async fn sixty_four_kibibytes_are_too_much_for_every_door() {
    let (provider, mut agent, shop) = begun().await;
    let long = "x".repeat(64 * 1024);
    for path in ["/authorize", "/authorize/continue", "/token", "/userinfo", "/logout", "/logout/confirm"] {
        let body = format!("state={long}");
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {FORM}\r\nContent-Length: {length}\r\n\r\n"
        );
        let reply = Raw::ask(provider.address, &head, body.as_bytes()).await;
        assert_eq!(reply.status, 413, "{path}: {reply:?}");
        assert!(!reply.body.contains("xxxx"), "{path}");
        let head = format!("GET {path}?state={long} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let reply = Raw::ask(provider.address, &head, b"").await;
        assert!((400..=431).contains(&reply.status), "{path}: {reply:?}");
        let many = "a=b&".repeat(3000);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n",
            many.len()
        );
        let reply = Raw::ask(provider.address, &head, many.as_bytes()).await;
        assert!((400..500).contains(&reply.status), "{path}: {reply:?}");
    }
    // What a site may well send is taken: a state of 2 KiB.
    let request = shop.request().with("state", &random().repeat(64));
    shop.log_in(&mut agent, &request, &provider.person()).await;
}

#[tokio::test]
async fn a_hint_that_the_provider_did_not_sign_is_refused() {
    let (provider, mut agent, shop) = begun().await;
    let tokens = shop.log_in(&mut agent, &shop.request(), &provider.person()).await;
    for (fault, hint) in forged_hints(&tokens.id_token, &tokens.claims, shop.secret.as_ref().unwrap()) {
        eprintln!("a hint {fault}");
        for prompt in ["none", "login"] {
            let request = shop.request().with("id_token_hint", &hint).with("prompt", prompt);
            came_back_with(&provider, &request, &agent.authorize(&request).await, "invalid_request");
        }
        let logout = Parameters::of(&[
            ("id_token_hint", hint.as_str()),
            ("post_logout_redirect_uri", "https://shop.example.cn/bye"),
        ]);
        let answer = agent.get(&format!("/logout?{}", logout.encoded())).await;
        assert!(answer.location().is_none(), "{fault}: {answer:?}");
        came_back(
            &provider,
            &shop.request().with("state", "s"),
            &agent.authorize(&shop.request().with("state", "s")).await,
        );
    }
}

/// A code is only for the browser in which the site's request was made: nobody is logged in with another's.
#[tokio::test]
async fn a_code_is_only_for_the_browser_that_asked() {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    let code = provider.scan(&handle, &provider.person()).await;

    let refuses = |answer: crate::agent::Answer, who: &str| {
        assert!((400..500).contains(&answer.status), "{who}: {answer:?}");
        assert!(answer.location().is_none(), "{who}: {answer:?}");
        assert!(
            !answer
                .headers
                .get_all("set-cookie")
                .iter()
                .any(|set| set.to_str().unwrap().contains("session=")),
            "{who}: {answer:?}"
        );
        assert!(!answer.body.contains(&code) && !answer.body.contains(&handle), "{who}: {answer:?}");
    };
    let mut stranger = Agent::new(&provider);
    refuses(stranger.go_on(&handle, &code).await, "a browser without cookies");
    let others = stranger.authorize(&request).await.handle();
    refuses(stranger.go_on(&handle, &code).await, "a browser with another's cookie");
    refuses(stranger.go_on(&others, &code).await, "a browser with its own handle and another's code");
    refuses(agent.go_on(&others, &code).await, "the browser with another's handle");
    refuses(agent.go_on(&handle, "guessed").await, "a guessed code");
    refuses(agent.go_on(&random(), &code).await, "a guessed handle");
    refuses(agent.go_on(SCRIPT, SCRIPT).await, "a script");
    for form in [
        Parameters::default(),
        Parameters::of(&[("request", &handle)]),
        Parameters::of(&[("code", &code)]),
        Parameters::of(&[("request", &handle), ("code", &code), ("code", &code)]),
        Parameters::of(&[("request", &handle), ("request", &handle), ("code", &code)]),
    ] {
        refuses(agent.post("/authorize/continue", &form).await, "half a form");
    }
    assert!((400..=405).contains(&agent.get("/authorize/continue").await.status));

    let answer = agent.go_on(&handle, &code).await;
    shop.finish(&provider, &request, &answer).await;
    refuses(agent.go_on(&handle, &code).await, "the same browser again");
    refuses(stranger.go_on(&handle, &code).await, "another browser after it");
}

/// What the page adds changes nothing of what the site asked for.
#[tokio::test]
async fn the_state_and_the_way_back_are_those_of_the_sites_request() {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    let code = provider.scan(&handle, &provider.person()).await;
    let form = Parameters::of(&[
        ("request", &handle),
        ("code", &code),
        ("state", "another"),
        ("redirect_uri", "https://shop.example.cn/admin.php?action=oidc"),
        ("nonce", "another"),
    ]);
    let answer = agent.post("/authorize/continue", &form).await;
    shop.finish(&provider, &request, &answer).await;
}

#[tokio::test]
async fn a_handle_is_used_once() {
    let (provider, mut agent, shop) = begun().await;
    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    let first = provider.scan(&handle, &provider.person()).await;
    let answer = agent.go_on(&handle, &first).await;
    shop.finish(&provider, &request, &answer).await;

    // A page with the used handle, in whatever browser, logs nobody in.
    let mut page = provider.page(&handle).await;
    let shown = page.code().await;
    let delivery = provider.wechat.scan(&provider.person(), &shown.content).await.unwrap();
    let words = delivery.reply.unwrap_or_default();
    assert!(!words.contains("登录成功") && !words.contains("欢迎回来"), "{words}");
    page.expect("scanned").await;
    page.expect("denied").await;
}
