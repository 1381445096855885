//! A journal in Redis: a stream of entries, which nothing can change. So what is personal is beside it, in one hash for each
//! subject, under a random name that the entries have. Whoever erases the hash erases all of the subject's lines at once,
//! and nothing says any more whose those were.
//!
//! | key | what it is |
//! |---|---|
//! | `journal:<kind>` | the stream: `e` is an entry, `o` the name of its subject's hash |
//! | `journal-of:<kind>:<subject>` | that name |
//! | `journal-who:<kind>:<name>` | the hash: what is personal in each line, by the line's id |
//! | `journal-once:<kind>:<name>` | the name of a line, for an hour |

use std::time::Duration;

use aws_lc_rs::rand;
use futures_util::future::{BoxFuture, FutureExt};
use redis::{Script, Value};

use super::{Redis, Time, moment};
use crate::journal::{Keeps, NAMED, Note, Place, Range, STEP, TextJournal, TextLine, TextPage};
use crate::moment::milliseconds;
use crate::{Failure, Moment};

/// How much longer what is personal is kept than its lines are read, where nobody takes them out.
const BESIDE: Duration = Duration::from_secs(3600);

/// An entry of the stream: its id, and its fields with their names.
type Entry = (String, Vec<String>);

impl Redis {
    fn stream(&self, kind: &str) -> String {
        self.key(&format!("journal:{kind}"))
    }

    /// What the keys of the hashes begin with.
    fn hashes(&self, kind: &str) -> String {
        self.key(&format!("journal-who:{kind}:"))
    }

    fn hash_of(&self, kind: &str, subject: &str) -> String {
        self.key(&format!("journal-of:{kind}:{subject}"))
    }
}

impl TextJournal for Redis {
    fn append<'a>(
        &'a self,
        kind: &'static str,
        note: Note<String, String>,
        keeps: Keeps,
    ) -> BoxFuture<'a, Result<bool, Failure>> {
        async move {
            let Note { name, entry, about } = note;
            let (subject, personal) = about.unzip();
            let script = Script::new(include_str!("journal_append.lua"));
            let stream = self.stream(kind);
            // A user of Redis may be kept to the prefix, so the stream's own key stands for none.
            let name = name.map(|name| self.key(&format!("journal-once:{kind}:{name}")));
            let subject = subject.map(|subject| self.hash_of(kind, &subject));
            let mut call = script.key(&stream);
            call.key(name.as_ref().unwrap_or(&stream)).key(subject.as_ref().unwrap_or(&stream));
            call.arg(entry).arg(personal.unwrap_or_default()).arg(random_name()).arg(self.hashes(kind));
            call.arg(milliseconds(keeps.age + BESIDE)).arg(milliseconds(NAMED));
            self.link.ask(|mut redis| async move { call.invoke_async(&mut redis).await }).await
        }
        .boxed()
    }

    fn page<'a>(
        &'a self,
        kind: &'static str,
        range: &'a Range,
        before: Option<Place>,
        most: u32,
    ) -> BoxFuture<'a, Result<TextPage, Failure>> {
        self.read_page(kind, range, before, most).boxed()
    }

    fn erase<'a>(
        &'a self,
        kind: &'static str,
        subject: &'a str,
        until: Moment,
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        async move {
            let script = Script::new(include_str!("journal_erase.lua"));
            let mut call = script.key(self.hash_of(kind, subject));
            call.arg(until.0).arg(self.hashes(kind));
            self.link.ask(|mut redis| async move { call.invoke_async(&mut redis).await }).await
        }
        .boxed()
    }

    fn trim<'a>(&'a self, kind: &'static str, keeps: Keeps) -> BoxFuture<'a, Result<u32, Failure>> {
        async move {
            let script = Script::new(include_str!("journal_trim.lua"));
            let mut call = script.key(self.stream(kind));
            call.arg(milliseconds(keeps.age)).arg(keeps.most).arg(self.hashes(kind)).arg(STEP);
            self.link.ask(|mut redis| async move { call.invoke_async(&mut redis).await }).await
        }
        .boxed()
    }
}

impl Redis {
    async fn read_page(
        &self,
        kind: &'static str,
        range: &Range,
        before: Option<Place>,
        most: u32,
    ) -> Result<TextPage, Failure> {
        let until = range.until.map(|at| Place { at, number: 0 });
        let before = [before, until].into_iter().flatten().min();
        let newest =
            before.map_or_else(|| "+".to_owned(), |Place { at, number }| format!("({}-{number}", at.0));
        let oldest = range.since.map_or_else(|| "-".to_owned(), |since| since.0.to_string());
        let mut both = redis::pipe();
        both.cmd("TIME").cmd("XREVRANGE").arg(self.stream(kind)).arg(newest).arg(oldest);
        both.arg("COUNT").arg(most);
        for subject in range.about.iter().flatten() {
            both.cmd("GET").arg(self.hash_of(kind, subject));
        }
        let (time, entries, names): (Time, Vec<Entry>, Vec<Option<String>>) = self
            .link
            .ask(|mut redis| async move {
                let mut answers: Vec<Value> = both.query_async(&mut redis).await?;
                let names = answers.split_off(2).into_iter().map(redis::from_redis_value);
                let names = names.collect::<Result<_, _>>()?;
                let (time, entries) = redis::from_redis_value(Value::Array(answers))?;
                Ok((time, entries, names))
            })
            .await?;
        let is_whole = u32::try_from(entries.len()).is_ok_and(|len| len < most);
        let places: Vec<Place> = entries.iter().filter_map(|(id, _)| place(id)).collect();
        let next = places.last().copied().filter(|_| !is_whole);
        let wanted = |of: &str| range.about.is_none() || names.iter().flatten().any(|name| name == of);
        let mut found = Vec::new();
        for (id, fields) in &entries {
            let field =
                |name| fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].as_str());
            if let (Some(place), Some(entry), Some(of)) = (place(id), field("e"), field("o"))
                && wanted(of)
            {
                found.push((place, id, entry, of));
            }
        }
        let mut personal = vec![None; found.len()];
        if found.iter().any(|(.., of)| !of.is_empty()) {
            let mut each = redis::pipe();
            for (_, id, _, of) in &found {
                each.cmd("HGET").arg(format!("{}{of}", self.hashes(kind))).arg(id);
            }
            personal = self.link.ask(|mut redis| async move { each.query_async(&mut redis).await }).await?;
        }
        let line = |((place, _, entry, _), personal): ((Place, _, &str, _), Option<String>)| TextLine {
            place,
            entry: entry.to_owned(),
            personal,
        };
        let lines = found.into_iter().zip(personal).map(line).collect();
        Ok(TextPage { lines, next, now: moment(time) })
    }
}

/// The place that an id of the stream means.
fn place(id: &str) -> Option<Place> {
    let (at, number) = id.split_once('-')?;
    Some(Place { at: Moment(at.parse().ok()?), number: number.parse().ok()? })
}

/// A name that nobody can make of the subject's.
fn random_name() -> String {
    let mut bytes = [0; 16];
    // The operating system's random numbers do not fail once it has started.
    rand::fill(&mut bytes).expect("random numbers");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
