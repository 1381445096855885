//! What the operator says about the account, as in WeChat's message push settings.
//!
//! Errors name the environment variables, because a wrong setting ends the start with one line that names it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

/// How pushes travel, as chosen in WeChat's message push settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Encrypted only.
    #[default]
    Safe,
    /// In the clear and encrypted side by side; only the encrypted copy is believed.
    Compatible,
    /// In the clear, with a signature that does not cover the message.
    Plaintext,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safe => "safe",
            Self::Compatible => "compatible",
            Self::Plaintext => "plaintext",
        })
    }
}

/// Not the name of a [`Mode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mode is safe, compatible or plaintext")]
pub struct UnknownMode;

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        match name {
            "safe" => Ok(Self::Safe),
            "compatible" => Ok(Self::Compatible),
            "plaintext" => Ok(Self::Plaintext),
            _ => Err(UnknownMode),
        }
    }
}

/// What the operator says about the account; [`Endpoint::new`](super::Endpoint::new) checks it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The mode of the message push settings.
    pub mode: Mode,
    /// The account's appid, which every encrypted push names.
    pub app_id: String,
    /// The appid of the third-party platform (第三方平台) that manages the account, if there is one. WeChat may encrypt
    /// pushes for the platform; they name its appid, and so must their answers.
    pub component_app_id: Option<String>,
    /// The token of the message push settings: 3 to 32 letters or digits.
    pub token: SecretString,
    /// The token before it.
    pub previous_token: Option<SecretString>,
    /// The EncodingAESKey, 43 characters; needed unless the mode is plaintext.
    pub aes_key: Option<SecretString>,
    /// The EncodingAESKey before it.
    pub previous_aes_key: Option<SecretString>,
    /// The `gh_…` that pushes must be addressed to, if that is to be checked.
    pub original_id: Option<String>,
    /// How far a request's timestamp may be from now. `None` is only for replaying recorded pushes.
    pub max_age: Option<Duration>,
}

/// A setting that cannot be right. The text says why, without the setting's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A token of another form.
    #[error("must be 3 to 32 letters or digits, as in WeChat's message push settings")]
    Token(&'static str),
    /// A key that does not decode to 32 bytes.
    #[error("must be the EncodingAESKey of WeChat's message push settings: 43 letters or digits")]
    AesKey(&'static str),
    /// An encrypting mode without a key.
    #[error("is needed in {0} mode: take the EncodingAESKey from WeChat's message push settings")]
    NoAesKey(Mode),
    /// No appid.
    #[error("must not be empty")]
    AppId,
}

impl SettingsError {
    /// The setting, by the name that operators know.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Token(name) | Self::AesKey(name) => name,
            Self::NoAesKey(_) => "WECHAT_AES_KEY",
            Self::AppId => "WECHAT_APP_ID",
        }
    }
}

/// Checks the form of a token; `name` is the setting it came from.
pub(super) fn checked_token(token: SecretString, name: &'static str) -> Result<SecretString, SettingsError> {
    let text = token.expose_secret();
    if !(3..=32).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(SettingsError::Token(name));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_lower_case_names() {
        for mode in [Mode::Safe, Mode::Compatible, Mode::Plaintext] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for other in ["", "Safe", "plain", "raw"] {
            assert_eq!(other.parse::<Mode>(), Err(UnknownMode));
        }
    }
}
