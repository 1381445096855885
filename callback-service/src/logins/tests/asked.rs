//! A gateway that keeps its logins as the real one does, and a service that asks people to confirm them.

use std::collections::HashMap;

use super::played_gateway::Heard;
use super::*;
use crate::logins::answer::Text;

/// A gateway that plays each login by the wire's rules, and a service that asks people to confirm.
pub(super) struct Asked {
    pub(super) scans: Arc<Scans>,
    pub(super) store: Arc<Store>,
    pub(super) client: Client,
    pub(super) heard: Heard,
    pub(super) logins: Arc<Mutex<HashMap<Scene, Played>>>,
}

/// A login as the played gateway knows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Played {
    pub(super) number: Option<String>,
    /// The code that its page shows.
    pub(super) typed: Option<String>,
    /// Who has claimed it.
    pub(super) by: Option<String>,
    pub(super) end: Option<State>,
    pub(super) is_forgotten: bool,
}

impl Asked {
    pub(super) async fn start() -> Self {
        let (gateway, client) = Gateway::start().await;
        let logins = Arc::new(Mutex::new(HashMap::<Scene, Played>::new()));
        let kept = Arc::clone(&logins);
        let heard = gateway.play(move |notice| Some(play(&mut kept.lock(), notice)));
        let store = sqlite();
        let scans = asking(client.clone(), Arc::clone(&store));
        Self { scans, store, client, heard, logins }
    }

    /// The same with people who need not confirm.
    pub(super) async fn unconfirmed() -> Self {
        let mut asked = Self::start().await;
        asked.scans = scans(asked.client.clone(), Arc::clone(&asked.store));
        asked
    }

    /// The same after the process was killed: only the store and the gateway have a memory.
    pub(super) fn restarted(&self) -> Self {
        let (store, client) = (Arc::clone(&self.store), self.client.clone());
        let scans = asking(client.clone(), Arc::clone(&store));
        Self { scans, store, client, heard: self.heard.clone(), logins: Arc::clone(&self.logins) }
    }

    /// Another process, from which no gateway can be reached.
    pub(super) async fn away(&self) -> Self {
        let scans = hurried(scans(no_gateway().await, Arc::clone(&self.store)), SHORT);
        Self { scans, ..self.restarted() }
    }

    /// Another process, whose store cannot say what codes people have sent.
    pub(super) fn faulty(&self) -> Self {
        let faulty = self.store.with(Faults { typing: Fault::Fails, ..Faults::default() });
        Self { scans: asking(self.client.clone(), faulty), ..self.restarted() }
    }

    pub(super) async fn scan(&self, scan: &Scan) -> PhoneReply {
        self.scans.hears(scan.clone(), Instant::now()).await
    }

    /// What the phone hears after a text; nothing if it is a message like any other.
    pub(super) async fn types(&self, id: &str, content: &str) -> Option<PhoneReply> {
        Some(self.told(id, content).await?.reply)
    }

    pub(super) async fn told(&self, id: &str, content: &str) -> Option<ToPhone> {
        let person = Person::new("oPerson");
        let text =
            Text { person: &person, content, id: Some(id), created_at: i64::MAX, about: None, newer: None };
        self.scans.answered(text, Instant::now()).await
    }

    /// What the phone hears after a text, be it an answer or a code; nothing if it is a message like any other.
    pub(super) async fn sends(&self, id: &str, content: &str, created_at: i64) -> Option<PhoneReply> {
        self.sends_as(&Person::new("oPerson"), id, content, created_at).await
    }

    pub(super) async fn sends_as(
        &self,
        person: &Person,
        id: &str,
        content: &str,
        created_at: i64,
    ) -> Option<PhoneReply> {
        let text = Text { person, content, id: Some(id), created_at, about: None, newer: None };
        if let Some(told) = self.scans.answered(text, Instant::now()).await {
            return Some(told.reply);
        }
        Some(self.scans.typed(text, Instant::now()).await?.reply)
    }

    /// A page shows this code; gives its login as the person of these tests has it.
    pub(super) fn shows(&self, typed: &str, created_at: i64) -> Scan {
        let scan = Scan { created_at, way: Way::Typed, first: false, ..scan() };
        let login = Played { typed: Some(typed.to_owned()), ..Played::default() };
        self.logins.lock().insert(scan.scene, login);
        scan
    }

    pub(super) fn number(&self, scan: &Scan) -> String {
        self.logins.lock()[&scan.scene].number.clone().unwrap()
    }

    pub(super) fn wrong(&self, scan: &Scan) -> &'static str {
        if self.number(scan) == "11" { "12" } else { "11" }
    }

    pub(super) fn end(&self, scan: &Scan) -> Option<State> {
        self.logins.lock()[&scan.scene].end
    }

    pub(super) fn ended(&self, scan: &Scan, state: State) {
        self.logins.lock().get_mut(&scan.scene).unwrap().end = Some(state);
    }
}

pub(super) fn asking(client: Client, store: Arc<Store>) -> Arc<Scans> {
    let mut scans = scans(client, store);
    Arc::get_mut(&mut scans).unwrap().confirms = true;
    scans
}

pub(super) fn play(logins: &mut HashMap<Scene, Played>, notice: &Notice) -> Answer {
    if let Notice::Find { typed, .. } = notice {
        let found =
            logins.iter().find(|(_, login)| login.typed.as_ref() == Some(typed) && !login.is_forgotten);
        let Some((scene, login)) = found else { return Answer::new(Status::Unknown) };
        let state = login.end.unwrap_or(if login.by.is_some() { State::Scanned } else { State::Waiting });
        return Answer { scene: Some(*scene), ..answer(Status::Ok, state) };
    }
    let scene = notice.scene().unwrap();
    let login = logins.entry(scene).or_default();
    if login.is_forgotten {
        return Answer::new(Status::Unknown);
    }
    let state = login.end.unwrap_or(State::Scanned);
    match notice {
        Notice::Claim { number, by, .. } => {
            if login.by.get_or_insert_with(|| by.clone()) != by {
                return answer(Status::Taken, state);
            }
            if login.number.is_none() && login.end.is_none() {
                login.number.clone_from(number);
            }
            let context = Context { number: login.number.clone(), ..Context::default() };
            Answer { context: Some(Box::new(context)), ..answer(Status::Delivered, state) }
        }
        Notice::Query { .. } => answer(Status::Ok, state),
        Notice::Find { .. } | Notice::Probe => unreachable!("it names no login"),
        Notice::Scan { .. } | Notice::Deny { .. } => {
            let wanted = if matches!(notice, Notice::Scan { .. }) { State::Granted } else { State::Denied };
            match login.end {
                None => login.end = Some(wanted),
                Some(State::Expired) => return answer(Status::Expired, State::Expired),
                Some(end) if end != wanted => return answer(Status::Taken, end),
                Some(_) => {}
            }
            answer(Status::Delivered, wanted)
        }
    }
}

pub(super) fn another(scan: &Scan) -> Scan {
    Scan { scene: Scene::random(), created_at: scan.created_at + 1, ..scan.clone() }
}

pub(super) fn given<'a>(id: &'a str, typed: &'a Typed) -> Given<'a> {
    Given { id, typed, sent_at: i64::MAX, about: None, newer: None }
}

pub(super) fn is_question(reply: &PhoneReply, replaces: bool) -> bool {
    matches!(reply, PhoneReply::Question(question) if question.replaces == replaces)
}
