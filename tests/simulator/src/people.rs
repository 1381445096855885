//! The people who hold the phones: whether each follows the account, and their chat with it.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::codes::Scene;
use crate::random;

/// People kept; the ones who came first go first. A load test brings ten thousand.
const MAX_PEOPLE: usize = 20_000;

/// Bubbles kept of one chat; more than anyone scrolls through in a test.
const MAX_BUBBLES: usize = 200;

/// Names for people who were not given one.
const NICKNAMES: [&str; 6] = ["小明", "小红", "Anna", "Juan", "李雷", "韩梅梅"];

/// Somebody with a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The person's name to this account; random when left empty.
    #[serde(default)]
    pub openid: String,
    /// What the person is called; taken from a short list when left empty.
    #[serde(default)]
    pub nickname: String,
    /// Whether the person follows the account.
    #[serde(default)]
    pub follower: bool,
}

/// One entry of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bubble {
    /// Its place in the chat, from 1, so that a reader can ask for what is new.
    pub number: u64,
    /// The person's own words; otherwise the account's, or WeChat's.
    pub from_person: bool,
    /// A line of WeChat's own: the account failed to answer.
    pub system: bool,
    /// The words.
    pub text: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// Who wrote a bubble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    Person,
    Account,
    WeChat,
}

/// How and when a person came to follow the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Follow {
    /// Unix seconds.
    pub(crate) at: u64,
    /// The code whose scan led there, if one did.
    pub(crate) scene: Option<Scene>,
}

#[derive(Debug)]
struct Record {
    nickname: String,
    follow: Option<Follow>,
    chat: VecDeque<Bubble>,
    written: u64,
}

/// Everybody, in the order in which they came.
#[derive(Default)]
pub(crate) struct People {
    by_openid: HashMap<String, Record>,
    order: VecDeque<String>,
}

impl People {
    /// Adds somebody, or changes who they are; fills in what was left empty.
    pub(crate) fn add(&mut self, mut person: Person, now: u64) -> Person {
        if person.openid.is_empty() {
            // 28 characters that begin with o, as all openids seen do.
            person.openid = format!("o{}", &random::name::<21>()[1..]);
        }
        if person.nickname.is_empty() {
            let [byte] = random::bytes();
            NICKNAMES[usize::from(byte) % NICKNAMES.len()].clone_into(&mut person.nickname);
        }
        let follow = person.follower.then_some(Follow { at: now, scene: None });
        if let Some(known) = self.by_openid.get_mut(&person.openid) {
            known.nickname.clone_from(&person.nickname);
            known.follow = follow;
            return person;
        }
        if self.order.len() >= MAX_PEOPLE
            && let Some(first) = self.order.pop_front()
        {
            self.by_openid.remove(&first);
        }
        self.order.push_back(person.openid.clone());
        let record = Record { nickname: person.nickname.clone(), follow, chat: VecDeque::new(), written: 0 };
        self.by_openid.insert(person.openid.clone(), record);
        person
    }

    pub(crate) fn get(&self, openid: &str) -> Option<Person> {
        self.by_openid.get(openid).map(|record| Person {
            openid: openid.to_owned(),
            nickname: record.nickname.clone(),
            follower: record.follow.is_some(),
        })
    }

    /// How somebody follows the account; `None` when they do not.
    pub(crate) fn followed(&self, openid: &str) -> Option<&Follow> {
        self.by_openid.get(openid)?.follow.as_ref()
    }

    /// Makes somebody a follower unless they are one; says whether they were. `None`: nobody.
    pub(crate) fn follow(&mut self, openid: &str, follow: Follow) -> Option<bool> {
        let record = self.by_openid.get_mut(openid)?;
        let was = record.follow.is_some();
        record.follow.get_or_insert(follow);
        Some(was)
    }

    /// Ends a follow; says whether there was one. `None`: nobody.
    pub(crate) fn unfollow(&mut self, openid: &str) -> Option<bool> {
        Some(self.by_openid.get_mut(openid)?.follow.take().is_some())
    }

    /// Everybody, those who came last first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = Person> {
        self.order.iter().rev().filter_map(|openid| self.get(openid))
    }

    /// Adds to somebody's chat; nothing happens when there is nobody of that openid.
    pub(crate) fn write(&mut self, openid: &str, writer: Writer, text: &str, at: u64) {
        let Some(record) = self.by_openid.get_mut(openid) else {
            return;
        };
        record.written += 1;
        record.chat.push_back(Bubble {
            number: record.written,
            from_person: writer == Writer::Person,
            system: writer == Writer::WeChat,
            text: text.to_owned(),
            at,
        });
        if record.chat.len() > MAX_BUBBLES {
            record.chat.pop_front();
        }
    }

    /// Somebody's chat after the bubble `number`, oldest first.
    pub(crate) fn chat(&self, openid: &str, number: u64) -> Vec<Bubble> {
        let bubbles = self.by_openid.get(openid).into_iter().flat_map(|it| &it.chat);
        bubbles.filter(|it| it.number > number).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn invented() -> Person {
        Person { openid: String::new(), nickname: String::new(), follower: false }
    }

    #[test]
    fn an_invented_person_looks_like_one_of_wechats() {
        let person = People::default().add(invented(), 1);
        assert_eq!(person.openid.len(), 28);
        assert!(person.openid.starts_with('o'));
        assert!(!person.nickname.is_empty());
    }

    #[test]
    fn a_follow_keeps_its_first_scene_and_ends_once() {
        let mut people = People::default();
        let openid = people.add(invented(), 1).openid;
        let by = |number| Follow { at: 1, scene: Some(Scene::Number(number)) };
        assert_eq!(people.follow(&openid, by(7)), Some(false));
        assert_eq!(people.follow(&openid, by(8)), Some(true));
        assert_eq!(people.followed(&openid), Some(&by(7)));
        assert_eq!(people.unfollow(&openid), Some(true));
        assert_eq!(people.unfollow(&openid), Some(false));
        assert_eq!(people.follow("nobody", by(1)), None);
    }

    #[test]
    fn chats_and_people_are_bounded() {
        let mut people = People::default();
        let first = people.add(invented(), 1).openid;
        for _ in 0..MAX_BUBBLES + 5 {
            people.write(&first, Writer::Person, "hi", 1);
        }
        let chat = people.chat(&first, 0);
        assert_eq!(chat.len(), MAX_BUBBLES);
        assert_eq!(chat[0].number, 6);
        assert_eq!(people.chat(&first, chat.last().unwrap().number - 1).len(), 1);
        for _ in 0..MAX_PEOPLE {
            people.add(invented(), 1);
        }
        assert_eq!(people.by_openid.len(), MAX_PEOPLE);
        assert!(people.get(&first).is_none());
    }
}
