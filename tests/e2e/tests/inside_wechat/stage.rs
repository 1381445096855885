//! The system with web authorizations, and what people do in it.

use demo::{Options, Stack};
use e2e::page::Page;
use simulator::{Client, Person, Webview};

/// Two sites that are apps: one wants logins confirmed, and one does not.
const SITES: &str = "[[site]]\nid = \"asks\"\nname = \"问一问\"\npublic = true\nredirect_uris = [\"https://asks.example/cb\"]\n\
    [[site]]\nid = \"quick\"\nname = \"Quick\"\npublic = true\nconfirm = false\n\
    redirect_uris = [\"https://quick.example/cb\"]\n";

/// The running system.
pub(crate) struct Stage {
    pub(crate) stack: Stack,
}

impl Stage {
    /// Starts everything, with this scope and more flags of callback-service.
    pub(crate) async fn start(scope: &str, more: &[&str]) -> Self {
        Self::with(simulator::Settings::default(), scope, more).await
    }

    /// The same with another WeChat account.
    pub(crate) async fn with(wechat: simulator::Settings, scope: &str, more: &[&str]) -> Self {
        Self::with_others(wechat, &[], scope, more).await
    }

    /// The same with more accounts, of these names.
    pub(crate) async fn of_accounts(names: &[&str]) -> Self {
        Self::with_others(simulator::Settings::default(), names, "base", &[]).await
    }

    async fn with_others(wechat: simulator::Settings, names: &[&str], scope: &str, more: &[&str]) -> Self {
        let others = names.iter().map(|&name| name.to_owned()).collect();
        let mut callback = vec![format!("--callback-web-authorization={scope}")];
        callback.extend(more.iter().map(|flag| (*flag).to_owned()));
        let gateway = vec!["--gateway-qr-ready=0".to_owned()];
        let sites = Some(SITES.to_owned());
        let options = Options { wechat, sites, gateway, callback, others, ..Options::default() };
        Self { stack: Stack::start(options).await.unwrap() }
    }

    /// The service's address for browsers.
    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.stack.callback.pushes)
    }

    /// A page that shows a login, and the address that its QR code would hold.
    pub(crate) async fn page(&self) -> (Page, String) {
        let mut page = Page::open(self.stack.gateway.browsers).await;
        let scene = page.code().await.scene();
        (page, format!("{}/login/{scene}", self.issuer()))
    }

    /// Somebody who speaks Chinese and follows nothing, and their WeChat.
    pub(crate) fn somebody(&self) -> (String, Webview) {
        self.speaking("zh_CN", Client::Phone)
    }

    pub(crate) fn speaking(&self, language: &str, client: Client) -> (String, Webview) {
        let person = Person { language: language.to_owned(), ..Person::default() };
        let openid = self.stack.wechat.add_person(person).openid;
        let mut webview = Webview::of(&self.stack.wechat, &openid, client);
        webview.stop_at = Some("https://".to_owned());
        (openid, webview)
    }

    /// How often codes were exchanged.
    pub(crate) fn exchanges(&self) -> u64 {
        self.stack.wechat.counters().web_token_calls
    }
}

/// The words of a page, which must have this status.
#[track_caller]
pub(crate) fn shows(page: &simulator::Page, status: u16, words: &str) {
    assert_eq!(page.status, status, "{page:?}");
    assert!(page.body.contains(words), "{words} is not in {}", page.body);
    assert!(!page.body.contains("<script"), "{}", page.body);
    let header = |name: &str| page.headers[name].to_str().unwrap();
    assert_eq!(header("x-frame-options"), "DENY");
    assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!(header("cache-control"), "no-store");
}

/// The number that a page is told to show, once it is.
pub(crate) async fn number_of(page: &mut Page) -> String {
    loop {
        if let Some(number) = page.expect("scanned").await["number"].as_str() {
            return number.to_owned();
        }
    }
}
