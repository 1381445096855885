//! Where phones reach callback-service: a login's own page there.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use protocol::Scene;

/// Characters of it. The rest of the address is 80 at most, and a QR code that phones read from afar is short.
const MAX_URL: usize = 200;

/// `GATEWAY_WEB_URL`, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebUrl(String);

impl WebUrl {
    /// The page of the login `scene`, at `account`, where the gateway has several.
    #[must_use]
    pub(crate) fn login(&self, scene: Scene, account: Option<&str>) -> String {
        let Self(url) = self;
        match account {
            Some(account) => format!("{url}/login/{scene}/{account}"),
            None => format!("{url}/login/{scene}"),
        }
    }
}

impl FromStr for WebUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "must be an http or https URL without a query, such as https://login.example.com";
        let url: Uri = text.parse().map_err(|_| form)?;
        let is_web = matches!(url.scheme_str(), Some("http" | "https"));
        let names_a_host =
            url.authority().is_some_and(|host| !host.as_str().contains('@') && !host.host().is_empty());
        if !is_web || !names_a_host || text.contains(['?', '#']) {
            return Err(form.to_owned());
        }
        if text.len() > MAX_URL {
            return Err(format!("has {} characters, and may have {MAX_URL}", text.len()));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_login_has_its_own_page_there() {
        let scene = Scene::random();
        for (url, page) in [
            ("https://login.example", "https://login.example/login/"),
            ("http://192.0.2.1:8080/", "http://192.0.2.1:8080/login/"),
            ("https://example.com/wechat/", "https://example.com/wechat/login/"),
        ] {
            let url: WebUrl = url.parse().unwrap();
            assert_eq!(url.login(scene, None), format!("{page}{scene}"));
            assert_eq!(url.login(scene, Some("shop")), format!("{page}{scene}/shop"));
        }
    }

    #[test]
    fn what_is_no_such_address_is_refused() {
        let long = format!("https://login.example/{}", "x".repeat(MAX_URL));
        for text in [
            "",
            "login.example",
            "/login",
            "ftp://login.example",
            "https://",
            "https://user@login.example",
            "https://login.example?x=1",
            "https://login.example/#x",
            "https://login example",
            &long,
        ] {
            assert!(text.parse::<WebUrl>().is_err(), "{text}");
        }
    }
}
