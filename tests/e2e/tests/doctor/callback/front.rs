//! Programs that stand between WeChat and the service, each with a fault.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What one does to a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Does {
    /// It leaves the query out.
    EatTheQuery,
    /// It leaves the query of POSTs out.
    EatTheQueryOfPosts,
    /// It passes another path on.
    StripThePath,
    /// It answers this in place of the service.
    Answer(&'static str),
    /// It sends every request elsewhere, with its query.
    Redirect,
}

/// One that listens until it is dropped.
pub(super) struct Front {
    pub url: String,
    listening: JoinHandle<()>,
}

impl Front {
    pub(super) async fn start(service: SocketAddr, does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/wechat", listener.local_addr().unwrap());
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, service, does));
            }
        });
        Self { url, listening }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Passes one request on, and its answer back.
async fn pass(mut client: TcpStream, service: SocketAddr, does: Does) {
    let request = whole(&mut client).await;
    let request = match does {
        Does::Answer(answer) => {
            client.write_all(answer.as_bytes()).await.unwrap();
            return;
        }
        Does::Redirect => {
            let target = request.split(' ').nth(1).unwrap();
            let answer = format!(
                "HTTP/1.1 301 Moved\r\nlocation: https://li:hunter2@login.example{target}\r\ncontent-length: 0\r\n\r\n"
            );
            client.write_all(answer.as_bytes()).await.unwrap();
            return;
        }
        Does::StripThePath => request.replacen("/wechat", "/", 1),
        Does::EatTheQueryOfPosts if !request.starts_with("POST") => request,
        Does::EatTheQuery | Does::EatTheQueryOfPosts => {
            let (line, rest) = request.split_once('\n').unwrap();
            let (target, _) = line.split_once('?').unwrap();
            format!("{target} HTTP/1.1\r\n{rest}")
        }
    };
    let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut upstream = TcpStream::connect(service).await.unwrap();
    upstream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await.unwrap();
    client.write_all(&answer).await.unwrap();
}

/// A request with its body.
async fn whole(stream: &mut TcpStream) -> String {
    let (mut read, mut part) = (String::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut part).await.unwrap();
        read.push_str(&String::from_utf8_lossy(&part[..length]));
        let Some((head, body)) = read.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let wanted = head
            .split_once("content-length: ")
            .map_or(0, |(_, rest)| rest.lines().next().unwrap().trim().parse::<usize>().unwrap());
        if length == 0 || body.len() >= wanted {
            return read;
        }
    }
}
