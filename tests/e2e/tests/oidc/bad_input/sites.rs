//! The widget's way in: a page that names a site in its socket. Only the site's own pages may, and only with what makes the
//! code worthless to everybody else.

use e2e::page::Page;
use serde_json::Value;

use crate::parameters::Parameters;
use crate::provider::{Running, Setup, code_of};
use crate::relying_party::{Site, is_refused, pkce, random};

/// The shop's own page.
const ORIGIN: &str = "https://shop.example.cn";

/// A gateway that lets every page connect, so that the provider has to tell them apart.
async fn open_to_all() -> Running {
    let gateway = vec!["--gateway-allowed-origins=*".to_owned()];
    Running::with(Setup { gateway, ..Setup::default() }).await
}

fn query(challenge: &str) -> Parameters {
    Parameters::of(&[("site", "shop"), ("nonce", "n-0S6_WzA2Mj"), ("code_challenge", challenge)])
}

async fn open(provider: &Running, origin: Option<&str>, query: &Parameters) -> Page {
    Page::of(origin, provider.gateway, &format!("/ws?{}", query.encoded()))
        .await
        .expect("the gateway takes it")
}

/// Somebody scans the page's code, and the login is denied, on the page and on the phone.
async fn is_denied(provider: &Running, origin: Option<&str>, query: &Parameters) {
    let mut page = open(provider, origin, query).await;
    let shown = page.code().await;
    let delivery = provider.wechat.scan(&provider.person(), &shown.content).await.unwrap();
    let words = delivery.reply.unwrap_or_default();
    assert!(
        !words.is_empty() && !words.contains("登录成功") && !words.contains("欢迎回来"),
        "{origin:?} {query:?}: {words}"
    );
    page.expect("scanned").await;
    let said: Value = page.expect("denied").await;
    assert!(said.get("code").is_none(), "{said}");
}

#[tokio::test]
async fn a_sites_own_page_gets_a_code_that_only_its_back_end_can_use() {
    let provider = open_to_all().await;
    let (verifier, challenge) = pkce();
    let mut page = open(&provider, Some(ORIGIN), &query(&challenge)).await;
    let person = provider.person();
    let code = code_of(&provider.scan_page(&mut page, &person).await);
    let shop = Site::shop();
    let request = Parameters::of(&[("nonce", "n-0S6_WzA2Mj")]);
    let grant = shop.grant(&code).without("redirect_uri").with("code_verifier", &verifier);
    let tokens = shop.take(&provider, &request, &shop.redeem(&provider, &grant).await).await;
    assert_eq!(tokens.claims["sub"], person.as_str());
    is_refused(&shop.redeem(&provider, &grant).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_name_the_site() {
    let provider = open_to_all().await;
    let (_, challenge) = pkce();
    for origin in [
        Some("https://evil.example"),
        Some("http://shop.example.cn"),
        Some("https://shop.example.cn:8443"),
        Some("https://shop.example.cn.evil.example"),
        Some("https://www.shop.example.cn"),
        Some("null"),
        None,
    ] {
        is_denied(&provider, origin, &query(&challenge)).await;
    }
    // A site without origins has no widget.
    is_denied(&provider, Some("https://cafe.example.cn"), &query(&challenge).with("site", "cafe")).await;
}

#[tokio::test]
async fn a_widget_without_a_good_challenge_is_denied() {
    let provider = open_to_all().await;
    let (_, good) = pkce();
    for challenge in
        ["", "short", &good[..42], &format!("{good}A"), &good.replace(|_| true, "+"), &random().repeat(4)]
    {
        is_denied(&provider, Some(ORIGIN), &query(challenge)).await;
    }
    is_denied(&provider, Some(ORIGIN), &query(&good).without("code_challenge")).await;
}

#[tokio::test]
async fn a_widget_without_a_nonce_is_denied() {
    let provider = open_to_all().await;
    let (_, challenge) = pkce();
    is_denied(&provider, Some(ORIGIN), &query(&challenge).with("nonce", "")).await;
    is_denied(&provider, Some(ORIGIN), &query(&challenge).without("nonce")).await;
}

#[tokio::test]
async fn who_names_nobodys_site_or_request_is_denied() {
    let provider = open_to_all().await;
    let (_, challenge) = pkce();
    for site in ["nobody", "Shop", "shop ", "<script>alert(1)</script>"] {
        is_denied(&provider, Some(ORIGIN), &query(&challenge).with("site", site)).await;
    }
    for handle in ["guessed", &random(), "<script>alert(1)</script>"] {
        is_denied(&provider, Some(&provider.issuer), &Parameters::of(&[("request", handle)])).await;
    }
}

#[tokio::test]
async fn a_widgets_code_is_worth_nothing_without_its_verifier_or_at_another_site() {
    let provider = open_to_all().await;
    let shop = Site::shop();
    for fault in ["no verifier", "a wrong one", "a redirect URI", "another site"] {
        let (verifier, challenge) = pkce();
        let mut page = open(&provider, Some(ORIGIN), &query(&challenge)).await;
        let code = code_of(&provider.scan_page(&mut page, &provider.person()).await);
        let grant = shop.grant(&code).without("redirect_uri");
        let proved = grant.clone().with("code_verifier", &verifier);
        let answer = match fault {
            "no verifier" => shop.redeem(&provider, &grant).await,
            "a wrong one" => shop.redeem(&provider, &grant.with("code_verifier", &pkce().0)).await,
            "a redirect URI" => {
                shop.redeem(&provider, &proved.with("redirect_uri", shop.redirect_uri())).await
            }
            _ => Site::cafe().redeem(&provider, &proved).await,
        };
        eprintln!("{fault}");
        is_refused(&answer, 400, "invalid_grant");
        // Nor is it good for the issuer's own page.
        let mut agent = crate::agent::Agent::new(&provider);
        let handle = agent.authorize(&shop.request()).await.handle();
        let answer = agent.go_on(&handle, &code).await;
        assert!(answer.location().is_none() && (400..500).contains(&answer.status), "{answer:?}");
    }
}
