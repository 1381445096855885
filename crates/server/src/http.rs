//! HTTP/1.1 on one connection, within limits, and the few answers every program gives.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use crate::bodies::{BodyError, discard, read_body};
use crate::places::Place;
use crate::read_deadline::{Late, ReadDeadline};
use crate::streamed::goes_on;
use crate::write_deadline::WriteDeadline;

/// What a request is answered with. Every body is in memory, but for those of [`streamed`](crate::streamed).
pub type Response = http::Response<Full<Bytes>>;

/// A request's head must arrive within this. The time runs from the beginning of the connection, or of the head itself.
pub const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// An answer must be read within this. The time runs from the first write that has to wait for the peer.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// When a connection is to end, the request in hand must be answered, and the answer read, within this. It is less than
/// a drain leaves, so that a peer that does not read does not make the drain fail. It is more than a push takes.
const LEAVES_WITHIN: Duration = Duration::from_millis(5500);

/// A connection that goes on asking is closed after this, so that others get its place.
const ASKS_FOR: Duration = Duration::from_secs(60);

/// Bytes of request head, and of hyper's read buffer. hyper takes no less than 8 KiB, and browsers with
/// many cookies come near it.
const MAX_HEAD: usize = 16 * 1024;

/// Header lines in a request; browsers behind several proxies send about thirty.
const MAX_HEADERS: usize = 64;

/// What a connection of a full port gets when there is no place for [`refuse`] either.
pub const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 38\r\n\r\n\
    too many connections, try again later\n";

/// Serves one connection until it ends, or until `stop` and the request in hand has been answered. Between requests
/// it may be idle for as long as `keep_alive`, and gives its `place` to others if the port is full.
///
/// Upgrades are possible, and [`taken_over`] gives the stream after one. An answer that goes on holds
/// the connection until it ends, and closes it. The peer's faults are logged at debug level, because peers leave all the
/// time.
pub async fn serve<S, H, F, B>(
    stream: S,
    stop: &CancellationToken,
    keep_alive: Duration,
    place: Option<&Place>,
    handle: H,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = http::Response<B>>,
    B: Body<Data = Bytes, Error = Infallible> + From<Full<Bytes>> + 'static,
{
    let began = Instant::now();
    let stream = ReadDeadline::new(WriteDeadline::new(stream, TAKEN_WITHIN), HEAD_WITHIN);
    let debt = stream.debt();
    let service = service_fn(|request| {
        debt.asked();
        if let Some(place) = place {
            place.works();
        }
        let (answer, debt) = (names_one_host(&request).then(|| handle(request)), debt.clone());
        async move {
            let mut answer = match answer {
                Some(answer) => answer.await,
                None => text(StatusCode::BAD_REQUEST, "a request names one Host\n").map(B::from),
            };
            if goes_on(answer.body()) {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            } else if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                debt.answered(keep_alive);
                if let Some(place) = place {
                    place.waits();
                }
                if began.elapsed() >= ASKS_FOR {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let is_to_end = async {
        match place {
            Some(place) => tokio::select! {
                () = stop.cancelled() => {}
                () = place.given_away() => {}
            },
            None => stop.cancelled().await,
        }
    };
    let is_late = tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = is_to_end => None,
        late = debt.late() => Some(late),
    };
    if is_late != Some(Late::Head) {
        connection.as_mut().graceful_shutdown();
        // After that time the connection is dropped without a word.
        if let Ok(ended) = tokio::time::timeout(LEAVES_WITHIN, connection).await {
            log_end(ended);
        }
    }
}

/// The connection of [`serve`] after an upgrade, without the limits of HTTP, and what its peer has sent already. Whoever takes
/// it over limits reads and writes from then on. `None` when it is another kind of stream.
#[must_use]
pub fn taken_over<S>(upgraded: Upgraded) -> Option<(S, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let parts = upgraded.downcast::<TokioIo<Limited<S>>>().ok()?;
    Some((parts.io.into_inner().into_inner().into_inner(), parts.read_buf))
}

/// A stream with the limits of HTTP.
type Limited<S> = ReadDeadline<WriteDeadline<S>>;

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// A request has exactly one Host, as RFC 9112, section 3.2, says; before HTTP/1.1 it may have none. Two are an attempt
/// to make a proxy and us believe different ones.
fn names_one_host<B>(request: &Request<B>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() < Version::HTTP_11,
        hosts => hosts == 1,
    }
}

/// Answers every request of a connection for which there is no place with 503, for a short while.
pub async fn refuse<S>(stream: S, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let refused = serve(stream, stop, HEAD_WITHIN, None, |_| async {
        let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, "too many connections, try again later\n");
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    });
    // A peer that sends nothing must not keep the place for refusals.
    let _ = tokio::time::timeout(HEAD_WITHIN, refused).await;
}

/// An answer that is not to be cached or sniffed.
#[must_use]
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A short text for people.
#[must_use]
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response {
    answer(status, "text/plain; charset=utf-8", body)
}

/// 405 with the methods that there are (RFC 9110, section 15.5.6).
#[must_use]
pub fn method_not_allowed(methods: &str) -> Response {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("{methods} only\n"));
    if let Ok(methods) = HeaderValue::from_str(methods) {
        answer.headers_mut().insert(ALLOW, methods);
    }
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::places::Room;

    /// Longer than balancers keep connections.
    const PAUSE: Duration = Duration::from_secs(75);

    /// Serves one end of a connection, on which 64 bytes may wait, and gives the other.
    fn served(size: usize) -> (DuplexStream, JoinHandle<()>) {
        let (client, server) = tokio::io::duplex(64);
        let served = tokio::spawn(async move {
            let stop = CancellationToken::new();
            serve(server, &stop, PAUSE, None, |_| async { text(StatusCode::OK, "x".repeat(size)) }).await;
        });
        (client, served)
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// Sends a request and reads one answer of an empty body.
    async fn ask(client: &mut DuplexStream) -> String {
        client.write_all(REQUEST).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_come_ends_the_connection() {
        for bytes in [&b""[..], b"GET / HTTP/1.1\r\nhost:"] {
            let (mut client, served) = served(0);
            let began = Instant::now();
            client.write_all(bytes).await.unwrap();
            served.await.unwrap();
            assert_eq!(began.elapsed(), HEAD_WITHIN, "{bytes:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_asks_no_more_is_let_go_of() {
        let (mut client, served) = served(0);
        ask(&mut client).await;
        let began = Instant::now();
        served.await.unwrap();
        assert_eq!(began.elapsed(), PAUSE);
    }

    /// A balancer that keeps connections for a minute sends its next request into one.
    #[tokio::test(start_paused = true)]
    async fn a_request_after_a_minutes_pause_is_answered() {
        let (mut client, _served) = served(0);
        for _ in 0..2 {
            let answer = ask(&mut client).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_waits_gives_way_and_one_that_is_being_answered_does_so_after_its_answer() {
        let room = Room::new(1, None, Default::default());
        let address = "192.0.2.1".parse().unwrap();
        let of = |takes: Duration| {
            let (place, (client, server)) = (room.take(address).unwrap(), tokio::io::duplex(1024));
            let served = tokio::spawn(async move {
                let answer = |_| async move {
                    tokio::time::sleep(takes).await;
                    text(StatusCode::OK, "")
                };
                serve(server, &CancellationToken::new(), PAUSE, Some(&place), answer).await;
            });
            (client, served)
        };
        let began = Instant::now();
        let (_silent, served) = of(Duration::ZERO);
        let (mut pauses, next) = of(Duration::ZERO);
        served.await.unwrap();
        ask(&mut pauses).await;
        let (mut works, last) = of(Duration::from_secs(3));
        next.await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);

        let asked = tokio::spawn(async move { ask(&mut works).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(room.take(address).is_err());
        assert!(asked.await.unwrap().starts_with("HTTP/1.1 200 OK"));
        last.await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_after_a_pause_has_the_short_time_of_every_head() {
        let (mut client, served) = served(0);
        ask(&mut client).await;
        tokio::time::sleep(PAUSE / 2).await;
        let began = Instant::now();
        tokio::spawn(async move {
            // Each byte is progress, and buys no more time.
            for byte in &REQUEST[..20] {
                let _ = client.write_u8(*byte).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        served.await.unwrap();
        assert_eq!(began.elapsed(), HEAD_WITHIN);
    }

    #[tokio::test]
    async fn a_request_names_one_host() {
        for (request, status) in [
            ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", "200"),
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n", "400"),
            ("GET / HTTP/1.0\r\n\r\n", "200"),
            ("GET / HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n", "400"),
        ] {
            let (mut client, _served) = served(0);
            client.write_all(request.as_bytes()).await.unwrap();
            let mut line = [0; 12];
            client.read_exact(&mut line).await.unwrap();
            assert_eq!(std::str::from_utf8(&line[9..]).unwrap(), status, "{request}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_answer_is_not_taken_is_let_go_of_within_a_drain() {
        let (mut client, server) = tokio::io::duplex(64);
        let stop = CancellationToken::new();
        let served = tokio::spawn({
            let stop = stop.clone();
            async move {
                serve(server, &stop, PAUSE, None, |_| async { text(StatusCode::OK, "x".repeat(1000)) }).await;
            }
        });
        client.write_all(REQUEST).await.unwrap();
        client.read_u8().await.unwrap();
        let began = Instant::now();
        stop.cancel();
        served.await.unwrap();
        assert_eq!(began.elapsed(), LEAVES_WITHIN);
    }

    /// hyper has looked for the next request while this one was being answered, and looks no more.
    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_answer_took_a_while_is_let_go_of_as_well() {
        let (mut client, server) = tokio::io::duplex(1024);
        let served = tokio::spawn(async move {
            let answer = |_| async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                text(StatusCode::OK, "")
            };
            serve(server, &CancellationToken::new(), PAUSE, None, answer).await;
        });
        ask(&mut client).await;
        let began = Instant::now();
        served.await.unwrap();
        assert_eq!(began.elapsed(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_goes_on_asking_is_told_to_come_anew() {
        let (mut client, served) = served(0);
        let began = Instant::now();
        while !ask(&mut client).await.contains("connection: close") {
            tokio::time::sleep(HEAD_WITHIN / 2).await;
        }
        assert_eq!(began.elapsed(), ASKS_FOR);
        served.await.unwrap();
        assert_eq!(began.elapsed(), ASKS_FOR);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_ends_the_connection() {
        // The last request asks for nothing after it, so that no head is waited for.
        let last = [REQUEST, &b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"[..]].concat();
        for requests in [REQUEST.repeat(100), last] {
            let (mut client, served) = served(1000);
            let began = Instant::now();
            let asking = tokio::spawn(async move {
                // It writes as much as is taken, and reads nothing.
                let _ = client.write_all(&requests).await;
                std::future::pending::<()>().await;
            });
            served.await.unwrap();
            assert_eq!(began.elapsed(), TAKEN_WITHIN);
            asking.abort();
        }
    }

    #[tokio::test]
    async fn the_last_word_of_a_full_port_is_a_whole_answer() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        let (mut client, server) = tokio::io::duplex(1024);
        let asked = tokio::spawn(async move {
            client.write_all(REQUEST).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        });
        refuse(server, &CancellationToken::new()).await;
        let politely = asked.await.unwrap();
        assert!(politely.starts_with(head.lines().next().unwrap()) && politely.ends_with(body), "{politely}");
    }
}
