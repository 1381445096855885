//! What people do in the chat: they ask for a code, scan a site's QR code, and answer whether they want to log in.

use std::time::Duration;

use login_page::Language;
use records::Moment;
use server::tell;
use tokio::time::{Instant, timeout_at};
use wechat::Person;

use super::codes::{self, Codes, Request};
use super::qr_logins::{Heard, QrLogins, Scene};
use super::{Official, WeChatServer, phrase};
use crate::audit::{Confirmed, Fact, Outcome, Way};
use crate::logins::answer::Text;
use crate::logins::confirmation::Typed;
use crate::logins::way::YES;
use crate::logins::words::{PhoneReply, ToPhone};
use crate::store::{Store, StoreError};

/// Words must be ready so long after the push has arrived: WeChat waits 5 s.
const WORDS: Duration = Duration::from_millis(3500);

impl WeChatServer {
    /// Takes a text that asks for a code, or answers the question after a scan, and gives the words for the phone, if there
    /// are any. The outer `None` is for any other text. As everywhere here, the person is one of an account.
    pub(crate) async fn heard(&self, text: &Text<'_>, arrived: Instant) -> Option<Option<String>> {
        if phrase::asks(&self.words, text.content) {
            return Some(self.code(text, arrived).await);
        }
        let yes = yes(text.content)?;
        match self.in_time(arrived, self.qr_logins.answer(text.person, yes)).await {
            Ok(None) => None,
            Ok(Some(heard)) => {
                self.note(text.person, &heard, Some(Confirmed::One)).await;
                Some(self.words(&heard, false))
            }
            // Perhaps it is an answer, and perhaps it counts.
            Err(error) => Some(self.unclear(&error)),
        }
    }

    /// When a person was asked last whether they want to log in by a site's QR code, where this text may be the answer. What
    /// cannot be known may have been a moment ago.
    pub(crate) async fn asked(&self, text: &Text<'_>, arrived: Instant) -> Option<Moment> {
        yes(text.content)?;
        self.in_time(arrived, self.qr_logins.asked(text.person)).await.unwrap_or_else(|error| {
            tell!(error, self.told, "asked", "what a person was asked cannot be looked up: {error}");
            Some(Moment(u64::MAX))
        })
    }

    /// Takes a scan of a site's QR code.
    pub(crate) async fn scanned(
        &self,
        scene: &Scene,
        person: &Person,
        first: bool,
        at: i64,
        arrived: Instant,
    ) -> Option<String> {
        match self.in_time(arrived, self.qr_logins.scan(scene, person, at)).await {
            Ok(heard) => {
                self.note(person, &heard, None).await;
                self.words(&heard, first)
            }
            Err(error) => self.unclear(&error),
        }
    }

    /// Forgets what a person has asked for up to an unfollow at `at` (CreateTime). If the store does not answer, it is
    /// forgotten within minutes all the same.
    pub(crate) async fn forget(&self, person: &Person, at: i64) {
        let forgotten =
            async { self.codes.forget(person, at).await.and(self.qr_logins.forget(person, at).await) };
        if let Err(error) = self.in_time(Instant::now(), forgotten).await {
            tell!(
                warn,
                self.told,
                "forget",
                "a code of a person who has unfollowed stays for minutes: {error}"
            );
        }
    }

    async fn code(&self, text: &Text<'_>, arrived: Instant) -> Option<String> {
        // A push without an id is known again by its time.
        let made_up = text.created_at.to_string();
        let id = text.id.unwrap_or(&made_up);
        let request = Request { person: text.person, id, created_at: text.created_at };
        match self.in_time(arrived, self.codes.ask(request)).await {
            Ok(Some(code)) => {
                self.count("code");
                tracing::info!("a person has asked for a code");
                self.texts.code(&code, codes::LIFE.as_secs() / 60)
            }
            Ok(None) => {
                tell!(
                    error,
                    self.told,
                    "no code",
                    "no code is free; more digits make room (CALLBACK_CODE_DIGITS)"
                );
                self.say(PhoneReply::TryAgain)
            }
            Err(error) => {
                tell!(error, self.told, "code", "a person got no code: {error}");
                self.say(PhoneReply::TryAgain)
            }
        }
    }

    /// Writes into the audit what the login came to that a person has scanned last.
    async fn note(&self, person: &Person, heard: &Heard, confirmed: Option<Confirmed>) {
        let (outcome, confirmed) = match heard {
            Heard::LoggedIn => (Outcome::Granted, confirmed),
            Heard::Denied => (Outcome::NotMe, None),
            Heard::Taken => (Outcome::Taken, None),
            Heard::Expired => (Outcome::Expired, None),
            Heard::Asked { .. } | Heard::Confirmed => return,
        };
        let official = self.officials.iter().find(|official| official.names.knows(person.account()));
        let Some(Official { names, .. }) = official else { return };
        // Without the store there is no entry either.
        let Ok(Some((login, site))) = self.qr_logins.last(person).await else { return };
        let (login, way) = (Some(login), Some(Way::WechatServer));
        let fact = Fact { login, site, way, confirmed, ..Fact::of(outcome, person) };
        self.audit.note(names, fact).await;
    }

    fn words(&self, heard: &Heard, first: bool) -> Option<String> {
        self.say(match heard {
            Heard::Asked { site } => return self.texts.approve(site),
            Heard::LoggedIn => PhoneReply::LoggedIn { first, nickname: None, count: None },
            Heard::Denied => PhoneReply::NotMe,
            Heard::Confirmed => PhoneReply::Confirmed,
            Heard::Taken => PhoneReply::Taken,
            Heard::Expired => PhoneReply::Expired,
        })
    }

    /// Perhaps it was recorded: the site's page knows.
    fn unclear(&self, error: &StoreError) -> Option<String> {
        tell!(error, self.told, "chat", "what has become of a site's QR code is not clear: {error}");
        self.say(PhoneReply::Look)
    }

    fn say(&self, reply: PhoneReply) -> Option<String> {
        self.texts.words(&ToPhone { reply, language: Language::default() })
    }

    async fn in_time<T>(
        &self,
        arrived: Instant,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let late = |_| Err(StoreError(format!("not within {WORDS:?}")));
        timeout_at(arrived + WORDS, call).await.unwrap_or_else(late)
    }
}

/// Forgets what a person has asked for up to an unfollow at `at` (CreateTime); says whether there was anything. Without
/// that it is forgotten within minutes.
pub(crate) async fn forget(store: &Store, person: &Person, at: i64) -> Result<bool, StoreError> {
    // The number of digits is for new codes.
    let code = Codes::new(store, codes::DIGITS).forget(person, at).await?;
    Ok(QrLogins::new(store).forget(person, at).await? || code)
}

/// Whether a text is a yes (1) or a no (0), however people type them; nothing for any other.
fn yes(text: &str) -> Option<bool> {
    match Typed::read(text)? {
        Typed::Number(number) => (number == YES).then_some(true),
        Typed::No => Some(false),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::account::names::Names as Account;
    use crate::store::tests::on_each_store;
    use crate::wechat_server::qr_logins::{By, Names};

    #[tokio::test]
    async fn who_is_forgotten_by_hand_has_no_code_and_no_login() {
        on_each_store(async |here, there| {
            let (account, names) = (Account::new(Some("tea"), "wx1"), Names::random());
            let person = account.person(&Person::new("a"));
            assert!(!forget(here, &person, 100).await.unwrap(), "nothing is kept of them");
            // Of another number of digits than the command knows.
            let (codes, logins) = (Codes::new(there, codes::MOST_DIGITS), QrLogins::new(there));
            let request = Request { person: &person, id: "1", created_at: 100 };
            let code = codes.ask(request).await.unwrap().unwrap();
            let by = By { site: "api", account: &account };
            logins.put(&names, by, false).await.unwrap();
            logins.scan(&names.scene, &person, 100).await.unwrap();
            assert!(!forget(here, &Person::new("a"), 100).await.unwrap(), "of another account");
            assert!(forget(here, &person, 100).await.unwrap());
            assert_eq!(codes.redeem(&account, &code).await.unwrap(), None);
            assert_eq!(logins.redeem(&names.code, by).await.unwrap(), None);
        })
        .await;
    }

    #[test]
    fn one_is_yes_and_zero_is_no() {
        for (text, answer) in [
            ("1", Some(true)),
            (" １。", Some(true)),
            ("一", Some(true)),
            ("0", Some(false)),
            ("０\n", Some(false)),
            ("", None),
            ("11", None),
            ("10", None),
            ("yes", None),
        ] {
            assert_eq!(yes(text), answer, "{text}");
        }
    }
}
