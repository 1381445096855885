//! What the outbox promises. [`worker`] tries it with paused time, in records in memory, whose clock is that time too.
//! [`stores`] tries it in SQLite and in a real Redis.

#![allow(clippy::unwrap_used)]

mod stores;
mod worker;

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use records::{Kept, Records};
use tokio::time::{Duration, Instant};

use super::*;
use crate::metrics::Label;

fn logout(sid: &str) -> Message {
    Message::Logout { sub: "o1".to_owned(), sid: sid.to_owned(), login_id: None }
}

fn event(login: &str) -> Message {
    Message::Event {
        name: EventName::Login,
        sub: "o1".to_owned(),
        at: 1,
        login: Some(login.to_owned()),
        login_id: None,
        reason: None,
    }
}

/// What tells the messages of a test apart.
fn name(message: &Message) -> String {
    match message {
        Message::Logout { sid, .. } => sid.clone(),
        Message::Event { login, .. } => login.clone().unwrap(),
    }
}

fn counted(counter: &Family<Label, Counter>, kind: &'static str) -> u64 {
    counter.get_or_create(&[("kind", kind)]).get()
}

/// One try that a played site has seen.
#[derive(Debug, Clone)]
struct Try {
    site: String,
    id: String,
    name: String,
    at: Instant,
}

/// Sites that note each try.
#[derive(Debug, Clone, Default)]
struct Sites(Arc<Mutex<Vec<Try>>>);

impl Sites {
    fn note(&self, site: &str, delivery: &Delivery) {
        let (site, id, name) = (site.to_owned(), delivery.id.clone(), name(&delivery.message));
        self.0.lock().push(Try { site, id, name, at: Instant::now() });
    }

    fn tries(&self) -> Vec<Try> {
        self.0.lock().clone()
    }
}

fn names(sites: &[&str]) -> impl Fn() -> Vec<String> {
    let sites: Vec<String> = sites.iter().map(|site| (*site).to_owned()).collect();
    move || sites.clone()
}
