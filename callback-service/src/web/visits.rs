//! Visits: a browser inside WeChat that has gone to WeChat to learn who looks at it, and is to come back.
//!
//! A visit is named by the `state` that WeChat gives back, and bound to the browser's cookie. WeChat's code can be exchanged
//! once, so who came is noted in the visit, and a page that is loaded again is answered from there. Stores hold the hash of
//! the `state` and of the cookie.

use std::time::Duration;

use data_encoding::HEXLOWER;
use protocol::Scene;
use records::{AsText, Kept, Moment, Records, Step, Write};
use serde::{Deserialize, Serialize};
use wechat::User;

use crate::provider::Hash;
use crate::provider::inside::Arrival;
use crate::store::{Store, StoreError};

/// How long a visit lives: longer than a login is shown, and WeChat's codes live.
const LIFE: Duration = Duration::from_secs(600);

/// When an exchange that was begun is taken for lost, and may be tried by another process. A call takes 8 s at most.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// Random bytes of a `state`, which WeChat wants in letters and digits, 128 at most.
const STATE: usize = 32;

/// The name of a visit, which the browser carries to WeChat and back. It is no secret from WeChat: without the cookie it
/// opens nothing.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct State(String);

impl State {
    fn random() -> Self {
        let mut bytes = [0; STATE];
        // The operating system's random numbers do not fail once it has started.
        aws_lc_rs::rand::fill(&mut bytes).expect("random numbers");
        Self(HEXLOWER.encode(&bytes))
    }

    /// A state that came from outside; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_good = text.len() == 2 * STATE && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_good.then(|| Self(text.to_owned()))
    }

    /// Its text, for WeChat and for the browser's forms.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// The name of the visit's record.
    pub(super) fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

/// Where the page is open that shows a login.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LoginPage {
    /// On another device, as far as anybody has said.
    #[default]
    Elsewhere,
    /// In the same browser, which goes back there.
    Here,
    /// The same, and the person has seen the number that it shows.
    Seen,
}

/// What somebody wants who has gone to WeChat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// To log in the page that shows this login.
    Login {
        scene: Scene,
        /// The official account whose people may: its name, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
        #[serde(default)]
        page: LoginPage,
    },
    /// To answer the request of this name.
    Request {
        request: Hash,
        /// The account of its site.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
    },
}

impl Purpose {
    /// The official account that is asked who came, by its name.
    pub(super) fn account(&self) -> Option<&str> {
        let (Self::Login { account, .. } | Self::Request { account, .. }) = self;
        account.as_deref()
    }
}

/// Who came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Guest {
    /// Who: the openid.
    pub openid: String,
    /// What else WeChat told.
    #[serde(default)]
    pub user: User,
    pub arrival: Arrival,
}

/// How far a visit has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Came {
    /// Nobody has come back yet.
    #[default]
    Nobody,
    /// WeChat is being asked who came, since then.
    Asking(Moment),
    /// This person.
    Guest(Box<Guest>),
}

/// A visit as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Visit {
    browser: Hash,
    purpose: Purpose,
    #[serde(default)]
    came: Came,
    until: Moment,
}

impl AsText for Visit {}

/// What is to be done for a browser that comes back.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Back {
    /// There is no such visit, or its time is over, or it is another browser's.
    Unknown,
    /// Ask WeChat who came: nobody else does.
    Ask(Purpose),
    /// Somebody else asks WeChat at this moment.
    Wait,
    /// It is known who came.
    Came(Purpose, Box<Guest>),
}

impl Visit {
    fn back(&mut self, now: Moment) -> Back {
        match &self.came {
            Came::Guest(guest) => Back::Came(self.purpose.clone(), guest.clone()),
            Came::Asking(since) if now.since(*since) < LOST_AFTER => Back::Wait,
            Came::Nobody | Came::Asking(_) => {
                self.came = Came::Asking(now);
                Back::Ask(self.purpose.clone())
            }
        }
    }
}

/// The visits.
#[derive(Debug, Clone)]
pub(super) struct Visits(Records<Kept<Visit>>);

impl Visits {
    pub(super) fn new(store: &Store) -> Self {
        Self(store.records("visit"))
    }

    /// Begins a visit of the browser with this cookie.
    pub(super) async fn begin(&self, browser: &Hash, purpose: Purpose) -> Result<State, StoreError> {
        let state = State::random();
        let name = state.hash();
        let kept = self.0.update(name.as_str(), |_, now| {
            let (browser, purpose, until) = (browser.clone(), purpose.clone(), now + LIFE);
            Step::Write(Write::new(Visit { browser, purpose, came: Came::Nobody, until }.into(), until), ())
        });
        kept.await?;
        Ok(state)
    }

    /// What a visit of this browser is for, and who came, where that is known.
    pub(super) async fn find(
        &self,
        state: &State,
        browser: &Hash,
    ) -> Result<Option<(Purpose, Option<Box<Guest>>)>, StoreError> {
        let found = self.0.read(state.hash().as_str()).await?;
        let visit = found.record.filter(|visit| visit.browser == *browser && found.now < visit.until);
        Ok(visit.map(|visit| {
            let guest = match &visit.came {
                Came::Guest(guest) => Some(guest.clone()),
                Came::Nobody | Came::Asking(_) => None,
            };
            (visit.purpose.clone(), guest)
        }))
    }

    /// A browser comes back with a code.
    pub(super) async fn back(&self, state: &State, browser: &Hash) -> Result<Back, StoreError> {
        let name = state.hash();
        let back = self.0.update(name.as_str(), |found, now| {
            let Some(visit) = found.filter(|visit| visit.browser == *browser && now < visit.until) else {
                return Step::Keep(Back::Unknown);
            };
            let (mut changed, until) = (visit.clone(), visit.until);
            match changed.back(now) {
                back @ Back::Ask(_) => Step::Write(Write::new(changed, until), back),
                back => Step::Keep(back),
            }
        });
        Ok(back.await?)
    }

    /// WeChat has said who came, or that it does not know; then the visit may be tried again.
    pub(super) async fn came(
        &self,
        state: &State,
        somebody: Option<(&str, &User)>,
    ) -> Result<Option<Box<Guest>>, StoreError> {
        let arrival = |now| Arrival::at(now);
        let name = state.hash();
        let noted = self.0.update(name.as_str(), |found, now| {
            let Some(visit) = found else { return Step::Keep(None) };
            let guest = somebody.map(|(openid, user)| {
                Box::new(Guest { openid: openid.to_owned(), user: user.clone(), arrival: arrival(now) })
            });
            let (mut visit, until) = (visit.clone(), visit.until);
            visit.came = match (guest.clone(), &visit.came) {
                (Some(guest), _) => Came::Guest(guest),
                // Whoever was taken for lost has found out meanwhile.
                (None, Came::Guest(_)) => return Step::Keep(None),
                (None, _) => Came::Nobody,
            };
            Step::Write(Write { durably: true, ..Write::new(visit, until) }, guest)
        });
        Ok(noted.await?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_state_is_what_wechat_takes() {
        let state = State::random();
        assert!(
            state.reveal().len() <= 128 && state.reveal().bytes().all(|byte| byte.is_ascii_alphanumeric())
        );
        assert_eq!(State::parse(state.reveal()).as_ref().map(State::reveal), Some(state.reveal()));
        for wrong in ["", "s", &state.reveal().replace(|_| true, "_")] {
            assert!(State::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn one_load_of_a_page_asks_wechat_and_the_others_wait_for_it() {
        let purpose = Purpose::Request { request: Hash::of("request"), account: None };
        let browser = Hash::of("browser");
        let mut visit =
            Visit { browser, purpose: purpose.clone(), came: Came::Nobody, until: Moment(600_000) };
        assert_eq!(visit.back(Moment(1_000)), Back::Ask(purpose.clone()));
        assert_eq!(visit.back(Moment(1_001)), Back::Wait);
        assert_eq!(visit.back(Moment(11_000)), Back::Ask(purpose.clone()), "the first one is lost");
        let guest =
            Guest { openid: "oA".to_owned(), user: User::default(), arrival: Arrival::at(Moment(2_000)) };
        visit.came = Came::Guest(Box::new(guest.clone()));
        assert_eq!(visit.back(Moment(12_000)), Back::Came(purpose, Box::new(guest)));
    }

    #[tokio::test]
    async fn who_has_come_stays_when_another_load_of_the_page_has_failed() {
        let store = Store::in_sqlite(std::path::Path::new(":memory:")).unwrap();
        let (visits, browser) = (Visits::new(&store), Hash::of("browser"));
        let purpose = Purpose::Request { request: Hash::of("request"), account: None };
        let state = visits.begin(&browser, purpose.clone()).await.unwrap();
        assert_eq!(visits.back(&state, &browser).await.unwrap(), Back::Ask(purpose.clone()));
        assert_eq!(visits.came(&state, None).await.unwrap(), None);
        assert_eq!(visits.back(&state, &browser).await.unwrap(), Back::Ask(purpose), "it may be tried again");
        let guest = visits.came(&state, Some(("oA", &User::default()))).await.unwrap();
        assert_eq!(visits.came(&state, None).await.unwrap(), None);
        assert_eq!(visits.find(&state, &browser).await.unwrap().unwrap().1, guest);
    }
}
