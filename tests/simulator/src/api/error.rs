//! WeChat's error codes and their texts.

use std::borrow::Cow;

use http::Method;
use serde_json::{Value, json};

/// An error of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    code: i64,
    text: Cow<'static, str>,
}

impl ApiError {
    pub(crate) const WRONG_SECRET_OF_TOKEN: Self =
        Self::new(40001, "invalid credential, access_token is invalid or not latest");
    pub(crate) const INVALID_TOKEN: Self = Self::WRONG_SECRET_OF_TOKEN;
    pub(crate) const INVALID_GRANT_TYPE: Self = Self::new(40002, "invalid grant_type");
    pub(crate) const INVALID_OPENID: Self = Self::new(40003, "invalid openid");
    pub(crate) const INVALID_APP_ID: Self = Self::new(40013, "invalid appid");
    pub(crate) const INVALID_CODE: Self = Self::new(40029, "invalid code");
    pub(crate) const USED_CODE: Self = Self::new(40163, "code been used");
    pub(crate) const INVALID_ACTION: Self = Self::new(40052, "invalid action name");
    pub(crate) const INVALID_ACTION_INFO: Self = Self::new(40053, "invalid action info");
    pub(crate) const INVALID_URL: Self = Self::new(40066, "invalid url");
    pub(crate) const INVALID_SECRET: Self = Self::new(40125, "invalid appsecret");
    pub(crate) const NO_TOKEN: Self = Self::new(41001, "access_token missing");
    pub(crate) const NO_APP_ID: Self = Self::new(41002, "appid missing");
    pub(crate) const NO_SECRET: Self = Self::new(41004, "appsecret missing");
    pub(crate) const NO_CODE: Self = Self::new(41008, "missing code");
    pub(crate) const NO_OPENID: Self = Self::new(41009, "missing openid");
    pub(crate) const TOKEN_EXPIRED: Self = Self::new(42001, "access_token expired");
    pub(crate) const QUOTA: Self = Self::new(45009, "reach max api daily quota limit");
    pub(crate) const NOT_JSON: Self = Self::new(47001, "data format error");
    pub(crate) const ARGUMENT: Self = Self::new(47003, "argument invalid");
    pub(crate) const UNAUTHORIZED: Self = Self::new(48001, "api unauthorized");
    pub(crate) const NO_PUSH_URL: Self = Self::new(40201, "invalid callback url");
    pub(crate) const CHECK_ACTION: Self = Self::new(40202, "invalid action");
    pub(crate) const CHECK_OPERATOR: Self = Self::new(40203, "invalid check_operator");
    pub(crate) const UNKNOWN_RID: Self = Self::new(76001, "rid not found");
    pub(crate) const WRONG_RID: Self = Self::new(76002, "rid is error");
    pub(crate) const QUOTA_PATH: Self = Self::new(76003, "could not use this cgi_path, it must begin with /");
    pub(crate) const QUOTA_UNKNOWN: Self = Self::new(76021, "cgi_path not found, please check");
    pub(crate) const QUOTA_FORBIDDEN: Self = Self::new(76022, "could not use this cgi_path,no permission");

    /// Errors that only a switch causes.
    const SWITCHED: [Self; 11] = [
        Self::new(-1, "system error"),
        Self::new(40014, "invalid access_token"),
        Self::new(40164, "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"),
        Self::new(40243, "appsecret is frozen"),
        Self::new(45011, "api minute-quota reach limit, must slower, retry next minute"),
        Self::new(48004, "api forbidden"),
        Self::new(50002, "user limited"),
        Self::new(50004, "forbidden to use the token interface"),
        Self::new(50007, "the account is frozen"),
        Self::new(61004, "access clientip is not registered 203.0.113.7"),
        Self::new(89503, "this ip needs the confirmation of an administrator"),
    ];

    /// Errors that the calls cause by themselves.
    const KNOWN: [Self; 19] = [
        Self::INVALID_TOKEN,
        Self::INVALID_GRANT_TYPE,
        Self::INVALID_OPENID,
        Self::INVALID_APP_ID,
        Self::INVALID_ACTION,
        Self::INVALID_ACTION_INFO,
        Self::INVALID_SECRET,
        Self::NO_TOKEN,
        Self::NO_APP_ID,
        Self::NO_SECRET,
        Self::NO_OPENID,
        Self::TOKEN_EXPIRED,
        Self::QUOTA,
        Self::NOT_JSON,
        Self::ARGUMENT,
        Self::UNAUTHORIZED,
        Self::INVALID_CODE,
        Self::USED_CODE,
        Self::NO_CODE,
    ];

    const fn new(code: i64, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text) }
    }

    /// The error of a switch, with WeChat's text if we know it.
    pub(crate) fn switched(code: i64) -> Self {
        let mut known = Self::SWITCHED.into_iter().chain(Self::KNOWN);
        known.find(|error| error.code == code).unwrap_or(Self::new(code, "a switch asks for this error"))
    }

    /// The call needs another method.
    pub(crate) fn method(wanted: &Method) -> Self {
        if *wanted == Method::GET {
            Self::new(43001, "require GET method")
        } else {
            Self::new(43002, "require POST method")
        }
    }

    /// The answer's body, with the `rid` that names the call.
    pub(crate) fn json(&self, rid: &str) -> Value {
        let text = format!("{} rid: {rid}", self.text);
        json!({"errcode": self.code, "errmsg": text})
    }
}
