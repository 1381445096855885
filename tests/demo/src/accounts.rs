//! More official accounts than one: at the simulated WeChat, and in a file of accounts for both services.

use std::fmt::Write as _;
use std::fs;

use anyhow::Context;
use simulator::{Settings, Simulator};
use tempfile::TempDir;

/// The other official accounts, and their file.
pub(crate) struct Others {
    pub(crate) simulators: Vec<Simulator>,
    /// The file is in it.
    pub(crate) folder: TempDir,
}

impl Others {
    /// Makes an account of each name at the WeChat of `first`, and writes the file. Each entry has these `keys`, too.
    ///
    /// # Errors
    /// When WeChat would not take an account, or the file cannot be written.
    pub(crate) fn prepare(first: &Simulator, names: &[String], keys: &str) -> anyhow::Result<Self> {
        let (mut simulators, mut file) = (Vec::new(), String::new());
        for (number, name) in names.iter().enumerate() {
            let settings = like(first.settings(), number + 2);
            let Settings { app_id, app_secret, original_id, token, aes_key, .. } = &settings;
            writeln!(
                file,
                "[[account]]\nname = {name:?}\napp_id = {app_id:?}\napp_secret = {app_secret:?}\n\
                 token = {token:?}\naes_key = {aes_key:?}\noriginal_id = {original_id:?}\n\
                 account_name = {name:?}\n{keys}"
            )?;
            simulators.push(first.beside(settings)?);
        }
        let folder = tempfile::tempdir().context("there is no folder for the file of accounts")?;
        fs::write(folder.path().join("accounts.toml"), file)?;
        Ok(Self { simulators, folder })
    }

    /// The flag of both services.
    pub(crate) fn flag(&self) -> String {
        format!("--wechat-accounts={}", self.folder.path().join("accounts.toml").display())
    }
}

/// The account of this number: like the first, with names and secrets of its own.
fn like(first: &Settings, number: usize) -> Settings {
    Settings {
        app_id: format!("wx{number:016x}"),
        app_secret: format!("{number:032x}"),
        original_id: format!("gh_{number:012x}"),
        token: format!("tokenofaccount{number}"),
        aes_key: format!("SimulatorDemoKeySimulatorDemoKeySimul{number:06}"),
        mode: simulator::Mode::Safe,
        push_url: None,
        ..first.clone()
    }
}
