//! Why a call failed: in words for the operator, and as a class for the code that decides what to do next.
//!
//! An error never holds an access token or the AppSecret. Addresses are removed from reqwest's errors. For an answer
//! that cannot be read, the error gives only the position of the fault, because the content may be the token itself.

use std::borrow::Cow;
use std::error::Error as _;
use std::net::IpAddr;

use super::call::{TOKEN, WEB_TOKEN, WEB_USER};

/// A call to WeChat's API that gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// WeChat answered with an error code: see [`Error::class`].
    #[error("WeChat refused {call}: {code} {message}{}", advice(call, *code, message))]
    Api {
        /// WeChat's `errcode`.
        code: i64,
        /// WeChat's `errmsg`. It contains the `rid` that WeChat's support asks for.
        message: String,
        /// The path of the call.
        call: &'static str,
    },
    /// The connection to the API failed, so the call was never made.
    #[error("WeChat could not be reached for {call}: {reason}")]
    Unreachable {
        /// The path of the call.
        call: &'static str,
        /// What went wrong, without addresses.
        reason: String,
    },
    /// The connection broke. The call may have had its effect.
    #[error("the connection to WeChat broke during {call}: {reason}")]
    Transport {
        /// The path of the call.
        call: &'static str,
        /// What broke, without addresses.
        reason: String,
    },
    /// A proxy, or WeChat's own front, answered with an HTTP status that is not a success.
    #[error(
        "{call} was answered with HTTP status {status}: check WECHAT_API_URL and the proxies on the way{}",
        named(*proxy)
    )]
    Status {
        /// The path of the call.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// The variable that names a proxy on the way.
        proxy: Option<&'static str>,
    },
    /// The whole answer did not come in time. The call may have had its effect.
    #[error("WeChat did not answer {call} in time")]
    Timeout {
        /// The path of the call.
        call: &'static str,
    },
    /// The answer is not what WeChat's documentation promises.
    #[error("the answer to {call} cannot be read: {reason}")]
    Decode {
        /// The path of the call.
        call: &'static str,
        /// What is wrong with it, without its content.
        reason: String,
    },
    /// The client cannot be set up with these settings.
    #[error("the WeChat client cannot be set up: {reason}")]
    Setup {
        /// What is wrong.
        reason: String,
    },
}

/// The kind of failure. It decides whether a call is tried again, waits, or stops until a person acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// The access token is wrong, or no longer valid.
    Token,
    /// WeChat is busy: trying again a moment later helps.
    Busy,
    /// The quota of this call is used up, for the day or the minute.
    Quota,
    /// The account may not make this call.
    Permission,
    /// This machine's address is not on the account's allowlist, or the account's administrator has not
    /// confirmed it yet.
    IpNotAllowed,
    /// The appid or the AppSecret is wrong or frozen: trying again does not help.
    Credentials,
    /// The code of a web authorization is wrong, too old, or was used before.
    WebCode,
    /// The network, or a proxy on the way.
    Transport,
    /// No answer in time.
    Timeout,
    /// Anything else, mostly our own mistake.
    Other,
}

impl Class {
    /// Its name, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Busy => "busy",
            Self::Quota => "quota",
            Self::Permission => "permission",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::Credentials => "credentials",
            Self::WebCode => "web_code",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }
}

impl Error {
    /// The kind of this failure.
    pub fn class(&self) -> Class {
        match self {
            Self::Api { code, call, .. } => class_of(call, *code),
            Self::Unreachable { .. } | Self::Transport { .. } | Self::Status { .. } => Class::Transport,
            Self::Timeout { .. } => Class::Timeout,
            Self::Decode { .. } | Self::Setup { .. } => Class::Other,
        }
    }

    /// WeChat's error code, if WeChat gave one.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Api { code, .. } => Some(*code),
            Self::Unreachable { .. }
            | Self::Transport { .. }
            | Self::Status { .. }
            | Self::Timeout { .. }
            | Self::Decode { .. }
            | Self::Setup { .. } => None,
        }
    }

    /// The address that WeChat saw, and that the account's IP allowlist lacks.
    pub fn address_to_allow(&self) -> Option<IpAddr> {
        match self {
            Self::Api { message, .. } if self.class() == Class::IpNotAllowed => address(message),
            _ => None,
        }
    }

    /// The name that WeChat gave this refusal, for [`Client::refused_call`](super::Client::refused_call) and for WeChat's
    /// support.
    pub fn rid(&self) -> Option<&str> {
        let Self::Api { message, .. } = self else { return None };
        let (_, rid) = message.rsplit_once("rid:")?;
        rid.split_whitespace().next()
    }

    /// The path of the call that failed. For a call with a token it may be that of the token call.
    pub(crate) fn call(&self) -> Option<&'static str> {
        match self {
            Self::Api { call, .. }
            | Self::Unreachable { call, .. }
            | Self::Transport { call, .. }
            | Self::Status { call, .. }
            | Self::Timeout { call }
            | Self::Decode { call, .. } => Some(call),
            Self::Setup { .. } => None,
        }
    }

    /// Whether the request certainly never reached WeChat.
    pub(crate) fn was_never_sent(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Converts reqwest's error without the address, because the address holds the access token.
    pub(crate) fn from_reqwest(
        call: &'static str,
        error: reqwest::Error,
        proxy: Option<&'static str>,
    ) -> Self {
        // This includes a connection that timed out.
        if error.is_connect() || error.is_builder() {
            return Self::Unreachable { call, reason: chain(error) + &named(proxy) };
        }
        if error.is_timeout() {
            return Self::Timeout { call };
        }
        Self::Transport { call, reason: chain(error) + &named(proxy) }
    }
}

/// Where to look, when a proxy is on the way.
fn named(proxy: Option<&'static str>) -> String {
    proxy.map(|variable| format!("; the proxy that {variable} names is on the way")).unwrap_or_default()
}

/// The whole chain of reasons in one line. The first one alone ("error sending request") explains nothing.
pub(crate) fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason.push_str(": ");
        reason.push_str(&cause.to_string());
        source = cause.source();
    }
    reason
}

/// WeChat's codes by kind, from its page "global return codes" and the pages of each call.
fn class_of(call: &str, code: i64) -> Class {
    match code {
        // These calls have no token, so there this code means that the secret is wrong.
        40001 if call == TOKEN || call == WEB_TOKEN => Class::Credentials,
        // This call's token is one person's, and says nothing about others.
        40001 | 40014 | 42001 if call == WEB_USER => Class::Other,
        40001 | 40014 | 42001 => Class::Token,
        40029 | 40163 | 41008 if call == WEB_TOKEN => Class::WebCode,
        40013 | 40125 | 40243 => Class::Credentials,
        -1 => Class::Busy,
        45009 | 45011 => Class::Quota,
        48001 | 48004 | 50002 | 50004 | 50007 => Class::Permission,
        40164 | 61004 | 89501 | 89503 | 89506 | 89507 => Class::IpNotAllowed,
        _ => Class::Other,
    }
}

/// What an operator can do about a refusal; empty if only we can do something.
fn advice(call: &str, code: i64, message: &str) -> Cow<'static, str> {
    let fixed = match (code, class_of(call, code)) {
        (40013, _) => {
            ": WECHAT_APP_ID is not an official account's appid, or not at this API; copy it from the console again"
        }
        (40125, _) => ": WECHAT_APP_SECRET is wrong or was reset; take the present one from the console",
        (40243, _) => ": the AppSecret is frozen; unfreeze it in the console",
        (_, Class::Credentials) => {
            ": WECHAT_APP_SECRET is not the one of WECHAT_APP_ID; take both from the console"
        }
        (40164 | 61004, _) => return allow(message),
        (89501 | 89503 | 89506 | 89507, _) => {
            ": WeChat has asked the account's administrator to confirm this machine's address; let them agree in WeChat"
        }
        (40029 | 41008, Class::WebCode) => ": the code is wrong or too old; the person has to begin again",
        (40163, Class::WebCode) => ": the code was used before; the person has to begin again",
        (45009, _) => {
            ": the day's quota is used up until tomorrow; the console can reset it, ten times a month"
        }
        (45011, _) => ": too many calls within a minute; another system of the account may make them",
        (48001, _) => {
            ": the account lacks this call; it needs a verified service account (服务号) or a test account"
        }
        (48004 | 50002 | 50004 | 50007, _) => {
            ": WeChat has banned or frozen this; see the notices in the account's console"
        }
        (_, Class::Token) => {
            ": a new token did not help; see whether another system of the account replaces its tokens all the time"
        }
        _ => "",
    };
    Cow::Borrowed(fixed)
}

/// Names the address that WeChat saw. Behind a proxy or NAT this machine does not know that address.
fn allow(message: &str) -> Cow<'static, str> {
    match address(message) {
        Some(address) => Cow::Owned(format!(": add {address} to the account's IP allowlist in the console")),
        None => {
            Cow::Borrowed(": add this machine's outer address to the account's IP allowlist in the console")
        }
    }
}

/// The first address in WeChat's words.
fn address(message: &str) -> Option<IpAddr> {
    let mut words = message.split(|c: char| c.is_whitespace() || c == ',');
    words.find_map(|word| word.parse::<IpAddr>().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(call: &'static str, code: i64, message: &str) -> Error {
        Error::Api { code, message: message.to_owned(), call }
    }

    #[test]
    fn a_refused_address_is_named_together_with_the_cure() {
        for (message, cure) in [
            (
                "invalid ip 203.0.113.7, not in whitelist rid: 1-2",
                "add 203.0.113.7 to the account's IP allowlist",
            ),
            ("invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist", "add 203.0.113.7 to"),
            ("invalid ip 2001:db8::7, not in whitelist", "add 2001:db8::7 to"),
            ("not in whitelist", "add this machine's outer address to the account's IP allowlist"),
        ] {
            let text = refusal(TOKEN, 40164, message).to_string();
            assert!(text.contains(cure), "{text}");
        }
        let error = refusal(
            TOKEN,
            40164,
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 1-2-3",
        );
        assert_eq!(error.address_to_allow(), "203.0.113.7".parse().ok());
        assert_eq!((error.code(), error.rid()), (Some(40164), Some("1-2-3")));
        assert_eq!(refusal(TOKEN, 40125, "203.0.113.7").address_to_allow(), None, "it is about the secret");
    }

    #[test]
    fn the_setting_to_look_at_is_named() {
        for (code, word) in
            [(40013, "WECHAT_APP_ID"), (40125, "WECHAT_APP_SECRET"), (48001, "服务号"), (45009, "quota")]
        {
            let text = refusal("/cgi-bin/qrcode/create", code, "no").to_string();
            assert!(text.contains(word), "{code}: {text}");
        }
    }

    #[test]
    fn one_code_means_the_secret_on_the_token_call_and_the_token_elsewhere() {
        assert_eq!(refusal(TOKEN, 40001, "").class(), Class::Credentials);
        assert_eq!(refusal("/cgi-bin/user/info", 40001, "").class(), Class::Token);
        assert_eq!(refusal(WEB_TOKEN, 40001, "").class(), Class::Credentials);
        assert_eq!(refusal(WEB_USER, 40001, "").class(), Class::Other, "it is one person's token");
    }

    #[test]
    fn codes_fall_into_their_classes() {
        for (code, class) in [
            (-1, Class::Busy),
            (45011, Class::Quota),
            (45009, Class::Quota),
            (48001, Class::Permission),
            (40164, Class::IpNotAllowed),
            (42001, Class::Token),
            (40014, Class::Token),
            (40003, Class::Other),
            (40163, Class::Other),
        ] {
            assert_eq!(refusal("/cgi-bin/user/info", code, "").class(), class, "{code}");
        }
        for code in [40029, 40163, 41008] {
            assert_eq!(refusal(WEB_TOKEN, code, "").class(), Class::WebCode, "{code}");
        }
    }
}
