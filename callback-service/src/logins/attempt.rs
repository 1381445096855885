//! One attempt to log a person in: recall, claim, grant, end, count. It asks and remembers; `verdict` decides.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use login_page::Language;
use protocol::message::{Code, Context, State};
use protocol::{Answer, LoginId, NoAnswer, Notice};
use server::tell;
use tokio::time::Instant;
use wechat::User;

use super::confirmation::{self, Login};
use super::outcome::{Ended, Seen};
use super::verdict::{self, Before, Heard, Next, Refused};
use super::words::{PhoneReply, ToPhone};
use super::{Scans, gateway};
use crate::audit::{Confirmed, Outcome};
use crate::provider::{Admitted, NotGranted, Scanned};
use crate::store::{Memory, Recorded, Scan, StoreError};

/// An attempt, for a push that has `arrived`.
pub(super) struct Attempt<'a> {
    scans: &'a Arc<Scans>,
    scan: &'a Scan,
    /// What WeChat has told of the person on the way here.
    known: Option<User>,
    arrived: Instant,
    seen: Seen,
    /// The audit has what it came to.
    is_noted: bool,
}

/// What a claim came to.
struct Claimed {
    heard: Heard,
    /// The login's state at that moment.
    state: Option<State>,
    /// What the gateway knows of its page.
    context: Option<Box<Context>>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(scans: &'a Arc<Scans>, scan: &'a Scan, known: Option<User>, arrived: Instant) -> Self {
        Self { scans, scan, known, arrived, seen: Seen::default(), is_noted: false }
    }

    /// Makes the attempt; gives what it came to.
    pub(super) async fn run(mut self) -> Ended {
        let told = self.make().await;
        Ended { told, seen: self.seen, is_noted: self.is_noted }
    }

    /// Gives what the phone hears, and in which language.
    async fn make(&mut self) -> ToPhone {
        let before = match self.recall().await {
            ControlFlow::Continue(before) => before,
            ControlFlow::Break(recorded) => return logged_in(recorded),
        };
        let user = self.scans.nicknames.ask(&self.scan.openid);
        let Claimed { heard: claim, state, context } = self.claim(before, None, self.scans.times.claim).await;
        let before = before.and_now(state);
        self.seen.page(context.as_deref());
        if !context.as_deref().is_none_or(|context| self.is_of_this_account(context)) {
            let reply = verdict::after_denial(self.deny(before).await, PhoneReply::UnknownSite);
            return ToPhone { reply, language: Language::default() };
        }
        let is_for_site = match verdict::after_claim(before, claim) {
            Next::Tell(reply) => return ToPhone { reply, language: Language::default() },
            Next::End => false,
            Next::Grant => true,
        };
        let user = match self.known.clone() {
            Some(known) => Some(known.over(user.await)),
            None => user.await,
        };
        let language = confirmation::language(user.as_ref());
        let reply = match self.go_on(before, is_for_site, context, user).await {
            ControlFlow::Continue(reply) | ControlFlow::Break(Refused::Tell(reply)) => reply,
            ControlFlow::Break(Refused::Deny(reply)) => verdict::after_denial(self.deny(before).await, reply),
        };
        ToPhone { reply, language }
    }

    /// Whether the login is of the account through which the person came. If not, the account's own owner may have made up
    /// who it is, and nobody is logged in by that at another's page.
    fn is_of_this_account(&self, context: &Context) -> bool {
        let (of, account) = (context.account.as_deref(), self.scans.account());
        if of != account.name() {
            tell!(
                warn,
                self.scans.told,
                "account",
                [account = account.label(), of = ?of.unwrap_or_default()],
                "a login of another official account was denied: have the gateway and this service the same WECHAT_ACCOUNTS?"
            );
        }
        of == account.name()
    }

    /// What follows a recorded claim: the provider's word where the login is for a site, the person's where it is to be
    /// confirmed, then the end and the count.
    async fn go_on(
        &mut self,
        before: Before,
        is_for_site: bool,
        context: Option<Box<Context>>,
        user: Option<User>,
    ) -> ControlFlow<Refused, PhoneReply> {
        let (nickname, language) =
            (user.as_ref().and_then(|user| user.nickname.clone()), confirmation::language(user.as_ref()));
        let admitted = match is_for_site {
            false => None,
            true => Some(verdict::after_word(before, self.admit(context.as_deref(), user).await)?),
        };
        if let Some(admitted) = &admitted {
            self.seen.site = Some(admitted.parties().site);
        }
        let confirms = admitted.as_ref().map_or(self.scans.confirms, |admitted| admitted.confirm);
        if confirms || self.scan.way.always_asks() {
            let parties = admitted.as_ref().map(Admitted::parties);
            let Scan { scene, first, created_at, way, .. } = *self.scan;
            let from = Some(self.seen.from.clone());
            let login = Login { scene, first, created_at, language, parties, way, from };
            self.confirm(before, &login, confirms, context).await?;
            self.seen.confirmed = Some(Confirmed::by(way, confirms));
        }
        let code = match admitted {
            None => None,
            Some(admitted) => Some(verdict::after_word(before, self.grant(admitted).await)?),
        };
        let is_noted = self.scans.in_time(self.scans.store.attempt(self.scan)).await.is_ok();
        let end = self.end(nickname.clone(), code, before.keeps_asking() || !is_noted).await;
        ControlFlow::Continue(match verdict::after_end(before, is_noted, end) {
            Some(reply) => reply,
            None => {
                // Both are one transaction of the store, where nothing else comes between.
                let noted = self.scans.note(self.scan, Outcome::Granted, &self.seen, self.arrived);
                let (reply, ()) = tokio::join!(self.count(nickname, language), noted);
                self.is_noted = true;
                reply
            }
        })
    }

    /// What earlier attempts may have done. Breaks off with a login that was recorded and told: its repeats get the same
    /// words.
    async fn recall(&self) -> ControlFlow<Recorded, Before> {
        ControlFlow::Continue(match self.scans.in_time(self.scans.store.recall(self.scan)).await {
            Ok(Memory::Recorded(recorded)) => return ControlFlow::Break(recorded),
            Ok(Memory::Nothing) => Before::Nothing,
            Ok(Memory::LongAgo) => Before::LongAgo,
            Ok(Memory::Attempted) => Before::Perhaps,
            Err(error) => {
                tracing::error!("{error}");
                Before::Perhaps
            }
        })
    }

    /// Claims the login, or repeats the claim, perhaps with a number for its page.
    async fn claim(&self, before: Before, number: Option<String>, within: Duration) -> Claimed {
        let Scan { scene, openid, .. } = self.scan;
        let claim = Notice::Claim { scene: *scene, by: openid.key().into_owned(), number };
        let until = self.until(before.keeps_asking(), within);
        let answer = gateway::ask(&self.scans.gateway, &claim, until, false).await;
        let heard = heard(Heard::of_claim, &answer);
        let (state, context) = answer.map_or_else(|_| (None, None), |answer| (answer.state, answer.context));
        tracing::debug!(?heard, "the claim is heard");
        Claimed { heard, state, context }
    }

    /// Whether a login may go to the site or request that its page named.
    async fn admit(&self, context: Option<&Context>, user: Option<User>) -> Result<Admitted, NotGranted> {
        let (Some(provider), Some(context)) = (&self.scans.provider, context) else {
            return Err(NotGranted::UnknownSite);
        };
        let person = self.scan.openid.clone();
        let (unionid, nickname, picture) =
            user.map_or((None, None, None), |user| (user.unionid, user.nickname, user.picture));
        let (scene, confirmed) = (self.scan.scene, false);
        let login = Some(LoginId::of(scene));
        let scanned = Scanned { person, unionid, nickname, picture, confirmed, login };
        self.granting(provider.admit(scene, context, scanned)).await
    }

    /// The code for a login that may go to its site.
    async fn grant(&self, admitted: Admitted) -> Result<Code, NotGranted> {
        match &self.scans.provider {
            Some(provider) => self.granting(provider.grant(admitted)).await,
            None => Err(NotGranted::UnknownSite),
        }
    }

    async fn granting<T>(&self, call: impl Future<Output = Result<T, NotGranted>>) -> Result<T, NotGranted> {
        let within = self.scans.times.grant;
        let slow = |_| Err(NotGranted::Store(StoreError(format!("not within {within:?}"))));
        tokio::time::timeout(within, call).await.unwrap_or_else(slow)
    }

    /// Goes on if the person has confirmed the login. Else they are asked: where the login `is_numbered` for the number that
    /// the page is given, and else for a yes.
    async fn confirm(
        &self,
        before: Before,
        login: &Login,
        is_numbered: bool,
        context: Option<Box<Context>>,
    ) -> ControlFlow<Refused> {
        let (number, context) = match is_numbered {
            true => {
                let (number, context) = self.number(before, context).await?;
                (Some(number), context)
            }
            false => (None, context.map_or_else(Context::default, |context| *context)),
        };
        let asking = self.scans.ask_person(&self.scan.openid, login, number.as_deref(), &context).await;
        verdict::after_asking(before, asking)
    }

    /// The number of the login's page, which is given one unless it has one.
    async fn number(
        &self,
        before: Before,
        context: Option<Box<Context>>,
    ) -> ControlFlow<Refused, (String, Context)> {
        let numbered = |context: &Option<Box<Context>>| {
            context.as_deref().and_then(|context| Some((context.number.clone()?, context.clone())))
        };
        if let Some(known) = numbered(&context) {
            return ControlFlow::Continue(known);
        }
        // WeChat may have been asked for the nickname as long as the first claim may take.
        let within = self.scans.times.scan;
        let Claimed { heard, state, context } =
            self.claim(before, Some(confirmation::number()), within).await;
        ControlFlow::Break(Refused::Tell(match (verdict::after_claim(before, heard), numbered(&context)) {
            (Next::Tell(reply), _) => reply,
            (_, Some(known)) => return ControlFlow::Continue(known),
            // A login that has ended takes no number any more.
            (_, None) if state == Some(State::Denied) => PhoneReply::Denied,
            (_, None) => {
                if state == Some(State::Scanned) {
                    tracing::error!(
                        "the gateway does not give the page a number, so nobody can confirm a login: is its version \
                         older than this service's? Upgrade the gateways first"
                    );
                }
                before.without_an_end()
            }
        }))
    }

    async fn deny(&self, before: Before) -> Heard {
        let Scan { scene, openid, .. } = self.scan;
        let deny = Notice::Deny { scene: *scene, by: Some(openid.key().into_owned()) };
        let until = self.until(before.keeps_asking(), self.scans.times.scan);
        heard(Heard::of_denial, &gateway::ask(&self.scans.gateway, &deny, until, false).await)
    }

    /// Ends the login as granted. Once the end may have been recorded, the notice is repeated until that is clear,
    /// although the phone has been told to look at the page: a recorded login is counted.
    async fn end(&self, nickname: Option<String>, code: Option<Code>, keeps_asking: bool) -> Heard {
        let Scan { scene, openid, .. } = self.scan;
        let scan = Notice::Scan { scene: *scene, nickname, code, by: Some(openid.key().into_owned()) };
        let until = self.until(keeps_asking, self.scans.times.scan);
        let answer = match gateway::ask(&self.scans.gateway, &scan, until, false).await {
            Err(NoAnswer::Unknown) => {
                gateway::ask(&self.scans.gateway, &scan, self.until(true, self.scans.times.scan), true).await
            }
            clear => clear,
        };
        heard(Heard::of_end, &answer)
    }

    /// When an unclear notice is given up: after `otherwise`, or much later for a person who watches the page.
    fn until(&self, keeps_asking: bool, otherwise: Duration) -> Instant {
        self.arrived + if keeps_asking { self.scans.times.clear } else { otherwise }
    }

    async fn count(&self, nickname: Option<String>, language: Language) -> PhoneReply {
        let (store, scan, name) = (Arc::clone(&self.scans.store), self.scan.clone(), nickname.clone());
        let counted = async move { store.record(&scan, name.as_deref(), language.tag()).await };
        match self.scans.done_in_time(counted).await {
            Ok(recorded) => logged_in(recorded).reply,
            Err(error) => {
                tracing::error!("a login is recorded but perhaps not counted: {error}");
                PhoneReply::LoggedIn { first: self.scan.first, nickname, count: None }
            }
        }
    }
}

/// What an answer says. A refusal is told in the log, because an operator can end it.
fn heard(read: fn(&Result<Answer, NoAnswer>) -> Heard, answer: &Result<Answer, NoAnswer>) -> Heard {
    let heard = read(answer);
    if let (Heard::Refused, Ok(answer)) = (heard, answer) {
        let (status, message) = (answer.status.as_str(), answer.message.as_deref().unwrap_or_default());
        tracing::error!(status, "the gateway did not take a notice: {message:?}; check the client's rights");
    }
    heard
}

fn logged_in(recorded: Recorded) -> ToPhone {
    let Recorded { first, nickname, count, language } = recorded;
    let reply = PhoneReply::LoggedIn { first, nickname, count: Some(count) };
    ToPhone { reply, language: Language::wished(language.as_deref()).unwrap_or_default() }
}
