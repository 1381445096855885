//! What a gateway shows before anything is said: its certificate, for whoever looks for a fault.

use tokio_rustls::TlsConnector;

use super::connection::End;
use super::reconnect::{reach, within};
use crate::expiry;
use crate::tls::ClientTls;

/// Connects to a gateway's internal port at `address` (`host:port`) as a client with these files would, and gives when the
/// certificate expires that it shows, in seconds since 1970; `None` when that cannot be read. Nothing is sent but what TLS
/// needs.
///
/// # Errors
/// Why there is no connection, in the client's own words.
pub async fn certificate_expires(tls: &ClientTls, address: &str) -> Result<Option<i64>, String> {
    let shown = async {
        let stream = reach(address).await?;
        let name = tls.server_name(address).ok_or_else(|| End::Name(address.to_owned()))?;
        // The files are read in place: whoever asks this serves nobody meanwhile.
        let connector = TlsConnector::from(tls.load()?);
        let stream = within(connector.connect(name, stream)).await?.map_err(End::Tls)?;
        let (_, connection) = stream.get_ref();
        let own = connection.peer_certificates().and_then(|chain| chain.first().cloned());
        Ok(own.and_then(|certificate| expiry::of_certificate(&certificate)))
    };
    shown.await.map_err(|end: End| end.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use test_certificates::Authority;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::tls::{Identity, ServerTls};

    #[tokio::test]
    async fn the_certificate_that_is_shown_has_a_date_and_a_wrong_name_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "ours");
        let made = ca.sign("gateway", &["127.0.0.1"]);
        let identity = Identity { certificate: made.certificate, key: made.key };
        let acceptor = TlsAcceptor::from(ServerTls { identity, client_ca: None }.load().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(acceptor.accept(stream).await);
            }
        });
        let tls = ClientTls { ca: Some(ca.certificate), ..ClientTls::default() };
        // 2199-01-01.
        assert_eq!(certificate_expires(&tls, &address).await, Ok(Some(7_226_582_400)));
        let named = ClientTls { name: Some("elsewhere".to_owned()), ..tls.clone() };
        let why = certificate_expires(&named, &address).await.unwrap_err();
        assert!(why.contains("not valid for name"), "{why}");
        assert!(certificate_expires(&tls, "127.0.0.1:1").await.is_err());
    }
}
