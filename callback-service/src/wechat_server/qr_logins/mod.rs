//! Logins by a QR code that a site has asked for: the extension of wechat-server's protocol.
//!
//! A site gets a token for each such login, and asks with it what has become of the login. The QR code holds the login's
//! scene, which is made of the token's hash, and so is the code that the site redeems: the store holds nothing that opens
//! anything. A scene of this kind is longer than a gateway's, so no scan is taken for one of the other kind.
//!
//! All records are one official account's. A scan that comes through another account finds no login.

use std::borrow::Cow;
use std::time::Duration;

use data_encoding::HEXLOWER;
use records::{Kept, Moment, Records, Step, Write};
use serde::{Deserialize, Serialize};
use wechat::Person;

use super::of_account;
use crate::account::names::Names as Account;
use crate::provider::token::{Token, sha256, sha256_bytes};
use crate::store::{Store, StoreError};

/// How long a QR code is shown, as with wechat-server.
pub(super) const LIFE: Duration = Duration::from_secs(600);

/// How long a login can be fetched after its end.
const FETCHED: Duration = Duration::from_secs(180);

/// How long a person may take to answer. Whoever scanned a forwarded code has forgotten it by then.
const ANSWERED: Duration = Duration::from_secs(180);

/// What a scene begins with, and the characters of the hash behind that: 132 bits.
const BEFORE: &str = "w_";
const HASH: usize = 22;

/// The kinds of the two records.
const KIND: &str = "qr-login";
const OF_PERSON: &str = "qr-login-of";

/// The names of one login, all made of its token.
#[derive(Debug)]
pub(super) struct Names {
    /// What the QR code holds.
    pub scene: Scene,
    /// What the site asks with.
    pub token: Token,
    /// What the site redeems.
    pub code: String,
}

impl Names {
    pub(super) fn random() -> Self {
        Self::of(Token::random())
    }

    /// The names that belong to a token.
    pub(super) fn of(token: Token) -> Self {
        let hash = |what: &str| hashed(&format!("{what}:{}", token.reveal()));
        let scene = hash("scene");
        let code = format!("{scene}{}", hash("code"));
        Self { scene: Scene(format!("{BEFORE}{scene}")), token, code }
    }

    /// The scene that a code from outside belongs to; nothing for a text of another form.
    pub(super) fn scene_of_code(code: &str) -> Option<Scene> {
        let scene = code.get(..HASH).filter(|_| code.len() == 2 * HASH)?;
        Scene::parse(&format!("{BEFORE}{scene}"))
    }
}

fn hashed(text: &str) -> String {
    sha256(text.as_bytes()).chars().take(HASH).collect()
}

/// What a QR code of this kind holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Scene(String);

impl Scene {
    /// Reads the key of a scan; nothing for one of another form.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let is_good = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-' || letter == b'_';
        let hash = key.strip_prefix(BEFORE)?;
        (hash.len() == HASH && hash.bytes().all(is_good)).then(|| Self(key.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One login.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Login {
    /// The name of the site that has asked for it.
    site: String,
    /// Whether the person is asked.
    confirm: bool,
    /// The hash of the code that the site redeems.
    code: String,
    /// When the QR code is over.
    until: Moment,
    state: State,
}

/// Where a login is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    /// Nobody has scanned.
    Waiting,
    /// This person is asked. People are openids here: the account is that of the record.
    Asked { person: String, until: Moment },
    /// It is this person's, and fetched until then.
    Granted { person: String, until: Moment, is_used: bool },
    /// The person has said no, or was forgotten.
    Denied { person: String },
}

/// What a person hears of a scan or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Whether it is they who want to log in to this site.
    Asked {
        site: String,
    },
    LoggedIn,
    Denied,
    /// They say no to a login that they have said yes to.
    Confirmed,
    /// It is another person's.
    Taken,
    /// Its time is over, or it is none.
    Expired,
}

/// What a site hears of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Pending,
    Success {
        person: String,
    },
    /// It is over without a person.
    Expired,
}

type Change<T> = Step<Kept<Login>, T>;

impl Login {
    /// Whether nothing can become of it any more.
    fn is_over(&self, now: Moment) -> bool {
        match &self.state {
            State::Waiting => now >= self.until,
            State::Asked { until, .. } | State::Granted { until, .. } => now >= *until,
            State::Denied { .. } => true,
        }
    }

    /// Whether this person was asked.
    fn has_asked(&self, person: &Person) -> bool {
        self.confirm
            && match &self.state {
                State::Waiting => false,
                State::Asked { person: by, .. }
                | State::Granted { person: by, .. }
                | State::Denied { person: by } => by == person.as_str(),
            }
    }

    fn forget_at(&self) -> Moment {
        match &self.state {
            State::Granted { until, .. } | State::Asked { until, .. } => self.until.max(*until) + FETCHED,
            State::Waiting | State::Denied { .. } => self.until + FETCHED,
        }
    }

    fn grant(person: &str, now: Moment) -> State {
        State::Granted { person: person.to_owned(), until: now + FETCHED, is_used: false }
    }

    /// This login in another state.
    fn to<T>(found: &Kept<Self>, state: State, value: T) -> Change<T> {
        let mut login = found.clone();
        login.state = state;
        let forget_at = login.forget_at();
        Step::Write(Write { durably: true, ..Write::new(login, forget_at) }, value)
    }

    /// A person scans.
    fn scan(found: Option<&Kept<Self>>, person: &Person, now: Moment) -> Change<Heard> {
        let Some(login) = found else { return Step::Keep(Heard::Expired) };
        let asked = || Heard::Asked { site: login.site.clone() };
        match &login.state {
            State::Waiting if login.is_over(now) => Step::Keep(Heard::Expired),
            State::Waiting if login.confirm => {
                let until = now + ANSWERED;
                Self::to(login, State::Asked { person: person.as_str().to_owned(), until }, asked())
            }
            State::Waiting => Self::to(login, Self::grant(person.as_str(), now), Heard::LoggedIn),
            State::Asked { person: by, .. }
            | State::Granted { person: by, .. }
            | State::Denied { person: by }
                if by != person.as_str() =>
            {
                Step::Keep(Heard::Taken)
            }
            State::Denied { .. } => Step::Keep(Heard::Denied),
            // They have had the answer already.
            State::Granted { .. } => Step::Keep(Heard::LoggedIn),
            State::Asked { .. } if login.is_over(now) => Step::Keep(Heard::Expired),
            State::Asked { .. } => Step::Keep(asked()),
        }
    }

    /// A person answers. Nothing where nothing is asked of them.
    fn answer(found: Option<&Kept<Self>>, person: &Person, yes: bool, now: Moment) -> Change<Option<Heard>> {
        let Some(login) = found else { return Step::Keep(None) };
        match &login.state {
            State::Asked { person: by, .. } if by == person.as_str() => match (login.is_over(now), yes) {
                (true, _) => Step::Keep(None),
                (false, true) => Self::to(login, Self::grant(by, now), Some(Heard::LoggedIn)),
                (false, false) => Self::to(login, State::Denied { person: by.clone() }, Some(Heard::Denied)),
            },
            State::Granted { person: by, .. } if by == person.as_str() && !login.is_over(now) => {
                Step::Keep(Some(if yes { Heard::LoggedIn } else { Heard::Confirmed }))
            }
            State::Denied { person: by } if by == person.as_str() && now < login.until => {
                Step::Keep((!yes).then_some(Heard::Denied))
            }
            _ => Step::Keep(None),
        }
    }

    /// Whose the login is, for this once.
    fn redeem(found: Option<&Kept<Self>>, site: &str, code: &str, now: Moment) -> Change<Option<Person>> {
        let Some(login) = found.filter(|login| login.site == site && login.code == code) else {
            return Step::Keep(None);
        };
        match &login.state {
            State::Granted { person, until, is_used: false } if !login.is_over(now) => {
                let used = State::Granted { person: person.clone(), until: *until, is_used: true };
                Self::to(login, used, Some(Person::new(person.clone())))
            }
            _ => Step::Keep(None),
        }
    }

    /// Ends a login whose person is forgotten.
    fn forget(found: Option<&Kept<Self>>, person: &Person) -> Change<()> {
        match found.map(|login| (login, &login.state)) {
            Some((login, State::Asked { person: by, .. } | State::Granted { person: by, .. }))
                if by == person.as_str() =>
            {
                // Nobody's name is left in it.
                Self::to(login, State::Denied { person: String::new() }, ())
            }
            _ => Step::Keep(()),
        }
    }
}

/// The login that a person has scanned last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Last {
    scene: Scene,
    /// The scan's CreateTime.
    scanned_at: i64,
    /// When it came, by the store's clock.
    at: Moment,
}

/// Who asks for a login, and redeems it.
#[derive(Debug, Clone, Copy)]
pub(super) struct By<'s> {
    /// The site's name.
    pub site: &'s str,
    /// The site's official account.
    pub account: &'s Account,
}

impl By<'_> {
    /// What the record of a login is called that this site has asked for.
    fn key<'n>(&self, scene: &'n Scene) -> Cow<'n, str> {
        of_account(self.account.of_people().map(AsRef::as_ref), scene.as_str())
    }
}

/// What the record of a login is called that a person can scan.
fn key<'n>(person: &Person, scene: &'n Scene) -> Cow<'n, str> {
    of_account(person.account(), scene.as_str())
}

/// The logins.
#[derive(Debug, Clone)]
pub(crate) struct QrLogins {
    logins: Records<Kept<Login>>,
    of_people: Records<Kept<Last>>,
}

impl QrLogins {
    pub(crate) fn new(store: &Store) -> Self {
        Self { logins: store.records(KIND), of_people: store.records(OF_PERSON) }
    }

    /// Keeps a login that a site has asked for.
    pub(super) async fn put(&self, names: &Names, by: By<'_>, confirm: bool) -> Result<(), StoreError> {
        let key = by.key(&names.scene);
        let put = self.logins.update(&key, |_, now| {
            let login = Login {
                site: by.site.to_owned(),
                confirm,
                code: hashed(&names.code),
                until: now + LIFE,
                state: State::Waiting,
            };
            let forget_at = login.forget_at();
            Step::Write(Write::new(login.into(), forget_at), ())
        });
        Ok(put.await?)
    }

    /// A person has scanned at `at` (CreateTime).
    pub(super) async fn scan(&self, scene: &Scene, person: &Person, at: i64) -> Result<Heard, StoreError> {
        let of_person = person.key();
        let noted = self.of_people.update(&of_person, |_, now| {
            let last = Last { scene: scene.clone(), scanned_at: at, at: now };
            Step::Write(Write::new(last.into(), now + LIFE + FETCHED), ())
        });
        noted.await?;
        let key = key(person, scene);
        Ok(self.logins.update(&key, |found, now| Login::scan(found, person, now)).await?)
    }

    /// When a person was asked last whether they want to log in, also where they have answered.
    pub(super) async fn asked(&self, person: &Person) -> Result<Option<Moment>, StoreError> {
        let Some(last) = self.of_people.read(&person.key()).await?.record else { return Ok(None) };
        let login = self.logins.read(&key(person, &last.scene)).await?.record;
        Ok(login.filter(|login| login.has_asked(person)).map(|_| last.at))
    }

    /// The login that a person has scanned last: an id for it, made of the scene as those of a gateway's logins are, and the
    /// site that has asked for it.
    pub(super) async fn last(&self, person: &Person) -> Result<Option<(String, Option<String>)>, StoreError> {
        let Some(last) = self.of_people.read(&person.key()).await?.record else { return Ok(None) };
        let login = self.logins.read(&key(person, &last.scene)).await?.record;
        let id = HEXLOWER.encode(&sha256_bytes(last.scene.as_str().as_bytes())[..16]);
        Ok(Some((id, login.map(|login| login.site.clone()))))
    }

    /// A person answers whether they want to log in; nothing where nobody asks.
    pub(super) async fn answer(&self, person: &Person, yes: bool) -> Result<Option<Heard>, StoreError> {
        let Some(last) = self.of_people.read(&person.key()).await?.record else { return Ok(None) };
        let key = key(person, &last.scene);
        Ok(self.logins.update(&key, |found, now| Login::answer(found, person, yes, now)).await?)
    }

    /// What has become of a login that a site has asked for; nothing for one that is not known.
    pub(super) async fn look(&self, scene: &Scene, by: By<'_>) -> Result<Option<Told>, StoreError> {
        let found = self.logins.read(&by.key(scene)).await?;
        let Some(login) = found.record.filter(|login| login.site == by.site) else { return Ok(None) };
        Ok(Some(match &login.state {
            _ if login.is_over(found.now) => Told::Expired,
            State::Granted { person, .. } => Told::Success { person: person.clone() },
            _ => Told::Pending,
        }))
    }

    /// Whose the login is that a site redeems, for this once.
    pub(super) async fn redeem(&self, code: &str, by: By<'_>) -> Result<Option<Person>, StoreError> {
        let Some(scene) = Names::scene_of_code(code) else { return Ok(None) };
        let hash = hashed(code);
        let redeemed = self
            .logins
            .update(&by.key(&scene), |found, now| Login::redeem(found, by.site, &hash, now))
            .await?;
        Ok(redeemed.map(|person| by.account.person(&person)))
    }

    /// Ends the login of a person who has unfollowed at `at` (CreateTime); says whether there was one.
    pub(crate) async fn forget(&self, person: &Person, at: i64) -> Result<bool, StoreError> {
        let Some(last) = self.of_people.read(&person.key()).await?.record else { return Ok(false) };
        if last.scanned_at > at {
            return Ok(false);
        }
        self.logins.update(&key(person, &last.scene), |found, _| Login::forget(found, person)).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
