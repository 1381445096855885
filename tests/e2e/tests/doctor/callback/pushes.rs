//! Pushes that do not arrive: wrong secrets, programs between, an account that pushes JSON.

use simulator::{Format, Settings, Told};
use test_redis::free_port;

use super::front::{Does, Front};
use super::{PROGRAM, Place, Seen};

/// Sixteen bytes of base64 more than WeChat's sample key.
const OTHER_KEY: &str = "LNI5FNkUtoLdrKI0WPiOLOy6invc41A9huSmO4x49Ni";

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_between_is_named_with_its_cure() {
    let place = Place::running().await;
    let service = place.settings["CALLBACK_LISTEN"].parse().unwrap();
    for (does, found, cure) in [
        (Does::EatTheQuery, "the query does not arrive as it was sent", "$is_args$args"),
        (
            Does::EatTheQueryOfPosts,
            "the query or the body of POSTs does not arrive",
            "let the proxy pass POSTs on",
        ),
        (Does::StripThePath, "callback-service got it with another path", "keep the path /wechat"),
        (Does::Redirect, "301: a redirect to https://login.example/wechat?…", "WeChat follows no redirect"),
        (
            Does::Answer(
                "HTTP/1.1 200 OK\r\nserver: nginx\r\ncontent-length: 21\r\n\r\n<html>Welcome</html>\n",
            ),
            "a page for people (nginx)",
            "lead /wechat to callback-service",
        ),
        (
            Does::Answer("HTTP/1.1 502 Bad Gateway\r\nserver: nginx\r\ncontent-length: 0\r\n\r\n"),
            "does not reach callback-service",
            "upstream",
        ),
        (
            Does::Answer("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
            "status 404",
            "another program answers",
        ),
    ] {
        let front = Front::start(service, does).await;
        let seen = place.doctor(&["--only", "callback", "--url", &front.url]);
        seen.has("callback", "error", found, cure);
        // Whoever has a signed query can send it again.
        let said = seen.json.to_string();
        assert!(!said.contains("signature=") && !said.contains("hunter2"), "{said}");
    }
    let seen = place.doctor(&["--only", "callback", "--url", "http://127.0.0.1:1/wechat"]);
    seen.has("callback", "error", "127.0.0.1:1", "see the DNS record, the firewall");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_is_on_the_way_to_this_hosts_own_service() {
    let mut place = Place::new().await;
    // It is this machine, and not by a form that proxies are kept from.
    for name in ["CALLBACK_LISTEN", "CALLBACK_ADMIN_LISTEN"] {
        place.set(name, format!("[::ffff:127.0.0.1]:{}", free_port()));
    }
    place.start_gateway();
    place.start();
    place.set("HTTP_PROXY", format!("http://127.0.0.1:{}", free_port()));
    let seen = place.doctor(&["--only", "callback"]);
    let on_this_host = seen
        .checks("callback")
        .into_iter()
        .filter(|check| check["description"].as_str().unwrap().contains("on this host"));
    let results: Vec<_> = on_this_host.map(|check| &check["result"]).collect();
    assert_eq!(results, ["success"; 3], "{:#}", seen.json);
}

/// The service runs with what it has; the operator has copied something else from the console.
#[tokio::test(flavor = "multi_thread")]
async fn other_secrets_than_the_services_are_named() {
    let mut place = Place::running().await;
    let good = place.settings.clone();
    for (name, value, found, cure) in [
        ("WECHAT_TOKEN", "anothertoken", "another token", "WECHAT_TOKEN"),
        ("WECHAT_AES_KEY", OTHER_KEY, "another WECHAT_AES_KEY", "padding: the key"),
        ("WECHAT_APP_ID", "wx00000000000000ff", "WECHAT_APP_ID", "appid: WECHAT_APP_ID"),
        ("WECHAT_MODE", "plaintext", "another WECHAT_MODE", "the mode of the message push settings"),
    ] {
        place.set(name, value);
        place.doctor(&["--only", "callback"]).has("callback", "error", found, cure);
        place.settings = good.clone();
    }
    // What it has sent itself is not held against the service.
    assert_eq!(place.doctor(&["--only", "callback"]).code, 0);
}

/// The service itself has the wrong ones, as WeChat's own pushes show.
#[tokio::test(flavor = "multi_thread")]
async fn pushes_that_the_service_has_refused_are_explained() {
    let json = Settings { format: Format::Json, ..Settings::default() };
    for (account, wrong, found, cure) in [
        (json, None, "written in JSON", "(数据格式) of WeChat's message push settings to XML"),
        (
            Settings::default(),
            Some(("WECHAT_AES_KEY", OTHER_KEY)),
            "encrypted with another key",
            "WECHAT_AES_KEY",
        ),
        (
            Settings::default(),
            Some(("WECHAT_TOKEN", "anothertoken")),
            "signature is missing or wrong",
            "WECHAT_TOKEN",
        ),
        (
            Settings::default(),
            Some(("WECHAT_ORIGINAL_ID", "gh_another")),
            "addressed to another account",
            "WECHAT_ORIGINAL_ID",
        ),
    ] {
        let mut place = Place::with(account).await;
        place.start_gateway();
        if let Some((name, value)) = wrong {
            place.set(name, value);
        }
        place.start();
        let person = place.wechat.invent_person("阿狸", true);
        place.wechat.say(&person.openid, "hello").await.unwrap();
        let seen = place.doctor(&["--only", "callback"]);
        let result = if found.contains("signature") { "warning" } else { "error" };
        seen.has("callback", result, found, cure);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wechat_says_how_it_finds_the_address() {
    let place = Place::running().await;
    let switches = place.wechat.switches();
    let url = place.url();
    let look = || -> Seen { place.doctor(&["--only", "callback", "--url", &url]) };
    switches.set_told(Told { addresses: Some(vec!["192.0.2.7".parse().unwrap()]), ..Told::default() });
    look().has("callback", "warning", "WeChat finds 192.0.2.7, this machine finds 127.0.0.1", "DNS record");
    switches.set_told(Told { pings_lost: true, ..Told::default() });
    let seen = look();
    seen.has("callback", "warning", "100 % loss at 127.0.0.1", "ICMP");
    assert_eq!(seen.code, 0, "{PROGRAM} works all the same");
    place.wechat.set_push_url(String::new());
    look().has("callback", "error", "WeChat's console has none", "WECHAT_TOKEN");
}
