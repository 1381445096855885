//! Copies of records that this process has written or read last.
//!
//! A change begins with the copy, and the store says whether the record is still that. So a copy need not be right, and
//! usually is: most records are changed by one process, several times in a row.
//!
//! With Redis a copy may also be news: this process has written it, and somebody here is told of that and will ask what it says. Then
//! Redis need not be asked. A copy stops being news as soon as another process says that it has changed the record.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Copies at once; the oldest give way. Without its copy a change takes one more round trip.
const MOST: usize = 4096;

/// Bytes of one. A record that grows with what happens to it, such as a person's, would make the copies as large as all of that.
const LONGEST: usize = 2048;

/// The copies of one process. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Copies(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    copies: HashMap<Arc<str>, Copy>,
    /// Their keys, the oldest first.
    order: VecDeque<Arc<str>>,
    /// The number that a copy gets next.
    next: u64,
}

#[derive(Default)]
struct Copy {
    text: Option<Arc<str>>,
    is_news: bool,
    /// Changes with everything that happens to the copy.
    number: u64,
}

/// Proves what a copy was when something began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Before(u64);

impl Copies {
    /// Something that will tell what a record is begins now.
    pub(crate) fn before(&self, key: &str) -> Before {
        let mut held = self.0.lock();
        if let Some(copy) = held.copies.get(key) {
            return Before(copy.number);
        }
        if held.order.len() >= MOST
            && let Some(oldest) = held.order.pop_front()
        {
            held.copies.remove(&oldest);
        }
        let (key, number) = (Arc::<str>::from(key), held.number());
        held.order.push_back(Arc::clone(&key));
        held.copies.insert(key, Copy { number, ..Copy::default() });
        Before(number)
    }

    /// The record is this now. It is only news if nothing else has happened to it meanwhile: what comes second here may have
    /// come first in Redis.
    pub(crate) fn put(&self, key: &str, before: &Before, text: Option<&str>, is_news: bool) {
        let mut held = self.0.lock();
        let number = held.number();
        if let Some(copy) = held.copies.get_mut(key) {
            let is_alone = copy.number == before.0;
            let text = text.filter(|text| text.len() <= LONGEST).map(Arc::from);
            *copy = Copy { text, is_news: is_news && is_alone, number };
        }
    }

    /// The record is perhaps another one now.
    pub(crate) fn outdate(&self, key: &str) {
        let mut held = self.0.lock();
        let number = held.number();
        if let Some(copy) = held.copies.get_mut(key) {
            *copy = Copy { number, ..Copy::default() };
        }
    }

    /// No copy is news any more.
    pub(crate) fn outdate_all(&self) {
        let mut held = self.0.lock();
        let number = held.number();
        for copy in held.copies.values_mut() {
            (copy.is_news, copy.number) = (false, number);
        }
    }

    /// The copy, which need not be right.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<str>> {
        self.0.lock().copies.get(key)?.text.clone()
    }

    /// The copy if it is news; it is so once.
    pub(crate) fn take_news(&self, key: &str) -> Option<Arc<str>> {
        let mut held = self.0.lock();
        let copy = held.copies.get_mut(key)?;
        std::mem::take(&mut copy.is_news).then(|| copy.text.clone()).flatten()
    }
}

impl Held {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(copies: &Copies) -> Option<String> {
        copies.take_news("a").map(|text| text.to_string())
    }

    #[test]
    fn what_was_written_here_is_news_once() {
        let copies = Copies::default();
        let before = copies.before("a");
        copies.put("a", &before, Some("one"), true);
        assert_eq!(news(&copies).as_deref(), Some("one"));
        assert_eq!(news(&copies), None);
        assert_eq!(copies.get("a").as_deref(), Some("one"), "and a copy all the same");
        assert_eq!(copies.get("b"), None);
    }

    #[test]
    fn what_may_have_changed_meanwhile_is_no_news() {
        let copies = Copies::default();
        let before = copies.before("a");
        copies.outdate("a");
        copies.put("a", &before, Some("one"), true);
        assert_eq!(news(&copies), None, "another process has said something while this one wrote");
        let [first, second] = [copies.before("a"), copies.before("a")];
        copies.put("a", &second, Some("two"), true);
        copies.put("a", &first, Some("one"), true);
        assert_eq!(news(&copies), None, "nobody knows which of the two Redis had first");
        let before = copies.before("a");
        copies.put("a", &before, Some("three"), true);
        copies.outdate("a");
        assert_eq!((news(&copies), copies.get("a")), (None, None));
        let before = copies.before("a");
        copies.put("a", &before, Some("four"), true);
        copies.outdate_all();
        assert_eq!(news(&copies), None);
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let copies = Copies::default();
        for (length, is_kept) in [(LONGEST, true), (LONGEST + 1, false), (1, true)] {
            copies.put("a", &copies.before("a"), Some(&"x".repeat(length)), true);
            assert_eq!(copies.get("a").map(|text| text.len()), is_kept.then_some(length));
            assert_eq!(news(&copies).is_some(), is_kept, "{length} bytes");
        }
    }

    #[test]
    fn the_oldest_give_way() {
        let copies = Copies::default();
        for n in 0..=MOST {
            let key = n.to_string();
            copies.put(&key, &copies.before(&key), Some("x"), false);
        }
        assert_eq!(copies.0.lock().copies.len(), MOST);
        assert_eq!(copies.get("0"), None);
        assert!(copies.get("1").is_some());
    }
}
