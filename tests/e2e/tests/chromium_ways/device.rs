//! Somebody with a browser that is a computer's, a phone's, or WeChat's own, as the moment has it.

use std::path::Path;

use demo::{Options, Stack};
use e2e::browser::Browser;
use serde_json::json;
use simulator::{Client, Person};

/// The name of the account, as people know it.
pub(crate) const ACCOUNT: &str = "示例科技";

/// The whole system, whose account has a name and a picture; with more flags of the gateway, and of the callback service.
pub(crate) async fn stack(web: bool, gateway: &[&str], callback: &[&str]) -> Stack {
    let flags = |flags: &[&str]| flags.iter().map(|&flag| flag.to_owned()).collect();
    let gateway = flags(&[&["--gateway-qr-ready=0"], gateway].concat());
    let (callback, account_name) = (flags(callback), Some(ACCOUNT.to_owned()));
    let sites = Some(String::new());
    let options = Options { account_name, sites, web, gateway, callback, ..Options::default() };
    Stack::start(options).await.unwrap()
}

/// What a tab is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Desk,
    /// A phone's own browser.
    Phone,
    /// WeChat on that phone.
    WeChat,
}

pub(crate) struct Device {
    pub(crate) browser: Browser,
    pub(crate) language: &'static str,
}

impl Device {
    pub(crate) async fn start(language: &'static str) -> Self {
        Self { browser: Browser::start(language).await, language }
    }

    /// How the person's WeChat names its language.
    fn of_wechat(&self) -> &'static str {
        if self.language == "en" { "en" } else { "zh_CN" }
    }

    /// Somebody who follows the account, as whoever writes to it does.
    pub(crate) fn somebody(&self, stack: &Stack) -> String {
        let language = self.of_wechat().to_owned();
        stack.wechat.add_person(Person { language, follower: true, ..Person::default() }).openid
    }

    /// Makes the tab that is open another kind of browser.
    pub(crate) async fn becomes(&self, screen: Screen) {
        let (agent, is_phone) = match screen {
            // The browser's own name.
            Screen::Desk => (String::new(), false),
            Screen::Phone => (Client::Other.user_agent(""), true),
            Screen::WeChat => (Client::Phone.user_agent(self.of_wechat()), true),
        };
        let agent = json!({ "userAgent": agent, "acceptLanguage": self.language });
        self.browser.devtools("Emulation.setUserAgentOverride", agent).await;
        self.browser.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": is_phone })).await;
        let (width, height) = if is_phone { (390, 844) } else { (1000, 900) };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.browser.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Opens an address in the WeChat of a person, as a scan of a code that holds it does.
    pub(crate) async fn opens_in_wechat(&self, stack: &Stack, openid: &str, url: &str) {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("openid", openid), ("url", url)])
            .finish();
        self.browser.open(&format!("{}/connect/phone?{query}", stack.wechat.public_url())).await;
    }

    /// Nothing is seen of the browser while `away` lasts, as when another app is before it.
    pub(crate) async fn leaves_for(&self, away: impl Future<Output = ()>) {
        self.browser.client.minimize_window().await.unwrap();
        self.browser.until("document.hidden").await;
        away.await;
        self.browser.client.set_window_size(1000, 900).await.unwrap();
        self.browser.until("!document.hidden").await;
    }

    /// Waits until the page says this.
    pub(crate) async fn says(&self, words: &str) {
        self.browser.until(&format!("document.body.innerText.includes({words:?})")).await;
    }

    /// Waits until the login page shows the number of its login, and gives it.
    pub(crate) async fn number(&self) -> String {
        let number = self.browser.until("document.querySelector('.saoma-number')?.textContent").await;
        number.as_str().unwrap().to_owned()
    }

    /// The login that the tab waits for, by the key that it keeps.
    pub(crate) async fn scene(&self) -> String {
        let key = self.browser.until("JSON.parse(sessionStorage['saoma.'])[0].split('.')[0]").await;
        key.as_str().unwrap().to_owned()
    }

    /// Presses Copy, and gives what the clipboard has then.
    pub(crate) async fn copies(&self) -> String {
        let shown = "document.querySelector('.saoma-copy')?.checkVisibility()";
        self.browser.until(shown).await;
        let origin = self.browser.value("location.origin").await;
        let wish =
            json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": origin });
        self.browser.devtools("Browser.grantPermissions", wish).await;
        let before = self.browser.text(".saoma-copy").await;
        self.browser.click(".saoma-copy").await;
        self.browser
            .until(&format!("document.querySelector('.saoma-copy').textContent !== {before:?}"))
            .await;
        let copied = self.browser.value("navigator.clipboard.readText()").await;
        copied.as_str().unwrap().to_owned()
    }

    /// Keeps a picture of what it shows, by day and by night, where somebody wants to look at it.
    pub(crate) async fn keep(&self, name: &str) {
        let Ok(folder) = std::env::var("WRITE_SCREENSHOTS") else { return };
        for scheme in ["light", "dark"] {
            let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            self.browser.devtools("Emulation.setEmulatedMedia", feature).await;
            let picture = self.browser.client.screenshot().await.unwrap();
            let file = format!("ways {name}, {}, {scheme}.png", self.language);
            std::fs::write(Path::new(&folder).join(file), picture).unwrap();
        }
    }
}
