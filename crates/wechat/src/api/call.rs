//! The calls that are made, by their paths. Errors, breakers and logs name a call by its path.

/// Gives an access token.
pub(crate) const TOKEN: &str = "/cgi-bin/stable_token";

/// Makes a QR code.
pub(crate) const QR_CODE: &str = "/cgi-bin/qrcode/create";

/// Tells about a person.
pub(crate) const USER: &str = "/cgi-bin/user/info";
