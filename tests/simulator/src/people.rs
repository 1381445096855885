//! The people with the phones: whether each one follows the account, and their chats with it.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::codes::Scene;
use crate::random;

/// The most people kept; the oldest are removed first. A load test has ten thousand.
const MAX_PEOPLE: usize = 20_000;

/// The most bubbles kept of one chat, more than a test scrolls through.
const MAX_BUBBLES: usize = 200;

/// Names for people without one.
const NICKNAMES: [&str; 6] = ["小明", "小红", "Anna", "Juan", "李雷", "韩梅梅"];

/// A person with a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The person's openid for this account; random if left empty.
    #[serde(default)]
    pub openid: String,
    /// The person's nickname; taken from a short list if left empty.
    #[serde(default)]
    pub nickname: String,
    /// Whether the person follows the account.
    #[serde(default)]
    pub follower: bool,
}

/// One entry of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bubble {
    /// Its number in the chat, from 1, so that a reader can ask for new bubbles only.
    pub number: u64,
    /// Whether the person wrote it. If not, the account or WeChat did.
    pub from_person: bool,
    /// Whether it is WeChat's own line, because the account failed to answer.
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

/// When a person followed the account, and by which code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Follow {
    /// Unix seconds.
    pub(crate) at: u64,
    /// The scene of the code that the person scanned, if there was one.
    pub(crate) scene: Option<Scene>,
}

#[derive(Debug)]
struct Record {
    nickname: String,
    follow: Option<Follow>,
    chat: VecDeque<Bubble>,
    written: u64,
}

/// All people, in the order in which they were added.
#[derive(Default)]
pub(crate) struct People {
    by_openid: HashMap<String, Record>,
    order: VecDeque<String>,
}

impl People {
    /// Adds a person or changes one, and fills in empty fields.
    pub(crate) fn add(&mut self, mut person: Person, now: u64) -> Person {
        if person.openid.is_empty() {
            // 28 characters that begin with o, as in all openids seen.
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

    /// The person's follow; `None` if they do not follow.
    pub(crate) fn followed(&self, openid: &str) -> Option<&Follow> {
        self.by_openid.get(openid)?.follow.as_ref()
    }

    /// Makes a person a follower, and says whether they were one before. `None`: nobody has the openid.
    pub(crate) fn follow(&mut self, openid: &str, follow: Follow) -> Option<bool> {
        let record = self.by_openid.get_mut(openid)?;
        let was = record.follow.is_some();
        record.follow.get_or_insert(follow);
        Some(was)
    }

    /// Ends a follow, and says whether there was one. `None`: nobody has the openid.
    pub(crate) fn unfollow(&mut self, openid: &str) -> Option<bool> {
        Some(self.by_openid.get_mut(openid)?.follow.take().is_some())
    }

    /// All people, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = Person> {
        self.order.iter().rev().filter_map(|openid| self.get(openid))
    }

    /// Adds a bubble to a person's chat. Does nothing if nobody has the openid.
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

    /// A person's chat after the bubble `number`, oldest first.
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
