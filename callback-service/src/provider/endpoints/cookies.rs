//! The two cookies: one names the browser, so that what was begun in it ends in it; the other one is its session.
//!
//! Behind TLS their names begin with `__Host-`, so that no other host, and no page by plain http, can set them (RFC 6265bis,
//! section 4.1.3.2). Each official account that has a name has sessions of its own, under a cookie with its appid: so whoever
//! logs in by one stays logged in by another. They are `SameSite=Lax`: a site sends its people here from elsewhere, and the cookies have to come
//! along.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};
use server::http::Response;

use crate::account::names::Names;
use crate::provider::Provider;
use crate::provider::token::Token;

/// A cookie of this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie<'a> {
    Browser,
    /// Of people of this account: the appid of one with a name, or `None`.
    Session(Option<&'a str>),
}

impl Cookie<'_> {
    /// Its name, by whether browsers come by TLS.
    fn name(self, is_secure: bool) -> String {
        let prefix = if is_secure { "__Host-" } else { "" };
        match self {
            Self::Browser => format!("{prefix}saoma-browser"),
            Self::Session(None) => format!("{prefix}saoma-session"),
            Self::Session(Some(app_id)) => format!("{prefix}saoma-session-{app_id}"),
        }
    }
}

impl Cookie<'_> {
    /// The token in a cookie that came with a request, of a service to which browsers come by TLS or not.
    pub(crate) fn read(self, headers: &HeaderMap, is_secure: bool) -> Option<Token> {
        let name = self.name(is_secure);
        // Other cookies of the host may have any bytes.
        let lines = headers.get_all(COOKIE).into_iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
        let value = |line: &str| {
            let mut pairs = line.split(';').filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(other, _)| *other == name).and_then(|(_, value)| Token::parse(value))
        };
        lines.into_iter().find_map(|line| value(&line))
    }

    /// Sets it with an answer. It ends with the browser; the session has its own end, too.
    pub(crate) fn set(self, answer: &mut Response, token: &Token, is_secure: bool) {
        self.add(answer, token.reveal(), "", is_secure);
    }

    fn add(self, answer: &mut Response, value: &str, more: &str, is_secure: bool) {
        let (name, secure) = (self.name(is_secure), if is_secure { "; Secure" } else { "" });
        let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}");
        // All of it is ours, and ASCII.
        if let Ok(line) = HeaderValue::from_str(&line) {
            answer.headers_mut().append(SET_COOKIE, line);
        }
    }
}

impl Provider {
    /// The token in a cookie that came with a request.
    pub(in crate::provider) fn cookie(&self, headers: &HeaderMap, cookie: Cookie<'_>) -> Option<Token> {
        cookie.read(headers, self.addresses.is_secure)
    }

    /// The sessions of a browser, each with its official account.
    pub(super) fn session_cookies<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> impl Iterator<Item = (&'a Names, Token)> {
        self.officials.all().iter().filter_map(|official| {
            let cookie = Cookie::Session(official.of_people().map(AsRef::as_ref));
            Some((official, self.cookie(headers, cookie)?))
        })
    }

    /// Whether a browser has brought a cookie of ours.
    pub(super) fn has_cookies(&self, headers: &HeaderMap) -> bool {
        self.cookie(headers, Cookie::Browser).is_some() || self.session_cookies(headers).next().is_some()
    }

    /// Sets a cookie with an answer.
    pub(super) fn set_cookie(&self, answer: &mut Response, cookie: Cookie<'_>, token: &Token) {
        cookie.set(answer, token, self.addresses.is_secure);
    }

    /// Takes a cookie away.
    pub(super) fn take_cookie(&self, answer: &mut Response, cookie: Cookie<'_>) {
        cookie.add(answer, "", "; Max-Age=0", self.addresses.is_secure);
    }
}
