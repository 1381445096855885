//! Bodies of requests: read into memory within limits, or read and dropped.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::Instant;

/// A refused body is still read up to this much, so that the sender sees the answer and not a reset.
const DRAIN_BYTES: usize = 8 * 1024 * 1024;

/// A refused body is read for no longer than this.
const DRAIN_TIME: Duration = Duration::from_secs(1);

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

/// Reads a body that nobody wants, and drops it (8 MiB and 1 s at most), so that the sender sees the refusal.
pub async fn discard<B>(mut body: B)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
        let read =
            |size: usize| read_body(Full::new(Bytes::from(vec![b'x'; size])), 100, Duration::from_secs(5));
        assert_eq!(read(100).await.unwrap().len(), 100);
        assert_eq!(read(101).await.unwrap_err(), BodyError::TooLarge);
    }
}
