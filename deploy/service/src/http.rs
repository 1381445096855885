//! HTTP/1.1 on one connection, within limits, and the few answers every program gives.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The only body this project sends: one that is in memory.
pub type Answer = Response<Full<Bytes>>;

/// A request's head must have come within this; it is also how long an idle connection is kept.
pub const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// Bytes of request head, and of hyper's read buffer. hyper takes no less than 8 KiB, and browsers with
/// many cookies come near it.
const MAX_HEAD: usize = 16 * 1024;

/// Header lines in a request; browsers behind several proxies send about thirty.
const MAX_HEADERS: usize = 64;

/// A body that is refused is still read up to this much, so that the sender gets to see the answer
/// instead of a reset.
const DRAIN_BYTES: usize = 8 * 1024 * 1024;

/// And for no longer than this.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Serves one connection until it ends, or until `stop` and the request in hand has been answered.
///
/// Upgrades are possible. The peer's faults are logged at debug level: peers leave all the time.
pub async fn serve<S, H, F>(stream: S, stop: &CancellationToken, handle: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        let answer = handle(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Answers every request of a connection for which there is no place with 503, for a short while.
pub async fn refuse<S>(stream: S, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let refused = serve(stream, stop, |_| async {
        let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, "too many connections, try again later\n");
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    });
    // Somebody who only holds the connection must not hold the place for refusals.
    let _ = tokio::time::timeout(HEAD_WITHIN, refused).await;
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the limit; answer 413.
    #[error("the body is too large")]
    TooLarge,
    /// It did not come in time; answer 408.
    #[error("the body did not come in time")]
    TooSlow,
    /// The connection broke; no answer will be read.
    #[error("the body was cut off")]
    Cut,
}

impl BodyError {
    /// The HTTP status that says so.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Cut => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a body of at most `limit` bytes within `time`.
///
/// A longer one is read on and dropped (8 MiB and 1 s at most), so that the sender sees the refusal.
///
/// # Errors
/// [`BodyError`], by what went wrong.
pub async fn read_body<B>(mut body: B, limit: usize, time: Duration) -> Result<Vec<u8>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let deadline = Instant::now() + time;
    let mut read = Vec::new();
    if body.size_hint().lower() > limit as u64 {
        discard(body).await;
        return Err(BodyError::TooLarge);
    }
    loop {
        let frame = tokio::time::timeout_at(deadline, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
        match frame {
            None => return Ok(read),
            Some(Err(_)) => return Err(BodyError::Cut),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if read.len() + data.len() > limit {
                    break;
                }
                read.extend_from_slice(&data);
            }
        }
    }
    discard(body).await;
    Err(BodyError::TooLarge)
}

async fn discard<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let drain = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, drain).await;
}

/// An answer that is not to be cached or sniffed.
#[must_use]
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
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
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", body)
}

/// 405 with the methods that there are (RFC 9110, section 15.5.6).
#[must_use]
pub fn method_not_allowed(methods: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("{methods} only\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
        let read = |size: usize| read_body(Full::new(Bytes::from(vec![b'x'; size])), 100, HEAD_WITHIN);
        assert_eq!(read(100).await.unwrap().len(), 100);
        assert_eq!(read(101).await.unwrap_err(), BodyError::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_come_ends_the_connection() {
        let (_client, server) = tokio::io::duplex(64);
        let began = Instant::now();
        serve(server, &CancellationToken::new(), |_| async { text(StatusCode::OK, "") }).await;
        assert!(began.elapsed() <= HEAD_WITHIN + Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
