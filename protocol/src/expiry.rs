//! When certificates expire, for whoever has to replace them in time: `notAfter` of RFC 5280, section 4.1.2.5.
//!
//! Nothing else is read. Whether a certificate is good otherwise is [`tls`](crate::tls)'s to say.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

/// When the first of the certificates in a PEM file expires, in seconds since 1970. `None`: the file cannot be read, or has
/// no certificate that can.
#[must_use]
pub fn of_file(path: &Path) -> Option<i64> {
    CertificateDer::pem_file_iter(path).ok()?.filter_map(|found| of_certificate(&found.ok()?)).min()
}

/// When a certificate in DER form expires, in seconds since 1970; `None` when it is none.
#[must_use]
pub fn of_certificate(der: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use test_certificates::{Authority, Identity};

    use super::*;

    #[test]
    fn the_first_to_expire_counts_and_what_is_no_certificate_never_expires() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "ours");
        let (good, late) = (ca.sign("good", &["a"]), ca.sign_expired("late", &["a"]));
        // 2199-01-01 is written with four digits of the year, 2020-01-01 with two.
        assert_eq!(of_file(&good.certificate), Some(7_226_582_400));
        assert_eq!(of_file(&late.certificate), Some(1_577_836_800));
        let both = folder.path().join("both.pem");
        let text = [&good, &late].map(|made| std::fs::read_to_string(&made.certificate).unwrap());
        std::fs::write(&both, text.concat()).unwrap();
        assert_eq!(of_file(&both), Some(1_577_836_800));
        assert_eq!(of_file(&good.key), None);
        assert_eq!(of_file(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_cut_or_changed_certificate_is_read_without_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let made = Authority::new(folder.path(), "ours").sign("good", &["a"]);
        let der = CertificateDer::from_pem_file(&made.certificate).unwrap();
        for length in 0..der.len() {
            assert_eq!(of_certificate(&der[..length]), None, "{length}");
        }
        let mut changed = der.to_vec();
        for at in 0..der.len().min(200) {
            for byte in [0, 0x7f, 0x80, 0xff] {
                changed[at] = byte;
                let _ = of_certificate(&changed);
            }
            changed[at] = der[at];
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "ours");
        // The certificate's own last date is written over with another one of the same form.
        let ends = |made: &Identity, own: &str, date: &str| {
            let mut der = CertificateDer::from_pem_file(&made.certificate).unwrap().to_vec();
            let at = der.windows(own.len()).rposition(|part| part == own.as_bytes()).unwrap();
            der[at..at + own.len()].copy_from_slice(date.as_bytes());
            of_certificate(&der)
        };
        let (late, good) = (ca.sign_expired("late", &["a"]), ca.sign("good", &["a"]));
        for (date, counted) in [
            ("700101000000Z", 0),
            ("691231000000Z", -1),
            ("000229000000Z", 11_016),
            ("000301000000Z", 11_017),
            ("261129000000Z", 20_786),
        ] {
            assert_eq!(ends(&late, "200101000000Z", date), Some(counted * 24 * 3600), "{date}");
        }
        let date = "21000301000000Z";
        assert_eq!(ends(&good, "21990101000000Z", date), Some(47_541 * 24 * 3600), "{date}");
        assert_eq!(ends(&late, "200101000000Z", "201301000000Z"), None, "there is no such month");
    }
}
