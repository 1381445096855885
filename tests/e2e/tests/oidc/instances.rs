//! Callback services as real processes, with a file of sites and of signing keys, on Redis or on a file of SQLite.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use e2e::fleet::{Fleet, Options};
use e2e::programs::{output, text};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::agent::client;
use crate::provider::{Provider, sites_file};
use crate::relying_party::{Site, now};

/// The processes. Dropping it kills them.
pub(crate) struct Instances {
    pub(crate) fleet: Fleet,
    folder: TempDir,
    http: Client,
}

impl Instances {
    /// Prepares one gateway and so many callback services on this store, with more settings for each of them.
    pub(crate) async fn prepare(store: &str, callbacks: usize, sites: &[Site]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { callback_store: store.to_owned(), callbacks, ..Options::one_of_each() };
        let mut fleet = Fleet::prepare(options).await;
        let issuer = format!("http://{}", fleet.pushes.address());
        let gateway = format!("http://{}", fleet.gateways[0].public);
        let file = sites_file(&folder, sites);
        let keys: Vec<_> = (0..callbacks).map(|at| keys_of(folder.path(), at)).collect();
        fleet.gateways[0].set("GATEWAY_ALLOWED_ORIGINS", format!("{issuer},https://shop.example.cn"));
        for (node, keys) in fleet.callbacks.iter_mut().zip(&keys) {
            node.set("CALLBACK_SITES", file.clone());
            node.set("CALLBACK_PUBLIC_URL", issuer.clone());
            node.set("CALLBACK_BROWSER_URL", gateway.clone());
            node.set("CALLBACK_SIGNING_KEYS", keys.display().to_string());
        }
        let instances = Self { fleet, folder, http: client() };
        instances.rotate_key(&[]);
        instances
    }

    /// As [`Instances::prepare`], and starts them all.
    pub(crate) async fn start(store: &str, callbacks: usize, sites: &[Site]) -> Self {
        let mut instances = Self::prepare(store, callbacks, sites).await;
        instances.start_all().await;
        instances
    }

    pub(crate) async fn start_all(&mut self) {
        for node in self.fleet.gateways.iter_mut().chain(&mut self.fleet.callbacks) {
            node.start();
        }
        self.fleet.until_ready().await;
    }

    /// Moves the keys on on the first host and copies the file to the others, as the operator does.
    pub(crate) fn rotate_key(&self, flags: &[&str]) {
        let first = keys_of(self.folder.path(), 0);
        block_in_place(|| rotate_key(&first, flags));
        for at in 1..self.fleet.callbacks.len() {
            std::fs::copy(&first, keys_of(self.folder.path(), at)).unwrap();
        }
    }

    /// The file of sites.
    pub(crate) fn sites(&self) -> PathBuf {
        self.folder.path().join("sites.toml")
    }

    /// The provider, by way of one of its instances.
    pub(crate) fn at(&self, instance: usize) -> Provider {
        Provider {
            issuer: format!("http://{}", self.fleet.pushes.address()),
            address: self.fleet.callbacks[instance].public,
            gateway: self.fleet.gateways[0].public,
            wechat: self.fleet.wechat.clone(),
            others: Vec::new(),
            http: self.http.clone(),
        }
    }

    /// Kills an instance. WeChat's pushes go elsewhere from then on.
    pub(crate) async fn kill(&mut self, instance: usize) {
        self.fleet.callbacks[instance].kill();
        self.fleet.pushes.until_ready(self.fleet.callbacks[instance].public, false).await;
    }

    /// Starts an instance again.
    pub(crate) async fn start_again(&mut self, instance: usize) {
        self.fleet.callbacks[instance].start();
        self.fleet.until_ready().await;
    }
}

/// Makes a file of keys, or has its next key sign.
pub(crate) fn rotate_key(file: &Path, flags: &[&str]) {
    if let Ok(keys) = std::fs::read_to_string(file) {
        // Sites have had the time to read it.
        let mut keys: Value = serde_json::from_str(&keys).unwrap();
        keys["next"]["made_at"] = json!(now() - 4 * 3600);
        std::fs::write(file, keys.to_string()).unwrap();
    }
    let settings = HashMap::from([("CALLBACK_SIGNING_KEYS", file.display().to_string())]);
    let rotated = output("callback-service", &settings, &[&["rotate-key"], flags].concat());
    assert!(rotated.status.success(), "{}", text(&rotated.stderr));
}

/// Where an instance has its keys.
fn keys_of(folder: &Path, instance: usize) -> PathBuf {
    folder.join(format!("{instance}.keys.json"))
}
