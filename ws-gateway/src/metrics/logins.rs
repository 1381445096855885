//! The logins of this gateway's pages: how many are in progress, how they end, and how long each step takes.
//!
//! A page has one [`PageLogins`], which is told what happens to it. It counts what the page sees: a login that a page comes
//! back to is in progress here again, and one whose page goes has been left, whatever becomes of its record. So
//! `logins + resumed = the ends + those in progress`, at every moment.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use server::clock;
use server::metrics::buckets;
use tokio::time::{Duration, Instant};

use super::Counted;
use crate::browsers::message::ToPage;
use crate::logins::Snapshot;

/// The state of a login in progress.
type State = [(&'static str, &'static str); 1];

/// How a login ended.
type Ended = [(&'static str, &'static str); 1];

/// What is counted of logins. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct LoginMetrics {
    in_progress: Family<State, Gauge>,
    ended: Family<Ended, Counter>,
    shown_seconds: Histogram,
    scanned_seconds: Histogram,
    ended_seconds: Family<Ended, Histogram, fn() -> Histogram>,
}

impl Default for LoginMetrics {
    fn default() -> Self {
        let metrics = Self {
            in_progress: Family::default(),
            ended: Family::default(),
            shown_seconds: buckets::shown(),
            scanned_seconds: buckets::person(),
            ended_seconds: Family::new_with_constructor(buckets::person as fn() -> Histogram),
        };
        // They are shown from the start, with 0: a rate needs a value before the first one.
        for end in End::ALL {
            metrics.ended.get_or_create_owned(&end.labels());
        }
        for state in [WAITING, SCANNED] {
            metrics.in_progress.get_or_create_owned(&[("state", state)]);
        }
        metrics
    }
}

/// Nobody has scanned it.
const WAITING: &str = "waiting";

/// Somebody has scanned it, and perhaps is to confirm it.
const SCANNED: &str = "scanned";

/// How a login ends for its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its person has logged in.
    Granted,
    /// Its person, or the back end, said no.
    Denied,
    /// Its time was over.
    Expired,
    /// The page took another one.
    Replaced,
    /// The page went away. It may come back.
    Left,
}

impl End {
    const ALL: [Self; 5] = [Self::Granted, Self::Denied, Self::Expired, Self::Replaced, Self::Left];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::Left => "left",
        }
    }

    fn labels(self) -> Ended {
        [("end", self.name())]
    }
}

/// Whether a login that a page comes back to is counted as one. This is the only place where that is decided: whatever
/// is no person's login comes back to a record that says so.
pub(crate) fn is_counted(login: &Snapshot) -> bool {
    !login.is_probe
}

impl LoginMetrics {
    /// Logins in progress in this state: `waiting` or `scanned`.
    #[cfg(test)]
    pub(crate) fn in_progress(&self, state: &'static str) -> i64 {
        self.in_progress.get_or_create(&[("state", state)]).get()
    }

    /// Logins that have ended like this.
    #[cfg(test)]
    pub(crate) fn ended(&self, end: End) -> u64 {
        self.ended.get_or_create(&end.labels()).get()
    }

    /// Registers everything under the prefix of `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "logins_in_progress",
            "Logins that pages show now: waiting for a scan, or scanned",
            self.in_progress.clone(),
        );
        registry.register(
            "logins_ended",
            "Logins that ended for their pages: granted, denied, expired, replaced (the page took another), left (it went \
             away, and may come back)",
            self.ended.clone(),
        );
        registry.register_with_unit(
            "login_shown",
            "From a page's opening, or its wish for another login, to its QR code",
            Unit::Seconds,
            self.shown_seconds.clone(),
        );
        registry.register_with_unit(
            "login_scanned",
            "From a login's QR code to its scan",
            Unit::Seconds,
            self.scanned_seconds.clone(),
        );
        registry.register_with_unit(
            "login_ended",
            "From a login's QR code to its end",
            Unit::Seconds,
            self.ended_seconds.clone(),
        );
    }
}

/// What is counted of one page's logins, one after the other. Dropping it ends the last one as left.
#[derive(Debug)]
pub(crate) struct PageLogins {
    metrics: LoginMetrics,
    /// Since when the page waits for a QR code.
    waits_since: Instant,
    login: Option<InProgress>,
}

#[derive(Debug)]
struct InProgress {
    shown_at: Instant,
    is_scanned: bool,
    _counted: Counted,
}

impl PageLogins {
    /// Those of a page that has just been opened.
    pub(crate) fn new(metrics: &LoginMetrics) -> Self {
        Self { metrics: metrics.clone(), waits_since: Instant::now(), login: None }
    }

    /// The page gets another login. What it showed, if that has not ended, is replaced.
    pub(crate) fn takes_another(&mut self) {
        self.end(End::Replaced);
        self.waits_since = Instant::now();
    }

    /// The page is shown a new login.
    pub(crate) fn shows(&mut self) {
        let now = Instant::now();
        self.metrics.shown_seconds.observe(now.duration_since(self.waits_since).as_secs_f64());
        self.begin(now, false);
    }

    /// The page has come back to this login, which somebody else may have counted as left.
    pub(crate) fn comes_back_to(&mut self, login: &Snapshot) {
        // It may be another gateway that has shown it, so only the wall clock knows when.
        let age = clock::unix_now().saturating_sub(login.context.created_at);
        let now = Instant::now();
        self.begin(now.checked_sub(Duration::from_secs(age)).unwrap_or(now), login.is_claimed);
    }

    /// The page is told something of its login.
    pub(crate) fn told(&mut self, message: &ToPage) {
        match message {
            ToPage::Scanned { .. } => self.scanned(),
            ToPage::ScanSuccess { .. } => self.end(End::Granted),
            ToPage::Denied => self.end(End::Denied),
            ToPage::Expired => self.end(End::Expired),
            _ => {}
        }
    }

    fn begin(&mut self, shown_at: Instant, is_scanned: bool) {
        let _counted = self.count(is_scanned);
        self.login = Some(InProgress { shown_at, is_scanned, _counted });
    }

    fn count(&self, is_scanned: bool) -> Counted {
        let state = if is_scanned { SCANNED } else { WAITING };
        Counted::by(self.metrics.in_progress.get_or_create_owned(&[("state", state)]))
    }

    fn scanned(&mut self) {
        let _counted = self.count(true);
        let Some(login) = self.login.as_mut().filter(|login| !login.is_scanned) else { return };
        (login.is_scanned, login._counted) = (true, _counted);
        self.metrics.scanned_seconds.observe(login.shown_at.elapsed().as_secs_f64());
    }

    fn end(&mut self, end: End) {
        let Some(login) = self.login.take() else { return };
        self.metrics.ended.get_or_create(&end.labels()).inc();
        let took = login.shown_at.elapsed().as_secs_f64();
        self.metrics.ended_seconds.get_or_create(&end.labels()).observe(took);
    }
}

impl Drop for PageLogins {
    fn drop(&mut self) {
        self.end(End::Left);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::time::advance;

    use super::*;

    const SCANNED_NOW: ToPage = ToPage::Scanned { expires_in: 60, number: None };

    /// The count and the sum of seconds of a histogram.
    fn observed(metrics: &LoginMetrics, name: &str) -> (u64, f64) {
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let value = |end: &str| {
            let (base, labels) = name
                .split_once('{')
                .map_or((name, String::new()), |(base, labels)| (base, format!("{{{labels}")));
            let line = format!("{base}_{end}{labels} ");
            let found = text.lines().find_map(|found| found.strip_prefix(&line));
            found.unwrap_or_else(|| panic!("{line} is missing in {text}")).to_owned()
        };
        (value("count").parse().unwrap(), value("sum").parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_is_followed_from_its_page_to_its_end() {
        let (metrics, second) = (LoginMetrics::default(), Duration::from_secs(1));
        let mut page = PageLogins::new(&metrics);
        advance(second).await;
        page.shows();
        assert_eq!([metrics.in_progress(WAITING), metrics.in_progress(SCANNED)], [1, 0]);
        advance(4 * second).await;
        page.told(&SCANNED_NOW);
        // A number comes later, and is no second scan.
        advance(second).await;
        page.told(&SCANNED_NOW);
        assert_eq!([metrics.in_progress(WAITING), metrics.in_progress(SCANNED)], [0, 1]);
        page.told(&ToPage::Heartbeat);
        page.told(&ToPage::ScanSuccess { user: String::new(), code: None });
        assert_eq!([metrics.in_progress(WAITING), metrics.in_progress(SCANNED)], [0, 0]);
        assert_eq!(observed(&metrics, "login_shown_seconds"), (1, 1.0));
        assert_eq!(observed(&metrics, "login_scanned_seconds"), (1, 4.0));
        assert_eq!(observed(&metrics, "login_ended_seconds{end=\"granted\"}"), (1, 5.0));
        drop(page);
        assert_eq!([metrics.ended(End::Granted), metrics.ended(End::Left)], [1, 0], "it ends once");
    }

    #[tokio::test(start_paused = true)]
    async fn each_end_is_told_apart_and_a_page_waits_anew_for_each_login() {
        let (metrics, second) = (LoginMetrics::default(), Duration::from_secs(1));
        let mut page = PageLogins::new(&metrics);
        page.shows();
        page.told(&ToPage::Expired);
        advance(100 * second).await;
        page.takes_another();
        advance(2 * second).await;
        page.shows();
        page.takes_another();
        page.shows();
        page.told(&ToPage::Denied);
        page.takes_another();
        page.shows();
        drop(page);
        let ends = [End::Expired, End::Replaced, End::Denied, End::Left].map(|end| metrics.ended(end));
        assert_eq!(ends, [1; 4]);
        assert_eq!(observed(&metrics, "login_shown_seconds"), (4, 2.0), "not from its page's beginning");
        // A page that has never been shown a login has left none.
        drop(PageLogins::new(&metrics));
        assert_eq!(metrics.ended(End::Left), 1);
    }
}
