//! Which entries an operator wants to see: times as they are written, and what an entry must say.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use records::Moment;

use super::entry::{Entry, Outcome};

/// The difference of a place's clocks to UTC, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Zone(i32);

impl Zone {
    /// A moment, as a clock there shows it: RFC 3339, with milliseconds.
    pub(super) fn show(self, at: Moment) -> String {
        let offset = Duration::from_secs(u64::from(self.0.unsigned_abs()) * 60);
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at.0);
        let there = if self.0 < 0 { at.checked_sub(offset) } else { at.checked_add(offset) };
        let text = humantime::format_rfc3339_millis(there.unwrap_or(at)).to_string();
        format!("{}{self}", text.trim_end_matches('Z'))
    }

    /// The moment at which a clock there shows this time of UTC's.
    fn moment(self, shown: SystemTime) -> Moment {
        let offset = i128::from(self.0) * 60_000;
        let since = shown.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let moment = i128::try_from(since).unwrap_or(i128::MAX).saturating_sub(offset);
        Moment(u64::try_from(moment.max(0)).unwrap_or(u64::MAX))
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, minutes) = (if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs());
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl FromStr for Zone {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = "write for example +08:00 or Z";
        if text == "Z" {
            return Ok(Self(0));
        }
        let (sign, clock) = match text.as_bytes() {
            [b'+', ..] => (1, &text[1..]),
            [b'-', ..] => (-1, &text[1..]),
            _ => return Err(problem),
        };
        let number = |text: &str, most: i32| {
            let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i32>().ok().filter(|number| is_number && *number <= most).ok_or(problem)
        };
        let (hours, minutes) = clock.split_once(':').ok_or(problem)?;
        Ok(Self(sign * (number(hours, 14)? * 60 + number(minutes, 59)?)))
    }
}

/// A time as an operator writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// So long ago.
    Ago(Duration),
    /// The beginning of a day, or a time without a zone, in the zone that is asked for.
    There(SystemTime),
    /// A time with its zone.
    At(Moment),
}

impl When {
    /// The moment that is meant.
    pub(super) fn moment(self, zone: Zone, now: SystemTime) -> Moment {
        match self {
            Self::Ago(time) => Zone(0).moment(now.checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH)),
            Self::There(shown) => zone.moment(shown),
            Self::At(moment) => moment,
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = humantime::parse_duration(text) {
            return Ok(Self::Ago(time));
        }
        // What is behind a Z nobody looks at.
        let there =
            |text: &str| humantime::parse_rfc3339(&format!("{text}Z")).ok().filter(|_| !text.contains('Z'));
        if text.len() == 10
            && let Some(day) = there(&format!("{text}T00:00:00"))
        {
            return Ok(Self::There(day));
        }
        if let Some(time) = there(&text.replacen(' ', "T", 1)) {
            return Ok(Self::There(time));
        }
        let zone = text.rfind(['+', '-', 'Z']).map(|at| text.split_at(at));
        let at = zone.and_then(|(time, zone)| Some(zone.parse::<Zone>().ok()?.moment(there(time)?)));
        at.map(Self::At).ok_or(
            "write a time back such as 24h or 7days, a date such as 2026-11-29, or a time such as 2026-11-29T14:00:00",
        )
    }
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|outcome| outcome.name() == text).copied();
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|outcome| outcome.name()).collect();
            format!("write one or several of {}", names.join(", "))
        })
    }
}

/// The id of a login, or its first digits.
///
/// # Errors
/// When it is none.
pub(super) fn login(text: &str) -> Result<String, &'static str> {
    let is_good = (6..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_good.then(|| text.to_ascii_lowercase()).ok_or("write a login's id, or its first 6 digits or more")
}

/// What an entry must say.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub site: Option<String>,
    /// None stand for all.
    pub outcomes: Vec<Outcome>,
    /// The first digits of a login's id.
    pub login: Option<String>,
}

impl Filter {
    /// Whether an entry says that.
    pub(super) fn lets_in(&self, entry: &Entry) -> bool {
        let Self { site, outcomes, login } = self;
        (site.is_none() || *site == entry.site)
            && (outcomes.is_empty() || outcomes.contains(&entry.outcome))
            && login
                .as_ref()
                .is_none_or(|login| entry.login.as_ref().is_some_and(|id| id.starts_with(login.as_str())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CHINA: Zone = Zone(8 * 60);

    #[test]
    fn a_moment_is_shown_by_the_clocks_of_a_zone() {
        let at = Moment(1_790_000_000_123);
        for (zone, shown) in [
            ("Z", "2026-09-21T14:13:20.123+00:00"),
            ("+08:00", "2026-09-21T22:13:20.123+08:00"),
            ("-03:30", "2026-09-21T10:43:20.123-03:30"),
        ] {
            assert_eq!(zone.parse::<Zone>().unwrap().show(at), shown);
        }
        for wrong in ["", "8", "+8", "+08", "+0800", "+15:00", "+08:60", "China", "+-8:00", "＋08:00"] {
            assert!(wrong.parse::<Zone>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_read_as_people_write_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let read = |text: &str| text.parse::<When>().unwrap().moment(CHINA, now);
        for (text, shown) in [
            ("24h", "2026-09-20T22:13:20.000+08:00"),
            ("7days", "2026-09-14T22:13:20.000+08:00"),
            ("2026-09-01", "2026-09-01T00:00:00.000+08:00"),
            ("2026-09-01T12:30:00", "2026-09-01T12:30:00.000+08:00"),
            ("2026-09-01 12:30:00", "2026-09-01T12:30:00.000+08:00"),
            ("2026-09-01T12:30:00Z", "2026-09-01T20:30:00.000+08:00"),
            ("2026-09-01T12:30:00.5+02:00", "2026-09-01T18:30:00.500+08:00"),
            ("60years", "1970-01-01T08:00:00.000+08:00"),
        ] {
            assert_eq!(CHINA.show(read(text)), shown, "{text}");
        }
        for wrong in
            ["", "yesterday", "24", "2026-13-01", "2026-09", "1.9.2026", "-24h", "2026-09-01T25:00:00"]
        {
            assert!(wrong.parse::<When>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_entry_must_say_all_that_is_asked_for() {
        let entry = Entry {
            login: Some("cd2abeeaa545d6de4cd772515432c561".to_owned()),
            site: Some("shop".to_owned()),
            ..Entry::of(Outcome::Granted)
        };
        let filter = |site: Option<&str>, outcomes: &[Outcome], login: Option<&str>| Filter {
            site: site.map(str::to_owned),
            outcomes: outcomes.to_vec(),
            login: login.map(str::to_owned),
        };
        for (filter, lets_in) in [
            (filter(None, &[], None), true),
            (filter(Some("shop"), &[Outcome::Denied, Outcome::Granted], Some("cd2abe")), true),
            (filter(Some("sho"), &[], None), false),
            (filter(None, &[Outcome::Denied], None), false),
            (filter(None, &[], Some("cd2abf")), false),
        ] {
            assert_eq!(filter.lets_in(&entry), lets_in, "{filter:?}");
        }
        assert!(!filter(Some("shop"), &[], None).lets_in(&Entry::of(Outcome::Granted)));
        assert_eq!("not_me".parse(), Ok(Outcome::NotMe));
        assert!("nobody".parse::<Outcome>().unwrap_err().contains("granted, denied, not_me"));
        assert_eq!(login("CD2abe").unwrap(), "cd2abe");
        assert!(login("cd2ab").is_err() && login("a_scene").is_err());
    }
}
