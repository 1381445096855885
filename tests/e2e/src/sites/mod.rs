//! Sites whose own pages hold the widget, as a crowd needs them: their entries in the file of sites, what their pages
//! ask the gateway for, and their back ends. The tests of the provider have a relying party of their own, which judges
//! far more.

mod back_end;

use std::collections::HashMap;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::block_in_place;

pub use self::back_end::BackEnds;
use crate::fleet::Fleet;
use crate::programs::{output, text};
use crate::roaming::Asks;

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its id.
    pub id: String,
    /// What its back end proves itself with.
    pub secret: String,
    /// The origin of its pages.
    pub origin: String,
    /// Where a login by redirect ends.
    pub redirect_uri: String,
    /// Whether people confirm each login in the chat.
    pub confirm: bool,
}

impl Site {
    /// A site of this id, with a secret that is always the same.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let origin = format!("https://{id}.example.cn");
        let secret = format!("secret-of-{id}-{}", "0123456789abcdef".repeat(2));
        let redirect_uri = format!("{origin}/callback");
        Self { id: id.to_owned(), secret, redirect_uri, origin, confirm: false }
    }

    /// Its entry in the file of sites.
    #[must_use]
    pub fn entry(&self) -> String {
        let Self { id, secret, origin, redirect_uri, confirm } = self;
        let hash: String =
            digest(&SHA256, secret.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "[[site]]\nid = \"{id}\"\nname = \"{id}\"\nsecret_sha256 = \"{hash}\"\n\
             redirect_uris = [\"{redirect_uri}\"]\norigins = [\"{origin}\"]\nconfirm = {confirm}\n"
        )
    }
}

/// What a site makes for one login, and keeps until the code comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proofs {
    /// What the ID token has to repeat.
    pub nonce: String,
    /// What only the site's back end knows (RFC 7636).
    pub verifier: String,
}

impl Proofs {
    /// New ones.
    #[must_use]
    pub fn random(rng: &mut Rng) -> Self {
        let mut any = |length| std::iter::repeat_with(|| rng.alphanumeric()).take(length).collect();
        Self { nonce: any(32), verifier: any(64) }
    }

    /// The verifier's challenge.
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    /// What a page of the site asks the gateway for.
    #[must_use]
    pub fn asks(&self, site: &Site) -> Asks {
        let path = format!("/ws?site={}&nonce={}&code_challenge={}", site.id, self.nonce, self.challenge());
        Asks { path, origin: Some(site.origin.clone()) }
    }
}

/// What turns the callback services of a fleet into a provider: the file of sites, and on each host one of keys.
pub struct Provider {
    folder: TempDir,
    hosts: usize,
    /// The issuer: the proxy before the callback services.
    pub issuer: String,
}

impl Provider {
    /// Sets a fleet up before it starts.
    #[must_use]
    pub fn prepare(fleet: &mut Fleet, sites: &[Site]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = format!("http://{}", fleet.pushes.address());
        let provider = Self { folder, hosts: fleet.callbacks.len(), issuer };
        let file = provider.folder.path().join("sites.toml");
        std::fs::write(&file, sites.iter().map(Site::entry).collect::<String>()).unwrap();
        let mut origins = provider.issuer.clone();
        for site in sites {
            origins = format!("{origins},{}", site.origin);
        }
        for gateway in &mut fleet.gateways {
            gateway.set("GATEWAY_ALLOWED_ORIGINS", origins.clone());
        }
        let browsers = format!("http://{}", fleet.gateways[0].public);
        for (host, callback) in fleet.callbacks.iter_mut().enumerate() {
            callback.set("CALLBACK_SITES", file.display().to_string());
            callback.set("CALLBACK_PUBLIC_URL", provider.issuer.clone());
            callback.set("CALLBACK_BROWSER_URL", browsers.clone());
            callback.set("CALLBACK_SIGNING_KEYS", provider.keys(host).display().to_string());
        }
        provider.rotate_key();
        provider
    }

    /// Has the next key sign, on the first host, and copies the file to the others, as an operator does. The first time it
    /// makes the file.
    pub fn rotate_key(&self) {
        let first = self.keys(0);
        if let Ok(keys) = std::fs::read_to_string(&first) {
            // Nobody waits here until the next key has been shown for an hour.
            let mut keys: Value = serde_json::from_str(&keys).unwrap();
            keys["next"]["made_at"] = 0.into();
            std::fs::write(&first, keys.to_string()).unwrap();
        }
        let settings = HashMap::from([("CALLBACK_SIGNING_KEYS", first.display().to_string())]);
        let rotated = block_in_place(|| output("callback-service", &settings, &["rotate-key"]));
        assert!(rotated.status.success(), "{}", text(&rotated.stderr));
        for host in 1..self.hosts {
            std::fs::copy(&first, self.keys(host)).unwrap();
        }
    }

    fn keys(&self, host: usize) -> PathBuf {
        self.folder.path().join(format!("{host}.keys.json"))
    }
}
