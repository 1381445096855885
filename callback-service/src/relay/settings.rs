//! What an operator sets about the back end that had the pushes before.

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use server::settings::SettingError;

use super::Routes;

/// The setting.
pub(crate) const RELAY_URL: &str = "CALLBACK_RELAY_URL";

/// What an operator sets about it.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Where pushes go on to that are not ours, as they came: the back end that had the account's pushes before, such as
    /// https://old.example.cn/wechat. Its answers go back to WeChat. Or an address for each kind, with commas between:
    /// messages=…, follows=…, events=…, copies=…. An address without a kind takes all others but copies, which are
    /// follows by a login's QR code, sent after our own answer. It is for the account of WECHAT_APP_ID; others have
    /// relay in their entry of WECHAT_ACCOUNTS.
    // Its query may be a secret.
    #[arg(long, env, hide_env_values = true)]
    callback_relay_url: Option<SecretString>,
}

impl Settings {
    /// Checks the setting; no routes where it is not set.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn checked(self) -> Result<Option<Routes>, SettingError> {
        let routes = self.callback_relay_url.map(|text| text.expose_secret().parse());
        routes.transpose().map_err(|problem: String| SettingError::new(RELAY_URL, problem))
    }
}
