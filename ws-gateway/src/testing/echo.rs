//! The gateway's connections with an echo in place of the login, for WebSocket conformance suites.
//!
//! Most of their cases need every message back, and a gateway sends none back. This has the gateway's accept loop, its
//! HTTP, its handshake, and its socket with all limits; only the echo is new. The gateway itself does not use it:
//! `examples/echo.rs` is the only program that does.

use std::future::poll_fn;
use std::time::Duration;

use server::http as web;
use server::listen::{self, Accepted};
use server::pace::Rate;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::browsers::handshake::{self, Handshake};
use crate::browsers::socket::{Limits, PageSocket};

/// Suites send messages of up to 64 KiB, faster than any page.
const LIMITS: Limits = Limits {
    message: 64 * 1024,
    messages: Rate { most: 10_000, refill: Duration::from_millis(1) },
    portions: Rate { most: 1_000_000, refill: Duration::from_millis(1) },
};

/// Connections at once; suites run a few cases side by side.
const PLACES: usize = 64;

/// Echoes every message of every connection, until the future is dropped.
///
/// # Errors
/// When the listening socket itself fails.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let spawning = tasks.clone();
    listen::accept(listener, PLACES, stop.clone(), tasks, move |accepted| {
        serve_connection(accepted, stop.clone(), spawning.clone())
    })
    .await
}

async fn serve_connection(accepted: Accepted, stop: CancellationToken, tasks: TaskTracker) {
    let Accepted { stream, permit, .. } = accepted;
    let Some(permit) = permit else {
        return web::refuse(stream, &stop).await;
    };
    web::serve(stream, &stop, web::HEAD_WITHIN, Some(&permit), |request| {
        let permit = permit.clone();
        let answer = match Handshake::check(&request) {
            Err(refusal) => handshake::refused(&refusal),
            Ok(handshake) => handshake.answer(request, false, &LIMITS, &tasks, |socket| async {
                echo(socket).await;
                drop(permit);
            }),
        };
        async { answer }
    })
    .await;
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: PageSocket<S>) {
    let ended = loop {
        match poll_fn(|cx| socket.poll_receive(cx)).await {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                if let Err(ended) = socket.echo(message).await {
                    break ended;
                }
            }
            Ok(_) => {}
            Err(ended) => break ended,
        }
    };
    socket.end(ended).await;
}
