//! The public address, with proxies before the gateway that break what pages need.

use std::net::{Ipv4Addr, SocketAddr};

use test_redis::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::Place;

/// What a proxy does with the head of a request.
enum Does {
    /// Changes it on its way to the gateway.
    Passes(SocketAddr, fn(String) -> String),
    /// Answers it.
    Answers(&'static str),
}

/// A proxy, and its address as a URL.
async fn proxy(does: Does) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match client.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8(head).unwrap();
            match &does {
                Does::Answers(answer) => {
                    client.write_all(answer.as_bytes()).await.unwrap();
                    // The connection stays open, as that of a proxy that waits does.
                    tokio::spawn(async move { client.read_u8().await });
                }
                Does::Passes(gateway, change) => {
                    let mut gateway = TcpStream::connect(gateway).await.unwrap();
                    gateway.write_all(change(head).as_bytes()).await.unwrap();
                    tokio::spawn(async move { copy_bidirectional(&mut client, &mut gateway).await });
                }
            }
        }
    });
    url
}

/// The head without the lines that begin with one of these names.
fn without(head: &str, names: &[&str]) -> String {
    let is_kept = |line: &&str| !names.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
    head.split("\r\n").filter(is_kept).collect::<Vec<_>>().join("\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_in_which_a_proxy_breaks_pages_is_named_with_what_to_write() {
    let place = Place::running().await;
    let gateway: SocketAddr = place.settings["GATEWAY_LISTEN"].parse().unwrap();
    let well = proxy(Does::Passes(gateway, |head| head)).await;
    place.doctor(&["--only", "browsers", "--gateway-url", &well]).is_well("browsers");

    let passes = |change| Does::Passes(gateway, change);
    for (does, error, hint) in [
        (passes(|head| without(&head, &["upgrade:", "connection:"])), "HTTP 426", "Upgrade $http_upgrade"),
        (
            passes(|head| without(&head, &["host:"]).replacen("\r\n", "\r\nhost: backend:1099\r\n", 1)),
            "HTTP 403",
            "proxy_set_header Host $host",
        ),
        (
            Does::Answers(
                "HTTP/1.1 301 x\r\nlocation: https://elsewhere.example/ws\r\ncontent-length: 0\r\n\r\n",
            ),
            "https://elsewhere.example/ws",
            "the redirect leads",
        ),
        (
            Does::Answers("HTTP/1.1 502 x\r\nserver: nginx\r\ncontent-length: 0\r\n\r\n"),
            "HTTP 502 (nginx)",
            "GATEWAY_LISTEN",
        ),
        (
            Does::Answers(
                "HTTP/1.1 200 x\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<html>Welcome!</",
            ),
            "<html>Welcome!",
            "something else answers",
        ),
        (
            Does::Answers(
                "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n",
            ),
            "nothing of the gateway arrives",
            "buffering",
        ),
    ] {
        let url = proxy(does).await;
        let seen = place.doctor(&["--only", "browsers", "--gateway-url", &url]);
        seen.has("browsers", "error", error, hint);
    }
    let seen = place.doctor(&["--only", "browsers", "--gateway-url", "https://nobody.invalid"]);
    seen.has("browsers", "error", "there is no answer", "certificate");
    seen.has("browsers", "warning", "all pages have one address", "GATEWAY_TRUSTED_PROXIES=127.0.0.1");
    assert_eq!(place.wechat.counters().qr_calls, 0, "no code was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_for_pages_of_others_alone_is_no_fault() {
    let mut place = Place::new().await;
    place.set("GATEWAY_ALLOWED_ORIGINS", "https://shop.example");
    place.start();
    let seen = place.doctor(&["--only", "browsers", "--gateway-url", &place.gateway_url()]);
    seen.has("browsers", "warning", "HTTP 403", "add it to GATEWAY_ALLOWED_ORIGINS");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_is_on_the_way_to_this_hosts_own_gateway() {
    let mut place = Place::new().await;
    // It is this machine, and not by a form that proxies are kept from.
    place.set("GATEWAY_LISTEN", format!("[::ffff:127.0.0.1]:{}", free_port()));
    place.start();
    place.set("HTTP_PROXY", format!("http://127.0.0.1:{}", free_port()));
    let seen = place.doctor(&["--only", "browsers"]);
    assert_eq!(seen.checks("browsers")[0]["result"], "success", "{:#}", seen.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_at_the_port_is_told() {
    let mut place = Place::new().await;
    let port = place.settings["WECHAT_API_URL"].replace("http://", "");
    place.set("GATEWAY_LISTEN", port);
    place.doctor(&["--only", "browsers"]).has("browsers", "error", "HTTP 404", "it is no gateway");
}
