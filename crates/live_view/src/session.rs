//! The cookie of somebody who has shown the token. It says until when it is good, under a key of this process: it is not the
//! token, nobody else can make one, and a restart ends it.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{hmac, rand};
use data_encoding::HEXLOWER;
use http::HeaderMap;
use http::header::COOKIE;

use crate::state::unix;

/// How long a cookie is good: a working day.
pub(crate) const LIFE: Duration = Duration::from_secs(12 * 3600);

/// The sessions of one admin port.
pub(crate) struct Sessions {
    key: hmac::Key,
    cookie: String,
}

/// A session that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session(String);

impl Sessions {
    /// Those of the admin port with this number. Ports of one host share their cookies, so each has a name of its own.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub(crate) fn new(port: u16) -> Self {
        let mut key = [0; 32];
        rand::fill(&mut key).expect("the operating system gives random bytes");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), cookie: format!("saoma_admin_{port}") }
    }

    /// A new one.
    pub(crate) fn begin(&self, now: SystemTime) -> Session {
        let mut nonce = [0; 8];
        rand::fill(&mut nonce).expect("the operating system gives random bytes");
        let claim = format!("{}.{}", unix(now + LIFE), HEXLOWER.encode(&nonce));
        Session(format!("{claim}.{}", self.mac("session", &claim)))
    }

    /// The session of a request, if it has one.
    pub(crate) fn of(&self, headers: &HeaderMap, now: SystemTime) -> Option<Session> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == self.cookie).find_map(|(_, value)| self.checked(value, now))
    }

    fn checked(&self, value: &str, now: SystemTime) -> Option<Session> {
        let (claim, mac) = value.rsplit_once('.')?;
        let until: u64 = claim.split_once('.')?.0.parse().ok()?;
        let is_good = self.is_of("session", claim, mac) && unix(now) < until;
        is_good.then(|| Session(value.to_owned()))
    }

    /// What a form of this session's page has to bring back: no other site can know it.
    pub(crate) fn form(&self, session: &Session) -> String {
        self.mac("form", &session.0)
    }

    /// Whether a form is of this session's page.
    pub(crate) fn is_form_of(&self, session: &Session, form: &str) -> bool {
        self.is_of("form", &session.0, form)
    }

    /// The header that gives a browser its session, or takes it away. Over https it is sent over https only.
    pub(crate) fn set_cookie(&self, session: Option<&Session>, is_https: bool) -> String {
        let (value, age) = session.map_or(("", 0), |Session(value)| (value, LIFE.as_secs()));
        let secure = if is_https { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}", self.cookie)
    }

    fn mac(&self, what: &str, of: &str) -> String {
        HEXLOWER.encode(hmac::sign(&self.key, format!("{what} {of}").as_bytes()).as_ref())
    }

    /// In a time that says nothing of how much is right.
    fn is_of(&self, what: &str, of: &str, mac: &str) -> bool {
        let mac = HEXLOWER.decode(mac.as_bytes()).unwrap_or_default();
        hmac::verify(&self.key, format!("{what} {of}").as_bytes(), &mac).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn cookies(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, line.parse().unwrap())).collect()
    }

    #[test]
    fn a_session_is_good_for_its_time_and_nobody_else_can_make_one() {
        let (sessions, now) = (Sessions::new(1098), SystemTime::now());
        let session = sessions.begin(now);
        let Session(value) = &session;
        let line = format!("a=b; saoma_admin_1098={value}; c=d");
        let later = |time: Duration| sessions.of(&cookies(&[&line]), now + time);
        assert_eq!(later(Duration::ZERO), Some(session.clone()));
        assert_eq!(later(LIFE - Duration::from_secs(1)), Some(session.clone()));
        assert_eq!(later(LIFE + Duration::from_secs(1)), None);
        assert_eq!(Sessions::new(1098).of(&cookies(&[&line]), now), None, "another process");
        let longer = format!("9{value}");
        for wrong in ["", ".", "..", "1.2.3", &longer, &value[1..], &value[..value.len() - 2]] {
            let line = format!("saoma_admin_1098={wrong}");
            assert_eq!(sessions.of(&cookies(&[&line]), now), None, "{wrong}");
        }
        let other = format!("saoma_admin_8081={value}");
        assert_eq!(sessions.of(&cookies(&[&other]), now), None);
        let both = ["saoma_admin_1098=old.x.y", &line];
        assert_eq!(sessions.of(&cookies(&both), now), Some(session));
    }

    #[test]
    fn a_form_belongs_to_its_session() {
        let (sessions, now) = (Sessions::new(1), SystemTime::now());
        let (one, other) = (sessions.begin(now), sessions.begin(now));
        assert!(sessions.is_form_of(&one, &sessions.form(&one)));
        for wrong in ["", "zz", &sessions.form(&other)] {
            assert!(!sessions.is_form_of(&one, wrong));
        }
    }

    #[test]
    fn no_script_and_no_other_site_gets_the_cookie() {
        let sessions = Sessions::new(1);
        let given = sessions.set_cookie(Some(&sessions.begin(SystemTime::now())), true);
        assert!(given.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"), "{given}");
        let taken = sessions.set_cookie(None, false);
        assert_eq!(taken, "saoma_admin_1=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    }
}
