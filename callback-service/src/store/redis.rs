//! The store in Redis, for any number of callback-services: a record a person, with how often they have
//! logged in and what became of their recent scans.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use protocol::Scene;
use records::{Failure, Keeper, Kept, Moment, Place, Records, Replicas, Step, Write};
use serde::{Deserialize, Serialize};

use super::{Memory, REMEMBERED, Recorded, SAME_WORDS, Scan, Store, StoreError};

/// How long a count is kept after the last login: as good as for ever, and not quite.
const KEPT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The store `redis:`.
pub(crate) struct RedisStore {
    records: Records,
}

/// What is kept of a person. What a newer version has added is kept as well, here and of each scan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Person {
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
    /// The person's how-manieth login it was; nothing while it was only attempted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nickname: Option<String>,
}

impl Noted {
    fn recorded(&self) -> Option<Recorded> {
        let Self { first, nickname, .. } = self;
        self.count.map(|count| Recorded { first: *first, nickname: nickname.clone(), count })
    }
}

impl Person {
    fn recall(&self, scene: Scene, now: Moment) -> Memory {
        let Some(noted) = self.scans.get(scene.as_str()) else { return Memory::Nothing };
        match noted.recorded() {
            None => Memory::Attempted,
            Some(recorded) if now < noted.noted_at + SAME_WORDS => Memory::Recorded(recorded),
            Some(_) => Memory::LongAgo,
        }
    }

    fn attempt(&mut self, scan: &Scan, now: Moment) {
        let Scan { first, created_at, .. } = *scan;
        let noted = Noted { first, created_at, noted_at: now, count: None, nickname: None };
        self.scans.entry(scan.scene.to_string()).or_insert(noted.into());
    }

    fn record(&mut self, scan: &Scan, nickname: Option<&str>, now: Moment) -> Recorded {
        let counted = self.scans.get(scan.scene.as_str()).and_then(|noted| noted.recorded());
        counted.unwrap_or_else(|| {
            self.logins = self.logins.saturating_add(1);
            self.last_login_at = self.last_login_at.max(scan.created_at);
            let recorded =
                Recorded { first: scan.first, nickname: nickname.map(str::to_owned), count: self.logins };
            let Scan { first, created_at, .. } = *scan;
            let (count, nickname) = (Some(recorded.count), recorded.nickname.clone());
            let noted = Noted { first, created_at, noted_at: now, count, nickname };
            match self.scans.get_mut(scan.scene.as_str()) {
                Some(attempted) => **attempted = noted,
                None => drop(self.scans.insert(scan.scene.to_string(), noted.into())),
            }
            recorded
        })
    }

    fn forget(&mut self, at: i64) {
        if self.last_login_at <= at {
            self.logins = 0;
            self.last_login_at = 0;
        }
        self.scans.retain(|_, noted| noted.created_at > at);
    }

    fn sweep(&mut self, now: Moment) {
        self.scans.retain(|_, noted| now < noted.noted_at + REMEMBERED);
    }

    fn forget_at(&self, now: Moment) -> Moment {
        now + if self.logins > 0 { KEPT } else { REMEMBERED }
    }
}

impl RedisStore {
    /// A store at `place`, under keys that begin with `prefix`. What is noted counts once `replicas` of Redis
    /// have it, or as many as there are. Nothing is connected before the keeper runs.
    #[must_use]
    pub(crate) fn new(place: Place, prefix: &str, replicas: u32) -> (Self, Keeper) {
        let (records, keeper) = Records::new(place, format!("{prefix}1:"), replicas, None);
        (Self { records }, keeper)
    }

    /// What is known of Redis's replicas.
    #[must_use]
    pub(crate) fn replicas(&self) -> &Replicas {
        self.records.replicas()
    }

    async fn change<T>(
        &self,
        openid: &str,
        work: impl Fn(&mut Person, Moment) -> T,
    ) -> Result<T, StoreError> {
        let key = key(openid);
        let changed = self.records.update(&key, |found, now| {
            let mut person = read(found)?;
            let value = work(&mut person, now);
            person.sweep(now);
            let to = serde_json::to_string(&person).map_err(|error| Failure::NotDone(error.to_string()))?;
            let forget_at = person.forget_at(now);
            Ok(Step::Write(Write { to, forget_at, only_before: None, tell: None, durably: true }, value))
        });
        changed.await.map_err(|failure| StoreError(failure.to_string()))
    }
}

impl Store for RedisStore {
    fn recall<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<Memory, StoreError>> {
        async move {
            let found = self.records.read(&key(&scan.openid)).await;
            let recalled =
                found.and_then(|found| Ok(read(found.record.as_deref())?.recall(scan.scene, found.now)));
            recalled.map_err(|failure| StoreError(failure.to_string()))
        }
        .boxed()
    }

    fn attempt<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<(), StoreError>> {
        self.change(&scan.openid, |person, now| person.attempt(scan, now)).boxed()
    }

    fn record<'a>(
        &'a self,
        scan: &'a Scan,
        nickname: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Recorded, StoreError>> {
        self.change(&scan.openid, move |person, now| person.record(scan, nickname, now)).boxed()
    }

    fn admit<'a>(
        &'a self,
        signature: &'a str,
        body: &'a str,
        until: u64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        async move {
            let forget_at = Moment(until.saturating_mul(1000));
            let key = format!("push:{signature}");
            let noted = self.records.update(&key, |found, _| {
                Ok(match found {
                    Some(before) => Step::Keep(before == body),
                    // A replica's outage must not close the door, so this waits for none.
                    None => Step::Write(
                        Write {
                            to: body.to_owned(),
                            forget_at,
                            only_before: None,
                            tell: None,
                            durably: false,
                        },
                        true,
                    ),
                })
            });
            noted.await.map_err(|failure| StoreError(failure.to_string()))
        }
        .boxed()
    }

    fn forget<'a>(&'a self, openid: &'a str, at: i64) -> BoxFuture<'a, Result<(), StoreError>> {
        self.change(openid, move |person, _| person.forget(at)).boxed()
    }
}

fn key(openid: &str) -> String {
    format!("person:{openid}")
}

fn read(record: Option<&str>) -> Result<Kept<Person>, Failure> {
    record.map_or(Ok(Kept::default()), |record| {
        serde_json::from_str(record).map_err(|error| {
            tracing::error!("a person's record in Redis is not one of this version's: {error}");
            Failure::NotDone("the record cannot be read".to_owned())
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::store::contract::scan;

    #[test]
    fn what_is_remembered_of_a_scan_has_its_time() {
        let (mut person, one, now) = (Person::default(), scan("a", 100), Moment(1_000));
        let first = person.record(&one, None, now);
        assert_eq!(person.recall(one.scene, now), Memory::Recorded(first.clone()));
        let later = now + SAME_WORDS;
        assert_eq!(person.recall(one.scene, later), Memory::LongAgo);
        assert_eq!(person.record(&one, None, later), first, "nothing is counted twice");
        person.sweep(now + (REMEMBERED - Duration::from_millis(1)));
        assert_eq!(person.recall(one.scene, later), Memory::LongAgo);
        person.sweep(now + REMEMBERED);
        assert_eq!(person.recall(one.scene, later), Memory::Nothing);
        assert_eq!(person.record(&scan("a", 101), None, later).count, 2, "counts are kept");
        assert!(person.forget_at(now) > now + Duration::from_secs(365 * 24 * 3600));
        person.forget(101);
        assert_eq!(person, Person::default());
        assert_eq!(person.forget_at(now), now + REMEMBERED);
    }

    #[test]
    fn what_a_newer_version_added_is_kept_of_a_person_and_of_each_scan() {
        let (attempted, counted, now) = (scan("a", 100), scan("a", 101), Moment(1_000));
        let mut person = Person::default();
        person.attempt(&attempted, now);
        person.record(&counted, Some("阿狸"), now);
        let mut newer = serde_json::to_value(&person).unwrap();
        newer["consent"] = json!({"at": 1});
        for scan in [&attempted, &counted] {
            newer["scans"][scan.scene.as_str()]["site"] = json!("shop");
        }
        let mut person = read(Some(&newer.to_string())).unwrap();
        assert_eq!(serde_json::to_value(&person).unwrap(), newer);
        for scan in [&attempted, &counted] {
            person.attempt(scan, now);
            person.record(scan, None, now);
            person.sweep(now);
            person.forget(99);
        }
        let written = serde_json::to_value(&person).unwrap();
        assert_eq!(written["consent"], newer["consent"]);
        for scan in [&attempted, &counted] {
            assert_eq!(written["scans"][scan.scene.as_str()]["site"], "shop", "{written}");
        }
        assert_eq!((person.logins, person.recall(attempted.scene, now) != Memory::Attempted), (2, true));
        assert!(read(Some("{")).is_err());
    }
}
