//! The gateway's login page and the widget as browsers get them: what may be kept, who may read it, and what an operator
//! has put on the page; and the lines that `ws-gateway widget` prints for pages of sites.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use demo::{Options, Stack};
use e2e::programs::{output, text};
use reqwest::{Client, Response};
use tokio::task::block_in_place;

async fn get(stack: &Stack, path: &str, known: Option<&str>) -> Response {
    let request = Client::new().get(format!("http://{}{path}", stack.gateway.browsers));
    let request = match known {
        Some(tag) => request.header("if-none-match", tag),
        None => request,
    };
    request.header("origin", "https://shop.example.cn").send().await.unwrap()
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// The SHA-384 of a text, as another program counts it.
fn sha384(text: &[u8]) -> Vec<u8> {
    let mut sum = Command::new("sha384sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(text).unwrap();
    let printed = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    let digits = printed.split(' ').next().unwrap();
    (0..48).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// What the command prints for a gateway at this address.
fn widget(url: &str) -> String {
    let printed = output("ws-gateway", &HashMap::new(), &["widget", "--gateway-url", url]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    text(&printed.stdout)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap_or_else(|| panic!("{text}")).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_widgets_lines_load_what_the_gateway_serves() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let url = format!("http://{}", stack.gateway.browsers);
    let lines = block_in_place(|| widget(&url));
    let address = between(&lines, "src=\"", "\"");
    let path = address.strip_prefix(&url).unwrap();
    let served = get(&stack, path, None).await;
    assert_eq!(header(&served, "cache-control"), "public, max-age=31536000, immutable");
    let served = served.bytes().await.unwrap();
    let hash = sha384(&served);
    assert_eq!(between(&lines, "integrity=\"sha384-", "\""), STANDARD.encode(&hash));
    let version: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(path, format!("/widget.v1.js?v={version}"));
    assert!(lines.contains("type=\"module\"") && lines.contains("crossorigin=\"anonymous\""), "{lines}");
    let policy =
        format!("script-src {url}; connect-src {url} ws://{}; img-src data:", stack.gateway.browsers);
    assert!(lines.contains(&policy), "{lines}");
    assert!(lines.contains("print them again after an upgrade"), "{lines}");

    // The second module, by the version that the first one asks for, which is checked by whoever wants that.
    let second = between(&lines, "{\"integrity\":{\"", "\":\"sha384-");
    let path = second.strip_prefix(&url).unwrap();
    let asked = between(std::str::from_utf8(&served).unwrap(), "import('.", "')");
    assert_eq!(asked, path);
    let served = get(&stack, path, None).await;
    assert_eq!(header(&served, "cache-control"), "public, max-age=31536000, immutable");
    let hash = sha384(&served.bytes().await.unwrap());
    assert_eq!(between(&lines, "\":\"sha384-", "\"}}</script>"), STANDARD.encode(&hash));
}

#[tokio::test]
async fn pages_of_every_site_may_load_the_widget_and_keep_it_for_a_day() {
    let stack = Stack::start(Options::default()).await.unwrap();
    for (path, kind) in [
        ("/widget.v1.js", "text/javascript"),
        ("/ways.v1.js", "text/javascript"),
        ("/widget.v1.d.ts", "text/plain"),
    ] {
        let whole = get(&stack, path, None).await;
        let etag = header(&whole, "etag");
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
        for (known, status) in [(None, 200), (Some(&*etag), 304), (Some("\"another\""), 200)] {
            let answer = get(&stack, path, known).await;
            assert_eq!(answer.status().as_u16(), status, "{path} {known:?}");
            for (name, value) in [
                ("access-control-allow-origin", "*"),
                ("cross-origin-resource-policy", "cross-origin"),
                ("x-content-type-options", "nosniff"),
                ("cache-control", "public, max-age=86400"),
                ("etag", &*etag),
            ] {
                assert_eq!(header(&answer, name), value, "{path} {known:?}: {name}");
            }
            assert!(header(&answer, "content-type").starts_with(kind), "{path}");
            assert_eq!(answer.bytes().await.unwrap().is_empty(), status == 304, "{path} {known:?}");
        }
        // While gateways are being upgraded another one is asked for its neighbour's.
        let foreign = get(&stack, &format!("{path}?v=0123456789abcdef"), None).await;
        assert_eq!(header(&foreign, "cache-control"), "no-cache", "{path}");
    }
    // The page's own parts are for the page.
    for path in ["/", "/login.js", "/login.css"] {
        let answer = get(&stack, path, None).await;
        assert_eq!(header(&answer, "access-control-allow-origin"), "", "{path}");
        assert_eq!(header(&answer, "cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn the_page_shows_what_the_operator_put_on_it() {
    const HOSTILE: &str = "</title><script>alert(1)</script> \u{202e}שלום 👩‍👩‍👧";
    let gateway = [
        format!("--gateway-title={HOSTILE}"),
        "--gateway-logo=https://pictures.example/logo.svg".to_owned(),
        "--gateway-accent=#1D4ED8".to_owned(),
        format!("--gateway-line={HOSTILE}"),
        "--gateway-links=条款=https://a.example/terms,Privacy=https://a.example/privacy".to_owned(),
        format!("--gateway-account-name={HOSTILE}"),
    ];
    let stack = Stack::start(Options { gateway: gateway.into(), ..Options::default() }).await.unwrap();
    let page = get(&stack, "/", None).await;
    let policy = header(&page, "content-security-policy");
    assert!(
        policy.contains(" https://pictures.example;") && policy.contains("script-src 'self';"),
        "{policy}"
    );
    let page = page.text().await.unwrap();
    assert!(!page.contains("<script>") && page.matches("alert(1)").count() == 5, "{page}");
    for part in [
        "<img class=\"logo\" src=\"https://pictures.example/logo.svg\" alt=\"\">",
        "<a href=\"https://a.example/terms\" target=\"_blank\" rel=\"noopener\" dir=\"auto\">条款</a>",
        "<span lang=\"zh-CN\">扫码即关注公众号“<bdi>",
        "<span lang=\"en\">By scanning you follow the official account “<bdi>",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let style = get(&stack, "/login.css", None).await.text().await.unwrap();
    let (_, last) = style.rsplit_once("/* The operator's accent. */").unwrap();
    for part in ["--saoma-accent: #1d4ed8;", "--saoma-button: #1d4ed8;", "prefers-color-scheme: dark"] {
        assert!(last.contains(part), "{part} is not in {last}");
    }
}
