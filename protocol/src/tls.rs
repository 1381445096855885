//! TLS for the internal wire: it carries the same frames, from the first byte.
//!
//! Both ends read PEM files. The gateway reads them again when it is asked to, the client at each new
//! connection. Only versions 1.2 (RFC 5246) and 1.3 (RFC 8446) are spoken. Sessions are not resumed, so each
//! connection is checked against the present certificates.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_platform_verifier::BuilderVerifierExt;

/// The certificate and key that one end shows the other.
#[derive(Debug, Clone)]
pub struct Identity {
    /// A PEM file: its own certificate first, then the intermediate ones.
    pub certificate: PathBuf,
    /// A PEM file: the private key of the first certificate.
    pub key: PathBuf,
}

/// The gateway's end.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// The certificate and key for clients to check.
    pub identity: Identity,
    /// A PEM file of CAs. Clients must show a certificate signed by one of them; without the file they need
    /// none.
    pub client_ca: Option<PathBuf>,
}

/// A client's end.
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    /// A PEM file of the only CAs to trust. Without it the operating system's CAs are trusted.
    pub ca: Option<PathBuf>,
    /// The name or address that the gateway's certificate must be for. Without it: the host of the gateway's
    /// address.
    pub name: Option<String>,
    /// The client's own certificate and key, for a gateway that asks for them.
    pub identity: Option<Identity>,
}

/// Which file is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// [`Identity::certificate`].
    Certificate,
    /// [`Identity::key`].
    Key,
    /// [`ServerTls::client_ca`] or [`ClientTls::ca`].
    Ca,
}

/// A file that cannot be used. The text names the file and never shows its content.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct TlsError {
    /// Which file.
    pub file: File,
    path: String,
    problem: String,
}

impl TlsError {
    fn new(file: File, path: &Path, problem: impl fmt::Display) -> Self {
        Self { file, path: path.display().to_string(), problem: problem.to_string() }
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read, holds something else, or the key is not the certificate's.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let crypto = crypto();
        let wrong =
            |problem: rustls::Error| TlsError::new(File::Certificate, &self.identity.certificate, problem);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&crypto));
        let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots(path)?.into(), crypto).build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|problem| TlsError::new(File::Ca, path, problem))?,
                )
            }
        };
        let (chain, key) = self.identity.load()?;
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|problem| TlsError::new(File::Key, &self.identity.key, problem))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read, holds something else, or the key is not the certificate's; and without
    /// [`ClientTls::ca`] when the operating system has no CAs.
    pub fn load(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = ClientConfig::builder_with_provider(crypto());
        let system = Path::new("the system's CAs");
        let wrong = |problem: rustls::Error| TlsError::new(File::Ca, system, problem);
        let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?;
        let builder = match &self.ca {
            None => builder.with_platform_verifier().map_err(wrong)?,
            Some(path) => builder.with_root_certificates(roots(path)?),
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.load()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|problem| TlsError::new(File::Key, &identity.key, problem))?
            }
        };
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// The name that the certificate of a gateway at `address` (`host:port`) must be for; `None` when it is not
    /// a valid name.
    #[must_use]
    pub fn server_name(&self, address: &str) -> Option<ServerName<'static>> {
        let host = || address.rsplit_once(':').map_or(address, |(host, _port)| host);
        let name = self.name.as_deref().unwrap_or_else(host);
        ServerName::try_from(name.trim_start_matches('[').trim_end_matches(']').to_owned()).ok()
    }
}

impl Identity {
    fn load(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|problem| {
            TlsError::new(File::Key, &self.key, format!("no private key: {}", told(&problem)))
        })?;
        let chain = certificates(File::Certificate, &self.certificate)?;
        for certificate in &chain {
            ParsedCertificate::try_from(certificate)
                .map_err(|problem| TlsError::new(File::Certificate, &self.certificate, problem))?;
        }
        Ok((chain, key))
    }
}

/// The cryptography that TLS uses. It is named here, because other libraries may be linked in too.
fn crypto() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(File::Ca, path)? {
        roots.add(certificate).map_err(|problem| TlsError::new(File::Ca, path, problem))?;
    }
    Ok(roots)
}

/// What is wrong with a PEM file. The library's own text may quote a line of the file, perhaps of a key.
fn told(problem: &pem::Error) -> String {
    match problem {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it has no PEM section of that name".to_owned(),
        _ => "it is no PEM file, or a broken one".to_owned(),
    }
}

/// Reads the certificates of a file: at least one.
fn certificates(file: File, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |problem| TlsError::new(file, path, format!("no certificates: {}", told(&problem)));
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(wrong)?;
    if certificates.is_empty() {
        return Err(TlsError::new(file, path, "no certificates: it has no PEM section of that name"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use test_certificates::Authority;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    const ADDRESS: &str = "gateway.internal:9999";

    fn identity(made: test_certificates::Identity) -> Identity {
        Identity { certificate: made.certificate, key: made.key }
    }

    /// Sends a byte each way. The error is what each end says.
    async fn talk(server: &ServerTls, client: &ClientTls, address: &str) -> Result<(), String> {
        let (ours, theirs) = duplex(64 * 1024);
        let (acceptor, connector) =
            (TlsAcceptor::from(server.load().unwrap()), TlsConnector::from(client.load().unwrap()));
        let name = client.server_name(address).unwrap();
        let served = async {
            let mut stream = acceptor.accept(theirs).await?;
            let byte = stream.read_u8().await?;
            stream.write_u8(byte).await?;
            stream.shutdown().await
        };
        let asked = async {
            let mut stream = connector.connect(name, ours).await?;
            stream.write_u8(7).await?;
            stream.read_u8().await
        };
        match tokio::join!(served, asked) {
            (Ok(()), Ok(7)) => Ok(()),
            (served, asked) => Err(format!("{served:?} {asked:?}")),
        }
    }

    #[tokio::test]
    async fn only_a_certificate_of_the_right_authority_name_and_time_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let (ca, other) = (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
        let server = |made| ServerTls { identity: identity(made), client_ca: None };
        let good = server(ca.sign("good", &["gateway.internal", "127.0.0.1", "::1"]));
        let trust = |ca: &Authority| ClientTls { ca: Some(ca.certificate.clone()), ..ClientTls::default() };
        let named = |name: &str| ClientTls { name: Some(name.to_owned()), ..trust(&ca) };
        for (client, address, say) in [
            (trust(&ca), ADDRESS, None),
            (trust(&ca), "127.0.0.1:9999", None),
            (trust(&ca), "[::1]:9999", None),
            (named("gateway.internal"), "10.0.0.7:9999", None),
            (trust(&ca), "10.0.0.7:9999", Some("NotValidForName")),
            (named("elsewhere"), ADDRESS, Some("NotValidForName")),
            (trust(&other), ADDRESS, Some("UnknownIssuer")),
            (ClientTls::default(), ADDRESS, Some("UnknownIssuer")),
        ] {
            let went = talk(&good, &client, address).await;
            match say {
                None => assert_eq!(went, Ok(()), "{client:?} {address}"),
                Some(say) => assert!(went.clone().is_err_and(|e| e.contains(say)), "{client:?}: {went:?}"),
            }
        }
        let expired = server(ca.sign_expired("expired", &["gateway.internal"]));
        let went = talk(&expired, &trust(&ca), ADDRESS).await.unwrap_err();
        assert!(went.contains("Expired"), "{went}");
    }

    #[tokio::test]
    async fn where_an_authority_is_set_clients_must_show_its_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let (ca, other) = (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
        let own = identity(ca.sign("gateway", &["gateway.internal"]));
        let server = ServerTls { identity: own, client_ca: Some(ca.certificate.clone()) };
        let with = |made: Option<test_certificates::Identity>| ClientTls {
            ca: Some(ca.certificate.clone()),
            name: None,
            identity: made.map(identity),
        };
        assert_eq!(talk(&server, &with(Some(ca.sign("client", &[]))), ADDRESS).await, Ok(()));
        for (made, say) in [
            (None, "CertificateRequired"),
            (Some(other.sign("stranger", &[])), "UnknownCA"),
            (Some(ca.sign_expired("late", &[])), "CertificateExpired"),
        ] {
            let went = talk(&server, &with(made), ADDRESS).await.unwrap_err();
            assert!(went.contains(say), "{went}");
        }
    }

    #[test]
    fn a_wrong_file_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "ours");
        let (one, two) = (identity(ca.sign("one", &["a"])), identity(ca.sign("two", &["b"])));
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "").unwrap();
        // Keys come out of variables and clipboards on one line, with or without the line breaks written out.
        let pem = std::fs::read_to_string(&one.key).unwrap();
        let secret = pem.lines().nth(1).unwrap();
        let [written_out, squeezed] = ["\\n", ""].map(|between| {
            let path = folder.path().join(format!("key{}", between.len()));
            std::fs::write(&path, pem.trim_end().replace('\n', between)).unwrap();
            path
        });
        let no_der = folder.path().join("no-der");
        std::fs::write(&no_der, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let server = |certificate: &Path, key: &Path, client_ca: Option<&Path>| ServerTls {
            identity: Identity { certificate: certificate.to_owned(), key: key.to_owned() },
            client_ca: client_ca.map(Path::to_owned),
        };
        for (server, file) in [
            (server(&empty, &one.key, None), File::Certificate),
            (server(&one.key, &one.key, None), File::Certificate),
            (server(&one.certificate, &two.key, None), File::Key),
            (server(&one.certificate, &one.certificate, None), File::Key),
            (server(&one.certificate, Path::new("/nowhere/key"), None), File::Key),
            (server(&one.certificate, &one.key, Some(&empty)), File::Ca),
            (server(&one.certificate, &written_out, None), File::Key),
            (server(&one.certificate, &squeezed, None), File::Key),
            (server(&squeezed, &one.key, None), File::Certificate),
            (server(&one.certificate, &one.key, Some(&written_out)), File::Ca),
            (server(&no_der, &one.key, None), File::Certificate),
        ] {
            let error = server.load().unwrap_err();
            assert_eq!(error.file, file, "{error}");
            let text = error.to_string();
            let as_numbers: Vec<String> = secret.bytes().take(4).map(|byte| byte.to_string()).collect();
            for shown in ["\n", "BEGIN", &secret[..8], &as_numbers.join(", ")] {
                assert!(!text.contains(shown), "{text}");
            }
        }
    }
}
