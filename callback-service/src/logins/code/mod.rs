//! A code that a person sends into the chat: from the text to the login whose page shows it.
//!
//! [`read`] takes the code out of the text, [`tries`] says whether this person may have one more looked up, and the gateway
//! says which login shows it. From there it is a scan like any other.

mod read;
mod tries;

use std::ops::ControlFlow;
use std::sync::Arc;

use login_page::Language;
use protocol::message::{State, Status};
use protocol::{LoginId, NoAnswer, Notice, Scene};
use records::{Kept, Moment, Records, Step, Write};
use server::tell;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use wechat::Person;

use self::read::Code;
use self::tries::{Begun, Tries, WINDOW};
use super::answer::Text;
use super::way::Way;
use super::words::{PhoneReply, ToPhone};
use super::{Scans, gateway};
use crate::store::{Scan, Store, StoreError};
use crate::trace;

/// The kind of its records.
const KIND: &str = "typing";

/// The codes that people have sent.
#[derive(Debug)]
pub(crate) struct Codes {
    tries: Records<Kept<Tries>>,
    #[cfg(test)]
    fault: crate::store::faults::Fault,
}

impl Codes {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            tries: store.records(KIND),
            #[cfg(test)]
            fault: store.faults.typing,
        }
    }

    async fn begin(&self, person: &Person, id: &str) -> Result<Begun, StoreError> {
        #[cfg(test)]
        self.fault.happen().await?;
        let key = person.key();
        let begun = self.tries.update(&key, |found, now| {
            let mut tries = swept(found, now);
            let before = tries.clone();
            let begun = tries.begin(id, now);
            // Most of those who guess on are only told to wait, and nothing is written for them.
            if tries == before { Step::Keep(begun) } else { Step::Write(until_forgotten(tries, now), begun) }
        });
        Ok(begun.await?)
    }

    async fn found(&self, person: &Person, id: &str, code: &Code, scene: Scene) -> Result<(), StoreError> {
        self.change(person, |tries, now| tries.found(id, code.as_str(), scene, now)).await
    }

    async fn take_back(&self, person: &Person, id: &str) -> Result<(), StoreError> {
        self.change(person, |tries, _| tries.take_back(id)).await
    }

    async fn before(&self, person: &Person, code: &Code) -> Result<Option<Scene>, StoreError> {
        let found = self.tries.read(&person.key()).await?;
        Ok(found.record.and_then(|tries| tries.before(code.as_str(), found.now)))
    }

    /// Forgets the logins that a person has found, because they have unfollowed.
    pub(crate) async fn forget(&self, person: &Person) -> Result<(), StoreError> {
        if self.tries.read(&person.key()).await?.record.is_none() {
            return Ok(());
        }
        self.change(person, |tries, _| tries.forget()).await
    }

    async fn change(&self, person: &Person, work: impl Fn(&mut Tries, Moment)) -> Result<(), StoreError> {
        #[cfg(test)]
        self.fault.happen().await?;
        let key = person.key();
        let changed = self.tries.update(&key, |found, now| {
            let mut tries = swept(found, now);
            work(&mut tries, now);
            Step::Write(until_forgotten(tries, now), ())
        });
        Ok(changed.await?)
    }
}

/// What is kept, without what counts no more.
fn swept(found: Option<&Kept<Tries>>, now: Moment) -> Kept<Tries> {
    let mut tries = found.cloned().unwrap_or_default();
    tries.sweep(now);
    tries
}

/// It waits for no replica: what is lost gives a person a few more tries.
fn until_forgotten(tries: Kept<Tries>, now: Moment) -> Write<Kept<Tries>> {
    Write::new(tries, now + WINDOW)
}

impl Scans {
    /// Takes a text for the code of a login's page, and gives what the phone hears, in time for a push that has `arrived`.
    /// `None` where it brings no code, or no gateway shows any: then it is a message like any other.
    ///
    /// Dropping the future does not stop the login.
    pub(crate) async fn typed(self: &Arc<Self>, text: Text<'_>, arrived: Instant) -> Option<ToPhone> {
        let code = Code::read(text.content)?;
        let Ok(place) = Arc::clone(&self.shared.answering).try_acquire_owned() else {
            self.metrics.limits.hit("callback_service::logins");
            tell!(
                warn,
                self.told,
                "codes",
                "too many codes are sent at once; a person was told to look at the page"
            );
            // An earlier sending of the same push may have logged them in.
            return Some(plain(PhoneReply::Look));
        };
        let sent = Sent {
            scans: Arc::clone(self),
            person: self.account.person(text.person),
            // A push without an id is known again by its time and what it says.
            id: text.id.map_or_else(|| format!("{} {}", text.created_at, code.as_str()), str::to_owned),
            code,
            sent_at: text.created_at,
            arrived,
        };
        let told = self.tasks.spawn(
            async move {
                let _place = place;
                sent.take().await
            }
            .in_current_span(),
        );
        match timeout_at(arrived + self.times.words, told).await {
            Ok(Ok(told)) => told,
            // It is not clear yet. Or the task is gone, which takes a panic.
            _ => Some(plain(PhoneReply::Look)),
        }
    }
}

/// A reply to a person of whom only the text is known, and so no language.
fn plain(reply: PhoneReply) -> ToPhone {
    ToPhone { reply, language: Language::default() }
}

/// A code that was sent in a push that has `arrived`.
struct Sent {
    scans: Arc<Scans>,
    person: Person,
    /// The push's.
    id: String,
    code: Code,
    /// CreateTime.
    sent_at: i64,
    arrived: Instant,
}

/// What looking a code up came to.
enum LookedUp {
    /// A login shows it.
    Found(Scene),
    /// None does, or none does any more.
    Nobodys,
    /// There is no clear answer.
    Unclear,
    /// The gateway looks nothing up.
    Refused,
}

impl Sent {
    async fn take(self) -> Option<ToPhone> {
        match self.scene().await {
            ControlFlow::Continue(scene) => Some(self.log_in(scene).await),
            ControlFlow::Break(reply) => reply.map(plain),
        }
    }

    /// The login that the code is for. It is noted before anybody is logged in, so a repeat knows of it while the gateway is
    /// away. Breaks off with what the phone hears where there is no such login.
    async fn scene(&self) -> ControlFlow<Option<PhoneReply>, Scene> {
        let Self { scans, person, id, code, .. } = self;
        match self.kept(scans.codes.begin(person, id)).await? {
            Begun::Found(scene) => return ControlFlow::Continue(scene),
            Begun::TooMany => {
                tracing::info!("a person has sent too many wrong codes, and is told to wait");
                return ControlFlow::Break(Some(PhoneReply::TooManyCodes));
            }
            Begun::LookUp => {}
        }
        let without = match self.look_up().await {
            LookedUp::Found(scene) => {
                let login = trace::login(Some(LoginId::of(scene)));
                self.kept(scans.codes.found(person, id, code, scene)).instrument(login).await?;
                return ControlFlow::Continue(scene);
            }
            LookedUp::Refused => {
                self.take_back().await;
                return ControlFlow::Break(None);
            }
            LookedUp::Nobodys => PhoneReply::WrongCode,
            LookedUp::Unclear => PhoneReply::TryAgain,
        };
        // They may have sent it before, and its login may have ended.
        if let Some(scene) = self.kept(scans.codes.before(person, code)).await? {
            self.take_back().await;
            return ControlFlow::Continue(scene);
        }
        match without {
            PhoneReply::WrongCode => tracing::info!("a person has sent a code that no login shows"),
            _ => self.take_back().await,
        }
        ControlFlow::Break(Some(without))
    }

    /// Waits for the store. It counts the tries, and it knows whether an earlier sending of the code has logged the person
    /// in: without it no code is looked up, and the page says what became of it.
    async fn kept<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> ControlFlow<Option<PhoneReply>, T> {
        match self.scans.in_time(call).await {
            Ok(known) => ControlFlow::Continue(known),
            Err(error) => {
                tracing::error!("a code that a person has sent does not log them in: {error}");
                ControlFlow::Break(Some(PhoneReply::Look))
            }
        }
    }

    /// Asks the gateway whose code it is.
    async fn look_up(&self) -> LookedUp {
        let find = Notice::Find {
            typed: self.code.as_str().to_owned(),
            account: self.scans.account.name().map(str::to_owned),
        };
        let until = self.arrived + self.scans.times.claim;
        match gateway::ask(&self.scans.gateway, &find, until, false).await {
            Ok(answer) => match (answer.status, answer.scene) {
                // A code that was right is no better than one that never was.
                (Status::Ok, _) if answer.state == Some(State::Expired) => LookedUp::Nobodys,
                (Status::Ok, Some(scene)) => LookedUp::Found(scene),
                (Status::Unknown, _) => LookedUp::Nobodys,
                (status, _) => {
                    let message = answer.message.as_deref().unwrap_or_default();
                    tell!(
                        error,
                        self.scans.told,
                        "find",
                        "the gateway looks no codes up ({}: {message:?}), so nobody logs in by a typed code; is \
                         its version older than this service's, or has this client no right to claim?",
                        status.as_str()
                    );
                    LookedUp::Refused
                }
            },
            Err(NoAnswer::NotSent | NoAnswer::Unknown) => LookedUp::Unclear,
        }
    }

    /// The try was none. Whoever cannot be noted has one try less.
    async fn take_back(&self) {
        if let Err(error) = self.scans.in_time(self.scans.codes.take_back(&self.person, &self.id)).await {
            tracing::error!("{error}");
        }
    }

    async fn log_in(&self, scene: Scene) -> ToPhone {
        let Self { scans, person, sent_at, arrived, .. } = self;
        let (openid, created_at) = (person.clone(), *sent_at);
        let mut told =
            scans.log_in(Scan { scene, openid, first: false, created_at, way: Way::Typed }, *arrived).await;
        if matches!(told.reply, PhoneReply::Expired | PhoneReply::Unknown) {
            // Its time was over a moment ago: the same words, whenever it was.
            told.reply = PhoneReply::WrongCode;
        }
        told
    }
}
