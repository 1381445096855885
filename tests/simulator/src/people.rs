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

/// The language of WeChat on most phones, as user/info names it.
const LANGUAGE: &str = "zh_CN";

/// A person with a phone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The person's openid for this account; random if left empty.
    #[serde(default)]
    pub openid: String,
    /// The person's nickname; taken from a short list if left empty.
    #[serde(default)]
    pub nickname: String,
    /// The language of the person's WeChat, as user/info gives it: `zh_CN`, `zh_TW`, `en`. `zh_CN` if left empty.
    #[serde(default)]
    pub language: String,
    /// Whether the person follows the account.
    #[serde(default)]
    pub follower: bool,
}

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bubble {
    /// Its number in the chat, from 1, so that a reader can ask for new bubbles only.
    pub number: u64,
    /// Whether the person wrote it. If not, the account or WeChat did.
    pub from_person: bool,
    /// Whether it is WeChat's own line, because the account failed to answer.
    pub system: bool,
    /// The scene of the code that the person scanned here. Such an entry has no words, and only the phone shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanned: Option<String>,
    /// The words.
    pub text: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// Who adds an entry to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    Person,
    Account,
    WeChat,
    /// The phone's camera has read a code. In place of words there is its scene.
    Camera,
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
    language: String,
    /// What the Open Platform calls the person, who came from another account.
    unionid: Option<String>,
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
    /// Adds a person, and fills in empty fields; or changes a known one, whose empty fields stay as they are.
    pub(crate) fn add(&mut self, mut person: Person, now: u64) -> Person {
        if person.openid.is_empty() {
            // 28 characters that begin with o, as in all openids seen.
            person.openid = format!("o{}", &random::name::<21>()[1..]);
        }
        if let Some(known) = self.by_openid.get_mut(&person.openid) {
            fill(&mut person.nickname, &known.nickname);
            fill(&mut person.language, &known.language);
            known.nickname.clone_from(&person.nickname);
            known.language.clone_from(&person.language);
            if !person.follower {
                known.follow = None;
            } else if known.follow.is_none() {
                known.follow = Some(Follow { at: now, scene: None });
            }
            return person;
        }
        fill(&mut person.language, LANGUAGE);
        if person.nickname.is_empty() {
            let [byte] = random::bytes();
            NICKNAMES[usize::from(byte) % NICKNAMES.len()].clone_into(&mut person.nickname);
        }
        if self.order.len() >= MAX_PEOPLE
            && let Some(first) = self.order.pop_front()
        {
            self.by_openid.remove(&first);
        }
        self.order.push_back(person.openid.clone());
        let record = Record {
            nickname: person.nickname.clone(),
            language: person.language.clone(),
            unionid: None,
            follow: person.follower.then_some(Follow { at: now, scene: None }),
            chat: VecDeque::new(),
            written: 0,
        };
        self.by_openid.insert(person.openid.clone(), record);
        person
    }

    pub(crate) fn get(&self, openid: &str) -> Option<Person> {
        self.by_openid.get(openid).map(|record| Person {
            openid: openid.to_owned(),
            nickname: record.nickname.clone(),
            language: record.language.clone(),
            follower: record.follow.is_some(),
        })
    }

    /// What the Open Platform calls the person. It is no openid.
    pub(crate) fn unionid(&self, openid: &str) -> Option<String> {
        let own = || format!("union{}", openid.trim_start_matches('o'));
        Some(self.by_openid.get(openid)?.unionid.clone().unwrap_or_else(own))
    }

    /// The person whom the Open Platform calls so.
    pub(crate) fn by_unionid(&self, unionid: &str) -> Option<Person> {
        let openid = self.order.iter().find(|openid| self.unionid(openid).as_deref() == Some(unionid))?;
        self.get(openid)
    }

    /// Gives a person the name that they have at the Open Platform.
    pub(crate) fn name(&mut self, openid: &str, unionid: String) {
        if let Some(record) = self.by_openid.get_mut(openid) {
            record.unionid = Some(unionid);
        }
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

    /// Adds an entry to a person's conversation. Does nothing if nobody has the openid.
    pub(crate) fn write(&mut self, openid: &str, writer: Writer, text: &str, at: u64) {
        let Some(record) = self.by_openid.get_mut(openid) else {
            return;
        };
        record.written += 1;
        record.chat.push_back(Bubble {
            number: record.written,
            from_person: writer == Writer::Person,
            system: writer == Writer::WeChat,
            scanned: (writer == Writer::Camera).then(|| text.to_owned()),
            text: if writer == Writer::Camera { String::new() } else { text.to_owned() },
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

fn fill(field: &mut String, with: &str) {
    if field.is_empty() {
        with.clone_into(field);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn invented() -> Person {
        Person::default()
    }

    #[test]
    fn an_invented_person_looks_like_one_of_wechats() {
        let person = People::default().add(invented(), 1);
        assert_eq!(person.openid.len(), 28);
        assert!(person.openid.starts_with('o'));
        assert!(!person.nickname.is_empty());
        assert_eq!(person.language, "zh_CN");
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let mut people = People::default();
        let anna = Person { nickname: "Anna".to_owned(), language: "en".to_owned(), ..invented() };
        let openid = people.add(anna, 1).openid;
        people.follow(&openid, Follow { at: 1, scene: Some(Scene::Number(7)) });
        let changed = people.add(
            Person { openid: openid.clone(), language: "zh_TW".to_owned(), follower: true, ..invented() },
            2,
        );
        assert_eq!((changed.nickname.as_str(), changed.language.as_str()), ("Anna", "zh_TW"));
        assert_eq!(people.get(&openid), Some(changed));
        assert_eq!(people.followed(&openid).unwrap().at, 1, "the follow is the first one");
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
