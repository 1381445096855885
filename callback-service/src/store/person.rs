//! What is kept of a person, and what each event does to it: the rules of counting as pure functions.
//!
//! Counts are kept by scene, so that a repeated push and a second scan of an ended login add none and get the same
//! words, also after a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::Scene;
use records::{Kept, Moment};
use serde::{Deserialize, Serialize};

use super::{Memory, Recorded, Scan};

/// How long what became of a scan is remembered: far longer than a login and WeChat's repeats live.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// How long a repeat gets the same words without asking the gateway: as long as the gateway keeps an end.
const SAME_WORDS: Duration = Duration::from_secs(180);

/// How long a count is kept after the last login: as good as for ever, and not quite.
pub(super) const KEPT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What is kept of a person. What a newer version has added is kept as well, here and of each scan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Person {
    #[serde(default)]
    logins: u32,
    /// The CreateTime of the last push that logged in.
    #[serde(default)]
    last_login_at: i64,
    #[serde(default)]
    scans: BTreeMap<String, Kept<Noted>>,
}

/// What is kept of a scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Noted {
    first: bool,
    created_at: i64,
    noted_at: Moment,
    /// The person's login number (first is 1); nothing while it was only attempted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nickname: Option<String>,
    /// In which the person was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<String>,
}

impl Noted {
    fn recorded(&self) -> Option<Recorded> {
        let Self { first, nickname, language, .. } = self.clone();
        self.count.map(|count| Recorded { first, nickname, count, language })
    }
}

impl Person {
    /// What is remembered of a scan.
    pub(super) fn recall(&self, scene: Scene, now: Moment) -> Memory {
        let Some(noted) = self.scans.get(scene.as_str()) else { return Memory::Nothing };
        match noted.recorded() {
            None => Memory::Attempted,
            Some(recorded) if now < noted.noted_at + SAME_WORDS => Memory::Recorded(recorded),
            Some(_) => Memory::LongAgo,
        }
    }

    /// Notes that the gateway is going to be asked to end the login.
    pub(super) fn attempt(&mut self, scan: &Scan, now: Moment) {
        let Scan { first, created_at, .. } = *scan;
        let noted = Noted { first, created_at, noted_at: now, count: None, nickname: None, language: None };
        self.scans.entry(scan.scene.to_string()).or_insert(noted.into());
    }

    /// Counts a recorded login, unless its scene has been counted; gives what was kept.
    pub(super) fn record(
        &mut self,
        scan: &Scan,
        nickname: Option<&str>,
        language: &str,
        now: Moment,
    ) -> Recorded {
        let counted = self.scans.get(scan.scene.as_str()).and_then(|noted| noted.recorded());
        counted.unwrap_or_else(|| {
            self.logins = self.logins.saturating_add(1);
            self.last_login_at = self.last_login_at.max(scan.created_at);
            let Scan { first, created_at, .. } = *scan;
            let (count, nickname) = (self.logins, nickname.map(str::to_owned));
            let language = Some(language.to_owned());
            let recorded = Recorded { first, nickname: nickname.clone(), count, language: language.clone() };
            let noted = Noted { first, created_at, noted_at: now, count: Some(count), nickname, language };
            match self.scans.get_mut(scan.scene.as_str()) {
                Some(attempted) => **attempted = noted,
                None => drop(self.scans.insert(scan.scene.to_string(), noted.into())),
            }
            recorded
        })
    }

    /// Forgets all up to an unfollow at `at` (CreateTime); the count stays if the person has logged in since.
    pub(super) fn forget(&mut self, at: i64) {
        if self.last_login_at <= at {
            self.logins = 0;
            self.last_login_at = 0;
        }
        self.scans.retain(|_, noted| noted.created_at > at);
    }

    /// Takes scans out that were noted long ago.
    pub(super) fn sweep(&mut self, now: Moment) {
        self.scans.retain(|_, noted| now < noted.noted_at + REMEMBERED);
    }

    /// When nothing of the person is worth keeping any more.
    pub(super) fn forget_at(&self, now: Moment) -> Moment {
        now + if self.logins > 0 { KEPT } else { REMEMBERED }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use records::AsText;
    use serde_json::json;

    use super::*;
    use crate::store::tests::scan;

    #[test]
    fn what_is_remembered_of_a_scan_has_its_time() {
        let (mut person, one, now) = (Person::default(), scan("a", 100), Moment(1_000));
        let first = person.record(&one, None, "zh-CN", now);
        assert_eq!(person.recall(one.scene, now), Memory::Recorded(first.clone()));
        let later = now + SAME_WORDS;
        assert_eq!(person.recall(one.scene, later), Memory::LongAgo);
        assert_eq!(person.record(&one, None, "zh-CN", later), first, "nothing is counted twice");
        person.sweep(now + (REMEMBERED - Duration::from_millis(1)));
        assert_eq!(person.recall(one.scene, later), Memory::LongAgo);
        person.sweep(now + REMEMBERED);
        assert_eq!(person.recall(one.scene, later), Memory::Nothing);
        assert_eq!(person.record(&scan("a", 101), None, "zh-CN", later).count, 2, "counts are kept");
        assert!(person.forget_at(now) > now + Duration::from_secs(365 * 24 * 3600));
        person.forget(101);
        assert_eq!(person, Person::default());
        assert_eq!(person.forget_at(now), now + REMEMBERED);
    }

    #[test]
    fn what_a_newer_version_added_is_kept_of_a_person_and_of_each_scan() {
        let read = |text: &str| Kept::<Person>::from_text(text);
        let (attempted, counted, now) = (scan("a", 100), scan("a", 101), Moment(1_000));
        let mut person = Person::default();
        person.attempt(&attempted, now);
        person.record(&counted, Some("阿狸"), "zh-CN", now);
        let mut newer = serde_json::to_value(&person).unwrap();
        newer["consent"] = json!({"at": 1});
        for scan in [&attempted, &counted] {
            newer["scans"][scan.scene.as_str()]["site"] = json!("shop");
        }
        let mut person = read(&newer.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&person).unwrap(), newer);
        for scan in [&attempted, &counted] {
            person.attempt(scan, now);
            person.record(scan, None, "zh-CN", now);
            person.sweep(now);
            person.forget(99);
        }
        let written = serde_json::to_value(&person).unwrap();
        assert_eq!(written["consent"], newer["consent"]);
        for scan in [&attempted, &counted] {
            assert_eq!(written["scans"][scan.scene.as_str()]["site"], "shop", "{written}");
        }
        assert_eq!((person.logins, person.recall(attempted.scene, now) != Memory::Attempted), (2, true));
        assert!(read("{").is_err());
    }
}
