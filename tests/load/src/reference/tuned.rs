//! What tokio-tungstenite gives whoever uses it plainly and has read about its buffers: a task for each page, a channel to
//! it, a table of channels. As any gateway must, it asks WeChat for each page's code, over connections that it keeps. Its
//! picture is ready, it keeps no record, and it checks nobody.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Upgrade, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use super::{HELLO, code_message};
use crate::wire;

/// What is read of a back end at once.
const READ: usize = 64 * 1024;

type Scene = [u8; 22];

struct Tuned {
    pages: Mutex<HashMap<Scene, mpsc::Sender<String>>>,
    /// The message with a code, and where its scene is.
    code: (Vec<u8>, usize),
    wechat: Option<WeChat>,
}

/// A client of the offline WeChat.
struct WeChat {
    http: Client<HttpConnector, Full<Bytes>>,
    create: String,
}

#[derive(Deserialize)]
struct Notice<'a> {
    id: Option<&'a str>,
    scene: Option<&'a str>,
    nickname: Option<&'a str>,
}

/// Serves until the process is ended.
#[tokio::main]
pub(super) async fn serve(
    pages: TcpListener,
    notices: TcpListener,
    code_bytes: usize,
    wechat: Option<SocketAddr>,
) -> anyhow::Result<()> {
    let wechat = match wechat {
        Some(wechat) => Some(WeChat::new(wechat).await?),
        None => None,
    };
    let tuned = Arc::new(Tuned { pages: Mutex::default(), code: code_message(code_bytes), wechat });
    let (pages, notices) =
        (tokio::net::TcpListener::from_std(pages)?, tokio::net::TcpListener::from_std(notices)?);
    loop {
        tokio::select! {
            accepted = pages.accept() => {
                let (stream, tuned) = (accepted?.0, Arc::clone(&tuned));
                stream.set_nodelay(true)?;
                tokio::spawn(async move { tuned.page(stream).await });
            }
            accepted = notices.accept() => {
                let (stream, tuned) = (accepted?.0, Arc::clone(&tuned));
                stream.set_nodelay(true)?;
                tokio::spawn(async move { tuned.back_end(stream).await });
            }
        }
    }
}

impl Tuned {
    async fn page(&self, stream: TcpStream) -> anyhow::Result<()> {
        let config = WebSocketConfig::default().read_buffer_size(256).write_buffer_size(0);
        // Boxed, so that a page that waits does not keep the room that its beginning took.
        let mut socket = Box::pin(accept_hdr_async_with_config(stream, choose, Some(config))).await?;
        let scene = random();
        let (tell, mut told) = mpsc::channel(1);
        self.lock().insert(scene, tell);
        let message = Box::pin(self.code(scene)).await?;
        socket.send(Message::text(message)).await?;
        loop {
            tokio::select! {
                heard = socket.next() => match heard {
                    Some(Ok(message)) if !message.is_close() => {}
                    _ => break,
                },
                Some(message) = told.recv() => {
                    self.lock().remove(&scene);
                    socket.send(Message::text(message)).await?;
                    socket.close(Some(CloseFrame { code: 4010.into(), reason: "".into() })).await?;
                    while let Some(Ok(_)) = socket.next().await {}
                    return Ok(());
                }
            }
        }
        self.lock().remove(&scene);
        Ok(())
    }

    async fn code(&self, scene: Scene) -> anyhow::Result<String> {
        let mut message = self.code.0.clone();
        message[self.code.1..self.code.1 + 22].copy_from_slice(&scene);
        if let Some(wechat) = &self.wechat {
            wechat.code(std::str::from_utf8(&scene)?).await?;
        }
        Ok(String::from_utf8(message)?)
    }

    async fn back_end(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        let (mut bytes, mut out) = (BytesMut::with_capacity(READ), Vec::new());
        wire::push_notice(&mut out, HELLO);
        stream.write_all(&out).await?;
        loop {
            bytes.reserve(READ);
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            out.clear();
            while let Some(json) = wire::notice(&bytes) {
                let frame = bytes.split_to(json.end);
                let notice: Notice<'_> = serde_json::from_slice(&frame[json])?;
                // The proof has no scene, and is believed.
                let Some(scene) = notice.scene else { continue };
                let status = if self.tell(scene, notice.nickname) { "delivered" } else { "unknown" };
                let answer = json!({"type": "answer", "id": notice.id, "status": status, "state": "granted"});
                wire::push_notice(&mut out, &serde_json::to_vec(&answer)?);
            }
            stream.write_all(&out).await?;
        }
    }

    fn tell(&self, scene: &str, nickname: Option<&str>) -> bool {
        let Ok(scene) = Scene::try_from(scene.as_bytes()) else { return false };
        let Some(page) = self.lock().get(&scene).cloned() else { return false };
        let message = json!({"message_type": "scan_success", "user": nickname.unwrap_or_default()});
        page.try_send(message.to_string()).is_ok()
    }

    #[expect(clippy::unwrap_used, reason = "a panic ends this process")]
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Scene, mpsc::Sender<String>>> {
        self.pages.lock().unwrap()
    }
}

impl WeChat {
    async fn new(wechat: SocketAddr) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = Client::builder(TokioExecutor::new()).build(connector);
        let account = simulator::Settings::default();
        let body =
            json!({"grant_type": "client_credential", "appid": account.app_id, "secret": account.app_secret});
        let create = String::new();
        let mut client = Self { http, create };
        let answer = client.post(&format!("http://{wechat}/cgi-bin/stable_token"), &body).await?;
        let token = answer["access_token"].as_str().context("WeChat gives no token")?;
        client.create = format!("http://{wechat}/cgi-bin/qrcode/create?access_token={token}");
        Ok(client)
    }

    async fn code(&self, scene: &str) -> anyhow::Result<()> {
        let body = json!({
            "expire_seconds": 1680,
            "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": scene}},
        });
        let answer = self.post(&self.create, &body).await?;
        answer["url"].as_str().context("WeChat gives no code")?;
        Ok(())
    }

    async fn post(&self, url: &str, body: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
        let request = Request::post(url)
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(body)?))?;
        let answer = self.http.request(request).await?.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&answer)?)
    }
}

#[expect(clippy::result_large_err, clippy::unnecessary_wraps, reason = "the library wants it so")]
fn choose(_: &Upgrade, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("saoma.v1"));
    Ok(response)
}

fn random() -> Scene {
    let mut scene = [0; 22];
    scene.fill_with(|| {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[fastrand::usize(..64)]
    });
    scene
}
