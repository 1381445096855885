//! The whole way in a real browser: its cookies, its content security policy, and what it writes into Origin are judged by
//! nobody's idea of them. The site is on another host, as sites are.

use e2e::browser::Browser;
use serde_json::Value;

use crate::backchannel::BackEnd;
use crate::parameters::Parameters;
use crate::provider::{Running, Setup};
use crate::relying_party::Site;

/// What the browser's address says at the site, once it is there.
async fn at_the_site(browser: &Browser) -> Parameters {
    let place = browser.until("location.hostname === 'localhost' && location.search").await;
    Parameters::parse(place.as_str().unwrap().trim_start_matches('?'))
}

#[tokio::test]
async fn somebody_logs_in_stays_logged_in_and_logs_out() {
    let back_end = BackEnd::start(&[200]).await;
    let home = back_end.url.replace("127.0.0.1", "localhost");
    let redirect_uri = format!("{home}/callback");
    let site = Site::new("shop", &[&redirect_uri], "name = \"示例商店\"");
    let setup = Setup { sites: vec![site.clone()], ..Setup::default() };
    let provider = Running::with(setup).await;
    let browser = Browser::start("zh-CN").await;
    let request = site.request();
    let authorize = |request: &Parameters| format!("{}/authorize?{}", provider.issuer, request.encoded());

    browser.open(&authorize(&request)).await;
    let content = browser.read_code(".saoma-code", &[]).await;
    provider.wechat.scan(&provider.person(), &content).await.unwrap();
    let said = at_the_site(&browser).await;
    assert_eq!((said.get("state"), said.get("iss")), (request.get("state"), Some(provider.issuer.as_str())));
    let first =
        site.take(&provider, &request, &site.redeem(&provider, &site.grant(said.value("code"))).await).await;

    let silent = site.request().with("prompt", "none");
    browser.open(&authorize(&silent)).await;
    let said = at_the_site(&browser).await;
    let grant = site.grant(said.get("code").unwrap_or_else(|| panic!("{said:?}")));
    let again = site.take(&provider, &silent, &site.redeem(&provider, &grant).await).await;
    assert_eq!(first.claims["sid"], again.claims["sid"]);

    browser.open(&format!("{}/logout", provider.issuer)).await;
    browser.click("button[value=yes]").await;
    browser.until("!document.querySelector('form') && document.body.innerText").await;
    let path: Value = browser.value("location.pathname").await;
    assert_eq!(path, "/logout/confirm");
    browser.open(&authorize(&silent)).await;
    assert_eq!(at_the_site(&browser).await.get("error"), Some("login_required"));
    assert_eq!(browser.complaints().await, [""; 0]);
}
