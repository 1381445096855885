//! The simulated official account: its names, its secrets, and the address of its pushes.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use crate::cipher::Key;

/// WeChat's time limit for the answer to a push.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Longest public URL, in bytes. The picture of a QR code must stay legible, and its ticket holds the text's
/// length in one byte.
const MAX_PUBLIC_URL: usize = 200;

/// How pushes are protected, as chosen in the account's message push settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Only ciphertext, and replies must be encrypted too.
    Safe,
    /// Plain fields and ciphertext in one body; replies plain or encrypted.
    Compatible,
    /// Plain XML; the signature does not cover it.
    Plaintext,
}

/// How pushes are written, as chosen in the message push settings of a mini program. An official account has XML; whoever
/// has taken JSON in the console's test tool, or moved a mini program's settings over, gets JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// XML.
    #[default]
    Xml,
    /// JSON: the same fields, and replies must be JSON too.
    Json,
}

impl Format {
    /// The Content-Type of a push.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Xml => "text/xml",
            Self::Json => "application/json",
        }
    }
}

/// An official account. [`Settings::default`] is a ready-made one for demonstrations, in safe mode.
#[derive(Clone)]
pub struct Settings {
    /// The appid, `wx` and 16 hex digits.
    pub app_id: String,
    /// The AppSecret, which the token calls must show.
    pub app_secret: String,
    /// The original id, `gh_...`, which pushes are addressed to.
    pub original_id: String,
    /// The Token of the message push settings: 3 to 32 letters or digits.
    pub token: String,
    /// The EncodingAESKey: 43 letters or digits.
    pub aes_key: String,
    /// How pushes are protected.
    pub mode: Mode,
    /// How pushes are written.
    pub format: Format,
    /// Where pushes go, such as `http://127.0.0.1:8080/wechat`; can be set later.
    pub push_url: Option<String>,
    /// What the QR codes' text begins with, and where phones open the page. Default: the address that is
    /// served.
    pub public_url: Option<String>,
    /// Whether user/info gives nicknames, as it did until 27 December 2021.
    pub nicknames: bool,
    /// Whether user/info gives the language of the person's WeChat. WeChat's reference says that it is no longer
    /// provided, so software has to do without it, too.
    pub languages: bool,
    /// Whether user/info gives a unionid, as for an account that is bound to an Open Platform account.
    pub unionids: bool,
    /// The domains of web authorizations, as the account's console has them: hosts, without a scheme. None of them stands
    /// for every address of this machine.
    pub web_domains: Vec<String>,
    /// Limit for an answer to a push, and the least time between two tries: [`ANSWER_WITHIN`], or less to make
    /// tests short.
    pub answer_within: Duration,
    /// Codes that are kept at once. While all of them are valid, no more are made. The default is as many as a
    /// real account may make in a day.
    pub max_codes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            app_id: "wx0123456789abcdef".to_owned(),
            app_secret: "0123456789abcdef0123456789abcdef".to_owned(),
            original_id: "gh_0123456789ab".to_owned(),
            token: "demotokenofthesimulator".to_owned(),
            // Its last character has unused bits that are not zero, as in three quarters of WeChat's keys.
            aes_key: "SimulatorDemoKeySimulatorDemoKeySimulator12".to_owned(),
            mode: Mode::Safe,
            format: Format::Xml,
            push_url: None,
            public_url: None,
            nicknames: false,
            languages: true,
            unionids: false,
            web_domains: Vec::new(),
            answer_within: ANSWER_WITHIN,
            max_codes: 100_000,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("app_id", &self.app_id)
            .field("original_id", &self.original_id)
            .field("mode", &self.mode)
            .field("format", &self.format)
            .field("push_url", &self.push_url)
            .field("public_url", &self.public_url)
            .field("nicknames", &self.nicknames)
            .field("languages", &self.languages)
            .field("unionids", &self.unionids)
            .field("web_domains", &self.web_domains)
            .field("answer_within", &self.answer_within)
            .finish_non_exhaustive()
    }
}

/// A setting that WeChat would refuse. Settings are named by their environment variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct SettingsError {
    /// The name of the environment variable.
    pub setting: &'static str,
    /// What is wrong with it, without its value.
    pub problem: &'static str,
}

impl Settings {
    /// Checks what WeChat's console checks, and decodes the key.
    pub(crate) fn check(&self) -> Result<Key, SettingsError> {
        let wrong = |setting, problem| Err(SettingsError { setting, problem });
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let url = |url: &Option<String>| {
            url.as_deref().is_none_or(|url| url.starts_with("http://") || url.starts_with("https://"))
        };
        if !plain(&self.app_id) {
            return wrong("WECHAT_APP_ID", "must be letters and digits");
        }
        if !plain(&self.app_secret) {
            return wrong("WECHAT_APP_SECRET", "must be letters and digits");
        }
        if !self.original_id.starts_with("gh_") {
            return wrong("SIMULATOR_ORIGINAL_ID", "must begin with gh_");
        }
        if !plain(&self.token) || !(3..=32).contains(&self.token.len()) {
            return wrong("WECHAT_TOKEN", "must be 3 to 32 letters or digits");
        }
        if !url(&self.push_url) {
            return wrong("SIMULATOR_PUSH_URL", "must begin with http:// or https://");
        }
        if !url(&self.public_url) {
            return wrong("SIMULATOR_PUBLIC_URL", "must begin with http:// or https://");
        }
        if self.public_url.as_ref().is_some_and(|url| url.len() > MAX_PUBLIC_URL) {
            return wrong("SIMULATOR_PUBLIC_URL", "must have at most 200 characters");
        }
        let key = Some(&self.aes_key).filter(|text| plain(text)).and_then(|text| Key::parse(text));
        key.map_or_else(|| wrong("WECHAT_AES_KEY", "must be 43 letters or digits"), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_account_is_one_that_wechat_would_take() {
        assert!(Settings::default().check().is_ok());
    }

    #[test]
    fn a_wrong_setting_is_named_and_its_value_is_not_told() {
        let named = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().err().map(|error| error.setting)
        };
        assert_eq!(named(|it| it.token = "a b".to_owned()), Some("WECHAT_TOKEN"));
        assert_eq!(named(|it| it.aes_key.truncate(42)), Some("WECHAT_AES_KEY"));
        assert_eq!(named(|it| it.push_url = Some("127.0.0.1:8080".to_owned())), Some("SIMULATOR_PUSH_URL"));
        assert_eq!(named(|it| it.original_id = "saoma".to_owned()), Some("SIMULATOR_ORIGINAL_ID"));
        let shown = format!("{:?}", Settings::default());
        assert!(!shown.contains("DemoKey") && !shown.contains("demotoken"), "{shown}");
    }
}
