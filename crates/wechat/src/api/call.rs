//! The calls that are made, by their paths. Errors, breakers and logs name a call by its path.

/// Gives an access token.
pub(crate) const TOKEN: &str = "/cgi-bin/stable_token";

/// Makes a QR code.
pub(crate) const QR_CODE: &str = "/cgi-bin/qrcode/create";

/// Tells about a person.
pub(crate) const USER: &str = "/cgi-bin/user/info";

/// Tells what is left of a call's day.
pub(crate) const QUOTA: &str = "/cgi-bin/openapi/quota/get";

/// Tells of a call that was refused.
pub(crate) const RID: &str = "/cgi-bin/openapi/rid/get";

/// Lets WeChat look for the push URL.
pub(crate) const CALLBACK_CHECK: &str = "/cgi-bin/callback/check";

/// Lists where pushes come from. Without a token, which makes WeChat answer with an error, it shows that WeChat answers.
pub(crate) const CALLBACK_IPS: &str = "/cgi-bin/getcallbackip";

/// Tells whose the code of a web authorization is.
pub(crate) const WEB_TOKEN: &str = "/sns/oauth2/access_token";

/// Tells about a person who has agreed to that.
pub(crate) const WEB_USER: &str = "/sns/userinfo";

/// The short name of a call, for metrics.
pub(crate) fn name(call: &str) -> &'static str {
    match call {
        TOKEN => "stable_token",
        QR_CODE => "qrcode_create",
        USER => "user_info",
        WEB_TOKEN => "sns_token",
        WEB_USER => "sns_userinfo",
        _ => "other",
    }
}
