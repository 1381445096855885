//! Which pages may connect: the check against cross-site WebSocket hijacking (RFC 6455, section 10.2).
//!
//! Browsers put the page's Origin into every WebSocket handshake and scripts cannot change it. A request
//! without one is no browser and passes.

use std::str::FromStr;

/// The pages that may connect, where an operator has named them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Every page; only by writing `*`.
    Any,
    /// Exactly these: scheme, host and port.
    Exactly(Vec<Origin>),
}

/// A web origin: scheme, host and port (RFC 6454), the port left out where it is the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    authority: String,
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no origin; write for example https://example.com");
        let (scheme, authority) = text.split_once("://").ok_or_else(wrong)?;
        let scheme = scheme.to_ascii_lowercase();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if !matches!(scheme.as_str(), "http" | "https")
            || authority.is_empty()
            || !authority.chars().all(plain)
        {
            return Err(wrong());
        }
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.to_ascii_lowercase();
        let authority = authority.strip_suffix(own_port).unwrap_or(&authority).to_owned();
        Ok(Self { scheme, authority })
    }
}

impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Self::Any),
            _ => text
                .split(',')
                .map(|origin| origin.trim().parse())
                .collect::<Result<_, _>>()
                .map(Self::Exactly),
        }
    }
}

/// Whether a page of `origin` may connect to `host`, as its Host header names it.
#[must_use]
pub(crate) fn may_connect(
    allowed: Option<&AllowedOrigins>,
    origin: Option<&str>,
    host: Option<&str>,
) -> bool {
    let Some(origin) = origin else { return true };
    if allowed == Some(&AllowedOrigins::Any) {
        return true;
    }
    let Ok(origin) = origin.parse::<Origin>() else {
        return false;
    };
    match (allowed, host) {
        (Some(AllowedOrigins::Exactly(list)), _) => list.contains(&origin),
        // A proxy may have taken TLS off, so the page's own scheme tells which port is meant.
        (_, Some(host)) => format!("{}://{host}", origin.scheme).parse() == Ok(origin),
        (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn by_default_a_page_of_the_same_host_connects() {
        let own = |origin: &str, host: &str| may_connect(None, Some(origin), Some(host));
        assert!(own("http://localhost:1099", "localhost:1099"));
        assert!(own("https://login.example.com", "login.example.com"));
        assert!(own("https://LOGIN.example.com", "login.example.com:443"));
        assert!(own("http://[::1]:1099", "[::1]:1099"));
        for foreign in [
            "https://evil.example",
            "https://login.example.com.evil.example",
            "https://login.example.com:8443",
            "https://evil.example/login.example.com",
            "https://login.example.com@evil.example",
            "null",
            "",
            "file://",
        ] {
            assert!(!own(foreign, "login.example.com"), "{foreign}");
        }
        assert!(!may_connect(None, Some("https://login.example.com"), None));
        assert!(may_connect(None, None, Some("login.example.com")), "no Origin, no browser");
    }

    #[test]
    fn named_origins_are_exact() {
        let allowed: AllowedOrigins = "https://shop.example, http://localhost:3000".parse().unwrap();
        let may = |origin: &str| may_connect(Some(&allowed), Some(origin), Some("gateway.example"));
        assert!(
            may("https://shop.example") && may("https://shop.example:443") && may("http://localhost:3000")
        );
        for other in ["http://shop.example", "https://a.shop.example", "https://gateway.example", "null"] {
            assert!(!may(other), "{other}");
        }
        let any: AllowedOrigins = "*".parse().unwrap();
        assert!(may_connect(Some(&any), Some("null"), None));
        for wrong in ["shop.example", "https://shop.example/", "https://*.example", "", "*,https://a"] {
            assert!(wrong.parse::<AllowedOrigins>().is_err(), "{wrong}");
        }
    }
}
