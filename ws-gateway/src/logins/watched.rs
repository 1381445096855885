//! The logins of this gateway's pages, as an operator watches them: in progress, ended lately, and how many a minute.
//!
//! A page's task holds a [`Watch`] for the login that it shows, and says how the login stands whenever it has read the
//! record. Nothing here decides anything. Of a login there is its id and what a log may say: no scene leaves this room but to
//! end a login, and no key or person comes into it.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use live_view::Rates;
use login_page::browser::{self, Name};
use parking_lot::Mutex;
use protocol::message::{Context, State};
use protocol::{LoginId, Scene};
use server::address;
use server::visible::plain;
use tokio::time::Instant;

use super::{Opened, QrCode, Shown};
pub(crate) use crate::metrics::logins::End;

/// The ended logins that are kept.
pub(crate) const MOST_ENDED: usize = 50;

/// Characters of a site's name. A page may name any.
const MOST_OF_SITE: usize = 40;

/// What is counted by the minute, in the order of the counts.
pub(crate) const KINDS: [Kind; 5] = [
    Kind::Shown,
    Kind::Scanned,
    Kind::Ended(End::Granted),
    Kind::Ended(End::Denied),
    Kind::Ended(End::Expired),
];

/// Something that happens to logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was shown to its page.
    Shown,
    /// Somebody has scanned it, or has sent its code.
    Scanned,
    /// It has ended like this.
    Ended(End),
}

/// A login that a page here shows, or has shown.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) id: LoginId,
    pub(crate) state: State,
    /// When it was made.
    pub(crate) since: SystemTime,
    pub(crate) of: Of,
    /// What the page shows, by the QR code: `account`, `web`, or `typed` for a code to type alone.
    pub(crate) way: &'static str,
    /// The page's browser and its system, where they are known ones.
    pub(crate) browser: [Option<Name>; 2],
    /// The page's address without its last half.
    pub(crate) address: String,
}

/// Where a login is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Of {
    /// The gateway's own page.
    Page,
    /// The site that the page named.
    Site(String),
    /// A site that callback-service knows, by a request there.
    Request,
}

/// A login that has ended, or whose page has gone.
#[derive(Debug, Clone)]
pub(crate) struct Over {
    pub(crate) login: Login,
    pub(crate) end: End,
    pub(crate) at: SystemTime,
    /// From the QR code to the end.
    pub(crate) after: Duration,
}

/// What there is to see.
pub(crate) struct Seen {
    /// The newest first, as many as were asked for.
    pub(crate) shown: Vec<Login>,
    /// How many there are.
    pub(crate) all: usize,
    /// The newest first.
    pub(crate) over: Vec<Over>,
    /// For each of [`KINDS`], the present minute last.
    pub(crate) minutes: [Vec<u64>; KINDS.len()],
}

/// All of them. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Watched(Arc<Mutex<Known>>);

/// Never locked across an await.
#[derive(Debug)]
struct Known {
    /// A tree, because a table that doubles has room for twice as many.
    shown: BTreeMap<LoginId, Held>,
    /// The newest last.
    over: VecDeque<Over>,
    rates: Rates<{ KINDS.len() }>,
}

#[derive(Debug)]
struct Held {
    /// What is seen of it is made of that when an operator looks.
    opened: Opened,
    /// Whether somebody has scanned it, or has sent its code.
    is_scanned: bool,
    scene: Scene,
    /// Two while a newer socket takes it over.
    pages: u32,
}

/// A page's hold on the login that it shows. Dropping it before the end says that the page has gone.
#[derive(Debug)]
pub(crate) struct Watch {
    of: Watched,
    id: LoginId,
    is_over: bool,
}

impl Default for Watched {
    fn default() -> Self {
        let known =
            Known { shown: BTreeMap::new(), over: VecDeque::new(), rates: Rates::new(Instant::now()) };
        Self(Arc::new(Mutex::new(known)))
    }
}

impl Watched {
    /// A page shows a new login.
    #[must_use]
    pub(crate) fn shows(&self, scene: Scene, opened: &Opened) -> Watch {
        self.0.lock().rates.count(place(Kind::Shown), Instant::now());
        self.takes_back(scene, State::Waiting, opened)
    }

    /// A page shows a login that there was before.
    #[must_use]
    pub(crate) fn takes_back(&self, scene: Scene, state: State, opened: &Opened) -> Watch {
        let id = LoginId::of(scene);
        let mut known = self.0.lock();
        if let Some(end) = end_of(state) {
            known.learns(id, end);
            return Watch { of: self.clone(), id, is_over: true };
        }
        // It had gone only for a while.
        known.take_left(id);
        let held = known.shown.entry(id).or_insert_with(|| Held {
            opened: opened.clone(),
            is_scanned: state == State::Scanned,
            scene,
            pages: 0,
        });
        held.pages += 1;
        drop(known);
        let mut watch = Watch { of: self.clone(), id, is_over: false };
        watch.stands(state);
        watch
    }

    /// The scene of a login in progress.
    #[must_use]
    pub(crate) fn scene_of(&self, id: &str) -> Option<Scene> {
        let id = id.parse().ok()?;
        self.0.lock().shown.get(&id).map(|held| held.scene)
    }

    /// What there is to see, at most so many logins in progress.
    #[must_use]
    pub(crate) fn look(&self, most: usize) -> Seen {
        let mut known = self.0.lock();
        let minutes = known.rates.minutes(Instant::now());
        let over = known.over.iter().rev().cloned().collect();
        let mut shown: Vec<_> = known.shown.iter().map(|(id, held)| (held.since(), *id, held)).collect();
        let all = shown.len();
        let by_age = |one: &(u64, LoginId, &Held), other: &(u64, LoginId, &Held)| {
            (other.0, other.1).cmp(&(one.0, one.1))
        };
        if all > most {
            shown.select_nth_unstable_by(most, by_age);
            shown.truncate(most);
        }
        shown.sort_unstable_by(by_age);
        let shown = shown.into_iter().map(|(_, id, held)| held.login(id)).collect();
        Seen { shown, all, over, minutes }
    }
}

impl Watch {
    /// The login stands like this now.
    pub(crate) fn stands(&mut self, state: State) {
        match end_of(state) {
            Some(end) => self.ends(end),
            None if state == State::Scanned => self.of.0.lock().scanned(self.id),
            None => {}
        }
    }

    /// The page takes another login in its place.
    pub(crate) fn replaced(mut self) {
        self.ends(End::Replaced);
    }

    /// A newer socket has the login, here or at another gateway.
    pub(crate) fn taken_over(mut self) {
        self.is_over = true;
        self.of.0.lock().let_go(self.id);
    }

    fn ends(&mut self, end: End) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let mut known = self.of.0.lock();
        if let Some(held) = known.let_go(self.id) {
            known.ended(held.login(self.id), end);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends(End::Left);
    }
}

impl Known {
    /// A page lets go of a login; gives it where it was the last one.
    fn let_go(&mut self, id: LoginId) -> Option<Held> {
        let held = self.shown.get_mut(&id)?;
        held.pages -= 1;
        if held.pages > 0 { None } else { self.shown.remove(&id) }
    }

    /// A login has been scanned.
    fn scanned(&mut self, id: LoginId) {
        if let Some(held) = self.shown.get_mut(&id)
            && !held.is_scanned
        {
            held.is_scanned = true;
            self.rates.count(place(Kind::Scanned), Instant::now());
        }
    }

    /// A page has come to a login that had ended before. That is news only where nobody here has seen the end: its page had
    /// gone, or has not looked yet. Else somebody who comes back to one login again and again would push the others out of
    /// the list, and be counted each time.
    fn learns(&mut self, id: LoginId, end: End) {
        let held = self.shown.remove(&id).map(|held| held.login(id));
        if let Some(login) = held.or_else(|| self.take_left(id)) {
            self.ended(login, end);
        }
    }

    /// Takes a login out of the ended ones whose page had gone only for a while.
    fn take_left(&mut self, id: LoginId) -> Option<Login> {
        let at = self.over.iter().position(|over| over.login.id == id && over.end == End::Left)?;
        self.over.remove(at).map(|over| over.login)
    }

    /// A login that no page shows any more has ended like this, or its page has gone.
    fn ended(&mut self, login: Login, end: End) {
        let now = Instant::now();
        if matches!(end, End::Granted | End::Denied) && login.state == State::Waiting {
            // Scan and end have come between two looks.
            self.rates.count(place(Kind::Scanned), now);
        }
        self.rates.count(place(Kind::Ended(end)), now);
        let at = SystemTime::now();
        let after = at.duration_since(login.since).unwrap_or_default();
        if self.over.len() >= MOST_ENDED {
            self.over.pop_front();
        }
        self.over.push_back(Over { login, end, at, after });
    }
}

impl Held {
    /// When the login was made, in seconds since 1970.
    fn since(&self) -> u64 {
        self.opened.context().created_at
    }

    fn login(&self, id: LoginId) -> Login {
        let (shown, context) = (self.opened.shown(), self.opened.context());
        Login::new(id, self.is_scanned, &shown, context)
    }
}

impl Login {
    fn new(id: LoginId, is_scanned: bool, shown: &Shown, context: &Context) -> Self {
        let user_agent = context.user_agent.as_deref().unwrap_or_default();
        Self {
            id,
            state: if is_scanned { State::Scanned } else { State::Waiting },
            since: UNIX_EPOCH + Duration::from_secs(context.created_at),
            of: match (&context.site, &context.request) {
                (Some(site), _) => Of::Site(plain(site.chars().take(MOST_OF_SITE).collect::<String>())),
                (None, Some(_)) => Of::Request,
                (None, None) => Of::Page,
            },
            way: match &shown.qr {
                Some(QrCode::Account { .. }) => "account",
                Some(QrCode::Web { .. }) => "web",
                None => "typed",
            },
            browser: [browser::browser(user_agent), browser::system(user_agent)],
            address: context.ip.parse::<IpAddr>().map(address::shortened).unwrap_or_default(),
        }
    }
}

/// How a login has ended that stands like this.
fn end_of(state: State) -> Option<End> {
    match state {
        State::Waiting | State::Scanned => None,
        State::Granted => Some(End::Granted),
        State::Denied => Some(End::Denied),
        State::Expired => Some(End::Expired),
    }
}

/// The place of a kind among the counts; none for what is not counted.
fn place(kind: Kind) -> usize {
    KINDS.iter().position(|it| *it == kind).unwrap_or(KINDS.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::logins::{NewLogin, ResumeKey};

    fn context() -> Context {
        Context {
            site: Some("shop".to_owned()),
            nonce: Some("n0nce".to_owned()),
            request: None,
            ip: "192.0.2.77".to_owned(),
            user_agent: Some("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0.0.0".to_owned()),
            created_at: server::clock::unix_now(),
            ..Context::default()
        }
    }

    fn opened_by(context: Context) -> Opened {
        let shown = Shown { qr: None, typed: None };
        let secret = ResumeKey::new(Scene::random()).hash();
        NewLogin { context: context.into(), shown, secret, probe_of: None }.into()
    }

    fn opened() -> Opened {
        opened_by(context())
    }

    /// The states of those in progress, and how others ended.
    fn seen(watched: &Watched) -> (Vec<State>, Vec<End>) {
        let Seen { shown, over, .. } = watched.look(10);
        (shown.iter().map(|login| login.state).collect(), over.iter().map(|over| over.end).collect())
    }

    fn totals(watched: &Watched) -> [u64; KINDS.len()] {
        watched.look(0).minutes.map(|minutes| minutes.iter().sum())
    }

    #[test]
    fn a_login_is_seen_from_its_code_to_its_end() {
        let (watched, scene) = (Watched::default(), Scene::random());
        let mut watch = watched.shows(scene, &opened());
        assert_eq!(seen(&watched), (vec![State::Waiting], vec![]));
        assert_eq!(watched.scene_of(&LoginId::of(scene).to_string()), Some(scene));
        watch.stands(State::Scanned);
        watch.stands(State::Scanned);
        assert_eq!(seen(&watched), (vec![State::Scanned], vec![]));
        watch.stands(State::Granted);
        watch.stands(State::Granted);
        drop(watch);
        assert_eq!(seen(&watched), (vec![], vec![End::Granted]));
        assert_eq!(watched.scene_of(&LoginId::of(scene).to_string()), None);
        assert_eq!(totals(&watched), [1, 1, 1, 0, 0]);
        // A claim that nobody has seen is one all the same, and expiry needs none.
        watched.shows(Scene::random(), &opened()).stands(State::Denied);
        watched.shows(Scene::random(), &opened()).stands(State::Expired);
        assert_eq!(totals(&watched), [3, 2, 1, 1, 1]);
    }

    #[test]
    fn a_page_that_goes_and_comes_back_has_not_ended_its_login() {
        let (watched, scene) = (Watched::default(), Scene::random());
        let watch = watched.shows(scene, &opened());
        drop(watch);
        assert_eq!(seen(&watched), (vec![], vec![End::Left]));
        let older = watched.takes_back(scene, State::Scanned, &opened());
        assert_eq!(seen(&watched), (vec![State::Scanned], vec![]));
        let newer = watched.takes_back(scene, State::Scanned, &opened());
        older.taken_over();
        assert_eq!(seen(&watched), (vec![State::Scanned], vec![]));
        newer.replaced();
        assert_eq!(seen(&watched), (vec![], vec![End::Replaced]));
        assert_eq!(totals(&watched), [1, 0, 0, 0, 0]);
    }

    #[test]
    fn whoever_comes_back_to_an_ended_login_again_and_again_pushes_nobody_out() {
        let watched = Watched::default();
        watched.shows(Scene::random(), &opened()).stands(State::Denied);
        let ended = Scene::random();
        watched.shows(ended, &opened()).stands(State::Granted);
        let before = (seen(&watched), totals(&watched));
        for state in [State::Granted, State::Granted, State::Expired] {
            // Also one of another gateway, or of long ago, of which nothing is known here.
            for scene in [ended, Scene::random()] {
                let mut watch = watched.takes_back(scene, state, &opened());
                watch.stands(state);
                drop(watch);
                watched.takes_back(scene, state, &opened()).replaced();
                watched.takes_back(scene, state, &opened()).taken_over();
            }
        }
        assert_eq!((seen(&watched), totals(&watched)), before);
    }

    #[test]
    fn the_end_of_a_login_whose_page_had_gone_is_learned_once() {
        let (watched, scene) = (Watched::default(), Scene::random());
        drop(watched.shows(scene, &opened()));
        assert_eq!(seen(&watched), (vec![], vec![End::Left]));
        for _ in 0..3 {
            drop(watched.takes_back(scene, State::Granted, &opened()));
            assert_eq!(seen(&watched), (vec![], vec![End::Granted]));
            assert_eq!(totals(&watched), [1, 1, 1, 0, 0]);
        }
        // Or whose page has another socket now, which heard of it first.
        let scene = Scene::random();
        let older = watched.shows(scene, &opened());
        drop(watched.takes_back(scene, State::Denied, &opened()));
        older.taken_over();
        assert_eq!(seen(&watched), (vec![], vec![End::Denied, End::Granted]));
        assert_eq!(totals(&watched), [2, 2, 1, 1, 0]);
    }

    #[test]
    fn a_login_is_found_by_its_id_as_it_is_written() {
        let watched = Watched::default();
        let scene = Scene::random();
        let _watch = watched.shows(scene, &opened());
        let id = LoginId::of(scene).to_string();
        assert_eq!(watched.scene_of(&id), Some(scene));
        for other in ["", &id[..31], &format!("{id}0"), &LoginId::of(Scene::random()).to_string()] {
            assert_eq!(watched.scene_of(other), None);
        }
    }

    #[test]
    fn a_sites_name_hides_nothing_and_turns_nothing() {
        let watched = Watched::default();
        let context = Context { site: Some("shop\u{202e}moc\u{200b}".to_owned()), ..context() };
        let _watch = watched.shows(Scene::random(), &opened_by(context));
        assert_eq!(watched.look(1).shown[0].of, Of::Site("shop moc ".to_owned()));
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_nothing_that_a_log_may_not() {
        let watched = Watched::default();
        let scenes: Vec<Scene> = (0..2 * MOST_ENDED).map(|_| Scene::random()).collect();
        let watches: Vec<Watch> = scenes.iter().map(|scene| watched.shows(*scene, &opened())).collect();
        let few = watched.look(10);
        assert_eq!((few.shown.len(), few.all), (10, scenes.len()));
        drop(watches);
        let Seen { shown, over, .. } = watched.look(10);
        assert_eq!((shown.len(), over.len()), (0, MOST_ENDED));
        let all = format!("{over:?}");
        assert!(all.contains("192.0.*.*") && all.contains("Windows") && all.contains("shop"), "{all}");
        for scene in scenes {
            assert!(!all.contains(scene.as_str()), "{all}");
        }
        assert!(!all.contains("192.0.2.77") && !all.contains("n0nce"), "{all}");
    }
}
