//! Certificate authorities for tests, with what they sign, as PEM files.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// An authority of one test's own.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, which others must trust.
    pub certificate: PathBuf,
}

/// The files with which a program shows who it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one whose files are in `folder`, under names that begin with `name`.
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

    /// Signs a certificate for these names and addresses, which is good now.
    #[must_use]
    pub fn sign(&self, name: &str, subjects: &[&str]) -> Identity {
        self.sign_until(name, subjects, 2199)
    }

    /// Signs one that was good until a year that is over.
    #[must_use]
    pub fn sign_expired(&self, name: &str, subjects: &[&str]) -> Identity {
        self.sign_until(name, subjects, 2020)
    }

    fn sign_until(&self, name: &str, subjects: &[&str], year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let subjects: Vec<String> = subjects.iter().map(|&subject| subject.to_owned()).collect();
        let mut params = CertificateParams::new(subjects).unwrap();
        // One that has its issuer's name is taken for self-signed.
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
        }
    }
}
