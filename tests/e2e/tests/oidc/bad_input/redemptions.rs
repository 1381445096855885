//! The token endpoint: whoever is not the site, and whatever is not its code.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::SCRIPT;
use crate::agent::{Agent, Answer};
use crate::parameters::Parameters;
use crate::provider::Running;
use crate::relying_party::{
    Authentication, Site, basic, came_back, is_refused, pkce, post, random, userinfo,
};

/// A browser with a session, so that each request has its code at once.
struct Codes {
    provider: Running,
    agent: Agent,
}

impl Codes {
    async fn new() -> Self {
        let provider = Running::start().await;
        let mut agent = Agent::new(&provider);
        let shop = Site::shop();
        shop.log_in(&mut agent, &shop.request(), &provider.person()).await;
        Self { provider, agent }
    }

    async fn next(&mut self, request: &Parameters) -> String {
        came_back(&self.provider, request, &self.agent.authorize(request).await)
    }

    async fn of(&mut self, site: &Site) -> String {
        self.next(&site.request()).await
    }
}

#[tokio::test]
async fn whoever_is_not_the_site_gets_nothing() {
    let mut codes = Codes::new().await;
    let shop = Site::shop();
    let secret = shop.secret.clone().unwrap();
    let code = codes.of(&shop).await;
    let grant = shop.grant(&code);
    let in_body = |id: &str, secret: &str| grant.clone().with("client_id", id).with("client_secret", secret);
    let cafes = Site::cafe().secret.unwrap();
    for (fault, fields, header, status, error) in [
        ("an unknown client", grant.clone(), Some(basic("nobody", &secret)), 401, "invalid_client"),
        ("another case", grant.clone(), Some(basic("SHOP", &secret)), 401, "invalid_client"),
        ("a wrong secret", grant.clone(), Some(basic("shop", "wrong")), 401, "invalid_client"),
        ("another's secret", grant.clone(), Some(basic("shop", &cafes)), 401, "invalid_client"),
        ("an empty secret", grant.clone(), Some(basic("shop", "")), 401, "invalid_client"),
        ("a script", grant.clone(), Some(basic(SCRIPT, SCRIPT)), 401, "invalid_client"),
        (
            "no colon",
            grant.clone(),
            Some(format!("Basic {}", STANDARD.encode("shop"))),
            401,
            "invalid_client",
        ),
        ("no base64", grant.clone(), Some("Basic %%%".to_owned()), 401, "invalid_client"),
        ("another scheme", grant.clone(), Some("Bearer x".to_owned()), 401, "invalid_client"),
        ("an unknown client in the body", in_body("nobody", &secret), None, 401, "invalid_client"),
        ("a wrong secret in the body", in_body("shop", "wrong"), None, 401, "invalid_client"),
        ("its hash as the secret", in_body("shop", &hash_of(&shop)), None, 401, "invalid_client"),
        ("an empty secret in the body", in_body("shop", ""), None, 401, "invalid_client"),
        ("no secret", grant.clone().with("client_id", "shop"), None, 401, "invalid_client"),
        ("nobody", grant.clone(), None, 401, "invalid_client"),
        ("both at once", in_body("shop", &secret), Some(basic("shop", &secret)), 400, "invalid_request"),
        (
            "both, and one wrong",
            in_body("shop", "wrong"),
            Some(basic("shop", &secret)),
            400,
            "invalid_request",
        ),
    ] {
        eprintln!("{fault}");
        let answer = post(&codes.provider, "/token", &fields, header.as_deref()).await;
        is_refused(&answer, status, error);
        let asked = answer.header("www-authenticate").starts_with("Basic ");
        assert_eq!(asked, status == 401 && header.is_some(), "{fault}: {answer:?}");
    }
    // None of them has cost the site its code.
    let answer = shop.redeem(&codes.provider, &grant).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The site's secret as the file of sites has it: it opens nothing.
fn hash_of(site: &Site) -> String {
    let entry = site.entry();
    entry.split("secret_sha256 = \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn basic_may_be_percent_encoded_and_its_scheme_in_any_case() {
    let mut codes = Codes::new().await;
    let shop = Site::shop();
    let secret = shop.secret.clone().unwrap();
    let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for header in
        [basic("shop", &encoded), basic("shop", &secret).replace("Basic", "bAsIc"), basic("%73hop", &secret)]
    {
        let code = codes.of(&shop).await;
        // The id may be in the body as well, if it is the same.
        let grant = shop.grant(&code).with("client_id", "shop");
        let answer = post(&codes.provider, "/token", &grant, Some(&header)).await;
        assert_eq!(answer.status, 200, "{header}: {answer:?}");
    }
    let code = codes.of(&shop).await;
    let other = shop.grant(&code).with("client_id", "cafe");
    let answer = post(&codes.provider, "/token", &other, Some(&basic("shop", &secret))).await;
    assert!([400, 401].contains(&answer.status), "{answer:?}");
}

#[tokio::test]
async fn what_is_not_a_code_of_this_site_and_this_way_back_is_no_grant() {
    let mut codes = Codes::new().await;
    let (shop, cafe, app) = (Site::shop(), Site::cafe(), Site::app());
    let own = shop.redirect_uri();
    for (fault, uri) in [
        ("another case", own.replace("/callback", "/Callback")),
        ("another host's case", own.replace("shop.", "SHOP.")),
        ("another port", own.replace(".cn/", ".cn:443/")),
        ("a query", format!("{own}?x=y")),
        ("an empty query", format!("{own}?")),
        ("a slash", format!("{own}/")),
        ("a user", own.replace("https://", "https://user@")),
        ("a fragment", format!("{own}#f")),
        ("an encoded letter", own.replace("callback", "%63allback")),
        ("plain HTTP", own.replace("https", "http")),
        ("another one of the site", shop.redirect_uris[1].clone()),
    ] {
        let code = codes.of(&shop).await;
        let answer = shop.redeem(&codes.provider, &shop.grant(&code).with("redirect_uri", &uri)).await;
        eprintln!("{fault}");
        is_refused(&answer, 400, "invalid_grant");
    }
    let foreign = codes.of(&shop).await;
    is_refused(&cafe.redeem(&codes.provider, &cafe.grant(&foreign)).await, 400, "invalid_grant");
    is_refused(&cafe.redeem(&codes.provider, &shop.grant(&foreign)).await, 400, "invalid_grant");
    is_refused(&app.redeem(&codes.provider, &app.grant(&foreign)).await, 400, "invalid_grant");
    let code = codes.of(&shop).await;
    for (fault, wrong) in [
        ("guessed", random()),
        ("a little longer", format!("{code}a")),
        ("a little shorter", code[..code.len() - 1].to_owned()),
        ("in another case", swapped_case(&code)),
        ("with a line break", format!("{code}\n")),
        ("a script", SCRIPT.to_owned()),
    ] {
        eprintln!("{fault}");
        is_refused(&shop.redeem(&codes.provider, &shop.grant(&wrong)).await, 400, "invalid_grant");
    }
    assert_eq!(shop.redeem(&codes.provider, &shop.grant(&code)).await.status, 200);
}

fn swapped_case(text: &str) -> String {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    text.chars().map(swap).collect()
}

#[tokio::test]
async fn a_verifier_fits_its_challenge_or_there_is_neither() {
    let mut codes = Codes::new().await;
    let (verifier, challenge) = pkce();
    let (other, _) = pkce();
    for site in [Site::shop(), Site::app()] {
        let with_challenge =
            site.request().with("code_challenge", &challenge).with("code_challenge_method", "S256");
        for (fault, sent) in [
            ("a wrong one", Some(other.as_str())),
            ("none", None),
            ("an empty one", Some("")),
            ("the challenge", Some(challenge.as_str())),
            ("another case", Some(&verifier.to_uppercase())),
            ("a short one", Some(&verifier[..42])),
            ("a long one", Some(&verifier.repeat(2))),
            ("a script", Some(SCRIPT)),
        ] {
            let code = codes.next(&with_challenge).await;
            let grant =
                sent.into_iter().fold(site.grant(&code), |grant, sent| grant.with("code_verifier", sent));
            let answer = site.redeem(&codes.provider, &grant).await;
            eprintln!("{}: {fault}", site.id);
            is_refused(&answer, 400, "invalid_grant");
        }
        let code = codes.next(&with_challenge).await;
        let grant = site.grant(&code).with("code_verifier", &verifier);
        assert_eq!(site.redeem(&codes.provider, &grant).await.status, 200);
    }
    // RFC 9700, 2.1.1: whoever took the challenge out of the request must not get through with a verifier.
    let shop = Site::shop();
    let code = codes.of(&shop).await;
    let grant = shop.grant(&code).with("code_verifier", &verifier);
    is_refused(&shop.redeem(&codes.provider, &grant).await, 400, "invalid_grant");
}

#[tokio::test]
async fn what_is_no_grant_is_told_so() {
    let mut codes = Codes::new().await;
    let shop = Site::shop();
    let code = codes.of(&shop).await;
    let good = shop.grant(&code);
    for (fault, grant, error) in [
        ("no grant type", good.clone().without("grant_type"), "invalid_request"),
        ("no code", good.clone().without("code"), "invalid_request"),
        ("a password", good.clone().with("grant_type", "password"), "unsupported_grant_type"),
        ("its own name", good.clone().with("grant_type", "client_credentials"), "unsupported_grant_type"),
        ("a refresh token", good.clone().with("grant_type", "refresh_token"), "unsupported_grant_type"),
        ("a script", good.clone().with("grant_type", SCRIPT), "unsupported_grant_type"),
        ("two codes", good.clone().and("code", &code), "invalid_request"),
        ("two grant types", good.clone().and("grant_type", "authorization_code"), "invalid_request"),
        ("two redirect URIs", good.clone().and("redirect_uri", shop.redirect_uri()), "invalid_request"),
    ] {
        eprintln!("{fault}");
        is_refused(&shop.redeem(&codes.provider, &grant).await, 400, error);
    }
    let url = format!("http://{}/token", codes.provider.address);
    let secret = shop.secret.clone().unwrap();
    for (fault, kind, body) in [
        ("no JSON", "application/json", "{".to_owned()),
        ("a list", "application/json", "[]".to_owned()),
        ("a number", "application/json", json!({"grant_type": 1}).to_string()),
        (
            "two codes",
            "application/json",
            format!(r#"{{"grant_type":"authorization_code","code":"{code}","code":"{code}"}}"#),
        ),
        ("deep", "application/json", format!("{}{}", "[".repeat(500), "]".repeat(500))),
        ("text", "text/plain", good.encoded()),
        ("a multipart form", "multipart/form-data; boundary=x", good.encoded()),
    ] {
        let request =
            codes.provider.http.post(&url).basic_auth("shop", Some(&secret)).header("content-type", kind);
        eprintln!("{fault}");
        is_refused(&Answer::of(request.body(body)).await, 400, "invalid_request");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let query = good.clone().with("client_id", "shop").with("client_secret", &secret).encoded();
        let answer = Answer::of(codes.provider.http.request(method.clone(), format!("{url}?{query}"))).await;
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
    }
    assert_eq!(shop.redeem(&codes.provider, &good).await.status, 200, "and none of them used it up");
}

#[tokio::test]
async fn a_public_site_needs_a_challenge_and_no_secret() {
    let mut codes = Codes::new().await;
    let app = Site::app();
    let (verifier, challenge) = pkce();
    let request = app.request().with("code_challenge", &challenge).with("code_challenge_method", "S256");
    let code = codes.next(&request).await;
    let grant = app.grant(&code).with("code_verifier", &verifier);
    let answer = post(&codes.provider, "/token", &grant, Some(&basic("app", "guessed"))).await;
    is_refused(&answer, 401, "invalid_client");
    let answer = app.redeem_as_json(&codes.provider, Authentication::Public, &grant).await;
    app.take(&codes.provider, &request, &answer).await;
}

#[tokio::test]
async fn a_nonce_that_is_not_the_sites_own_is_noticed() {
    let mut codes = Codes::new().await;
    let shop = Site::shop();
    let code = codes.next(&shop.request().with("nonce", "the thief's")).await;
    let said = shop.redeem(&codes.provider, &shop.grant(&code)).await.json();
    let token = said["id_token"].as_str().unwrap();
    assert!(shop.verify(&codes.provider, Some("the thief's"), token).await.is_ok());
    let noticed = shop.verify(&codes.provider, Some("the site's"), token).await.unwrap_err();
    assert!(noticed.contains("nonce"), "{noticed}");
    let noticed = Site::cafe().verify(&codes.provider, Some("the thief's"), token).await.unwrap_err();
    assert!(noticed.contains("somebody else"), "{noticed}");
    assert!(shop.verify(&codes.provider, None, token).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_redemptions_at_once_exactly_one_wins() {
    let mut codes = Codes::new().await;
    let shop = Site::shop();
    let code = codes.of(&shop).await;
    let grant = shop.grant(&code);
    let answers = join_all((0..100).map(|_| shop.redeem(&codes.provider, &grant))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{won:?}");
    for answer in &lost {
        is_refused(answer, 400, "invalid_grant");
    }
    // Two have had the code, and nobody can say which of them is the site.
    let token = won[0].json()["access_token"].as_str().unwrap().to_owned();
    is_refused(&userinfo(&codes.provider, &token).await, 401, "invalid_token");
}
