//! The last warnings and errors, as they were logged, for an operator who looks at a page in place of the log.
//!
//! Nothing is here that the log does not say: what `RUST_LOG` leaves out is left out. Lines that differ in nothing but
//! numbers count as one.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::visible::plain;

/// The most lines that are kept.
pub const MOST: usize = 50;

/// How long a line is kept after it was logged last.
pub const KEPT: Duration = Duration::from_secs(3600);

/// Characters of a line.
const LONGEST: usize = 600;

/// There is one log, so there is one list. The newest is last. Never held while anything is formatted or waits.
static LINES: Mutex<VecDeque<Kept>> = Mutex::new(VecDeque::new());

/// A warning or an error of the last hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// It is an error.
    pub is_error: bool,
    /// What it says, the last time.
    pub text: String,
    /// How often it was logged, without what [`told`](crate::told) has counted only.
    pub times: u64,
    /// When it was logged last.
    pub last: SystemTime,
}

/// A line, and what tells it from others: its place in the source, and its words without digits.
struct Kept {
    place: Identifier,
    words: String,
    line: Line,
}

/// The warnings and errors of the last hour, the newest first.
#[must_use]
pub fn lines() -> Vec<Line> {
    let now = SystemTime::now();
    let lines = LINES.lock();
    lines.iter().rev().map(|kept| kept.line.clone()).filter(|line| is_fresh(line, now)).collect()
}

fn is_fresh(line: &Line, now: SystemTime) -> bool {
    now.duration_since(line.last).is_ok_and(|age| age < KEPT)
}

/// Takes every warning and error that is logged.
pub(super) struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let is_error = *metadata.level() == Level::ERROR;
        put(metadata.callsite(), is_error, shortened(&text.0), SystemTime::now(), &mut LINES.lock());
    }
}

fn put(place: Identifier, is_error: bool, text: String, now: SystemTime, lines: &mut VecDeque<Kept>) {
    let words: String = text.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    let known = lines.iter().position(|kept| kept.place == place && kept.words == words);
    let before = known.and_then(|at| lines.remove(at)).filter(|kept| is_fresh(&kept.line, now));
    let times = before.map_or(0, |kept| kept.line.times) + 1;
    if lines.len() >= MOST {
        lines.pop_front();
    }
    lines.push_back(Kept { place, words, line: Line { is_error, text, times, last: now } });
}

/// One line without characters that could hide or turn others, not too long.
fn shortened(text: &str) -> String {
    let mut short = plain(text.chars().take(LONGEST).collect::<String>());
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// The message, and behind it the fields, as the text of the log has them.
struct Text(String);

impl Text {
    fn add(&mut self, field: &Field, value: impl fmt::Display) {
        let space = if self.0.is_empty() { "" } else { " " };
        let written = match field.name() {
            "message" if self.0.is_empty() => write!(self.0, "{value}"),
            "message" => {
                self.0.insert_str(0, &format!("{value} "));
                Ok(())
            }
            name => write!(self.0, "{space}{name}={value}"),
        };
        debug_assert!(written.is_ok(), "a string takes every text");
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn warnings_and_errors_are_kept_as_they_were_said_and_counted() {
        let lines_of = |name: &str| -> Vec<Line> {
            lines().into_iter().filter(|line| line.text.contains(name)).collect()
        };
        let log = tracing_subscriber::registry().with(Recent);
        tracing::subscriber::with_default(log, || {
            for seconds in [1, 20] {
                tracing::warn!(site = "shop", told = ?"a\nb", "the store of the recent test is away for {seconds} s");
            }
            tracing::error!("another line of the recent test {}", "x".repeat(2 * LONGEST));
            tracing::info!("nothing to mend in the recent test");
        });
        let kept = lines_of("the recent test");
        assert_eq!(kept.len(), 2, "{kept:?}");
        assert!(kept[0].is_error && kept[0].text.chars().count() == LONGEST + 1, "{kept:?}");
        let warning = r#"the store of the recent test is away for 20 s site="shop" told="a\nb""#;
        assert_eq!((kept[1].text.as_str(), kept[1].times), (warning, 2));
    }

    #[test]
    fn a_line_holds_nothing_that_hides_or_turns_others() {
        let line = shortened("the site \u{202e}gro.live\u{200b}\u{2066} is \u{1b}[31mnot known");
        assert_eq!(line, "the site  gro.live   is  [31mnot known");
    }

    #[test]
    fn the_list_is_bounded_and_an_old_line_begins_anew() {
        let (mut lines, now) = (VecDeque::new(), SystemTime::now());
        let place = || tracing::callsite::Identifier(&PLACE);
        for letter in 0..2 * MOST {
            put(place(), false, "x".repeat(letter + 1), now, &mut lines);
        }
        assert_eq!(lines.len(), MOST);
        for (later, times) in [(0, 1), (0, 2), (3599, 3), (7300, 1)] {
            put(place(), true, "full".to_owned(), now + Duration::from_secs(later), &mut lines);
            let line = &lines.back().unwrap().line;
            assert_eq!((line.times, line.text.as_str()), (times, "full"));
            assert_eq!(lines.len(), MOST);
        }
    }

    static PLACE: Place = Place;

    struct Place;

    impl tracing::Callsite for Place {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}

        fn metadata(&self) -> &tracing::Metadata<'_> {
            unreachable!("nobody asks")
        }
    }
}
