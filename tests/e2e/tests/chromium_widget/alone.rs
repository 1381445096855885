//! The widget alone, in the world of `chromium_alone`: the test has its clock and its gateway. Only the module comes
//! from a real one.

use aws_lc_rs::digest::{SHA256, digest};

use super::*;

const KEY: &str = "scene.secret";

pub(crate) struct Alone {
    pub(crate) browser: Browser,
    pub(crate) site: Site,
    pub(crate) stack: Stack,
}

impl Alone {
    /// A browser whose pages run `script` first.
    pub(crate) async fn start(script: &str) -> Self {
        let site = Site::start().await;
        let stack = Stack::start(Options::default()).await.unwrap();
        site.gateway(stack.gateway.browsers);
        let browser = Browser::start("en").await;
        browser.run_first(include_str!("../chromium_alone/world.js")).await;
        browser.run_first(script).await;
        Self { browser, site, stack }
    }

    /// A page with one widget, which has connected.
    pub(crate) async fn open() -> Self {
        let page = Self::start("").await;
        page.browser.open(&page.site.mounted(&json!([{ "site": "shop", "nonce": "n" }]))).await;
        page.connects().await;
        page
    }

    pub(crate) async fn connects(&self) {
        self.browser.until("world.attempts()").await;
    }

    pub(crate) async fn world(&self, does: &str) -> Value {
        self.browser.value(&format!("world.{does}")).await
    }

    pub(crate) async fn say(&self, message: Value) -> Value {
        self.world(&format!("say({message})")).await
    }

    /// Presses a key as a person does.
    pub(crate) async fn press(&self, key: &str, code: u8, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.browser.devtools("Input.dispatchKeyEvent", event).await;
        }
    }

    /// The class of the element that has the keyboard.
    pub(crate) async fn focus(&self) -> Value {
        self.browser.value("document.activeElement.className").await
    }
}

pub(crate) fn code(expires_in: u32) -> Value {
    json!({
        "message_type": "qrcode_url", "url": "", "content": "c", "expires_in": expires_in, "resume": KEY,
        "image": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=",
    })
}

pub(crate) fn number() -> Value {
    json!({ "message_type": "scanned", "expires_in": 100, "number": "42" })
}

pub(crate) fn said(message_type: &str) -> Value {
    json!({ "message_type": message_type })
}

#[tokio::test]
async fn a_reload_at_each_step_comes_back_to_the_same_login_number_and_verifier() {
    let page = Alone::open().await;
    let challenge = "new URLSearchParams(world.look().query).get('code_challenge')";
    let first = page.browser.value(challenge).await;
    let steps =
        [vec![code(120)], vec![code(110), said("scanned")], vec![code(100), said("scanned"), number()]];
    for step in &steps {
        for message in step {
            page.say(message.clone()).await;
        }
        page.browser.client.refresh().await.unwrap();
        page.connects().await;
        let seen = page.world("look()").await;
        assert_eq!(seen["offers"], json!(["saoma.v1", format!("resume.{KEY}")]));
        assert_eq!(page.browser.value(challenge).await, first);
    }
    for message in &steps[2] {
        page.say(message.clone()).await;
    }
    let seen = page.world("look()").await;
    assert_eq!((&seen["state"], &seen["number"]), (&json!("scanned"), &json!("42")));
    page.say(json!({ "message_type": "scan_success", "user": "A", "code": "c" })).await;
    let login = page.browser.value("told.at(-1).login").await;
    let verifier = login["verifier"].as_str().unwrap();
    assert!(
        verifier.len() >= 43 && verifier.chars().all(|it| it.is_ascii_alphanumeric() || "-_".contains(it))
    );
    assert_eq!(first, URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())));
    let states: Vec<Value> = told(&page.browser).await.into_iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states[..5], ["connecting", "waiting", "scanned", "scanned42", "granted"]);

    // Another nonce is another login, with a verifier of its own.
    page.browser.open(&page.site.mounted(&json!([{ "site": "shop", "nonce": "m" }]))).await;
    page.connects().await;
    assert_eq!(page.world("look()").await["offers"], json!(["saoma.v1"]));
    assert_ne!(page.browser.value(challenge).await, first);
    assert_eq!(page.browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_widget_that_is_destroyed_lets_go_of_everything() {
    let page = Alone::open().await;
    page.say(code(120)).await;
    page.browser.value("widgets[0].destroy()").await;
    assert_eq!(page.browser.value("document.querySelector('section').childNodes.length").await, 0);
    assert_eq!(page.world("holds()").await, false);

    // Nor does it come back from a connection that was lost before.
    page.browser.client.refresh().await.unwrap();
    page.connects().await;
    page.say(code(120)).await;
    page.world("end(1006)").await;
    page.browser.value("widgets[0].destroy()").await;
    for does in ["pass(3600000)", "tell('online')", "tell('pageshow', { persisted: true })", "see(true)"] {
        // There is nothing to look at any more.
        page.browser.value(&format!("(() => {{ try {{ world.{does} }} catch {{}} }})()")).await;
    }
    assert_eq!(page.world("attempts()").await, 1);

    // What was mounted and destroyed at once, as some frameworks do, never connects.
    let again = "(async () => {
        const { mount } = await import(document.querySelector('link').href);
        const element = document.querySelector('section');
        mount(element, { site: 'shop', nonce: 'x' }).destroy();
        window.widget = mount(element, { site: 'shop', nonce: 'x' });
    })()";
    page.browser.value(&format!("void {again}")).await;
    page.browser.until("world.attempts() > 1").await;
    assert_eq!(page.world("attempts()").await, 2);
}

#[tokio::test]
async fn whatever_stands_in_the_way_is_said_to_the_person_and_to_the_developer() {
    let no_subtle = "delete Crypto.prototype.subtle";
    let misfit = "Login is set up wrong: tell the site";
    for (script, options, error, status) in [
        ("", json!({ "site": "shop" }), "no_nonce", misfit),
        ("", json!({ "site": "shop", "nonce": "" }), "no_nonce", misfit),
        ("", json!({ "nonce": "n" }), "no_site", misfit),
        (no_subtle, json!({ "site": "shop", "nonce": "n" }), "insecure_context", misfit),
    ] {
        let page = Alone::start(script).await;
        page.browser.open(&page.site.mounted(&json!([options]))).await;
        let told = page.browser.until("told.find((it) => it.error)?.error").await;
        assert_eq!(told["code"], error, "{options}");
        assert_eq!(page.browser.text(".saoma-status").await, status);
        assert_eq!(page.browser.text(".saoma-detail").await, told["message"]);
        until(&page.browser, 0, "stopped").await;
        page.browser.value("void world.pass(600000)").await;
        assert_eq!(page.world("attempts()").await, 0, "{options}");
    }

    let page = Alone::start("").await;
    page.browser.open(&page.site.mounted(&json!([{ "nowhere": true }]))).await;
    assert_eq!(page.browser.until("told.find((it) => it.error)?.error.code").await, "no_element");

    // Without storage there is a login all the same.
    let denied = "Object.defineProperty(window, 'sessionStorage', {
        get() { throw new DOMException('denied', 'SecurityError'); },
    })";
    let page = Alone::start(denied).await;
    page.browser.open(&page.site.mounted(&json!([{ "site": "shop", "nonce": "n" }]))).await;
    page.connects().await;
    let seen = page.say(code(120)).await;
    assert_eq!(
        (&seen["state"], &seen["detail"]),
        (&json!("waiting"), &json!("Nothing is kept: a reload takes a new code"))
    );
    page.say(json!({ "message_type": "scan_success", "user": "A", "code": "c" })).await;
    let told = told(&page.browser).await;
    let errors: Vec<_> = told.iter().filter(|it| it["error"] != Value::Null).collect();
    assert_eq!((errors.len(), &errors[0]["error"]["code"]), (1, &json!("no_storage")), "{told:?}");
    assert_eq!(told.last().unwrap()["login"]["code"], "c");
}

#[tokio::test]
async fn whatever_else_stands_in_its_storage_is_got_over() {
    // As real ones do.
    let page = Alone::start(
        "const Played = WebSocket;
        window.WebSocket = function (url, protocols) {
            if (protocols.some((it) => /[^\\w.-]/.test(it))) throw new DOMException('no such subprotocol', 'SyntaxError');
            return new Played(url, protocols);
        };",
    )
    .await;
    page.browser.open(&page.site.mounted(&json!([{ "site": "shop", "nonce": "n" }]))).await;
    page.connects().await;
    page.say(code(120)).await;
    for kept in ["'null'", "'{'", "'[]'", "'7'"] {
        page.browser.value(&format!("sessionStorage['saoma.shop'] = {kept}")).await;
        page.browser.client.refresh().await.unwrap();
        page.connects().await;
        assert_eq!(page.world("look()").await["offers"], json!(["saoma.v1"]), "{kept}");
    }
    page.say(code(120)).await;
    let other_key = "sessionStorage['saoma.shop'] = JSON.stringify(['a key', ...JSON.parse(sessionStorage['saoma.shop']).slice(1)])";
    page.browser.value(other_key).await;
    page.browser.client.refresh().await.unwrap();
    until(&page.browser, 0, "stopped").await;
    assert_eq!(page.browser.text(".saoma-detail").await, "no such subprotocol");
    assert_eq!(page.browser.value("told.at(-1).error.code").await, "refused");
    page.browser.value("document.querySelector('.saoma-button').click()").await;
    page.connects().await;
    assert_eq!(page.world("look()").await["offers"], json!(["saoma.v1"]));
}

#[tokio::test]
async fn the_keyboard_reaches_the_button_and_is_not_lost_with_it() {
    let page = Alone::open().await;
    page.say(code(120)).await;
    page.say(said("denied")).await;
    page.press("Tab", 9, "").await;
    assert_eq!(page.focus().await, "saoma-button");
    page.press("Enter", 13, "\r").await;
    let seen = page.world("look()").await;
    assert_eq!((&seen["refreshes"], &seen["button"]), (&json!(1), &json!("")));
    assert_eq!(page.focus().await, "saoma-box");
    page.say(code(120)).await;
    page.say(said("denied")).await;
    page.press("Tab", 9, "").await;
    assert_eq!(page.focus().await, "saoma-button");
}

#[tokio::test]
async fn states_are_announced_and_seconds_are_not_but_for_one_last_call() {
    let page = Alone::open().await;
    let live = "document.querySelectorAll('output, [role=status], [role=alert], [aria-live]').length";
    assert_eq!(page.browser.value(live).await, 1);
    assert_eq!(page.browser.value("document.querySelector('output .saoma-countdown')").await, Value::Null);
    page.say(code(60)).await;
    page.browser
        .value(
            "window.heard = [], new MutationObserver(() => heard.push(document.querySelector('output').innerText))
                .observe(document.querySelector('output'), { subtree: true, childList: true }), 0",
        )
        .await;
    page.world("pass(29500)").await;
    assert_eq!(page.browser.value("heard").await, json!([]));
    for _ in 0..6 {
        page.world("pass(500)").await;
    }
    assert_eq!(page.browser.value("heard.length").await, 1);
    assert_eq!(page.browser.text(".saoma-say").await, "Expires in 00:30");
    page.say(number()).await;
    assert_eq!(page.browser.text("output").await, "Reply with this number in the WeChat chat42");
    assert_eq!(page.browser.value("document.querySelector('img').alt").await, "Scan with WeChat to log in");
}

#[tokio::test]
async fn the_code_can_be_scanned_whatever_the_page_does_to_it() {
    let page = Alone::open().await;
    page.say(code(60)).await;
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    page.browser.devtools("Emulation.setEmulatedMedia", dark).await;
    let reset = "(() => {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync('* { margin: 0; padding: 0; box-sizing: border-box } img { display: block; max-width: 100% } \
            :root { color-scheme: dark; --saoma-size: 100px } button { display: block }');
        document.adoptedStyleSheets = [sheet, ...document.adoptedStyleSheets];
    })()";
    page.browser.value(reset).await;
    let shown = page
        .browser
        .value(
            "(() => {
                const code = document.querySelector('.saoma-code');
                const { width, height } = code.getBoundingClientRect();
                const { borderTopColor, borderTopWidth } = getComputedStyle(code);
                return [width - 2 * parseFloat(borderTopWidth), height / width, borderTopColor,
                    document.querySelector('.saoma-button').getClientRects().length];
            })()",
        )
        .await;
    assert!(shown[0].as_f64().unwrap() >= 220.0, "{shown}");
    assert_eq!(shown.as_array().unwrap()[1..], [json!(1), json!("rgb(255, 255, 255)"), json!(0)]);
}

#[tokio::test]
async fn long_names_of_any_script_break_nothing() {
    let page = Alone::open().await;
    page.browser
        .devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": 320, "height": 700, "deviceScaleFactor": 1, "mobile": true }),
        )
        .await;
    for name in ["W".repeat(200), "长".repeat(200), "שלום مرحبا ".repeat(18), "👨‍👩‍👧‍👦".repeat(25)]
    {
        page.browser.client.refresh().await.unwrap();
        page.connects().await;
        page.say(code(60)).await;
        page.say(json!({ "message_type": "scan_success", "user": name, "code": "c" })).await;
        assert_eq!(page.browser.text(".saoma-user").await, name);
        assert_eq!(
            page.browser.value("document.documentElement.scrollWidth <= innerWidth").await,
            true,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_page_that_is_kept_open_for_a_day_still_logs_in() {
    let page = Alone::open().await;
    page.say(code(120)).await;
    let seen = page.world("pass(86400000)").await;
    assert_eq!((&seen["state"], &seen["attempts"]), (&json!("connecting"), &json!(1)));
    for refreshes in 1..=3 {
        assert_eq!(page.say(said("expired")).await["refreshes"], refreshes);
        page.say(code(120)).await;
    }
    assert_eq!(page.say(said("expired")).await["state"], "expired");
    page.world("pass(86400000)").await;
    assert_eq!(page.world("press()").await["refreshes"], 4);
    page.say(code(120)).await;
    page.say(json!({ "message_type": "scan_success", "user": "", "code": "c" })).await;
    assert_eq!(page.browser.value("told.at(-1).login.code").await, "c");
}
