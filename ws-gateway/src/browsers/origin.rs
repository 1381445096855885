//! Which pages may connect: the check against cross-site WebSocket hijacking (RFC 6455, section 10.2).
//!
//! Browsers put the page's Origin into every WebSocket handshake, and scripts cannot change it. A request
//! without an Origin comes from no browser and passes. The parser is ours because `url` knows no host for the
//! schemes of apps, such as `capacitor://localhost`.

use std::str::FromStr;

/// The pages that may connect, where an operator has named them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AllowedOrigins {
    /// Every page. It has to be written as `*`.
    Any,
    /// The pages of these origins.
    Named(Vec<Allowed>),
}

/// One entry of `GATEWAY_ALLOWED_ORIGINS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// This scheme, host and port.
    Exactly(Origin),
    /// Every name under this one, at any depth: `https://*.example.com`. The name itself does not count.
    Under(Origin),
    /// `null`: pages without an origin of their own, such as files, and sandboxed frames of any site.
    Null,
}

/// A web origin: scheme, host and port (RFC 6454). The scheme's usual port is left out.
///
/// Apps in a web view have schemes of their own: `capacitor://localhost`, `app://.`, `file://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    /// Empty for `file://` only.
    authority: String,
}

impl Origin {
    /// The host without its port.
    fn host(&self) -> &str {
        without_port(&self.authority)
    }

    fn has_usual_port(&self) -> bool {
        self.host().len() == self.authority.len()
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no origin; write for example https://example.com");
        let (scheme, authority) = text.split_once("://").ok_or_else(wrong)?;
        let scheme = scheme.to_ascii_lowercase();
        let of_a_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let of_a_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme.chars().all(of_a_scheme)
            || authority.is_empty() != (scheme == "file")
            || !authority.chars().all(of_a_host)
        {
            return Err(wrong());
        }
        let authority = authority.to_ascii_lowercase();
        let own_port = match scheme.as_str() {
            "https" => ":443",
            "http" => ":80",
            // No authority ends with this.
            _ => "/",
        };
        let authority = authority.strip_suffix(own_port).unwrap_or(&authority).to_owned();
        Ok(Self { scheme, authority })
    }
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "null" {
            return Ok(Self::Null);
        }
        match text.split_once("://*.") {
            None => text.parse().map(Self::Exactly),
            Some((scheme, name)) => {
                let origin: Origin = format!("{scheme}://{name}").parse()?;
                if origin.host().contains('.') && !origin.host().starts_with('.') {
                    return Ok(Self::Under(origin));
                }
                Err(format!("{text:?} is too wide; name a domain of your own, as https://*.example.com"))
            }
        }
    }
}

impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Self::Any),
            _ => {
                text.split(',').map(|origin| origin.trim().parse()).collect::<Result<_, _>>().map(Self::Named)
            }
        }
    }
}

impl Allowed {
    fn fits(&self, origin: &str) -> bool {
        let parsed = origin.parse::<Origin>();
        match (self, parsed) {
            (Self::Null, _) => origin == "null",
            (Self::Exactly(exactly), Ok(origin)) => *exactly == origin,
            (Self::Under(name), Ok(origin)) => {
                let under = origin.authority.strip_suffix(&name.authority);
                origin.scheme == name.scheme
                    && under.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (_, Err(_)) => false,
        }
    }
}

/// Whether a page of `origin` may connect to `host`, as its Host header or a trusted proxy names it.
#[must_use]
pub(crate) fn may_connect(
    allowed: Option<&AllowedOrigins>,
    origin: Option<&str>,
    host: Option<&str>,
) -> bool {
    let Some(origin) = origin else { return true };
    match allowed {
        Some(AllowedOrigins::Any) => true,
        Some(AllowedOrigins::Named(list)) => list.iter().any(|allowed| allowed.fits(origin)),
        None => host.is_some_and(|host| is_of_host(origin, host)),
    }
}

/// Whether an origin is that of a host. A proxy may have ended TLS. So the page's scheme says which port is
/// meant, and port 80 in the Host header may be the proxy's.
fn is_of_host(origin: &str, host: &str) -> bool {
    let Ok(origin) = origin.parse::<Origin>() else { return false };
    if !matches!(origin.scheme.as_str(), "http" | "https") {
        return false;
    }
    let host = host.to_ascii_lowercase();
    let usual = host.strip_suffix(":80").or_else(|| host.strip_suffix(":443"));
    match usual {
        Some(host) if origin.has_usual_port() => origin.authority == host,
        _ => format!("{}://{host}", origin.scheme).parse() == Ok(origin),
    }
}

/// `example.com:8443` and `[::1]:8443` without their ports.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// What an operator can do about a page that may not connect.
#[must_use]
pub(crate) fn advice(origin: &str, host: Option<&str>) -> String {
    let Some(host) = host else {
        return "the request has no Host header to compare it with".to_owned();
    };
    let cure = "or name the page's origin in GATEWAY_ALLOWED_ORIGINS";
    match origin.parse::<Origin>() {
        Ok(origin) if origin.host() == without_port(host) => format!(
            "the Host header is {host:?}: a proxy in front has changed the port; let it pass the browser's \
             own on (in nginx: proxy_set_header Host $http_host), {cure}"
        ),
        Ok(origin) if matches!(origin.scheme.as_str(), "http" | "https") => format!(
            "the Host header is {host:?}: if the page is this gateway's own, a proxy in front has changed \
             the name; let it pass the browser's own on (in nginx: proxy_set_header Host $http_host), or as \
             X-Forwarded-Host from one of GATEWAY_TRUSTED_PROXIES, {cure}"
        ),
        _ => "it is no web site's; name it in GATEWAY_ALLOWED_ORIGINS if it is an app of yours".to_owned(),
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
        assert!(own("https://login.example.com", "LOGIN.example.com:80"), "TLS ends at a proxy");
        for foreign in [
            "https://evil.example",
            "https://login.example.com.evil.example",
            "https://login.example.com:8443",
            "https://evil.example/login.example.com",
            "https://login.example.com@evil.example",
            "capacitor://login.example.com",
            "null",
            "",
            "file://",
        ] {
            assert!(!own(foreign, "login.example.com"), "{foreign}");
        }
        assert!(!own("https://login.example.com", "login.example.com:8443"));
        assert!(!own("https://login.example.com:8443", "login.example.com:80"));
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
        for wrong in [
            "shop.example",
            "https://shop.example/",
            "https://*.example",
            "https://*..example.com",
            "https://a.*.example.com",
            "*://shop.example",
            "://shop.example",
            "capacitor://",
            "",
            "*,https://a",
        ] {
            assert!(wrong.parse::<AllowedOrigins>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn apps_in_a_web_view_and_sub_domains_can_be_named() {
        let list = "capacitor://localhost, ionic://localhost, app://., chrome-extension://abcdefgh, file://, null, \
                    https://*.shop.example, https://*.shop.example:8443";
        let allowed: AllowedOrigins = list.parse().unwrap();
        let may = |origin: &str| may_connect(Some(&allowed), Some(origin), Some("gateway.example"));
        for origin in [
            "capacitor://localhost",
            "ionic://localhost",
            "app://.",
            "chrome-extension://abcdefgh",
            "file://",
            "null",
            "https://a.shop.example",
            "https://b.a.shop.example:443",
            "https://a.shop.example:8443",
        ] {
            assert!(may(origin), "{origin}");
        }
        for other in [
            "capacitor://elsewhere",
            "chrome-extension://other",
            "https://shop.example",
            "https://.shop.example",
            "https://evilshop.example",
            "http://a.shop.example",
            "https://a.shop.example.evil.example",
            "https://a.shop.example:9443",
        ] {
            assert!(!may(other), "{other}");
        }
    }

    #[test]
    fn the_advice_names_the_likely_cause() {
        assert!(advice("https://a.example:8443", Some("a.example")).contains("changed the port"));
        assert!(advice("https://a.example", Some("upstream")).contains("changed the name"));
        assert!(advice("app://.", Some("a.example")).contains("GATEWAY_ALLOWED_ORIGINS"));
        assert!(advice("https://a.example", None).contains("no Host header"));
    }
}
