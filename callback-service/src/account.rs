//! The official account: its settings and secrets, from which both of its sides are put together.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use server::settings::{self, SettingError};
use server::visible::identifier;
use wechat::push::{self, Endpoint, Mode};
use wechat::{Account, Client};

/// What an operator sets about the official account.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// How pushes travel: safe, compatible or plaintext, as in WeChat's message push settings.
    #[arg(long, env, default_value = "safe")]
    wechat_mode: Mode,

    /// The gh_ name that pushes must be addressed to.
    #[arg(long, env, value_parser = identifier)]
    wechat_original_id: Option<String>,

    /// How far a push's timestamp may be from now; off is for replaying recorded pushes only.
    #[arg(long, env, default_value = "300s")]
    wechat_push_max_age: MaxAge,

    /// The official account's appid.
    #[arg(long, env, value_parser = identifier)]
    wechat_app_id: String,

    /// The appid of the third-party platform (第三方平台) that manages the account, if pushes are encrypted for it.
    #[arg(long, env, value_parser = identifier)]
    wechat_component_app_id: Option<String>,

    /// Where WeChat's API is. It is asked through the HTTP proxy that HTTPS_PROXY names, if it names one: for an
    /// account that allows one fixed address. Loopback is asked without.
    #[arg(long, env, default_value = wechat::OFFICIAL_API_URL)]
    wechat_api_url: String,

    /// Where browsers are sent for a web authorization. Unset: WeChat's own host, or WECHAT_API_URL when that is set.
    #[arg(long, env)]
    wechat_open_url: Option<String>,
}

/// A push that is older than this is no news, and to remember it for longer would cost memory.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// How old a push may be; `None` for any age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MaxAge(Option<Duration>);

impl FromStr for MaxAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            _ => match settings::duration(text)? {
                age if age <= LONGEST_AGE => Ok(Self(Some(age))),
                _ => Err("at most 1day; off is for replaying recorded pushes".to_owned()),
            },
        }
    }
}

/// The account's secrets.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `WECHAT_APP_SECRET`.
    pub app_secret: Option<SecretString>,
    /// `WECHAT_TOKEN`.
    pub token: Option<SecretString>,
    /// `WECHAT_AES_KEY`.
    pub aes_key: Option<SecretString>,
    /// `WECHAT_TOKEN_PREVIOUS`.
    pub previous_token: Option<SecretString>,
    /// `WECHAT_AES_KEY_PREVIOUS`.
    pub previous_aes_key: Option<SecretString>,
}

impl Secrets {
    /// Reads them from the environment or its files.
    ///
    /// # Errors
    /// Which one is wrong.
    pub(crate) fn read() -> Result<Self, SettingError> {
        Ok(Self {
            app_secret: settings::secret("WECHAT_APP_SECRET")?,
            token: settings::secret("WECHAT_TOKEN")?,
            aes_key: settings::secret("WECHAT_AES_KEY")?,
            previous_token: settings::secret("WECHAT_TOKEN_PREVIOUS")?,
            previous_aes_key: settings::secret("WECHAT_AES_KEY_PREVIOUS")?,
        })
    }

    /// Refuses the demo's secrets, which everybody can read.
    ///
    /// # Errors
    /// Which one is the demo's.
    pub(crate) fn refuse_printed(&self) -> Result<(), SettingError> {
        settings::refuse_printed(&[
            ("WECHAT_APP_SECRET", self.app_secret.as_ref()),
            ("WECHAT_TOKEN", self.token.as_ref()),
            ("WECHAT_TOKEN_PREVIOUS", self.previous_token.as_ref()),
            ("WECHAT_AES_KEY", self.aes_key.as_ref()),
            ("WECHAT_AES_KEY_PREVIOUS", self.previous_aes_key.as_ref()),
        ])
    }
}

impl Settings {
    /// Whether WeChat is a simulated one, with which a demo's secrets are taken.
    pub(crate) fn is_simulated(&self) -> bool {
        wechat::is_simulated(&self.wechat_api_url)
    }

    /// Where browsers are sent for a web authorization.
    pub(crate) fn open_url(&self) -> String {
        match &self.wechat_open_url {
            Some(url) => url.clone(),
            None if self.wechat_api_url == wechat::OFFICIAL_API_URL => wechat::OFFICIAL_OPEN_URL.to_owned(),
            None => self.wechat_api_url.clone(),
        }
    }

    /// Where WeChat's API is.
    pub(crate) fn api_url(&self) -> &str {
        &self.wechat_api_url
    }

    /// Puts the account together.
    ///
    /// # Errors
    /// Which setting or secret is missing or wrong.
    pub(crate) fn checked(self, secrets: Secrets) -> Result<Account, SettingError> {
        let push = Endpoint::new(push::Settings {
            mode: self.wechat_mode,
            app_id: self.wechat_app_id.clone(),
            component_app_id: self.wechat_component_app_id,
            token: settings::needed("WECHAT_TOKEN", secrets.token)?,
            previous_token: secrets.previous_token,
            aes_key: secrets.aes_key,
            previous_aes_key: secrets.previous_aes_key,
            original_id: self.wechat_original_id,
            max_age: self.wechat_push_max_age.0,
        })
        .map_err(|error| SettingError::new("WeChat's message push settings", error))?;
        let api = Client::new(wechat::Settings {
            app_id: self.wechat_app_id,
            app_secret: settings::needed("WECHAT_APP_SECRET", secrets.app_secret)?,
            api_url: self.wechat_api_url,
        })
        .map_err(|error| SettingError::new("WECHAT_API_URL", error))?;
        Ok(Account { push, api })
    }
}
