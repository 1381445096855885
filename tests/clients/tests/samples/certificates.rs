//! TLS: which gateways the clients trust, and which certificates they show.

use std::path::Path;
use std::sync::Arc;

use protocol::tls::{Identity, ServerTls};
use tempfile::TempDir;
use test_certificates::Authority;
use test_clients::player::{Client, Port, Stream, patiently};
use test_clients::samples::{Question, Sample};
use test_clients::vectors::{Outcome, ToClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{answered, each, failed, ordinary};

/// Two authorities and what they signed. Dropping it removes the files.
pub(crate) struct Certificates {
    folder: TempDir,
    /// The authority that the clients trust.
    pub(crate) ours: Authority,
    /// An authority that they do not trust.
    other: Authority,
    /// A gateway's certificate for every name and address that the tests use.
    pub(crate) gateway: ServerTls,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
        let gateway = server(&ours, "gateway", &["127.0.0.1", "::1", "localhost"]);
        Self { folder, ours, other, gateway }
    }

    /// A file that is not a certificate.
    fn nonsense(&self) -> std::path::PathBuf {
        let path = self.folder.path().join("nonsense.pem");
        std::fs::write(&path, "nonsense\n").unwrap();
        path
    }
}

fn server(authority: &Authority, name: &str, subjects: &[&str]) -> ServerTls {
    of(authority.sign(name, subjects))
}

fn of(test_certificates::Identity { certificate, key, .. }: test_certificates::Identity) -> ServerTls {
    ServerTls { identity: Identity { certificate, key }, client_ca: None }
}

/// The arguments for the ordinary conversation.
fn question<'a>(vector: &'a ToClient, address: String, files: &[&'a Path]) -> Question<'a> {
    let notice = vector.notice.to_string();
    Question { address, client: &vector.client, key: &vector.key, notice, files: files.to_vec() }
}

/// Runs a client that must trust the gateway at this port.
async fn believes(sample: &'static Sample, port: &Port, host: &str, files: &[&Path]) -> Result<(), String> {
    let vector = ordinary();
    let question = question(&vector, format!("{host}:{}", port.address().port()), files);
    let (run, played) = tokio::join!(sample.ask(&question), port.play(&vector, Client::OneShot));
    let Outcome::Answer { answer } = &vector.outcome else { unreachable!() };
    answered(&run, answer).and(played)
}

/// Runs a client against a gateway when one of them must not trust the other. The handshake fails, or the
/// client leaves after it. In any case it sends nothing.
async fn refuses(sample: &'static Sample, port: &Port, host: &str, files: &[&Path]) -> Result<(), String> {
    let vector = ordinary();
    let question = question(&vector, format!("{host}:{}", port.address().port()), files);
    let hears = async {
        let Ok(stream) = port.accept().await else { return String::new() };
        hear(stream, &vector).await
    };
    let (run, said) = tokio::join!(sample.ask(&question), hears);
    failed(&run, "")?;
    if said.is_empty() { Ok(()) } else { Err(format!("the client says {said:?}")) }
}

/// Sends hello, and returns everything that the client sends.
async fn hear(mut stream: Box<dyn Stream>, vector: &ToClient) -> String {
    for hello in &vector.hello {
        // The client may have left already.
        let _ = stream.write_all(&hello.0).await;
    }
    let _ = stream.flush().await;
    let mut heard = Vec::new();
    // A client that closes before it has read everything resets the connection.
    let _ = patiently(stream.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_or_address_must_be_the_certificates() {
    let certificates = Arc::new(Certificates::new());
    // The certificate's subject, the address of the gateway, the host that the client asks for, and whether
    // they fit.
    for (subject, listen, host, good) in [
        ("127.0.0.1", "127.0.0.1:0", "127.0.0.1", true),
        ("::1", "[::1]:0", "[::1]", true),
        ("localhost", "localhost:0", "localhost", true),
        ("localhost", "127.0.0.1:0", "127.0.0.1", false),
        ("elsewhere.example", "127.0.0.1:0", "127.0.0.1", false),
        ("127.0.0.2", "127.0.0.1:0", "127.0.0.1", false),
        ("127.0.0.1", "[::1]:0", "[::1]", false),
        ("127.0.0.1", "localhost:0", "localhost", false),
        ("gateway.localhost", "localhost:0", "localhost", false),
    ] {
        let tls = Arc::new(server(&certificates.ours, "named", &[subject]));
        each(|sample| {
            let (certificates, tls) = (Arc::clone(&certificates), Arc::clone(&tls));
            async move {
                let port = Port::open_at(listen, Some(&tls)).await;
                let ca = &[certificates.ours.certificate.as_path()];
                let asked = match good {
                    true => believes(sample, &port, host, ca).await,
                    false => refuses(sample, &port, host, ca).await,
                };
                asked.map_err(|fault| format!("{subject} for {host}: {fault}"))
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_given_authority_is_believed_and_only_for_a_time() {
    let certificates = Arc::new(Certificates::new());
    let expired = Arc::new(of(certificates.ours.sign_expired("expired", &["127.0.0.1"])));
    each(|sample| {
        let (certificates, expired) = (Arc::clone(&certificates), Arc::clone(&expired));
        async move {
            let Certificates { ours, other, gateway, .. } = &*certificates;
            let port = Port::open(Some(gateway)).await;
            refuses(sample, &port, "127.0.0.1", &[&other.certificate]).await?;
            let expired = Port::open(Some(&expired)).await;
            refuses(sample, &expired, "127.0.0.1", &[&ours.certificate]).await?;
            believes(sample, &port, "127.0.0.1", &[&ours.certificate]).await
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_asks_for_a_certificate_gets_it() {
    let certificates = Arc::new(Certificates::new());
    let own = Arc::new(certificates.ours.sign("shop", &["shop"]));
    let foreign = Arc::new(certificates.other.sign("stranger", &["shop"]));
    each(|sample| {
        let (certificates, own, foreign) =
            (Arc::clone(&certificates), Arc::clone(&own), Arc::clone(&foreign));
        async move {
            let Certificates { ours, gateway, .. } = &*certificates;
            let asking = ServerTls { client_ca: Some(ours.certificate.clone()), ..gateway.clone() };
            let port = Port::open(Some(&asking)).await;
            let ca = ours.certificate.as_path();
            believes(sample, &port, "127.0.0.1", &[ca, &own.certificate, &own.key]).await?;
            refuses(sample, &port, "127.0.0.1", &[ca]).await?;
            refuses(sample, &port, "127.0.0.1", &[ca, &foreign.certificate, &foreign.key]).await
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_none_are_told() {
    let certificates = Arc::new(Certificates::new());
    let nonsense = Arc::new(certificates.nonsense());
    let own = Arc::new(certificates.ours.sign("shop", &["shop"]));
    each(|sample| {
        let (certificates, nonsense, own) =
            (Arc::clone(&certificates), Arc::clone(&nonsense), Arc::clone(&own));
        async move {
            let Certificates { ours, gateway, .. } = &*certificates;
            let port = Port::open(Some(gateway)).await;
            let (ca, missing) = (ours.certificate.as_path(), Path::new("no/such.pem"));
            for files in [
                &[missing][..],
                &[&nonsense],
                &[ca, missing, &own.key],
                &[ca, &own.certificate, missing],
                &[ca, &own.certificate, &nonsense],
            ] {
                let vector = ordinary();
                let run = sample.ask(&question(&vector, port.address().to_string(), files)).await;
                failed(&run, "").map_err(|fault| format!("{files:?}: {fault}"))?;
            }
            Ok(())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_plain_text_do_not_meet() {
    let certificates = Arc::new(Certificates::new());
    each(|sample| {
        let certificates = Arc::clone(&certificates);
        async move {
            let vector = ordinary();
            let plain = Port::open(None).await;
            let ca = certificates.ours.certificate.as_path();
            let asked = question(&vector, plain.address().to_string(), &[ca]);
            let hears = async { hear(plain.accept().await.unwrap(), &vector).await };
            let (run, said) = tokio::join!(sample.ask(&asked), hears);
            failed(&run, "")?;
            if said.contains("proof") {
                return Err("it says its proof in plain text".to_owned());
            }
            // In the opposite case each side waits for the other until the client's time is over.
            let secure = Port::open(Some(&certificates.gateway)).await;
            let asked = question(&vector, secure.address().to_string(), &[]);
            let (run, handshake) = tokio::join!(sample.ask(&asked), secure.accept());
            failed(&run, "within 5 s")?;
            if handshake.is_ok() { Err("a handshake in plain text".to_owned()) } else { Ok(()) }
        }
    })
    .await;
}
