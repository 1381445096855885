//! Ten thousand people, two hundred pages at a time: everybody gets their own page and nobody else's.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use demo::{Options, Stack};
use e2e::page::Page;
use simulator::Settings;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

const LOGINS: usize = 10_000;
const AT_A_TIME: usize = 200;

/// A small generator (xorshift64*), so that a failing order can be had again from its printed seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % sides
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_logins_each_to_its_own_person_and_counted_once() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let seed = u64::try_from(seed & u128::from(u64::MAX)).unwrap() | 1;
    eprintln!("seed {seed}");
    let mut dice = Dice(seed);

    let wechat = Settings { nicknames: true, ..Settings::default() };
    let stack = Arc::new(Stack::start(Options { wechat, ..Options::default() }).await.unwrap());
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let scanned = Arc::new(AtomicUsize::new(0));
    let (show, mut shown) = mpsc::channel(AT_A_TIME);
    let opener = Arc::clone(&stack);
    let opening = tokio::spawn(async move {
        let mut logins = JoinSet::new();
        for number in 0..LOGINS {
            let place = Arc::clone(&places).acquire_owned().await.unwrap();
            // Half of the people come twice, so that counts go up.
            let who = format!("person {}", number % (LOGINS / 2));
            let (stack, show) = (Arc::clone(&opener), show.clone());
            logins.spawn(async move {
                let mut page = Page::open(stack.gateway.browsers).await;
                let code = page.code().await;
                show.send((who.clone(), code.content)).await.unwrap();
                page.expect("scanned").await;
                let said = page.expect("scan_success").await;
                assert_eq!(said["user"], who.as_str(), "a page got another person");
                assert_eq!(page.closed().await, 4010);
                drop(place);
            });
        }
        logins
    });

    // Codes on show are scanned in another order than that in which they came: a random one, once there
    // are enough of them, or once there are no more to come.
    let mut scans = JoinSet::new();
    let mut on_show: Vec<(String, String)> = Vec::new();
    for number in 1..=LOGINS {
        on_show.push(shown.recv().await.unwrap());
        while on_show.len() > AT_A_TIME / 2 || (number == LOGINS && !on_show.is_empty()) {
            let (who, content) = on_show.swap_remove(dice.roll(on_show.len()));
            let repeats = 1 + dice.roll(3) / 2;
            scans.spawn(scan(Arc::clone(&stack), who, content, repeats, Arc::clone(&scanned)));
        }
    }
    let mut logins = opening.await.unwrap();
    let mut done = 0;
    while let Some(login) = logins.join_next().await {
        login.unwrap();
        done += 1;
    }
    let mut told: HashMap<String, Vec<usize>> = HashMap::new();
    while let Some(scan) = scans.join_next().await {
        let (who, count) = scan.unwrap();
        told.entry(who).or_default().push(count);
    }
    assert_eq!((done, scanned.load(Ordering::Relaxed)), (LOGINS, LOGINS), "none is lost");
    assert_eq!(told.len(), LOGINS / 2);
    for (who, mut counts) in told {
        counts.sort_unstable();
        assert_eq!(counts, [1, 2], "{who} was not counted once for each login");
    }
}

/// Scans a code, perhaps twice at once, and gives the count that the person was told.
async fn scan(
    stack: Arc<Stack>,
    who: String,
    content: String,
    repeats: usize,
    scanned: Arc<AtomicUsize>,
) -> (String, usize) {
    // Each person's openid is made of their name, so that the second visit is the same person.
    let openid = format!("o{:0>27}", who.trim_start_matches("person "));
    let person = simulator::Person {
        openid: openid.clone(),
        nickname: who.clone(),
        follower: true,
        ..Default::default()
    };
    stack.wechat.add_person(person);
    let tries = (0..repeats).map(|_| stack.wechat.scan(&openid, &content));
    let replies: Vec<_> = futures_util::future::join_all(tries)
        .await
        .into_iter()
        .map(|delivery| delivery.unwrap().reply.unwrap())
        .collect();
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    scanned.fetch_add(1, Ordering::Relaxed);
    let expected = format!("{who}，欢迎回来！\n这是你第");
    let rest = replies[0].strip_prefix(&expected).unwrap_or_else(|| panic!("{who} was told {}", replies[0]));
    let count = rest.split('次').next().unwrap().parse().unwrap();
    (who, count)
}
