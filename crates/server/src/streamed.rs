//! An answer whose body goes on: each part is sent when it is there, and the connection ends with it.
//!
//! [`http::serve`](crate::http::serve) leaves such a connection its place for as long as the body lasts. So whoever makes
//! one limits how many there are, ends them, and ends them when the process stops.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame, SizeHint};

/// A body in memory, or one that goes on.
#[derive(Debug)]
pub struct Streamed(UnsyncBoxBody<Bytes, Infallible>);

impl Streamed {
    /// A body of these parts. Dropping the connection drops the stream. A peer that does not read is not asked for more.
    pub fn of(parts: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(StreamBody::new(parts.map(|part| Ok(Frame::data(part)))).boxed_unsync())
    }
}

impl From<Full<Bytes>> for Streamed {
    fn from(whole: Full<Bytes>) -> Self {
        Self(whole.boxed_unsync())
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// Whether nobody knows yet where a body ends.
pub(crate) fn goes_on(body: &impl Body) -> bool {
    body.size_hint().exact().is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use futures_util::stream;
    use http::Response;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{Instant, sleep};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::http::{HEAD_WITHIN, serve};

    /// Longer than any pause that a connection between two requests may make.
    const EVERY: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_answer_goes_on_for_as_long_as_it_wants_and_ends_the_connection() {
        let (mut client, server) = tokio::io::duplex(1024);
        let served = tokio::spawn(async move {
            serve(server, &CancellationToken::new(), HEAD_WITHIN, None, |_| async {
                let parts = stream::unfold(0, |count| async move {
                    sleep(EVERY).await;
                    (count < 3).then(|| (Bytes::from(format!("part {count}")), count + 1))
                });
                Response::new(Streamed::of(parts))
            })
            .await;
        });
        let began = Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("connection: close") && answer.contains("part 2"), "{answer}");
        assert_eq!(began.elapsed(), EVERY * 4);
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_what_goes_on_is_dropped() {
        let (mut client, server) = tokio::io::duplex(64);
        let began = Instant::now();
        let served = tokio::spawn(async move {
            serve(server, &CancellationToken::new(), HEAD_WITHIN, None, |_| async {
                Response::new(Streamed::of(stream::repeat(Bytes::from_static(&[b'x'; 4096]))))
            })
            .await;
        });
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        served.await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }
}
