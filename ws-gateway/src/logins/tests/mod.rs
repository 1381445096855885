//! What the logins promise, tried in this process's memory and in a real Redis.

#![allow(clippy::unwrap_used)]

mod redis;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use protocol::message::{Answer, Context, Resume, State, Status};
use protocol::{Notice, Scene};
use test_redis::{PATIENCE, Redis};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::rights::{Right, Rights};
use super::seats::{Pages, Seat};
use super::{Logins, NewLogin, QrCode, ResumeKey, Sender, Shown, Snapshot};

const TTL: Duration = Duration::from_secs(60);

/// A gateway under test. Two of them share a store in Redis.
struct Gateway {
    logins: Arc<Logins>,
    pages: Arc<Pages>,
}

impl Gateway {
    async fn open(&self, ttl: Duration) -> (Scene, Seat) {
        self.open_with(Scene::random(), ttl, None, Context::default()).await
    }

    /// A login that shows a code that may be typed.
    async fn open_typed(&self, ttl: Duration, context: Context) -> (Scene, Seat, String) {
        let (scene, account) = (Scene::random(), context.account.clone());
        let code = self.logins.typed_code(scene, account.as_deref(), ttl).await.unwrap();
        let (scene, seat) = self.open_with(scene, ttl, Some(code.clone()), context).await;
        (scene, seat, code)
    }

    async fn open_with(
        &self,
        scene: Scene,
        ttl: Duration,
        typed: Option<String>,
        context: Context,
    ) -> (Scene, Seat) {
        let seat = self.pages.join(scene);
        let (url, content) = ("http://pictures/1".to_owned(), "http://weixin.qq.com/q/…".to_owned());
        let shown = Shown { qr: Some(QrCode::Account { url, content }), typed };
        let context = Context { ip: "192.0.2.1".to_owned(), created_at: 1, ..context };
        let new =
            NewLogin { context: context.into(), shown, secret: ResumeKey::new(scene).hash(), probe_of: None };
        self.logins.open(scene, new, ttl, seat.name().clone()).await.unwrap();
        (scene, seat)
    }

    async fn tell(&self, notice: &Notice) -> Answer {
        let from = Sender { client: "callback".to_owned(), may: Rights::all(), id: None };
        self.logins.notify(notice, &from).await.answer
    }

    async fn look(&self, scene: Scene) -> Snapshot {
        self.logins.look(scene).await.unwrap().unwrap()
    }
}

fn claim(scene: Scene, by: &str) -> Notice {
    Notice::Claim { scene, by: by.to_owned(), number: None }
}

fn scan(scene: Scene, by: &str) -> Notice {
    Notice::Scan { scene, nickname: Some("阿狸".to_owned()), code: None, by: Some(by.to_owned()) }
}

fn find(typed: &str) -> Notice {
    Notice::Find { typed: typed.to_owned(), account: None }
}

/// A gateway on Redis, whose connections are kept until it is dropped.
struct OnRedis {
    gateway: Gateway,
    keeping: JoinHandle<()>,
    healing: JoinHandle<()>,
}

impl OnRedis {
    async fn start(url: &str, replicas: u32) -> Self {
        let pages = Arc::new(Pages::default());
        let (logins, keeper) = Logins::in_redis(url.parse().unwrap(), "test:", replicas, Arc::clone(&pages));
        let (logins, keeping) = (Arc::new(logins), tokio::spawn(keeper.run()));
        let healing = tokio::spawn({
            let logins = Arc::clone(&logins);
            async move { logins.run().await }
        });
        let until_ready = async {
            while !logins.is_ready() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, until_ready).await.unwrap();
        Self { gateway: Gateway { logins, pages }, keeping, healing }
    }
}

impl Drop for OnRedis {
    fn drop(&mut self) {
        self.keeping.abort();
        self.healing.abort();
    }
}

/// Runs a test on each store, with two gateways. In memory both are the same one.
async fn on_each_store(test: impl AsyncFn(&Gateway, &Gateway)) {
    let pages = Arc::new(Pages::default());
    let logins = Arc::new(Logins::in_memory(Arc::clone(&pages), 1_000));
    let gateway = Gateway { logins, pages };
    test(&gateway, &gateway).await;

    let redis = Redis::start().await;
    let (one, other) = (OnRedis::start(&redis.url(), 0).await, OnRedis::start(&redis.url(), 0).await);
    test(&one.gateway, &other.gateway).await;
}

async fn woken(seat: &Seat) {
    timeout(PATIENCE, seat.woken()).await.expect("the page is woken");
}

#[tokio::test]
async fn a_scan_at_any_gateway_ends_the_login_and_wakes_its_page() {
    on_each_store(async |here, there| {
        let (scene, seat) = here.open(TTL).await;
        let claimed = there.tell(&claim(scene, "p")).await;
        assert_eq!((claimed.status, claimed.state), (Status::Delivered, Some(State::Scanned)));
        assert_eq!(claimed.context.unwrap().ip, "192.0.2.1");
        woken(&seat).await;
        let shown = here.look(scene).await;
        assert!(shown.state == State::Scanned && shown.expires_in > TTL, "{shown:?}");
        assert_eq!(there.tell(&scan(scene, "p")).await.status, Status::Delivered);
        woken(&seat).await;
        let shown = here.look(scene).await;
        assert_eq!((shown.state, shown.user.as_str()), (State::Granted, "阿狸"));
        let again = here.tell(&scan(scene, "p")).await;
        assert_eq!((again.status, again.repeat), (Status::Delivered, true));
        assert_eq!(there.tell(&claim(scene, "q")).await.status, Status::Taken);
        assert_eq!(there.tell(&claim(Scene::random(), "p")).await.status, Status::Unknown);
        assert!(there.logins.look(Scene::random()).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn the_first_who_says_that_wechats_code_was_scanned_is_told_so_and_nobody_else() {
    on_each_store(async |here, there| {
        let from = Sender { client: "callback".to_owned(), may: Rights::all(), id: None };
        let first = async |at: &Gateway, notice: &Notice| {
            let scanned = at.logins.notify(notice, &from).await.scanned;
            scanned.map(|login| login.context().ip.clone())
        };
        let ip = Some("192.0.2.1".to_owned());
        let (claimed, _seat) = here.open(TTL).await;
        assert_eq!(first(there, &Notice::Query { scene: claimed }).await, None);
        assert_eq!(first(there, &claim(claimed, "p")).await, ip);
        for notice in [claim(claimed, "p"), claim(claimed, "q"), scan(claimed, "p"), scan(claimed, "p")] {
            assert_eq!(first(here, &notice).await, None, "{notice:?}");
        }
        let (unclaimed, _seat) = here.open(TTL).await;
        assert_eq!(first(there, &scan(unclaimed, "p")).await, ip);
        let (denied, _seat) = here.open(TTL).await;
        assert_eq!(first(there, &Notice::Deny { scene: denied, by: None }).await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_people_who_scan_at_once_one_gets_the_login() {
    on_each_store(async |here, there| {
        let (scene, _seat) = here.open(TTL).await;
        let scans = (0..100).map(async |person: usize| {
            let by = person.to_string();
            let gateway = if person.is_multiple_of(2) { here } else { there };
            loop {
                let answer = gateway.tell(&scan(scene, &by)).await;
                if !matches!(answer.status, Status::Busy | Status::Unsure) {
                    break (answer.status, by);
                }
            }
        });
        let (granted, taken): (Vec<_>, Vec<_>) =
            join_all(scans).await.into_iter().partition(|(status, _)| status.is_recorded());
        assert_eq!(granted.len(), 1, "{granted:?}");
        assert!(taken.iter().all(|(status, _)| *status == Status::Taken), "{taken:?}");
        assert!(here.tell(&scan(scene, &granted[0].1)).await.repeat);
    })
    .await;
}

#[tokio::test]
async fn a_probe_is_a_login_of_its_client_alone_whose_page_comes_by_its_key() {
    on_each_store(async |here, there| {
        let opened = here.tell(&Notice::Probe).await;
        assert_eq!((opened.status, opened.state), (Status::Ok, None));
        let (scene, Resume(key)) = (opened.scene.unwrap(), opened.resume.unwrap());
        let login = there.look(scene).await;
        assert!(login.is_probe() && login.opened.shown() == Shown { qr: None, typed: None }, "{login:?}");
        assert!(ResumeKey::parse(&key).unwrap().fits(login.opened.secret()) && login.seat.is_none());
        // Two gateways know Redis's clock to some milliseconds.
        assert!(login.expires_in < Duration::from_secs(31), "{login:?}");

        let other = Sender { client: "shop".to_owned(), may: Rights::all(), id: None };
        for notice in [claim(scene, "p"), scan(scene, "p"), Notice::Query { scene }] {
            assert_eq!(here.logins.notify(&notice, &other).await.answer.status, Status::Forbidden);
        }
        let seat = there.pages.join(scene);
        there.logins.sit(scene, seat.name()).await.unwrap().unwrap();
        let claimed = here.tell(&claim(scene, "p")).await;
        assert_eq!((claimed.status, &*claimed.context.unwrap().ip), (Status::Delivered, "0.0.0.0"));
        woken(&seat).await;
        assert_eq!(here.tell(&scan(scene, "p")).await.status, Status::Delivered);
        woken(&seat).await;

        let (page, _seat) = here.open(TTL).await;
        assert!(!there.look(page).await.is_probe());
        let may = Rights::of(&[Right::Scan, Right::Claim, Right::Deny, Right::Query, Right::Grant]);
        let client = Sender { client: "callback".to_owned(), may, id: None };
        assert_eq!(here.logins.notify(&Notice::Probe, &client).await.answer.status, Status::Forbidden);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn there_are_only_so_many_probes() {
    let pages = Arc::new(Pages::default());
    let gateway = Gateway { logins: Arc::new(Logins::in_memory(Arc::clone(&pages), 1_000)), pages };
    let mut statuses = Vec::new();
    for _ in 0..31 {
        statuses.push(gateway.tell(&Notice::Probe).await.status);
    }
    assert_eq!(statuses[..30], [Status::Ok; 30]);
    assert_eq!(statuses[30], Status::Busy);
    let wait = gateway.tell(&Notice::Probe).await.retry_in.unwrap();
    assert!((1..=1000).contains(&wait), "{wait}");
    sleep(Duration::from_millis(wait)).await;
    assert_eq!(gateway.tell(&Notice::Probe).await.status, Status::Ok);
}

#[tokio::test]
async fn a_newer_socket_takes_over_and_the_older_one_is_woken() {
    on_each_store(async |here, there| {
        let (scene, older) = here.open(TTL).await;
        let newer = there.pages.join(scene);
        let login = there.logins.sit(scene, newer.name()).await.unwrap().unwrap();
        assert_eq!(login.seat.as_ref(), Some(newer.name()));
        woken(&older).await;
        assert_eq!(here.look(scene).await.seat.as_ref(), Some(newer.name()));
        here.logins.leave(scene, older.name()).await;
        assert_eq!(here.tell(&claim(scene, "p")).await.status, Status::Delivered, "the newer one stays");
        woken(&newer).await;
        there.logins.leave(scene, newer.name()).await;
        assert_eq!(here.tell(&scan(scene, "p")).await.status, Status::Stored, "nobody is there");
        let unknown = Scene::random();
        assert!(there.logins.sit(unknown, newer.name()).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn time_ends_a_login_by_the_stores_clock_and_so_does_its_page() {
    on_each_store(async |here, there| {
        let (scene, _seat) = here.open(Duration::from_millis(300)).await;
        let until_expired = async {
            while there.look(scene).await.state != State::Expired {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, until_expired).await.unwrap();
        assert_eq!(here.tell(&claim(scene, "p")).await.status, Status::Expired);

        let (refreshed, _seat) = here.open(TTL).await;
        let login = here.logins.expire(refreshed).await.unwrap().unwrap();
        assert_eq!((login.state, login.expires_in), (State::Expired, Duration::ZERO));
        assert_eq!(there.tell(&scan(refreshed, "p")).await.status, Status::Expired);

        let (granted, _seat) = here.open(TTL).await;
        there.tell(&scan(granted, "p")).await;
        assert_eq!(
            here.logins.expire(granted).await.unwrap().unwrap().state,
            State::Granted,
            "the end stands"
        );
    })
    .await;
}

#[tokio::test]
async fn who_lacks_the_right_changes_nothing() {
    on_each_store(async |here, there| {
        let (scene, _seat) = here.open(TTL).await;
        let from = Sender { client: "shop".to_owned(), may: Rights::of(&[]), id: None };
        for notice in [claim(scene, "p"), scan(scene, "p"), Notice::Query { scene }] {
            let answer = there.logins.notify(&notice, &from).await.answer;
            assert_eq!((answer.status, answer.state), (Status::Forbidden, None));
        }
        assert_eq!(here.look(scene).await.state, State::Waiting);
    })
    .await;
}

#[tokio::test]
async fn a_typed_code_leads_to_its_login_also_after_the_claim_and_the_end() {
    on_each_store(async |here, there| {
        let (scene, _seat, code) = here.open_typed(TTL, Context::default()).await;
        let found = there.tell(&find(&code)).await;
        assert_eq!((found.status, found.scene, found.state), (Status::Ok, Some(scene), Some(State::Waiting)));
        there.tell(&claim(scene, "p")).await;
        let found = here.tell(&find(&code)).await;
        assert_eq!((found.scene, found.state), (Some(scene), Some(State::Scanned)));
        there.tell(&scan(scene, "p")).await;
        let found = here.tell(&find(&code)).await;
        assert_eq!((found.scene, found.state), (Some(scene), Some(State::Granted)));
        assert_eq!(found.context, None, "who asks learns nothing but where the login stands");
    })
    .await;
}

#[tokio::test]
async fn a_code_of_no_login_and_of_another_accounts_are_both_unknown() {
    on_each_store(async |here, there| {
        let shops = Context { account: Some("shop".to_owned()), ..Context::default() };
        let (scene, _seat, code) = here.open_typed(TTL, shops).await;
        let typed_to =
            |account: Option<&str>| Notice::Find { typed: code.clone(), account: account.map(str::to_owned) };
        assert_eq!(there.tell(&typed_to(Some("shop"))).await.scene, Some(scene));
        // Taken, and its login was never recorded.
        let unused = here.logins.typed_code(Scene::random(), None, TTL).await.unwrap();
        let (_, _seat, shown) = here.open_typed(TTL, Context::default()).await;
        let (first, rest) = shown.split_at(1);
        let mistyped = format!("{}{rest}", if first == "9" { '0' } else { '9' });
        for notice in [typed_to(None), typed_to(Some("other")), find(&unused), find(&mistyped)] {
            let answer = there.tell(&notice).await;
            assert_eq!(answer, Answer::new(Status::Unknown), "{notice:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_login_of_a_site_is_found_by_clients_with_grant_only() {
    on_each_store(async |here, there| {
        let context = Context { site: Some("shop".to_owned()), ..Context::default() };
        let (scene, _seat, code) = here.open_typed(TTL, context).await;
        let asks = async |rights: &[Right]| {
            let from = Sender { client: "shop".to_owned(), may: Rights::of(rights), id: None };
            there.logins.notify(&find(&code), &from).await.answer
        };
        assert_eq!(asks(&[Right::Claim]).await, Answer::new(Status::Forbidden));
        assert_eq!(asks(&[Right::Grant, Right::Query]).await, Answer::new(Status::Forbidden));
        assert_eq!(asks(&[Right::Claim, Right::Grant]).await.scene, Some(scene));
    })
    .await;
}
