//! The pictures that were drawn lately, so that each is drawn once: when its code is made, and no more when the page
//! comes back. Drawing is most of what a page costs, and thousands of pages come back at once.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use super::draw::draw;
use super::source::WECHAT_EXPIRY;
use crate::metrics::Metrics;

/// Pictures in each half of the table, about 2 kB each: more than a gateway has pages.
const MOST_IN_A_HALF: usize = 16_384;

/// The pictures of one gateway, by the text that each encodes.
#[derive(Debug, Clone)]
pub(crate) struct Pictures {
    drawn: Counter,
    /// Never held across an await, nor while a picture is drawn.
    halves: Arc<Mutex<Halves>>,
}

/// What nobody has asked for while the younger half filled up, or for as long as a code lives, is forgotten.
#[derive(Debug)]
struct Halves {
    young: HashMap<Box<str>, Arc<str>>,
    old: HashMap<Box<str>, Arc<str>>,
    began: Instant,
}

impl Pictures {
    /// No pictures yet; `metrics` count those that are drawn.
    #[must_use]
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let halves = Halves { young: HashMap::new(), old: HashMap::new(), began: Instant::now() };
        Self { drawn: metrics.pictures_drawn.clone(), halves: Arc::new(Mutex::new(halves)) }
    }

    /// The picture of `content`, see [`draw`].
    pub(crate) fn of(&self, content: &str) -> Arc<str> {
        let known = self.halves.lock().find(content);
        known.unwrap_or_else(|| {
            self.drawn.inc();
            let picture: Arc<str> = draw(content).into();
            self.halves.lock().keep(content, &picture);
            picture
        })
    }
}

impl Halves {
    fn find(&mut self, content: &str) -> Option<Arc<str>> {
        if let Some(picture) = self.young.get(content) {
            return Some(Arc::clone(picture));
        }
        let picture = self.old.remove(content)?;
        self.keep(content, &picture);
        Some(picture)
    }

    fn keep(&mut self, content: &str, picture: &Arc<str>) {
        if self.young.len() >= MOST_IN_A_HALF || self.began.elapsed() >= WECHAT_EXPIRY {
            self.old = mem::take(&mut self.young);
            self.began = Instant::now();
        }
        self.young.insert(content.into(), Arc::clone(picture));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_picture_is_drawn_once_while_its_code_lives_and_forgotten_later() {
        let metrics = Metrics::default();
        let pictures = Pictures::new(&metrics);
        let first = pictures.of("http://weixin.qq.com/q/1");
        assert!(first.starts_with("data:image/png;base64,"));
        for minute in 1..=29 {
            advance(Duration::from_secs(60)).await;
            pictures.of(&format!("http://weixin.qq.com/q/another {minute}"));
        }
        assert_eq!(pictures.of("http://weixin.qq.com/q/1"), first);
        assert_eq!(metrics.pictures_drawn.get(), 30);
        for content in ["a", "b"] {
            advance(WECHAT_EXPIRY).await;
            pictures.of(content);
        }
        let halves = pictures.halves.lock();
        assert_eq!(halves.old.len() + halves.young.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_keeps_what_is_asked_for() {
        let mut halves = Halves { young: HashMap::new(), old: HashMap::new(), began: Instant::now() };
        let picture: Arc<str> = "picture".into();
        halves.keep("asked for", &picture);
        for number in 0..5 * MOST_IN_A_HALF {
            halves.keep(&number.to_string(), &picture);
            if number % 1000 == 0 {
                assert!(halves.find("asked for").is_some(), "after {number}");
            }
            assert!(halves.young.len() + halves.old.len() <= 2 * MOST_IN_A_HALF);
        }
    }
}
