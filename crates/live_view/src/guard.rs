//! Who may look at the page, and who may act.
//!
//! Without a token the page is for the machine itself, and read-only: the port listens on loopback, the request comes from
//! there, through no proxy, and its Host is a name of loopback, which a web site that lets its own name lead to 127.0.0.1
//! cannot send. With a token it is for whoever shows it, from anywhere, and they may end logins.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use secrecy::{ExposeSecret as _, SecretString};
use server::allowance::Allowance;
use server::tell;
use server::told::Told;

use crate::session::{Session, Sessions};

/// Wrong tokens that an address may show at once. They come back within [`GUESSES_IN`].
pub(crate) const GUESSES: u32 = 10;

const GUESSES_IN: Duration = Duration::from_secs(600);

/// What proxies add to a request.
const PROXIED: [&str; 4] = ["x-forwarded-for", "x-forwarded-host", "forwarded", "via"];

/// Decides about the requests of one admin port.
pub(crate) struct Guard {
    setting: &'static str,
    token: Option<SecretString>,
    /// The port listens on loopback only.
    is_inside: bool,
    pub(crate) sessions: Sessions,
    guesses: Allowance,
    told: Told,
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Look, as anybody on this machine may.
    Looks,
    /// Look and act, because they have shown the token: in this session, or with this very request.
    Acts(Option<Session>),
    /// Show the token first.
    Asked,
    /// Nothing, with the token that they have shown.
    Wrong(WrongToken),
    /// Nothing at all.
    Closed(Closed),
}

/// A token does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrongToken {
    /// It is another one.
    Other,
    /// Too many wrong ones came from this address; none is looked at for this time.
    TooMany(Duration),
}

/// Why nobody may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// There is no token, and the port is open to others than this machine.
    NoToken,
    /// The request comes from somewhere else, or by a name that is not this machine's.
    NotThisMachine,
}

impl Guard {
    /// The guard of the port that listens at this address.
    pub(crate) fn new(setting: &'static str, token: Option<SecretString>, listens: SocketAddr) -> Self {
        Self {
            setting,
            token,
            is_inside: listens.ip().to_canonical().is_loopback(),
            sessions: Sessions::new(listens.port()),
            guesses: Allowance::new(GUESSES, GUESSES_IN),
            told: Told::default(),
        }
    }

    /// The setting of the token.
    pub(crate) fn setting(&self) -> &'static str {
        self.setting
    }

    /// What the sender of a request with these headers may do.
    pub(crate) fn admit(&self, headers: &HeaderMap, peer: IpAddr, now: SystemTime) -> Access {
        let Some(_) = &self.token else {
            return match (self.is_inside, is_this_machine(headers, peer)) {
                (true, true) => Access::Looks,
                (true, false) => Access::Closed(Closed::NotThisMachine),
                (false, _) => Access::Closed(Closed::NoToken),
            };
        };
        if let Some(session) = self.sessions.of(headers, now) {
            return Access::Acts(Some(session));
        }
        let shown = headers.get(AUTHORIZATION).and_then(|line| line.to_str().ok());
        match shown.and_then(|line| line.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                match self.opens(token.trim(), peer) {
                    Ok(()) => Access::Acts(None),
                    Err(wrong) => Access::Wrong(wrong),
                }
            }
            _ => Access::Asked,
        }
    }

    /// Whether this is the token. The comparison takes as long whatever was shown.
    ///
    /// # Errors
    /// [`WrongToken`].
    pub(crate) fn opens(&self, shown: &str, peer: IpAddr) -> Result<(), WrongToken> {
        self.guesses.take(peer).map_err(WrongToken::TooMany)?;
        let hash = |text: &str| digest(&SHA256, text.as_bytes());
        let is_it = self.token.as_ref().is_some_and(|token| {
            verify_slices_are_equal(hash(token.expose_secret()).as_ref(), hash(shown).as_ref()).is_ok()
        });
        if is_it {
            self.guesses.give_back(peer);
            // Nobody waits for this often: people enter once a day.
            self.guesses.forget_rested();
            return Ok(());
        }
        tell!(
            warn,
            self.told,
            "token",
            [%peer],
            "somebody came to the live view with a wrong {}; whoever should not come there can be kept away from the admin \
             port",
            self.setting,
        );
        Err(WrongToken::Other)
    }
}

/// Whether a request comes from this machine, through nothing, and names it.
fn is_this_machine(headers: &HeaderMap, peer: IpAddr) -> bool {
    let is_proxied = PROXIED.iter().any(|name| headers.contains_key(HeaderName::from_static(name)));
    peer.to_canonical().is_loopback() && !is_proxied && host(headers).is_some_and(is_loopback)
}

/// What a request says it is for.
pub(crate) fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST).and_then(|host| host.to_str().ok())
}

/// `localhost`, `127.0.0.1` or `[::1]`, with a port or without.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|it: IpAddr| it.is_loopback())
}

/// Whether a request was made by another site's page. Browsers say so themselves, or name the page's origin.
pub(crate) fn is_of_another_site(headers: &HeaderMap) -> bool {
    let named = |name: &'static str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = named("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let origin = headers.get(ORIGIN).is_some_and(|origin| {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        authority.is_none_or(|(_, authority)| Some(authority) != host(headers))
    });
    site || origin
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TOKEN: &str = "a token that nobody guesses";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn guard(listens: &str, token: Option<&str>) -> Guard {
        Guard::new("X_ADMIN_TOKEN", token.map(SecretString::from), listens.parse().unwrap())
    }

    fn access(guard: &Guard, peer: &str, lines: &[(&'static str, &str)]) -> Access {
        guard.admit(&headers(lines), peer.parse().unwrap(), SystemTime::now())
    }

    #[tokio::test]
    async fn without_a_token_the_page_is_for_this_machine_and_says_what_is_missing() {
        const LOCAL: (&str, &str) = ("host", "localhost:1098");
        const AWAY: Access = Access::Closed(Closed::NotThisMachine);
        const CLOSED: Access = Access::Closed(Closed::NoToken);
        for (listens, peer, lines, expected) in [
            ("127.0.0.1:1098", "127.0.0.1", &[LOCAL][..], Access::Looks),
            ("127.0.0.1:1098", "127.0.0.1", &[("host", "127.0.0.1:1098")], Access::Looks),
            ("[::1]:1098", "::1", &[("host", "[::1]:1098")], Access::Looks),
            ("[::1]:1098", "::1", &[("host", "LOCALHOST")], Access::Looks),
            // Another site's name that leads here.
            ("127.0.0.1:1098", "127.0.0.1", &[("host", "rebound.example:1098")], AWAY),
            ("127.0.0.1:1098", "127.0.0.1", &[("host", "localhost.example")], AWAY),
            ("127.0.0.1:1098", "127.0.0.1", &[("host", "127.0.0.1.example")], AWAY),
            ("127.0.0.1:1098", "127.0.0.1", &[("host", "192.0.2.1")], AWAY),
            ("127.0.0.1:1098", "127.0.0.1", &[], AWAY),
            // A proxy on this machine.
            ("127.0.0.1:1098", "127.0.0.1", &[LOCAL, ("x-forwarded-for", "192.0.2.1")], AWAY),
            ("127.0.0.1:1098", "127.0.0.1", &[LOCAL, ("via", "1.1 proxy")], AWAY),
            ("127.0.0.1:1098", "192.0.2.1", &[LOCAL], AWAY),
            ("0.0.0.0:1098", "127.0.0.1", &[LOCAL], CLOSED),
            ("10.0.0.1:1098", "10.0.0.2", &[("host", "10.0.0.1:1098")], CLOSED),
        ] {
            assert_eq!(access(&guard(listens, None), peer, lines), expected, "{listens} {peer} {lines:?}");
        }
    }

    #[tokio::test]
    async fn with_a_token_nobody_looks_without_it_and_whoever_has_it_may_act() {
        let bearer = format!("Bearer {TOKEN}");
        for listens in ["127.0.0.1:1098", "0.0.0.0:1098"] {
            let guard = guard(listens, Some(TOKEN));
            let of = |lines: &[(&'static str, &str)]| access(&guard, "127.0.0.1", lines);
            assert_eq!(of(&[("host", "localhost")]), Access::Asked);
            assert_eq!(of(&[("authorization", "Basic eDp5")]), Access::Asked);
            assert_eq!(of(&[("authorization", &bearer)]), Access::Acts(None));
            assert_eq!(of(&[("authorization", "bearer nonsense")]), Access::Wrong(WrongToken::Other));
            let session = guard.sessions.begin(SystemTime::now());
            let cookie = guard.sessions.set_cookie(Some(&session), false);
            let cookie = cookie.split(';').next().unwrap();
            assert_eq!(of(&[("cookie", cookie)]), Access::Acts(Some(session)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_may_guess_a_few_times_and_the_right_token_costs_nothing() {
        let guard = guard("0.0.0.0:1", Some(TOKEN));
        let peer = "192.0.2.1".parse().unwrap();
        for _ in 0..100 {
            assert_eq!(guard.opens(TOKEN, peer), Ok(()));
        }
        for _ in 0..GUESSES {
            assert_eq!(guard.opens("guess", peer), Err(WrongToken::Other));
        }
        assert!(matches!(guard.opens(TOKEN, peer), Err(WrongToken::TooMany(_))));
        assert_eq!(guard.opens(TOKEN, "198.51.100.1".parse().unwrap()), Ok(()), "others are not touched");
        tokio::time::advance(GUESSES_IN / GUESSES).await;
        assert_eq!(guard.opens(TOKEN, peer), Ok(()));
    }

    #[test]
    fn a_page_of_another_site_is_known_by_what_browsers_say() {
        const HOST: (&str, &str) = ("host", "admin.example:1098");
        for (lines, is_other) in [
            (&[HOST][..], false),
            (&[HOST, ("sec-fetch-site", "same-origin")], false),
            (&[HOST, ("sec-fetch-site", "none")], false),
            (&[HOST, ("sec-fetch-site", "same-site")], true),
            (&[HOST, ("sec-fetch-site", "cross-site")], true),
            (&[HOST, ("origin", "http://admin.example:1098")], false),
            (&[HOST, ("origin", "http://admin.example:8081")], true),
            (&[HOST, ("origin", "null")], true),
            (&[("origin", "http://admin.example")], true),
        ] {
            assert_eq!(is_of_another_site(&headers(lines)), is_other, "{lines:?}");
        }
    }
}
