//! What an attempt at a login came to: the one value of which metrics, logs and the audit tell, each in its way.

use protocol::LoginId;
use protocol::message::Context;
use tokio::time::Instant;
use wechat::Person;

use super::Scans;
use super::confirmation::Login;
use super::words::{PhoneReply, ToPhone};
use crate::audit::{Confirmed, Fact, Outcome, Whence};
use crate::store::Scan;

impl PhoneReply {
    /// What the login came to whose person hears this; nothing where it goes on, or the reply is about no login.
    #[must_use]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        Some(match self {
            Self::LoggedIn { .. } => Outcome::Granted,
            Self::WrongNumbers => Outcome::WrongNumbers,
            Self::NotMe => Outcome::NotMe,
            Self::Late => Outcome::Late,
            Self::Expired | Self::Unknown => Outcome::Expired,
            Self::Taken => Outcome::Taken,
            Self::Denied => Outcome::Denied,
            Self::UnknownSite => Outcome::UnknownSite,
            Self::Nameless => Outcome::Nameless,
            Self::TryAgain => Outcome::TryAgain,
            Self::Look => Outcome::Unclear,
            Self::Question(_) | Self::Wrong(_) | Self::WrongCode | Self::TooManyCodes | Self::Confirmed => {
                return None;
            }
        })
    }
}

/// What an attempt came to, and what was seen on the way.
#[derive(Debug)]
pub(super) struct Ended {
    /// What the phone hears.
    pub told: ToPhone,
    /// What was seen.
    pub seen: Seen,
    /// The audit has it already.
    pub is_noted: bool,
}

/// What an attempt has seen of a login.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The browser of its page.
    pub from: Whence,
    /// The site that it is for: the one that it was admitted to, or the one that its page has named.
    pub site: Option<String>,
    /// How its person has confirmed it.
    pub confirmed: Option<Confirmed>,
}

impl Seen {
    /// Takes what the gateway knows of the page.
    pub(super) fn page(&mut self, context: Option<&Context>) {
        if let Some(context) = context {
            self.from = context.into();
            self.site.clone_from(&context.site);
        }
    }
}

impl Scans {
    /// Writes into the audit what an attempt came to, before its person hears it, in time for a push that has `arrived`.
    pub(super) async fn note(&self, scan: &Scan, outcome: Outcome, seen: &Seen, arrived: Instant) {
        let Seen { from, site, confirmed } = seen;
        let fact = Fact {
            site: site.clone(),
            way: Some(scan.way.into()),
            confirmed: *confirmed,
            from: from.clone(),
            ..Fact::of(outcome, &scan.openid).of_login(LoginId::of(scan.scene))
        };
        self.audit.note_by(&self.account, fact, arrived + self.times.words).await;
    }

    /// The same of a login that was decided in the chat, or by another one of the same person's.
    pub(super) async fn note_decided(&self, person: &Person, login: &Login, outcome: Outcome, by: Instant) {
        let fact = Fact {
            site: login.parties.as_ref().map(|parties| parties.site.clone()),
            way: Some(login.way.into()),
            from: login.from.clone().unwrap_or_default(),
            ..Fact::of(outcome, person).of_login(LoginId::of(login.scene))
        };
        self.audit.note_by(&self.account, fact, by).await;
    }
}
