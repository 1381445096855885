//! The widget's second module: a code that is sent beside a QR code or in its place, and WeChat's own login inside WeChat.
//! It comes from a real gateway into a page of another origin under a strict policy; the rest is the world of
//! `chromium_alone`.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::engine::general_purpose::STANDARD;
use e2e::browser::PATIENCE;
use e2e::programs::{output, text};
use tokio::task::block_in_place;

use super::alone::{Alone, code, number, said};
use super::*;

/// What WeChat's browsers call themselves: on a phone, and on a desk.
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
    Mobile/15E148 MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/en";
const DESK: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 \
    Safari/537.36 MicroMessenger/7.0.20.1781(0x6700143B) NetType/WIFI WindowsWechat(0x63090a13) XWEB/9129 Flue";

const OPEN: &str = "https://pushes.example/login/5e1f";

/// A QR code, and a code that is sent.
fn beside() -> Value {
    with(&json!({ "typed": "482913", "account": "Example", "account_image": code(1)["image"] }))
}

/// A code that is sent, and no QR code.
fn alone() -> Value {
    with(&json!({ "image": null, "content": "", "typed": "482913", "account": "Example" }))
}

fn with(fields: &Value) -> Value {
    let mut message = code(120);
    for (name, value) in fields.as_object().unwrap() {
        message[name] = value.clone();
    }
    message
}

impl Alone {
    /// A page with one widget in a browser of this name.
    async fn called(agent: &str) -> Self {
        let page = Self::start("").await;
        page.browser.devtools("Emulation.setUserAgentOverride", json!({ "userAgent": agent })).await;
        page.mount(&json!({ "site": "shop", "nonce": "n" })).await;
        page
    }

    async fn mount(&self, options: &Value) {
        self.browser.open(&self.site.mounted(&json!([options]))).await;
        self.connects().await;
    }

    /// What of the second module can be seen: the parts by their names.
    async fn parts(&self) -> Value {
        let parts =
            "['code', 'inside', 'typed', 'app', 'steps', 'picture', 'hint', 'toggle'].filter((name) =>
            document.querySelector(`.saoma-${name}`)?.checkVisibility())";
        self.browser.until("document.querySelector('.saoma-toggle')").await;
        self.browser.value(parts).await
    }

    async fn status(&self) -> String {
        self.browser.text(".saoma-status").await
    }
}

#[tokio::test]
async fn whoever_cannot_scan_finds_a_code_to_send_by_mouse_and_keyboard() {
    let page = Alone::open().await;
    page.say(beside()).await;
    assert_eq!(page.parts().await, json!(["code", "toggle"]));
    assert_eq!(page.status().await, "Scan with WeChat to log in");
    page.press("Tab", 9, "").await;
    assert_eq!(page.focus().await, "saoma-toggle");
    page.press("Enter", 13, "\r").await;
    assert_eq!(page.parts().await, json!(["typed", "picture", "toggle"]));
    assert_eq!(page.status().await, "Send this code to \u{201c}\u{2068}Example\u{2069}\u{201d} in WeChat");
    assert_eq!(page.focus().await, "saoma-toggle", "who pressed it is where they were");
    // Somebody who copies by hand gets no gap.
    let selected =
        "(getSelection().selectAllChildren(document.querySelector('.saoma-digits')), `${getSelection()}`)";
    assert_eq!(page.browser.value(selected).await, "482913");
    assert_eq!(page.browser.text(".saoma-toggle").await, "Use a QR code instead");

    // A name is a name.
    page.say(with(&json!({ "typed": "482913", "account": "$& % <b>" }))).await;
    assert_eq!(page.status().await, "Send this code to \u{201c}\u{2068}$& % <b>\u{2069}\u{201d} in WeChat");
    // The choice stays when the line is mended; what was scanned or sent is said in words for both.
    page.say(beside()).await;
    assert_eq!(page.parts().await, json!(["typed", "picture", "toggle"]));
    page.say(said("scanned")).await;
    assert_eq!(page.status().await, "Received. Please continue in WeChat");
    assert_eq!(page.focus().await, "saoma-box", "what had the focus is gone");
    let seen = page.say(number()).await;
    assert_eq!(seen["number"], "42");
    assert_eq!(page.status().await, "Please continue in WeChat; it may ask for this number");
    assert_eq!(page.parts().await, json!([]));
    page.say(said("denied")).await;
    page.world("press()").await;
    // A login without one shows none.
    page.say(code(120)).await;
    assert_eq!(page.parts().await, json!(["code"]));
    assert_eq!(page.browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn the_code_is_copied_or_selected_and_both_are_said() {
    // By the clipboard; by the older way, where a browser refuses it; and by the person's own hands.
    for (script, button, says, kept) in [
        (
            "navigator.clipboard.writeText = async (text) => { window.kept = text }",
            "Copied",
            "Copied",
            "482913",
        ),
        (
            "navigator.clipboard.writeText = () => Promise.reject();
            document.execCommand = () => { window.kept = `${getSelection()}`; return true }",
            "Copied",
            "Copied",
            "482913",
        ),
        (
            "Object.defineProperty(navigator, 'clipboard', { value: undefined });
            document.execCommand = () => false; window.kept = ''",
            "Copy",
            "Please select and copy it",
            "",
        ),
    ] {
        let page = Alone::start(script).await;
        page.mount(&json!({ "site": "shop", "nonce": "n" })).await;
        page.say(alone()).await;
        assert_eq!(page.parts().await, json!(["typed"]));
        page.browser.click(".saoma-copy").await;
        page.browser.until(&format!("document.querySelector('.saoma-say').textContent === {says:?}")).await;
        assert_eq!(page.browser.text(".saoma-copy").await, button);
        assert_eq!(page.browser.value("kept").await, kept);
        assert_eq!(page.browser.value("getSelection().toString() || kept").await, "482913");
        assert_eq!(page.focus().await, "saoma-copy");
        // Another code is not the one that was copied.
        page.say(with(&json!({ "image": null, "typed": "7135246", "resume": "other.secret" }))).await;
        assert_eq!(page.browser.text(".saoma-copy").await, "Copy");
        let groups = "[...document.querySelectorAll('.saoma-digits > *')].map((it) => it.textContent)";
        assert_eq!(page.browser.value(groups).await, json!(["713", "5246"]));
    }
}

#[tokio::test]
async fn the_real_clipboard_has_the_code() {
    let page = Alone::open().await;
    let wish = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": page.site.origin() });
    page.browser.devtools("Browser.grantPermissions", wish).await;
    page.say(alone()).await;
    page.parts().await;
    page.browser.click(".saoma-copy").await;
    page.browser.until("document.querySelector('.saoma-copy').textContent === 'Copied'").await;
    assert_eq!(page.browser.value("navigator.clipboard.readText()").await, "482913");
}

#[tokio::test]
async fn on_a_phone_the_code_comes_first_and_leads_to_wechat() {
    let page = Alone::start("").await;
    page.browser.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": true })).await;
    page.mount(&json!({ "site": "shop", "nonce": "n" })).await;
    page.say(code(120)).await;
    assert_eq!(page.parts().await, json!(["code", "hint"]));
    assert!(page.browser.text(".saoma-hint").await.contains("save the picture"));
    page.say(beside()).await;
    assert_eq!(page.parts().await, json!(["typed", "app", "steps", "picture", "toggle"]));
    assert_eq!(page.browser.value("document.querySelector('.saoma-app').href").await, "weixin://");
    page.world("turn('toggle')").await;
    assert_eq!(page.parts().await, json!(["code", "hint", "toggle"]));
    page.world("turn('toggle')").await;

    // Away to WeChat and back, however long: the page goes on by itself.
    page.world("see(false)").await;
    page.world("jump(60000)").await;
    page.world("close()").await;
    let seen = page.world("see(true)").await;
    assert_eq!((&seen["attempts"], &seen["offers"][1]), (&json!(2), &json!("resume.scene.secret")));
    // With a keyboard and a mouse it is a desk.
    page.say(beside()).await;
    page.browser.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": false })).await;
    page.browser.until("document.querySelector('.saoma-code').checkVisibility()").await;
    assert_eq!(page.parts().await, json!(["code", "toggle"]));
}

#[tokio::test]
async fn a_code_that_leads_to_a_page_says_that_the_number_is_chosen_there() {
    let page = Alone::open().await;
    for (content, typed, words) in [
        ("http://weixin.qq.com/q/02c", json!(null), "Reply with this number in the WeChat chat"),
        (OPEN, json!(null), "Choose this number in WeChat"),
        (OPEN, json!("482913"), "Please continue in WeChat; it may ask for this number"),
    ] {
        page.say(with(&json!({ "content": content, "typed": typed }))).await;
        if content == OPEN {
            page.browser.until("document.querySelector('.saoma-box[data-way=page]')").await;
        }
        page.say(number()).await;
        assert_eq!(page.status().await, words, "{content}");
    }
}

#[tokio::test]
async fn inside_wechat_one_button_leads_to_its_own_login() {
    for agent in [PHONE, DESK] {
        let page = Alone::called(agent).await;
        let open = with(&json!({ "typed": "482913", "open": OPEN }));
        page.say(open.clone()).await;
        assert_eq!(page.parts().await, json!(["inside", "toggle"]));
        assert_eq!(page.status().await, "Tap to log in with your WeChat");
        let link = "[it = document.querySelector('.saoma-go'), it.textContent, it.href, it.target].slice(1)";
        let expected = json!(["Log in with WeChat", format!("{OPEN}?back=1"), ""]);
        assert_eq!(page.browser.value(&format!("((it) => {link})()")).await, expected);
        page.world("turn('toggle')").await;
        assert_eq!(page.parts().await, json!(["code", "typed", "toggle"]));
        assert_eq!(page.status().await, "Scan the QR code, or send the code");
        page.world("turn('toggle')").await;
        // Who comes back without having finished can go there again.
        page.say(said("scanned")).await;
        assert_eq!(page.parts().await, json!(["inside"]));
        page.say(number()).await;
        assert_eq!(page.status().await, "Remember this number and go on");
        let leads = page.browser.value("document.querySelector('.saoma-go').href").await;
        assert_eq!(leads, format!("{OPEN}?back=seen"));
        page.say(json!({ "message_type": "scan_success", "user": "", "code": "c" })).await;
        assert_eq!(page.parts().await, json!([]));

        // Where the gateway names no address: a code and a QR code, whatever there is.
        page.mount(&json!({ "site": "shop", "nonce": "m" })).await;
        page.say(alone()).await;
        assert_eq!(page.parts().await, json!(["typed"]));
        page.say(beside()).await;
        assert_eq!(page.parts().await, json!(["code", "typed"]));
    }
    // Outside WeChat nothing is known of it; nor in WeCom, which is called by the same name and another one.
    for agent in ["Mozilla/5.0 (X11; Linux x86_64)", &format!("{DESK} wxwork/4.1.22 WindowsWechat")] {
        let page = Alone::called(agent).await;
        page.say(with(&json!({ "open": OPEN }))).await;
        assert_eq!(page.parts().await, json!(["code"]), "{agent}");
    }
    // In a mini program it would lead nowhere.
    let page = Alone::called(&format!("{PHONE} miniProgram/wx5e1f")).await;
    page.say(with(&json!({ "open": OPEN, "typed": "482913" }))).await;
    assert_eq!(page.parts().await, json!(["code", "typed"]));
}

#[tokio::test]
async fn in_a_frame_inside_wechat_there_is_no_button_that_would_lead_nowhere() {
    let page = Alone::start("").await;
    page.browser.devtools("Emulation.setUserAgentOverride", json!({ "userAgent": PHONE })).await;
    page.browser.open(&page.site.framed(&json!([{ "site": "shop", "nonce": "n" }]))).await;
    page.browser.client.enter_frame(0).await.unwrap();
    page.connects().await;
    page.say(with(&json!({ "typed": "482913", "open": OPEN }))).await;
    assert_eq!(page.parts().await, json!(["code", "typed"]));
}

#[tokio::test]
async fn without_the_second_module_a_qr_code_is_all_and_a_code_that_is_sent_can_be_tried_again() {
    let page = Alone::open().await;
    page.browser.devtools("Network.enable", json!({})).await;
    page.browser.devtools("Network.setBlockedURLs", json!({ "urls": ["*/ways.v1.js*"] })).await;
    let seen = page.say(beside()).await;
    assert_eq!((&seen["state"], &seen["code"]), (&json!("waiting"), &json!(true)));
    page.mount(&json!({ "site": "shop", "nonce": "m" })).await;
    assert_eq!(page.say(alone()).await["state"], "connecting");
    until(&page.browser, 0, "stopped").await;
    let error = page.browser.value("told.find((it) => it.error).error").await;
    assert!(
        error["code"] == "refused" && error["message"].as_str().unwrap().contains("ways.v1.js"),
        "{error}"
    );
    page.browser.devtools("Network.setBlockedURLs", json!({ "urls": [] })).await;
    page.browser.click(".saoma-button").await;
    page.say(alone()).await;
    until(&page.browser, 0, "waiting").await;
    assert_eq!(page.parts().await, json!(["typed"]));

    // What has come to a login while the module was on its way is not undone.
    page.mount(&json!({ "site": "shop", "nonce": "o" })).await;
    page.world(&format!("say({}), world.say({})", alone(), said("denied"))).await;
    page.parts().await;
    assert_eq!(page.world("look()").await["state"], "denied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_import_map_lets_the_browser_check_the_second_module() {
    let page = Alone::start("").await;
    let gateway = format!("http://{}", page.stack.gateway.browsers);
    let printed =
        block_in_place(|| output("ws-gateway", &HashMap::new(), &["widget", "--gateway-url", &gateway]));
    let printed = text(&printed.stdout);
    let (_, rest) = printed.split_once("<script type=\"importmap\">").unwrap();
    let (map, _) = rest.split_once("</script>").unwrap();
    let hash = STANDARD.encode(digest(&SHA256, map.as_bytes()));
    assert!(printed.contains(&format!("'sha256-{hash}'")), "{printed}");
    let widgets = json!([{ "site": "shop", "nonce": "n" }]);
    let other = map.replace("sha384-", "sha384-AAAA");
    for (map, parts) in [(map, json!(["code", "toggle"])), (&other, json!(null))] {
        page.browser.open(&format!("{}#{widgets}", page.site.mapped(map))).await;
        page.connects().await;
        page.say(beside()).await;
        if parts.is_null() {
            // The module is on its way. Nothing else complains in this page.
            let complaint = tokio::time::timeout(PATIENCE, async {
                loop {
                    let complaint = page.browser.complaints().await;
                    if !complaint.is_empty() {
                        return complaint;
                    }
                }
            });
            let complaint = complaint.await.expect("the browser says why it takes no module");
            assert!(complaint.iter().any(|it| it.contains("integrity")), "{complaint:?}");
            assert_eq!(page.browser.value("document.querySelector('.saoma-toggle')").await, Value::Null);
        } else {
            assert_eq!(page.parts().await, parts);
            assert_eq!(page.browser.complaints().await, [""; 0]);
        }
    }
}

#[tokio::test]
async fn an_official_account_is_asked_for_by_name_and_has_logins_of_its_own() {
    let page = Alone::start("").await;
    for (options, query) in [
        (
            json!({ "site": "shop", "nonce": "n", "account": "agency-7" }),
            "site=shop&nonce=n&account=agency-7&",
        ),
        (json!({ "site": "shop", "nonce": "n", "account": "" }), "site=shop&nonce=n&code_challenge"),
        (json!({ "site": "shop", "nonce": "n" }), "site=shop&nonce=n&code_challenge"),
    ] {
        page.mount(&options).await;
        let seen = page.world("look()").await;
        assert!(seen["query"].as_str().unwrap().starts_with(query), "{seen}");
        page.say(code(120)).await;
    }
    page.mount(&json!({ "site": "shop", "nonce": "n", "account": "agency-8" })).await;
    assert_eq!(page.world("look()").await["offers"], json!(["saoma.v1"]), "a key of another account's login");
    page.browser.open(&page.site.declared("saoma-site=shop&nonce=n&account=agency-9")).await;
    page.connects().await;
    assert!(page.world("look()").await["query"].as_str().unwrap().contains("&account=agency-9&"));
}
