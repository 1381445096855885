//! The way of pages: the browsers' port on this host, and the public address with everything that is before it.
//!
//! The doctor opens a WebSocket as a page does that comes back with a key that cannot be read. The gateway answers such a
//! page at once, and gives it no code.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use doctor::http::{self, Answer, Whom};
use doctor::{Category, Sheet, Words};
use futures_util::StreamExt;
use ipnet::IpNet;
use server::health::reachable;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use url::Url;

use crate::browsers;
use crate::browsers::opening::SUBPROTOCOL;
use crate::browsers::widget::PublicUrl;

/// How long the gateway's first word may take: it has nothing to look up.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// What a page brings that wants nothing.
const WITHOUT_KEY: &str = "resume.doctor";

/// What a proxy must do, for a hint.
const NGINX: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; \
                     proxy_set_header Host $host";

/// Adds the looks at this host's port and at the public address, where that is known.
pub(super) fn look(category: &mut Category, settings: &browsers::Settings, public: Option<&PublicUrl>) {
    let listen = settings.listen;
    category.look(port(), http::WITHIN, move |sheet| async move { on_this_host(&sheet, listen).await });
    match public {
        Some(public) => {
            if !public.is_of_this_host() && listen.ip().is_loopback() {
                let sheet = Sheet::default();
                trusted(&sheet, listen.ip(), &settings.trusted_proxies);
                category.found(&sheet);
            }
            let (url, origin) = (public.at("/ws"), public.origin().to_owned());
            let names_origins = settings.allowed_origins.is_some();
            category.look(page(&url), http::WITHIN, move |sheet| {
                let (url, origin) = (url.clone(), origin.clone());
                async move { from_outside(&sheet, &url, &origin, names_origins).await }
            });
        }
        None => {
            let sheet = Sheet::default();
            sheet.warning(
                Words::new(
                    "a page can open its WebSocket at the public address",
                    "网页可以在公网地址上打开 WebSocket",
                ),
                Words::new("it was not looked at: the address is not known here", "没有检查：不知道公网地址"),
                Words::new(
                    "say it with --gateway-url https://login.example.com, or set GATEWAY_URL",
                    "请用 --gateway-url https://login.example.com 或 GATEWAY_URL 指定",
                ),
            );
            category.found(&sheet);
        }
    }
}

/// Whether the proxy of this host, which a port on loopback must have, is believed about who comes.
fn trusted(sheet: &Sheet, host: IpAddr, proxies: &[IpNet]) {
    let description = Words::new("each page's own address is known", "能知道每个网页自己的地址");
    if proxies.iter().any(|network| network.contains(&host)) {
        return sheet.ok(description);
    }
    sheet.warning(
        description,
        Words::new(
            format!("GATEWAY_LISTEN is on loopback, and GATEWAY_TRUSTED_PROXIES does not name {host}: all pages have one address"),
            format!("GATEWAY_LISTEN 只在本机，而 GATEWAY_TRUSTED_PROXIES 没有列出 {host}：所有网页都是同一个地址"),
        ),
        Words::new(
            format!(
                "set GATEWAY_TRUSTED_PROXIES={host}, and let the proxy set X-Forwarded-For; else GATEWAY_ADDRESS_RATE stops \
                 everybody together"
            ),
            format!("请设置 GATEWAY_TRUSTED_PROXIES={host}，并让代理设置 X-Forwarded-For；否则 GATEWAY_ADDRESS_RATE 会一起限制所有人"),
        ),
    );
}

fn port() -> Words {
    Words::new("pages are served at the browsers' port", "浏览器端口可以打开网页连接")
}

fn page(url: &str) -> Words {
    Words::new(format!("a page can open its WebSocket at {url}"), format!("网页可以打开 WebSocket：{url}"))
}

async fn on_this_host(sheet: &Sheet, listen: SocketAddr) {
    let at = reachable(listen);
    let Ok(url) = Url::parse(&format!("http://{at}/ws")) else { return };
    match open(Whom::ThisHost, &url, None).await {
        Ok(Opened::Page) => sheet.ok_with(port(), Words::same(at.to_string())),
        Ok(Opened::Refused(answer)) => sheet.failure(
            port(),
            told(&answer),
            Words::new(
                format!("see what listens at {at} (ss -ltnp): it is no gateway"),
                format!("请查看 {at} 上是什么程序（ss -ltnp）：它不是网关"),
            ),
        ),
        Ok(Opened::Silent) => {
            sheet.failure(port(), silent(), Words::new("restart the gateway", "请重启网关"));
        }
        Err(why) => sheet.warning(
            port(),
            Words::new(format!("nothing answers at {at}: {why}"), format!("{at} 没有回应：{why}")),
            Words::new(
                "start the gateway, and ask again where it runs: in its container, or on its host",
                "请启动网关，并在它运行的地方（容器内或主机上）再检查一次",
            ),
        ),
    }
}

async fn from_outside(sheet: &Sheet, url: &str, origin: &str, names_origins: bool) {
    let Ok(parsed) = Url::parse(url) else { return };
    let opened = match open(Whom::Anybody, &parsed, Some(origin)).await {
        Ok(opened) => opened,
        Err(why) => {
            sheet.failure(
                page(url),
                Words::new(format!("there is no answer: {why}"), format!("没有回应：{why}")),
                Words::new(
                    "see that the name leads to the proxy, that its port is open, and that its certificate is good for the \
                     name",
                    "请检查域名是否指向代理、端口是否开放、证书是否与域名一致",
                ),
            );
            return;
        }
    };
    match opened {
        Opened::Page => sheet.ok(page(url)),
        Opened::Silent => sheet.failure(
            page(url),
            silent(),
            Words::new(
                "a proxy on the way keeps back what the gateway sends: switch its buffering off for /ws, and let it pass \
                 WebSockets",
                "沿途的代理扣住了网关发出的数据：请对 /ws 关闭缓冲，并放行 WebSocket",
            ),
        ),
        // Sites may have pages of their own, and no use for the gateway's.
        Opened::Refused(answer) if answer.status == 403 && names_origins => sheet.warning(
            page(url),
            told(&answer),
            Words::new(
                format!("if people log in at {origin}, add it to GATEWAY_ALLOWED_ORIGINS"),
                format!("如果用户在 {origin} 的页面登录，请把它加入 GATEWAY_ALLOWED_ORIGINS"),
            ),
        ),
        Opened::Refused(answer) => sheet.failure(page(url), told(&answer), cure(&answer)),
    }
}

/// What became of a page.
#[derive(Debug)]
enum Opened {
    /// It was opened, and heard the gateway.
    Page,
    /// It was opened, and heard nothing.
    Silent,
    /// It was not opened.
    Refused(Answer),
}

/// Opens a WebSocket as a page of `origin`, and waits for the gateway's first word.
async fn open(whom: Whom, url: &Url, origin: Option<&str>) -> Result<Opened, String> {
    let answer = http::send(whom, url, |client, url| {
        let request = client.get(url).header("connection", "Upgrade").header("upgrade", "websocket");
        let request =
            request.header("sec-websocket-version", "13").header("sec-websocket-key", generate_key());
        let request = request.header("sec-websocket-protocol", format!("{SUBPROTOCOL}, {WITHOUT_KEY}"));
        match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        }
    })
    .await?;
    if answer.status() != http::Status::SWITCHING_PROTOCOLS {
        return http::read(answer).await.map(Opened::Refused);
    }
    let Ok(stream) = answer.upgrade().await else { return Ok(Opened::Silent) };
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    // It is a close: "this login is not known".
    match timeout(FIRST_WORD, socket.next()).await {
        Ok(Some(Ok(_))) => Ok(Opened::Page),
        Ok(Some(Err(_)) | None) | Err(_) => Ok(Opened::Silent),
    }
}

fn silent() -> Words {
    Words::new("it is opened, and then nothing of the gateway arrives", "连接已打开，但收不到网关的任何数据")
}

/// What came in place of a WebSocket.
fn told(answer: &Answer) -> Words {
    let Answer { status, location, server, .. } = answer;
    let by = if server.is_empty() { String::new() } else { format!(" ({server})") };
    match location.is_empty() {
        false => Words::new(
            format!("it is sent elsewhere, HTTP {status} to {location}{by}"),
            format!("被重定向：HTTP {status}，到 {location}{by}"),
        ),
        true => {
            let begins = answer.begins();
            Words::new(format!("HTTP {status}{by}: {begins}"), format!("HTTP {status}{by}：{begins}"))
        }
    }
}

/// What to do about it.
fn cure(answer: &Answer) -> Words {
    match answer.status {
        301..=308 => Words::new(
            "give --gateway-url the address where the redirect leads; if browsers come this way too, let the proxy pass /ws \
             to the gateway",
            "请把 --gateway-url 改为重定向后的地址；如果浏览器也走这里，请让代理把 /ws 直接转给网关",
        ),
        403 => Words::new(
            format!(
                "let the proxy pass Host as the browser sent it ({NGINX}), or name the pages in GATEWAY_ALLOWED_ORIGINS"
            ),
            format!("请让代理原样传递 Host（{NGINX}），或在 GATEWAY_ALLOWED_ORIGINS 中列出网页的来源"),
        ),
        400 | 426 => Words::new(
            format!("let the proxy pass WebSockets with all their headers; in nginx: {NGINX}"),
            format!("请让代理放行 WebSocket 及其全部请求头；nginx 写法：{NGINX}"),
        ),
        502..=504 => Words::new(
            "the proxy does not reach the gateway: see that it runs, and that the proxy is told the port of GATEWAY_LISTEN",
            "代理连不上网关：请检查网关是否在运行，代理配置的端口是否为 GATEWAY_LISTEN",
        ),
        _ => Words::new(
            format!("something else answers: let the proxy pass /ws to the gateway; in nginx: {NGINX}"),
            format!("是别的程序在应答：请让代理把 /ws 转给网关；nginx 写法：{NGINX}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use doctor::Language;

    use super::*;

    #[test]
    fn each_answer_has_its_cure() {
        let cured = |status| {
            let answer = Answer {
                status,
                location: String::new(),
                kind: String::new(),
                server: String::new(),
                body: String::new(),
            };
            cure(&answer).get(Language::En).to_owned()
        };
        for (status, word) in [
            (301, "redirect"),
            (403, "GATEWAY_ALLOWED_ORIGINS"),
            (426, "Upgrade $http_upgrade"),
            (502, "GATEWAY_LISTEN"),
            (404, "something else"),
            (200, "something else"),
        ] {
            assert!(cured(status).contains(word), "{status}");
        }
    }
}
