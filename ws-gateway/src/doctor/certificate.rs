//! The certificate that the internal port shows: until when it is good, and for which names.

use std::net::IpAddr;

use doctor::{Category, Sheet, Words, certificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::notices;

/// The port's own certificate, where it speaks TLS and the file can be read.
pub(super) fn of(settings: &notices::Settings) -> Option<CertificateDer<'static>> {
    settings.tls_cert.as_deref().and_then(|path| CertificateDer::from_pem_file(path).ok())
}

/// Adds what the files say.
pub(super) fn look(category: &mut Category, settings: &notices::Settings) {
    let sheet = Sheet::default();
    for (name, path) in [
        ("GATEWAY_NOTIFY_TLS_CERT", &settings.tls_cert),
        ("GATEWAY_NOTIFY_TLS_CLIENT_CA", &settings.tls_client_ca),
    ] {
        if let Some(path) = path {
            certificates::check(&sheet, name, path);
        }
    }
    if let Some(own) = of(settings) {
        named(&sheet, &own);
    }
    category.found(&sheet);
}

/// Tells for which names the certificate is. The client compares its own with them.
fn named(sheet: &Sheet, own: &CertificateDer<'_>) {
    let description = || Words::new("its certificate has a name", "证书带有名字");
    let names = names_of(own);
    if names.is_empty() {
        sheet.failure(
            description(),
            Words::new("it has none as subjectAltName, so every client refuses it", "没有 subjectAltName，所有客户端都会拒绝它"),
            Words::new(
                "make one with the gateway's host name: deploy/certificates.sh, or openssl req -addext subjectAltName=DNS:…",
                "请生成带有网关主机名的证书：deploy/certificates.sh，或 openssl req -addext subjectAltName=DNS:…",
            ),
        );
        return;
    }
    let names = names.join(", ");
    sheet.ok_with(
        description(),
        Words::new(
            format!("{names}; clients must reach it by one of these, or set CALLBACK_GATEWAY_NAME"),
            format!("{names}；客户端必须用其中之一访问，或设置 CALLBACK_GATEWAY_NAME"),
        ),
    );
}

/// The names and addresses that a certificate is for (subjectAltName). Those for other things, such as mail, are none.
fn names_of(own: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(own) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    names.value.general_names.iter().filter_map(shown).collect()
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = || <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = <[u8; 16]>::try_from(*bytes).map(IpAddr::from).or_else(|_| four());
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use test_certificates::Authority;

    use super::*;

    #[test]
    fn a_certificate_tells_the_names_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "ours");
        let names = |subjects: &[&str]| {
            let made = ca.sign("one", subjects);
            names_of(&CertificateDer::from_pem_file(&made.certificate).unwrap())
        };
        assert_eq!(
            names(&["gateway.internal", "127.0.0.1", "::1"]),
            ["gateway.internal", "127.0.0.1", "::1"]
        );
        assert_eq!(names(&["*.teahouse.example"]), ["*.teahouse.example"]);
        assert_eq!(names(&[]), Vec::<String>::new());
    }
}
