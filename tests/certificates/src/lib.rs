//! Certificate authorities for tests, and certificates that they sign, as PEM files.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    date_time_ymd,
};

/// An authority of one test.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, for others to trust.
    pub certificate: PathBuf,
}

/// The certificate and key of a program.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The SHA-256 of its public key in base64, by which a browser can be told to trust it.
    pub pin: String,
}

impl Authority {
    /// Makes an authority. Its files are in `folder`, with names that begin with `name`.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut own = CertificateParams::default();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        own.distinguished_name.push(DnType::CommonName, format!("a test's authority: {name}"));
        let issuer = Issuer::new(own.clone(), KeyPair::generate().unwrap());
        let certificate = folder.join(format!("{name}.ca.pem"));
        fs::write(&certificate, own.self_signed(issuer.key()).unwrap().pem()).unwrap();
        Self { folder: folder.to_owned(), issuer, certificate }
    }

    /// Signs a certificate for these names and addresses that is valid now.
    #[must_use]
    pub fn sign(&self, name: &str, subjects: &[&str]) -> Identity {
        self.sign_until(name, subjects, 2199)
    }

    /// Signs a certificate that expired in an earlier year.
    #[must_use]
    pub fn sign_expired(&self, name: &str, subjects: &[&str]) -> Identity {
        self.sign_until(name, subjects, 2020)
    }

    fn sign_until(&self, name: &str, subjects: &[&str], year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let subjects: Vec<String> = subjects.iter().map(|&subject| subject.to_owned()).collect();
        let mut params = CertificateParams::new(subjects).unwrap();
        // A certificate with its issuer's name would count as self-signed.
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2010, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let file = |end: &str, pem: String| {
            let path = self.folder.join(format!("{name}.{end}"));
            fs::write(&path, pem).unwrap();
            path
        };
        Identity {
            certificate: file("pem", params.signed_by(&key, &self.issuer).unwrap().pem()),
            key: file("key", key.serialize_pem()),
            pin: STANDARD.encode(digest(&SHA256, &key.subject_public_key_info())),
        }
    }
}
