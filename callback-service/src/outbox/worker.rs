//! The work: what is due is taken from the store and tried, and the store hears what became of it.
//!
//! A process that is stopped leaves what it has not finished to whoever works next, after the lease.

use std::mem;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use records::{Kept, Moment, Step};
use server::tell;
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tracing::Instrument as _;

use super::board::{Board, LOOK_EVERY};
use super::queue::{Delivery, Failed, GivenUp, Queue, Taken};
use super::{Outbox, written};
use crate::store::StoreError;
use crate::trace;

/// Limit for one try.
pub(super) const TRY: Duration = Duration::from_secs(10);

/// What a look at a site has found: the site, the places that it had, what is to be tried, and when there will be more;
/// nothing of that where the store has failed.
type Look = (String, usize, Option<(Vec<Delivery>, Option<Duration>)>);

impl Outbox {
    /// Delivers what waits for `sites` with `post`, for as long as it is polled. `post` gets the site and what it is
    /// told; its error is kept and logged, so it must not hold a secret. A try that takes longer than 10 s has failed.
    pub(crate) async fn run<F: Future<Output = Result<(), String>>>(
        &self,
        sites: impl Fn() -> Vec<String>,
        post: impl Fn(String, Delivery) -> F,
    ) {
        let (mut board, mut looks, mut tries) =
            (Board::default(), FuturesUnordered::new(), FuturesUnordered::new());
        let mut serve_at = Instant::now();
        loop {
            let now = Instant::now();
            let woken = mem::take(&mut *self.bell.woken.lock());
            let is_new = woken.iter().filter(|site| !board.wake(site, now)).count() > 0;
            if is_new || now >= serve_at {
                let sites = sites();
                self.backlog.keep(&sites);
                board.serve(sites, now);
                serve_at = now + LOOK_EVERY;
            }
            while let Some((site, room)) = board.next(now) {
                looks.push(self.look_for(site, room));
            }
            let next_at = board.next_at().map_or(serve_at, |at| at.min(serve_at));
            tokio::select! {
                Some((site, room, taken)) = looks.next() => {
                    let (due, next) = taken.unwrap_or_default();
                    let wait = next.map_or(LOOK_EVERY, |wait: Duration| wait.min(LOOK_EVERY));
                    board.looked(&site, room, due.len(), Instant::now() + wait);
                    for delivery in due {
                        tries.push(self.attempt(site.clone(), delivery, &post));
                    }
                }
                Some((site, has_failed)) = tries.next() => board.tried(&site, has_failed),
                () = self.bell.rung.notified() => {}
                () = sleep_until(next_at) => {}
            }
        }
    }

    /// Takes what is due of a site.
    async fn look_for(&self, site: String, room: usize) -> Look {
        let taken = self.change(&site, |queue, now| {
            let taken = queue.take(room, now);
            (!taken.is_nothing(), taken)
        });
        match taken.await {
            Ok(Taken { due, given_up, next }) => {
                for given_up in &given_up {
                    self.given_up(&site, given_up);
                }
                (site, room, Some((due, next)))
            }
            Err(error) => {
                tell!(error, self.bell.told, "take", "what waits for sites is not delivered now: {error}");
                (site, room, None)
            }
        }
    }

    /// Tries a delivery; gives the site, and whether it has failed.
    async fn attempt<F: Future<Output = Result<(), String>>>(
        &self,
        site: String,
        delivery: Delivery,
        post: &impl Fn(String, Delivery) -> F,
    ) -> (String, bool) {
        let span = trace::step(delivery.message.login_id(), "deliver");
        self.make(site, delivery, post).instrument(span).await
    }

    async fn make<F: Future<Output = Result<(), String>>>(
        &self,
        site: String,
        delivery: Delivery,
        post: &impl Fn(String, Delivery) -> F,
    ) -> (String, bool) {
        let posted = timeout(TRY, post(site.clone(), delivery.clone())).await;
        let posted = posted.unwrap_or_else(|_| Err(format!("no answer within {} s", TRY.as_secs())));
        let Delivery { id, message, tries } = &delivery;
        let kind = message.kind();
        match &posted {
            Ok(()) => tracing::debug!(site, kind, id, tries, "a site has been told"),
            Err(error) => tracing::debug!(site, kind, id, tries, "a site is not told: {error}"),
        }
        let (has_failed, noted) = match posted {
            Ok(()) => (false, self.note_done(&site, &delivery).await),
            Err(error) => (true, self.note_failed(&site, &delivery, &error).await),
        };
        if let Err(error) = noted {
            tell!(
                error,
                self.bell.told,
                "note",
                "what became of a delivery is not noted, so it is perhaps made again: {error}"
            );
        }
        (site, has_failed)
    }

    async fn note_done(&self, site: &str, delivery: &Delivery) -> Result<(), StoreError> {
        self.metrics.outbox_delivered.get_or_create(&[("kind", delivery.message.kind())]).inc();
        self.change(site, |queue, _| (queue.done(&delivery.id), ())).await
    }

    async fn note_failed(&self, site: &str, delivery: &Delivery, error: &str) -> Result<(), StoreError> {
        self.metrics.outbox_failed.get_or_create(&[("kind", delivery.message.kind())]).inc();
        let share = fastrand::f64();
        let failed = self.change(site, |queue, now| {
            let failed = queue.failed(delivery, error, share, now);
            (failed != Failed::NotOurs, failed)
        });
        if let Failed::GivenUp(given_up) = failed.await? {
            self.given_up(site, &given_up);
        }
        Ok(())
    }

    fn given_up(&self, site: &str, given_up: &GivenUp) {
        let GivenUp { id, kind, tries, error, login } = given_up;
        let _login = trace::login(*login).entered();
        self.metrics.outbox_dead.get_or_create(&[("kind", *kind)]).inc();
        tracing::error!(site, kind, id, tries, "a delivery to a site was given up after a day: {error}");
    }

    /// Changes what waits for a site by a rule, which says whether it has changed anything.
    pub(super) async fn change<T>(
        &self,
        site: &str,
        rule: impl Fn(&mut Kept<Queue>, Moment) -> (bool, T),
    ) -> Result<T, StoreError> {
        let changed = self.records.update(site, |found, now| {
            let mut queue = found.cloned().unwrap_or_default();
            let (has_changed, value) = rule(&mut queue, now);
            let backlog = queue.backlog(now);
            match has_changed {
                true => Step::Write(written(queue, now), (value, backlog)),
                false => Step::Keep((value, backlog)),
            }
        });
        let (value, (waiting, oldest)) = changed.await?;
        self.backlog.note(site, waiting, oldest);
        Ok(value)
    }
}
