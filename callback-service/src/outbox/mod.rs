//! What sites are told, whenever they can be reached: a session's end, and what happens to a person.
//!
//! There is one record for each site in the [`store`](crate::store). [`queue`] is its rule; [`message`] is what waits
//! in it. [`worker`] delivers what is due, a few at a time as [`board`] allows. [`post`] is the HTTP of it. Every
//! delivery is made at least once within a day, or given up and told: who gets one twice knows it by its id.

mod backlog;
mod board;
mod message;
pub(crate) mod post;
mod queue;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use parking_lot::Mutex;
use records::{Kept, Moment, Records, Step, Write};
use server::tell;
use server::told::Told;
use tokio::sync::Notify;

pub(crate) use self::message::{EventName, Message};
pub(crate) use self::queue::{Delivery, Queue, View};

pub(crate) use self::backlog::Backlog;
use self::message::Written;
use crate::metrics::Metrics;
use crate::store::{StoreError, repeated};

/// The kind of its records.
pub(crate) const KIND: &str = "outbox";

/// What waits for sites. Clones share it, and so do all processes on one store.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    records: Records<Kept<Queue>>,
    metrics: Metrics,
    bell: Arc<Bell>,
    backlog: Backlog,
}

/// What this process has just put there, so that it need not wait for the next look.
#[derive(Debug, Default)]
struct Bell {
    /// The sites. Never held across an await.
    woken: Mutex<BTreeSet<String>>,
    rung: Notify,
    told: Told,
}

impl Outbox {
    /// The outbox in these records, of the kind [`KIND`].
    #[must_use]
    pub(crate) fn new(records: Records<Kept<Queue>>, metrics: Metrics) -> Self {
        Self { records, metrics, bell: Arc::default(), backlog: Backlog::default() }
    }

    /// What waits for all sites, as this process saw it last.
    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Puts a message there for a site. It is kept before this returns. If as many wait as may, it is dropped, told and
    /// counted: to keep the older ones is as good, and the site has missed hundreds.
    ///
    /// # Errors
    /// When the store has perhaps not kept it, or there is no room for a logout.
    pub(crate) async fn put(&self, site: &str, message: Message) -> Result<(), StoreError> {
        self.put_once(site, &new_id(), message).await
    }

    /// As [`Outbox::put`], under an id of the caller's: while a message of this id waits it is not put there again, and
    /// later the site knows it by its id.
    ///
    /// # Errors
    /// As [`Outbox::put`].
    pub(crate) async fn put_once(&self, site: &str, id: &str, message: Message) -> Result<(), StoreError> {
        let kind = message.kind();
        let message = Written::new(&message).map_err(|error| StoreError(error.to_string()))?;
        let put = || async {
            let put = self.records.update(site, |found, now| {
                let mut queue = found.cloned().unwrap_or_default();
                let has_room = queue.put(id, &message, now);
                let backlog = queue.backlog(now);
                match has_room {
                    true => Step::Write(Write { durably: true, ..written(queue, now) }, (true, backlog)),
                    false => Step::Keep((false, backlog)),
                }
            });
            let (has_room, (waiting, oldest)) = put.await?;
            self.backlog.note(site, waiting, oldest);
            Ok(has_room)
        };
        if repeated(put).await? {
            tracing::debug!(site, kind, id, "a site is to be told");
            self.bell.woken.lock().insert(site.to_owned());
            self.bell.rung.notify_one();
        } else {
            self.metrics.limits.hit("callback_service::outbox");
            self.metrics.outbox_refused.get_or_create(&[("kind", kind)]).inc();
            tell!(
                error,
                self.bell.told,
                format!("full {site}"),
                [site, kind],
                "what a site should be told is dropped, because {} deliveries wait for it; does it answer?",
                queue::MOST_WAITING
            );
            if kind == message::LOGOUT {
                return Err(StoreError(format!("too many logouts wait for the site {site}")));
            }
        }
        Ok(())
    }

    /// What waits for a site, and what was given up.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn look(&self, site: &str) -> Result<View, StoreError> {
        let found = self.records.read(site).await?;
        Ok(found.record.map(|queue| queue.view(found.now)).unwrap_or_default())
    }
}

/// The change to a queue, without what was given up long ago.
fn written(mut queue: Kept<Queue>, now: Moment) -> Write<Kept<Queue>> {
    queue.sweep(now);
    Write::new(queue, now + queue::KEPT)
}

/// A new delivery's id: 128 random bits.
fn new_id() -> String {
    let mut bits = [0; 16];
    aws_lc_rs::rand::fill(&mut bits).expect("the operating system gives random bytes");
    HEXLOWER.encode(&bits)
}
