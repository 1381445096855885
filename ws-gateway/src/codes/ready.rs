//! The QR codes that are made ahead, so that a page need not wait for a call to WeChat.
//!
//! Each code has a scene of its own and is handed out once. The oldest comes first, and only while it is still valid
//! for the whole time of a login. One task refills the shelf: at the start, after each code that was taken, before
//! codes grow too old, and after failures. When many pages come at once, more codes are made on demand.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use protocol::Scene;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::budget::{Budget, Purpose};
use super::purse::Purse;
use super::source::{Source, WECHAT_EXPIRY};
use super::standstill::Clocks;
use super::unscanned::Prepaid;
use super::{NewCode, NoQrCode, Unscanned};
use crate::logins::AFTER_CLAIM;
use crate::metrics::OfAccount;

/// Calls to WeChat under way at once. Further pages wait, within the time limit of a call.
const MAX_CALLS: usize = 64;

/// Calls among them that make codes ahead: enough to keep up, without a rush of our own.
const MAX_CALLS_AHEAD: usize = 4;

/// How long a page waits before it is told that there is no code just now.
const WITHIN: Duration = Duration::from_secs(9);

/// Codes are replaced this long before they are too old, so that there always are some.
const REPLACE_BEFORE: Duration = Duration::from_secs(60);

/// Codes that could be handed out for less time than this are not made ahead. An idle gateway would throw them away
/// all day.
const LEAST_KEPT: Duration = Duration::from_secs(300);

/// The QR codes of a gateway, some of them made ahead.
pub(crate) struct Ready {
    source: Box<dyn Source>,
    budget: Budget,
    unscanned: Unscanned,
    calls: Semaphore,
    /// Never held across an await. It holds at most twice `most`: codes, and the old ones that they replace.
    shelf: Mutex<VecDeque<Made>>,
    clocks: Mutex<Clocks>,
    taken: Notify,
    most: usize,
    /// How long after its making a code may be handed out.
    keeps: Duration,
    calls_made: Counter,
    shown: Gauge,
}

struct Made {
    new: NewCode,
    /// When WeChat was asked. WeChat counts the code's time from a moment later.
    at: Instant,
}

impl Ready {
    /// Keeps `most` codes for logins that live for `ttl`, within `budget`. There are none before [`Ready::refill`]
    /// runs.
    #[must_use]
    pub(crate) fn new(
        source: Box<dyn Source>,
        budget: Budget,
        unscanned: Unscanned,
        most: usize,
        ttl: Duration,
        metrics: &OfAccount,
    ) -> Self {
        let keeps = WECHAT_EXPIRY.saturating_sub(ttl + AFTER_CLAIM);
        let is_worth_it = keeps >= LEAST_KEPT;
        if most > 0 && !is_worth_it {
            tracing::warn!("no QR codes are made ahead: GATEWAY_LOGIN_TTL leaves them too little time");
        }
        let clocks = Mutex::new(Clocks::new(Instant::now(), budget.unix_now()));
        Self {
            source,
            budget,
            unscanned,
            calls: Semaphore::new(MAX_CALLS),
            shelf: Mutex::default(),
            clocks,
            taken: Notify::new(),
            most: if is_worth_it { most } else { 0 },
            keeps,
            calls_made: metrics.calls.clone(),
            shown: metrics.ready.clone(),
        }
    }

    /// How many codes wait for pages.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// What WeChat refuses at present, each in a line with what an operator can do.
    #[must_use]
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.source.refusals()
    }

    /// The day's calls to WeChat.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What addresses have left unscanned.
    pub(crate) fn unscanned(&self) -> &Unscanned {
        &self.unscanned
    }

    /// Forgets addresses that have their whole share again, for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        self.unscanned.sweep().await;
    }

    /// Keeps codes ready for as long as it is polled.
    pub(crate) async fn refill(&self) {
        let mut failures = 0_u32;
        loop {
            let (missing, until) = self.look();
            if missing == 0 {
                tokio::select! {
                    () = self.taken.notified() => {}
                    () = sleep_until(until) => {}
                }
                continue;
            }
            let Err(none) = self.make_ahead(missing.min(MAX_CALLS_AHEAD)).await else {
                if failures > 0 {
                    tracing::info!("QR codes are made ahead again");
                }
                failures = 0;
                continue;
            };
            if failures == 0 {
                tracing::warn!("no QR codes are made ahead: {none}");
            }
            failures = failures.saturating_add(1);
            sleep(none.retry_in(failures)).await;
        }
    }

    /// Takes a code for a page at `address`, within some seconds. Perhaps the address's share was asked for before.
    ///
    /// # Errors
    /// [`NoQrCode`]. Dropping the future leaves at most a code that nobody is shown.
    pub(crate) async fn take(&self, address: IpAddr, prepaid: Option<Prepaid>) -> Result<NewCode, NoQrCode> {
        self.unscanned.use_prepaid(prepaid, address).await?;
        // If the page leaves meanwhile, this is not reached: perhaps a code was made, so it stays counted.
        let made = self.make_for(address).await;
        if made.is_err() {
            self.unscanned.give_back(address).await;
        }
        made.map(|made| made.new)
    }

    /// Notes that somebody has scanned a code that was made for a page at `address`.
    pub(crate) async fn scanned(&self, address: IpAddr) {
        self.unscanned.note_scan(address).await;
    }

    /// Makes `count` codes at once, and keeps those that it gets even if another call fails.
    async fn make_ahead(&self, count: usize) -> Result<(), NoQrCode> {
        let calls = (0..count).map(|_| async {
            let made = self.make(Purpose::Ahead).await?;
            let mut shelf = self.lock();
            shelf.push_back(made);
            self.show(&shelf);
            Ok(())
        });
        join_all(calls).await.into_iter().collect()
    }

    async fn make(&self, purpose: Purpose) -> Result<Made, NoQrCode> {
        let made = async {
            let _place = self.calls.acquire().await.map_err(|_| NoQrCode::Slow)?;
            let (scene, at) = (Scene::random(), Instant::now());
            let purse = Purse { budget: &self.budget, purpose, calls: &self.calls_made };
            let code = self.source.ask(scene, &purse).await?;
            Ok(Made { new: NewCode { scene, code }, at })
        };
        timeout(WITHIN, made).await.unwrap_or(Err(NoQrCode::Slow))
    }

    /// A code that was made ahead, or a new one. Whether the page's network has had a scan is only asked when strangers
    /// get none.
    async fn make_for(&self, address: IpAddr) -> Result<Made, NoQrCode> {
        if let Some(made) = self.take_ready() {
            return Ok(made);
        }
        match self.make(Purpose::Stranger).await {
            Err(NoQrCode::Rush(_) | NoQrCode::Spent(_)) if self.unscanned.has_scanned(address).await => {
                self.make(Purpose::Page).await
            }
            made => made,
        }
    }

    /// How many codes are missing, and when to look again if nothing happens before.
    fn look(&self) -> (usize, Instant) {
        let now = Instant::now();
        let mut shelf = self.lock();
        shelf.retain(|made| now < made.at + self.keeps);
        self.show(&shelf);
        let lasts_until = |made: &Made| made.at + self.keeps.saturating_sub(REPLACE_BEFORE);
        let lasting = shelf.iter().map(lasts_until).filter(|until| now < *until);
        let until = lasting.clone().min().unwrap_or(now + WECHAT_EXPIRY);
        (self.most.saturating_sub(lasting.count()), until)
    }

    /// The oldest code that is not too old. It is not put back, whatever becomes of its page.
    fn take_ready(&self) -> Option<Made> {
        let now = Instant::now();
        let mut shelf = self.lock();
        let made = std::iter::from_fn(|| shelf.pop_front()).find(|made| now < made.at + self.keeps);
        self.show(&shelf);
        self.taken.notify_one();
        made
    }

    fn show(&self, shelf: &VecDeque<Made>) {
        self.shown.set(i64::try_from(shelf.len()).unwrap_or(i64::MAX));
    }

    /// The shelf, without codes that may have expired at WeChat while the machine stood still.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Made>> {
        // The clocks are held until the shelf is, or another task could take a code between the two.
        let mut clocks = self.clocks.lock();
        let have_parted = clocks.have_parted(Instant::now(), self.budget.unix_now());
        let mut shelf = self.shelf.lock();
        drop(clocks);
        if have_parted && !shelf.is_empty() {
            tracing::info!(
                "this machine stood still, or its clock was set: QR codes made ahead are made anew"
            );
            shelf.clear();
        }
        shelf
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use futures_util::FutureExt;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::metrics::Metrics;
    use crate::testing::in_memory::{Mood, PlayedWeChat, code_of, noon, stand_still};

    /// Where the pages of these tests are.
    const SOMEBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    const TTL: Duration = Duration::from_secs(120);
    const KEEPS: Duration = Duration::from_secs(1800 - 120 - 120);

    struct Played {
        ready: Arc<Ready>,
        wechat: Arc<PlayedWeChat>,
        metrics: OfAccount,
        refilling: JoinHandle<()>,
    }

    impl Played {
        /// Eight codes ahead from a WeChat that needs a second for each.
        fn with(per_day: u32, failures: usize) -> Self {
            let wechat = PlayedWeChat::new(Duration::from_secs(1));
            *wechat.failures.lock() = failures;
            let (budget, metrics) = (Budget::new(per_day, None, noon), Metrics::default());
            let unscanned = Unscanned::new(1_000_000, 1_000_000, None);
            let metrics = metrics.of_account("");
            let ready =
                Arc::new(Ready::new(Box::new(Arc::clone(&wechat)), budget, unscanned, 8, TTL, &metrics));
            // No stranger: all of the budget is there for him.
            ready.scanned(SOMEBODY).now_or_never().unwrap();
            let task = Arc::clone(&ready);
            let refilling = tokio::spawn(async move { task.refill().await });
            Self { ready, wechat, metrics, refilling }
        }

        /// Takes a code; says for which scene and how long it took.
        async fn take(&self) -> (Scene, Duration) {
            let began = Instant::now();
            let NewCode { scene, code } = self.ready.take(SOMEBODY, None).await.unwrap();
            assert_eq!(code, code_of(scene), "the scene is the one that WeChat was asked for");
            (scene, began.elapsed())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pages_wait_for_no_call_and_each_gets_its_own_code() {
        let played = Played::with(90_000, 0);
        sleep(Duration::from_secs(10)).await;
        assert_eq!((played.wechat.calls(), played.metrics.ready.get()), (8, 8));
        let mut scenes = HashSet::new();
        for _ in 0..8 {
            let (scene, waited) = played.take().await;
            assert!(scenes.insert(scene) && waited.is_zero(), "{waited:?}");
        }
        let (scene, waited) = played.take().await;
        assert!(scenes.insert(scene) && waited == Duration::from_secs(1), "made on demand: {waited:?}");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(played.wechat.calls(), 17, "each that was handed out was replaced");
        assert_eq!((played.metrics.calls.get(), played.metrics.ready.get()), (17, 8));
        let rush = join_all((0..200).map(|_| played.take())).await;
        assert!(rush.into_iter().all(|(scene, _)| scenes.insert(scene)), "a code was handed out twice");
    }

    #[tokio::test(start_paused = true)]
    async fn a_code_that_a_page_took_and_left_is_gone() {
        let played = Played::with(90_000, 0);
        sleep(Duration::from_secs(10)).await;
        played.refilling.abort();
        let first = played.wechat.asked.lock()[0];
        let taking = played.ready.take(SOMEBODY, None);
        assert_eq!(taking.now_or_never().unwrap().unwrap().scene, first);
        // The next page leaves while its code is being made.
        for _ in 0..7 {
            assert_ne!(played.take().await.0, first);
        }
        assert!(timeout(Duration::from_millis(500), played.ready.take(SOMEBODY, None)).await.is_err());
        let left = *played.wechat.asked.lock().last().unwrap();
        assert_ne!(played.take().await.0, left);
    }

    #[tokio::test(start_paused = true)]
    async fn a_code_too_old_for_a_whole_login_is_not_handed_out() {
        let played = Played::with(90_000, 0);
        let began = Instant::now();
        sleep(Duration::from_secs(10)).await;
        played.refilling.abort();
        sleep_until(began + KEEPS - Duration::from_millis(10)).await;
        assert_eq!(played.take().await.1, Duration::ZERO, "old, but it has its time left");
        // The first four were asked for at the beginning, the others a second later.
        sleep_until(began + KEEPS + Duration::from_millis(10)).await;
        assert_eq!(played.take().await.1, Duration::ZERO);
        assert_eq!(played.metrics.ready.get(), 3, "three that were too old were dropped");
        sleep_until(began + KEEPS + Duration::from_millis(1010)).await;
        assert_eq!(played.take().await.1, Duration::from_secs(1), "made anew");
    }

    #[tokio::test(start_paused = true)]
    async fn codes_that_lay_there_while_the_machine_stood_still_are_not_handed_out() {
        let played = Played::with(90_000, 0);
        sleep(Duration::from_secs(10)).await;
        let ahead = played.wechat.asked.lock().clone();
        stand_still(3600);
        let (scene, waited) = played.take().await;
        assert!(!ahead.contains(&scene) && waited == Duration::from_secs(1), "{waited:?}");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(played.metrics.ready.get(), 8);
        let (scene, waited) = played.take().await;
        assert!(!ahead.contains(&scene) && waited.is_zero(), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_gateway_always_has_fresh_codes_and_spends_little() {
        let played = Played::with(90_000, 0);
        sleep(Duration::from_secs(10)).await;
        for _ in 0..24 * 60 {
            sleep(Duration::from_secs(60)).await;
            let (_, until) = played.ready.look();
            assert!(played.metrics.ready.get() >= 8 && until > Instant::now());
        }
        let calls = played.wechat.calls();
        assert!((400..=500).contains(&calls), "{calls} calls in a day");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_not_hammered_and_ends_by_itself() {
        let played = Played::with(90_000, 100);
        sleep(Duration::from_secs(300)).await;
        let during = played.wechat.calls();
        assert!((40..=60).contains(&during), "{during} calls in five minutes");
        sleep(Duration::from_secs(600)).await;
        assert_eq!((played.wechat.calls(), played.metrics.ready.get()), (108, 8));
        assert_eq!(played.take().await.1, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn near_the_end_of_the_budget_codes_are_for_pages_only() {
        let played = Played::with(50, 0);
        for _ in 0..45 {
            sleep(Duration::from_secs(10)).await;
            assert_eq!(played.take().await.1, Duration::ZERO);
        }
        assert_eq!((played.wechat.calls(), played.metrics.ready.get()), (45, 0));
        for _ in 0..5 {
            sleep(Duration::from_secs(1000)).await;
            assert_eq!(played.take().await.1, Duration::from_secs(1), "made on demand");
        }
        assert!(matches!(played.ready.take(SOMEBODY, None).await, Err(NoQrCode::Spent(_))));
        assert_eq!(played.wechat.calls(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn codes_that_would_not_keep_are_not_made_ahead() {
        let wechat = PlayedWeChat::new(Duration::ZERO);
        let (ttl, budget) = (Duration::from_secs(1680), Budget::new(90_000, None, noon));
        let (metrics, unscanned) = (Metrics::default(), Unscanned::new(90_000, 120, None));
        let ready =
            Ready::new(Box::new(Arc::clone(&wechat)), budget, unscanned, 8, ttl, &metrics.of_account(""));
        assert!(timeout(Duration::from_secs(3600), ready.refill()).await.is_err());
        assert_eq!(wechat.calls(), 0);
        assert!(ready.take(SOMEBODY, None).await.is_ok());
    }

    /// A hundred pages ask while WeChat feels so; says what was counted meanwhile, and whether all the codes of the
    /// budget are there once it is well again.
    async fn a_hundred_ask_while_wechat(mood: Mood) -> (u64, bool) {
        let played = Played::with(100, 0);
        played.refilling.abort();
        played.wechat.feels(mood);
        for _ in 0..100 {
            assert!(matches!(played.ready.take(SOMEBODY, None).await, Err(NoQrCode::Refused(_))));
        }
        let counted = played.metrics.calls.get();
        played.wechat.feels(Mood::Well);
        for _ in 0..100 {
            if played.ready.take(SOMEBODY, None).await.is_err() {
                return (counted, false);
            }
        }
        (counted, true)
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_never_made_are_not_counted_and_a_mended_account_has_its_codes() {
        assert_eq!(a_hundred_ask_while_wechat(Mood::Refuses).await, (0, true));
        assert_eq!(a_hundred_ask_while_wechat(Mood::Unreachable).await, (0, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_wechat_comes_before_the_budget_is_asked() {
        let played = Played::with(100, 0);
        played.refilling.abort();
        while played.ready.take(SOMEBODY, None).await.is_ok() {}
        assert!(matches!(played.ready.take(SOMEBODY, None).await, Err(NoQrCode::Spent(_))));
        played.wechat.feels(Mood::Refuses);
        assert!(matches!(played.ready.take(SOMEBODY, None).await, Err(NoQrCode::Refused(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn each_try_is_counted_also_when_the_page_leaves_meanwhile() {
        let played = Played::with(100, 0);
        played.refilling.abort();
        played.wechat.feels(Mood::Busy);
        played.take().await;
        assert_eq!((played.metrics.calls.get(), played.wechat.calls()), (3, 3));
        assert!(timeout(Duration::from_millis(1500), played.ready.take(SOMEBODY, None)).await.is_err());
        assert_eq!((played.metrics.calls.get(), played.wechat.calls()), (5, 5));
    }
}
