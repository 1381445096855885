//! Logins against a gateway, a store and a WeChat that each test plays itself.
//!
//! The gateway speaks the real wire over a socket, so time is real. Where only a limit ends a test, the
//! limits are shortened; everything else goes as fast as it can under the limits of every day.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use futures_util::future::{BoxFuture, FutureExt, join_all, pending};
use futures_util::{SinkExt, StreamExt};
use protocol::auth::Key as NotifyKey;
use protocol::codec::{Codec, MAX_FRAME};
use protocol::message::{ClientMessage, Hello, ServerMessage};
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::Framed;

use super::*;
use crate::store::SqliteStore;

/// Promise 5.
const PROMISED: Duration = Duration::from_secs(4);

/// What a test waits at most for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

// ---- the gateway ----

/// A gateway: each test answers its notices, in any order, or not at all.
struct Gateway {
    notices: mpsc::UnboundedReceiver<(String, Notice)>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Gateway {
    async fn start() -> (Self, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&listener);
        let (tell, notices) = mpsc::unbounded_channel();
        let (answers, mut hear) = mpsc::unbounded_channel::<Answer>();
        tokio::spawn(async move {
            let mut frames = accept(&listener).await;
            loop {
                tokio::select! {
                    message = frames.next() => match message {
                        Some(Ok(ClientMessage::Notice { id: Some(id), notice })) => {
                            // The test may be over.
                            let _ = tell.send((id, notice));
                        }
                        Some(Ok(message)) => panic!("{message:?}"),
                        _ => return,
                    },
                    Some(answer) = hear.recv() => {
                        frames.send(ServerMessage::Answer(answer)).await.unwrap();
                    }
                }
            }
        });
        client.connected().await;
        (Self { notices, answers }, client)
    }

    /// The next notice; its id is needed for the answer.
    async fn hear(&mut self) -> (String, Notice) {
        timeout(PATIENCE, self.notices.recv()).await.unwrap().unwrap()
    }

    fn answer(&self, id: String, answer: Answer) {
        let id = Some(id);
        self.answers.send(Answer { id, ..answer }).unwrap();
    }

    /// Hears a notice, which must be `expected`, and answers it.
    async fn take(&mut self, expected: &Notice, answer: Answer) {
        let (id, notice) = self.hear().await;
        assert_eq!(notice, *expected);
        self.answer(id, answer);
    }

    /// Answers by `script` until nobody asks any more, and gives the notices heard through its end.
    fn play(mut self, mut script: impl FnMut(&Notice) -> Option<Answer> + Send + 'static) -> Heard {
        let heard = Heard::default();
        let log = heard.clone();
        tokio::spawn(async move {
            while let Some((id, notice)) = self.notices.recv().await {
                let answer = script(&notice);
                log.0.lock().unwrap().push(notice);
                if let Some(answer) = answer {
                    self.answer(id, answer);
                }
            }
        });
        heard
    }
}

/// The notices that a gateway has heard.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Notice>>>);

impl Heard {
    fn all(&self) -> Vec<Notice> {
        self.0.lock().unwrap().clone()
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.all().iter().map(Notice::kind).collect()
    }
}

fn key() -> NotifyKey {
    NotifyKey::new(&SecretString::from("a key for tests, of 32 bytes or more")).unwrap()
}

fn client(listener: &TcpListener) -> Client {
    Client::start(protocol::client::Settings {
        name: "callback".to_owned(),
        key: key(),
        addresses: vec![listener.local_addr().unwrap().to_string()],
        tls: None,
    })
}

async fn accept(listener: &TcpListener) -> Framed<TcpStream, Codec<ClientMessage>> {
    let mut frames = Framed::new(listener.accept().await.unwrap().0, Codec::default());
    let hello = Hello {
        version: protocol::VERSION,
        challenge: protocol::auth::challenge(),
        max_frame: u32::try_from(MAX_FRAME).unwrap(),
        heartbeat: 30,
    };
    frames.send(ServerMessage::Hello(hello.clone())).await.unwrap();
    let Some(Ok(ClientMessage::Auth { proof, .. })) = frames.next().await else { panic!() };
    assert!(key().verifies(&hello.challenge, &proof));
    let Some(Ok(ClientMessage::Ping { id })) = frames.next().await else { panic!() };
    frames.send(ServerMessage::Pong { id }).await.unwrap();
    frames
}

async fn no_gateway() -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    client(&listener)
}

fn answer(status: Status, state: State) -> Answer {
    Answer { state: Some(state), ..Answer::new(status) }
}

/// A recorded claim's answer.
fn claimed() -> Answer {
    Answer { context: Some(Box::default()), ..answer(Status::Delivered, State::Scanned) }
}

fn claimed_for(site: Option<&str>, request: Option<&str>) -> Answer {
    let context =
        Context { site: site.map(str::to_owned), request: request.map(str::to_owned), ..Context::default() };
    Answer { context: Some(Box::new(context)), ..claimed() }
}

fn granted() -> Answer {
    answer(Status::Delivered, State::Granted)
}

fn repeated(answer: Answer, state: State) -> Answer {
    Answer { repeat: true, state: Some(state), ..answer }
}

fn busy() -> Answer {
    Answer { retry_in: Some(150), ..Answer::new(Status::Busy) }
}

// ---- the scan and its notices ----

fn scan() -> Scan {
    Scan { scene: Scene::random(), openid: "oPerson".to_owned(), first: true, created_at: 1_700_000_000 }
}

fn claim_of(scan: &Scan) -> Notice {
    Notice::Claim { scene: scan.scene, by: scan.openid.clone(), number: None }
}

fn end_of(scan: &Scan, nickname: Option<&str>) -> Notice {
    Notice::Scan {
        scene: scan.scene,
        nickname: nickname.map(str::to_owned),
        code: None,
        by: Some(scan.openid.clone()),
    }
}

fn denial_of(scan: &Scan) -> Notice {
    Notice::Deny { scene: scan.scene, by: Some(scan.openid.clone()) }
}

fn told(count: Option<u32>) -> Outcome {
    Outcome::LoggedIn { first: true, nickname: None, count }
}

// ---- the service ----

fn sqlite() -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(Path::new(":memory:")).unwrap())
}

/// Logins without nicknames, under the limits of every day.
fn logins(gateway: Client, store: Arc<dyn Store>) -> Arc<Logins> {
    with_wechat(gateway, store, "http://wechat.invalid", Duration::ZERO)
}

fn with_wechat(gateway: Client, store: Arc<dyn Store>, url: &str, within: Duration) -> Arc<Logins> {
    let wechat = wechat::Client::new(wechat::Settings {
        app_id: "wx0123456789abcdef".to_owned(),
        app_secret: "secret".into(),
        api_url: url.to_owned(),
    });
    Logins::new(gateway, wechat.unwrap(), store, within, TaskTracker::new())
}

fn hurried(mut logins: Arc<Logins>, times: Times) -> Arc<Logins> {
    Arc::get_mut(&mut logins).unwrap().times = times;
    logins
}

/// Limits that a test can wait for, and a slow machine keep.
const SHORT: Times = Times {
    words: Duration::from_millis(2000),
    claim: Duration::from_millis(1000),
    scan: Duration::from_millis(1000),
    clear: Duration::from_millis(1500),
    store: Duration::from_millis(100),
};

/// Waits until all that was begun has ended.
async fn settled(logins: &Logins) {
    logins.tasks.close();
    timeout(PATIENCE, logins.tasks.wait()).await.unwrap();
}

/// A store some of whose calls fail, or never end.
struct Faulty {
    inner: Arc<SqliteStore>,
    faults: Faults,
}

#[derive(Clone, Copy, Default)]
struct Faults {
    recall: Fault,
    attempt: Fault,
    record: Fault,
}

#[derive(Clone, Copy, Default)]
enum Fault {
    #[default]
    None,
    Fails,
    Hangs,
}

impl Fault {
    fn around<'a, T: Send + 'a>(
        self,
        call: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        match self {
            Self::None => call,
            Self::Fails => async { Err(StoreError("played".to_owned())) }.boxed(),
            Self::Hangs => pending().boxed(),
        }
    }
}

impl Store for Faulty {
    fn recall<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<Memory, StoreError>> {
        self.faults.recall.around(self.inner.recall(scan))
    }

    fn attempt<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<(), StoreError>> {
        self.faults.attempt.around(self.inner.attempt(scan))
    }

    fn record<'a>(
        &'a self,
        scan: &'a Scan,
        nickname: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Recorded, StoreError>> {
        self.faults.record.around(self.inner.record(scan, nickname))
    }

    fn admit<'a>(
        &'a self,
        signature: &'a str,
        body: &'a str,
        until: u64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.admit(signature, body, until)
    }

    fn forget<'a>(&'a self, openid: &'a str, at: i64) -> BoxFuture<'a, Result<(), StoreError>> {
        self.inner.forget(openid, at)
    }
}

// ---- what each answer becomes ----

#[tokio::test]
async fn each_answer_has_its_outcome_and_its_trace_in_the_store() {
    use Status::{Bad, Delivered, Expired, Forbidden, Stored, Taken, Unknown, Unsure};
    let bare = Answer::new;
    let stored = |of: Answer| Answer { status: Stored, ..of };
    let forgotten = Memory::Nothing;
    let noted = Memory::Attempted;
    let counted = Memory::Recorded(Recorded { first: true, nickname: None, count: 1 });
    // The answers in their order; claims stand before scans, and nothing else is asked.
    let table = [
        // The claim decides.
        ("c", vec![bare(Unknown)], Outcome::Expired, &forgotten),
        ("c", vec![answer(Expired, State::Expired)], Outcome::Expired, &forgotten),
        ("c", vec![answer(Taken, State::Scanned)], Outcome::Taken, &forgotten),
        ("c", vec![answer(Taken, State::Granted)], Outcome::Taken, &forgotten),
        ("c", vec![repeated(claimed(), State::Denied)], Outcome::Denied, &forgotten),
        ("c", vec![repeated(claimed(), State::Expired)], Outcome::Expired, &forgotten),
        ("c", vec![bare(Forbidden)], Outcome::TryAgain, &forgotten),
        ("c", vec![bare(Bad)], Outcome::TryAgain, &forgotten),
        ("cc", vec![busy(), bare(Taken)], Outcome::Taken, &forgotten),
        // The scan decides.
        ("cs", vec![claimed(), granted()], told(Some(1)), &counted),
        ("cs", vec![stored(claimed()), stored(granted())], told(Some(1)), &counted),
        // An answer without context names no site.
        ("cs", vec![bare(Delivered), granted()], told(Some(1)), &counted),
        // Both were recorded before, by a process that was killed before it could count.
        (
            "cs",
            vec![repeated(claimed(), State::Granted), repeated(granted(), State::Granted)],
            told(Some(1)),
            &counted,
        ),
        ("cs", vec![claimed(), bare(Unknown)], Outcome::Expired, &noted),
        ("cs", vec![claimed(), answer(Expired, State::Expired)], Outcome::Expired, &noted),
        ("cs", vec![claimed(), answer(Taken, State::Granted)], Outcome::Taken, &noted),
        ("cs", vec![claimed(), answer(Taken, State::Denied)], Outcome::Denied, &noted),
        ("cs", vec![claimed(), bare(Forbidden)], Outcome::TryAgain, &noted),
        ("cs", vec![claimed(), bare(Bad)], Outcome::TryAgain, &noted),
        // What was unclear becomes clear.
        ("ccs", vec![busy(), claimed(), granted()], told(Some(1)), &counted),
        ("ccs", vec![bare(Unsure), repeated(claimed(), State::Scanned), granted()], told(Some(1)), &counted),
        ("css", vec![claimed(), busy(), granted()], told(Some(1)), &counted),
        ("css", vec![claimed(), bare(Unsure), repeated(granted(), State::Granted)], told(Some(1)), &counted),
        ("css", vec![claimed(), bare(Unsure), bare(Expired)], Outcome::Expired, &noted),
        // A refusal says nothing about the sending before it. It is asked for once more, for the count.
        ("csss", vec![claimed(), bare(Unsure), bare(Forbidden), bare(Forbidden)], Outcome::Look, &noted),
        (
            "cssss",
            vec![claimed(), bare(Unsure), busy(), bare(Bad), repeated(granted(), State::Granted)],
            told(Some(1)),
            &counted,
        ),
    ];
    let rows = table.into_iter().enumerate().map(|(row, (asked, answers, outcome, memory))| async move {
        let (gateway, client) = Gateway::start().await;
        let mut script = answers.into_iter();
        let heard = gateway.play(move |_| script.next());
        let (store, scan) = (sqlite(), scan());
        let logins = logins(client, Arc::clone(&store) as Arc<dyn Store>);
        assert_eq!(logins.log_in(scan.clone(), Instant::now()).await, outcome, "row {row}");
        settled(&logins).await;
        let expected: Vec<Notice> = asked
            .chars()
            .map(|kind| if kind == 'c' { claim_of(&scan) } else { end_of(&scan, None) })
            .collect();
        assert_eq!(heard.all(), expected, "row {row}");
        assert_eq!(store.recall(&scan).await.unwrap(), *memory, "row {row}");
    });
    join_all(rows).await;
}

#[tokio::test]
async fn a_login_of_a_site_is_denied_and_a_repeat_hears_the_same() {
    let denied = || answer(Status::Delivered, State::Denied);
    for (site, request) in [(Some("shop"), None), (None, Some("handle"))] {
        let named = || claimed_for(site, request);
        let (mut gateway, client) = Gateway::start().await;
        let (store, scan) = (sqlite(), scan());
        let logins = logins(client, Arc::clone(&store) as Arc<dyn Store>);
        let (claim, deny) = (claim_of(&scan), denial_of(&scan));
        let first = async {
            gateway.take(&claim, named()).await;
            gateway.take(&deny, denied()).await;
        };
        let (outcome, ()) = tokio::join!(logins.log_in(scan.clone(), Instant::now()), first);
        assert_eq!(outcome, Outcome::UnknownSite);
        let again = async {
            gateway.take(&claim, repeated(named(), State::Denied)).await;
            gateway.take(&deny, repeated(denied(), State::Denied)).await;
        };
        let (outcome, ()) = tokio::join!(logins.log_in(scan.clone(), Instant::now()), again);
        assert_eq!(outcome, Outcome::UnknownSite, "a repeated push");
        assert_eq!(store.recall(&scan).await.unwrap(), Memory::Nothing);
        assert!(gateway.notices.try_recv().is_err(), "no scan");
    }
}

#[tokio::test]
async fn a_denial_that_was_not_recorded_is_not_told_as_one() {
    for (status, outcome) in [
        (Status::Stored, Outcome::UnknownSite),
        (Status::Expired, Outcome::Expired),
        (Status::Forbidden, Outcome::Look),
    ] {
        let (gateway, client) = Gateway::start().await;
        let mut script = [claimed_for(Some("shop"), None), Answer::new(status)].into_iter();
        let heard = gateway.play(move |_| script.next());
        let logins = logins(client, sqlite());
        assert_eq!(logins.log_in(scan(), Instant::now()).await, outcome);
        assert_eq!(heard.kinds(), ["claim", "deny"]);
    }
}

// ---- what does not become clear in time ----

#[tokio::test]
async fn what_stays_unclear_is_told_by_what_may_have_been_recorded() {
    let claimed = || Some(claimed());
    let unsure = || Some(Answer::new(Status::Unsure));
    let for_much_later = Answer { retry_in: Some(600_000), ..busy() };
    // The last answer is given again and again; how many claims and scans are heard.
    let (none, once, twice, many) = (0..=0, 1..=1, 2..=2, 2..=20);
    let table = [
        (vec![Some(busy())], Outcome::TryAgain, &many, &none),
        (vec![Some(for_much_later.clone())], Outcome::TryAgain, &once, &none),
        // Nobody is logged in by a claim, whether it was recorded or not.
        (vec![unsure()], Outcome::TryAgain, &many, &none),
        (vec![None], Outcome::TryAgain, &once, &none),
        (vec![claimed(), Some(busy())], Outcome::TryAgain, &once, &many),
        (vec![claimed(), Some(for_much_later)], Outcome::TryAgain, &once, &once),
        (vec![claimed(), unsure()], Outcome::Look, &once, &many),
        (vec![claimed(), unsure(), Some(busy())], Outcome::Look, &once, &many),
        (vec![claimed(), None], Outcome::Look, &once, &twice),
        // A gateway that has lost its memory may have recorded the end before.
        (vec![claimed(), unsure(), Some(Answer::new(Status::Unknown))], Outcome::Look, &once, &many),
    ];
    let rows = table.into_iter().enumerate();
    let rows = rows.map(|(row, (answers, outcome, claims, scans))| async move {
        let (gateway, client) = Gateway::start().await;
        let mut next = 0;
        let heard = gateway.play(move |_| {
            next += 1;
            answers[next.min(answers.len()) - 1].clone()
        });
        let logins = hurried(logins(client, sqlite()), SHORT);
        assert_eq!(logins.log_in(scan(), Instant::now()).await, outcome, "row {row}");
        let kinds = heard.kinds();
        let number = |of| kinds.iter().filter(|kind| **kind == of).count();
        assert!(claims.contains(&number("claim")) && scans.contains(&number("scan")), "row {row}: {kinds:?}");
    });
    join_all(rows).await;
}

#[tokio::test]
async fn without_a_gateway_nobody_is_logged_in_and_earlier_attempts_are_not_denied() {
    let noted = sqlite();
    let scan = scan();
    noted.attempt(&scan).await.unwrap();
    let unreadable = Faulty { inner: sqlite(), faults: Faults { recall: Fault::Fails, ..Faults::default() } };
    let table: [(Arc<dyn Store>, Outcome); 3] =
        [(sqlite(), Outcome::TryAgain), (noted, Outcome::Look), (Arc::new(unreadable), Outcome::Look)];
    let rows = table.into_iter().enumerate().map(|(row, (store, outcome))| {
        let scan = scan.clone();
        async move {
            let logins = logins(no_gateway().await, store);
            let arrived = Instant::now();
            assert_eq!(logins.log_in(scan, Instant::now()).await, outcome, "row {row}");
            assert!(arrived.elapsed() < PROMISED, "row {row}: {:?}", arrived.elapsed());
        }
    });
    join_all(rows).await;
}

#[tokio::test]
async fn a_gateway_that_does_not_know_the_login_may_have_recorded_an_earlier_attempt() {
    for (attempted, outcome) in [(false, Outcome::Expired), (true, Outcome::Look)] {
        let (gateway, client) = Gateway::start().await;
        let _heard = gateway.play(|_| Some(Answer::new(Status::Unknown)));
        let (store, scan) = (sqlite(), scan());
        if attempted {
            store.attempt(&scan).await.unwrap();
        }
        let logins = hurried(logins(client, store), SHORT);
        assert_eq!(logins.log_in(scan, Instant::now()).await, outcome);
    }
}

#[tokio::test]
async fn an_answer_that_comes_late_is_counted_once_and_told_to_repeats() {
    let (mut gateway, client) = Gateway::start().await;
    let (store, scan) = (sqlite(), scan());
    let logins = logins(client, Arc::clone(&store) as Arc<dyn Store>);
    let arrived = Instant::now();
    let silent = async {
        gateway.take(&claim_of(&scan), claimed()).await;
        gateway.hear().await.0
    };
    let (outcome, first) = tokio::join!(logins.log_in(scan.clone(), Instant::now()), silent);
    assert_eq!(outcome, Outcome::Look);
    assert!(arrived.elapsed() < PROMISED, "{:?}", arrived.elapsed());
    assert_eq!(store.recall(&scan).await.unwrap(), Memory::Attempted);

    // WeChat repeats the push; the gateway wakes up and answers both sendings.
    let late = async {
        let (second, notice) = gateway.hear().await;
        assert_eq!(notice, end_of(&scan, None));
        gateway.answer(first, granted());
        gateway.answer(second, repeated(granted(), State::Granted));
    };
    let (outcome, ()) = tokio::join!(logins.log_in(scan.clone(), Instant::now()), late);
    assert_eq!(outcome, told(Some(1)));
    settled(&logins).await;
    assert_eq!(logins.log_in(scan, Instant::now()).await, told(Some(1)), "once more");
    assert!(gateway.notices.try_recv().is_err(), "nothing else was asked");
}

// ---- a store with faults ----

#[tokio::test]
async fn a_store_with_faults_stops_no_login_and_never_makes_it_certain_that_nothing_was_recorded() {
    use Fault::{Fails, Hangs};
    let none = Faults::default();
    let all = |recall| Faults { recall, attempt: recall, record: recall };
    let good = || vec![claimed(), granted()];
    let table = [
        (Faults { recall: Fails, ..none }, good(), told(Some(1))),
        (Faults { attempt: Fails, ..none }, good(), told(Some(1))),
        (Faults { record: Fails, ..none }, good(), told(None)),
        (Faults { record: Hangs, ..none }, good(), told(None)),
        (all(Fails), good(), told(None)),
        (all(Hangs), good(), told(None)),
        (Faults { recall: Fails, ..none }, vec![Answer::new(Status::Forbidden)], Outcome::Look),
        (Faults { recall: Hangs, ..none }, vec![Answer::new(Status::Bad)], Outcome::Look),
        (Faults { attempt: Fails, ..none }, vec![claimed(), Answer::new(Status::Forbidden)], Outcome::Look),
        (Faults { attempt: Hangs, ..none }, vec![claimed(), Answer::new(Status::Bad)], Outcome::Look),
        // What the gateway says for certain needs no store.
        (all(Fails), vec![Answer::new(Status::Expired)], Outcome::Expired),
    ];
    let rows = table.into_iter().enumerate().map(|(row, (faults, answers, outcome))| async move {
        let (gateway, client) = Gateway::start().await;
        let mut script = answers.into_iter();
        gateway.play(move |_| script.next());
        let store = Faulty { inner: sqlite(), faults };
        let logins = hurried(logins(client, Arc::new(store)), Times { store: SHORT.store, ..TIMES });
        assert_eq!(logins.log_in(scan(), Instant::now()).await, outcome, "row {row}");
    });
    join_all(rows).await;
}

/// An outage of the store is often one of the gateway's too: both keep their records in the same Redis.
#[tokio::test]
async fn a_scan_that_the_store_fails_keeps_trying_when_its_time_is_over() {
    // The words wait for the end here, so that it can be seen.
    let (claim, within) = (Duration::from_millis(100), Duration::from_millis(200));
    let times = Times { words: PATIENCE, claim, scan: within, clear: PATIENCE, ..SHORT };
    let counted = Memory::Recorded(Recorded { first: true, nickname: None, count: 1 });
    // What the store fails at, what the gateway is too busy for, and whether the login is one of a site.
    let unread = Faults { recall: Fault::Fails, ..Faults::default() };
    let unnoted = Faults { attempt: Fault::Fails, ..Faults::default() };
    let table = [
        (unread, "claim", None, told(Some(1)), counted.clone()),
        (unread, "scan", None, told(Some(1)), counted.clone()),
        (unread, "deny", Some("shop"), Outcome::UnknownSite, Memory::Nothing),
        (unnoted, "scan", None, told(Some(1)), counted),
    ];
    let rows = table.into_iter().map(|(faults, delayed, site, outcome, memory)| async move {
        let (gateway, client) = Gateway::start().await;
        let arrived = Instant::now();
        let mut is_busy = true;
        gateway.play(move |notice| {
            Some(match notice {
                notice if notice.kind() == delayed && is_busy => {
                    // It says so after the time too, and takes what comes after that.
                    is_busy = arrived.elapsed() <= times.scan;
                    busy()
                }
                Notice::Claim { .. } => claimed_for(site, None),
                Notice::Deny { .. } => answer(Status::Delivered, State::Denied),
                _ => granted(),
            })
        });
        let (store, scan) = (sqlite(), scan());
        let faulty = Faulty { inner: Arc::clone(&store), faults };
        let logins = hurried(logins(client, Arc::new(faulty)), times);
        assert_eq!(logins.log_in(scan.clone(), arrived).await, outcome, "{delayed}");
        assert_eq!(store.recall(&scan).await.unwrap(), memory, "{delayed}");
    });
    join_all(rows).await;
}

// ---- repeats ----

#[tokio::test]
async fn repeats_at_once_are_one_claim_and_one_scan_and_later_ones_nothing() {
    let (mut gateway, client) = Gateway::start().await;
    let logins = logins(client, sqlite());
    let scan = scan();
    let push = || logins.log_in(scan.clone(), Instant::now());
    let asked = async {
        gateway.take(&claim_of(&scan), claimed()).await;
        gateway.take(&end_of(&scan, None), granted()).await;
    };
    let (one, two, three, ()) = tokio::join!(push(), push(), push(), asked);
    assert_eq!([&one, &two, &three], [&told(Some(1)); 3]);
    settled(&logins).await;
    assert_eq!(push().await, told(Some(1)), "after the end");
    let follower = Scan { first: false, ..scan.clone() };
    assert_eq!(logins.log_in(follower, Instant::now()).await, told(Some(1)), "an ended login scanned again");
    assert!(gateway.notices.try_recv().is_err());
    assert!(logins.lock().is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn another_person_at_the_same_time_gets_an_outcome_of_their_own() {
    let (gateway, client) = Gateway::start().await;
    gateway.play(|notice| {
        Some(match notice {
            Notice::Claim { by, .. } if by == "oOther" => answer(Status::Taken, State::Scanned),
            Notice::Claim { .. } => claimed(),
            _ => granted(),
        })
    });
    let logins = logins(client, sqlite());
    let one = scan();
    let other = Scan { openid: "oOther".to_owned(), ..one.clone() };
    let outcomes = tokio::join!(logins.log_in(one, Instant::now()), logins.log_in(other, Instant::now()));
    assert_eq!(outcomes, (told(Some(1)), Outcome::Taken));
}

#[tokio::test]
async fn persons_and_scenes_are_counted_apart() {
    let (gateway, client) = Gateway::start().await;
    gateway.play(|notice| match notice {
        Notice::Claim { .. } => Some(claimed()),
        _ => Some(granted()),
    });
    let logins = logins(client, sqlite());
    let (one, two) = (scan(), scan());
    let other = Scan { openid: "oOther".to_owned(), ..one.clone() };
    assert_eq!(logins.log_in(one, Instant::now()).await, told(Some(1)));
    assert_eq!(logins.log_in(two, Instant::now()).await, told(Some(2)), "another scene");
    assert_eq!(logins.log_in(other, Instant::now()).await, told(Some(1)), "another person");
}

#[tokio::test]
async fn what_wechat_hung_up_on_is_still_counted() {
    let (mut gateway, client) = Gateway::start().await;
    let (store, scan) = (sqlite(), scan());
    let logins = logins(client, Arc::clone(&store) as Arc<dyn Store>);
    let id = tokio::select! {
        outcome = logins.log_in(scan.clone(), Instant::now()) => panic!("{outcome:?}"),
        (id, _) = gateway.hear() => id,
    };
    gateway.answer(id, claimed());
    gateway.take(&end_of(&scan, None), granted()).await;
    settled(&logins).await;
    let Memory::Recorded(Recorded { count: 1, .. }) = store.recall(&scan).await.unwrap() else {
        panic!("not counted")
    };
}

#[tokio::test]
async fn one_scan_too_many_is_not_worked_on_and_not_told_that_nothing_was_recorded() {
    let (gateway, client) = Gateway::start().await;
    let heard = gateway.play(|_| None);
    let logins = logins(client, sqlite());
    let (_never, outcome) = watch::channel(None);
    let others = (0..MAX_RUNNING).map(|_| ((Scene::random(), String::new()), outcome.clone()));
    logins.lock().extend(others);
    assert_eq!(logins.log_in(scan(), Instant::now()).await, Outcome::Look);
    assert!(logins.tasks.is_empty() && heard.all().is_empty());
}

// ---- the nickname ----

/// A WeChat that gives a token, and `person` when it is asked who somebody is; without it, never an answer.
/// The channel tells when it is asked.
async fn wechat(person: Option<&'static str>) -> (String, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = oneshot::channel();
    let tell = Arc::new(Mutex::new(Some(tell)));
    tokio::spawn(async move {
        loop {
            let stream = listener.accept().await.unwrap().0;
            let tell = Arc::clone(&tell);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(target) = request(&mut stream).await {
                    let json = if target.starts_with("/cgi-bin/stable_token") {
                        r#"{"access_token":"t","expires_in":7200}"#
                    } else {
                        assert!(target.contains("openid=oPerson"), "{target}");
                        if let Some(tell) = tell.lock().unwrap().take() {
                            let _ = tell.send(());
                        }
                        match person {
                            Some(person) => person,
                            None => pending().await,
                        }
                    };
                    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len());
                    stream.write_all(reply.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (url, asked)
}

/// The target of the next request, whose body is read and dropped.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut first = String::new();
    stream.read_line(&mut first).await.ok().filter(|read| *read > 0)?;
    let mut body = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", length)) => body = length.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut rest = vec![0; body];
    tokio::io::AsyncReadExt::read_exact(stream, &mut rest).await.ok()?;
    first.split(' ').nth(1).map(str::to_owned)
}

/// Logs in with that WeChat; gives the scan notice's nickname, the outcome, and when the scan came.
async fn named(person: Option<&'static str>, within: Duration) -> (Option<String>, Outcome, Duration) {
    let (mut gateway, client) = Gateway::start().await;
    let (url, asked) = wechat(person).await;
    let logins = with_wechat(client, sqlite(), &url, within);
    let scan = scan();
    let arrived = Instant::now();
    let played = async {
        let (claim, _) = gateway.hear().await;
        // WeChat is asked while the claim is on its way, not after it.
        timeout(PATIENCE, asked).await.unwrap().unwrap();
        gateway.answer(claim, claimed());
        let (id, Notice::Scan { nickname, .. }) = gateway.hear().await else { panic!() };
        let came = arrived.elapsed();
        gateway.answer(id, granted());
        (nickname, came)
    };
    let (outcome, (nickname, came)) = tokio::join!(logins.log_in(scan.clone(), Instant::now()), played);
    (nickname, outcome, came)
}

#[tokio::test]
async fn a_nickname_is_shown_and_told() {
    let (nickname, outcome, _) = named(Some(r#"{"subscribe":1,"nickname":"阿狸"}"#), PATIENCE).await;
    assert_eq!(nickname.as_deref(), Some("阿狸"));
    let told = Outcome::LoggedIn { first: true, nickname, count: Some(1) };
    assert_eq!(outcome, told);
}

#[tokio::test]
async fn a_nickname_that_does_not_come_is_not_waited_for() {
    let within = Duration::from_millis(500);
    let slow = named(None, within);
    // However long the setting is, the scan is still sent in time.
    let endless = named(None, PATIENCE);
    // These are not waited for at all.
    let refused = named(Some(r#"{"errcode":48001,"errmsg":"api unauthorized"}"#), PATIENCE);
    let unnamed = named(Some(r#"{"subscribe":1}"#), PATIENCE);
    let (slow, endless, refused, unnamed) = tokio::join!(slow, endless, refused, unnamed);
    let soon = within + Duration::from_secs(1);
    for (name, (nickname, outcome, came), least, most) in [
        ("slow", slow, within, soon),
        ("endless", endless, within, TIMES.scan),
        ("refused", refused, Duration::ZERO, soon),
        ("unnamed", unnamed, Duration::ZERO, soon),
    ] {
        assert_eq!((nickname, outcome), (None, told(Some(1))), "{name}");
        assert!(least <= came && came < most, "{name}: {came:?}");
    }
}

#[tokio::test]
async fn with_no_time_for_nicknames_wechat_is_not_asked() {
    let (gateway, client) = Gateway::start().await;
    gateway.play(|notice| match notice {
        Notice::Claim { .. } => Some(claimed()),
        _ => Some(granted()),
    });
    let (url, mut asked) = wechat(Some(r#"{"subscribe":1,"nickname":"阿狸"}"#)).await;
    let logins = with_wechat(client, sqlite(), &url, Duration::ZERO);
    assert_eq!(logins.log_in(scan(), Instant::now()).await, told(Some(1)));
    settled(&logins).await;
    assert!(asked.try_recv().is_err());
}

/// The client sends again by itself on the next connection; what that one is told decides nothing about the first.
#[tokio::test]
async fn recorded_then_cut_then_busy_is_no_try_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&listener);
    tokio::spawn(async move {
        let mut frames = Some(accept(&listener).await);
        let mut scans = 0;
        while let Some(Ok(message)) = frames.as_mut().unwrap().next().await {
            let ClientMessage::Notice { id, notice } = message else {
                continue;
            };
            let answer = if matches!(notice, Notice::Claim { .. }) {
                claimed()
            } else if scans == 0 {
                // Recorded, and the connection breaks before the answer.
                scans += 1;
                drop(frames.take());
                frames = Some(accept(&listener).await);
                continue;
            } else {
                busy()
            };
            frames.as_mut().unwrap().send(ServerMessage::Answer(Answer { id, ..answer })).await.unwrap();
        }
    });
    let logins = hurried(logins(client, sqlite()), SHORT);
    assert_eq!(logins.log_in(scan(), Instant::now()).await, Outcome::Look);
}
