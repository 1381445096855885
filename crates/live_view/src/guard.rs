//! Who may look at the page, and who may act.
//!
//! Without a token the page is for the machine itself, and read-only: the port listens on loopback, the request comes from
//! there, through nothing that looks like a proxy, and its Host is a name of loopback, which a web site that lets its own
//! name lead to 127.0.0.1 cannot send. With a token it is for whoever shows it, from anywhere, and they may end logins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Version};
use secrecy::{ExposeSecret as _, SecretString};
use server::allowance::Allowance;
use server::tell;
use server::told::Told;

use crate::session::{Session, Sessions};

/// Wrong tokens of an address that are answered and logged at once. They come back within [`GUESSES_IN`].
pub(crate) const GUESSES: u32 = 10;

const GUESSES_IN: Duration = Duration::from_secs(600);

/// What proxies add to a request, each by another habit.
const PROXIED: [&str; 12] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "true-client-ip",
    "fastly-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-ray",
    "cdn-loop",
];

/// With any end: `x-forwarded-for` and the like, and what a second proxy makes of those of the first.
const PROXIED_BEGIN: [&str; 2] = ["x-forwarded-", "x-original-"];

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
    /// It is another one, and too many such came from this address: the next is answered and logged after this time.
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

    /// What the sender of this request may do.
    pub(crate) fn admit(&self, asks: &Asks<'_>, now: SystemTime) -> Access {
        let Asks { headers, from, .. } = *asks;
        let Some(_) = &self.token else {
            return match (self.is_inside, asks.is_this_machine()) {
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
                match self.opens(token.trim(), from) {
                    Ok(()) => Access::Acts(None),
                    Err(wrong) => Access::Wrong(wrong),
                }
            }
            _ => Access::Asked,
        }
    }

    /// Whether this is the token. The comparison takes as long whatever was shown.
    ///
    /// Only wrong ones count, and the right one opens however many there were: else whoever shares an address with the
    /// operator, as everybody behind a proxy does that is not named as trusted, could lock them out by guessing. Guessing
    /// gains nothing by it. What keeps a token from being guessed is its length: 16 random characters are not found by
    /// trying, at no speed that this port has. The limit keeps guesses from filling the log.
    ///
    /// # Errors
    /// [`WrongToken`].
    pub(crate) fn opens(&self, shown: &str, from: IpAddr) -> Result<(), WrongToken> {
        let hash = |text: &str| digest(&SHA256, text.as_bytes());
        let is_it = self.token.as_ref().is_some_and(|token| {
            verify_slices_are_equal(hash(token.expose_secret()).as_ref(), hash(shown).as_ref()).is_ok()
        });
        if is_it {
            // Nobody waits for this often: people enter once a day.
            self.guesses.forget_rested();
            return Ok(());
        }
        self.guesses.take(from).map_err(WrongToken::TooMany)?;
        tell!(
            warn,
            self.told,
            "token",
            [peer = %from],
            "somebody came to the live view with a wrong {}; whoever should not come there can be kept away from the admin \
             port",
            self.setting,
        );
        Err(WrongToken::Other)
    }
}

/// What is known of a request before anything is answered.
pub(crate) struct Asks<'r> {
    pub(crate) headers: &'r HeaderMap,
    pub(crate) version: Version,
    /// The other end, as the kernel sees it.
    pub(crate) peer: IpAddr,
    /// The same, behind proxies that are trusted.
    pub(crate) from: IpAddr,
}

impl Asks<'_> {
    /// Whether it comes from this machine, through nothing that can be seen, and names it.
    fn is_this_machine(&self) -> bool {
        // No browser and no curl speaks HTTP/1.0, but nginx does unless it is told otherwise, and it adds nothing else by
        // which it could be known.
        let is_old = self.version < Version::HTTP_11;
        self.peer.to_canonical().is_loopback()
            && !is_old
            && !self.headers.keys().any(is_of_a_proxy)
            && host(self.headers).is_some_and(is_loopback)
    }
}

/// Whether a proxy has added this header.
fn is_of_a_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    PROXIED.contains(&name) || PROXIED_BEGIN.iter().any(|begin| name.starts_with(begin))
}

/// What a request says it is for. Two that differ would let each reader believe another one.
fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

/// `localhost`, `127.0.0.1` or `[::1]`, with a port or without, and nothing else.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse().is_ok_and(|it: Ipv6Addr| it.is_loopback()),
        None => {
            name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|it: Ipv4Addr| it.is_loopback())
        }
    }
}

/// Whether a request was made by another site's page. Browsers say so themselves over https and on loopback, and that alone
/// counts then: no page can change it, and it holds where a proxy has put another Host. Elsewhere the page's origin has to be
/// the Host.
pub(crate) fn is_of_another_site(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all("sec-fetch-site").iter().peekable();
    if said.peek().is_some() {
        return !said.all(|site| site == "same-origin" || site == "none");
    }
    headers.get(ORIGIN).is_some_and(|origin| {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        authority.is_none_or(|(_, authority)| Some(authority) != host(headers))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TOKEN: &str = "a token that nobody guesses";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            // Two lines of one name are two.
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    fn guard(listens: &str, token: Option<&str>) -> Guard {
        Guard::new("X_ADMIN_TOKEN", token.map(SecretString::from), listens.parse().unwrap())
    }

    fn access(guard: &Guard, peer: &str, lines: &[(&'static str, &str)]) -> Access {
        speaking(guard, Version::HTTP_11, peer, lines)
    }

    fn speaking(guard: &Guard, version: Version, peer: &str, lines: &[(&'static str, &str)]) -> Access {
        let peer = peer.parse().unwrap();
        guard.admit(&Asks { headers: &headers(lines), version, peer, from: peer }, SystemTime::now())
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
            ("127.0.0.1:1098", "127.0.0.1", &[LOCAL, ("host", "rebound.example")], AWAY),
            ("127.0.0.1:1098", "192.0.2.1", &[LOCAL], AWAY),
            ("0.0.0.0:1098", "127.0.0.1", &[LOCAL], CLOSED),
            ("10.0.0.1:1098", "10.0.0.2", &[("host", "10.0.0.1:1098")], CLOSED),
        ] {
            assert_eq!(access(&guard(listens, None), peer, lines), expected, "{listens} {peer} {lines:?}");
        }
    }

    #[tokio::test]
    async fn without_a_token_whatever_a_proxy_leaves_in_a_request_closes_the_page() {
        const AWAY: Access = Access::Closed(Closed::NotThisMachine);
        const LOCAL: (&str, &str) = ("host", "127.0.0.1:1098");
        let guard = guard("127.0.0.1:1098", None);
        // nginx by its defaults: its upstream as the Host, HTTP/1.0, and no word of itself.
        let of_nginx = [LOCAL, ("connection", "close")];
        assert_eq!(speaking(&guard, Version::HTTP_10, "127.0.0.1", &of_nginx), AWAY);
        assert_eq!(speaking(&guard, Version::HTTP_09, "127.0.0.1", &of_nginx), AWAY);
        assert_eq!(speaking(&guard, Version::HTTP_11, "127.0.0.1", &of_nginx), Access::Looks);
        for name in PROXIED.into_iter().chain([
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-server",
            "x-original-forwarded-for",
        ]) {
            assert_eq!(access(&guard, "127.0.0.1", &[LOCAL, (name, "x")]), AWAY, "{name}");
        }
    }

    #[test]
    fn a_host_is_of_loopback_as_a_whole_or_not_at_all() {
        for host in ["localhost", "LocalHost:1098", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:1098"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":1098",
            "[::1].evil.example",
            "[::1].evil.example:1098",
            "[::1]evil",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "[localhost]",
            "[::2]",
            "localhost.evil.example",
            "localhost:1098.evil.example",
            "localhost:evil",
            "localhost:1:2",
            "evil@localhost",
            "127.0.0.1.evil.example",
            "127.0.0.1:evil.example",
            "128.0.0.1",
        ] {
            assert!(!is_loopback(host), "{host}");
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
    async fn an_address_may_guess_a_few_times_and_nobody_locks_out_who_has_the_right_token() {
        let guard = guard("0.0.0.0:1", Some(TOKEN));
        let [one, other] = ["192.0.2.1", "198.51.100.1"].map(|address| address.parse().unwrap());
        for _ in 0..100 {
            assert_eq!(guard.opens(TOKEN, one), Ok(()));
        }
        for _ in 0..GUESSES {
            assert_eq!(guard.opens("guess", one), Err(WrongToken::Other));
        }
        for _ in 0..100 {
            assert!(matches!(guard.opens("guess", one), Err(WrongToken::TooMany(_))));
            assert_eq!(guard.opens(TOKEN, one), Ok(()));
        }
        assert_eq!(guard.opens("guess", other), Err(WrongToken::Other), "others are not touched");
        tokio::time::advance(GUESSES_IN / GUESSES).await;
        assert_eq!(guard.opens("guess", one), Err(WrongToken::Other));
        assert!(matches!(guard.opens("guess", one), Err(WrongToken::TooMany(_))));
    }

    #[tokio::test]
    async fn guesses_are_of_whoever_is_behind_the_proxy() {
        let guard = guard("127.0.0.1:1", Some(TOKEN));
        let guessed = |from: &str| {
            let headers = headers(&[("authorization", "Bearer guess")]);
            let (peer, from) = ("127.0.0.1".parse().unwrap(), from.parse().unwrap());
            let asks = Asks { headers: &headers, version: Version::HTTP_11, peer, from };
            guard.admit(&asks, SystemTime::now())
        };
        for _ in 0..GUESSES {
            assert_eq!(guessed("192.0.2.1"), Access::Wrong(WrongToken::Other));
        }
        assert!(matches!(guessed("192.0.2.1"), Access::Wrong(WrongToken::TooMany(_))));
        assert_eq!(guessed("198.51.100.1"), Access::Wrong(WrongToken::Other));
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
            (&[HOST, ("sec-fetch-site", "")], true),
            (&[HOST, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], true),
            // Behind a proxy that puts its upstream for the Host.
            (&[HOST, ("sec-fetch-site", "same-origin"), ("origin", "https://view.example")], false),
            // Whatever the origin seems to be.
            (&[HOST, ("sec-fetch-site", "same-site"), ("origin", "http://admin.example:1098")], true),
            (&[HOST, ("sec-fetch-site", "cross-site"), ("origin", "http://admin.example:1098")], true),
            (&[HOST, ("origin", "https://view.example")], true),
            (&[HOST, ("origin", "http://admin.example:1098")], false),
            (&[HOST, ("origin", "http://admin.example:8081")], true),
            (&[HOST, ("origin", "null")], true),
            (&[("origin", "http://admin.example")], true),
        ] {
            assert_eq!(is_of_another_site(&headers(lines)), is_other, "{lines:?}");
        }
    }
}
