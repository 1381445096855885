//! The internal port: whether a gateway listens there, and shows the certificate that it should.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doctor::{Category, Sheet, Words};
use futures_util::StreamExt;
use parking_lot::Mutex;
use protocol::codec::Codec;
use protocol::message::ServerMessage;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use server::health::reachable;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::codec::FramedRead;

use super::certificate;
use crate::notices;

/// A port of this host connects and speaks at once.
const STEP: Duration = Duration::from_secs(2);

/// Connecting, the TLS handshake, and the greeting.
const WITHIN: Duration = Duration::from_secs(8);

/// Adds the looks at the internal port.
pub(super) fn look(category: &mut Category, settings: &notices::Settings) {
    let sheet = Sheet::default();
    in_plain_text(&sheet, settings);
    category.found(&sheet);
    let port = Port {
        listen: settings.notify_listen,
        own: certificate::of(settings),
        asks_for_a_certificate: settings.tls_client_ca.is_some(),
    };
    category.look(greets(), WITHIN, move |sheet| {
        let port = port.clone();
        async move { port.look(&sheet).await }
    });
}

/// Whether notices go over a network that others may hear.
fn in_plain_text(sheet: &Sheet, settings: &notices::Settings) {
    let description =
        || Words::new("nobody on the way can read or change notices", "通知在途中不会被看到或改动");
    if settings.tls_cert.is_some() {
        sheet.ok_with(description(), Words::same("TLS"));
    } else if settings.notify_listen.ip().is_loopback() {
        sheet.ok_with(description(), Words::new("they stay on this host", "只在本机内"));
    } else {
        sheet.warning(
            description(),
            Words::new(
                format!("{} is beyond loopback and has no TLS", settings.notify_listen),
                format!("{} 不限于本机，且没有 TLS", settings.notify_listen),
            ),
            Words::new(
                "that is for a network of containers on one host alone; elsewhere set GATEWAY_NOTIFY_TLS_CERT and \
                 GATEWAY_NOTIFY_TLS_KEY (deploy/certificates.sh makes them)",
                "这只适合同一主机上的容器网络；其他情况请设置 GATEWAY_NOTIFY_TLS_CERT 和 GATEWAY_NOTIFY_TLS_KEY\
                 （可用 deploy/certificates.sh 生成）",
            ),
        );
    }
}

/// Where the port is, and what it should show.
#[derive(Debug, Clone)]
struct Port {
    listen: SocketAddr,
    /// The certificate in the file, where the port speaks TLS.
    own: Option<CertificateDer<'static>>,
    asks_for_a_certificate: bool,
}

fn greets() -> Words {
    Words::new("a gateway greets at the internal port", "内部端口上有网关应答")
}

impl Port {
    async fn look(&self, sheet: &Sheet) {
        let at = reachable(self.listen);
        let stream = match timeout(STEP, TcpStream::connect(at)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return not_there(sheet, at, &error.to_string()),
            Err(_) => return not_there(sheet, at, "no connection in time"),
        };
        let Some(own) = &self.own else { return greeted(sheet, at, stream).await };
        let (verifier, tls) = shown_to_anybody();
        let name = ServerName::IpAddress(at.ip().into());
        match timeout(STEP, TlsConnector::from(tls).connect(name, stream)).await {
            Ok(Ok(stream)) => {
                self.compare(sheet, own, verifier.seen.lock().as_deref());
                // Without a certificate of a client there is no greeting.
                if !self.asks_for_a_certificate {
                    greeted(sheet, at, stream).await;
                }
            }
            Ok(Err(error)) => no_tls(sheet, at, &error.to_string()),
            Err(_) => no_tls(sheet, at, "no handshake in time"),
        }
    }

    /// Compares the certificate that the port has shown with that of the file.
    fn compare(&self, sheet: &Sheet, own: &CertificateDer<'_>, shown: Option<&[u8]>) {
        let description = Words::new(
            "the running gateway shows the certificate of its file",
            "运行中的网关出示的就是文件中的证书",
        );
        if shown == Some(own) {
            return sheet.ok(description);
        }
        sheet.warning(
            description,
            Words::new("it shows another one", "它出示的是另一张证书"),
            Words::new(
                "send it SIGHUP (systemctl reload, docker kill -s HUP), so that it reads GATEWAY_NOTIFY_TLS_CERT again",
                "请给网关发送 SIGHUP（systemctl reload、docker kill -s HUP），让它重新读取 GATEWAY_NOTIFY_TLS_CERT",
            ),
        );
    }
}

/// Reads the greeting: the first frame of a connection.
async fn greeted<S: AsyncRead + AsyncWrite + Unpin>(sheet: &Sheet, at: SocketAddr, stream: S) {
    let mut frames = FramedRead::new(stream, Codec::<ServerMessage>::default());
    let found = match timeout(STEP, frames.next()).await {
        Ok(Some(Ok(ServerMessage::Hello(hello)))) if hello.version == protocol::VERSION => {
            return sheet.ok_with(greets(), Words::same(at.to_string()));
        }
        Ok(Some(Ok(ServerMessage::Hello(hello)))) => Words::new(
            format!(
                "the gateway at {at} speaks version {} of the wire, this one {}",
                hello.version,
                protocol::VERSION
            ),
            format!("{at} 上的网关使用协议版本 {}，本程序是 {}", hello.version, protocol::VERSION),
        ),
        Ok(Some(Ok(other))) => {
            let words =
                if let ServerMessage::Error { message, .. } = other { message } else { String::new() };
            Words::new(
                format!("{at} greets with no hello {words}"),
                format!("{at} 没有以 hello 应答 {words}"),
            )
        }
        Ok(Some(Err(error))) => Words::new(
            format!("what comes from {at} is no frame: {error}"),
            format!("{at} 的数据不是帧：{error}"),
        ),
        Ok(None) => Words::new(format!("{at} hangs up without a word"), format!("{at} 直接断开了连接")),
        Err(_) => Words::new(format!("{at} says nothing"), format!("{at} 没有任何数据")),
    };
    sheet.failure(
        greets(),
        found,
        Words::new(
            "see what listens there (ss -ltnp); if it is a gateway, it was started with other settings than these, such as \
             with TLS",
            "请查看是什么程序在监听（ss -ltnp）；如果就是网关，它启动时的设置与现在不同，例如开启了 TLS",
        ),
    );
}

fn not_there(sheet: &Sheet, at: SocketAddr, why: &str) {
    sheet.warning(
        greets(),
        Words::new(format!("nothing answers at {at}: {why}"), format!("{at} 没有回应：{why}")),
        Words::new(
            "start the gateway, and ask again where it runs: in its container, or on its host",
            "请启动网关，并在它运行的地方（容器内或主机上）再检查一次",
        ),
    );
}

fn no_tls(sheet: &Sheet, at: SocketAddr, why: &str) {
    sheet.failure(
        greets(),
        Words::new(format!("{at} does not speak TLS as the settings say: {why}"), format!("{at} 没有按设置使用 TLS：{why}")),
        Words::new(
            "restart the gateway with the present settings; if something else listens there, give it another port",
            "请用当前设置重启网关；如果是别的程序在监听，请给它换一个端口",
        ),
    );
}

/// A client that takes whatever certificate it is shown, and the place where that is kept: what is looked at is the
/// certificate, and nothing is sent.
fn shown_to_anybody() -> (Arc<Shown>, Arc<ClientConfig>) {
    let crypto = Arc::new(aws_lc_rs::default_provider());
    let shown = Arc::new(Shown { seen: Mutex::default(), crypto: Arc::clone(&crypto) });
    let versions = ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions();
    // These are the provider's own versions.
    let config = versions
        .expect("a provider has versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&shown) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    (shown, Arc::new(config))
}

#[derive(Debug)]
struct Shown {
    seen: Mutex<Option<Vec<u8>>>,
    crypto: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock() = Some(end_entity.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.crypto.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.crypto.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto.signature_verification_algorithms.supported_schemes()
    }
}
