//! The transport of frames: TCP, or TLS from the first byte if the port has a certificate.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use server::{listen, tell};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::Gateway;

/// Time limit for the TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// Does the TLS handshake, if the port has a certificate; `None` if it fails.
pub(super) async fn secure<S>(
    gateway: &Gateway,
    stream: S,
    peer: SocketAddr,
) -> Option<Either<S, TlsStream<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(tls) = gateway.credentials.tls() else { return Some(Either::Left(stream)) };
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_WITHIN, TlsAcceptor::from(tls).accept(stream).into_fallible()) => shaken,
        () = gateway.drain.closed().cancelled() => return None,
    };
    let (reason, error) = match shaken {
        Ok(Ok(stream)) => return Some(Either::Right(stream)),
        // A peer that disconnects first, such as a health check, is not counted as refused.
        Ok(Err((error, _))) if is_gone(&error) => {
            tracing::debug!(%peer, "a connection to the internal port ends before its TLS handshake");
            return None;
        }
        Ok(Err((error, stream))) => {
            listen::let_go(stream).await;
            (reason(&error), error.to_string())
        }
        Err(_) => ("no TLS", "no TLS handshake came in time; does the client speak TLS?".to_owned()),
    };
    gateway.metrics.tls_failures.inc();
    tell!(warn, gateway.told, reason, [%peer], "a connection to the internal port was refused: {error}");
    None
}

/// The reason as the log tells it apart: a client that rejects our certificate, one whose certificate we reject, and
/// anything else, such as bytes that are no TLS.
fn reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(_)) => "TLS alert",
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            "TLS certificate"
        }
        _ => "TLS",
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}
