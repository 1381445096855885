//! What an operator chooses about QR codes: how long one is shown, how many there are, and whose account makes them.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use server::settings::{self, SettingError};
use server::visible::identifier;

use super::source::WeChat;

/// The shortest and the longest time that a QR code may be shown. WeChat itself keeps a code for 1,800 s, and a
/// code is only shown while it has its own time and a claim's 120 s left.
const LOGIN_TTL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(1680);

/// The calls to WeChat that an account may be given for a day.
pub(crate) const PER_DAY: RangeInclusive<i64> = 1..=10_000_000;

/// The settings of QR codes.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// How long a QR code is shown.
    #[arg(long = "gateway-login-ttl", env = "GATEWAY_LOGIN_TTL", display_order = 12, default_value = "120s",
          value_parser = login_ttl)]
    pub login_ttl: Duration,

    /// QR codes made ahead, so that a page waits for no call to WeChat; 0 makes each when a page asks. An
    /// idle gateway replaces them about every 25 minutes.
    #[arg(long = "gateway-qr-ready", env = "GATEWAY_QR_READY", display_order = 16, default_value_t = 8,
          value_parser = clap::value_parser!(u8).range(..=64))]
    pub qr_ready: u8,

    /// Calls to WeChat for QR codes in a day of UTC+8, and an eighth of them in an hour: WeChat allows an
    /// account 100,000, a test account 10,000. The rest is for calls that have to be made twice. Without
    /// Redis a restart begins anew.
    #[arg(long = "gateway-qr-per-day", env = "GATEWAY_QR_PER_DAY", display_order = 17, default_value_t = 90_000,
          value_parser = clap::value_parser!(u32).range(PER_DAY))]
    pub qr_per_day: u32,

    /// New logins a minute from one address (an IPv6 /64); the network around it, a /24 or /48, may have four times as
    /// many. At 120 or less an address may also leave 2 % of the day's codes unscanned, at a higher rate as much more.
    /// Raise it where many people share one address.
    #[arg(long = "gateway-address-rate", env = "GATEWAY_ADDRESS_RATE", display_order = 18, default_value_t = 120,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub address_rate: u32,

    /// The official account's appid. Unset: the accounts are those of WECHAT_ACCOUNTS.
    #[arg(long, env, display_order = 33, value_parser = identifier)]
    pub wechat_app_id: Option<String>,

    /// A file of official accounts in TOML, beside or in place of the one that the other variables set up. Each has a name,
    /// which pages give as account= in their query. callback-service needs the same file. It is read at the start.
    #[arg(long, env, display_order = 34)]
    pub wechat_accounts: Option<PathBuf>,

    /// Where WeChat's API is. It is asked through the HTTP proxy that HTTPS_PROXY names, if it names one: for an
    /// account that allows one fixed address. Loopback is asked without.
    #[arg(long, env, display_order = 35, default_value = wechat::OFFICIAL_API_URL)]
    pub wechat_api_url: String,

    /// Where browsers fetch WeChat's pictures of QR codes. Unset: the official host, or the API's URL
    /// when that is another than the official one.
    #[arg(long, env, display_order = 36, value_parser = web_url)]
    pub wechat_qr_url: Option<String>,
}

impl Settings {
    /// Where codes are made: WeChat's API, with the AppSecret of an account.
    ///
    /// # Errors
    /// When the API's URL is none.
    pub(crate) fn source(&self, app_id: &str, app_secret: SecretString) -> Result<WeChat, SettingError> {
        let (app_id, api_url) = (app_id.to_owned(), self.wechat_api_url.clone());
        let account = wechat::Settings { app_id, app_secret, api_url };
        let client =
            wechat::Client::new(account).map_err(|error| SettingError::new("WECHAT_API_URL", error))?;
        Ok(WeChat::new(client, self.qr_url().to_owned()))
    }

    /// Where browsers fetch WeChat's pictures.
    #[must_use]
    pub(crate) fn qr_url(&self) -> &str {
        match &self.wechat_qr_url {
            Some(url) => url,
            None if self.wechat_api_url == wechat::OFFICIAL_API_URL => wechat::OFFICIAL_QR_URL,
            None => &self.wechat_api_url,
        }
    }
}

fn login_ttl(text: &str) -> Result<Duration, String> {
    let time = settings::duration(text)?;
    if LOGIN_TTL.contains(&time) { Ok(time) } else { Err("must be between 1s and 28m".to_owned()) }
}

fn web_url(text: &str) -> Result<String, String> {
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    if is_web { Ok(text.to_owned()) } else { Err("must be an http or https URL".to_owned()) }
}
