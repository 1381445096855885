//! What is counted of a page's logins, as its task goes along.

use server::clock;
use tokio::time::{Duration, Instant};

use crate::browsers::message::ToPage;
use crate::logins::Snapshot;
use crate::metrics::Counted;
use crate::metrics::logins::{End, LoginMetrics};

/// Whether a login that a page comes back to is counted as one. This is the only place where that is decided: whatever
/// is no person's login comes back to a record that says so.
pub(crate) fn is_counted(login: &Snapshot) -> bool {
    !login.is_probe()
}

/// What is counted of one page's logins, one after the other. Dropping it ends the last one as left.
#[derive(Debug)]
pub(crate) struct PageLogins {
    metrics: LoginMetrics,
    /// Since when the page waits for a QR code, or shows its login.
    since: Instant,
    login: Option<InProgress>,
}

#[derive(Debug)]
struct InProgress {
    is_scanned: bool,
    _counted: Counted,
}

impl PageLogins {
    /// Those of a page that has just been opened.
    pub(crate) fn new(metrics: &LoginMetrics) -> Self {
        Self { metrics: metrics.clone(), since: Instant::now(), login: None }
    }

    /// The page gets another login. What it showed, if that has not ended, is replaced.
    pub(crate) fn takes_another(&mut self) {
        self.end(End::Replaced);
        self.since = Instant::now();
    }

    /// The page is shown a new login.
    pub(crate) fn shows(&mut self) {
        let now = Instant::now();
        self.metrics.shown(now.duration_since(self.since));
        self.begin(now, false);
    }

    /// The page has come back to this login, which somebody else may have counted as left.
    pub(crate) fn comes_back_to(&mut self, login: &Snapshot) {
        // It may be another gateway that has shown it, so only the wall clock knows when.
        let age = clock::unix_now().saturating_sub(login.opened.context().created_at);
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
        let _counted = self.metrics.begin(is_scanned);
        (self.since, self.login) = (shown_at, Some(InProgress { is_scanned, _counted }));
    }

    fn scanned(&mut self) {
        let Some(login) = self.login.as_mut().filter(|login| !login.is_scanned) else { return };
        (login.is_scanned, login._counted) = (true, self.metrics.begin(true));
        self.metrics.scanned(self.since.elapsed());
    }

    fn end(&mut self, end: End) {
        if self.login.take().is_some() {
            self.metrics.end(end, self.since.elapsed());
        }
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

    use prometheus_client::registry::Registry;
    use tokio::time::advance;

    use super::*;
    use crate::metrics::logins::{SCANNED, WAITING};

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
