//! What an operator sets about wechat-server's protocol.

use std::path::PathBuf;

use clap::Args;
use server::settings::SettingError;
use url::Url;

use crate::account::Officials;

use super::codes::{DIGITS, MOST_DIGITS};
use super::phrase;
use super::sites::Sites;

/// What an operator sets.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// The file of sites that ask by wechat-server's protocol, such as one-api and new-api, in TOML; callback-service
    /// new-token prints an entry. Unset: that protocol is not spoken. It is read again on SIGHUP.
    #[arg(long, env)]
    callback_wechat_server: Option<PathBuf>,

    /// The words that a person sends to the account to get a code for such a site.
    #[arg(long, env, default_value = phrase::WORDS, value_delimiter = ',', value_parser = phrase::word)]
    callback_code_words: Vec<String>,

    /// The digits of such a code. wechat-server's have 6; each more makes guessing ten times harder.
    #[arg(long, env, default_value_t = DIGITS,
          value_parser = clap::value_parser!(u8).range(i64::from(DIGITS)..=i64::from(MOST_DIGITS)))]
    callback_code_digits: u8,

    /// The day's calls to WeChat for QR codes that such sites ask for, of each official account. WeChat gives an account
    /// 100,000 in all, of which the gateways take GATEWAY_QR_PER_DAY.
    #[arg(long, env, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(..=100_000))]
    callback_qr_per_day: u32,

    /// Where browsers fetch WeChat's pictures of these QR codes. Unset: the official host, or the API's URL when that is
    /// another than the official one.
    #[arg(long, env, value_parser = picture_host)]
    wechat_qr_url: Option<String>,
}

/// Settings that were found good.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(super) sites: Sites,
    pub(super) words: Vec<String>,
    pub(super) digits: u8,
    pub(super) qr_per_day: u32,
    pub(super) qr_url: String,
}

impl Settings {
    /// Checks the settings, for accounts whose API is at `api_url`; `None` where the protocol is not spoken.
    ///
    /// # Errors
    /// Which setting is wrong.
    pub(crate) fn checked(
        self,
        accounts: &Officials,
        api_url: &str,
    ) -> Result<Option<Checked>, SettingError> {
        let wrong = |problem: String| SettingError::new("CALLBACK_WECHAT_SERVER", problem);
        let Some(path) = self.callback_wechat_server else { return Ok(None) };
        let official = || match api_url {
            wechat::OFFICIAL_API_URL => wechat::OFFICIAL_QR_URL.to_owned(),
            other => other.to_owned(),
        };
        Ok(Some(Checked {
            sites: Sites::read(&path, accounts).map_err(wrong)?,
            words: self.callback_code_words,
            digits: self.callback_code_digits,
            qr_per_day: self.callback_qr_per_day,
            qr_url: self.wechat_qr_url.unwrap_or_else(official),
        }))
    }
}

impl Checked {
    /// What is set, in a few words.
    pub(crate) fn summary(&self) -> String {
        let sites: Vec<_> = self.sites.all().iter().map(|site| site.name.clone()).collect();
        format!("sites by wechat-server's protocol: {}", sites.join(", "))
    }
}

fn picture_host(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(text.to_owned()),
        _ => Err("write an address such as https://mp.weixin.qq.com".to_owned()),
    }
}
